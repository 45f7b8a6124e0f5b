"""The scores that line pictures are made of: one for each run whose seeds all gave one, and comparable by task."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from pdebench_fm.data.catalogue import Task, find_task
from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.physics import SYSTEMS
from pdebench_fm.plots.selection import Found, Selection, find_results
from pdebench_fm.protocol.standard_rows import is_standard
from pdebench_fm.protocol.tracks import Start, find_track
from pdebench_fm.results.evaluation import Evaluation, read_evaluation
from pdebench_fm.results.merging import conflicts, identity, may_merge
from pdebench_fm.results.remarks import test_rows_remark
from pdebench_fm.results.result import ModelRecord, Result, Run, Summary

_SHOWN = 3  # results that a note names


@dataclass(frozen=True)
class Score:
    """One run of a result.

    Attributes:
        name: what legends call the model; two models, or methods, never have the same.
        model: which one it is.
        method: how it was adapted, as the name says it; "" for the protocol's own recipe.
        task: what it was scored on.
        start, shots: how it was adapted.
        summary: the relative ℓ² error over the seeds.
        seeds: how many there are.
        date: of the result.
    """

    name: str
    model: ModelRecord
    method: str
    task: Task
    start: Start
    shots: int
    summary: Summary
    seeds: int
    date: datetime


@dataclass(frozen=True)
class Scores:
    """All scores of a picture.

    Attributes:
        entries: by task in the catalogue's order, then model (smaller ones first), start and shots.
        about: track, rows and protocol, and which scores are no fair ones, in a line for the caption.
        notes: what was left out and why, a line each.
    """

    entries: tuple[Score, ...]
    about: str
    notes: tuple[str, ...]

    @property
    def tasks(self) -> list[Task]:
        """The tasks, in order."""
        return list(dict.fromkeys(score.task for score in self.entries))

    @property
    def names(self) -> list[str]:
        """The models' names, smaller models first."""
        ordered = sorted(self.entries, key=_model_order)
        return list(dict.fromkeys(score.name for score in ordered))


def read_scores(paths: Iterable[Path], selection: Selection) -> Scores:
    """Read the scores of result files.

    Results of one model that can be one are merged. Left out, with a note each: files that are not valid results of
    known tasks; runs with failed seeds, as the rest would be no fair sample; results of an older protocol, or scored on
    other test rows than most results of their task; of a model's results that contradict each other, all but the
    newest; errors of exactly 0, which a logarithmic axis does not have.

    Raises:
        UsageError: nothing is left; and as `find_results` does.
        PdefmError: no file is a valid result.
    """
    notes: list[str] = []
    found = _one_each(_comparable(find_results(paths, selection, notes), notes), notes)
    names = _names(found)
    entries = [
        Score(
            name=names[_identity(result)],
            model=result.model,
            method=_method_in_words(result, [each.result for each in found]),
            task=find_task(result.task),
            start=run.start,
            shots=run.shots,
            summary=run.summary,
            seeds=len(run.seeds),
            date=result.date,
        )
        for result in (each.result for each in found)
        for run in _sound_runs(result, selection, notes)
    ]
    if not entries:
        why = f"{len(notes)} left out, the first: {notes[0]}" if notes else _runs_there(found)
        raise UsageError(f"nothing to draw: {why}")
    notes += _missing(found, names, selection)
    return Scores(tuple(sorted(entries, key=_order)), _about([each.result for each in found]), tuple(notes))


def task_order(task: Task) -> tuple[int, int]:
    """Return the place of a task in pictures: by system, then from the easiest regime to the hardest."""
    return list(SYSTEMS).index(task.dataset.system_name), list(task.dataset.system.regimes).index(task.regime.name)


def _comparable(found: Sequence[Found], notes: list[str]) -> list[Found]:
    """Return the results of the newest protocol that were scored on the same rows of their task.

    Those are the standard rows if any result has them, and else those of most results.
    """
    protocol = max(each.result.protocol_version for each in found)
    kept = []
    by_task: dict[str, list[Found]] = defaultdict(list)
    for each in found:
        if each.result.protocol_version == protocol:
            by_task[each.result.task].append(each)
        else:
            notes.append(
                f"{_subject(each.result)}: left out, of protocol v{each.result.protocol_version}, not v{protocol}"
            )
    for of_task in by_task.values():
        newest_first = sorted(of_task, key=lambda each: each.result.date, reverse=True)
        most = Counter(_rows(each.result) for each in newest_first).most_common(1)[0][0]
        usual = next((_rows(each.result) for each in newest_first if _has_standard_rows(each.result)), most)
        for each in of_task:
            if _rows(each.result) == usual:
                kept.append(each)
            else:
                notes.append(f"{_subject(each.result)}: left out, scored on other test rows than other results")
    return kept


def _one_each(found: Sequence[Found], notes: list[str]) -> list[Found]:
    """Return one result for each model, method and task: the union of those that can be one, else the newest."""
    groups: dict[tuple[object, ...], list[Found]] = defaultdict(list)
    for each in sorted(found, key=lambda each: each.result.date, reverse=True):
        groups[*_identity(each.result), each.result.task].append(each)
    return [_merged(newest, older, notes) for newest, *older in groups.values()]


def _merged(newest: Found, older: Sequence[Found], notes: list[str]) -> Found:
    """Return the union of results of a model on a task; a note names each that cannot be one with the newest."""
    union: Evaluation | None = None
    for each in older:
        kept = union.result if union else newest.result
        if each.result == newest.result:
            continue
        # runs of a CPU and of a GPU, which is not held to deterministic algorithms, may be in one picture
        alike = {"deterministic": kept.deterministic}
        reason = _contradiction(kept, each.result.model_copy(update=alike))
        if not reason:
            try:
                other = read_evaluation(each.path)
                other = replace(other, result=other.result.model_copy(update=alike))
                union = (union or read_evaluation(newest.path)).merged_with(other)
            except PdefmError as error:
                reason = f"they cannot be merged: {error}"
        if reason:
            notes.append(f"{_subject(each.result)}: {each.path} left out, {newest.path} is newer and {reason}")
    return Found(newest.path, union.result) if union else newest


def _contradiction(kept: Result, other: Result) -> str:
    """Return what keeps two results of a model on a task from being one; "" if nothing does."""
    if not may_merge(kept, other):
        theirs = identity(other)
        differing = [name for name, value in identity(kept).items() if value != theirs[name]]
        return f"differs in {' and '.join(differing) or 'scores'}"
    if against := conflicts(kept, other):
        cell = against[0]
        return f"has another score for {cell.start}, {cell.shots} shots, seed {cell.seed}"
    return ""


def _sound_runs(result: Result, selection: Selection, notes: list[str]) -> list[Run]:
    """Return the wanted runs all of whose seeds were scored."""
    failed: dict[tuple[Start, int], list[str]] = defaultdict(list)
    for failure in result.failures:
        failed[failure.start, failure.shots].append(failure.reason)
    for (start, shots), reasons in failed.items():
        if (not selection.shots or shots in selection.shots) and selection.start in (None, start):
            seeds = "1 seed" if len(reasons) == 1 else f"{len(reasons)} seeds"
            notes.append(f"{_subject(result)}, {start}, {shots} shots: left out, {seeds} failed ({reasons[0]})")
    kept = []
    for run in result.runs:
        if not selection.has(run) or (run.start, run.shots) in failed:
            continue
        if run.summary.mean > 0.0:
            kept.append(run)
        else:
            notes.append(f"{_subject(result)}, {run.start}, {run.shots} shots: left out, its error is 0")
    return kept


def _missing(found: Sequence[Found], names: Mapping[tuple[object, ...], str], selection: Selection) -> list[str]:
    """Return which of the numbers of shots that were asked for are not there, and where, a line each.

    Of a model that only predicts, shots above 0 are not missing: it cannot be adapted.
    """
    notes = []
    results = [each.result for each in found]
    for number in selection.shots:
        asked = [result for result in results if not number or result.model.parameters]
        lacking = [
            f"{names[_identity(result)]} on {result.task}"
            for result in asked
            if not any(run.shots == number and selection.start in (None, run.start) for run in result.runs)
        ]
        if asked and len(lacking) == len(asked):
            notes.append(f"{number} shots: no result has them")
        elif lacking:
            rest = len(lacking) - _SHOWN
            shown = ", ".join(lacking[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
            notes.append(f"{number} shots: missing for {shown}")
    return notes


def _has_standard_rows(result: Result) -> bool:
    data = result.dataset
    return is_standard(result.task, result.track, data.version, result.test_rows, data.recipe_digest)


def _rows(result: Result) -> tuple[str, int]:
    return result.dataset.recipe_digest, result.resolution


def _identity(result: Result) -> tuple[object, ...]:
    model = result.model
    return model.model_id, model.revision, model.weights_sha256, model.fingerprint, *result.adaptation


def _names(found: Sequence[Found]) -> dict[tuple[object, ...], str]:
    """Return what each model with its method is called, no longer than is needed to tell them apart."""
    identities = {_identity(each.result): each.result for each in found}
    names = {}
    for key, result in identities.items():
        model = result.model
        others = [r.model for r in identities.values() if r.model.model_id == model.model_id]
        name = model.model_id
        if len({other.revision for other in others}) > 1:
            name += f"@{(model.revision or 'local')[:12]}"
        if len({other.weights_sha256 for other in others if other.revision == model.revision}) > 1:
            name += f" ({(model.weights_sha256 or 'no weights')[:8]})"
        same = [o for o in others if (o.revision, o.weights_sha256) == (model.revision, model.weights_sha256)]
        if len({other.fingerprint for other in same}) > 1:
            name += f" [{(model.fingerprint or 'unknown')[:8]}]"
        names[key] = name + _method_in_words(result, identities.values())
    return names


def _method_in_words(result: Result, others: Iterable[Result]) -> str:
    """Return how a name says by which method a model was adapted: not at all, if by the protocol's own recipe."""
    if result.division == "closed":
        return ""
    versions = {other.method_fingerprint for other in others if other.method == result.method}
    return f", method {result.versioned_method if len(versions) > 1 else result.method}"


def _about(results: Sequence[Result]) -> str:
    track = find_track(results[0].track)
    counts = sorted({result.test_rows for result in results})
    rows = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    seen = [f"{_subject(result)} ({remark})" for result in results if (remark := test_rows_remark(result))]
    return (
        f"{track.name.capitalize()} track: {rows} test samples of each task at {track.resolution}×{track.resolution}, "
        f"protocol v{results[0].protocol_version}"
    ) + (f". No fair score: {', '.join(seen)}" if seen else "")


def _subject(result: Result) -> str:
    return f"{result.model.model_id} on {result.task}"


def _model_order(score: Score) -> tuple[object, ...]:
    return score.model.parameters or 0, score.name


def _order(score: Score) -> tuple[object, ...]:
    return *task_order(score.task), *_model_order(score), score.start, score.shots


def _runs_there(found: Iterable[Found]) -> str:
    """Return which runs there are, for somebody who asked for others."""
    there = sorted({(run.start, run.shots) for each in found for run in each.result.runs})
    known = ", ".join(f"{start} with {shots} shots" if shots else "zero-shot" for start, shots in there)
    return f"no run has that start and number of shots: there are {known}"
