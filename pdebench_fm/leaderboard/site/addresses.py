"""Where each page of the site lies: names that work on every file system, each model's and task's its own."""

import hashlib
import re
from pathlib import PurePosixPath

FRONT = PurePosixPath("index.html")

_PLAIN = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")
_RESERVED = {"con", "prn", "aux", "nul", *(f"{name}{i}" for name in ("com", "lpt") for i in range(10))}
_MOST = 60


def task_address(task: str) -> PurePosixPath:
    """Return the place of the page of a task of the catalogue, such as `tasks/poisson-ood--hard.html`."""
    return PurePosixPath("tasks", f"{task.replace('/', '--')}.html")


def model_address(organisation: str, model_id: str) -> PurePosixPath:
    """Return the place of the page of a model, such as `models/acme/solver.html`."""
    return PurePosixPath("models", _safe(organisation), f"{_safe(model_id.rpartition('/')[2])}.html")


def _safe(name: str) -> str:
    """Return a name that leads nowhere else and is no other one's, on file systems that ignore case too.

    A name that is not plain becomes what is plain of it and a part of its digest, behind a letter that no plain name
    has.
    """
    if _PLAIN.fullmatch(name) and len(name) <= _MOST and name.partition(".")[0] not in _RESERVED:
        return name
    words = "-".join(re.findall("[a-z0-9]+", name.lower()))[:_MOST]
    return f"{words}~{hashlib.sha256(name.encode()).hexdigest()[:32]}"
