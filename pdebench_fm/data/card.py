"""The dataset card: YAML metadata that the Hub and the `datasets` library read, and a text for people."""

from datasets import DatasetInfo, SplitDict, SplitInfo
from datasets.info import DatasetInfosDict
from datasets.utils.metadata import MetadataConfigs
from huggingface_hub import DatasetCardData

from pdebench_fm.data.catalogue import DATASETS
from pdebench_fm.data.manifest import Manifest
from pdebench_fm.data.rows import features
from pdebench_fm.physics import REGIMES
from pdebench_fm.templates import card_templates

NAMESPACE = "pdebench-fm"
PACKAGE = "pdebench-fm"


def dataset_card(manifest: Manifest, namespace: str = NAMESPACE) -> str:
    """Return the README of a build."""
    dataset = DATASETS[manifest.dataset]
    held = [REGIMES[name] for name in dataset.regimes if any(split.regime == name for split in manifest.splits)]
    return (
        card_templates()
        .get_template("dataset.md.jinja")
        .render(
            metadata=_metadata(manifest),
            manifest=manifest,
            dataset=dataset,
            regimes=held,
            first_regime=held[0].name,
            namespace=namespace,
            package=PACKAGE,
        )
    )


def _metadata(manifest: Manifest) -> str:
    """Return the YAML block: licence, tags, the configurations with their files, and the features of each."""
    dataset = DATASETS[manifest.dataset]
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
            split.split: SplitInfo(split.split, sum(shard.bytes for shard in split.shards), split.rows)
            for split in splits
        }
        infos[regime] = DatasetInfo(
            config_name=regime,
            features=features(manifest.resolution),
            splits=SplitDict(sizes),
            download_size=sum(size.num_bytes for size in sizes.values()),
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
