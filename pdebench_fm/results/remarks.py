"""What has to be said of a result wherever its scores are shown, in words."""

from pdebench_fm.data.catalogue import SPLIT_SIZES
from pdebench_fm.protocol.tracks import LITE_TEST_ROWS, Track, find_track
from pdebench_fm.results.result import Result, Run

STANDARD_ROWS: dict[Track, int] = {"full": SPLIT_SIZES["test"], "lite": LITE_TEST_ROWS}


def rows_remark(result: Result) -> str:
    """Return why a result can't be compared with those on its track's standard test rows; "" if it can."""
    rows, resolution = STANDARD_ROWS[result.track], find_track(result.track).resolution
    parts = []
    if result.test_rows != rows:
        parts.append(f"{result.test_rows} test rows instead of {rows}")
    if result.resolution != resolution:
        parts.append(f"resolution {result.resolution} instead of {resolution}")
    return ", ".join(parts)


def is_of_one_seed(run: Run) -> bool:
    """Tell whether the interval of a run holds for its one seed alone, though another seed would give another model."""
    return bool(run.shots) and run.summary.covers == "samples"
