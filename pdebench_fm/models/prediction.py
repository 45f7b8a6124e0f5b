"""The one place where a model is asked for solutions, and where what it returns is checked."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from pdebench_fm.data.batches import Batch
from pdebench_fm.errors import PdefmError
from pdebench_fm.extensions.calling import user_code
from pdebench_fm.models.candidate import Candidate, Operator


class ModelOutputError(PdefmError):
    """A model returned something else than finite float32 solutions of the sources' shape; says what."""


@torch.no_grad()
def predict(candidate: Candidate, batch: Batch) -> Tensor:
    """Return a model's solutions of a batch.

    A module is put into evaluation mode for the call and back afterwards. The model is given copies, so that one that
    writes into its inputs spoils nothing.

    Args:
        candidate: Any model.
        batch: On the candidate's device; its solutions are not looked at.

    Returns:
        (B, n, n) float32 on that device, all finite.

    Raises:
        ModelOutputError: If the model returns anything else.
        UserCodeError: If it raises.
    """
    with _evaluating(candidate.operator), user_code(candidate.name):
        output = candidate.operator(batch.source.clone(), batch.coefficients.clone())
    return checked(output, batch.source, candidate.name)


def checked(output: object, source: Tensor, name: str) -> Tensor:
    """Return what a model gave for sources, if that is what it should be.

    Args:
        output: What the model returned.
        source: (B, n, n), what it was given.
        name: Names the model in the message.

    Raises:
        ModelOutputError: If `output` is no tensor, or has another shape, dtype or device than `source`, or holds NaN or
            infinite values.
    """
    expected = f"it must return solutions of shape {tuple(source.shape)}, {source.dtype}, on {source.device}"
    if not isinstance(output, Tensor):
        raise ModelOutputError(f"{name} returned {_described(output)}, not a torch.Tensor: {expected}")
    if output.shape != source.shape:
        raise ModelOutputError(
            f"{name} returned the shape {tuple(output.shape)}: {expected}{_shape_hint(output, source)}"
        )
    if output.dtype != source.dtype:
        raise ModelOutputError(f"{name} returned {output.dtype}: {expected}")
    if output.device != source.device:
        raise ModelOutputError(f"{name} returned a tensor on {output.device}: {expected}")
    finite = output.detach().isfinite()
    if not bool(finite.all()):
        bad = (~finite.flatten(1).all(dim=1)).nonzero()[:, 0].tolist()
        kind = "NaN" if bool(output.isnan().any()) else "infinite values"
        raise ModelOutputError(
            f"{name} returned {kind}: its prediction is not finite for {len(bad)} of {len(output)} samples, the first "
            f"of them number {bad[0]} of the batch"
        )
    return output


@contextmanager
def _evaluating(operator: Operator) -> Iterator[None]:
    """Put a module into evaluation mode, and each of its parts back into the mode it was in."""
    if not isinstance(operator, nn.Module):
        yield
        return
    training = [module for module in operator.modules() if module.training]
    if training:
        operator.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def _described(output: object) -> str:
    """Return an output's type, with what is inside a tuple or list."""
    name = type(output).__name__
    if isinstance(output, tuple | list):
        name += f" of {len(output)}" + (f" (the first: {type(output[0]).__name__})" if output else "")
    return name


def _shape_hint(output: Tensor, source: Tensor) -> str:
    """Return how to mend the commonest wrong shape, or nothing."""
    channel = [axis for axis in (1, 3) if output.ndim == 4 and output.shape[axis] == 1]
    if channel and output.squeeze(channel[0]).shape == source.shape:
        return f"; drop the channel axis: output.squeeze({channel[0]})"
    return ""
