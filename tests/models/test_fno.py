"""The network: its fast forms equal its definition, and its sizes are those of the paper."""

import pytest
import torch

from pdebench_fm.errors import UsageError
from pdebench_fm.models import fused
from pdebench_fm.models.fno import FNO
from pdebench_fm.models.sizes import SIZES


def inputs(batch=5, ny=8, nx=11):
    generator = torch.Generator().manual_seed(batch + ny + nx)
    source = torch.randn(batch, ny, nx, dtype=torch.float64, generator=generator).requires_grad_()
    coefficients = torch.rand(batch, 6, dtype=torch.float64, generator=generator).requires_grad_()
    return source, coefficients


def network(layers=4, width=5, modes=3):
    torch.manual_seed(layers)
    return FNO(width, modes, layers).double()


def value_and_gradients(function, net, source, coefficients):
    result = function(source, coefficients)
    weights = torch.linspace(-1, 2, result.numel(), dtype=result.dtype).view_as(result)
    return result, *torch.autograd.grad(result, (source, coefficients, *net.parameters()), weights)


@pytest.mark.parametrize("layers", [1, 2, 4])
@pytest.mark.parametrize("samples_at_a_time", [1, 2, 100])
def test_the_fast_network_equals_its_definition_in_values_and_gradients(monkeypatch, layers, samples_at_a_time):
    monkeypatch.setattr(fused, "CACHED_VALUES", samples_at_a_time * 5 * 8 * 11)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    net = network(layers)
    found = value_and_gradients(net, net, *inputs())
    expected = value_and_gradients(net.forward_plain, net, *inputs())
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)


def test_the_gradients_are_those_of_finite_differences():
    net = network(layers=2, width=2, modes=2)
    source, coefficients = inputs(batch=2, ny=4, nx=5)
    names = [name for name, _ in net.named_parameters()]

    def apply(source, coefficients, *parameters):
        return torch.func.functional_call(net, dict(zip(names, parameters, strict=True)), (source, coefficients))

    assert torch.autograd.gradcheck(apply, (source, coefficients, *net.parameters()), fast_mode=True)


def test_the_coefficients_enter_as_six_constant_channels():
    net = network()
    source, coefficients = inputs()
    channels = torch.cat([source[:, None], coefficients[:, :, None, None].expand(-1, -1, 8, 11)], dim=1)
    lifted = torch.einsum("oi,biyx->boyx", net.lift.weight, channels) + net.lift.bias[:, None, None]
    first = net.layers[0](lifted)
    weight, pointwise, bias = net._lifted_into(net.layers[0], coefficients)
    at_once = fused.fourier_layer(source[:, None], weight, pointwise, bias, activate=False)
    torch.testing.assert_close(at_once, first, rtol=0, atol=1e-12)


def test_gradients_of_some_parameters_only_are_the_same():
    net = network()
    source, coefficients = (value.detach() for value in inputs())
    everything = torch.autograd.grad(net(source, coefficients).square().sum(), list(net.parameters()))
    for name, parameter in net.named_parameters():
        parameter.requires_grad_(name.startswith("project"))
    some = torch.autograd.grad(net(source, coefficients).square().sum(), [net.project.weight, net.project.bias])
    torch.testing.assert_close(some, everything[-2:], rtol=0, atol=0)


def test_the_same_batch_gives_the_same_bits():
    net = network()
    first, second = (value_and_gradients(net, net, *inputs()) for _ in range(2))
    assert all(torch.equal(one, two) for one, two in zip(first, second, strict=True))


def test_the_same_batch_gives_the_same_bits_with_and_without_gradients():
    net = network().float()
    source, coefficients = (value.detach().float() for value in inputs())
    with torch.inference_mode():
        without = net(source, coefficients)
    assert torch.equal(net(source, coefficients), without)


def test_a_sample_does_not_depend_on_its_batch():
    net = network()
    source, coefficients = inputs(batch=6)
    together = net(source, coefficients)
    alone = torch.cat([net(source[i : i + 1], coefficients[i : i + 1]) for i in range(6)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-13)


def test_an_empty_batch_gives_an_empty_solution():
    source, coefficients = inputs(batch=0)
    solution = network()(source, coefficients)
    assert solution.shape == (0, 8, 11)
    solution.sum().backward()
    assert source.grad.shape == source.shape


def test_fields_with_any_strides_are_accepted():
    net = network()
    source, coefficients = inputs()
    wide = torch.stack([source, source], dim=-1).detach()
    expected = net(source, coefficients)
    torch.testing.assert_close(net(wide[..., 1], coefficients), expected, rtol=0, atol=1e-13)
    transposed = source.detach().mT.contiguous().mT
    torch.testing.assert_close(net(transposed, coefficients), expected, rtol=0, atol=1e-13)


def test_a_grid_too_coarse_for_the_modes_is_refused():
    with pytest.raises(UsageError, match="at least 6 points"):
        network()(*inputs(ny=5))


@pytest.mark.parametrize(("name", "millions"), [("64k", 0.07), ("1m", 1.06), ("16m", 16.8), ("256m", 268)], ids=str)
def test_sizes_have_the_papers_parameter_counts(name, millions):
    with torch.device("meta"):
        net = FNO(SIZES[name].width, SIZES[name].modes)
    assert sum(parameter.numel() for parameter in net.parameters()) / 1e6 == pytest.approx(millions, rel=0.04)


def test_sizes_are_found_by_their_own_names():
    assert all(size.name == name for name, size in SIZES.items())
