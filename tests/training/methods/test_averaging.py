"""Averages over symmetries: what they are, that they are equivariant, and that nothing is computed in vain."""

import pytest
import torch
from pointwise import Pointwise

from pdebench_fm.data.batches import batch_of, concatenate
from pdebench_fm.models import HomogeneousNormaliser, ModelConfig, NeuralOperator
from pdebench_fm.models.export import TOLERANCE, export_model
from pdebench_fm.physics import SampleKey, registered_system, sample
from pdebench_fm.physics.symmetries import symmetries_of
from pdebench_fm.training.methods import averaging
from pdebench_fm.training.methods.averaging import SymmetryAveraged

GROUP = registered_system("poisson").symmetry_group


def rows(system, count=3):
    return batch_of(sample(SampleKey(system, "medium", "test"), range(count), 64))


def operator(frame="given"):
    torch.manual_seed(1)
    scales = HomogeneousNormaliser(coefficient_scales=(0.02, 0.02, 0.01, 0.1, 0.1, 6.0))
    return NeuralOperator(ModelConfig(width=4, modes=4, layers=2, normaliser=scales, frame=frame)).eval()


def average_one_by_one(model, batch, group=GROUP):
    predictions = []
    for symmetry in group:
        predicted = model(symmetry.of_field(batch.source), symmetry.of_coefficients(batch.coefficients))
        (undo,) = (other for other in group if other.element.after(symmetry.element) == GROUP[0].element)
        predictions.append(undo.of_field(predicted))
    return torch.stack(predictions).mean(dim=0)


class Asked(torch.nn.Module):
    """Counts the problems that a module is given."""

    def __init__(self, module):
        super().__init__()
        self.module, self.calls = module, []

    def forward(self, source, coefficients):
        self.calls.append(len(source))
        return self.module(source, coefficients)


@pytest.mark.parametrize("system", ["poisson", "advection-diffusion", "helmholtz"])
@torch.no_grad()
def test_it_is_the_mean_of_the_predictions_that_are_transformed_back(system):
    batch, model = rows(system), operator()
    found = SymmetryAveraged(model, GROUP)(batch.source, batch.coefficients)
    torch.testing.assert_close(found, average_one_by_one(model, batch), atol=1e-5, rtol=1e-5)
    assert (found - model(batch.source, batch.coefficients)).abs().max() > 1e-3


@torch.no_grad()
def test_a_transformed_problem_has_the_transformed_average():
    batch, model = rows("advection-diffusion"), SymmetryAveraged(operator(), GROUP)
    plain = model(batch.source, batch.coefficients)
    for symmetry in GROUP:
        turned = model(symmetry.of_field(batch.source), symmetry.of_coefficients(batch.coefficients))
        torch.testing.assert_close(turned, symmetry.of_field(plain), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_the_model_is_called_once_where_that_is_not_too_much_at_once(monkeypatch):
    batch, asked = rows("poisson"), Asked(Pointwise())
    at_once = SymmetryAveraged(asked, GROUP)(batch.source, batch.coefficients)
    assert asked.calls == [24]
    monkeypatch.setattr(averaging, "_POINTS_AT_ONCE", 7 * 64 * 64)
    in_parts = SymmetryAveraged(asked, GROUP)(batch.source, batch.coefficients)
    assert asked.calls == [24, 6, 6, 6, 6]
    torch.testing.assert_close(at_once, in_parts)


@pytest.mark.parametrize("frame", ["square", "lattice"])
@pytest.mark.parametrize(("system", "asked"), [("advection-diffusion", 3), ("poisson", 6), ("helmholtz", 24)])
@torch.no_grad()
def test_what_a_frame_has_built_in_is_not_averaged_over(frame, system, asked, monkeypatch):
    seen = []
    solve = NeuralOperator._solve

    def counted(model, source, coefficients):
        seen.append(len(source))
        return solve(model, source, coefficients)

    batch, model = rows(system), operator(frame)
    whole = average_one_by_one(model, batch)
    monkeypatch.setattr(NeuralOperator, "_solve", counted)
    found = SymmetryAveraged(model, GROUP)(batch.source, batch.coefficients)
    assert sum(seen) == asked
    torch.testing.assert_close(found, whole, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_of_mixed_problems_each_has_its_own_average():
    model = operator("square")
    parts = [rows(system, 2) for system in ("advection-diffusion", "poisson", "helmholtz")]
    together = concatenate(parts)
    found = SymmetryAveraged(model, GROUP)(together.source, together.coefficients)
    expected = torch.cat([average_one_by_one(model, part) for part in parts])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_tensors_that_different_symmetries_leave_alone_do_not_weigh_on_each_other():
    model, batch = operator("square"), rows("poisson", 2)
    batch.coefficients[:, :3] = torch.tensor([[0.04, 0.02, 0.0], [0.03, 0.03, 0.01]])  # along the axes; the diagonal
    found = SymmetryAveraged(model, GROUP)(batch.source, batch.coefficients)
    torch.testing.assert_close(found, average_one_by_one(model, batch), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("frame", ["square", "lattice"])
@torch.no_grad()
def test_a_frame_that_takes_transformed_problems_to_others_spares_nothing(frame):
    model, batch = operator(frame), rows("advection-diffusion", 4)
    batch.coefficients[:, 4] = 0.0  # a velocity along an axis, and a tensor that is not: two frames are as good
    expected = average_one_by_one(model, batch)
    assert (model(batch.source, batch.coefficients) - expected).abs().max() > 1e-3
    torch.testing.assert_close(SymmetryAveraged(model, GROUP)(batch.source, batch.coefficients), expected)

    # a system whose coefficients stand in the places of others, and so become others than the frame takes them for
    group = symmetries_of({"flip-x": ("-v1", "v2", "D"), "exchange": ("v2", "v1", "D")}, ("v1", "v2", "D"))
    batch.coefficients[:, :3] = torch.tensor(
        [[0.5, -0.3, 0.01], [0.2, 0.4, 0.01], [-0.3, -0.2, 0.01], [1.0, 0.0, 0.01]]
    )
    batch.coefficients[:, 3:] = 0.0
    found = SymmetryAveraged(model, group)(batch.source, batch.coefficients)
    torch.testing.assert_close(found, average_one_by_one(model, batch, group), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("frame", ["given", "lattice"])
def test_it_is_written_as_a_graph(frame, tmp_path):
    model = SymmetryAveraged(operator(frame), GROUP).eval()
    assert export_model(model, "torch-export", tmp_path / "averaged.pt2", 16) < TOLERANCE


@torch.no_grad()
def test_a_subclass_may_do_anything_so_nothing_is_left_out():
    class Otherwise(NeuralOperator):
        def forward(self, source, coefficients):
            return source * coefficients[:, :1, None] * torch.linspace(0, 1, source.shape[-1])

    batch, model = rows("advection-diffusion"), Otherwise(operator("square").config)
    found = SymmetryAveraged(model, GROUP)(batch.source, batch.coefficients)
    torch.testing.assert_close(found, average_one_by_one(model, batch))
