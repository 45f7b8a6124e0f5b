"""Which models are this package's own: those that it ships, known by what they are and not by what they are called."""

from functools import cache
from typing import TYPE_CHECKING

from pdebench_fm.errors import PdefmError
from pdebench_fm.own_models import own_models
from pdebench_fm.results.result import ModelRecord

if TYPE_CHECKING:
    from pdebench_fm.models.candidate import Candidate


def is_official(model: ModelRecord) -> bool:
    """Tell whether a result is of a model of this package: weights or a baseline of its name, unchanged."""
    if model.weights_sha256 is None:
        shipped = shipped_model(model.model_id)
        return shipped is not None and shipped.weights_sha256 is None and model.fingerprint == shipped.fingerprint
    own = own_models().get(model.weights_sha256)
    return own is not None and (model.model_id, model.fingerprint) == (own.name, own.fingerprint)


def check_training(model: ModelRecord) -> None:
    """Raise a `PdefmError` if a result of a model of this package states other training rows than the model does.

    Of models whose weights are not here, nothing is known to hold it against.
    """
    shipped = shipped_model(model.model_id) if is_official(model) else None
    if shipped is not None and shipped.training != model.training:
        raise PdefmError(f"it states other training rows than those that {model.model_id} was trained on")


@cache
def shipped_model(name: str) -> "Candidate | None":
    """Return the model of this package that has this name; None if there is none, or if its weights are not here."""
    if "/" in name:  # an organisation's, which this package's own are not named with
        return None
    from pdebench_fm.models.baselines import BASELINES  # PyTorch is loaded here, for those who ask
    from pdebench_fm.models.loading import zoo_names
    from pdebench_fm.models.references import open_candidate

    if name not in zoo_names() and name not in BASELINES:
        return None
    try:
        return open_candidate(name)
    except PdefmError:
        return None
