"""Where this package keeps what it can make or fetch again."""

import os
from pathlib import Path

from platformdirs import user_cache_path

ENVIRONMENT_VARIABLE = "PDEFM_CACHE"


def default_cache_folder() -> Path:
    """Return the package's folder for caches: `$PDEFM_CACHE`, else a folder of the platform's place for caches."""
    if chosen := os.environ.get(ENVIRONMENT_VARIABLE):
        return Path(os.path.expanduser(chosen))  # noqa: PTH111 (unlike Path's own, it takes a user without a home)
    return user_cache_path("pdebench_fm", appauthor=False)
