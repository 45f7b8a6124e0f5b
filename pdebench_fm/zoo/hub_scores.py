"""`.eval_results/*.yaml`: the scores of a published model in the form that the Hub shows and ranks by itself.

The format, https://huggingface.co/docs/hub/eval-results, knows no direction: larger counts as better. So values are
digits, -log10 of the error, and the notes say what the error is and what it was measured with.
"""

import math
import re
from collections.abc import Iterable, Sequence

import yaml
from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

from pdebench_fm.naming import HOME_ORGANISATION
from pdebench_fm.zoo.stated_scores import StatedScore, error_in_words

FOLDER = ".eval_results"
_OURS = re.compile(rf"{re.escape(FOLDER)}/pdebench-fm--[a-z0-9-]+--[0-9]+-shots\.yaml")


def score_files(scores: Sequence[StatedScore]) -> dict[str, bytes]:
    """Return the files that state these scores, by their paths in the model's repository.

    There is one for each dataset and number of shots, as a file holds at most one value of a task. An error of exactly
    0 has no digits and is left out.
    """
    files: dict[str, list[EvalResultEntry]] = {}
    for score in scores:
        if score.error > 0.0:
            dataset, _, regime = score.task.partition("/")
            path = f"{FOLDER}/pdebench-fm--{dataset}--{score.shots}-shots.yaml"
            files.setdefault(path, []).append(_entry(score, dataset, regime))
    return {
        path: yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False, allow_unicode=True).encode()
        for path, entries in files.items()
    }


def is_score_file(path: str) -> bool:
    """Tell whether a path is one that `score_files` gives: anybody may add others to a model by a pull request."""
    return _OURS.fullmatch(path) is not None


def in_words(paths: Iterable[str]) -> str:
    """Return the names of a model's files, those of scores as one."""
    names = list(paths)
    others = [path for path in names if not is_score_file(path)]
    count = len(names) - len(others)
    return ", ".join([*others, *([f"{count} files of scores"] if count else [])])


def _entry(score: StatedScore, dataset: str, regime: str) -> EvalResultEntry:
    seeds = f", {score.seeds} seeds" if score.shots else ""
    return EvalResultEntry(
        dataset_id=f"{HOME_ORGANISATION}/{dataset}",
        task_id=regime,
        value=-math.log10(score.error),
        notes=(
            f"value in digits, −log10 of the relative ℓ² error {error_in_words(score, '95 % interval ')}; "
            f"{score.shots} shots{seeds}, {score.track} track, protocol v{score.protocol}, data {score.data_version}"
        ),
    )
