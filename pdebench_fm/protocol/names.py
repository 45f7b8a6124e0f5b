"""What a user may write for tasks, shots and models, and the plain lists that it stands for."""

from collections.abc import Iterable

from pdebench_fm.data.catalogue import TASKS, find_task, known_datasets, unknown_to_the_catalogue
from pdebench_fm.errors import UsageError

EVERY_TASK = "all"


def split_list(text: str, what: str) -> list[str]:
    """Return the words of a comma-separated list.

    Raises:
        UsageError: if a word is empty, or is there twice; `what` names the list.
    """
    words = [word.strip() for word in text.split(",")]
    if not all(words):
        raise UsageError(f"--{what} takes names separated by commas, not {text!r}")
    return _without_repetition(words, what)


def task_names(words: Iterable[str]) -> list[str]:
    """Return the tasks that names stand for, in their order.

    "all" is every ranked task; a dataset's name is all its regimes but `pretrain`, so `helmholtz-ood` is three tasks
    and `poisson` is `poisson/in-domain`; any other is one task. A pretraining distribution is had by its full name
    alone.

    Raises:
        UsageError: for a name that is unknown, or a task that is named twice.
    """
    found: list[str] = []
    for word in words:
        if word == EVERY_TASK:
            found += TASKS
        elif "/" in word:
            found.append(find_task(word).name)
        elif word in (datasets := known_datasets(word)):
            found += [f"{word}/{regime}" for regime in datasets[word].regimes if regime != "pretrain"]
        else:
            raise unknown_to_the_catalogue("task", word, [EVERY_TASK, *datasets, *TASKS])
    return _without_repetition(found, "task")


def shots_list(text: str) -> list[int]:
    """Return the numbers of a comma-separated list.

    Raises:
        UsageError: for what is no number, or is there twice.
    """
    try:
        return [int(word) for word in _without_repetition([str(int(word)) for word in text.split(",")], "shots")]
    except ValueError:
        raise UsageError(f"--shots takes whole numbers separated by commas, such as 0,8,32, not {text!r}") from None


def _without_repetition(words: list[str], what: str) -> list[str]:
    for i, word in enumerate(words):
        if word in words[:i]:
            raise UsageError(f"--{what} names {word} twice: name it once")
    return words
