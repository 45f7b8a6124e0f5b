"""The Hub's own leaderboards: benchmarks and results are validated when they are pushed, and told with a model.

As far as huggingface/hub-docs, docs/hub/eval-results.md, says it.
"""

from __future__ import annotations

from typing import Any

import yaml

from .messages import Refusal

_FOLDER = ".eval_results/"


def check_pushed(path: str, content: bytes) -> None:
    """Refuse a benchmark's registration, or a file of results, that is not what it should be."""
    if path == "eval.yaml":
        _check_benchmark(_parsed(path, content))
    elif is_result(path):
        _check_results(path, _parsed(path, content))


def is_result(path: str) -> bool:
    """Whether a path in a model's repository is that of a file of results."""
    return path.startswith(_FOLDER) and path.endswith(".yaml") and path.count("/") == 1


def told_results(path: str, content: bytes) -> list[dict[str, Any]]:
    """The entries of a file as the description of its model has them."""
    return [{"filename": path, "data": entry} for entry in yaml.safe_load(content)]


def _parsed(path: str, content: bytes) -> Any:
    try:
        return yaml.safe_load(content)
    except yaml.YAMLError as error:
        raise Refusal(400, f"{path} is no YAML: {error}") from error


def _check_benchmark(content: Any) -> None:
    fields = ("name", "description", "evaluation_framework")
    tasks = content.get("tasks") if isinstance(content, dict) else None
    right = isinstance(tasks, list) and bool(tasks) and _is_text(content, *fields)
    if not right or not all(_is_text(task, "id", "config", "split") for task in tasks):
        raise Refusal(400, f"eval.yaml needs {', '.join(fields)}, and tasks with id, config and split")


def _check_results(path: str, content: Any) -> None:
    seen = set()
    for entry in content if isinstance(content, list) else [None]:
        dataset = entry.get("dataset") if isinstance(entry, dict) else None
        if not _is_text(dataset, "id", "task_id") or not isinstance(entry.get("value"), int | float):
            raise Refusal(400, f"{path} is no list of results with dataset.id, dataset.task_id and value")
        task = dataset["id"], dataset["task_id"]
        if task in seen:
            raise Refusal(400, f"{path} has two values of {task}")
        seen.add(task)


def _is_text(content: Any, *fields: str) -> bool:
    return isinstance(content, dict) and all(isinstance(content.get(name), str) and content[name] for name in fields)
