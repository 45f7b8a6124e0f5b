"""A leaderboard on the Hub brought here: its rows and records as plain files in a folder, none of them a link."""

import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from pdebench_fm.errors import UsageError
from pdebench_fm.hub.repository import Repository, hub_client
from pdebench_fm.leaderboard.on_hub import is_on_hub
from pdebench_fm.leaderboard.pull_request import is_row_file
from pdebench_fm.leaderboard.records import VERIFIED
from pdebench_fm.results.paths import ROWS
from pdebench_fm.shipped import shipped

_OWN = Path("leaderboard")
_RECORD = re.compile(rf"{VERIFIED}/(?P<below>.+\.json)")


@contextmanager
def leaderboard_at(source: str | None, on_wait: Callable[[str], None] = lambda _: None) -> Iterator[Path]:
    """Yield the folder of a leaderboard; one on the Hub, `ORG/NAME`, is fetched for the time of this context.

    Args:
        source: a folder, or a repository; None for the folder `leaderboard` here, or for the rows that come with the
            package where there is none.
        on_wait: told why and how long the Hub is waited for.

    Raises:
        UsageError: if the Hub has none of that name.
        PdefmError: if the Hub keeps failing.
    """
    if source is None:
        yield _OWN if _OWN.exists() else shipped(_OWN.name)
        return
    if not is_on_hub(source):
        yield Path(source)
        return
    with tempfile.TemporaryDirectory() as folder:
        yield fetch(source, Path(folder), on_wait=on_wait)


def fetch(
    name: str,
    to: Path,
    *,
    without_samples: bool = False,
    token: str | bool | None = None,
    endpoint: str | None = None,
    on_wait: Callable[[str], None] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Path:
    """Download the rows and records of a leaderboard's main branch; other files of it are left out.

    Args:
        name: the leaderboard's dataset repository.
        to: an empty folder.
        without_samples: leave out the per-sample scores, which are most of it.
        token: of the Hub; False for none.
        endpoint: the Hub's address.
        on_wait: told why and how long the Hub is waited for.
        sleep: waits, in seconds, between attempts.

    Raises:
        UsageError: if there is none.
        PdefmError: if the Hub keeps failing.
    """
    repository = Repository(hub_client(endpoint, token), name, "dataset", on_wait, sleep)
    main = repository.snapshot()
    if main is None:
        raise UsageError(f"the Hub has no dataset {name}, or your token may not see it: give ORG/NAME")
    paths = [path for path in main.files if _is_wanted(path, without_samples=without_samples)]
    (to / ROWS).mkdir(parents=True, exist_ok=True)
    if not paths:
        return to
    patterns = [f"{ROWS}/*.json" if without_samples else f"{ROWS}/*", f"{VERIFIED}/*.json"]
    with tempfile.TemporaryDirectory() as cache:
        found = repository.download(patterns, main.commit, cache_dir=cache)
        for path in paths:
            target = to.joinpath(*PurePosixPath(path).parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(found / path, target)
    return to


def _is_wanted(path: str, *, without_samples: bool) -> bool:
    if record := _RECORD.fullmatch(path):
        return is_row_file(f"{ROWS}/{record['below']}")
    return is_row_file(path) and (path.endswith(".json") or not without_samples)
