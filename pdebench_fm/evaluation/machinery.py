"""What computes a score beside model and rows: this package's own code, the libraries below it, and the processor."""

import hashlib
import platform
from functools import cache
from importlib.metadata import version
from pathlib import Path

import torch

_PACKAGE = Path(__file__).parents[1]
_ASIDE = frozenset(
    {"cli", "hub", "leaderboard", "plots", "release", "studies", "zoo"}
)  # what shows, transfers and publishes finished scores
_LIBRARIES = ("torch", "numpy", "scipy")


@cache
def package_digest(package: Path = _PACKAGE) -> str:
    """Return a SHA-256 of the source of every module that may take part in a score.

    These are all modules but those of the rooms that only show, transfer or publish scores, so that none is forgotten.
    It is taken once a process: what is edited while the process runs is not what it runs.

    Args:
        package: The folder of the package.
    """
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package)
        if name.parts[0] not in _ASIDE:
            content = path.read_bytes()
            digest.update(f"{name.as_posix()}\x1f{len(content)}\x1f".encode() + content)
    return digest.hexdigest()


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that do the arithmetic, by name."""
    return {"torch": torch.__version__} | {name: version(name) for name in _LIBRARIES if name != "torch"}


def processor(device: torch.device) -> str:
    """Return which processor a device is, as far as it decides how sums are rounded."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, cuDNN {torch.backends.cudnn.version()}"
    return f"{_cpu()}, {torch.backends.cpu.get_cpu_capability()}"


@cache
def _cpu() -> str:
    """Return the processor's name; only Linux has to be asked in a way of its own."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", maxsplit=1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{platform.machine()}, {names[0] if names else platform.processor()}"
