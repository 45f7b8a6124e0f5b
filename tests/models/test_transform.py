"""The truncated transform against NumPy's, and its adjoints against the definition of an adjoint."""

import numpy as np
import pytest
import torch

from pdebench_fm.models.transform import analyse, fourier_matrices, mix, mix_adjoint, synthesise

GRIDS = [(3, 6, 6), (3, 7, 9), (4, 16, 11), (2, 5, 4), (1, 2, 2), (1, 3, 5), (8, 64, 64)]


def random(*shape):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


def matrices_of(modes, ny, nx):
    return fourier_matrices((ny, nx), modes, torch.device("cpu"), torch.float64)


@pytest.mark.parametrize(("modes", "ny", "nx"), GRIDS)
def test_analysis_gives_the_low_modes_of_the_fast_fourier_transform(modes, ny, nx):
    field = random(2, 3, ny, nx)
    matrices = matrices_of(modes, ny, nx)
    spectrum = analyse(field, matrices.to_kx, matrices.ky).numpy()
    everything = np.fft.fft2(field.numpy())
    for row, ky in enumerate([*range(modes), *range(-modes, 0)]):
        for kx in range(modes):
            found = spectrum[row, kx, 0] + 1j * spectrum[row, kx, 1]
            np.testing.assert_allclose(found, everything[:, :, ky, kx], rtol=0, atol=1e-11)


@pytest.mark.parametrize(("modes", "ny", "nx"), GRIDS)
def test_synthesis_undoes_analysis_of_a_band_limited_field(modes, ny, nx):
    y, x = np.meshgrid(np.arange(ny) / ny, np.arange(nx) / nx, indexing="ij")
    field = np.full((ny, nx), 0.3)
    for ky in range(1 - modes, modes):
        for kx in range(modes):
            field += np.cos(2 * np.pi * (ky * y + kx * x) + ky - 2 * kx) / (1 + kx + abs(ky))
    field = torch.from_numpy(field)[None, None]
    matrices = matrices_of(modes, ny, nx)
    back = synthesise(analyse(field, matrices.to_kx, matrices.ky), matrices.ky, matrices.from_kx)
    torch.testing.assert_close(back, field, rtol=0, atol=1e-13)


@pytest.mark.parametrize(("modes", "ny", "nx"), GRIDS)
@pytest.mark.parametrize("direction", ["to_kx", "from_kx"])
def test_analysis_and_synthesis_with_the_same_matrices_are_adjoint(modes, ny, nx, direction):
    field, spectrum = random(2, 3, ny, nx), random(2 * modes, modes, 2, 2, 3)
    matrices = matrices_of(modes, ny, nx)
    along_x = getattr(matrices, direction)
    left = (analyse(field, along_x, matrices.ky) * spectrum).sum()
    right = (field * synthesise(spectrum, matrices.ky, along_x)).sum()
    torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-12)


def test_mixing_is_the_complex_matrix_product_of_each_mode():
    spectrum, weight = random(4, 2, 2, 5, 3), random(2, 4, 2, 3, 6)
    mixed = mix(spectrum, weight)
    expected = torch.einsum(
        "yxbi,yxio->yxbo", torch.complex(spectrum[:, :, 0], spectrum[:, :, 1]), torch.complex(weight[0], weight[1])
    )
    torch.testing.assert_close(torch.complex(mixed[:, :, 0], mixed[:, :, 1]), expected, rtol=0, atol=1e-13)


def test_the_adjoint_of_mixing_is_what_automatic_differentiation_finds():
    spectrum, weight = random(4, 2, 2, 5, 3).requires_grad_(), random(2, 4, 2, 3, 6).requires_grad_()
    gradient = random(4, 2, 2, 5, 6)
    expected = torch.autograd.grad(mix(spectrum, weight), (spectrum, weight), gradient)
    found = mix_adjoint(gradient, spectrum.detach(), weight.detach())
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)


def test_matrices_made_in_inference_mode_can_be_trained_through():
    fourier_matrices.cache_clear()
    with torch.inference_mode():
        matrices = matrices_of(2, 6, 6)
    field = random(1, 1, 6, 6).requires_grad_()
    analyse(field, matrices.to_kx, matrices.ky).sum().backward()
    assert field.grad is not None
