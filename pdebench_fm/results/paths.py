"""Where a result belongs, in an evaluation's folder as on a leaderboard: a path that follows from its content.

That is `results/<organisation>/<model>/<task>-<track>-<fingerprint>.json`, with `--` for the task's slash. The
fingerprint is that of the result's identity (`results.merging`): what can be merged has one path, and what can't has
another.
"""

import re
from pathlib import Path

from pdebench_fm.errors import UsageError
from pdebench_fm.results.merging import fingerprint
from pdebench_fm.results.result import Result

HOME_ORGANISATION = "pdebench-fm"
_SAFE_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?")


def row_path(result: Result, organisation: str = HOME_ORGANISATION) -> Path:
    """Return where `result` belongs, relative to a leaderboard's root.

    The organisation of a Hub id (`org/name`) is its own; `organisation` is that of every other model.

    Raises:
        UsageError: a name that cannot be a folder's.
    """
    owner, slash, name = result.model.model_id.rpartition("/")
    owner = owner if slash else organisation
    for kind, text in (("organisation", owner), ("model", name)):
        if not _SAFE_NAME.fullmatch(text) or ".." in text or "--" in text:
            raise UsageError(
                f"{kind} name {text!r} cannot be a folder on the leaderboard: use letters, digits and single "
                "'-', '_' or '.' between them, as in 'org/name'"
            )
    task = result.task.replace("/", "--")
    return Path("results", owner, name, f"{task}-{result.track}-{fingerprint(result)}.json")
