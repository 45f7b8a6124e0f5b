"""Tasks of plug-ins are evaluated like the benchmark's: by their own operator, and never from scores of another one."""

import sys

import numpy as np
import pytest
from drums import DRUM

from pdebench_fm.data.batches import Batch
from pdebench_fm.errors import UsageError
from pdebench_fm.evaluation.cell import Cell, Scored, cell_key
from pdebench_fm.evaluation.orders import compute_order, order_of
from pdebench_fm.evaluation.settings import RunSettings
from pdebench_fm.models.references import open_candidate
from pdebench_fm.protocol.metrics import sample_errors
from pdebench_fm.protocol.names import task_names
from pdebench_fm.protocol.task import load_task


def cell_of(task):
    return Cell(open_candidate("zero"), task, RunSettings(track="lite"), "pretrained", 0, 0)


def forget(registry):
    """Leave the plug-in unknown, as it is in a new process."""
    registry.pop("drum")
    for name in [name for name in sys.modules if name.startswith("pdefm_user_")]:
        del sys.modules[name]


def test_a_name_of_a_system_stands_for_its_regimes_and_all_for_the_benchmark_alone(plugin):
    plugin(DRUM.replace('"far-2"', '"pretrain"'))
    assert task_names(["drum"]) == ["drum/near"]
    assert task_names(["drum/pretrain"]) == ["drum/pretrain"]
    assert not [name for name in task_names(["all"]) if "drum" in name]


def test_scores_use_the_systems_own_symbol(plugin):
    plugin()
    task = load_task("drum/near")
    batch = task.test.batch(range(4))
    symbol = task.task.dataset.system.symbol
    assert sample_errors(batch.solution, batch, symbol)["residual"].max() < 1e-4
    doubled = Batch(batch.source, 2 * batch.coefficients, batch.solution)
    np.testing.assert_allclose(sample_errors(batch.solution, doubled, symbol)["residual"], 1.0, rtol=1e-3)


def test_a_score_is_not_taken_for_that_of_another_definition(plugin, registry):
    keys = set()
    for text in (DRUM, DRUM, DRUM.replace("tension *", "1.01 * tension *"), DRUM.replace("Range(0.5", "Range(0.4")):
        plugin(text)
        keys.add(cell_key(cell_of(load_task("drum/near"))))
        forget(registry)
    assert len(keys) == 3


def test_a_worker_of_a_cluster_is_told_of_the_plugin(plugin, registry, monkeypatch):
    plugin()
    cell = cell_of(load_task("drum/near"))
    order = order_of(cell, {cell.candidate: "zero"})
    forget(registry)
    monkeypatch.delenv("PDEFM_PLUGINS")
    outcome = compute_order(order)
    assert isinstance(outcome, Scored)
    np.testing.assert_allclose(outcome.errors["relative_l2"], 1.0)


@pytest.mark.parametrize(
    ("expression", "words"),
    [("k.kx.astype(float) ** 2 + k.ky**2", "cannot take"), ("squares(k)", "gives something else")],
)
def test_a_symbol_that_cannot_be_scored_with_is_refused_before_an_evaluation(expression, words, plugin):
    wrong = "def squares(k):\n    return (k.kx**2 + k.ky**2) * (1 if type(k.kx) is np.ndarray else 2)\n\ndef symbol("
    plugin(DRUM.replace("k.kx**2 + k.ky**2", expression).replace("def symbol(", wrong))
    with pytest.raises(UsageError, match=words):
        load_task("drum/near")
