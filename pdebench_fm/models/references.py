"""One word for any model: a file of the user's, a zoo name, a baseline, a plug-in, a directory or a Hub id."""

import re
from pathlib import Path

from pdebench_fm.errors import unknown_name
from pdebench_fm.models.baselines import BASELINES
from pdebench_fm.models.builders import open_file, open_plugin, plugins, split_file_reference
from pdebench_fm.models.candidate import Candidate
from pdebench_fm.models.candidates import candidate_of
from pdebench_fm.models.devices import choose_device
from pdebench_fm.models.loading import load_model, zoo_names

_BARE_NAME = re.compile(r"[\w.-]+")


def open_candidate(reference: str | Path, device: str = "cpu", token: str | None = None) -> Candidate:
    """Return the model of this name, ready to be evaluated.

    A reference is taken for the first of these that it can be:

    1. a function in a Python file, `"path/to/file.py:build"`; `"path/to/file.py"` means its `build`;
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
    place, text = choose_device(device), str(reference)
    file = split_file_reference(text)
    if file is not None:
        return open_file(*file, place)
    if isinstance(reference, str) and _BARE_NAME.fullmatch(text) and text not in zoo_names():
        if text in BASELINES:
            return BASELINES[text].candidate(place)
        offered = plugins()
        if text in offered:
            return open_plugin(offered[text], place)
        if not Path(text).exists():
            raise unknown_name("model", text, [*zoo_names(), *BASELINES, *offered])
    return candidate_of(load_model(reference, str(place), token))
