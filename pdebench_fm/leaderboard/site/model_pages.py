"""A page for each model, with all of its revisions: what it is, what it scores, and what is known of that."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pdebench_fm.data.catalogue import TASKS
from pdebench_fm.data.training_manifest import Stream, TrainingManifest, in_words
from pdebench_fm.errors import PdefmError
from pdebench_fm.front_matter import read_card_text, without_metadata
from pdebench_fm.leaderboard.official import is_official
from pdebench_fm.leaderboard.records import BADGES, Badge, PrivateScore, Rerun, badge_of, private_of
from pdebench_fm.leaderboard.site.addresses import model_address, task_address
from pdebench_fm.leaderboard.site.markdown import as_html
from pdebench_fm.leaderboard.site.material import Material
from pdebench_fm.leaderboard.site.page import Page, page
from pdebench_fm.leaderboard.site.pictures import Pictures
from pdebench_fm.leaderboard.site.words import number
from pdebench_fm.leaderboard.store import Entry
from pdebench_fm.protocol.divisions import DIVISIONS
from pdebench_fm.protocol.tracks import Start
from pdebench_fm.results.remarks import is_of_one_seed, regime_remark, rows_remark, start_in_words, test_rows_remark
from pdebench_fm.results.result import ModelRecord, Result, Run

SHORT_BADGES = dict(zip(BADGES, ("self", "scores", "rerun", "private"), strict=True))
"""What a badge is called in a narrow cell, above which all are explained."""

_TASK_ORDER = {name: place for place, name in enumerate(TASKS)}
_MOST_STREAMS = 24
_MOST_FAILURES = 40


@dataclass(frozen=True)
class Score:
    """One run of one result, as its table shows it; `error` is None where seeds failed."""

    error: float | None
    low: float
    high: float
    digits: float | None
    badge: Badge
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class ScoreRow:
    """One task: the page of that, why its scores can't be compared with others, and they by column."""

    task: str
    address: str
    remark: str
    scores: tuple[Score | None, ...]


@dataclass(frozen=True)
class ScoreTable:
    """All scores of one version of a model on one track, by one way of adapting, from one start."""

    title: str
    shots: tuple[int, ...]
    rows: tuple[ScoreRow, ...]


@dataclass(frozen=True)
class Known:
    """What the model knew of a task before it was adapted, in words; `tracks` on which it is so."""

    task: str
    address: str
    tracks: str
    regime: str
    looked_at: str
    rows: str


@dataclass(frozen=True)
class Observation:
    """What verifiers saw of one run, in words."""

    task: str
    track: str
    run: str
    badge: Badge
    rerun: str
    private: str
    by: str


@dataclass(frozen=True)
class Version:
    """One revision of a model.

    Attributes:
        title: of its section.
        facts: what it is, as pairs of words.
        code: where its code is, an address of a form that results are held to.
        trained, looked_at: its training manifest in lines; None without one.
        tables: its scores.
        known: by task.
        observations: of verifiers.
        unseen: how many runs nobody but the submitter has run.
        failures: runs without a score.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    code: str | None
    trained: tuple[str, ...] | None
    looked_at: tuple[str, ...] | None
    tables: tuple[ScoreTable, ...]
    known: tuple[Known, ...]
    observations: tuple[Observation, ...]
    unseen: int
    failures: tuple[str, ...]


def model_pages(material: Material, pictures: Pictures | None = None) -> Iterator[Page]:
    """Return the page of each model that has results.

    Args:
        material: the rows.
        pictures: those of the site; None if it is built without.
    """
    by_model: dict[tuple[str, str], list[Entry]] = {}
    for entry in material.entries:
        by_model.setdefault((entry.organisation, entry.result.model.model_id), []).append(entry)
    for (organisation, model_id), entries in sorted(by_model.items()):
        yield page(
            model_address(organisation, model_id),
            "model.html.jinja",
            organisation=organisation,
            name=model_id.rpartition("/")[2],
            official=any(is_official(entry.result.model) for entry in entries),
            versions=_versions(entries),
            card=card_html(entries),
            pictures=[] if pictures is None else pictures.of_model.get((organisation, model_id), []),
            no_pictures="This site was built without pictures."
            if pictures is None
            else pictures.missing.get((organisation, model_id), ""),
            short_badges=SHORT_BADGES,
        )


def _versions(entries: Sequence[Entry]) -> list[Version]:
    """Return the revisions of a model, the one with the newest score first."""
    found: dict[tuple[str | None, ...], list[Entry]] = {}
    for entry in entries:
        model = entry.result.model
        training = None if model.training is None else model.training.digest
        key = (model.revision, model.weights_sha256, model.tensors_sha256, model.fingerprint, training)
        found.setdefault(key, []).append(entry)
    newest = sorted(found.values(), key=lambda held: max(entry.result.date for entry in held), reverse=True)
    return [_version(held) for held in newest]


def _version(entries: Sequence[Entry]) -> Version:
    model = entries[0].result.model
    ordered = sorted(entries, key=_place)
    return Version(
        title=f"Revision {model.revision}" if model.revision else "Revision not stated",
        facts=tuple(_facts(model, ordered)),
        code=next((entry.result.model.code_url for entry in ordered if entry.result.model.code_url), None),
        trained=_streams(model.training, "trained"),
        looked_at=_streams(model.training, "looked_at"),
        tables=tuple(_tables(ordered)),
        known=tuple(_known(ordered)),
        observations=tuple(found for entry in ordered for found in _observations(entry)),
        unseen=sum(
            badge_of(entry.result, run, entry.record) == BADGES[0] for entry in entries for run in entry.result.runs
        ),
        failures=tuple(_failures(ordered)),
    )


def _place(entry: Entry) -> tuple[object, ...]:
    result = entry.result
    version = tuple(map(int, result.dataset.version.split(".")))
    return result.track != "lite", _task_place(result.task), version, entry.path.as_posix()


def _task_place(task: str) -> int:
    return _TASK_ORDER.get(task, len(_TASK_ORDER))


def _facts(model: ModelRecord, entries: Sequence[Entry]) -> Iterator[tuple[str, str]]:
    where = next((entry.result.model.weights_at for entry in entries if entry.result.model.weights_at), None)
    facts = {
        "Revision": model.revision,
        "Family": model.family,
        "Size": model.size,
        "Parameters": f"{model.parameters:,}" if model.parameters else None,
        "Weights SHA-256": model.weights_sha256,
        "Tensors SHA-256": model.tensors_sha256,
        "Fingerprint": model.fingerprint,
        "Weights at": where,
        "Results": f"{len(entries)}, newest of {max(entry.result.date for entry in entries):%Y-%m-%d}",
    }
    yield from ((name, fact) for name, fact in facts.items() if fact)


def _streams(manifest: TrainingManifest | None, kind: str) -> tuple[str, ...] | None:
    """Return the rows of a manifest that were trained on or looked at, a line each; None without a manifest."""
    if manifest is None:
        return None
    streams: tuple[Stream, ...] = getattr(manifest, kind)
    lines = [in_words([stream]) for stream in streams[:_MOST_STREAMS]]
    more = len(streams) - len(lines)
    return (*lines, *([f"and {more:,} more"] if more else []))


def _tables(entries: Sequence[Entry]) -> Iterator[ScoreTable]:
    """Return the scores in tables: never two tracks, ways of adapting, starts or versions of the protocol in one."""
    groups: dict[tuple[int, int, str, str, str], list[Entry]] = {}
    for entry in entries:
        result = entry.result
        method, fingerprint = result.adaptation
        key = (-result.protocol_version, DIVISIONS.index(result.division), method, fingerprint or "", result.track)
        groups.setdefault(key, []).append(entry)
    for _, held in sorted(groups.items(), key=lambda group: (*group[0][:-1], group[0][-1] != "lite")):
        result = held[0].result
        starts: list[Start] = ["pretrained", "scratch"]
        for start in starts:
            shots = sorted({run.shots for entry in held for run in entry.result.runs if run.start == start})
            if not shots:
                continue
            words = [f"{result.track.capitalize()} track", start_in_words(result.model, start)]
            if result.division != "closed":
                words += [f"{result.division} division: {result.method}"]
            if result.method_fingerprint:
                words += [f"method’s fingerprint {result.method_fingerprint[:12]}"]
            words += [f"protocol v{result.protocol_version}"]
            yield ScoreTable(", ".join(words), tuple(shots), tuple(_rows(held, start, shots)))


def _rows(entries: Sequence[Entry], start: Start, shots: Sequence[int]) -> Iterator[ScoreRow]:
    """Return a row for each task, of all its results; more where several have a score by as many shots."""
    filled: dict[tuple[str, str], list[dict[int, Score]]] = {}
    for entry in entries:
        for run in entry.result.runs:
            if run.start == start:
                lines = filled.setdefault((entry.result.task, _remark(entry.result, start)), [])
                line = next((line for line in lines if run.shots not in line), None)
                if line is None:
                    lines.append(line := {})
                line[run.shots] = _score(entry, run)
    for (task, remark), lines in filled.items():
        for line in lines:
            yield ScoreRow(task, str(task_address(task)), remark, tuple(map(line.get, shots)))


def _remark(result: Result, start: Start) -> str:
    """Return why the scores can't be compared with others; "" where they can."""
    remarks = [rows_remark(result), "" if start == "scratch" else test_rows_remark(result), _data(result)]
    return "; ".join(filter(None, remarks))


def _data(result: Result) -> str:
    """Return the version of the data where it is none of the first major version."""
    return "" if result.dataset.version.startswith("1.") else f"data version {result.dataset.version}"


def _score(entry: Entry, run: Run) -> Score:
    result, summary = entry.result, run.summary
    remarks = ["from one seed: the interval is for new test samples alone"] if is_of_one_seed(run) else []
    failed = result.failed_seeds(run)
    if failed:
        remarks = [f"{len(failed)} of {len(failed) + len(run.seeds)} seeds failed, and the rest is no fair sample"]
    return Score(
        None if failed else summary.mean,
        summary.interval_low,
        summary.interval_high,
        summary.digits,
        badge_of(result, run, entry.record),
        tuple(remarks),
    )


def _known(entries: Sequence[Entry]) -> Iterator[Known]:
    """Return what was known of each task: a line, or one each where it differs between results."""
    tracks: dict[tuple[str, str, str, str], dict[str, None]] = {}
    for entry in entries:
        result, found = entry.result, entry.result.contamination
        looked_at = "not stated" if found.looked_at_share is None else f"{found.looked_at_share:.0%}"
        rows = "not known" if found.test_rows_seen is None else test_rows_remark(result) or "none"
        tracks.setdefault((result.task, regime_remark(result), looked_at, rows), {})[result.track] = None
    for facts, found_on in sorted(tracks.items(), key=lambda each: _task_place(each[0][0])):  # stable: lite before full
        task, *known = facts
        words = f"{' and '.join(found_on)} track{'s' if len(found_on) > 1 else ''}"
        yield Known(task, str(task_address(task)), words, *known)


def _observations(entry: Entry) -> Iterator[Observation]:
    """Return what verifiers saw of the runs of a result that they looked at."""
    result, record = entry.result, entry.record
    if record is None:
        return
    for run in result.runs:
        digests = {cell.seed: cell.samples_sha256 for cell in result.cells_of(run)}
        reruns = [
            rerun
            for rerun in record.reruns
            if (rerun.start, rerun.shots) == (run.start, run.shots) and digests.get(rerun.seed) == rerun.samples_sha256
        ]
        private = private_of(result, run, record)
        if not reruns and private is None:
            continue
        seen: list[Rerun | PrivateScore] = [*reruns, *([private] if private else [])]
        newest = max(seen, key=lambda each: each.date)
        yield Observation(
            result.task,
            result.track,
            f"{start_in_words(result.model, run.start)}, {run.shots} shots",
            badge_of(result, run, record),
            _reruns_in_words(reruns, run),
            "" if private is None else _private_in_words(private),
            f"pdebench_fm {newest.package_version}, {newest.date:%Y-%m-%d}",
        )


def _reruns_in_words(reruns: Sequence[Rerun], run: Run) -> str:
    if not reruns:
        return "not run again"
    agreed = sum(rerun.agrees for rerun in reruns)
    largest = max(reruns, key=lambda rerun: rerun.difference / rerun.tolerance)
    seeds = "1 seed" if len(run.seeds) == 1 else f"{len(run.seeds)} seeds"
    return (
        f"{agreed} of {seeds} reproduced; largest difference {number(largest.difference, 2)}, allowed "
        f"{largest.tolerance:g}"
    )


def _private_in_words(private: PrivateScore) -> str:
    errors = private.standard_error
    return (
        f"{private.agreement}: {number(private.private_mean)} on {private.rows:,} fresh rows, public "
        f"{number(private.public_mean)}; gap {private.gap / errors:+.1f} standard errors"
    ).replace("-", "−")


def _failures(entries: Sequence[Entry]) -> Iterator[str]:
    lines = [
        f"{entry.result.task} ({entry.result.track}), {failure.start}, {failure.shots} shots, seed {failure.seed}: "
        f"{failure.reason}"
        for entry in entries
        for failure in entry.result.failures
    ]
    yield from lines[:_MOST_FAILURES]
    if more := len(lines[_MOST_FAILURES:]):
        yield f"and {more:,} more"


def card_html(entries: Sequence[Entry]) -> str:
    """Return the card of a model that the package ships, as HTML; "" for any other, whose submission brings none."""
    models = [entry.result.model for entry in entries]
    shipped = next((model for model in models if model.weights_sha256 and is_official(model)), None)
    if shipped is None:
        return ""
    from pdebench_fm.models.loading import zoo_folder  # PyTorch is loaded here, where it was already
    from pdebench_fm.models.sources import CARD_NAME

    path: Path = zoo_folder(shipped.model_id) / CARD_NAME
    try:
        return as_html(without_metadata(read_card_text(path)))
    except PdefmError:
        return ""
