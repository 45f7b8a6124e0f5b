"""Where this package keeps what it can make or fetch again."""

import os
from pathlib import Path

from platformdirs import user_cache_path

from pdebench_fm.errors import PdefmError

ENVIRONMENT_VARIABLE = "PDEFM_CACHE"


def expanded(path: str | Path) -> Path:
    """Return a path whose `~` stands for a home; where there is no such user or home, the path as it is."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 (Path's own raises for a user without a home)


def default_cache_folder() -> Path:
    """Return the package's folder for caches: `$PDEFM_CACHE`, else a folder of the platform's place for caches.

    Raises:
        PdefmError: if there is no such place, as the user has no home.
    """
    if chosen := os.environ.get(ENVIRONMENT_VARIABLE):
        return expanded(chosen)
    try:
        return user_cache_path("pdebench_fm", appauthor=False)
    except RuntimeError as error:
        raise PdefmError(
            f"there is no place for caches, as this user has no home: set {ENVIRONMENT_VARIABLE}"
        ) from error
