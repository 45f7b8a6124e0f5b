"""Systems whose code is not ours: whose failure an exception is, and what must hold before their code is relied on."""

import hashlib
from pathlib import Path

import numpy as np

from pdebench_fm.data.blocks import read_blocks
from pdebench_fm.data.verification.checks import COEFFICIENT_TOLERANCE, FIELD_TOLERANCE
from pdebench_fm.errors import PdefmError, UsageError, UserCodeError
from pdebench_fm.extensions.importing import blame
from pdebench_fm.physics import BUILT_IN, ORIGINS, SampleKey, System, draw, sample
from pdebench_fm.physics.operator import WaveNumbers

_GRID = 64


def plugin_failure(error: Exception) -> UserCodeError | None:
    """Return the failure of a plug-in if `error` was raised by a registered system's own code; None if it was not."""
    if isinstance(error, PdefmError):
        return None
    return blame(error, {origin for origin in ORIGINS.values() if origin != BUILT_IN})


def check_definition(path: Path, key: SampleKey, index: int, resolution: int) -> None:
    """Raise a `UsageError` unless the first row of a shard is what its system gives now.

    A system that is being written changes, and a build that goes on must not mix rows of two systems of one name.

    Args:
        path: of an intact shard.
        key: of its rows.
        index: of its first row.
        resolution: of its fields.
    """
    stored, now = next(read_blocks(path, key, resolution)), sample(key, [index], resolution)
    pairs = (
        (stored.draws.weights, now.draws.weights, 0.0),
        (stored.draws.parameter, now.draws.parameter, 0.0),
        (stored.draws.coefficients, now.draws.coefficients, COEFFICIENT_TOLERANCE),
        (stored.source, now.source, FIELD_TOLERANCE),
        (stored.solution, now.solution, FIELD_TOLERANCE),
    )
    for held, made, tolerance in pairs:
        if not np.allclose(held[:1], made, rtol=0.0, atol=tolerance * float(np.abs(made).max())):
            raise UsageError(
                f"{path} was built by another definition of {key.system}: choose another folder, or remove this one"
            )


def definition_digest(key: SampleKey) -> str | None:
    """Return the SHA-256 of what a plug-in's system makes of its draws; None for a built-in one, which has a version.

    The recipe digest is of the draws alone; this is of the coefficients and of the operator, as this machine has them.
    """
    system = key.definition
    if ORIGINS[system.name] == BUILT_IN:
        return None
    coefficients = draw(key, range(4)).coefficients
    symbol = system.symbol(WaveNumbers.of_grid(_GRID), coefficients.astype(np.float64))
    declared = system.zero_mean, system.solution_bound, system.source_width, system.sparsities
    digest = hashlib.sha256(repr(declared).encode())
    for values in (coefficients, np.asarray(symbol, np.complex128)):
        digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()


def check_on_tensors(system: System) -> None:
    """Raise a `UsageError` unless a plug-in's symbol takes PyTorch tensors too, as scores and streams to a GPU need."""
    import torch

    from pdebench_fm.surroundings import standard

    if ORIGINS[system.name] == BUILT_IN:
        return
    key = SampleKey(system.name, next(iter(system.regimes)), "train")
    coefficients = draw(key, range(2)).coefficients.astype(np.float64)
    k = WaveNumbers.of_grid(_GRID)
    expected, tensor = system.symbol(k, coefficients), torch.from_numpy(coefficients)
    advice = "use operators and the functions of array_api_compat.array_namespace(coefficients), not NumPy's"
    try:
        with standard():
            found = system.symbol(k.like(tensor), tensor)
    except Exception as error:
        raise UsageError(f"the symbol of {system.name!r} cannot take PyTorch tensors ({error}): {advice}") from error
    if not isinstance(found, torch.Tensor) or not np.allclose(found.numpy(), expected):
        raise UsageError(f"the symbol of {system.name!r} gives something else for PyTorch tensors: {advice}")
