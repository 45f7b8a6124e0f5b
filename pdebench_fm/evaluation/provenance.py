"""What is computed is credited to the process that computes it: its libraries, device and threads, and the time."""

import platform
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import version as library_version

import torch

from pdebench_fm.results.result import Environment, Provenance
from pdebench_fm.version import __version__

_LIBRARIES = ("datasets", "huggingface_hub", "numpy", "pydantic", "safetensors", "scipy")


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
    # PyTorch's own word says which build it is, where the installed package's may not: 2.13.0+cpu, 2.13.0+cu130
    return {library: library_version(library) for library in _LIBRARIES} | {"torch": str(torch.__version__)}
