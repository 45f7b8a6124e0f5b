"""Runs that share test rows: how far they are paired by them, and the file that holds their errors by row."""

import math

import numpy as np
import pytest
from studies_rows import key, row

from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.results.intervals import interval_of_difference, interval_of_mean
from pdebench_fm.studies.by_row import by_row_text, read_by_row
from pdebench_fm.studies.measures import bootstrapped, largest_ratio, log_ratio
from pdebench_fm.studies.table import table_of

A, B = key(), key(model="other")
RATIO = [A, B], lambda errors: errors[A] / errors[B]


def run_of(of, errors):
    """A run with errors (seeds, rows), as an evaluation would sum it up, and its errors by row."""
    low, high = (float(end) for end in interval_of_mean(errors))
    mean = float(errors.mean())
    return row(of, mean, low=low, high=high, seeds=len(errors), test_rows=errors.shape[1]), errors.mean(axis=0)


def table(**errors_of):
    """A table of runs by the names A and B."""
    runs = {of: run_of(of, errors_of[name]) for name, of in (("A", A), ("B", B)) if name in errors_of}
    return table_of([each for each, _ in runs.values()], {of: by_row for of, (_, by_row) in runs.items()})


def drawn(seed, seeds=1, rows=400, share=0.9, of_seeds=0.0, ratio=1.0):
    """Errors of two runs, (seeds, rows) each, whose logarithms are correlated by `share` over the rows."""
    random = np.random.default_rng(seed)
    common = random.standard_normal(rows)
    sides = []
    for level in (0.1 * ratio, 0.1):
        own = random.standard_normal(rows)
        logs = 0.7 * (math.sqrt(share) * common + math.sqrt(1 - share) * own)
        sides.append(level * np.exp(logs + of_seeds * random.standard_normal((seeds, 1))))
    return dict(zip("AB", sides, strict=True))


def test_the_ratio_of_a_run_to_one_with_the_same_errors_is_known_exactly():
    errors = drawn(0)["A"]
    found = bootstrapped(table(A=errors, B=errors), *RATIO)
    assert found.value == 1.0
    assert (found.low, found.high) == (pytest.approx(1.0, abs=1e-6), pytest.approx(1.0, abs=1e-6))
    alone = bootstrapped(table_of([run_of(A, errors)[0], run_of(B, errors)[0]]), *RATIO)
    assert alone.high > 1.05  # which is what independent runs of that error would tell


def test_a_zero_shot_ratio_is_known_as_well_as_the_paired_difference():
    """Where two means are alike, the logarithm of their ratio is their difference over the mean."""
    errors = drawn(1)
    low, high = interval_of_difference(errors["A"], errors["B"])
    middle, deviation = log_ratio(table(**errors), A, B)
    assert 1.96 * deviation == pytest.approx((high - low) / 2 / errors["B"].mean(), rel=0.05)
    assert middle == pytest.approx(math.log(errors["A"].mean() / errors["B"].mean()))


@pytest.mark.parametrize("seeds", [1, 3])
def test_intervals_of_ratios_hold_the_true_ratio_and_are_narrower_than_of_independent_runs(seeds):
    held = narrower = 0
    for seed in range(200):
        errors = drawn(seed, seeds, of_seeds=0.0 if seeds == 1 else 0.03, ratio=2.0)
        paired = table(**errors)
        found, alone = (bootstrapped(each, *RATIO) for each in (paired, table_of(list(paired.values()))))
        held += found.low <= 2.0 <= found.high
        narrower += math.log(found.high / found.low) < 0.9 * math.log(alone.high / alone.low)
    assert held >= 181  # 95 % less three standard deviations of the count
    if seeds == 1:  # Student's t of three seeds makes intervals wider than 95 %
        assert held <= 199
    assert narrower == 200


def test_what_seeds_do_is_not_shared():
    errors = drawn(2, seeds=3, share=1.0, of_seeds=0.3)
    _, deviation = log_ratio(table(**errors), A, B)
    single = [log_ratio(table_of([run]), run.key, run.key)[0] for run in table(**errors).values()]
    assert single == [0.0, 0.0]
    means = [np.log(each.mean(axis=1)) for each in errors.values()]
    assert deviation > math.sqrt(sum(each.var(ddof=1) / 3 for each in means))


def test_runs_of_different_tasks_are_independent_and_a_longer_track_shares_its_first_rows():
    errors = drawn(3, share=1.0)["A"]
    elsewhere, longer = key(task="poisson-ood/hard"), key(track="full")
    halves = run_of(longer, errors), run_of(elsewhere, errors), run_of(A, errors[:, :200])
    found = table_of([each for each, _ in halves], {run.key: by_row for run, by_row in halves})
    _, covariance = found.log_errors([longer, elsewhere, A])
    assert covariance[0, 1] == covariance[1, 2] == 0.0
    correlation = covariance[0, 2] / math.sqrt(covariance[0, 0] * covariance[2, 2])
    assert correlation == pytest.approx(math.sqrt(0.5), abs=0.05)  # of 400 rows the mean of 200 tells half
    assert np.linalg.eigvalsh(covariance).min() > 0.0


def test_the_largest_ratio_pairs_runs_too():
    errors = drawn(4, share=0.99, ratio=1.1)
    paired = table(**errors)
    assert largest_ratio(paired, [(A, B)]).low > 1.0
    assert largest_ratio(table_of(list(paired.values())), [(A, B)]).low < 1.0


def test_the_largest_of_many_ratios_is_seldom_taken_for_a_difference_where_each_has_three_seeds():
    claimed = 0
    for seed in range(60):
        runs, pairs = [], []
        for pair in range(40):
            pairs.append((key(task=f"system/{pair}"), key(task=f"system/{pair}", model="other")))
            errors = drawn((seed, pair), seeds=3, rows=32, share=0.99, of_seeds=0.3)
            runs += [run_of(of, errors[name]) for name, of in zip("AB", pairs[-1], strict=True)]
        whole = table_of([each for each, _ in runs], {each.key: by_row for each, by_row in runs})
        claimed += largest_ratio(whole, pairs).low > 1.0
    assert claimed <= 8  # 5 % and three standard deviations of the count; by quantiles of a normal distribution 11


def test_runs_without_an_error_have_an_interval_of_nothing():
    perfect = np.zeros((1, 50))
    found = bootstrapped(table(A=perfect, B=drawn(5)["B"]), *RATIO)
    assert found.low <= found.value <= found.high < 1e-90
    over = bootstrapped(table(A=drawn(5)["B"], B=perfect), *RATIO)  # not divided by 0
    assert 1e90 < over.low <= over.value <= over.high < math.inf
    assert bootstrapped(table(A=perfect, B=perfect), *RATIO).value == 1.0


def test_intervals_do_not_follow_from_the_signs_or_the_order_that_a_library_gives_eigenvectors(monkeypatch):
    whole = table(**drawn(8, seeds=3, of_seeds=0.1))
    found = bootstrapped(whole, *RATIO)
    eigh = np.linalg.eigh

    def elsewhere(matrix):
        values, vectors = eigh(matrix)
        return values[::-1], -vectors[:, ::-1]

    monkeypatch.setattr(np.linalg, "eigh", elsewhere)
    again = bootstrapped(whole, *RATIO)
    assert (again.low, again.high) == (pytest.approx(found.low, rel=1e-12), pytest.approx(found.high, rel=1e-12))


def test_errors_by_row_come_back_from_their_file(tmp_path):
    whole = table(**drawn(6))
    path = tmp_path / "rows.csv"
    path.write_text(by_row_text(whole.by_row))
    found = read_by_row(path, list(whole.values()))
    assert list(found) == [A, B]
    for of, errors in found.items():
        assert errors == pytest.approx(whole.by_row[of], rel=1e-5)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: text.replace("other", "another"), "line 3: no run of the study"),
        (lambda text: text + text.splitlines()[1] + "\n", "line 4: there twice"),
        (lambda text: text.rpartition("other")[0], "has no errors of other"),
        (lambda text: text.replace("poisson-ood/medium,pre", "poisson-ood/medium,un"), "line 2: no run of the study"),
        (lambda text: text.replace(",0,v1", ",none,v1"), "line 2: no run of the study"),
        (lambda text: text.replace("lite,", "lite,1", 1), r"line 2: not 400 errors with the mean 0\."),
        (lambda text: text.replace("lite,", "lite,x", 1), "line 2: an error should be a number"),
        (lambda text: text.replace("lite,", "lite,nan,", 1), "line 2: an error should be a number"),
        (lambda text: text.replace("lite,", "lite,1_0,", 1), "line 2: an error should be a number"),
        (lambda text: text.replace("lite,", "lite,\u0661,", 1), "line 2: an error should be a number"),
        (lambda text: text.replace("lite,", "lite,1.2.3,", 1), "line 2: could not convert"),
        (lambda text: text.replace("lite,", "lite,,", 1), "line 2: could not convert"),
        (lambda text: text.replace("lite,", "lite,1e400,", 1), r"line 2: an error should be from 0 to 1e\+90"),
        (lambda text: text.replace("lite,0", "lite,-0", 1), r"line 2: an error should be from 0 to 1e\+90"),
        (lambda text: text.replace(",0,v1", f",{'9' * 5000},v1", 1), "line 2: no run of the study"),
        (lambda text: text.replace(",0,v1", ",\u0660,v1", 1), "line 2: no run of the study"),
        (lambda text: text.replace("\nm,", '\n"m\n",', 1), "line 3: no run of the study"),
        (lambda text: text.replace("\nm,", f"\n{'m' * 200_000},", 1), "line 2: field larger than"),
        (lambda text: text.replace("\n", "\n\n", 1), "line 2: no run of the study"),
        (lambda text: text.replace("\n", "\r"), "line 1: new-line character"),
        (lambda text: text.replace("model,task", "task,model", 1), "line 1: the columns should be model,task,start"),
        (lambda text: text.replace(",399", "", 1), "line 1: the columns should be model,task,start"),
        (lambda text: text.partition("\n")[2], "line 1: the columns should be model,task,start"),
        (lambda text: "\ufeff" + text, "line 1: the columns should be model,task,start"),
        (lambda _: "", "line 1: the columns should be model,task,start"),
        (lambda _: "\udcff", "cannot read .*: it is not UTF-8 text"),
    ],
)
def test_a_file_of_errors_by_row_that_is_not_of_the_runs_is_refused_by_line(tmp_path, change, told):
    whole = table(**drawn(7))
    path = tmp_path / "rows.csv"
    path.write_bytes(change(by_row_text(whole.by_row)).encode(errors="surrogateescape"))
    with pytest.raises(PdefmError, match=told) as refused:
        read_by_row(path, list(whole.values()))
    assert "\n" not in str(refused.value)


def test_errors_by_row_that_are_not_there_are_told(tmp_path):
    with pytest.raises(UsageError, match="run the study first"):
        read_by_row(tmp_path / "rows.csv", [])
