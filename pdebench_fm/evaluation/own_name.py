"""The name that results give a model of the user's: none that is taken, nor looks like one that is."""

from collections.abc import Sequence
from pathlib import Path

from pdebench_fm.errors import UsageError
from pdebench_fm.extensions.functions import split_file_reference
from pdebench_fm.models.baselines import BASELINES
from pdebench_fm.models.builders import DEFAULT_FUNCTION
from pdebench_fm.models.loading import not_shipped, recipe_names, zoo_names
from pdebench_fm.naming import HOME_ORGANISATION, check_model_name, outline
from pdebench_fm.own_models import own_names


def check_own_name(name: str, models: Sequence[object]) -> None:
    """Raise a `UsageError` unless results can call the one model by this name.

    What comes with the package or from the Hub is found by its name, which it therefore keeps.

    Args:
        name: that is wanted, `name` or `organisation/name`.
        models: that are evaluated: words for them, or the models themselves.
    """
    check_model_name(name)
    if len(models) != 1:
        raise UsageError(f"a name is that of one model, and here are {len(models)}: evaluate it alone")
    taken = (*zoo_names(), *own_names(), *recipe_names(), *BASELINES)
    model = str(models[0]) if isinstance(models[0], str | Path) else ""
    if model in own_names() and (missing := not_shipped(model)):
        raise missing
    if model in taken:
        raise UsageError(f"{model} comes with the package and keeps its name: give a name to a model of yours")
    if "/" in model and not Path(model).expanduser().exists() and split_file_reference(model, DEFAULT_FUNCTION) is None:
        raise UsageError(f"{model} is on the Hub and keeps its name there: give a name to a model of yours")
    organisation, _, own = name.rpartition("/")
    if outline(organisation) == outline(HOME_ORGANISATION):
        raise UsageError(f"{organisation} is, or looks like, the organisation of this package's models: give yours")
    for other in taken:
        if outline(own) == outline(other):
            looks = "is the name" if own == other else f"looks like {other}, the name"
            raise UsageError(f"{name} {looks} of a model of the package: give yours another")
