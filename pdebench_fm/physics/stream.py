"""Counter-based random numbers: each (key, index, attempt) owns a fixed window of one Philox stream.

The key is a hash of names, never a shared state, so any worker can make any sample in any order; consecutive indices
own consecutive windows, so a run of samples costs one call.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

WINDOW = 320
"""Uniforms each attempt at a sample may use."""

_WORDS_PER_BLOCK = 4  # Philox-4x64 makes four 64-bit words from each counter value


def philox_key(*names: str) -> int:
    """Return a 128-bit key from names; the separator cannot occur inside one."""
    text = "\x1f".join(("pdebench_fm", *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "little")


def uniforms(key: int, indices: NDArray[np.int64], attempt: int) -> NDArray[np.float64]:
    """Return uniforms on [0, 1), (len(indices), WINDOW), exact multiples of 2⁻⁵³.

    The same on every machine: integers from the cipher, a shift and one exact scaling.
    """
    out = np.empty((len(indices), WINDOW))
    breaks = np.flatnonzero(np.diff(indices) != 1) + 1
    for run in np.split(np.arange(len(indices)), breaks):
        if len(run) == 0:
            continue
        counter = (attempt << 64) + int(indices[run[0]]) * (WINDOW // _WORDS_PER_BLOCK)
        words = np.random.Philox(key=key, counter=counter).random_raw(len(run) * WINDOW)
        out[run[0] : run[-1] + 1] = ((words >> np.uint64(11)) * 2.0**-53).reshape(len(run), WINDOW)
    return out
