"""The network's two expensive stages with hand-written derivatives, a few samples at a time.

PyTorch's own derivatives are as right, but write every intermediate field to main memory. Here a field is used while
it is still in the processor's cache, and no activation is kept beside what it was computed from. The tests compare
values and gradients with the plain composition, `FNO.forward_plain`. Fields are (B, d, ny, nx), indexed `[y, x]`.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from pdebench_fm.models.modes import mix, mix_adjoint
from pdebench_fm.models.transform import transform_of

CACHED_VALUES = 2**20
"""Values of a field worked on at a time by each thread of a CPU: four megabytes, by measurement."""

_gelu_into = torch.ops.aten.gelu.out
_gelu_backward_into = torch.ops.aten.gelu_backward.grad_input


def fourier_layer(field: Tensor, weight: Tensor, pointwise: Tensor, bias: Tensor, *, activate: bool) -> Tensor:
    """Apply a Fourier layer: spectral convolution plus pointwise map, then GELU if `activate`.

    Args:
        field: (B, in, ny, nx).
        weight: (2, 2m, m, in, out), as in `SpectralConvolution`.
        pointwise: (out, in).
        bias: (B, out), for each sample.
        activate: Whether GELU follows.

    Returns:
        (B, out, ny, nx).
    """
    arguments = (field, weight, pointwise, bias, activate, torch.is_grad_enabled())
    output: Tensor = _FourierLayer.apply(*arguments)  # type: ignore[no-untyped-call]
    return output


def projection(field: Tensor, expand: Tensor, expand_bias: Tensor, project: Tensor, project_bias: Tensor) -> Tensor:
    """Apply the pointwise network d -> 2d, GELU, 2d -> 1.

    Args:
        field: (B, d, ny, nx).
        expand: (h, d), h the hidden channels.
        expand_bias: (h,).
        project: (1, h).
        project_bias: (1,).

    Returns:
        (B, ny, nx).
    """
    arguments = (field, expand, expand_bias, project, project_bias, torch.is_grad_enabled())
    output: Tensor = _Projection.apply(*arguments)  # type: ignore[no-untyped-call]
    return output


class _FourierLayer(Function):
    @staticmethod
    def forward(
        ctx: Any, field: Tensor, weight: Tensor, pointwise: Tensor, bias: Tensor, activate: bool, differentiable: bool
    ) -> Tensor:
        field = field.contiguous()
        batch, channels, (ny, nx) = field.shape[0], weight.shape[4], field.shape[2:]
        transform = transform_of((ny, nx), weight.shape[2], field.device, field.dtype)
        chunks = _chunks(batch, channels * ny * nx, field.device)
        spectrum = field.new_empty(*weight.shape[1:3], 2, batch, weight.shape[3])
        for chunk in chunks:
            transform.analyse(field[chunk], spectrum[:, :, :, chunk])
        mixed = mix(spectrum, weight)
        # A constant is the mode k = 0: added here it costs no pass over the field.
        mixed[0, 0, 0] += bias * (ny * nx)
        before = field.new_empty(batch, channels, ny, nx)
        # Only a derivative needs the values before GELU; without one it is applied in place.
        after = torch.empty_like(before) if activate and differentiable else before
        for chunk in chunks:
            part = transform.synthesise(mixed[:, :, :, chunk], before[chunk])
            _points(part).baddbmm_(_repeated(pointwise, part), _points(field[chunk]))
            if activate:
                _gelu_into(part, out=after[chunk])
        ctx.save_for_backward(field, spectrum, weight, pointwise, before if activate else None)
        return after

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        field, spectrum, weight, pointwise, before = ctx.saved_tensors
        gradient = gradient.contiguous()
        batch, channels, ny, nx = gradient.shape
        transform = transform_of((ny, nx), weight.shape[2], field.device, field.dtype)
        chunks = _chunks(batch, channels * ny * nx, field.device)
        to_mixed = field.new_empty(*weight.shape[1:3], 2, batch, channels)
        to_pointwise = torch.zeros_like(pointwise)
        parts = []
        for chunk in chunks:
            part = gradient[chunk]
            if before is not None:
                part = _gelu_backward_into(part, before[chunk], grad_input=torch.empty_like(part))
            transform.synthesise_adjoint(part, to_mixed[:, :, :, chunk])
            to_pointwise += torch.bmm(_points(part), _points(field[chunk]).mT).sum(dim=0)
            parts.append(part)
        to_bias = to_mixed[0, 0, 0] * (ny * nx)
        to_spectrum, to_weight = mix_adjoint(to_mixed, spectrum, weight)
        to_field = None
        if ctx.needs_input_grad[0]:
            to_field = torch.empty_like(field)
            transposed = pointwise.T.contiguous()
            for chunk, part in zip(chunks, parts, strict=True):
                out = transform.analyse_adjoint(to_spectrum[:, :, :, chunk], to_field[chunk])
                _points(out).baddbmm_(_repeated(transposed, out), _points(part))
        return to_field, to_weight, to_pointwise, to_bias, None, None


class _Projection(Function):
    @staticmethod
    def forward(
        ctx: Any,
        field: Tensor,
        expand: Tensor,
        expand_bias: Tensor,
        project: Tensor,
        project_bias: Tensor,
        differentiable: bool,
    ) -> Tensor:
        field = field.contiguous()
        batch, _, ny, nx = field.shape
        solution = field.new_empty(batch, 1, ny * nx)
        chunks = _chunks(batch, len(expand) * ny * nx, field.device)
        # Computing them again for the derivative would be a quarter of the projection's products.
        kept = field.new_empty(batch, len(expand), ny * nx) if differentiable else None
        for chunk in chunks:
            points = _points(field[chunk])
            out = None if kept is None else kept[chunk]
            before = torch.baddbmm(expand_bias[:, None], _repeated(expand, points), points, out=out)
            hidden = _gelu_into(before, out=before if kept is None else torch.empty_like(before))
            torch.baddbmm(project_bias, _repeated(project, hidden), hidden, out=solution[chunk])
        ctx.save_for_backward(field, expand, project, kept)
        return solution.view(batch, ny, nx)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        field, expand, project, kept = ctx.saved_tensors
        batch, _, ny, nx = field.shape
        gradient = gradient.reshape(batch, 1, ny * nx)
        to_field = torch.empty_like(field)
        to_expand, to_project = torch.zeros_like(expand), torch.zeros_like(project)
        to_expand_bias = expand.new_zeros(len(expand))
        transposed = expand.T.contiguous()
        for chunk in _chunks(batch, len(expand) * ny * nx, field.device):
            before = kept[chunk]
            to_project += torch.bmm(gradient[chunk], torch.ops.aten.gelu(before).mT).sum(dim=0)
            part = project.T * gradient[chunk]
            _gelu_backward_into(part, before, grad_input=part)
            to_expand += torch.bmm(part, _points(field[chunk]).mT).sum(dim=0)
            to_expand_bias += part.sum(dim=(0, 2))
            torch.bmm(_repeated(transposed, part), part, out=_points(to_field[chunk]))
        return to_field, to_expand, to_expand_bias, to_project, gradient.sum().view(1), None


def _chunks(batch: int, values: int, device: torch.device) -> list[slice]:
    """Return slices of samples of so many `values` that fit the cache; all samples at once on a GPU."""
    cached = CACHED_VALUES * torch.get_num_threads()
    step = max(1, cached // max(1, values)) if device.type == "cpu" else max(1, batch)
    return [slice(start, start + step) for start in range(0, batch, step)]


def _points(field: Tensor) -> Tensor:
    """Return a contiguous (B, d, ny, nx) as (B, d, ny nx)."""
    return field.view(*field.shape[:2], field.shape[2] * field.shape[3])


def _repeated(matrix: Tensor, field: Tensor) -> Tensor:
    """Return a matrix as one for each sample of `field`, without copying it."""
    return matrix.expand(len(field), *matrix.shape)
