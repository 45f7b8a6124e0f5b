"""The learning-rate schedule: linear warm-up, then half a cosine to zero."""

from math import cos, pi


def warmup_cosine(step: int, steps: int, warmup: int) -> float:
    """Return the factor on the peak learning rate for step 0 … steps−1."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1.0 + cos(pi * (step - warmup) / max(1, steps - warmup)))
