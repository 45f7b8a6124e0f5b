"""What is computed is credited to the process that computes it: its libraries, device and threads, and the time."""

import platform
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import version

import torch

from pdebench_fm.evaluation.machinery import library_versions
from pdebench_fm.results.result import Environment, Provenance
from pdebench_fm.version import __version__

_OTHERS = ("datasets", "huggingface_hub", "pydantic", "safetensors")  # beside those that do the arithmetic


def current_environment(device: torch.device) -> Environment:
    """Return what this process computes with on a device."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return Environment(
        package_version=__version__,
        python=platform.python_version(),
        libraries=_library_versions(),
        device=name,
        threads=torch.get_num_threads(),
    )


def provenance_here(device: torch.device, seconds: float) -> Provenance:
    """Return the provenance of what this process has just computed."""
    return Provenance(
        environment=current_environment(device), seconds=seconds, date=datetime.now(UTC).replace(microsecond=0)
    )


@lru_cache(maxsize=1)
def _library_versions() -> dict[str, str]:
    return library_versions() | {library: version(library) for library in _OTHERS}
