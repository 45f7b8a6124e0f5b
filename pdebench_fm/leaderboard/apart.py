"""One pull request verified in a process of its own, which has no token, little memory and little time.

`python -m pdebench_fm.leaderboard.apart` reads an order from standard input and writes a report to the file that it
names. Whatever happens to it, there is a report: one that could not be made says so.
"""

import os
import signal
import site
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from huggingface_hub import constants

import pdebench_fm
from pdebench_fm.contracts import Contract
from pdebench_fm.errors import PdefmError
from pdebench_fm.hub.failures import HubError
from pdebench_fm.leaderboard.checks import Claim, claims_of
from pdebench_fm.leaderboard.records import read_record
from pdebench_fm.leaderboard.reports import Asked, CheckOutcome, Report, ReportedRow, line, validated
from pdebench_fm.leaderboard.verification import Depth, RowReport, verify_request
from pdebench_fm.limits import REPORT_BYTES, read_limited
from pdebench_fm.memory import is_out_of_memory
from pdebench_fm.processes import end_in_words, end_with_parent, limit_memory
from pdebench_fm.results.paths import ROWS
from pdebench_fm.results.result import read_result
from pdebench_fm.version import __version__

_TRY_AGAIN = 75  # the exit code for the Hub's trouble, which says nothing of the request (EX_TEMPFAIL of <sysexits.h>)
_SAID = 500  # characters of what a process wrote last

_KEPT = frozenset(
    {
        *("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "SYSTEMROOT", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"),
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
        *("HF_HUB_DISABLE_XET", "HF_HUB_DISABLE_TELEMETRY", "HF_HUB_DOWNLOAD_TIMEOUT", "HF_HUB_ETAG_TIMEOUT"),
        *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "CUDA_VISIBLE_DEVICES"),
    }
)
"""Variables that the process is given if they are set: those that it needs, as nobody knows all that hold secrets."""


class TryAgainError(PdefmError):
    """The Hub kept failing: nothing is known of the request."""


@dataclass(frozen=True)
class Bounds:
    """What the verification of one request may take.

    Attributes:
        seconds: by the clock.
        memory: bytes of the process, not counting libraries; held to on Linux alone.
    """

    seconds: float = 3600.0
    memory: int = 16 * 2**30


class Order(Contract):
    """What a process is to verify.

    `main` is a folder with the rows of the leaderboard, `claims` are those of other requests that have passed.
    """

    leaderboard: str
    request: int
    commit: str
    asked: Asked
    private_seed: int | None
    main: str
    claims: tuple[Claim, ...]
    endpoint: str | None
    memory: int
    report: str


def verified_apart(order: Order, bounds: Bounds) -> Report:
    """Return the report on a pull request, which a process of its own makes.

    Raises:
        TryAgainError: if the Hub keeps failing.
        PdefmError: if no process can be started.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        place = Path(scratch, "report.json")
        order = order.model_copy(update={"report": str(place), "memory": bounds.memory})
        exit_code, said = _run(order.model_dump_json(), Path(scratch), bounds.seconds, order.endpoint)
        last = said.strip().rpartition("\n")[2]
        if exit_code == _TRY_AGAIN:
            raise TryAgainError(last or "the Hub keeps failing")
        if exit_code is None:
            return not_verified(order, f"it took longer than {bounds.seconds:g} s")
        if exit_code != 0 or not place.is_file():
            how = _in_words(exit_code)
            return not_verified(order, f"its process ended with {how}" + (f": {last}" if last else ""))
        try:
            report = validated(Report, read_limited(place, REPORT_BYTES), "what its process wrote")
        except PdefmError as error:
            return not_verified(order, str(error))
        if (report.leaderboard, report.request, report.commit) != (order.leaderboard, order.request, order.commit):
            return not_verified(order, "its process answered for something else")
        return report


def not_verified(order: Order, why: str) -> Report:
    """Return the report on a request of which nothing is known, whatever the reason."""
    return _report(order, failure=line(why))


def scrubbed(environment: Mapping[str, str], home: Path, endpoint: str | None) -> dict[str, str]:
    """Return the variables of a process that finds no token: none of the environment's, and an empty home.

    Args:
        environment: of this process.
        home: an empty folder.
        endpoint: the Hub's address, if not the usual one.
    """
    python_path = [str(Path(pdebench_fm.__file__).parents[1]), environment.get("PYTHONPATH", "")]
    folders = {name: home / name for name in ("home", "huggingface", "tmp", "cache")}
    for folder in folders.values():
        folder.mkdir()
    return {name: value for name, value in environment.items() if name in _KEPT} | {
        "HF_ENDPOINT": endpoint or constants.ENDPOINT,
        "HF_HOME": str(folders["huggingface"]),
        "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        **dict.fromkeys(("HOME", "USERPROFILE"), str(folders["home"])),
        **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folders["tmp"])),
        "PDEFM_CACHE": str(folders["cache"]),  # what was computed elsewhere is not taken for verified
        "PYTHONPATH": os.pathsep.join(str(Path(each).absolute()) for each in python_path if each),
        "PYTHONUSERBASE": site.getuserbase(),
    }


def _run(order: str, scratch: Path, seconds: float, endpoint: str | None) -> tuple[int | None, str]:
    """Return the exit code of a process, None if it took too long, and what it said last."""
    environment = scrubbed(os.environ, scratch, endpoint)
    told = scratch / "told.txt"
    with told.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "pdebench_fm.leaderboard.apart"],
            env=environment,
            cwd=scratch,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            process.communicate(order.encode(), timeout=seconds)
            exit_code: int | None = process.returncode
        except subprocess.TimeoutExpired:
            exit_code = None
        finally:
            _end(process)
    with told.open("rb") as output:
        output.seek(max(0, told.stat().st_size - _SAID))
        return exit_code, output.read().decode(errors="replace")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and all that it has started."""
    with suppress(ProcessLookupError, PermissionError):
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _in_words(exit_code: int) -> str:
    end = end_in_words(exit_code)
    return f"{end} (was there enough memory?)" if end == "SIGKILL" else end


def answer(order: Order) -> Report:
    """Verify what is ordered; what such a process does.

    Raises:
        TryAgainError: if the Hub keeps failing.
    """
    depth = Depth(
        order.asked.recompute,
        order.private_seed,
        None if order.asked.shots is None else frozenset(order.asked.shots),
    )
    try:
        found = verify_request(
            order.leaderboard,
            order.request,
            depth,
            commit=order.commit,
            others=_known_to(order),
            token=False,
            endpoint=order.endpoint,
        )
    except Exception as error:  # a mistake of ours is no verdict on the request
        if is_out_of_memory(error):
            return not_verified(order, f"it takes more memory than it may have, {order.memory / 2**30:.3g} GiB")
        if isinstance(error, HubError) and error.may_pass:
            raise TryAgainError(str(error)) from error
        if isinstance(error, PdefmError):
            return _report(order, refusal=line(str(error)))
        return not_verified(order, f"{type(error).__name__}: {error}")
    assert found.request is not None  # noqa: S101 (it was one)
    return _report(order, files=found.request.files, rows=tuple(map(_row, found.rows)))


def _known_to(order: Order) -> Callable[[Collection[str]], Iterable[Claim]]:
    """Return whose scores of some tasks are known: of rows that are on the leaderboard, and in other requests."""

    def known(tasks: Collection[str]) -> Iterator[Claim]:
        for task in sorted(tasks):
            for path in sorted(Path(order.main, ROWS).glob(f"*/*/{task.replace('/', '--')}-*.json")):
                place = path.relative_to(order.main)
                with suppress(PdefmError):  # a row that cannot be read has no scores that anybody could copy
                    yield from claims_of(place.as_posix(), read_result(path), read_record(Path(order.main), place))
        yield from order.claims

    return known


def _row(row: RowReport) -> ReportedRow:
    return ReportedRow(
        row=row.row,
        findings=tuple(
            CheckOutcome(check=each.check, passed=each.passed, detail=line(each.detail)) for each in row.findings
        ),
        note=line(row.note),
        badges=tuple(map(line, row.badges)),
        record=row.record,
        claims=row.claims,
    )


def _report(
    order: Order,
    *,
    files: Mapping[str, str] | None = None,
    rows: tuple[ReportedRow, ...] = (),
    refusal: str = "",
    failure: str = "",
) -> Report:
    return Report(
        leaderboard=order.leaderboard,
        request=order.request,
        commit=order.commit,
        asked=order.asked,
        files=dict(files or {}),
        rows=rows,
        refusal=refusal,
        failure=failure,
        package_version=__version__,
        date=datetime.now(UTC),
    )


def serve() -> int:
    """Do what is ordered on standard input, and return the exit code."""
    end_with_parent()
    order = validated(Order, sys.stdin.buffer.read(), "the order")
    limit_memory(order.memory)
    try:
        report = answer(order)
    except TryAgainError as error:
        print(error, file=sys.stderr)
        return _TRY_AGAIN
    Path(order.report).write_text(report.model_dump_json(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(serve())
