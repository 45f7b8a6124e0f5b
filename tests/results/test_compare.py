"""Per-sample scores and paired comparison."""

import re

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from factories import make_evaluation, make_model, make_run
from torch import nn

from pdebench_fm.cli import main
from pdebench_fm.cli.console import console
from pdebench_fm.data.training_manifest import TrainingManifest, stream_of
from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.evaluation.evaluate import evaluate_suite
from pdebench_fm.models.candidate import Candidate
from pdebench_fm.physics import SampleKey, solve
from pdebench_fm.results.compare import compare
from pdebench_fm.results.evaluation import Evaluation, read_evaluation
from pdebench_fm.results.intervals import interval_of_difference
from pdebench_fm.results.result import read_result
from pdebench_fm.results.samples import SCHEMA, read_samples, samples_path


class Noisy(nn.Module):
    """The exact solution but for noise, of an amount that is trained."""

    def __init__(self, amount, seed):
        super().__init__()
        self.amount = nn.Parameter(torch.tensor(amount))
        self.seed = seed

    def forward(self, source, coefficients):
        _, solution = solve(source.double(), coefficients.double())
        noise = torch.randn(solution.shape, generator=torch.Generator().manual_seed(self.seed), dtype=torch.float64)
        size = solution.square().mean(dim=(1, 2), keepdim=True).sqrt()
        return (solution + self.amount * size * noise).float()


@pytest.fixture
def kept(tmp_path, small_task, quick_recipes):  # noqa: ARG001 (the recipes are quick)
    """Evaluate and write a model; return the result's path."""

    def keep(name, amount, seed, task="poisson-ood/medium", sampling_seed=0):
        candidate = Candidate(Noisy(amount, seed), name, torch.device("cpu"))
        (evaluation,) = evaluate_suite([candidate], [small_task(task, sampling_seed)], [0, 4], track="lite", seeds=2)
        evaluation.write(tmp_path / f"{name}.json")
        return tmp_path / f"{name}.json"

    return keep


def test_per_sample_scores_give_the_results_means_back(kept, small_task):
    path = kept("a", 0.1, 1)
    result, table = read_result(path), pq.read_table(path.with_name("a.samples.parquet"))
    assert table.schema.equals(SCHEMA)
    assert table.num_rows == 16 * 3
    frame = table.to_pandas()
    assert list(frame["parameter"][:16]) == small_task().test_parameters("lite")
    for cell in result.cells:
        mine = frame[(frame["start"] == cell.start) & (frame["shots"] == cell.shots) & (frame["seed"] == cell.seed)]
        assert list(mine["index"]) == list(range(16))
        for name in SCHEMA.names[5:]:
            assert mine[name].mean() == pytest.approx(getattr(cell.metrics, f"{name}_mean"), rel=1e-14)


def test_the_better_of_two_models_is_named_with_the_paired_difference(kept):
    better, worse = kept("better", 0.1, 1), kept("worse", 0.12, 2)
    comparison = compare(better, worse)
    assert [(row.start, row.shots) for row in comparison.differences] == [("pretrained", 0), ("pretrained", 4)]
    row = comparison.differences[0]
    errors = [
        read_samples(samples_path(path)).to_pandas().query("shots == 0")["relative_l2"] for path in (better, worse)
    ]
    assert row.mean == pytest.approx((errors[0] - errors[1]).mean())
    assert row.low < row.mean < row.high < 0
    assert row.better == 1
    assert compare(worse, better).differences[0].better == 2


def test_models_that_differ_by_chance_cannot_be_told_apart(kept):
    row = compare(kept("a", 0.1, 1), kept("b", 0.1, 3)).differences[0]
    assert row.low < 0 < row.high
    assert row.better is None


def test_seeds_are_averaged_for_each_sample(kept):
    row = compare(kept("a", 0.1, 1), kept("b", 0.1, 2)).differences[1]
    frame = read_samples(samples_path(kept("a", 0.1, 1))).to_pandas().query("shots == 4")
    assert row.first == pytest.approx(frame.groupby("index")["relative_l2"].mean().mean())


def test_what_differs_from_seed_to_seed_is_no_difference_of_models(tmp_path):
    """Two models whose seeds differ by a fifth, on the same rows: 1.4 % between their means are nothing."""
    paths = tmp_path / "a.json", tmp_path / "b.json"
    for path, errors in zip(paths, ((0.08, 0.1, 0.12), (0.0811, 0.1014, 0.1217)), strict=True):
        make_evaluation(model=path.stem, runs=[make_run(errors)]).write(path)
    (row,) = compare(*paths).differences
    assert row.better is None
    assert row.covers == "seeds and samples"
    # of one seed each the interval can only be of samples, and says so
    (alone,) = compare(*(keep_first_seed(path) for path in paths)).differences
    assert (alone.better, alone.covers, alone.seeds) == (1, "samples", (1, 1))


def keep_first_seed(path):
    other = path.with_stem(f"{path.stem}-first")
    result = read_result(path)
    make_evaluation(model=result.model, runs=[make_run((result.cells[0].metrics.relative_l2_mean,))]).write(other)
    return other


def test_the_interval_is_that_of_all_seeds_and_samples(kept):
    paths = kept("a", 0.1, 1), kept("b", 0.12, 2)
    row = compare(*paths).differences[1]
    errors = [
        np.stack([of_seed["relative_l2"].to_numpy() for _, of_seed in frame.query("shots == 4").groupby("seed")])
        for frame in (read_samples(samples_path(path)).to_pandas() for path in paths)
    ]
    assert (row.low, row.high) == pytest.approx(interval_of_difference(*errors))
    assert row.seeds == (2, 2)


def test_what_was_scored_on_other_rows_is_refused(kept, tmp_path):
    first = kept("a", 0.1, 1)
    with pytest.raises(UsageError, match="different tasks, poisson-ood/medium and poisson-ood/hard"):
        compare(first, kept("b", 0.1, 2, "poisson-ood/hard"))
    with pytest.raises(UsageError, match=r"different test rows \(recipe digests\)"):
        compare(first, kept("c", 0.1, 2, sampling_seed=3))
    evaluation = read_evaluation(first)
    other = evaluation.result.model_copy(update={"track": "full", "resolution": 128})
    Evaluation(other, evaluation.samples).write(tmp_path / "full.json")
    with pytest.raises(UsageError, match="different tracks"):
        compare(first, tmp_path / "full.json")


def test_scores_that_are_missing_damaged_or_anothers_are_refused(kept):
    first, second = kept("a", 0.1, 1), kept("b", 0.2, 2)
    samples_path(first).write_bytes(samples_path(second).read_bytes())
    with pytest.raises(PdefmError, match=r"does not hold the scores of a\.json"):
        compare(first, second)
    samples_path(first).write_bytes(b"PAR1")
    with pytest.raises(PdefmError, match="cannot be read as Parquet"):
        compare(first, second)
    samples_path(first).unlink()
    with pytest.raises(UsageError, match="no per-sample scores at"):
        compare(first, second)


def test_results_without_a_setting_in_common_are_refused(tmp_path):
    for name, run in (("zero", make_run((0.1,), shots=0)), ("four", make_run(shots=4))):
        make_evaluation(runs=[run]).write(tmp_path / f"{name}.json")
    with pytest.raises(UsageError, match="no start and number of shots in common"):
        compare(tmp_path / "zero.json", tmp_path / "four.json")


def adapted(path, other, fingerprint, **changes):
    """The evaluation in a file, of the model with this fingerprint, adapted in another way; where it is written to."""
    evaluation = read_evaluation(path)
    changes |= {"model": evaluation.result.model.model_copy(update={"model_id": "a", "fingerprint": fingerprint})}
    Evaluation(evaluation.result.model_copy(update=changes), evaluation.samples).write(other)
    return other


A, B = "aa" * 32, "bb" * 32
OPEN = {"method": "symmetric", "division": "open", "method_fingerprint": "cd" * 32}
WAYS = {
    "the paper's recipe": {"method": "paper", "division": "unranked"},
    "an open method": OPEN,
    "a method of one's own": OPEN | {"method": "mine:adapt"},
}


def test_two_models_whose_method_cannot_be_known_again_are_not_adapted_alike(kept, tmp_path):
    unknown = OPEN | {"method": "mine:adapt", "method_fingerprint": None}
    first = adapted(kept("a", 0.1, 1), tmp_path / "first.json", A, **unknown)
    other = adapted(kept("b", 0.2, 2), tmp_path / "other.json", B, **unknown)
    with pytest.raises(UsageError, match="different models, and of different ways of adapting them"):
        compare(first, other)
    again = adapted(kept("c", 0.2, 3), tmp_path / "again.json", A, **unknown)
    assert len(compare(first, again).differences) == 2


@pytest.mark.parametrize("way", WAYS)
def test_ways_of_adapting_one_model_are_compared_and_two_models_only_if_adapted_alike(way, kept, tmp_path, capsys):
    first = adapted(kept("a", 0.1, 1), tmp_path / "first.json", A)
    worse = kept("b", 0.2, 2)
    other = adapted(worse, tmp_path / "other.json", B, **WAYS[way])
    with pytest.raises(UsageError, match=r"different models, and of different ways of adapting them \(v1 \(closed\)"):
        compare(first, other)
    same = adapted(worse, tmp_path / "same.json", A, **WAYS[way])
    assert compare(first, same).differences[0].better == 1
    assert main(["compare", str(first), str(same)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "A: a by v1 (closed)" in said
    assert f"B: a by {WAYS[way]['method']} (" in said
    assert "a by v1 (closed) is better: its error is lower by" in said


def test_two_versions_of_a_method_are_two_ways_and_an_unknown_model_is_not_known_again(kept, tmp_path):
    path, edited = kept("a", 0.1, 1), OPEN | {"method_fingerprint": "ab" * 32}
    first, second = adapted(path, tmp_path / "one.json", A, **OPEN), adapted(path, tmp_path / "two.json", A, **edited)
    assert compare(first, second).differences[0].mean == 0
    unknown = adapted(path, tmp_path / "3.json", None, **OPEN), adapted(path, tmp_path / "4.json", None, **edited)
    with pytest.raises(UsageError, match=r"\(symmetric \(open, version cdcdcdcd\) and symmetric \(open, version abab"):
        compare(*unknown)


def test_the_command_says_plainly_which_is_better(kept, capsys):
    better, worse, same = kept("better", 0.1, 1), kept("worse", 0.2, 2), kept("same", 0.1, 3)
    assert main(["compare", str(better), str(worse)]) == 0
    (share, least, most) = re.search(
        r"pretrained, 0 shots: better is better: its error is lower by (\d\d) % of the other's \((\d\d) to (\d\d) %\)",
        " ".join(capsys.readouterr().out.split()),
    ).groups()
    assert 45 < int(least) <= int(share) <= int(most) < 55
    assert int(share) in (49, 50)
    assert main(["compare", str(better), str(same)]) == 0
    assert "they can't be told apart" in capsys.readouterr().out
    assert main(["compare", str(better), str(better) + "x"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_command_says_where_seeds_are_not_known_of_and_rows_are_not_the_standard_ones(tmp_path, capsys):
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    for path, error in zip(paths, (0.1, 0.2), strict=True):
        make_evaluation(model=path.stem, runs=[make_run((error,))], track="full", test_rows=64).write(path)
    assert main(["compare", *map(str, paths)]) == 0
    output = " ".join(capsys.readouterr().out.split())
    assert re.search(
        r"a is better: its error is lower by 50 % of the other's \(4\d to 5\d %\) \(one seed of a and b: how", output
    )
    assert "not the full track's standard rows: 64 test rows instead of 4096" in output


def test_the_command_says_whose_test_rows_were_trained_on(tmp_path, capsys):
    seen = TrainingManifest(trained=(stream_of(SampleKey("poisson", "in-domain", "test"), range(100), 64),))
    for name, training in (("leaky", seen), ("clean", None)):
        model = make_model(name, training=training)
        make_evaluation(model=model, runs=[make_run((0.1,))]).write(tmp_path / f"{name}.json")
    assert main(["compare", str(tmp_path / "clean.json"), str(tmp_path / "leaky.json")]) == 0
    said = "B: 100 of its 512 test rows were trained on or looked at"
    assert said in " ".join(capsys.readouterr().out.split())


def test_the_command_names_files_with_their_dates_where_there_are_too_many(tmp_path, capsys):
    paths = [tmp_path / f"{name}.json" for name in "abc"]
    for path in paths:
        make_evaluation(runs=[make_run()]).write(path)
    assert main(["compare", *map(str, paths)]) == 2
    assert re.search(r"name two of a\.json \(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\), b\.json \(", capsys.readouterr().err)


def test_the_comparison_of_models_with_long_names_fits_a_terminal(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(console, "width", 80)
    names = ["some-organisation/a-model-with-a-long-name", "other-organisation/a-model-with-a-longer-name"]
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    for path, name, error in zip(paths, names, (0.1, 0.2), strict=True):
        make_evaluation(model=name, runs=[make_run((error, error * 1.01, error * 0.99))]).write(path)
    assert main(["compare", *map(str, paths)]) == 0
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert [f"A: {names[0]}", f"B: {names[1]}"] == lines[1:3]
    (row,) = [line for line in lines if line.startswith("│")]  # one setting is one line
    assert "0.100" in row
    assert "0.200" in row


def test_files_are_named_by_text_too(kept):
    first, second = kept("a", 0.1, 1), kept("b", 0.2, 2)
    assert compare(str(first), str(second)) == compare(first, second)
    assert read_evaluation(str(first)).result == read_result(str(first)) == read_result(first)
