"""One word for a model: a zoo name, a directory, or a Hub id becomes a loaded operator."""

import re
from importlib.resources import files
from pathlib import Path

from pdebench_fm.errors import UsageError, unknown_name
from pdebench_fm.models.operator import NeuralOperator
from pdebench_fm.models.sources import CONFIG_NAME, ModelSource, source_in, source_on_hub
from pdebench_fm.models.weights import refuse_pickle

_HUB_REFERENCE = re.compile(r"(?P<id>[\w.-]+/[\w.-]+)(?:@(?P<revision>.+))?")


def zoo_directory() -> Path:
    """Return the folder of the weights that come with this package."""
    return Path(str(files("pdebench_fm"))) / "zoo_weights"


def zoo_names() -> list[str]:
    """Return the names of the models that come with this package, sorted."""
    return sorted(config.parent.name for config in zoo_directory().glob(f"*/{CONFIG_NAME}"))


def resolve(reference: str | Path, token: str | None = None) -> ModelSource:
    """Find a model's files.

    Args:
        reference: A zoo name (`"fno-mixed-64k"`), a directory, or a Hub id (`"organisation/name"`, or
            `"organisation/name@revision"`). A zoo name goes before a directory of that name, which
            `"./fno-mixed-64k"` means; a directory goes before a Hub id.
        token: The Hub's access token; None for the one of `hf auth login`.

    Returns:
        The source, its files on this machine.

    Raises:
        UsageError: If there is no such model.
        PdefmError: If it has no valid files, or the Hub does not give it.
    """
    text = str(reference)
    path = Path(reference).expanduser()
    if isinstance(reference, str) and text in zoo_names():
        return source_in(zoo_directory() / text, text, revision="package")
    if path.is_dir():
        return source_in(path, text)
    if path.is_file():
        refuse_pickle(path)
        raise UsageError(f"{text} is a file: give the directory that holds it and its {CONFIG_NAME}")
    hub = _HUB_REFERENCE.fullmatch(text)
    if isinstance(reference, str) and hub and not text.startswith((".", "~")):
        return source_on_hub(hub["id"], hub["revision"], token=token)
    if isinstance(reference, Path) or "/" in text or "\\" in text:
        raise UsageError(f"no directory {text}: a model is a zoo name, a directory, or a Hub id 'organisation/name'")
    raise unknown_name("model", text, zoo_names())


def load_model(reference: str | Path, device: str = "cpu", token: str | None = None) -> NeuralOperator:
    """Load a pretrained model.

    Args:
        reference: A zoo name, a directory or a Hub id; see `resolve`.
        device: `"auto"`, `"cpu"`, `"cuda"`, `"cuda:1"` or `"mps"`; see `choose_device`.
        token: The Hub's access token; None for the one of `hf auth login`.

    Returns:
        The model in evaluation mode; its `source` says which weights it has.

    Raises:
        PdefmError: If there is no such model or device, or the files are not what they should be.
    """
    return NeuralOperator.from_source(resolve(reference, token), device)
