"""Where a build's shards are made: in this process, in a pool of processes, or on a Dask cluster."""

from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context

from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.processes import end_with_parent, require_main_guard

_CONNECTION_SECONDS = 20
_RETRIES = 3  # of a shard whose Dask worker was lost


@contextmanager
def open_executor(workers: int = 1, scheduler: str | None = None) -> Iterator[Executor | None]:
    """Yield an executor for `build`; None stands for this process.

    Args:
        workers: processes of this machine.
        scheduler: address of a running Dask scheduler, such as "tcp://host:8786", instead. Its workers need this
            package and must see the output folder under the same path.

    Raises:
        UsageError: for a number of workers below 1, both kinds at once, or a missing `distributed`.
        PdefmError: if no scheduler answers.
    """
    if workers < 1:
        raise UsageError(f"a build needs at least one worker, not {workers}")
    if scheduler is not None and workers > 1:
        raise UsageError("choose either --workers or --scheduler: a cluster has its own number of workers")
    if scheduler is not None:
        yield from _dask(scheduler)
    elif workers == 1:
        yield None
    else:
        yield from _processes(workers)


def _processes(workers: int) -> Iterator[Executor]:
    """Yield a pool of processes; not forked ones, as the parent's threads (Arrow's, BLAS's) do not survive a fork."""
    require_main_guard()
    try:
        pool = ProcessPoolExecutor(workers, get_context("spawn"), end_with_parent)
    except OSError as error:  # such as no room for what they share
        raise PdefmError(
            f"cannot start {workers} worker processes ({error.strerror or error}): try --workers 1"
        ) from error
    try:
        with pool:
            yield pool
    except BrokenExecutor as error:
        raise PdefmError("a worker process was killed; run the same command again to go on") from error


def _dask(scheduler: str) -> Iterator[Executor]:
    """Yield the executor of a Dask cluster."""
    try:
        from distributed import Client, KilledWorker
    except ImportError as error:
        raise UsageError("--scheduler needs Dask: pip install 'pdebench-fm[distributed]'") from error
    try:
        client = Client(scheduler, timeout=_CONNECTION_SECONDS)
    except (OSError, ValueError) as error:
        raise PdefmError(f"no Dask scheduler answers at {scheduler}: {error}") from error
    try:
        with client:
            yield client.get_executor(pure=False, retries=_RETRIES)
    except KilledWorker as error:
        raise PdefmError("the cluster keeps losing its workers; run the same command again to go on") from error
