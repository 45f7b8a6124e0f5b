"""The spectral convolution: two implementations and an independent one agree, and the grid does not matter."""

import cmath
import math

import numpy as np
import pytest
import torch

from pdebench_fm.errors import UsageError
from pdebench_fm.models.spectral import SpectralConvolution
from pdebench_fm.models.transform import transform_of

GRIDS = [(3, 6, 6), (3, 7, 9), (4, 16, 11), (2, 5, 4), (1, 2, 2), (1, 3, 5), (4, 8, 32)]


def convolution(inputs, outputs, modes, implementation="dft"):
    torch.manual_seed(modes)
    return SpectralConvolution(inputs, outputs, modes, implementation=implementation).double()


def definition(field, weight):
    """The convolution of one (ny, nx) field by one channel's weight (2, 2m, m), summed term by term."""
    ny, nx = field.shape
    modes = weight.shape[2]
    result = np.zeros((ny, nx))
    for row, ky in enumerate([*range(modes), *range(-modes, 0)]):
        for kx in range(modes):
            amplitude = sum(
                field[y, x] * cmath.exp(-2j * cmath.pi * (ky * y / ny + kx * x / nx))
                for y in range(ny)
                for x in range(nx)
            )
            amplitude *= complex(*weight[:, row, kx]) / (nx * ny)
            for y in range(ny):
                for x in range(nx):
                    wave = amplitude * cmath.exp(2j * cmath.pi * (ky * y / ny + kx * x / nx))
                    # A real field has the conjugate mode at -k as well; for kx = 0 it is a mode of its own here.
                    result[y, x] += wave.real if kx == 0 else 2 * wave.real
    return result


@pytest.mark.parametrize("implementation", ["dft", "fft"])
@pytest.mark.parametrize(("modes", "ny", "nx"), [(2, 4, 4), (2, 5, 7), (1, 3, 2)])
def test_it_is_the_sum_over_modes_that_defines_it(modes, ny, nx, implementation):
    layer = convolution(2, 1, modes, implementation)
    field = torch.randn(1, 2, ny, nx, dtype=torch.float64)
    weight = layer.weight.detach().numpy()
    expected = sum(definition(field[0, i].numpy(), weight[:, :, :, i, 0]) for i in range(2))
    np.testing.assert_allclose(layer(field)[0, 0].detach(), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("modes", "ny", "nx"), GRIDS)
def test_both_implementations_agree_in_values_and_gradients(modes, ny, nx):
    layer = convolution(3, 2, modes)
    field = torch.randn(4, 3, ny, nx, dtype=torch.float64, requires_grad=True)
    gradient = torch.randn(4, 2, ny, nx, dtype=torch.float64)
    found = []
    for implementation in ("dft", "fft"):
        layer.implementation = implementation
        result = layer(field)
        found.append((result, *torch.autograd.grad(result, (field, layer.weight), gradient)))
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("implementation", ["dft", "fft"])
def test_the_gradients_are_those_of_finite_differences(implementation):
    layer = convolution(2, 2, 2, implementation)
    field = torch.randn(2, 2, 5, 4, dtype=torch.float64, requires_grad=True)

    def convolve(field, weight):
        return torch.func.functional_call(layer, {"weight": weight}, field)

    assert torch.autograd.gradcheck(convolve, (field, layer.weight))
    assert torch.autograd.gradgradcheck(convolve, (field, layer.weight), fast_mode=True)


@pytest.mark.parametrize("implementation", ["dft", "fft"])
def test_matrices_made_in_inference_mode_can_be_trained_through(implementation):
    transform_of.cache_clear()
    layer = convolution(1, 1, 2, implementation)
    field = torch.randn(1, 1, 6, 6, dtype=torch.float64, requires_grad=True)
    with torch.inference_mode():
        layer(field)
    layer(field).sum().backward()
    assert field.grad is not None


@pytest.mark.parametrize("implementation", ["dft", "fft"])
def test_the_same_weights_are_the_same_function_on_every_grid(implementation):
    layer = convolution(2, 3, 4, implementation)
    y, x = torch.meshgrid(*[torch.arange(128, dtype=torch.float64) / 128] * 2, indexing="ij")
    fine = torch.stack([torch.cos(2 * math.pi * (3 * x - 2 * y) + i) + torch.sin(6 * math.pi * y) for i in range(2)])
    on_fine = layer(fine[None])
    for step in (2, 4, 8):
        on_coarse = layer(fine[None, :, ::step, ::step])
        torch.testing.assert_close(on_coarse, on_fine[..., ::step, ::step], rtol=0, atol=1e-13)


def test_high_modes_are_dropped():
    x = torch.arange(32, dtype=torch.float64) / 32
    field = torch.cos(2 * math.pi * 4 * x).expand(1, 1, 32, 32)
    torch.testing.assert_close(convolution(1, 1, 4)(field), torch.zeros_like(field), rtol=0, atol=1e-13)


@pytest.mark.parametrize("shape", [(7, 8), (8, 7)])
def test_a_grid_too_coarse_for_the_modes_is_refused(shape):
    with pytest.raises(UsageError, match=r"grid of \d x \d points cannot carry the model's 4 modes.*at least 8"):
        convolution(1, 1, 4)(torch.zeros(1, 1, *shape, dtype=torch.float64))


def test_fresh_weights_scale_with_the_gain():
    torch.manual_seed(0)
    weight = SpectralConvolution(32, 32, 8, gain=0.5).weight
    assert weight.shape == (2, 16, 8, 32, 32)
    assert weight.std().item() == pytest.approx(0.5 / math.sqrt(2 * 32), rel=0.01)


def test_single_precision_is_as_accurate_as_that_of_the_fast_fourier_transform():
    layer = convolution(8, 8, 4)
    field = torch.randn(2, 8, 64, 64, dtype=torch.float64)
    exact = layer(field)
    layer.float()
    errors = []
    for implementation in ("dft", "fft"):
        layer.implementation = implementation
        errors.append((layer(field.float()) - exact).norm() / exact.norm())
    assert errors[0] < 4 * errors[1] < 1e-5
