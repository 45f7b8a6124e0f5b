"""Models that are files: a zoo name, a directory, or a Hub id becomes a loaded operator."""

import re
from importlib.resources import files
from pathlib import Path

from pdebench_fm.data.catalogue import FAMILIES
from pdebench_fm.errors import UsageError, unknown_name
from pdebench_fm.folders import expanded
from pdebench_fm.models.devices import choose_device
from pdebench_fm.models.operator import NeuralOperator
from pdebench_fm.models.sizes import SIZES
from pdebench_fm.models.sources import CONFIG_NAME, ModelSource, source_in, source_on_hub
from pdebench_fm.models.weights import refuse_pickle
from pdebench_fm.naming import HOME_ORGANISATION
from pdebench_fm.own_models import own_models
from pdebench_fm.shipped import in_checkout

IN_PACKAGE = ("64k", "1m")
"""Sizes whose weights come with the package."""
LARGE = "weights"
"""The folder of a checkout with the models of the zoo that are too large for the package."""
_ZOO = Path(str(files("pdebench_fm"))) / "zoo"
RECORDS = _ZOO / "records"
"""The folder of what is known of the trainings of models whose weights were not kept."""

_ZOO_NAME = re.compile(r"fno-(?P<family>[a-z-]+)-(?P<size>[0-9]+[km])")
_HUB_REFERENCE = re.compile(r"(?P<id>[\w.-]+/[\w.-]+)(?:@(?P<revision>.+))?")


def zoo_directory() -> Path:
    """Return the folder of the weights that come with this package."""
    return _ZOO / "weights"


def zoo_folder(name: str) -> Path:
    """Return where the files of a zoo model lie, or would: in the package or, of a large one, in a checkout."""
    large = in_checkout(LARGE)
    inside = zoo_directory() / name
    return large / name if large is not None and not inside.is_dir() else inside


def recipe_directory() -> Path:
    """Return the folder of the models that come without weights: configuration, card and Slurm script of each."""
    return _ZOO / "recipes"


def zoo_names() -> list[str]:
    """Return the names of the models whose weights come with this package, or with the checkout it is in, sorted."""
    large = in_checkout(LARGE)
    return sorted({*_names_in(zoo_directory()), *(_names_in(large) if large is not None else ())})


def recipe_names() -> list[str]:
    """Return the names of the models that come as a recipe only, without weights, sorted."""
    return [name for name in _names_in(recipe_directory()) if name not in zoo_names()]


def _names_in(directory: Path) -> list[str]:
    return sorted(config.parent.name for config in directory.glob(f"*/{CONFIG_NAME}"))


def split_reference(reference: str, revision: str | None = None) -> tuple[str, str | None] | None:
    """Return the Hub id and the revision that `"organisation/name@revision"` means; None if it is no Hub id.

    Args:
        reference: The text, with a revision or without.
        revision: One that was given beside it.

    Raises:
        UsageError: If two different revisions are named.
    """
    match = _HUB_REFERENCE.fullmatch(reference)
    if match is None or reference.startswith((".", "~")):
        return None
    if revision is not None and match["revision"] not in (None, revision):
        raise UsageError(f"{reference} and revision={revision!r} name two revisions: give one of them")
    return match["id"], revision or match["revision"]


def resolve(reference: str | Path, token: str | None = None, revision: str | None = None) -> ModelSource:
    """Find a model's files.

    Args:
        reference: A zoo name (`"fno-mixed-64k"`), a directory, or a Hub id (`"organisation/name"`, or
            `"organisation/name@revision"`). A zoo name goes before a directory of that name, which
            `"./fno-mixed-64k"` means; a directory goes before a Hub id.
        token: The Hub's access token; None for the one of `hf auth login`.
        revision: Branch, tag or commit of a Hub id; None for the one in `reference`, else the default branch.

    Returns:
        The source, its files on this machine.

    Raises:
        UsageError: If there is no such model, or a revision is asked for where there is only one.
        PdefmError: If it has no valid files, or the Hub does not give it.
    """
    text = str(reference)
    if isinstance(reference, str) and text in zoo_names():
        _refuse_revision(revision, f"{text} comes with the package")
        return source_in(zoo_folder(text), text, revision="package")
    path = expanded(reference)
    if path.is_dir():
        _refuse_revision(revision, f"{text} is a directory here")
        return source_in(path, text)
    if path.is_file():
        refuse_pickle(path)
        raise UsageError(f"{text} is a file: give the directory that holds it and its {CONFIG_NAME}")
    hub = split_reference(text, revision) if isinstance(reference, str) else None
    if hub is not None:
        return source_on_hub(*hub, token=token)
    if isinstance(reference, Path) or "/" in text or "\\" in text:
        raise UsageError(f"no directory {text}: a model is a zoo name, a directory, or a Hub id 'organisation/name'")
    if (known := not_shipped(text)) is not None:
        raise known
    raise unknown_name("model", text, [*zoo_names(), *recipe_names()], files=True)


def not_shipped(name: str) -> UsageError | None:
    """Return what to say of a model that the zoo has a name for and no weights; None for any other name."""
    if name in recipe_names():
        return UsageError(
            f"{name} is a recipe only, its weights are not shipped: train it as `pdefm zoo show {name}` says, "
            f"or load what somebody has published on the Hub, as 'organisation/{name}'"
        )
    own = next((own for own in own_models().values() if own.name == name), None)
    if own is not None and own.scores is None:
        return UsageError(
            f"{name} was trained for its results on the leaderboard, and its weights were not kept: train it with "
            f"`pdefm pretrain`, by the settings in {RECORDS / name / 'training.json'}"
        )
    if own is not None and name not in zoo_names():
        return UsageError(
            f"{name} is too large to come with the package: its weights are in {LARGE}/ of the repository; load that "
            f"folder of a clone, or what is published on the Hub, '{HOME_ORGANISATION}/{name}'"
        )
    match = _ZOO_NAME.fullmatch(name)
    if match is None or match["family"] not in FAMILIES or match["size"] not in SIZES or name in zoo_names():
        return None
    return UsageError(
        f"{name} is a size that does not come with the package: train it with `pdefm pretrain --family "
        f"{match['family']} --size {match['size']}`, or load what somebody has published on the Hub, as "
        f"'organisation/{name}'; here are {', '.join(_of_family(match['family']))}"
    )


def _of_family(family: str) -> list[str]:
    return [name for name in zoo_names() if name.startswith(f"fno-{family}-")]


def _refuse_revision(revision: str | None, why: str) -> None:
    """Refuse a revision of what is not on the Hub."""
    if revision is not None:
        raise UsageError(f"{why}, so it has no revision {revision!r}: only models on the Hub, 'organisation/name', do")


def load_operator(
    reference: str | Path, device: str = "cpu", token: str | None = None, *, revision: str | None = None
) -> NeuralOperator:
    """Load a pretrained model from its files.

    Args:
        reference: A zoo name, a directory or a Hub id; see `resolve`.
        device: `"auto"`, `"cpu"`, `"cuda"`, `"cuda:1"` or `"mps"`; see `choose_device`.
        token: The Hub's access token; None for the one of `hf auth login`.
        revision: Branch, tag or commit of a Hub id, such as `"v1.0.0"`.

    Returns:
        The model in evaluation mode; its `source` says which weights it has.

    Raises:
        PdefmError: If there is no such model or device, or the files are not what they should be.
    """
    place = choose_device(device)  # before anything is downloaded
    return NeuralOperator.from_source(resolve(reference, token, revision), str(place))
