"""A record of which commit a tag named when it was first used here, by which a tag that was moved is noticed."""

import hashlib
import json
from contextlib import suppress
from pathlib import Path

from pdebench_fm.errors import PdefmError
from pdebench_fm.files import write_atomically
from pdebench_fm.folders import default_cache_folder

_FOLDER = "revisions"


def recorded_commit(url: str, revision: str) -> str | None:
    """Return the commit that is recorded for a revision of the repository with this address; None if none is."""
    with suppress(PdefmError, OSError, ValueError):
        record = json.loads(_path(url, revision).read_bytes())
        if isinstance(record, dict) and isinstance(record.get("commit"), str):
            return str(record["commit"])
    return None


def record_commit(url: str, revision: str, commit: str) -> None:
    """Record the commit of a revision; where the cache folder cannot be written, nothing is recorded."""
    record = {"repository": url, "revision": revision, "commit": commit}
    with suppress(PdefmError, OSError):
        write_atomically(_path(url, revision), json.dumps(record, indent=2) + "\n")


def _path(url: str, revision: str) -> Path:
    name = hashlib.sha256(f"{url}@{revision}".encode()).hexdigest()[:32]
    return default_cache_folder() / _FOLDER / f"{name}.json"
