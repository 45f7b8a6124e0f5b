"""A task's page: the problem as the package has it, who is best and whether that is known, and lines that work."""

import re
import shlex

import datasets
import pytest
from factories import make_dataset, make_evaluation, make_model, make_result, make_run

from pdebench_fm.cli import main
from pdebench_fm.data.catalogue import DATASETS, TASKS
from pdebench_fm.data.measured_laws import MEASURED_LAWS
from pdebench_fm.data.training_manifest import TrainingManifest, stream_of
from pdebench_fm.evaluation import evaluate as evaluation
from pdebench_fm.leaderboard.site.addresses import task_address
from pdebench_fm.leaderboard.site.material import Material
from pdebench_fm.leaderboard.site.task_pages import evaluating_line, loading_lines, task_pages
from pdebench_fm.physics import SampleKey

from .pages import HOSTILE, Document, entry_of

POISSON = "poisson-ood/hard"


def page_of(task, *entries):
    return next(page.content for page in task_pages(Material(entries)) if page.path == task_address(task))


def document_of(task, *entries):
    return Document(page_of(task, *entries))


def zero_shot(name, error, task=POISSON, organisation="acme"):
    model_id = name if organisation == "pdebench-fm" else f"{organisation}/{name}"
    return entry_of(make_result(task, make_model(model_id), [make_run((error,), shots=0)]), organisation)


def places(page):
    """Rank, model and whether it is highlighted, of each place in the tables of best models."""
    found = re.findall(
        r'<td class="number rank">(.*?)</td>.*?<bdi>(.*?)</bdi>.*?<td class="number( best)?', page, re.DOTALL
    )
    return [(rank, name, bool(best)) for rank, name, best in found]


def test_every_task_has_a_page_and_there_is_one_of_all():
    pages = {str(page.path): Document(page.content) for page in task_pages(Material([]))}
    assert set(pages) == {"tasks/index.html", *(str(task_address(task)) for task in TASKS)}
    assert len([link for link in pages["tasks/index.html"].links if link.startswith("../tasks/")]) == 13  # and its own
    for name, task in TASKS.items():
        words = pages[str(task_address(name))].words
        assert task.dataset.system.equation in words
        assert task.dataset.system.parameter_name in words
        assert "Nobody has submitted a score on this task yet" in words


@pytest.mark.parametrize("task", [name for name in TASKS if name.startswith("helmholtz")])
def test_a_law_that_is_not_uniform_is_told_value_by_value(task):
    counts, refused = MEASURED_LAWS["helmholtz"][task.partition("/")[2]]
    document = document_of(task)
    shares = [cell.strip() for cell in document.cells if cell.strip().endswith(" %")]
    assert shares == [f"{100 * count / sum(counts):.1f} %" for count in counts]
    if refused:
        assert f"{100 * refused / sum(counts):.1f} % of the first draws are refused" in document.words
    else:
        assert "None of the first draws was refused" in document.words


def test_a_law_that_is_uniform_is_told_as_its_range():
    words = document_of("advection-diffusion-ood/medium").words
    assert "U(1, 2)" in words
    assert "Every draw is accepted, so Ψ is uniform in this range" in words


def test_models_that_cannot_be_told_apart_share_a_rank_and_none_is_highlighted():
    tied = page_of(POISSON, zero_shot("one", 0.2), zero_shot("two", 0.2), zero_shot("far", 0.7))
    assert places(tied) == [("= 1", "one", False), ("= 1", "two", False), ("3", "far", False)]


def test_the_best_is_highlighted_where_it_is_told_from_all_others():
    page = page_of(POISSON, zero_shot("one", 0.3), zero_shot("two", 0.2), zero_shot("far", 0.7))
    assert places(page) == [("1", "two", True), ("2", "one", False), ("3", "far", False)]


def test_a_model_that_is_alone_is_better_than_nobody_and_not_highlighted():
    assert places(page_of(POISSON, zero_shot("one", 0.2))) == [("1", "one", False)]


def test_the_best_of_models_that_are_as_bad_as_zero_is_not_highlighted():
    assert places(page_of(POISSON, zero_shot("one", 1.2), zero_shot("two", 1.5))) == [
        ("1", "one", False),
        ("2", "two", False),
    ]


def test_yardsticks_are_told_from_models_and_give_the_difficulty():
    page = page_of(
        POISSON,
        zero_shot("zero", 1.0, organisation="pdebench-fm"),
        zero_shot("oracle", 2e-7, organisation="pdebench-fm"),
        zero_shot("one", 0.25),
        zero_shot("two", 1.5),
        zero_shot("zero", 0.5, organisation="acme"),  # a model of that name, and no yardstick
    )
    assert places(page)[:2] == [("1", "oracle", False), ("2", "one", True)]
    assert page.count("· reference") == 2
    document = Document(page)
    cells = [cell.strip() for cell in document.cells]
    cells = cells[cells.index("Predicting zero") :][:9]
    assert [cells[i : i + 3] for i in (0, 3, 6)] == [
        ["Predicting zero", "1.00", "zero"],
        ["The exact solver", "2.00e-7", "oracle"],
        ["Best zero-shot", "0.250", "acme/one"],
    ]
    words = " ".join(document.words.split())
    assert "1 of 3 models is no better than predicting zero" in words


def test_of_many_models_the_first_are_listed_and_the_others_counted():
    page = page_of(POISSON, *(zero_shot(f"m{i:02}", 0.01 * 1.5**i) for i in range(10)))
    assert [name for _, name, _ in places(page)] == [f"m{i:02}" for i in range(5)]
    assert "and 5 more" in page


def listed_aside(page):
    """Each reason why rows are not ranked, with their names."""
    found = re.findall(r"<li><bdi>(.*?)</bdi>:(.*?)</li>", page, re.DOTALL)
    return {reason: re.findall(r"<bdi>(.*?)</bdi></a>", rows) for reason, rows in found}


def test_what_is_not_ranked_is_listed_apart_with_the_reason_of_each_row():
    few = entry_of(make_result(POISSON, "acme/few", [make_run((0.1,), shots=0)], test_rows=256))
    other = make_dataset(POISSON, recipe_digest="ab" * 32)
    private = entry_of(make_result(POISSON, "acme/private", [make_run((0.1,), shots=0)], dataset=other))
    trained = TrainingManifest(trained=(stream_of(SampleKey("poisson", "hard", "test"), range(3), 64),))
    seen = entry_of(make_result(POISSON, make_model("acme/seen", training=trained), [make_run((0.1,), shots=0)]))
    page = page_of(POISSON, zero_shot("one", 0.3), few, private, seen)
    assert [name for _, name, _ in places(page)] == ["one"]
    assert listed_aside(page) == {
        "256 test rows instead of 512": ["few"],
        "other test rows than the standard ones of data version 1.0.0 (recipe digest)": ["private"],
        "3 of its 512 test rows were trained on or looked at": ["seen"],
    }
    assert "3 not ranked" in page


def test_rows_of_one_seed_and_of_failed_seeds_are_told_apart():
    one = entry_of(make_result(POISSON, "acme/one", [make_run((0.1,), shots=8)]))
    two = entry_of(make_result(POISSON, "acme/two", [make_run((0.1, 0.2), shots=8)]))
    failure = {"start": "pretrained", "shots": 8, "seed": 2, "reason": "it <i>diverged</i>"}
    failed = make_result(POISSON, "acme/three", [make_run((0.1, 0.2), shots=8)], failures=(failure,))
    elsewhere = make_result("poisson-ood/mild", "acme/three", [make_run((0.1, 0.2), shots=8)])
    page = page_of(POISSON, one, two, entry_of(failed), entry_of(elsewhere))
    assert listed_aside(page) == {
        "adapted with one seed: ranks need two or more": ["one"],
        "seed 2 failed: it &lt;i&gt;diverged&lt;/i&gt;": ["three"],
    }


def test_of_many_rows_that_are_not_ranked_for_one_reason_the_first_are_named_and_the_others_counted():
    few = [
        entry_of(make_result(POISSON, f"acme/m{i:02}", [make_run((0.1,), shots=0)], test_rows=256)) for i in range(25)
    ]
    page = page_of(POISSON, zero_shot("one", 0.3), *few)
    assert listed_aside(page) == {"256 test rows instead of 512": [f"m{i:02}" for i in range(20)]}
    assert "and 5 more</li>" in page
    assert "25 not ranked" in page


@pytest.mark.parametrize("said", [{"protocol_version": 9, "method": "v9"}, {"protocol_version": 9}, {"method": "v9"}])
def test_a_protocol_or_recipe_that_a_row_makes_up_does_not_change_what_is_best(said):
    made_up = entry_of(make_result("helmholtz-ood/hard", "acme/best", [make_run((0.01,), shots=0)], **said))
    entry = zero_shot("one", 0.3, task="helmholtz-ood/hard")
    alone, both = (document_of("helmholtz-ood/hard", *entries).cells for entries in ((entry,), (entry, made_up)))
    for cells in (alone, both):
        place = cells.index("Best zero-shot")
        assert [cell.strip() for cell in cells[place + 1 : place + 3]] == ["0.300", "acme/one"]
        assert f"{entry.result.runs[0].by_parameter[0].mean:#.3g}" in cells


def test_tracks_and_methods_have_tables_of_their_own():
    full = entry_of(make_result(POISSON, "acme/one", [make_run((0.1,), shots=0)], track="full"))
    mine = entry_of(make_result(POISSON, "acme/one", [make_run((0.1,), shots=0)], method="mine"))
    words = document_of(POISSON, zero_shot("one", 0.3), full, mine).words
    for title in ("Lite track, protocol v1", "Full track, protocol v1", "Lite track, open division: mine, protocol v1"):
        assert title in words


def test_the_best_models_error_by_value_stands_beside_the_law():
    entry = zero_shot("one", 0.3, task="helmholtz-ood/hard")
    cells = document_of("helmholtz-ood/hard", entry).cells
    (run,) = entry.result.runs
    assert len(run.by_parameter) == 5
    for score in run.by_parameter:
        assert f"{score.mean:#.3g}" in cells[cells.index(f"{score.parameter:g}") + 3]


@pytest.mark.parametrize("attack", HOSTILE)
def test_what_a_submitter_wrote_is_shown_as_text(attack):
    result = make_result(
        POISSON, make_model(f"acme/{attack.replace('/', '')}"), [make_run((0.2,), shots=0)], method=attack
    )
    for task in (POISSON, None):
        for page in task_pages(Material([entry_of(result, organisation=attack)])):
            document = Document(page.content)
            assert document.handlers == []
            assert {"script", "img"}.isdisjoint(document.tags)
            if str(page.path) == str(task_address(task or POISSON)):
                assert document.words.count(attack) >= 2


@pytest.mark.parametrize("name", TASKS)
def test_the_line_that_evaluates_is_understood(name, monkeypatch, tmp_path):
    asked = {}

    def evaluate_suite(models, tasks, *_, **options):
        asked.update(models=models, tasks=tasks, **options)
        made = [make_evaluation(name), make_evaluation(name)]
        for each in made:
            options["on_evaluation"](each)
        return made

    monkeypatch.setattr(evaluation, "evaluate_suite", evaluate_suite)
    monkeypatch.chdir(tmp_path)
    command, *words = shlex.split(evaluating_line(TASKS[name]))
    assert command == "pdefm"
    assert main(words) == 0
    assert asked["tasks"] == [name]
    assert asked["models"] == ["fno-mixed-64k"]


@pytest.mark.parametrize("name", TASKS)
def test_the_lines_that_load_name_what_is_published(name, monkeypatch):
    asked = {}
    monkeypatch.setattr(datasets, "load_dataset", lambda *words, **options: asked.update(words=words, **options))
    exec("\n".join(loading_lines(TASKS[name])), {})  # noqa: S102 (our own page)
    namespace, _, dataset = asked["words"][0].partition("/")
    assert (namespace, asked["split"], asked["revision"]) == ("pdebench-fm", "test", "v1.0.0")
    assert asked["words"][1] in DATASETS[dataset].regimes
    assert f"{dataset}/{asked['words'][1]}" == name
