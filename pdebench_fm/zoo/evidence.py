"""What vouches for the scores of a card: the result files beside it, or that they came with this package.

A README is text that anybody can edit, so none is published for the sake of what it states. The scores are computed
anew from per-sample scores, which lie in the folder `results/` of a model; those of the package's own models, whose
weights the tests hold to their cards, are known by a digest.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.models.candidates import candidate_of
from pdebench_fm.models.operator import NeuralOperator
from pdebench_fm.models.sources import CARD_NAME, source_in
from pdebench_fm.own_models import OwnModel, own_models, write_own_models
from pdebench_fm.results.evaluation import Evaluation, read_evaluation
from pdebench_fm.results.remarks import rows_remark
from pdebench_fm.results.result import find_result_files, read_result, write_result
from pdebench_fm.results.samples import samples_path, write_samples
from pdebench_fm.zoo.stated_scores import StatedScore, scores_of, stated_scores

RESULTS_FOLDER = "results"


def keep_results(folder: Path, evaluations: Sequence[Evaluation]) -> None:
    """Put the results that a card is made of beside it, in place of any that lie there."""
    place = folder / RESULTS_FOLDER
    for old in (*place.glob("*.json"), *place.glob("*.samples.parquet")):
        old.unlink()
    for evaluation in evaluations:
        result = evaluation.result
        path = place / f"{result.task.replace('/', '--')}-{result.track}.json"
        write_samples(evaluation.samples, samples_path(path))
        write_result(result, path)


def kept_results(folder: Path) -> list[Evaluation]:
    """Return the results that lie beside a card, each held to its per-sample scores; none if there are none."""
    return [read_evaluation(path) for path in sorted((folder / RESULTS_FOLDER).glob("*.json"))]


def results_of(folder: Path, paths: Sequence[Path], notes: list[str]) -> list[Evaluation]:
    """Return those of some results that a card of the model in a folder can be made of.

    Args:
        folder: of the model.
        paths: result files, or folders of them.
        notes: to which a line is added for each model and method whose results are left out.

    Raises:
        UsageError: if none is left, or a file is missing.
        PdefmError: if the model or a result is damaged.
    """
    digest = source_in(folder, str(folder)).weights_sha256
    own: list[Evaluation] = []
    others: Counter[str] = Counter()
    for path in find_result_files(paths):
        result = read_result(path)
        if result.model.weights_sha256 != digest:
            others[f"of {result.model.model_id}, which has other weights"] += 1
        elif result.division != "closed":
            others[f"by the method {result.method}: a card shows the protocol's"] += 1
        else:
            own.append(read_evaluation(path))
    notes += [f"left out: {count} result{'s' if count > 1 else ''} {what}" for what, count in sorted(others.items())]
    if not own:
        raise UsageError(
            f"none of the {others.total()} results is of the weights in {folder}, by the protocol's recipe"
        )
    return own


def scores_of_evaluations(evaluations: Sequence[Evaluation], weights_sha256: str) -> tuple[StatedScore, ...]:
    """Return the scores that a card of these weights states by these results.

    Raises:
        UsageError: if a result is of other weights, of other rows than its track's, by another recipe than the
            protocol's, or there are two of one task.
    """
    seen: set[str] = set()
    for result in (evaluation.result for evaluation in evaluations):
        if result.model.weights_sha256 != weights_sha256:
            raise UsageError(f"the result on {result.task} is of other weights than those of the card")
        if remark := rows_remark(result):
            raise UsageError(f"the result on {result.task} is no score of the {result.track} track: {remark}")
        if result.division != "closed":
            raise UsageError(f"the result on {result.task} is by the method {result.method!r}: a card shows protocol's")
        if result.task in seen:
            raise UsageError(f"there are two results on {result.task}: give one")
        seen.add(result.task)
    return scores_of(evaluation.result for evaluation in evaluations)


def vouched_scores(folder: Path, weights_sha256: str) -> tuple[StatedScore, ...]:
    """Return the scores of the weights in a folder, from its results or, with the package's own weights, from its card.

    Raises:
        PdefmError: if there are no results, and the card is not that of a model that comes with this package.
    """
    if evaluations := kept_results(folder):
        return scores_of_evaluations(evaluations, weights_sha256)
    scores = stated_scores(folder)
    own = own_models().get(weights_sha256)
    if own is None or own.scores != _digest(scores):
        raise PdefmError(
            f"nothing vouches for the scores in {folder / CARD_NAME}: they are taken from result files, which "
            f"`pdefm zoo card {folder} RESULTS` puts beside the card"
        )
    return scores


def check_stated(folder: Path, scores: Sequence[StatedScore]) -> None:
    """Raise a `PdefmError` if the card in a folder states other scores than these."""
    stated, due = ({(score.task, score.shots): score for score in some} for some in (stated_scores(folder), scores))
    for task, shots in sorted(stated.keys() | due.keys()):
        found, right = stated.get((task, shots)), due.get((task, shots))
        if found != right:
            said, is_so = (score.error if score else "nothing" for score in (found, right))
            raise PdefmError(
                f"{folder / CARD_NAME} states {said} for {task} with {shots} shots, its results give {is_so}: "
                f"`pdefm zoo card {folder}` renews it"
            )


def pin_shipped(folder: Path, weights_sha256: str) -> None:
    """Record a model as this package's own, and the scores in its card as those of its weights.

    Other weights that went by its name are forgotten.
    """
    fingerprint = candidate_of(NeuralOperator.from_pretrained(folder)).fingerprint
    assert fingerprint is not None  # noqa: S101 (which a model has that is as its files say)
    own = OwnModel(name=folder.name, fingerprint=fingerprint, scores=_digest(stated_scores(folder)))
    others = {digest: other for digest, other in own_models().items() if other.name != own.name}
    write_own_models(others | {weights_sha256: own})


def _digest(scores: Sequence[StatedScore]) -> str:
    rows = sorted((score.task, score.shots, score.model_dump_json()) for score in scores)
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
