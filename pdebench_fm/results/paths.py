"""Where a result belongs, in an evaluation's folder as on a leaderboard: a path that follows from its content.

That is `results/<organisation>/<model>/<task>-<track>-<fingerprint>.json`, with `--` for the task's slash, and outside
of the closed division the method before the fingerprint. The fingerprint is that of the result's identity
(`results.merging`): what can be merged has one path, and what can't has another.
"""

import re
from pathlib import Path

from pdebench_fm.naming import HOME_ORGANISATION, check_folder_names
from pdebench_fm.results.merging import fingerprint
from pdebench_fm.results.result import Result

ROWS = "results"
"""The folder of a leaderboard that holds its rows."""

_LONGEST_METHOD = 40


def row_path(result: Result, organisation: str = HOME_ORGANISATION) -> Path:
    """Return where `result` belongs, relative to a leaderboard's root.

    The organisation of a Hub id (`org/name`) is its own; `organisation` is that of every other model.

    Raises:
        UsageError: a name that cannot be a folder's.
    """
    owner, slash, name = result.model.model_id.rpartition("/")
    owner = owner if slash else organisation
    check_folder_names(owner, name)
    task = result.task.replace("/", "--")
    parts = (task, result.track, _method_in_names(result), fingerprint(result))
    return Path(ROWS, owner, name, f"{'-'.join(filter(None, parts))}.json")


def _method_in_names(result: Result) -> str:
    """Return a method's name with what the name of a file may hold; "" for the protocol's, which most results are by.

    It is there to be read: what tells two files apart is their fingerprint.
    """
    if result.division == "closed":
        return ""
    return re.sub(r"[^A-Za-z0-9.]+|\.{2,}", "-", result.method)[:_LONGEST_METHOD].strip("-.")
