"""Where this package keeps what it can make or fetch again."""

import os
import sys
from pathlib import Path

ENVIRONMENT_VARIABLE = "PDEFM_CACHE"


def default_cache_folder() -> Path:
    """Return the package's folder for caches: `$PDEFM_CACHE`, else a folder of the platform's place for caches."""
    if chosen := os.environ.get(ENVIRONMENT_VARIABLE):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        home = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        home = "~/Library/Caches"
    else:
        home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser() / "pdebench_fm"
