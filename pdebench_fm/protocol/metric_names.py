"""The names of the errors of a sample, for all that handles scores without computing any."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

METRIC_NAMES = ("relative_l2", "relative_h1", "band_low", "band_mid", "band_high", "residual", "max_error")

Errors = Mapping[str, NDArray[np.float64]]
"""Every error, by name, of every sample, (B,), in the order of the split."""
