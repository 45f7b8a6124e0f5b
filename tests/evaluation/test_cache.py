"""What is kept is found again for the same cell, and for no other one, whatever has happened to its files."""

import hashlib
import io
import json
import shutil
import tracemalloc
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from few_rows import FewRows
from torch import nn

from pdebench_fm.evaluation.cache import CellCache
from pdebench_fm.evaluation.cell import Scored, cell_key
from pdebench_fm.evaluation.evaluate import evaluate_suite
from pdebench_fm.evaluation.provenance import provenance_here
from pdebench_fm.evaluation.suite import plan
from pdebench_fm.models import NeuralOperator, candidate_of, load_model, open_candidate
from pdebench_fm.protocol.metric_names import METRIC_NAMES
from pdebench_fm.protocol.task import EvaluationTask


def cell_of(model, task, shots=0):
    suite = plan([model], [task], shots, track="lite", seeds=1)
    return suite.cells(*suite.candidates, task)[0]


def scored(level):
    return Scored(
        {name: np.linspace(level, 2 * level, 16) for name in METRIC_NAMES}, provenance_here(torch.device("cpu"), 1.0)
    )


@pytest.fixture
def two_cells(small_task, model, tmp_path):
    """Two kept cells of one shape, and their files."""
    cache = CellCache(tmp_path)
    cells = cell_of(candidate_of(model), small_task()), cell_of(candidate_of(model), small_task("poisson-ood/hard"))
    for cell, level in zip(cells, (1.0, 2.0), strict=True):
        cache.store(cell, scored(level))
    files = [{end: next(tmp_path.rglob(f"{cell_key(cell)}.{end}")) for end in ("json", "parquet")} for cell in cells]
    return cache, cells, files


def test_a_kept_cell_is_found_again(two_cells):
    cache, cells, _ = two_cells
    for cell, level in zip(cells, (1.0, 2.0), strict=True):
        found = cache.load(cell)
        assert all(np.array_equal(found.errors[name], scored(level).errors[name]) for name in METRIC_NAMES)


@pytest.mark.parametrize("settings", [{"recipe": "v1"}, {"recipe": "paper"}, {"adaptation": "symmetric"}], ids=str)
@pytest.mark.parametrize("start", ["pretrained", "scratch"])
def test_a_cell_is_kept_whatever_it_was_adapted_by(settings, start, small_task, model, tmp_path):
    suite = plan([candidate_of(model)], [small_task()], 4, track="lite", seeds=1, **settings)
    (cell,) = (cell for cell in suite.cells(*suite.candidates, *suite.tasks) if cell.start == start)
    cache = CellCache(tmp_path)
    cache.store(cell, scored(1.0))
    assert cache.load(cell) is not None


def move_both(first, second):
    for end in ("json", "parquet"):
        shutil.copy(second[end], first[end])


def move_entry(first, second):
    shutil.copy(second["json"], first["json"])


def move_scores(first, second):
    shutil.copy(second["parquet"], first["parquet"])


def other_inputs(first, second):
    entry = json.loads(first["json"].read_text())
    entry["inputs"]["seed"] += 1
    first["json"].write_text(json.dumps(entry))
    del second


def other_scores_of_the_same_means(first, second):
    """The same errors in another order: every aggregate agrees."""
    table = pq.read_table(first["parquet"])
    pq.write_table(table.take(list(reversed(range(table.num_rows)))), first["parquet"])
    del second


def cut_short(first, second):
    first["parquet"].write_bytes(first["parquet"].read_bytes()[:100])
    del second


def no_entry(first, second):
    first["json"].write_text("{")
    del second


@pytest.mark.parametrize(
    "mishap",
    [move_both, move_entry, move_scores, other_inputs, other_scores_of_the_same_means, cut_short, no_entry],
)
def test_files_that_are_not_this_cells_are_not_taken_for_it(mishap, two_cells):
    cache, (first, second), files = two_cells
    mishap(*files)
    assert cache.load(first) is None
    assert cache.load(second) is not None


def resealed(files, content):
    """Put other scores in a cell's place, with the digest that makes them its own."""
    files["parquet"].write_bytes(content)
    entry = json.loads(files["json"].read_text())
    entry["scores_sha256"] = hashlib.sha256(content).hexdigest()
    files["json"].write_text(json.dumps(entry))


def parquet(columns, **options):
    sink = io.BytesIO()
    pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), sink, **options)
    return sink.getvalue()


USUAL = pa.default_memory_pool()
COUNTED = pa.proxy_memory_pool(USUAL)  # which knows how much was ever taken from it
BOMBS = {
    "a column of words": lambda rows: {
        **dict.fromkeys(METRIC_NAMES[1:], [1.0] * rows),
        METRIC_NAMES[0]: ["0" * (2 << 20)] * rows,
    },
    "a column of lists": lambda rows: {
        **dict.fromkeys(METRIC_NAMES[1:], [1.0] * rows),
        METRIC_NAMES[0]: [np.zeros(1 << 18)] * rows,
    },
    "a column too many": lambda rows: {**dict.fromkeys(METRIC_NAMES, [1.0] * rows), "more": ["0" * (2 << 20)] * rows},
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_small_file_that_unfolds_to_a_large_one_is_not_unfolded(two_cells, bomb):
    cache, (cell, _), (files, _) = two_cells
    content = parquet(BOMBS[bomb](16), compression="zstd", use_dictionary=False)
    assert len(content) < 1 << 20 < 16 << 20 < pq.read_metadata(io.BytesIO(content)).row_group(0).total_byte_size
    resealed(files, content)
    pa.set_memory_pool(COUNTED)
    try:
        assert cache.load(cell) is None
    finally:
        pa.set_memory_pool(USUAL)
    assert COUNTED.max_memory() < 4 << 20


@pytest.mark.parametrize("end", ["json", "parquet"])
def test_a_file_that_is_too_large_for_a_cell_is_not_read(two_cells, end):
    cache, (cell, other), (files, _) = two_cells
    with files[end].open("r+b") as file:
        file.truncate(3 << 30)  # of zeros, which take no room on the disk
    tracemalloc.start()
    assert cache.load(cell) is None
    assert tracemalloc.get_traced_memory()[1] < 10 << 20
    tracemalloc.stop()
    assert cache.load(other) is not None


@pytest.mark.parametrize("rows", [15, 17])
def test_scores_of_another_number_of_rows_are_not_taken(two_cells, rows):
    cache, (cell, _), (files, _) = two_cells
    resealed(files, parquet(dict.fromkeys(METRIC_NAMES, [1.0] * rows), compression="none"))
    assert cache.load(cell) is None


def test_compressed_scores_are_not_taken_even_if_they_are_right(two_cells):
    cache, (cell, _), (files, _) = two_cells
    table = pq.read_table(files["parquet"])
    resealed(files, parquet(table, compression="none"))
    assert cache.load(cell) is not None
    resealed(files, parquet(table, compression="zstd"))
    assert cache.load(cell) is None


class Pointwise(nn.Module):
    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(1.5))

    def forward(self, source, _):
        return source * self.factor


class Counting(Pointwise):
    calls = 0

    def forward(self, source, _):
        self.calls += 1
        return source * self.factor * self.calls


CALLS = []


class CountingElsewhere(Pointwise):
    def forward(self, source, _):
        CALLS.append(1)
        return source * len(CALLS)


class Wandering(Pointwise):
    def forward(self, source, _):
        with torch.no_grad():
            self.factor *= 2
        return source * self.factor


@pytest.mark.parametrize("kind", [Counting, CountingElsewhere, Wandering])
def test_nothing_is_kept_of_a_model_that_changes_while_it_is_used(kind, small_task, tmp_path, caplog):
    evaluate_suite([kind()], [small_task(), small_task("poisson/in-domain")], track="lite", cache=CellCache(tmp_path))
    assert list(tmp_path.iterdir()) == []
    assert len([record for record in caplog.records if "changed while it was used" in record.message]) == 1


def score(model, task, tmp_path, **options):
    (evaluation,) = evaluate_suite([model], [task], track="lite", seeds=1, cache=CellCache(tmp_path), **options)
    return evaluation.result.runs[0].summary.mean


def changed_models():
    zoo = "fno-mixed-64k"

    class Doubled(NeuralOperator):
        def forward(self, source, coefficients):
            return 2 * super().forward(source, coefficients)

    def of(model, change):
        change(model)
        return model

    def module(factor):
        model = Pointwise()
        model.k = factor
        model.forward = lambda source, _: model.k * source
        return model

    def listed(factor):
        model = Pointwise()
        model.parts = [nn.Sequential(), module(factor)]
        model.forward = lambda *arguments: model.parts[1](*arguments)  # noqa: PLW0108 (looked up late)
        return model

    yield "subclass", load_model(zoo), Doubled.from_source(load_model(zoo).source)
    yield "hook", load_model(zoo), of(load_model(zoo), lambda m: m.register_forward_hook(lambda *a: 2 * a[2]))
    yield "attribute", module(1.0), module(2.0)
    yield "plain list", listed(1.0), listed(2.0)
    yield "baselines", open_candidate("oracle"), open_candidate("zero")
    yield "baselines too", open_candidate("mean"), open_candidate("zero")


@pytest.mark.parametrize(("first", "second"), [pair[1:] for pair in changed_models()])
def test_models_of_equal_weights_get_their_own_scores_from_one_cache(first, second, small_task, tmp_path):
    apart = [score(model, small_task(), tmp_path / str(i)) for i, model in enumerate((first, second))]
    assert apart[0] != apart[1]
    for _ in range(2):
        assert [score(model, small_task(), tmp_path / "one") for model in (first, second)] == apart


def test_weights_that_change_after_a_candidate_was_made_are_scored_as_they_are(small_task, tmp_path):
    model = Pointwise()
    candidate = candidate_of(model, "mine")
    before = score(candidate, small_task(), tmp_path)
    with torch.no_grad():
        model.factor += 1
    after = score(candidate, small_task(), tmp_path)
    assert before != after == score(candidate_of(model), small_task(), tmp_path)


@dataclass(frozen=True)
class Louder(FewRows):
    factor: float = 2.0

    def batch(self, indices):
        batch = super().batch(indices)
        return type(batch)(batch.source, batch.coefficients, self.factor * batch.solution)


def test_rows_that_somebodys_code_makes_are_known_by_that_code(small_task, model):
    task = small_task()
    rows = [task.test, Louder(task.test.key), Louder(task.test.key, factor=3.0), FewRows(task.test.key, count=8)]
    keys = [cell_key(cell_of(candidate_of(model), EvaluationTask(task.task, task.train, test))) for test in rows]
    assert None not in keys
    assert len(set(keys)) == len(keys)

    class Unknown(FewRows):
        state = (i for i in range(3))

    assert cell_key(cell_of(candidate_of(model), EvaluationTask(task.task, task.train, Unknown(task.test.key)))) is None


def test_it_is_said_once_and_why_that_a_model_is_not_kept(small_task, tmp_path):
    notes = []
    tasks = [small_task(), small_task("poisson/in-domain")]
    given = {"track": "lite", "on_note": notes.append}
    evaluate_suite([lambda source, _: source], tasks, **given)
    assert notes == []  # nothing is kept anyway
    evaluate_suite([lambda source, _: source], tasks, cache=CellCache(tmp_path), **given)
    why = "it is a function given without a fingerprint"
    assert notes == [f"lambda cannot be known again ({why}), so its runs are not kept"]
