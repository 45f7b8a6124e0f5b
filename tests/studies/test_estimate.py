"""Estimates: as many cells as are run, and operations that follow from the shape of the networks."""

import pytest

from pdebench_fm.studies.estimate import SUSTAINED_FLOPS, Cost, costs_of, flops_of, total
from pdebench_fm.studies.study import load_study


def by_hand(width, modes, n, layers=4):
    """Operations of a forward pass in matrix products: a product of (a, b) and (b, c) has 2abc."""
    points = n * n
    pointwise = 2 * points * (7 * width + layers * width**2 + 2 * width**2 + 2 * width)
    mixing = layers * 8 * 2 * modes * modes * width**2
    return pointwise, mixing


@pytest.mark.parametrize("n", [32, 64])
def test_operations_are_those_of_pointwise_maps_mixing_and_transforms(n):
    pointwise, mixing = by_hand(16, 4, n)
    counted = flops_of((16, 4), n)
    transforms = 4 * 2 * 2 * 16 * (n * n * 2 * 4 + n * 8 * 2 * 4 * 2)  # of 4 layers, there and back, by products
    assert 0.8 * (pointwise + mixing) < counted < 1.2 * (pointwise + mixing + transforms)


def test_cells_are_those_of_the_study_and_passes_those_of_its_recipes(tiny_file, tmp_path):
    by_paper = tiny_file(
        ("    scratch: true", "    scratch: true\n    method: paper"),
        ("of: {start: pretrained}", "of: {start: pretrained, method: paper}"),
        ("to: {start: scratch}", "to: {start: scratch, method: paper}"),
        ("shots: 4}", "shots: 4, method: paper}"),
        ("start: scratch}\n    above", "start: scratch, method: paper}\n    above"),
    )
    (cost,) = costs_of(load_study(by_paper, "smoke"), tmp_path, timed=False)
    assert cost.cells == 2 * (1 + 2 * 2 * 2)
    # 5 learning rates of 500 epochs, each of all shots in one batch, and a look at 8 validation rows after it
    adapted = sum(3 * 2500 * shots + 2500 * 8 + 8 for shots in (4, 8))
    assert cost.passes == 2 * (8 + 2 * 2 * adapted)
    assert cost.flops > 0
    assert cost.seconds is None


def test_a_pretraining_counts_its_coarse_and_its_fine_steps(tiny_file, tmp_path):
    said = "{pretrain: {family: poisson, size: 64k, steps: 10, batch_size: 4, coarse_share: 0.5}}"
    study = load_study(tiny_file(("{open: MODEL}", said)), "smoke")
    first, _ = costs_of(study, tmp_path, timed=False)
    assert (first.what, first.cells, first.passes) == ("pretrain tiny", 0, 3 * 10 * 4)
    assert first.flops == pytest.approx(3 * 5 * 4 * (flops_of((16, 4), 32) + flops_of((16, 4), 64)))
    assert first.gpu_hours == pytest.approx(first.flops / SUSTAINED_FLOPS / 3600)


def test_what_is_not_known_of_a_part_is_not_known_of_the_whole():
    known, unknown = Cost("a", 1, 2.0, 3.0, 4.0), Cost("b", 1, 2.0, None, 4.0)
    assert total([known, unknown]) == Cost("all", 2, 4.0, None, 8.0)
    assert total([known, known]).gpu_hours == pytest.approx(6.0 / SUSTAINED_FLOPS / 3600)
