"""The dataset card: YAML metadata that the Hub and the `datasets` library read, and a text for people."""

from pathlib import Path

from datasets import DatasetInfo, SplitDict, SplitInfo
from datasets.info import DatasetInfosDict
from datasets.utils.metadata import MetadataConfigs
from huggingface_hub import DatasetCardData

from pdebench_fm.data.acceptance import law_in_words, law_table
from pdebench_fm.data.beside_shards import CARD_NAME, FIGURES, PARAMETERS_FIGURE, REGIMES_FIGURE
from pdebench_fm.data.catalogue import find_dataset
from pdebench_fm.data.manifest import Manifest
from pdebench_fm.data.rows import features, row_bytes
from pdebench_fm.data.statistics import Statistics, measure, read_statistics, write_statistics
from pdebench_fm.errors import PdefmError
from pdebench_fm.files import write_atomically
from pdebench_fm.physics import BUILT_IN, System
from pdebench_fm.physics.operator import COEFFICIENT_NAMES
from pdebench_fm.templates import card_templates

NAMESPACE = "pdebench-fm"
PACKAGE = "pdebench-fm"


def write_dataset_card(manifest: Manifest, folder: Path, namespace: str = NAMESPACE) -> Path:
    """Measure a build, draw its figures and write its README; what is there and still true is not made again.

    Args:
        manifest: of the build, whose shards are all in the folder.
        folder: of the dataset; gets `statistics.json`, `figures/` and `README.md`.
        namespace: the organisation on the Hub that the card's examples name.

    Raises:
        PdefmError: if a shard cannot be read or a file cannot be written.
    """
    try:
        known = read_statistics(folder)
    except PdefmError:  # damaged: made anew
        known = None
    statistics = measure(manifest, folder, known)
    if statistics != known or not _has_figures(folder):
        _draw(manifest, statistics, folder)
        write_statistics(statistics, folder)
    path = folder / CARD_NAME
    write_atomically(path, dataset_card(manifest, namespace, folder))
    return path


def dataset_card(manifest: Manifest, namespace: str = NAMESPACE, folder: Path | None = None) -> str:
    """Return the README of a build.

    Args:
        manifest: of the build.
        namespace: the organisation on the Hub that the examples name.
        folder: the dataset's folder, for the statistics and figures it holds; without it, the card has neither.
    """
    dataset = find_dataset(manifest.dataset)
    held = [dataset.regime(name) for name in dataset.regimes if any(split.regime == name for split in manifest.splits)]
    statistics = read_statistics(folder) if folder is not None else None
    measured = statistics.regimes if statistics else ()
    drawn = folder is not None and _has_figures(folder)
    return (
        card_templates()
        .get_template("dataset.md.jinja")
        .render(
            metadata=_metadata(manifest),
            manifest=manifest,
            dataset=dataset,
            plugin=dataset.origin != BUILT_IN,
            coefficients=_coefficients(dataset.system),
            regimes=held,
            shown=_shown_configuration(manifest),
            statistics=statistics,
            words={item.name: law_in_words(dataset.system, item.name, measured) for item in held},
            laws=law_table(dataset.system, [item.name for item in held], measured),
            figures=FIGURES if drawn else {},
            number=_number,
            namespace=namespace,
            package=PACKAGE,
        )
    )


def _draw(manifest: Manifest, statistics: Statistics, folder: Path) -> None:
    """Draw the two figures of a card."""
    from pdebench_fm.data.figures import parameters_figure, regimes_figure, save_figure

    dataset = find_dataset(manifest.dataset)
    names = [item.regime for item in statistics.regimes]
    save_figure(regimes_figure(dataset, names, manifest.version, manifest.seed), folder / REGIMES_FIGURE)
    save_figure(parameters_figure(dataset, statistics), folder / PARAMETERS_FIGURE)


def _has_figures(folder: Path) -> bool:
    """Return whether both figures are there."""
    return all((folder / name).exists() for name in FIGURES.values())


def _shown_configuration(manifest: Manifest) -> tuple[str, str]:
    """Return the configuration and split that the examples load: the default and test, where the build has them."""
    default = find_dataset(manifest.dataset).default_regime
    splits = [(split.regime, split.split) for split in manifest.splits]
    return max(splits, key=lambda split: (split[0] == default, split[1] == "test"))


def _coefficients(system: System) -> str:
    """Return what the places of the coefficient vector hold."""
    names = ", ".join(system.coefficient_names)
    if system.coefficient_names == COEFFICIENT_NAMES:
        return f"{names}; 1 is x, 2 is y".replace("omega", "ω")
    return names if len(system.coefficient_names) == len(COEFFICIENT_NAMES) else f"{names}; the other places hold 0"


def _number(value: float) -> str:
    """Return a measured number as the card's tables print it."""
    return "0" if abs(value) < 5e-7 else f"{value:.3g}".replace("-", "−")


def _metadata(manifest: Manifest) -> str:
    """Return the YAML block: licence, tags, the configurations with their files, and the features of each."""
    dataset = find_dataset(manifest.dataset)
    data = DatasetCardData(
        license="cc-by-4.0",
        pretty_name=f"pdebench_fm: {dataset.name}",
        task_categories=["other"],
        tags=["partial-differential-equations", "neural-operators", "scientific-machine-learning", "physics"],
        size_categories=[_size_category(sum(split.rows for split in manifest.splits))],
    )
    configs, infos = MetadataConfigs(), {}
    for regime in dataset.regimes:
        splits = [split for split in manifest.splits if split.regime == regime]
        if not splits:
            continue
        configs[regime] = {
            "data_files": [{"split": split.split, "path": f"{regime}/{split.split}-*.parquet"} for split in splits]
        }
        if regime == dataset.default_regime:
            configs[regime]["default"] = True
        sizes = {
            split.split: SplitInfo(split.split, split.rows * row_bytes(manifest.resolution), split.rows)
            for split in splits
        }
        infos[regime] = DatasetInfo(
            config_name=regime,
            features=features(manifest.resolution),
            splits=SplitDict(sizes),
            download_size=sum(shard.bytes for split in splits for shard in split.shards),
            dataset_size=sum(size.num_bytes for size in sizes.values()),
        )
    configs.to_dataset_card_data(data)
    DatasetInfosDict(infos).to_dataset_card_data(data)
    return str(data.to_yaml())


def _size_category(rows: int) -> str:
    """Return the Hub's word for a number of rows."""
    for limit, name in ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K")):
        if rows < limit:
            return name
    return "100K<n<1M"
