"""The front page in a real browser, opened from disk: ranking, filters, tables, charts, phone width."""

import math
import re
from collections import Counter
from dataclasses import replace
from urllib.parse import urlencode

import pytest
from factories import make_dataset, make_environment, make_evaluation, make_model, make_run

from pdebench_fm.data.catalogue import TASKS
from pdebench_fm.leaderboard.records import PrivateScore, VerificationRecord, identity_digest
from pdebench_fm.leaderboard.run_scores import scores_of
from pdebench_fm.leaderboard.site.build import pages
from pdebench_fm.leaderboard.site.material import Material
from pdebench_fm.leaderboard.store import Entry, row_path

from .pages import expect

pytestmark = pytest.mark.browser

ATTACK = "</script><img src=x onerror=\"document.title='attacked'\">"
RANKED = [name for name, task in TASKS.items() if task.regime.name != "pretrain"]


def entry_of(evaluation):
    path = row_path(evaluation.result)
    return Entry(path, path.parts[1], evaluation.result, scores=scores_of(evaluation))


def write_site(entries, folder):
    for page in pages(Material(sorted(entries, key=lambda entry: entry.path))):
        path = folder / page.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(page.content.encode() if isinstance(page.content, str) else page.content)
    return folder


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Four models: three on all tasks, one of which has no use; one on two; and one on another track and method."""
    good = make_model("acme/good", weights_sha256="1" * 64)
    fair = make_model("acme/fair", weights_sha256="2" * 64, parameters=70_000, size="64k", family="mixed")
    bad = make_model("lab/bad", weights_sha256="3" * 64, parameters=None, size=None, family=None)
    part = make_model("lab/part-of-it", weights_sha256="4" * 64, parameters=16_800_000, size="16m")
    entries = []
    for i, task in enumerate(RANKED):
        for model, level in ((good, 0.01), (fair, 0.02), (bad, 1.5)):
            error = level * (1 + i / 10)
            runs = [make_run((2 * error,), shots=0), make_run((error, error * 1.02), shots=32)]
            if model is good:
                runs.append(make_run((5 * error, 5.1 * error), start="scratch", shots=32))
            entries.append(entry_of(make_evaluation(task, model, runs)))
    runs = [make_run((0.005, 0.0051), shots=32)]
    entries += [entry_of(make_evaluation(task, part, runs)) for task in RANKED[:2]]
    entries.append(entry_of(make_evaluation(RANKED[0], good, [make_run((0.25,), shots=0)], track="full")))
    hostile = make_model("acme/hostile", revision=ATTACK, weights_sha256="5" * 64)
    environment = make_environment(device=ATTACK)
    entries.append(entry_of(make_evaluation(RANKED[0], hostile, method=ATTACK, environment=environment)))
    return write_site(entries, tmp_path_factory.mktemp("site"))


@pytest.fixture
def show(browser, site):
    """Open the page; at the end of the test, no error and no request that leaves its folder may have been seen."""
    troubles, opened = [], []

    def open_page(address="", width=1280, scheme="light", folder=site, **options):
        page = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme, **options)
        page.set_default_timeout(10_000)
        page.on("console", lambda message: troubles.append(message.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", lambda request: request.url.startswith(folder.as_uri()) or troubles.append(request.url))
        page.goto((folder / "index.html").as_uri() + address)
        opened.append(page)
        return page

    yield open_page
    for page in opened:
        page.close()
    assert troubles == []


def names(page, table="#ranking"):
    return page.locator(f"{table} tbody tr:not(.spacer) .name > :first-child").all_inner_texts()


def expect_names(page, wanted, table="#ranking"):
    """Wait until a table lists these models."""
    found = page.locator(f"{table} tbody tr:not(.spacer) .name > :first-child")
    expect(found).to_have_text(wanted, use_inner_text=True)


def expect_words(shown, words):
    """Wait until a part of the page says this, or something with this in it."""
    expect(shown).to_contain_text(words, use_inner_text=True)


def expect_note(page, words, place="#ranking-note"):
    """Wait until a line above a table says this, and nothing else."""
    expect(page.locator(place)).to_have_text(words, use_inner_text=True)


def choose(page, label, value):
    page.get_by_label(label, exact=True).select_option(value)


def header(page, table, name):
    return page.locator(f"{table} .heads").get_by_role("button", name=name)


def has_overflow(page):
    return page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")


def state_of(page):
    return page.evaluate("Object.fromEntries(new URLSearchParams(location.hash.slice(1)))")


def expect_state(page, wanted):
    """Wait until the address says that this was chosen, in the order of the filters."""
    expect(page).to_have_url(
        re.compile(re.escape(f"index.html#{urlencode(wanted)}") + "$" if wanted else r"index\.html#?$")
    )
    assert state_of(page) == wanted


def test_the_front_ranks_the_closed_division_with_32_shots_first(show):
    page = show()
    expect(page.get_by_role("heading", name="Overall, 32 shots")).to_be_visible()
    expect_names(page, ["good", "fair", "good", "bad"])
    first = page.locator("#ranking tbody tr:not(.spacer)").first
    expect(first.locator(".rank")).to_have_text("1", use_inner_text=True)
    error, interval = first.locator("td.number:not(.rank)").first.inner_text().split()
    assert float(error) == pytest.approx(0.01 * 1.01 * 1.5, rel=0.05)
    low, high = map(float, interval.split("–"))
    assert low < float(error) < high
    for name, value in (("Track", "lite-1"), ("Division", "closed"), ("Shots", "32")):
        expect(page.get_by_label(name, exact=True)).to_have_value(value)


def test_models_that_lack_tasks_are_listed_below_with_what_is_missing(show):
    page = show()
    page.get_by_text("Not ranked: 1 row that lacks tasks").click()
    expect_names(page, ["part-of-it"], "#lacking")
    missing = page.locator("#lacking tbody")
    expect_words(missing, RANKED[2])
    expect(missing).not_to_contain_text(RANKED[0])
    choose(page, "System", "poisson")
    expect_names(page, ["good", "fair", "good", "bad"])


def test_an_error_of_one_or_more_is_greyed_and_says_why(show):
    page = show()
    cells = page.locator("#by-task tbody tr", has_text="bad").locator("td.useless")
    expect(cells).to_have_count(12)
    expect(cells.first).to_have_attribute("title", "an error of 1 or more is as bad as predicting zero")
    expect(page.locator(".legend").get_by_text("1 or more: as bad as predicting zero")).to_be_visible()
    expect(page.locator("#by-task tbody tr", has_text="fair").locator("td.useless")).to_have_count(0)


def test_a_filter_that_hides_rows_says_how_many_and_why(show):
    page = show()
    expect_note(page, "5 of 8 rows shown. Hidden: 3 by other shots.", "#count")
    choose(page, "Parameters", "small")
    expect_names(page, ["fair"])
    expect_names(page, ["fair"], "#by-task")
    expect_note(page, "1 of 8 rows shown. Hidden: 4 by size, 3 by other shots.", "#count")
    expect_note(page, "1 of 4 rows shown. Hidden: 3 by size. Ranks are among all 4.")
    choose(page, "Checked", "1")
    expect_names(page, [])
    expect_words(page.locator("#count"), "4 by size, 3 by other shots, 1 by badge")
    page.get_by_role("button", name="Show all rows").click()
    expect(page.locator("#by-task tbody tr:not(.spacer)")).to_have_count(8)
    expect_note(page, "A ranking is of one number of shots: choose one.")


def test_what_is_chosen_is_in_the_address_and_the_back_button_works(show):
    page = show()
    expect_state(page, {})
    choose(page, "Shots", "0")
    choose(page, "System", "helmholtz")
    header(page, "#by-task", "helmholtz-ood/hard").click()
    expect_state(page, {"shots": "0", "system": "helmholtz", "sort": "helmholtz-ood/hard"})
    expect_names(page, ["good", "fair", "bad"], "#by-task")
    again = show(page.evaluate("location.hash"))
    expect_names(again, ["good", "fair", "bad"], "#by-task")
    expect(again.get_by_label("System", exact=True)).to_have_value("helmholtz")
    page.go_back()
    page.go_back()
    expect_state(page, {"shots": "0"})
    expect(page.get_by_role("heading", name="Overall, zero-shot")).to_be_visible()
    expect(page.get_by_label("System", exact=True)).to_have_value("")


def test_an_address_of_something_else_is_no_choice(show):
    page = show("#track=<b>&shots=1e9&nothing=1&system=%00")
    expect_names(page, [])
    expect_note(page, "This track has no results of this method.")
    expect_names(show("#charts-title"), ["good", "fair", "good", "bad"])


@pytest.mark.parametrize(
    ("address", "title"),
    [
        ("shots=abc", "Overall, abc shots"),
        ("shots=0x20", "Overall, 0x20 shots"),
        ("shots=-1", "Overall, -1 shots"),
        ("system=__proto__", "Overall on __proto__, 32 shots"),
        ("size=__proto__&training=constructor&badge=toString&sort=-__proto__&order=constructor", "Overall, 32 shots"),
        ("__proto__=1&constructor=2&toString=3", "Overall, 32 shots"),
        ("chart=__proto__", "Overall, 32 shots"),
        ("chart=constructor", "Overall, 32 shots"),
        ("chart=regimes&of=task nothing", "Overall, 32 shots"),
        ("chart=gain&of=system __proto__", "Overall, 32 shots"),
        ("chart=private&of=constructor&q=%E0%A4%A&old=%", "Overall, 32 shots"),
    ],
)
def test_an_address_of_odd_words_breaks_nothing(show, address, title):
    page = show(f"#{address}")
    expect(page.locator("#ranking-title")).to_have_text(title, use_inner_text=True)
    page.locator("#drawing").scroll_into_view_if_needed()
    page.wait_for_selector("#drawing > :first-child")
    said = page.locator("main").inner_text()
    assert not {"NaN", "undefined"} & set(said.replace(",", " ").replace(".", " ").split())
    choose(page, "Shots", "0")
    assert set(state_of(page)) <= {
        "shots",
        "system",
        "size",
        "training",
        "badge",
        "sort",
        "order",
        "chart",
        "of",
        "q",
        "old",
    }


def test_tracks_and_methods_are_tables_of_their_own(show):
    page = show()
    choose(page, "Track", "full-1")
    choose(page, "Shots", "0")
    expect_names(page, ["good"], "#by-task")
    expect_note(page, "No model has all 12 tasks here yet.")
    choose(page, "Division", ATTACK)
    expect_note(page, "This track has no results of this method.")


def test_a_recipe_of_another_protocol_does_not_stand_in_the_closed_divisions_place(show, tmp_path):
    runs = [make_run((0.1, 0.11), shots=32)]
    fair, other = (
        make_model(f"acme/{name}", weights_sha256=digit * 64) for name, digit in (("fair", "1"), ("v7", "2"))
    )
    entries = [
        entry_of(make_evaluation(RANKED[0], fair, runs)),
        entry_of(make_evaluation(RANKED[0], other, runs, method="v7")),
    ]
    page = show(folder=write_site(entries, tmp_path))
    expect_names(page, ["fair"], "#by-task")
    choose(page, "Division", "closed: v7")
    expect_names(page, ["v7"], "#by-task")


def test_versions_that_a_row_makes_up_are_neither_shown_first_nor_drawn(show, tmp_path):
    runs = [make_run((0.1, 0.11), shots=32)]
    fair, other, odd = (make_model(f"acme/{name}", weights_sha256=name[0] * 64) for name in ("fair", "data", "ed"))
    made_up = make_dataset(RANKED[0], version="9.0.0")
    entries = [
        entry_of(make_evaluation(RANKED[0], fair, runs)),
        entry_of(make_evaluation(RANKED[0], other, runs, dataset=made_up)),
        *(entry_of(make_evaluation(task, odd, runs, protocol_version=9)) for task in RANKED),
    ]
    page = show("#chart=regimes", folder=write_site(entries, tmp_path))
    expect(page.get_by_label("Track", exact=True)).to_have_value("lite-1")
    expect(page.locator(".facts")).to_contain_text("Protocol v1")
    expect(page.locator("#by-task .heads th")).to_have_count(3)
    expect_names(page, ["fair"], "#by-task")
    page.locator("#charts-title").scroll_into_view_if_needed()
    page.get_by_text("The numbers as a table").click()
    expect_words(page.locator("#drawing tbody"), "fair (acme)")
    expect(page.locator("#drawing tbody")).not_to_contain_text("data (acme)")
    page.get_by_role("button", name="Show 1 column of other dataset versions").click()
    expect_names(page, ["data", "fair"], "#by-task")
    expect_words(page.locator("#by-task .heads"), "unknown v9")
    expect(page.locator("#by-task .heads")).not_to_contain_text("old")


def test_system_and_regime_choose_columns(show):
    page = show("#regime=hard")
    expect(page.locator("#by-task .heads th.number:not(.after) button")).to_have_text([re.compile("^hard")] * 3)
    expect(page.locator("#by-task .groups th")).to_have_text(["Poisson", "Advection–diffusion", "Helmholtz"])
    choose(page, "System", "poisson")
    expect(page.locator("#by-task .heads th")).to_have_count(3)
    expect_names(page, ["good", "fair", "good", "bad"], "#by-task")
    expect_words(page.locator("#count"), "1 by no score on these tasks")


def test_headers_sort_and_reverse_from_the_keyboard_too(show):
    page = show()
    expect_names(page, ["part-of-it", "good", "fair", "good", "bad"], "#by-task")
    first = header(page, "#by-task", "poisson/in-domain")
    expect(first.locator("..")).to_have_attribute("aria-sort", "ascending")
    first.focus()
    page.keyboard.press("Enter")
    expect_names(page, ["bad", "good", "fair", "good", "part-of-it"], "#by-task")
    expect(page.locator(":focus").locator("..")).to_have_attribute("aria-sort", "descending")
    header(page, "#by-task", "Size").click()
    expect_names(page, ["fair", "good", "good", "part-of-it", "bad"], "#by-task")  # numbers, the missing one last
    header(page, "#by-task", "Size").click()
    expect_names(page, ["part-of-it", "good", "good", "fair", "bad"], "#by-task")


def test_typing_finds_models_and_organisations(show):
    page = show()
    page.get_by_label("Model or organisation").fill("LAB part")
    expect_names(page, ["part-of-it"], "#by-task")
    page.get_by_label("Model or organisation").fill("nothing like it")
    expect_names(page, [], "#by-task")
    expect_words(page.locator("#count"), "5 by name")


def test_a_row_opens_to_its_metrics_and_provenance(show):
    page = show()
    page.locator("#by-task tbody tr", has_text="fair").get_by_role("button").click()
    dialog = page.get_by_role("dialog", name="fair, pretrained, 32 shots")
    dialog.get_by_role("heading", name="Provenance").wait_for()
    for words in ("acme/fair", "2" * 64, "numpy 2.1.0, torch 2.5.1", "Recipe digest", "high band", "self-reported"):
        expect_words(dialog, words)
    expect(dialog.locator("tbody tr")).to_have_count(12)
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_what_a_submitter_wrote_stays_text(show):
    page = show()
    choose(page, "Division", ATTACK)
    choose(page, "Shots", "8")
    expect_names(page, ["hostile"], "#by-task")
    page.locator("#by-task tbody").get_by_role("button").click()
    page.get_by_role("heading", name="Provenance").wait_for()
    assert page.get_by_role("dialog").inner_text().count(ATTACK) >= 3
    page.keyboard.press("Escape")
    page.locator("#charts-title").scroll_into_view_if_needed()
    page.locator("#drawing h3").wait_for()
    expect(page.locator("img")).to_have_count(0)
    expect(page).to_have_title("PDE foundation-model benchmark: leaderboard")


@pytest.fixture(scope="module")
def long_site(tmp_path_factory):
    """Four hundred rows."""
    evaluation = make_evaluation(RANKED[0], make_model("acme/m"), [make_run((0.1,), shots=0)])
    entry = entry_of(evaluation)
    models = [make_model(f"acme/m{i:03}", weights_sha256=f"{i:064x}") for i in range(400)]
    results = [evaluation.result.model_copy(update={"model": model}) for model in models]
    return write_site([replace(entry, result=r, path=row_path(r)) for r in results], tmp_path_factory.mktemp("long"))


def test_only_rows_in_sight_are_there_and_all_can_be_reached(show, long_site):
    page = show(folder=long_site)
    table = page.locator("#by-task")
    lines = table.locator("tbody tr:not(.spacer)")
    expect(table.locator("table")).to_have_attribute("aria-rowcount", "402")
    expect(lines.nth(10)).to_be_attached()
    expect(lines.nth(39)).not_to_be_attached()
    expect(lines.first).to_contain_text("m000")
    table.locator(".virtual").focus()
    page.keyboard.press("End")
    table.get_by_text("m399", exact=True).wait_for()
    expect(lines.nth(39)).not_to_be_attached()
    expect(lines.last).to_have_attribute("aria-rowindex", "402")
    page.keyboard.press("Home")
    table.get_by_text("m000", exact=True).wait_for()
    lines.first.get_by_role("button").focus()
    for _ in range(120):  # each row has a link to its model and a button
        page.keyboard.press("Tab")
    place = page.evaluate("Number(document.activeElement.closest('tr').getAttribute('aria-rowindex'))")
    assert place == 63


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_cut_at_1280(show, scheme):
    page = show(scheme=scheme)
    assert not has_overflow(page)
    wide = "[...document.querySelectorAll('.virtual')].filter((each) => each.scrollWidth > each.clientWidth).length"
    assert page.evaluate(wide) == 0
    cut = """[...document.querySelectorAll('.virtual td.number, .virtual th:not(.model)')]
        .filter((each) => each.scrollWidth > each.clientWidth).map((each) => each.innerText)"""
    assert page.evaluate(cut) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_the_first_score_and_what_it_belongs_to(show, scheme):
    page = show(width=390, scheme=scheme)
    assert not has_overflow(page)
    for table in ("#ranking", "#by-task"):
        cell = page.locator(f"{table} tbody td.number:not(.rank)").first
        box = cell.bounding_box()
        assert box["x"] > 0
        assert box["x"] + box["width"] <= 390
        scroll = page.locator(f"{table} .virtual")
        scroll.evaluate("element => { element.scrollLeft = 300; element.scrollTop = 60; }")
        for sticky in (".model >> nth=-1", "thead .heads th >> nth=1"):
            inner = page.locator(f"{table} {sticky}").bounding_box()
            outer = scroll.bounding_box()
            assert inner["y"] >= outer["y"] - 1
        name = page.locator(f"{table} tbody th.model").last.bounding_box()
        assert 0 <= name["x"] < 100
    group = page.locator("#by-task .group > span", has_text="Advection").bounding_box()
    assert 0 <= group["x"] <= 390 - 50
    page.locator("#by-task tbody").get_by_role("button").last.click()
    page.get_by_role("heading", name="Provenance").wait_for()
    assert page.get_by_role("dialog").evaluate("each => each.getBoundingClientRect().right <= innerWidth")
    assert not has_overflow(page)


def test_dark_mode_is_dark(show):
    red = show(scheme="dark").evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]")
    assert int(red) < 50


@pytest.mark.parametrize("kind", ["shots", "size", "regimes", "front", "gain"])
@pytest.mark.parametrize("width", [1280, 390])
def test_charts_are_drawn_with_their_numbers_as_a_table(show, kind, width):
    page = show(f"#chart={kind}", width=width)
    page.locator("#charts-title").scroll_into_view_if_needed()
    drawing = page.locator("#drawing")
    drawing.locator("h3").wait_for()
    picture = drawing.locator("svg[aria-label]").last
    expect(picture).to_have_attribute("role", "img")
    expect(picture).to_have_attribute("aria-label", re.compile("lite track"))
    expect(picture.locator("[data-mark=dot] path, [data-mark=dot] circle").first).to_be_attached()
    drawing.get_by_text("The numbers as a table").click()
    expect_words(drawing.locator("tbody"), "mixed (acme)" if kind == "size" else "good (acme")
    assert not has_overflow(page)


def test_a_gain_beyond_what_was_tried_is_said_in_words(show):
    page = show("#chart=gain")
    page.locator("#charts-title").scroll_into_view_if_needed()
    page.get_by_text("The numbers as a table").click()
    numbers = page.locator("#drawing tbody")
    expect_words(numbers, "good (acme")
    expect(numbers).to_contain_text(re.compile(r"more than [0-9.]+×"))
    expect(numbers).not_to_contain_text(">")
    expect(page.locator("#drawing svg[aria-label]").last).to_contain_text("or more")


def test_where_no_model_has_all_tasks_the_chart_is_of_the_first_that_there_are_scores_of(show, tmp_path):
    model = make_model("acme/one", weights_sha256="6" * 64)
    tasks = ("helmholtz-ood/mild", "helmholtz-ood/hard")
    entries = [entry_of(make_evaluation(task, model, [make_run((0.25,), shots=0)])) for task in tasks]
    page = show(folder=write_site(entries, tmp_path))
    page.locator("#charts-title").scroll_into_view_if_needed()
    expect(page.locator("#drawing h3")).to_have_text("Error against shots, helmholtz-ood/mild, lite track")
    expect_words(page.locator("#drawing details"), "The numbers as a table")
    page.select_option("#of", "overall")
    expect(page.locator("#drawing")).to_have_text("Nothing to draw: Error against shots, all tasks, lite track.")


def test_where_no_model_has_all_tasks_charts_of_no_ranking_are_of_all_tasks(show, tmp_path):
    model = make_model("acme/one", weights_sha256="6" * 64)
    both = [make_run((0.2,), shots=8), make_run((0.3,), "scratch", 8), make_run((0.1,), "scratch", 32)]
    runs = {"poisson-ood/mild": [make_run((0.25,), shots=0)], "helmholtz-ood/hard": both}
    entries = [entry_of(make_evaluation(task, model, own)) for task, own in runs.items()]
    page = show("#chart=regimes&shots=", folder=write_site(entries, tmp_path))
    page.locator("#charts-title").scroll_into_view_if_needed()
    expect(page.locator("#drawing h3")).to_have_text("In-domain to hard, all tasks, lite track")
    page.get_by_text("The numbers as a table").click()
    for task in runs:
        expect_words(page.locator("#drawing tbody"), task)
    choose(page, "Chart", "gain")
    expect(page.locator("#drawing h3")).to_have_text("Data-efficiency gain, helmholtz-ood/hard, lite track")
    expect_words(page.locator("#drawing tbody"), "one (acme)")


def test_charts_obey_the_filters_and_say_so_when_nothing_is_left(show):
    page = show("#chart=regimes")
    page.locator("#charts-title").scroll_into_view_if_needed()
    page.get_by_text("The numbers as a table").click()
    numbers = page.locator("#drawing tbody")
    numbers.wait_for()
    expect_words(numbers, "fair (acme)")
    page.get_by_label("Model or organisation").fill("good")
    expect(numbers).not_to_contain_text("fair (acme)")
    expect_words(numbers, "good (acme, scratch)")
    choose(page, "Chart", "private")
    expect(page.get_by_text("Nothing to draw: Public against private score")).to_be_visible()
    choose(page, "Chart", "gain")
    expect_state(page, {"q": "good", "chart": "gain"})


def verified(entry, factor, standard_error=0.05):
    """An entry that a verifier ran on fresh rows too, where its errors were so many times as large."""
    result = entry.result
    scores = tuple(
        PrivateScore(
            start=run.start,
            shots=run.shots,
            samples_sha256=tuple(cell.samples_sha256 for cell in result.cells_of(run)),
            rows=512,
            recipe_digest="ab" * 32,
            public_mean=run.summary.mean,
            private_mean=factor * run.summary.mean,
            gap=math.log(factor),
            standard_error=standard_error,
            package_version="0.1.0",
            date=result.date,
        )
        for run in result.runs
    )
    record = VerificationRecord(row=entry.path.as_posix(), identity_sha256=identity_digest(result), private=scores)
    return replace(entry, record=record)


PRIVATE = {"honest": (0.02, 1.04), "contaminated": (0.01, 1.5), "lucky": (0.3, 0.7)}
"""Models of a board: their public error on the first task, and how many times as large the private one is."""


@pytest.fixture(scope="module")
def verified_site(tmp_path_factory):
    """Three models whose public and private scores agree, or differ either way, and one that nobody ran."""
    entries = []
    for i, task in enumerate(RANKED):
        for digit, (name, (level, factor)) in enumerate(PRIVATE.items(), 1):
            model = make_model(f"acme/{name}", weights_sha256=str(digit) * 64)
            entry = entry_of(make_evaluation(task, model, [make_run((level * (1 + i / 4),), shots=0)]))
            entries.append(verified(entry, factor))
        unseen = make_model("acme/unseen", weights_sha256="9" * 64)
        entries.append(entry_of(make_evaluation(task, unseen, [make_run((0.05,), shots=0)])))
    return write_site(entries, tmp_path_factory.mktemp("verified"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_public_and_private_scores_are_drawn_against_each_other(show, width, scheme, verified_site):
    page = show("#chart=private", width=width, scheme=scheme, folder=verified_site)
    page.locator("#charts-title").scroll_into_view_if_needed()
    drawing = page.locator("#drawing")
    expect(drawing.locator("h3")).to_have_text(
        "Public against private score, shown tasks, zero-shot, lite track", use_inner_text=True
    )
    picture = drawing.locator("svg[aria-label]").last
    expect(picture).to_have_attribute("role", "img")
    points = picture.locator("[data-mark=dot] > *")
    expect(points).to_have_count(3 * len(RANKED))
    # above the line, of equal scores, is what was worse on fresh rows; in the order in which they are drawn
    sides = picture.evaluate(
        """picture => {
            const line = picture.querySelector('[data-mark=line] path').getBBox();
            const place = (point) => point.transform.baseVal.consolidate().matrix;
            return [...picture.querySelectorAll('[data-mark=dot] > *')].map((point) => {
                const {e, f} = place(point);
                const on = line.y + line.height * (1 - (e - line.x) / line.width);
                return Math.sign(Math.round(on - f));
            });
        }"""
    )
    assert Counter(sides) == {1: 2 * len(RANKED), -1: len(RANKED)}
    legend = drawing.locator("[class*=swatches]")
    for agreement in ("agrees", "contamination", "disagrees"):
        expect_words(legend, agreement)
    drawing.get_by_text("The numbers as a table").click()
    lines = drawing.locator("tbody tr:not(.spacer)")
    for name, agreement in zip(PRIVATE, ("agrees", "contamination", "disagrees"), strict=True):
        level, factor = PRIVATE[name]
        line = lines.filter(has_text=f"{name} (acme").filter(has_text=RANKED[0])
        cells = line.locator("td")
        expect(cells).to_have_text(
            [
                RANKED[0],
                f"{level:#.3g}",
                f"{level * factor:#.3g}",
                re.compile(r"^0\.\d+–0\.\d+$"),
                agreement,
            ]
        )
    expect(lines.filter(has_text="unseen")).to_have_count(0)
    cut = "all => all.filter((each) => each.scrollWidth > each.clientWidth).map((each) => each.innerText)"
    assert drawing.locator("td .clamp").evaluate_all(cut) == []
    assert not has_overflow(page)
    page.evaluate("location.hash = 'chart=private&q=contaminated'")
    expect(points).to_have_count(len(RANKED))


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_axe_finds_nothing_serious(show, width, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed").Axe()
    page = show(width=width, scheme=scheme)
    page.locator("#charts-title").scroll_into_view_if_needed()
    page.locator("#drawing svg").last.wait_for()
    page.get_by_text("The numbers as a table").click()
    page.get_by_text("Not ranked").click()

    def serious():
        found = axe.run(page, options={"preload": False}).response["violations"]
        return [
            (each["id"], [node["target"] for node in each["nodes"]][:3])
            for each in found
            if each["impact"] in {"serious", "critical"}
        ]

    assert serious() == []
    page.locator("#by-task tbody").get_by_role("button").first.click()
    page.get_by_role("heading", name="Provenance").wait_for()
    assert serious() == []


@pytest.mark.parametrize("width", [1280, 390])
def test_without_scripts_the_page_leads_to_the_scores(show, width):
    page = show(java_script_enabled=False, width=width)
    notice = page.locator("main .notice")
    expect(notice).to_be_in_viewport()
    expect(notice).to_contain_text("The tables and charts need JavaScript")
    links = [link.get_attribute("href") for link in notice.get_by_role("link").all()]
    assert links == ["leaderboard.csv", "tasks/index.html"]
    for name in ("#filters", "#ranking-title", "#by-task-title", "#charts-title"):  # nothing that stays empty
        expect(page.locator(name)).to_be_hidden()
    expect(page.get_by_role("heading", name="How to read it")).to_be_visible()
    boxes = [each.bounding_box() for each in page.locator("main > *").all() if each.is_visible()]
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= width for box in boxes)
    notice.get_by_role("link", name="tasks").click()
    page.get_by_role("link", name=RANKED[0], exact=True).click()
    table = page.locator("table.standings").first
    expect(table).to_contain_text("good")
    expect(table).to_be_visible()
    table.get_by_role("link", name="good").first.click()
    expect(page.locator("table.scores").first).to_be_visible()


def test_an_empty_leaderboard_opens_too(show, tmp_path):
    page = show(width=390, folder=write_site([], tmp_path / "site"))
    expect(page.get_by_role("heading", name="No results yet")).to_be_visible()
    assert not has_overflow(page)
