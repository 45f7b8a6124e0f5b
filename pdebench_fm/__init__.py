"""The PDE foundation-model benchmark hub: datasets, models, protocol and leaderboard.

    import pdebench_fm as pf

    task = pf.load_task("helmholtz-ood/medium")
    model = pf.load_model("fno-mixed-64k", device="auto")
    evaluation = pf.evaluate(model, task, shots=32)
    evaluation.runs[0].summary.mean

The public names below are imported when they are first used, so that importing the package is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pdebench_fm.version import __version__

if TYPE_CHECKING:
    from pdebench_fm.evaluation.evaluate import evaluate, evaluate_suite
    from pdebench_fm.models.candidates import candidate_of
    from pdebench_fm.models.references import load_model, open_candidate
    from pdebench_fm.protocol.task import list_tasks, load_task
    from pdebench_fm.results.evaluation import Evaluation, read_evaluation
    from pdebench_fm.results.result import Result, read_result
    from pdebench_fm.training.support import SupportSet
    from pdebench_fm.zoo.entries import list_models

__all__ = [
    "Evaluation",
    "Result",
    "SupportSet",
    "__version__",
    "candidate_of",
    "evaluate",
    "evaluate_suite",
    "list_models",
    "list_tasks",
    "load_model",
    "load_task",
    "open_candidate",
    "read_evaluation",
    "read_result",
]

_HOMES = {
    "Evaluation": "pdebench_fm.results.evaluation",
    "Result": "pdebench_fm.results.result",
    "SupportSet": "pdebench_fm.training.support",
    "candidate_of": "pdebench_fm.models.candidates",
    "evaluate": "pdebench_fm.evaluation.evaluate",
    "evaluate_suite": "pdebench_fm.evaluation.evaluate",
    "list_models": "pdebench_fm.zoo.entries",
    "list_tasks": "pdebench_fm.protocol.task",
    "load_model": "pdebench_fm.models.references",
    "load_task": "pdebench_fm.protocol.task",
    "open_candidate": "pdebench_fm.models.references",
    "read_evaluation": "pdebench_fm.results.evaluation",
    "read_result": "pdebench_fm.results.result",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its home."""
    if name not in _HOMES:
        raise AttributeError(f"module 'pdebench_fm' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
