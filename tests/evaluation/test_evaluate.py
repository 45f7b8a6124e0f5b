"""The evaluation as a whole: what it scores, that it repeats, and where rows may come from."""

import pytest
import torch

from pdebench_fm.data.build import BuildPlan, build
from pdebench_fm.data.catalogue import DATASETS
from pdebench_fm.data.digest import recipe_digest
from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.evaluation import held
from pdebench_fm.evaluation.evaluate import evaluate
from pdebench_fm.files import sha256_of
from pdebench_fm.physics import SampleKey, sample
from pdebench_fm.protocol.task import load_task, rows_at
from pdebench_fm.results.evaluation import read_evaluation

TASK = "poisson-ood/medium"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    rows = {"train": 32, "test": 24}
    return build(BuildPlan(DATASETS["poisson-ood"], ("medium",), rows, 128), tmp_path_factory.mktemp("data"))


def scores(evaluation):
    return [(*cell.key, cell.metrics) for cell in evaluation.result.cells]


def test_zero_shot_score_is_the_mean_relative_error_over_the_test_rows(model):
    task = load_task(TASK)
    result = evaluate(model, task, track="lite").result
    assert (result.test_rows, result.resolution, result.task) == (512, 64, TASK)
    rows = sample(SampleKey("poisson", "medium", "test"), range(512))
    source = torch.from_numpy(rows.source[:, ::2, ::2].copy())
    solution = torch.from_numpy(rows.solution[:, ::2, ::2].copy()).double()
    with torch.no_grad():
        predicted = model(source, torch.from_numpy(rows.draws.coefficients)).double()
    expected = ((predicted - solution).flatten(1).norm(dim=1) / solution.flatten(1).norm(dim=1)).mean()
    assert result.runs[0].summary.mean == pytest.approx(float(expected), rel=1e-5)
    assert [(run.start, run.shots, len(run.seeds)) for run in result.runs] == [("pretrained", 0, 1)]


def test_a_result_names_weights_rows_and_versions(model, model_folder):
    result = evaluate(model, load_task(TASK), track="lite").result
    assert result.model.model_id == "fno-tiny"
    assert result.model.weights_sha256 == sha256_of(model_folder / "model.safetensors")
    assert result.dataset.recipe_digest == recipe_digest(SampleKey("poisson", "medium", "test"), 512)
    assert result.dataset.origin == "recipe"
    assert result.dataset.train_rows == 32768
    assert [cell.environment.libraries["torch"] for cell in result.cells] == [torch.__version__]


@pytest.mark.usefixtures("quick_recipes")
def test_few_shot_runs_are_beside_scratch_runs_and_repeat_exactly(model):
    task = load_task(TASK)
    first = evaluate(model, task, [0, 4], track="lite", seeds=2)
    assert [(run.start, run.shots, len(run.seeds)) for run in first.runs] == [
        ("pretrained", 0, 1),
        ("pretrained", 4, 2),
        ("scratch", 4, 2),
    ]
    torch.randn(3)  # the global generator's state must not matter
    assert scores(evaluate(model, task, [0, 4], track="lite", seeds=2)) == scores(first)
    errors = [cell.metrics.relative_l2_mean for cell in first.result.cells_of(first.runs[1])]
    assert errors[0] != errors[1]


def seeds_of(evaluation):
    return {cell.key: cell.metrics.relative_l2_mean for cell in evaluation.result.cells}


@pytest.mark.usefixtures("quick_recipes")
def test_scores_agree_between_numbers_of_threads(model, small_task):
    task = small_task()
    found = [
        seeds_of(evaluate(model, task, [0, 4], track="lite", seeds=1, scratch=False, threads=threads))
        for threads in (1, 2)
    ]
    assert torch.get_num_threads() == 1
    for setting, errors in found[0].items():
        assert found[1][setting] == pytest.approx(errors, rel=1e-4), setting


@pytest.mark.usefixtures("quick_recipes")
def test_the_papers_recipe_is_named_in_the_result_and_looks_at_the_validation_split(model, small_task, monkeypatch):
    looked_at = []

    def recorded(rows, indices, track):
        looked_at.append((rows.key.split, len(indices)))
        return rows_at(rows, indices, track)

    monkeypatch.setattr(held, "rows_at", recorded)
    protocol = evaluate(model, small_task(), 6, track="lite", seeds=1)
    assert looked_at == [("train", 6)]
    paper = evaluate(model, small_task(), 6, track="lite", seeds=1, recipe="paper")
    assert looked_at[1:] == [("train", 6), ("validation", 16)]
    assert [(each.result.method, each.result.division) for each in (protocol, paper)] == [
        ("v1", "closed"),
        ("paper", "unranked"),
    ]
    assert seeds_of(paper) != seeds_of(protocol)


@pytest.mark.usefixtures("quick_recipes")
def test_evaluating_leaves_the_model_as_it_was(model):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    evaluate(model, load_task(TASK), 4, track="lite", seeds=1, scratch=False)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.usefixtures("quick_recipes")
def test_stored_rows_give_the_same_scores_as_made_ones_and_the_result_says_so(model, built):
    task = load_task(TASK, str(built))
    stored = evaluate(model, task, track="lite").result
    made = evaluate(model, load_task(TASK), track="lite").result
    assert stored.test_rows == 24
    assert stored.dataset.origin == "rows"
    assert stored.dataset.location == "poisson-ood"
    assert stored.dataset.recipe_digest == recipe_digest(SampleKey("poisson", "medium", "test"), 24)
    assert stored.dataset.train_rows == 32
    assert stored.model == made.model
    batch, expected = task.test_batch("lite"), load_task(TASK).test_batch("lite")[:24]
    assert torch.equal(batch.source, expected.source)
    assert torch.equal(batch.solution, expected.solution)


def test_the_parent_folder_of_a_build_names_it_too(built):
    assert load_task(TASK, str(built.parent)).test.size == 24


def test_support_larger_than_a_stored_train_split_is_refused(model, built):
    with pytest.raises(UsageError, match="at most 32"):
        evaluate(model, load_task(TASK, str(built)), 33, track="lite")


def test_a_build_of_another_dataset_or_regime_is_refused(built):
    with pytest.raises(PdefmError, match="holds poisson-ood, not helmholtz-ood"):
        load_task("helmholtz-ood/medium", str(built))
    with pytest.raises(PdefmError, match="no hard/train"):
        load_task("poisson-ood/hard", str(built))


@pytest.mark.usefixtures("quick_recipes")
def test_results_survive_the_round_trip_to_disk(model, tmp_path):
    evaluation = evaluate(model, load_task(TASK), 4, track="lite", seeds=2)
    assert evaluation.write(tmp_path / "result.json") == tmp_path / "result.json"
    read = read_evaluation(tmp_path / "result.json")
    assert read.result == evaluation.result
    assert read.samples.equals(evaluation.samples)


def test_a_private_seed_gives_other_rows():
    published, private = load_task(TASK), load_task(TASK, seed=1234)
    assert published.recipe_digest("lite") != private.recipe_digest("lite")
