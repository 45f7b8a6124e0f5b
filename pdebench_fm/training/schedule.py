"""The learning-rate schedule: linear warm-up, a plateau where one is wanted, then half a cosine to zero."""

from math import cos, pi


def warmup_cosine(step: int, steps: int, warmup: int, decay_share: float = 1.0) -> float:
    """Return the factor on the peak learning rate for step 0 … steps−1.

    Args:
        step: the step.
        steps: of the whole training.
        warmup: steps until the peak.
        decay_share: share of all steps, the last ones, that the half cosine takes; 1 begins it after the warm-up.
    """
    if step < warmup:
        return (step + 1) / warmup
    start = max(warmup, round((1.0 - decay_share) * steps))
    return 0.5 * (1.0 + cos(pi * (max(step, start) - start) / max(1, steps - start)))
