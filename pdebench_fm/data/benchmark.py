"""`eval.yaml`: what tells the Hub that a dataset is a benchmark, with a task for each regime that has a test split.

The format is that of https://huggingface.co/docs/hub/eval-results; the Hub validates it when it is pushed, and shows a
leaderboard once it has put the benchmark on its list.
"""

import yaml

from pdebench_fm.data.catalogue import find_dataset
from pdebench_fm.data.manifest import Manifest

BENCHMARK_NAME = "eval.yaml"
EVALUATION_FRAMEWORK = "pdebench-fm"
"""What the Hub is told that scores come from: this package."""

_TEST = "test"


def benchmark_file(manifest: Manifest) -> bytes | None:
    """Return the `eval.yaml` of a build; None for one without test splits, which nothing can be scored on."""
    tasks = [
        {"id": split.regime, "config": split.regime, "split": split.split}
        for split in manifest.splits
        if split.split == _TEST
    ]
    if not tasks:
        return None
    dataset = find_dataset(manifest.dataset)
    content = {
        "name": f"pdebench-fm: {dataset.name}",
        "description": (
            f"Solve {dataset.system.equation} on a periodic square for new sources and coefficients, zero-shot or "
            "after adapting to a few examples. Scores are digits, -log10 of the mean relative l2 error over the test "
            "split: higher is better, 0 is predicting zero. Their notes name the error, the shots and the track, and "
            "only those with the same shots and track are comparable."
        ),
        "evaluation_framework": EVALUATION_FRAMEWORK,
        "tasks": tasks,
    }
    text: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
    return text.encode()
