"""Digests that name data: what was drawn (the recipe), and what was stored (the content).

Each row is hashed on its own and a split's digest is the hash of its rows' hashes in index order, so neither depends
on shards, workers, Parquet settings or on how many rows are handled at once.
"""

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from pdebench_fm.physics import Draws, SampleKey, Samples, draw

_CHUNK = 512


def recipe_hashes(draws: Draws) -> list[bytes]:
    """Return the SHA-256 of each row's draws: exact arithmetic only, so the same on every machine."""
    numbers = np.stack([draws.indices, draws.attempts], axis=1).astype("<i8")
    floats = np.concatenate(
        [draws.weights.reshape(len(draws), -1), draws.sparsity[:, None], draws.parameter[:, None]], axis=1
    ).astype("<f4")
    return _row_hashes(numbers, floats, draws.latents.astype("<f8"))


def content_hashes(samples: Samples) -> list[bytes]:
    """Return the SHA-256 of each row's values as stored."""
    draws = samples.draws
    return _row_hashes(*(np.asarray(column) for column in stored_columns(samples).values())) if len(draws) else []


def stored_columns(samples: Samples) -> dict[str, NDArray[np.generic]]:
    """Return a dataset's columns in the order and types of the row schema."""
    draws = samples.draws
    return {
        "index": draws.indices.astype("<i8"),
        "source": samples.source.astype("<f4", copy=False),
        "solution": samples.solution.astype("<f4", copy=False),
        "coefficients": draws.coefficients.astype("<f4", copy=False),
        "parameter": draws.parameter.astype("<f4", copy=False),
        "sparsity": draws.sparsity.astype("<f4", copy=False),
        "weights": draws.weights.astype("<f4", copy=False),
    }


def combine(hashes: Iterable[bytes]) -> str:
    """Return the hexadecimal digest of rows whose hashes are given in index order."""
    total = hashlib.sha256()
    for row in hashes:
        total.update(row)
    return total.hexdigest()


def recipe_digest(key: SampleKey, rows: int) -> str:
    """Return the recipe digest of the first `rows` samples of a stream, by drawing them."""
    hashes: list[bytes] = []
    for start in range(0, rows, _CHUNK):
        hashes += recipe_hashes(draw(key, range(start, min(rows, start + _CHUNK))))
    return combine(hashes)


def _row_hashes(*columns: NDArray[np.generic]) -> list[bytes]:
    """Hash row i of all columns together, for each i."""
    contiguous = [np.ascontiguousarray(column) for column in columns]
    hashes = []
    for i in range(len(contiguous[0])):
        row = hashlib.sha256()
        for column in contiguous:
            row.update(column[i].data if column.ndim > 1 else column[i : i + 1].data)
        hashes.append(row.digest())
    return hashes
