"""What has to be said of a result wherever its scores are shown, in words."""

from pdebench_fm.data.catalogue import TASKS
from pdebench_fm.protocol.standard_rows import STANDARD_TEST_ROWS, is_standard
from pdebench_fm.protocol.tracks import Start, find_track
from pdebench_fm.results.result import ModelRecord, Result, Run


def rows_remark(result: Result) -> str:
    """Return why a result can't be compared with those on its track's standard test rows; "" if it can."""
    if result.track not in STANDARD_TEST_ROWS:
        return "the track is not ranked"
    rows, resolution = STANDARD_TEST_ROWS[result.track], find_track(result.track).resolution
    parts = []
    if result.test_rows != rows:
        parts.append(f"{result.test_rows} test rows instead of {rows}")
    if result.resolution != resolution:
        parts.append(f"resolution {result.resolution} instead of {resolution}")
    data = result.dataset
    if parts or result.task not in TASKS:
        return ", ".join(parts)
    if is_standard(result.task, result.track, data.version, result.test_rows, data.recipe_digest):
        return ""
    return f"other test rows than the standard ones of data version {data.version} (recipe digest)"


def standard_rows_line(result: Result) -> str:
    """Return the same as a line below a table, with the track in it."""
    remark = rows_remark(result)
    if not remark or result.track not in STANDARD_TEST_ROWS:
        return f"not ranked: {result.track} is no track of the leaderboard" if remark else ""
    return f"not the {result.track} track's standard rows: {remark}"


def test_rows_remark(result: Result) -> str:
    """Return that a model has seen rows that it is scored on, which makes its score worthless; "" if it has not."""
    seen = result.contamination.test_rows_seen
    return f"{seen:,} of its {result.test_rows:,} test rows were trained on or looked at" if seen else ""


def regime_remark(result: Result) -> str:
    """Return in words what a model knew of the regime before any adaptation."""
    found = result.contamination
    match found.regime:
        case "seen":
            return "regime seen in training"
        case "overlapping":
            part = "some" if found.trained_share is None else f"{found.trained_share:.0%}"
            return f"{part} of the test rows in the range trained on"
        case "unseen":
            return "regime not seen in training"
        case "unknown":
            return "training not stated"


def looked_at_remark(result: Result) -> str:
    """Return how many of the test rows lie where the model's settings were chosen; "" if none do, or nobody knows."""
    share = result.contamination.looked_at_share
    return f"{share:.0%} of the test rows in a range that settings were chosen on" if share else ""


def start_in_words(model: ModelRecord, start: Start) -> str:
    """Return how a model started, in words; one that has no parameters was never trained, whatever a file calls it."""
    if start == "scratch":
        return "from scratch"
    return "pretrained" if model.parameters else "as it is"


def is_of_one_seed(run: Run) -> bool:
    """Tell whether the interval of a run holds for its one seed alone, though another seed would give another model."""
    return bool(run.shots) and run.summary.covers == "samples"
