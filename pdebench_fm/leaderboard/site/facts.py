"""What is told of a model and of a result when a row is opened: names and words, in the order in which to show them."""

from pdebench_fm.leaderboard.board import Row
from pdebench_fm.leaderboard.records import badge_of, private_of
from pdebench_fm.leaderboard.site.words import number
from pdebench_fm.leaderboard.store import Entry
from pdebench_fm.results.remarks import looked_at_remark, regime_remark, test_rows_remark
from pdebench_fm.results.result import Environment, Result
from pdebench_fm.text import visible

Facts = list[tuple[str, str]]


def _training(result: Result) -> str:
    """Return what the model knew of the task before any adaptation, in a line."""
    found = result.contamination
    words = "; ".join(filter(None, (regime_remark(result), looked_at_remark(result))))
    return f"{words}; {test_rows_remark(result) or 'no test row seen'}" if found.test_rows_seen is not None else words


def _environment(environment: Environment) -> str:
    """Return what cells were computed with, in a line."""
    threads = f", {environment.threads} threads" if environment.threads else ""
    libraries = ", ".join(f"{name} {version}" for name, version in environment.libraries.items())
    versions = f"package {environment.package_version}, Python {environment.python}, {libraries}"
    return f"{environment.device}{threads}, {versions}"


def model_facts(row: Row) -> Facts:
    """Return what identifies the model of a row."""
    model = row.result.model
    facts = {
        "Model": model.model_id,
        "Organisation": row.organisation,
        "Revision": model.revision,
        "Weights SHA-256": model.weights_sha256 or ("no file of weights" if model.tensors_sha256 else "no weights"),
        "Tensors SHA-256": model.tensors_sha256,
        "Code": model.code_url or ("not stated" if "/" in model.model_id else None),
        "Weights at": model.weights_at or ("not stated" if "/" in model.model_id else None),
        "Parameters": f"{model.parameters:,}" if model.parameters else None,
        "Family": model.family,
        "Size": model.size,
        "Method": row.result.method,
        "Method's fingerprint": row.result.method_fingerprint,
    }
    return [(name, visible(fact)) for name, fact in facts.items() if fact]


def _verification(entry: Entry) -> str:
    """Return what is known of each run by the record of verification, in a line."""
    lines = []
    for run in entry.result.runs:
        words = f"{run.start}, {run.shots} shots: {badge_of(entry.result, run, entry.record)}"
        private = private_of(entry.result, run, entry.record)
        if private is not None and private.agreement != "agrees":
            words += f" ({private.agreement}: {number(private.private_mean, 4)} on rows that nobody had seen)"
        lines.append(words)
    return "; ".join(lines)


def result_facts(entry: Entry) -> Facts:
    """Return where the scores of an entry come from."""
    result, dataset = entry.result, entry.result.dataset
    facts = {
        "Task": result.task,
        "Dataset version": dataset.version,
        "Test rows": f"{result.test_rows} at {result.resolution}×{result.resolution}",
        "Rows from": "the recipe" if dataset.origin == "recipe" else dataset.location or "stored rows",
        "Dataset revision": dataset.revision,
        "Recipe digest": dataset.recipe_digest,
        "Content digest": dataset.content_digest,
        "Pretraining": _training(result),
        "Protocol": f"v{result.protocol_version}, method {result.method}, {result.division} division",
        "Verification": _verification(entry),
        "Computed with": "; ".join(map(_environment, result.environments)),
        "Computing time": f"{result.seconds:.1f} s",
        "Date": f"{result.date:%Y-%m-%d %H:%M} UTC",
        "File": entry.path.as_posix(),
    }
    return [(name, visible(fact)) for name, fact in facts.items() if fact]
