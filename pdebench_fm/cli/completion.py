"""What a shell offers when a user presses Tab: names of tasks and models; a failure offers nothing."""

from pdebench_fm.errors import PdefmError


def tasks(incomplete: str) -> list[str]:
    """Return the tasks that complete the last word of a comma-separated list."""
    from pdebench_fm.data.catalogue import DATASETS
    from pdebench_fm.protocol.names import EVERY_TASK
    from pdebench_fm.protocol.task import list_tasks

    try:
        return _completed(incomplete, [EVERY_TASK, *DATASETS, *list_tasks(pretraining=True)])
    except PdefmError:  # of a plug-in
        return []


def one_task(incomplete: str) -> list[str]:
    """Return the benchmark's tasks that complete a word."""
    from pdebench_fm.data.catalogue import TASKS

    return [name for name in TASKS if name.startswith(incomplete)]


def models(incomplete: str) -> list[str]:
    """Return the models that come with the package and complete the last word of a comma-separated list."""
    from pdebench_fm.models import BASELINES, zoo_names

    return _completed(incomplete, [*zoo_names(), *BASELINES])


def zoo_models(incomplete: str) -> list[str]:
    """Return the models with a card in the package that complete a word."""
    from pdebench_fm.models import recipe_names, zoo_names

    return [name for name in (*zoo_names(), *recipe_names()) if name.startswith(incomplete)]


def study_words(incomplete: str) -> list[str]:
    """Return the words for studies that come with the package and complete a word."""
    from pdebench_fm.studies.study import GROUPS, shipped_studies

    return [name for name in (*shipped_studies(), *GROUPS) if name.startswith(incomplete)]


def pictures(incomplete: str) -> list[str]:
    """Return the kinds of pictures of results that complete a word."""
    from pdebench_fm.plots.draw import KINDS

    return [name for name in KINDS if name.startswith(incomplete)]


def starts(incomplete: str) -> list[str]:
    """Return the starts of runs that complete a word."""
    from pdebench_fm.plots.selection import STARTS

    return [name for name in STARTS if name.startswith(incomplete)]


def _completed(incomplete: str, names: list[str]) -> list[str]:
    before, comma, last = incomplete.rpartition(",")
    taken = before.split(",")
    return [f"{before}{comma}{name}" for name in names if name.startswith(last) and name not in taken]
