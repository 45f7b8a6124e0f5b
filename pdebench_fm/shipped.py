"""What comes with the package beside its code: inside an installed package, or beside a checkout's.

These are `cards` (templates), `leaderboard` (the official rows), `examples` and `CITATION.cff`.
"""

from pathlib import Path

from pdebench_fm.errors import PdefmError

_PACKAGE = Path(__file__).parent
_PLACES = (_PACKAGE / "share", _PACKAGE.parent)


def in_checkout(name: str) -> Path | None:
    """Return a folder of the source tree that is too large to come with the package; None in an installed package."""
    root = _PACKAGE.parent
    return root / name if (root / "pyproject.toml").is_file() and (root / name).is_dir() else None


def shipped(name: str) -> Path:
    """Return where a folder or file lies that comes with the package.

    Raises:
        PdefmError: if it is missing, as in a package that was copied in part.
    """
    for place in _PLACES:
        if (place / name).exists():
            return place / name
    raise PdefmError(f"{name} is missing from this installation of pdebench-fm: install the package again")
