"""The one place where a model is asked for solutions, and where what it returns is checked."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch
from torch import _C, Tensor, nn

from pdebench_fm.data.batches import Batch
from pdebench_fm.errors import PdefmError
from pdebench_fm.extensions.calling import user_code
from pdebench_fm.models.candidate import Candidate, Operator


class ModelOutputError(PdefmError):
    """A model returned something else than finite float32 solutions of the sources' shape; says what."""


def predict(candidate: Candidate, batch: Batch) -> Tensor:
    """Return a model's solutions of a batch; see `predicted`."""
    with candidate.its_modules():
        return predicted(candidate.operator, batch, candidate.name)


def predicted(operator: Operator, batch: Batch, name: str) -> Tensor:
    """Return a model's solutions of a batch.

    A module is put into evaluation mode for the call and back afterwards. The model is given copies, so that one that
    writes into its inputs spoils nothing, and the solutions are a copy, so that one that uses the same memory again
    doesn't either.

    Args:
        operator: Any model.
        batch: On the model's device; its solutions are not looked at.
        name: Names the model in messages.

    Returns:
        (B, n, n) float32 on that device, all finite, contiguous, without a gradient.

    Raises:
        ModelOutputError: If the model returns anything else.
        UserCodeError: If it raises.
    """
    output = asked(operator, batch.source.clone(), batch.coefficients.clone(), name)
    with user_code(name):
        output = checked(output, batch.source, name)
        return output.detach().clone(memory_format=torch.contiguous_format)


def asked(operator: Operator, source: Tensor, coefficients: Tensor, name: str) -> object:
    """Return what a model returns, in evaluation mode, without gradients; with them if it raises without.

    A model may differentiate something itself, with `torch.autograd.grad` say, which raises where no gradients are
    recorded. Recording them for every model would hold all intermediate fields of most in memory for nothing.

    Args:
        operator: Any model.
        source: (B, n, n), which the model may write into.
        coefficients: (B, 6), likewise.
        name: Names the model in messages.

    Raises:
        UserCodeError: If it raises.
    """
    with user_code(name), _evaluating(operator):
        before = source.clone(), coefficients.clone()
        try:
            with torch.no_grad():
                return operator(source, coefficients)
        except (MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # noqa: BLE001 (raised again below if it was not for want of gradients)
            failed = error
        with suppress(Exception), torch.enable_grad():
            return operator(*before)
        try:
            raise failed
        finally:
            del failed  # whose traceback holds this frame, and with it the batch


def checked(output: object, source: Tensor, name: str) -> Tensor:
    """Return what a model gave for sources, if that is what it should be, as a plain tensor.

    To be called among the user's code: asking a subclass of `torch.Tensor` anything may raise.

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
    if type(output) is not Tensor:
        with _C.DisableTorchFunctionSubclass():
            output = output.as_subclass(Tensor)
    if output.is_nested or output.layout is not torch.strided:
        kind = "nested" if output.is_nested else f"{output.layout}".removeprefix("torch.")
        raise ModelOutputError(f"{name} returned a {kind} tensor, not a dense one: {expected}")
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
    modes = [(module, module.training) for module in operator.modules()]
    if not any(training for _, training in modes):
        yield
        return
    operator.eval()
    try:
        yield
    finally:
        operator.train(modes[0][1])  # a module may do more in its own `train` than set the mode
        for module, training in modes:
            module.training = training


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
