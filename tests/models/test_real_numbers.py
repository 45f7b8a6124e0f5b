"""Programs without complex numbers compute what the programs with them do, operator by operator."""

# ruff: noqa: ARG001, ARG005 (a model is called with all, whatever it needs)

import pytest
import torch
from torch import fft, nn

from pdebench_fm.models import real_numbers
from pdebench_fm.models.real_numbers import ComplexOperatorError, InRealNumbers, fourier_matrix, has_complex_numbers

N = 6


class Model(nn.Module):
    def __init__(self, compute):
        super().__init__()
        self.compute = compute
        generator = torch.Generator().manual_seed(3)
        self.w = nn.Parameter(torch.randn(N, N, dtype=torch.cfloat, generator=generator))
        self.register_buffer("k", torch.randn(N, generator=generator))

    def forward(self, source, coefficients):
        return self.compute(self, source, coefficients)


def padded(m, f, c):
    h = fft.rfft2(f)
    out = torch.zeros(*h.shape, dtype=h.dtype)
    out[:, :2, :2] = torch.einsum("bxy,xy->bxy", h[:, :2, :2], m.w[:2, :2])
    out[:, -2:, :2] = h[:, -2:, :2] * m.w[-2:, :2].conj()
    return fft.irfft2(out, s=f.shape[-2:])


MODELS = {
    "one axis": lambda m, f, c: fft.irfft(fft.rfft(f, dim=1) * m.w[:4, :1], n=N, dim=1),
    "an odd number of points": lambda m, f, c: fft.irfft(fft.rfft(f[..., :5]) * m.w[0, :3], n=5),
    "two axes": lambda m, f, c: fft.irfft2(fft.rfft2(f) * m.w[:, :4], s=(N, N)),
    "scaled as the paper": lambda m, f, c: fft.irfft2(fft.rfft2(f, norm="forward") * m.w[:, :4], norm="forward"),
    "scaled by the root": lambda m, f, c: fft.irfft2(fft.rfft2(f, norm="ortho") / m.w[:, :4], norm="ortho"),
    "complex transforms": lambda m, f, c: fft.ifft2(fft.fft2(f) * m.w).real + fft.fft(f).imag,
    "shifted": lambda m, f, c: fft.ifft2(fft.ifftshift(fft.fftshift(fft.fft2(f)) * m.w)).imag,
    "a part set": padded,
    "matrices": lambda m, f, c: (fft.fft2(f) @ m.w - m.w @ f.to(torch.cfloat)).abs(),
    "sums of squares": lambda m, f, c: torch.view_as_real(fft.fft2(f) ** 2 + 1j * f - (2 - 1j)).sum(-1),
    "by frequencies": lambda m, f, c: fft.ifft(2j * torch.pi * fft.fftfreq(N) * fft.fft(f)).real,
    "by half the frequencies": lambda m, f, c: fft.irfft(1j * fft.rfftfreq(N, 0.5) * fft.rfft(f), n=N),
    "polar": lambda m, f, c: torch.polar(f.abs(), f).real + torch.angle(torch.complex(f, m.k + f)),
    "exponentials": lambda m, f, c: torch.exp(1j * f * m.k).imag + torch.reciprocal(fft.fft(f) + 3).real,
    "put together": lambda m, f, c: torch.cat([fft.fft(f)[..., :2], fft.fft(f)[..., 2:]], -1).roll(1, -1).mT.real,
    "stacked": lambda m, f, c: torch.stack([fft.fft(f), f * m.w]).mean(0).conj().imag,
    "filled": lambda m, f, c: (torch.full((N,), 2 - 3j) * fft.fft(f) + torch.full_like(m.w, 1j)).real,
    "chosen": lambda m, f, c: torch.where(f > 0, fft.fft(f), m.w.expand(len(f), N, N)).real,
    "lengthened": lambda m, f, c: fft.irfft(nn.functional.pad(fft.rfft(f), (0, 2)), n=2 * N)[..., ::2],
    "shortened": lambda m, f, c: fft.irfft2(fft.rfft2(f), s=(N, 4)),
    "rearranged": lambda m, f, c: fft.fft(f).permute(0, 2, 1).reshape(len(f), N * N).unflatten(1, (N, N)).real,
    "coefficients": lambda m, f, c: (fft.fft(f) * c[:, :1, None] / (1 + c[:, 1:2, None] ** 2)).real,
}


def inputs():
    generator = torch.Generator().manual_seed(4)
    return torch.randn(2, N, N, generator=generator), torch.randn(2, 6, generator=generator)


def program_of(compute):
    with torch.no_grad():
        return torch.export.export(Model(compute), inputs(), strict=False).run_decompositions()


@pytest.mark.parametrize("kind", MODELS)
def test_pairs_of_real_numbers_give_what_complex_ones_do(kind):
    program = program_of(MODELS[kind])
    assert has_complex_numbers(program)
    found, expected = InRealNumbers(program)(*inputs()), Model(MODELS[kind])(*inputs())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected.detach(), rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


def test_what_is_left_has_no_complex_numbers():
    real = InRealNumbers(program_of(MODELS["a part set"]))
    real(*inputs())
    with torch.no_grad():
        again = torch.export.export(real, inputs(), strict=False)
    assert not has_complex_numbers(again)


def test_an_operator_without_a_real_form_is_named():
    program = program_of(lambda m, f, c: torch.tanh(fft.fft(f)).real)
    with pytest.raises(ComplexOperatorError, match=r"aten\.tanh\.default of complex numbers has no form"):
        InRealNumbers(program)(*inputs())


def test_a_complex_solution_is_none():
    with pytest.raises(ComplexOperatorError, match="it returns complex numbers"):
        InRealNumbers(program_of(lambda m, f, c: fft.fft(f)))(*inputs())


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_the_matrices_are_those_of_the_transform(n):
    signal = torch.randn(3, n, dtype=torch.float64)
    half = [torch.from_numpy(fourier_matrix(f"half_{kind}", n)).double() for kind in ("cos", "sin")]
    spectrum = fft.rfft(signal)
    torch.testing.assert_close(signal @ half[0], spectrum.real, atol=1e-6, rtol=0)
    torch.testing.assert_close(-signal @ half[1], spectrum.imag, atol=1e-6, rtol=0)
    back = [torch.from_numpy(fourier_matrix(f"back_{kind}", n)).double() for kind in ("cos", "sin")]
    again = (spectrum.real @ back[0] - spectrum.imag @ back[1]) / n
    torch.testing.assert_close(again, signal, atol=1e-6, rtol=0)


def test_every_rule_is_that_of_an_operator_of_pytorch():
    names = {*real_numbers._PARTWISE, *real_numbers._RULES, *real_numbers._FOURIER, *real_numbers._FREQUENCIES}
    assert not [name for name in names if not hasattr(torch.ops.aten, name)]
