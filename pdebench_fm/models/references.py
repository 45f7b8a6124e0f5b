"""One word for any model: a file of the user's, a zoo name, a baseline, a plug-in, a directory or a Hub id."""

import re
from pathlib import Path

import torch

from pdebench_fm.errors import UsageError, unknown_name
from pdebench_fm.extensions.functions import split_file_reference
from pdebench_fm.folders import expanded
from pdebench_fm.models.baselines import BASELINES
from pdebench_fm.models.builders import DEFAULT_FUNCTION, open_file, open_plugin, plugins
from pdebench_fm.models.candidate import Candidate, Operator
from pdebench_fm.models.candidates import candidate_of
from pdebench_fm.models.devices import choose_device
from pdebench_fm.models.graph import is_graph, open_graph
from pdebench_fm.models.loading import load_operator, not_shipped, recipe_names, zoo_names
from pdebench_fm.models.operator import NeuralOperator

_BARE_NAME = re.compile(r"[\w.-]+")


def open_candidate(reference: str | Path, device: str = "cpu", token: str | None = None) -> Candidate:
    """Return the model of this name, ready to be evaluated.

    A reference is taken for the first of these that it can be:

    1. a function in a Python file, `"path/to/file.py:build"`; `"path/to/file.py"` means its `build`; or an ONNX
       graph, `"path/to/graph.onnx"`, which runs on the CPU in a process of its own;
    2. a zoo name, such as `"fno-mixed-64k"`;
    3. a baseline that comes with the package: `"zero"`, `"mean"`, `"oracle"`, `"unet"`, ...; see `BASELINES`;
    4. the name of an installed plug-in, an entry point of the group `pdebench_fm.models`;
    5. a directory with `config.json` and `model.safetensors`; `"./zero"` means the directory, never the baseline;
    6. a Hub id, `"organisation/name"` or `"organisation/name@revision"`.

    The function of a file or a plug-in takes no argument, or any of `device` and `pretrained`, and returns a
    `torch.nn.Module` or a function of (source, coefficients). With `pretrained=False` it returns the same architecture
    with random weights, drawn from PyTorch's global generator: that is how it is trained from scratch. No other code
    is ever run: from directories and the Hub come configurations and weights alone.

    Args:
        reference: Which model; a Path is never taken for a name.
        device: `"auto"`, `"cpu"`, `"cuda"`, `"cuda:1"` or `"mps"`; see `choose_device`.
        token: The Hub's access token; None for the one of `hf auth login`.

    Raises:
        UsageError: If there is no such model or device.
        UserCodeError: If a user's code raises; its `details` are the traceback.
        PdefmError: If the files are not what they should be, or the Hub does not give them.
    """
    place = choose_device(device)
    return _without_files(reference, place) or candidate_of(load_operator(reference, str(place), token))


def load_model(
    reference: str | Path, device: str = "cpu", token: str | None = None, *, revision: str | None = None
) -> NeuralOperator | Operator:
    """Load a model, to be called on sources (B, n, n) and coefficients (B, 6).

    Args:
        reference: Which model, as in `open_candidate`. From a zoo name, a directory and the Hub comes a
            `NeuralOperator`, in evaluation mode, whose `source` says which weights it has; a baseline, a file of yours
            or a plug-in gives what it builds. A baseline such as `"unet"` has random weights; `evaluate` knows the
            module by them, until it is trained.
        device: `"auto"`, `"cpu"`, `"cuda"`, `"cuda:1"` or `"mps"`; see `choose_device`.
        token: The Hub's access token; None for the one of `hf auth login`.
        revision: Branch, tag or commit of a Hub id, such as `"v1.0.0"`.

    Raises:
        UsageError: If there is no such model, device or revision.
        UserCodeError: If a user's code raises; its `details` are the traceback.
        PdefmError: If the files are not what they should be, or the Hub does not give them.
    """
    place = choose_device(device)  # before anything is downloaded
    candidate = _without_files(reference, place)
    if candidate is None:
        return load_operator(reference, str(place), token, revision=revision)
    if revision is not None:
        raise UsageError(f"{reference} is not on the Hub, so it has no revision {revision!r}")
    return candidate.operator


def _without_files(reference: str | Path, place: torch.device) -> Candidate | None:
    """Return the model of a user's function or a baseline; None for a reference that means files of weights."""
    text = str(reference)
    if not isinstance(reference, str | Path) or not text.strip():
        raise UsageError(f"a model is given by a name, a path or a Hub id, not {reference!r}")
    try:
        Path(text).exists()
    except OSError as error:  # too long, or not for this user to look at
        raise UsageError(f"no model {text[:60]!r}: {error.strerror}") from None
    file = split_file_reference(text, DEFAULT_FUNCTION)
    if file is not None:
        return open_file(*file, place)
    if is_graph(Path(text)):
        return open_graph(expanded(text))
    if not isinstance(reference, str) or not _BARE_NAME.fullmatch(text) or text in (*zoo_names(), *recipe_names()):
        return None
    if text in BASELINES:
        return BASELINES[text].candidate(place)
    offered = plugins()
    if text in offered:
        return open_plugin(offered[text], place)
    if not Path(text).exists():
        if (known := not_shipped(text)) is not None:
            raise known
        raise unknown_name("model", text, [*zoo_names(), *recipe_names(), *BASELINES, *offered], files=True)
    return None
