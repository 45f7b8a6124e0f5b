"""A real Dask cluster on this machine, as a user's would be: processes of its own, found by an address."""

from contextlib import contextmanager

from distributed import LocalCluster


@contextmanager
def local_cluster(folder, workers=2, threads=1):
    """Run a cluster that keeps its files in this folder."""
    with LocalCluster(
        n_workers=workers,
        threads_per_worker=threads,
        processes=True,
        dashboard_address=None,
        host="127.0.0.1",
        local_directory=str(folder),
    ) as running:
        yield running
