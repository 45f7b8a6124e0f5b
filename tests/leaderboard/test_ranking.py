"""Rankings of a leaderboard's rows: who is in them, who is not and why, and what they say of each."""

import math
import random

import numpy as np
import pytest
from factories import DIGEST, make_dataset, make_model, make_result, make_run, with_samples

from pdebench_fm.data.catalogue import TASKS
from pdebench_fm.data.training_manifest import TrainingManifest, stream_of
from pdebench_fm.errors import UsageError
from pdebench_fm.leaderboard.ranking import SCOPES, _reaches, rankings, tasks_of
from pdebench_fm.leaderboard.run_scores import run_scores, scores_of
from pdebench_fm.leaderboard.seed_variance import SeededRun, seed_parts
from pdebench_fm.leaderboard.store import Entry, load, row_path
from pdebench_fm.physics import SampleKey
from pdebench_fm.protocol.pinned_digests import PINNED_DIGESTS

POISSON = tasks_of("poisson")


def entry_of(result, errors=None):
    """An entry of the leaderboard; `errors`, (seeds, rows), take the place of its made ones in every run."""
    path = row_path(result)
    scores = scores_of(with_samples(result))
    if errors is not None:
        scores = dict.fromkeys(scores, run_scores(errors))
    return Entry(path, path.parts[1], result, scores=scores)


def entries_of(model, errors, tasks=TASKS, spread=0.3, start="pretrained", shots=8, **changes):
    """Entries of a model on tasks: seeds with these mean errors, lognormal over samples, independent of others'."""
    found = []
    for task in tasks:
        generator = np.random.default_rng([hash_of(str(model)), hash_of(task)])
        noise = np.exp(spread * generator.normal(size=512))
        noise /= noise.mean()
        result = make_result(task, model, [make_run(errors, start, shots)], **changes)
        found.append(entry_of(result, np.array(errors)[:, None] * noise))
    return found


def hash_of(text):
    return int.from_bytes(text.encode()[-12:], "big") % 2**32


def ranked(entries, scope="overall"):
    [ranking] = rankings(entries, [scope])
    return ranking


def places(ranking):
    return [(standing.row.name, standing.rank, standing.tied) for standing in ranking.standings]


GOOD, BAD = (0.1, 0.101, 0.099), (0.5, 0.505, 0.495)


def test_there_is_one_ranking_for_each_way_of_adapting_number_of_shots_and_scope():
    entries = [
        *entries_of("acme/a", GOOD),
        *entries_of("acme/a", (0.2,), shots=0, tasks=POISSON, track="full"),
        *entries_of("acme/a", GOOD, tasks=POISSON[:1], method="symmetric", method_fingerprint=DIGEST),
    ]
    found = [(r.track, r.division, r.method, r.shots, r.scope, len(r.standings)) for r in rankings(entries)]
    assert found == [
        ("full", "closed", "v1", 0, "overall", 0),
        ("full", "closed", "v1", 0, "poisson", 1),
        *[("lite", "closed", "v1", 8, scope, 1) for scope in SCOPES],
        ("lite", "open", "symmetric", 8, "overall", 0),
        ("lite", "open", "symmetric", 8, "poisson", 0),
    ]


def test_the_overall_error_is_the_geometric_mean_over_the_tasks():
    levels = dict(zip(TASKS, (0.01 * 1.5**i for i in range(12)), strict=True))
    ranking = ranked([entry for task, level in levels.items() for entry in entries_of("acme/a", (level,) * 3, [task])])
    [standing] = ranking.standings
    assert standing.error == pytest.approx(math.prod(levels.values()) ** (1 / 12))
    assert standing.digits == pytest.approx(sum(-math.log10(level) for level in levels.values()) / 12)
    assert standing.interval[0] < standing.error < standing.interval[1]
    assert (ranking.tasks, [cell.entry.result.task for cell in standing.cells]) == (tuple(TASKS), list(TASKS))


def test_one_model_alone_is_first():
    [standing] = ranked(entries_of("acme/a", GOOD)).standings
    assert (standing.rank, standing.last_rank, standing.tied) == (1, 1, False)


def test_models_are_ordered_where_they_differ_and_tied_where_they_do_not():
    entries = [
        *entries_of("acme/bad", BAD),
        *entries_of("acme/good", GOOD),
        *entries_of("acme/nearly-as-good", (0.1001, 0.1011, 0.0991)),
    ]
    ranking = ranked(entries)
    assert places(ranking) == [("good", 1, True), ("nearly-as-good", 1, True), ("bad", 3, False)]
    assert [standing.last_rank for standing in ranking.standings] == [2, 2, 3]


def test_a_model_is_a_contender_once_for_each_start():
    entries = [*entries_of("acme/a", GOOD), *entries_of("acme/a", BAD, start="scratch")]
    found = [(standing.row.start, standing.rank) for standing in ranked(entries).standings]
    assert found == [("pretrained", 1), ("scratch", 2)]


def test_identical_models_are_tied():
    one = entries_of(make_model("acme/one"), GOOD)
    other = [
        Entry(row_path(result), "acme", result, scores=entry.scores)
        for entry in one
        for result in [make_result(entry.result.task, make_model("acme/other"), [make_run(GOOD)])]
    ]
    assert places(ranked([*one, *other])) == [("one", 1, True), ("other", 1, True)]


def test_the_order_of_entries_makes_no_difference():
    entries = [
        entry
        for i in range(8)
        for entry in entries_of(f"acme/m{i}", (0.1 + 0.005 * i, 0.1 + 0.006 * i, 0.1 + 0.007 * i), spread=0.8)
    ]
    first = rankings(entries)
    assert len({standing.rank for standing in first[0].standings}) > 1
    for seed in range(3):
        shuffled = entries.copy()
        random.Random(seed).shuffle(shuffled)  # noqa: S311 (nothing is secret)
        assert rankings(shuffled) == first


def test_the_exact_solver_and_zero_have_places():
    zero = [entry_of(make_result(task, "zero", [make_run((1.0,), shots=0)]), np.ones((1, 512))) for task in TASKS]
    exact = entries_of("oracle", (1.1e-7,), shots=0)
    other_exact = entries_of("acme/another-exact-one", (1.9e-7,), shots=0)
    nothing = [
        entry_of(make_result(task, "acme/without-error", [make_run((0.0,), shots=0)]), np.zeros((1, 512)))
        for task in TASKS
    ]
    model = entries_of("acme/model", (0.2,), shots=0)
    ranking = ranked([*zero, *exact, *other_exact, *nothing, *model])
    assert places(ranking) == [
        ("without-error", 1, True),
        ("oracle", 1, True),
        ("another-exact-one", 1, True),
        ("model", 4, False),
        ("zero", 5, False),
    ]
    last, first = ranking.standings[-1], ranking.standings[0]
    assert (last.error, last.interval, last.digits) == (1.0, (1.0, 1.0), 0.0)
    assert (first.error, first.interval, first.digits) == (0.0, (0.0, 0.0), None)


def test_scores_that_do_not_vary_are_ordered_unless_they_differ_by_rounding():
    def constant(model, error):
        return [
            entry_of(make_result(task, model, [make_run((error,), shots=0)]), np.full((1, 512), error))
            for task in TASKS
        ]

    entries = [*constant("acme/a", 1.0), *constant("acme/b", 1.0 - 1e-7), *constant("acme/c", 0.9)]
    assert places(ranked(entries)) == [("c", 1, False), ("b", 2, True), ("a", 2, True)]


def missing(ranking):
    return {unranked.row.name: {each.task: each.reason for each in unranked.missing} for unranked in ranking.unranked}


def test_a_contender_that_lacks_tasks_is_listed_apart_and_ranked_where_it_has_them():
    few = entries_of("acme/few", (0.001,) * 3, [*POISSON, "helmholtz/in-domain"])
    entries = [*entries_of("acme/a", GOOD), *few]
    ranking = ranked(entries)
    assert places(ranking) == [("a", 1, False)]
    due = [task for task in TASKS if task not in POISSON and task != "helmholtz/in-domain"]
    assert missing(ranking) == {"few": dict.fromkeys(due, "not scored")}
    assert places(ranked(entries, "poisson")) == [("few", 1, False), ("a", 2, False)]
    assert missing(ranked(entries, "poisson")) == {}
    assert missing(ranked(entries, "advection-diffusion")) == {}  # it has none of those


def test_what_cannot_be_compared_is_missing_and_the_reason_is_told():
    task, others = POISSON[0], POISSON[1:]
    cheat = make_model("acme/cheat", training=TrainingManifest(trained=(stream("poisson", "in-domain", "test"),)))
    entries = [
        *entries_of("acme/a", GOOD, POISSON),
        *entries_of("acme/few-rows", GOOD, others),
        entry_of(make_result(task, "acme/few-rows", [make_run(GOOD)], test_rows=16)),
        *entries_of("acme/other-rows", GOOD, others),
        *entries_of("acme/other-rows", GOOD, [task], dataset=make_dataset(task, recipe_digest="ab" * 32)),
        *entries_of("acme/failed", GOOD, others),
        *entries_of("acme/failed", GOOD, [task], failures=[failure(8, 7)]),
        *entries_of("acme/all-failed", GOOD, others),
        entry_of(make_result(task, "acme/all-failed", [], failures=[failure(8, 7)])),
        *entries_of("acme/one-seed", GOOD, others),
        *entries_of("acme/one-seed", GOOD[:1], [task]),
        *entries_of(cheat, GOOD, POISSON),
    ]
    ranking = ranked(entries, "poisson")
    assert places(ranking) == [("a", 1, False)]
    assert missing(ranking) == {
        "few-rows": {task: "16 test rows instead of 512"},
        "other-rows": {task: "other test rows than the standard ones of data version 1.0.0 (recipe digest)"},
        "failed": {task: "seed 7 failed: the model returned NaN"},
        "all-failed": {task: "seed 7 failed: the model returned NaN"},
        "one-seed": {task: "adapted with one seed: ranks need two or more"},
        "cheat": {task: "100 of its 512 test rows were trained on or looked at"},
    }


def stream(*key):
    return stream_of(SampleKey(*key), range(100), 64)


def failure(shots, seed, start="pretrained"):
    return {"start": start, "shots": shots, "seed": seed, "reason": "the model returned NaN"}


def test_data_that_was_replaced_is_not_ranked(monkeypatch):
    task = POISSON[0]
    pinned = {task: {"lite": "cd" * 32}}
    monkeypatch.setitem(PINNED_DIGESTS, 2, pinned)
    new = make_dataset(task, version="2.0.0", recipe_digest="cd" * 32)
    entries = [
        *entries_of("acme/old", GOOD, [task]),
        *entries_of("acme/new", BAD, [task], dataset=new),
        *entries_of("acme/unknown", GOOD, [task], dataset=make_dataset(task, version="3.0.0")),
    ]
    ranking = ranked(entries, task)
    assert places(ranking) == [("new", 1, False)]
    assert missing(ranking)["old"] == {task: "scored on data version 1, which version 2 has replaced"}
    assert "data version 3.0.0" in missing(ranking)["unknown"][task]


def test_of_minor_versions_the_newest_counts_and_standard_rows_before_others():
    task = POISSON[0]
    entries = [
        *entries_of("acme/a", GOOD, [task], dataset=make_dataset(task, version="1.1.0")),
        *entries_of("acme/a", BAD, [task]),
        entry_of(
            make_result(
                task, "acme/a", [make_run((0.001,) * 3)], test_rows=16, dataset=make_dataset(task, version="1.2.0")
            )
        ),
    ]
    [standing] = ranked(entries, task).standings
    assert standing.error == pytest.approx(0.1)


def test_what_a_model_knew_is_told_and_removes_nobody():
    trained = make_model("acme/trained", training=TrainingManifest(trained=(stream("poisson", "pretrain", "train"),)))
    entries = [*entries_of(trained, GOOD, POISSON), *entries_of("acme/a", BAD, POISSON, start="scratch")]
    found = {standing.row.name: standing.knowledge for standing in ranked(entries, "poisson").standings}
    assert found == {"trained": (("unseen", 2), ("overlapping", 1), ("seen", 1)), "a": (("unseen", 4),)}


def test_a_lucky_seed_is_no_better_model():
    alike = [*entries_of("acme/a", (0.1, 0.1, 0.1)), *entries_of("acme/b", (0.14, 0.14, 0.14))]
    assert places(ranked(alike)) == [("a", 1, False), ("b", 2, False)]
    lucky = [*entries_of("acme/a", (0.02, 0.1, 0.18)), *entries_of("acme/b", (0.05, 0.14, 0.23))]
    assert places(ranked(lucky)) == [("a", 1, True), ("b", 1, True)]


@pytest.mark.parametrize(("errors", "shots"), [((0.2,), 0), ((0.1, 0.15, 0.12), 8)])
def test_the_interval_on_one_task_is_that_of_the_result(errors, shots):
    task = POISSON[0]
    entries = [entry_of(make_result(task, "acme/a", [make_run(errors, shots=shots)]))]
    [standing] = ranked(entries, task).standings
    summary = standing.cells[0].summary
    assert standing.interval == pytest.approx((summary.interval_low, summary.interval_high), rel=1e-6)
    assert standing.covers == summary.covers


def test_intervals_of_the_overall_error_hold_the_truth():
    """Of 400 models with lognormal errors and lucky seeds, on four tasks."""
    generator = np.random.default_rng(0)
    task_luck, spread = 0.1, 0.8
    runs, means = [], []
    for _ in range(400):
        of_one = []
        for _ in POISSON:
            luck = task_luck * generator.normal(size=(3, 1)) - task_luck**2 / 2
            errors = np.exp(luck + spread * generator.normal(size=512) - spread**2 / 2)
            of_one.append((SeededRun(run_scores(errors), (0, 1, 2)), np.log(errors.mean())))
        runs.append([run for run, _ in of_one])
        means.append(np.mean([mean for _, mean in of_one]))
    parts = seed_parts(runs, ["pretrained"] * 400)
    held = np.mean(np.abs(means) <= _reaches(runs, parts))
    assert 0.92 <= held <= 0.985


def test_rows_from_disk_are_ranked(root):
    entries = load(root)
    found = {(r.track, r.shots, r.scope): r for r in rankings(entries, ["poisson/in-domain"])}
    assert places(found["lite", 0, "poisson/in-domain"]) == [
        ("solver", 1, False),
        ("fno-poisson-1m", 2, False),
        ("fno-poisson-64k", 3, False),
    ]
    assert missing(found["lite", 8, "poisson/in-domain"]) == {
        "fno-poisson-64k": {"poisson/in-domain": "adapted with one seed: ranks need two or more"}
    }
    assert places(found["full", 0, "poisson/in-domain"]) == [("fno-poisson-1m", 1, False)]


def test_no_rows_make_no_ranking_and_no_scope_is_made_up():
    assert rankings([]) == []
    with pytest.raises(UsageError, match="did you mean 'poisson'"):
        rankings([], ["poison"])


def test_entries_without_scores_are_a_mistake_of_the_program():
    result = make_result()
    with pytest.raises(ValueError, match="was not read with the scores"):
        rankings([Entry(row_path(result), "pdebench-fm", result)], ["poisson/in-domain"])
