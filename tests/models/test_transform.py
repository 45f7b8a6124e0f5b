"""The truncated transform against NumPy's, and its adjoints against the definition of an adjoint."""

import numpy as np
import pytest
import torch

from pdebench_fm.models.modes import mix, mix_adjoint
from pdebench_fm.models.transform import FastTransform, MatrixTransform, transform_of

GRIDS = [(3, 6, 6), (3, 7, 9), (4, 16, 11), (2, 5, 4), (1, 2, 2), (1, 3, 5), (8, 64, 64)]


def random(*shape):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


def transform(modes, ny, nx, implementation="auto"):
    return transform_of((ny, nx), modes, torch.device("cpu"), torch.float64, implementation)


both = pytest.mark.parametrize("implementation", ["dft", "fft"])


@both
@pytest.mark.parametrize(("modes", "ny", "nx"), GRIDS)
def test_analysis_gives_the_low_modes_of_the_whole_transform(modes, ny, nx, implementation):
    field = random(2, 3, ny, nx)
    spectrum = transform(modes, ny, nx, implementation).analyse(field).numpy()
    everything = np.fft.fft2(field.numpy())
    for row, ky in enumerate([*range(modes), *range(-modes, 0)]):
        for kx in range(modes):
            found = spectrum[row, kx, 0] + 1j * spectrum[row, kx, 1]
            np.testing.assert_allclose(found, everything[:, :, ky, kx], rtol=0, atol=1e-11)


@both
@pytest.mark.parametrize(("modes", "ny", "nx"), GRIDS)
def test_synthesis_undoes_analysis_of_a_band_limited_field(modes, ny, nx, implementation):
    y, x = np.meshgrid(np.arange(ny) / ny, np.arange(nx) / nx, indexing="ij")
    field = np.full((ny, nx), 0.3)
    for ky in range(1 - modes, modes):
        for kx in range(modes):
            field += np.cos(2 * np.pi * (ky * y + kx * x) + ky - 2 * kx) / (1 + kx + abs(ky))
    field = torch.from_numpy(field)[None, None]
    there = transform(modes, ny, nx, implementation)
    back = there.synthesise(there.analyse(field))
    torch.testing.assert_close(back, field, rtol=0, atol=1e-13)


@both
@pytest.mark.parametrize(("modes", "ny", "nx"), GRIDS)
@pytest.mark.parametrize("direction", ["analyse", "synthesise"])
def test_the_adjoints_are_adjoint(modes, ny, nx, direction, implementation):
    field, spectrum = random(2, 3, ny, nx), random(2 * modes, modes, 2, 2, 3)
    there = transform(modes, ny, nx, implementation)
    if direction == "analyse":
        left = (there.analyse(field) * spectrum).sum()
        right = (field * there.analyse_adjoint(spectrum)).sum()
    else:
        left = (there.synthesise_adjoint(field) * spectrum).sum()
        right = (field * there.synthesise(spectrum)).sum()
    torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-12)


@both
@pytest.mark.parametrize("direction", ["synthesise", "analyse_adjoint"])
def test_a_field_is_written_where_it_is_wanted(implementation, direction):
    spectrum = random(6, 3, 2, 2, 3)
    apply = getattr(transform(3, 7, 9, implementation), direction)
    out = torch.empty(2, 3, 7, 9, dtype=torch.float64)
    apply(spectrum, out)
    assert torch.equal(out, apply(spectrum))


def test_few_modes_are_formed_by_matrix_products_and_many_by_whole_transforms():
    assert isinstance(transform(8, 64, 64), MatrixTransform)
    assert isinstance(transform(80, 256, 256), FastTransform)


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
