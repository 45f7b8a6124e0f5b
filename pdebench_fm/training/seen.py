"""Which rows a pretraining run sees: how many it measures scales and errors on, and its training manifest."""

from pdebench_fm.data.training_manifest import Stream, TrainingManifest, stream_of
from pdebench_fm.training.config import PretrainConfig

SCALE_SAMPLES = 1024
"""Samples at the beginning of the stream from which the coefficients' scales are measured."""

VALIDATION_SAMPLES = 64
"""Validation samples of each system, on which progress is watched."""

SELECTION_SAMPLES = 128
"""Samples of each system's regime `selection`, by which settings are chosen."""


def manifest_of(config: PretrainConfig, steps: int, *, selected: bool = True) -> TrainingManifest:
    """Return what a run has seen after some of its steps.

    That follows from its configuration: whatever pieces it was done in, and however many processes shared its batches,
    its steps are on the stream's samples from the first one on, in their order.

    Args:
        config: of the run.
        steps: optimizer steps done, at least one.
        selected: whether its errors on the regime `selection` were measured, where its systems have that.
    """
    end = config.batch_size * steps
    turn = min(end, config.batch_size * config.coarse_steps)  # where the first step on the fine grid begins
    coarse, fine = config.mixture("train", config.coarse_resolution), config.mixture("train")
    if coarse == fine:
        turn = 0
    parts = ((coarse, 0, turn), (fine, turn, end), (fine, end, SCALE_SAMPLES))
    return TrainingManifest(
        trained=tuple(
            stream_of(key, rows, mixture.resolution)
            for mixture, start, stop in parts
            for key, rows in mixture.rows(start, stop).items()
            if rows
        ),
        looked_at=_looked_at(config, selected=selected),
    )


def _looked_at(config: PretrainConfig, *, selected: bool) -> tuple[Stream, ...]:
    """Return the rows that errors are measured on."""
    mixtures = [(config.mixture("validation"), VALIDATION_SAMPLES)]
    if selected and (selection := config.selection()) is not None:
        mixtures.append((selection, SELECTION_SAMPLES))
    return tuple(
        stream_of(key, range(count), mixture.resolution) for mixture, count in mixtures for key in mixture.keys
    )
