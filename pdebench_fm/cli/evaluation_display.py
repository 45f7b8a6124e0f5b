"""How an evaluation looks on the terminal: one live line while it runs, and a table at its end."""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.table import Table
from rich.text import Text

from pdebench_fm.cli.console import aside, duration, progress_bar, say, short, with_spread

if TYPE_CHECKING:
    from pdebench_fm.evaluation.progress import SuiteProgress
    from pdebench_fm.protocol.tracks import Start
    from pdebench_fm.results.result import Result, Run

_WORTH_SAYING = 20.0  # seconds that an evaluation takes: a shorter one is over before it is read
STARTS: "tuple[Start, ...]" = ("pretrained", "scratch")
"""In the order of columns."""


class EvaluationDisplay:
    """Cells done, the current one with its loss, and the time left."""

    def __init__(self) -> None:
        """Prepare the display; it appears with what there is to show first."""
        self._progress = progress_bar(time_left=False)
        self._bar = self._progress.add_task("evaluating", total=None, note="", seconds_left=None)

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave it as it is."""
        self._progress.stop()

    def note(self, text: str) -> None:
        """Print a line above it."""
        say(f"note: {text}", to=aside)

    def show(self, state: "SuiteProgress") -> None:
        """Update it."""
        if state.estimate is not None:
            self._tell(state.estimate, state.cells - state.done)
            return
        self._progress.start()
        parts = []
        if state.steps and state.loss is not None:  # first, as what comes last is cut on a narrow terminal
            parts.append(f"step {state.step}/{state.steps}, loss {short(state.loss)}")
        if state.cell is not None:
            parts.append(str(state.cell))
        self._progress.update(
            self._bar,
            completed=state.done,
            total=state.cells,
            seconds_left=state.seconds_left,
            note="; ".join(parts),
        )

    def _tell(self, seconds: float, runs: int) -> None:
        """Say how long an evaluation will take that takes long."""
        if seconds >= _WORTH_SAYING:
            say(
                f"about {duration(seconds)} for {runs} run{'s' if runs > 1 else ''}, by the pace of the first rows or "
                "steps: a rough guess, as other models may be slower and the rows of other tasks are not made yet",
                to=aside,
            )


def single_table(result: "Result") -> Table:
    """Return one result as a table: pretrained beside scratch, one row a number of shots.

    There is no column for a start that was not asked for or cannot be.
    """
    from pdebench_fm.results.remarks import start_in_words

    runs = {(run.start, run.shots): run for run in result.runs}
    failed = {(failure.start, failure.shots) for failure in result.failures}
    title = f"{result.model.model_id} on {result.task} ({result.track}): relative ℓ² error{_of_method(result)}"
    table = _table(title, _caption([result]))
    starts = [start for start in STARTS if any(start == other for other, _ in _settings(result))]
    both = len(starts) > 1
    names = [start_in_words(result.model, start) for start in starts]
    for column in ("shots", *names, *(["against scratch"] if both else [])):
        table.add_column(column, justify="right", overflow="fold")  # a number is broken rather than cut
    for shots in sorted({shots for _, shots in _settings(result)}):
        cells = [_cell(result, runs.get((start, shots)), (start, shots) in failed) for start in starts]
        table.add_row(str(shots), *cells, *([_against_scratch(runs, shots)] if both else []))
    return table


def _against_scratch(runs: "Mapping[tuple[Start, int], Run]", shots: int) -> str:
    """Return how many times the error of training from scratch the pretrained model has."""
    pretrained, scratch = runs.get(("pretrained", shots)), runs.get(("scratch", shots))
    if pretrained is None or scratch is None or not scratch.summary.mean:
        return ""
    return f"{short(pretrained.summary.mean / scratch.summary.mean)}×"


def suite_table(results: Sequence["Result"]) -> Table:
    """Return several results as a table: a row for each task and model, a column for each start and number of shots."""
    first = results[0]
    asked = {setting for result in results for setting in _settings(result)}
    settings = sorted(asked, key=lambda setting: (setting[1], setting[0]))
    title = f"relative ℓ² error ({first.track}){_of_method(first)}"
    table = _table(title, _caption(results))
    table.add_column("task", no_wrap=True)
    table.add_column("model", overflow="fold")
    shows_knowledge = any(result.contamination.regime in ("seen", "overlapping") for result in results)
    if shows_knowledge:
        table.add_column("trained\non", justify="right", no_wrap=True)
    for start, number in settings:
        heading = f"{number} shots" if start == "pretrained" else f"{number}, scratch"
        table.add_column(heading, justify="right", overflow="fold")
    for i, result in enumerate(results):
        runs = {(run.start, run.shots): run for run in result.runs}
        failed = {(failure.start, failure.shots) for failure in result.failures}
        cells = [_cell(result, runs.get(setting), setting in failed) for setting in settings]
        last = i + 1 == len(results) or results[i + 1].task != result.task
        several = len({other.model.model_id for other in results}) > 1
        names = [result.task, result.model.model_id, *([_knowledge(result)] if shows_knowledge else [])]
        table.add_row(*names, *cells, end_section=last and several)
    _add_overall(table, results, settings, shows_knowledge=shows_knowledge)
    return table


def overall_errors(results: Sequence["Result"]) -> "list[tuple[str, dict[tuple[Start, int], float]]]":
    """Return each model's geometric mean over the twelve tasks, by start and shots, where all twelve are there."""
    from pdebench_fm.results.overall import overall_error

    models: dict[tuple[object, ...], list[Result]] = {}
    for result in results:
        model = result.model
        models.setdefault((model.model_id, model.revision, model.weights_sha256), []).append(result)
    found = []
    for own in models.values():
        errors = {
            (start, shots): error
            for start, shots in sorted({setting for result in own for setting in _settings(result)})
            if (error := overall_error(own, start, shots)) is not None
        }
        found += [(own[0].model.model_id, errors)] if errors else []
    return found


def _add_overall(
    table: Table, results: Sequence["Result"], settings: "Sequence[tuple[Start, int]]", *, shows_knowledge: bool
) -> None:
    """Add a line for each model that has been scored on all twelve tasks."""
    overall = overall_errors(results)
    if not overall:
        return
    table.add_section()
    for name, errors in overall:
        cells = [short(errors[setting]) if setting in errors else "—" for setting in settings]
        table.add_row("overall", name, *([""] if shows_knowledge else []), *cells, style="bold")
    lines = [str(table.caption)] if table.caption else []
    table.caption = "\n".join([*lines, "overall: the geometric mean of the errors on the twelve tasks"])


def _table(title: str, caption: str) -> Table:
    """Return an empty table, no narrower than its title, which would be broken otherwise."""
    return Table(title=title, title_justify="left", caption=caption, caption_justify="left", min_width=len(title))


def _settings(result: "Result") -> "set[tuple[Start, int]]":
    """Return each start and number of shots of a result, failed ones among them."""
    scored = {(run.start, run.shots) for run in result.runs}
    return scored | {(failure.start, failure.shots) for failure in result.failures}


def _cell(result: "Result", run: "Run | None", failed: bool) -> str | Text:
    """Return a score with its interval; that some or all of its seeds failed comes first."""
    from pdebench_fm.results.remarks import is_of_one_seed

    if run is None:
        return Text("failed", style="red") if failed else "—"
    summary = run.summary
    mark = "*" if is_of_one_seed(run) else ""
    low, high = summary.interval_low, summary.interval_high
    mean, lower, upper = with_spread(summary.mean, low, high, half_width=(high - low) / 2.0)
    score = f"{mean}{mark} ({lower}–{upper})"
    missing = len(result.failed_seeds(run))
    if missing:
        return Text(f"{score} ({missing} failed)", style="red")
    return Text(score, style="dim") if summary.mean >= 1.0 else score


def _knowledge(result: "Result") -> str:
    """Return how much of a regime a model was trained on: "all", "47 %", "" for nothing, "?" if that is not known."""
    found = result.contamination
    share = "some" if found.trained_share is None else f"{100 * found.trained_share:.0f} %"
    return {"seen": "all", "overlapping": share, "unseen": "", "unknown": "?"}[found.regime]


def _of_method(result: "Result") -> str:
    return "" if result.division == "closed" else f", method “{result.method}”, {result.division} division"


def _caption(results: Sequence["Result"]) -> str:
    """Return what the numbers in brackets are, and which results are not on the standard rows of their track."""
    from pdebench_fm.results.remarks import is_of_one_seed, standard_rows_line

    of_seeds = any(len(run.seeds) > 1 for result in results for run in result.runs)
    lines = [f"in brackets: 95 % intervals, for new test samples{' and new seeds' if of_seeds else ''}"]
    if any(is_of_one_seed(run) for result in results for run in result.runs):
        lines.append("*: one seed, so its interval is for new test samples alone")
    if len(results) == 1 and {run.start for run in results[0].runs} == set(STARTS):
        lines.append(
            "against scratch: the error as a multiple of that of training from scratch on the same samples; "
            "below 1×, pretraining helps"
        )
    if any(run.summary.mean >= 1.0 for result in results for run in result.runs):
        lines.append("an error of 1 is that of predicting zero: scores of 1 or more (dim) are no better than that")
    remarks: dict[str, list[str]] = {}
    for result in results:
        if remark := standard_rows_line(result):
            remarks.setdefault(remark, []).append(result.task)
    lines += _of_training(results)
    lines += [f"{remark}{_where(tasks, results)}" for remark, tasks in remarks.items()]
    return "\n".join(lines)


def _of_training(results: Sequence["Result"]) -> list[str]:
    """Return what has to be said of the models' training."""
    from pdebench_fm.results.remarks import looked_at_remark, regime_remark, test_rows_remark

    lines = []
    if len(results) == 1 and results[0].contamination.regime in ("seen", "overlapping"):
        lines.append(regime_remark(results[0]))
    elif any(result.contamination.regime in ("seen", "overlapping") for result in results):
        lines.append("trained on: the test rows whose parameter lies in a range that the model was trained on")
    chosen_on = [r for r in results if (r.contamination.looked_at_share or 0) > (r.contamination.trained_share or 0)]
    if len(results) == 1:
        lines += map(looked_at_remark, chosen_on)
    elif chosen_on:
        shares = dict.fromkeys(f"{r.contamination.looked_at_share:.0%} of {r.task}" for r in chosen_on)
        lines.append(f"test rows in a range that settings were chosen on: {', '.join(shares)}")
    unknown = list(dict.fromkeys(r.model.model_id for r in results if r.contamination.regime == "unknown"))
    if unknown:
        lines.append(f"what it was trained on is not stated (--manifest): {', '.join(unknown)}")
    lines += [f"{r.model.model_id} on {r.task}: {remark}" for r in results if (remark := test_rows_remark(r))]
    return lines


def _where(tasks: Sequence[str], results: Sequence["Result"]) -> str:
    """Return the tasks that a remark is on, nothing if it is on all."""
    named = list(dict.fromkeys(tasks))
    return "" if len(named) == len({result.task for result in results}) else f" ({', '.join(named)})"
