"""One word for any model."""

from pathlib import Path

from pdebench_fm.models.candidate import Candidate
from pdebench_fm.models.candidates import candidate_of
from pdebench_fm.models.zoo import load_model


def open_candidate(reference: str | Path, device: str = "cpu", token: str | None = None) -> Candidate:
    """Return the model of this name, ready to be evaluated."""
    return candidate_of(load_model(reference, device, token))
