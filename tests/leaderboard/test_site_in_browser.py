"""The page in a real browser, opened from disk: sorting, filtering, tracks, provenance, phone width."""

import pytest
from factories import make_environment, make_result, put_on

from pdebench_fm.leaderboard.site import build_site

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("bare_names_are_shipped")]

ATTACK = "</script><img src=x onerror=\"document.title='attacked'\">"


@pytest.fixture
def show(browser, root, tmp_path):
    """Open the page of the leaderboard; at the end of the test, no error and no request may have been seen."""
    troubles, pages = [], []

    def watched(page):
        page.set_default_timeout(10_000)
        page.on("console", lambda message: troubles.append(message.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", lambda request: request.url.startswith("file:") or troubles.append(request.url))
        pages.append(page)
        return page

    def open_page(width=1280, scheme="light", board=root):
        page = watched(browser.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme))
        page.goto(build_site(board, tmp_path / "site").as_uri())
        return page

    yield open_page
    for page in pages:
        page.close()
    assert troubles == []


def names(page):
    return page.locator(".ranking:visible tbody:visible .open").all_inner_texts()


def header(page, name):
    return page.locator(".ranking:visible .heads").get_by_role("button", name=name, exact=True)


def sorted_by(page, name):
    return header(page, name).locator("..").get_attribute("aria-sort")


def has_overflow(page):
    return page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")


@pytest.fixture
def lite(show):
    page = show()
    page.get_by_role("button", name="Lite track").click()
    return page


def test_the_full_track_is_shown_first_and_alone(show):
    page = show()
    assert names(page) == ["fno-poisson-1m"]
    assert page.locator(".ranking:visible").count() == 1
    assert page.get_by_role("button", name="Full track").get_attribute("aria-pressed") == "true"
    assert page.locator("td.best:visible").inner_text().split() == ["0.250", "0.245–0.255"]


def test_switching_the_track_shows_the_other_table(lite):
    assert lite.get_by_role("button", name="Lite track").get_attribute("aria-pressed") == "true"
    assert names(lite) == ["solver", "fno-poisson-1m", "fno-poisson-64k"]
    assert lite.locator("#count").inner_text() == "3 of 8 rows"


def test_a_click_on_a_header_sorts_and_another_reverses(lite):
    assert sorted_by(lite, "poisson/in-domain") == "ascending"
    header(lite, "poisson/in-domain").click()
    assert names(lite) == ["fno-poisson-64k", "fno-poisson-1m", "solver"]
    assert sorted_by(lite, "poisson/in-domain") == "descending"
    header(lite, "Model").click()
    assert names(lite) == ["fno-poisson-1m", "fno-poisson-64k", "solver"]
    assert sorted_by(lite, "Model") == "ascending"
    assert sorted_by(lite, "poisson/in-domain") is None


def test_numbers_sort_as_numbers_and_missing_ones_stay_last(lite):
    header(lite, "Size").click()
    assert names(lite) == ["fno-poisson-64k", "fno-poisson-1m", "solver"]
    header(lite, "Size").click()
    assert names(lite) == ["fno-poisson-1m", "fno-poisson-64k", "solver"]


def test_headers_work_from_the_keyboard(lite):
    header(lite, "Model").focus()
    lite.keyboard.press("Enter")
    assert sorted_by(lite, "Model") == "ascending"
    lite.keyboard.press("Space")
    assert sorted_by(lite, "Model") == "descending"


def test_the_filter_finds_models_and_organisations(lite):
    lite.get_by_label("Filter").fill("64K")
    assert names(lite) == ["fno-poisson-64k"]
    lite.get_by_label("Filter").fill("acme")
    assert names(lite) == ["solver"]
    lite.get_by_label("Filter").fill("nothing like it")
    assert names(lite) == []
    assert lite.locator("#count").inner_text() == "0 of 8 rows"
    lite.get_by_role("button", name="Show all rows").click()
    assert len(names(lite)) == 8


def test_shots_and_start_select_rows(lite):
    lite.get_by_label("Shots", exact=True).select_option("8")
    assert names(lite) == ["fno-poisson-1m", "fno-poisson-64k", "fno-poisson-1m"]
    lite.get_by_label("Start", exact=True).select_option("scratch")
    assert lite.locator(".ranking:visible tbody:visible .tag").all_inner_texts() == ["scratch"]


def test_choosing_a_regime_hides_the_other_columns_and_sorts_by_what_is_left(lite):
    lite.get_by_label("Tasks", exact=True).select_option("regime:hard")
    assert header(lite, "poisson/in-domain").count() == 0
    assert sorted_by(lite, "poisson-ood/hard") == "ascending"
    assert names(lite)[0] == "fno-poisson-1m"
    lite.get_by_label("Tasks", exact=True).select_option("")
    assert header(lite, "poisson/in-domain").is_visible()


def test_a_row_opens_to_its_provenance_and_closes(lite):
    button = lite.locator(".ranking:visible tbody:visible .open").first
    button.click()
    assert button.get_attribute("aria-expanded") == "true"
    panel = lite.locator(".panel:visible")
    for text in ("acme/solver", "0123456789abcdef" * 4, "numpy 2.1.0, torch 2.5.1", "Recipe digest"):
        assert text in panel.inner_text()
    header(lite, "Model").click()
    assert panel.is_visible()
    button = lite.locator(".ranking:visible tbody:visible .open[aria-expanded=true]")
    assert button.inner_text() == "solver"
    button.click()
    assert panel.count() == 0


def test_data_efficiency_is_shown_for_the_chosen_task(lite):
    chosen = lite.locator(".gains:visible")
    assert chosen.count() == 1
    assert "×3.8" in chosen.inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_scrolls_the_table_and_not_the_page(show, scheme):
    page = show(width=390, scheme=scheme)
    page.get_by_role("button", name="Lite track").click()
    page.get_by_label("Shots", exact=True).select_option("")
    assert not has_overflow(page)
    assert page.locator(".ranking:visible").evaluate("table => table.scrollWidth > table.parentElement.clientWidth")
    page.locator(".ranking:visible tbody:visible .open").first.click()
    assert not has_overflow(page)
    assert page.locator(".panel:visible").evaluate("panel => panel.getBoundingClientRect().right <= innerWidth")


def test_dark_mode_is_dark(show):
    page = show(scheme="dark")
    red = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]")
    assert int(red) < 50


def test_what_a_submitter_wrote_stays_text_when_opened(show, root, write):
    hostile = make_result(model="acme/hostile", method=ATTACK, environment=make_environment(device=ATTACK))
    put_on([write(hostile, folder="hostile")], root)
    page = show()
    page.get_by_role("button", name="Lite track 64², open division").click()  # each method has a table of its own
    page.get_by_label("Filter").fill("hostile")
    page.locator(".ranking:visible tbody:visible .open").click()
    assert ATTACK in page.locator(".panel:visible").inner_text()
    assert page.title() == "PDE foundation-model benchmark: leaderboard"


def test_an_empty_leaderboard_opens_too(show, tmp_path):
    (tmp_path / "empty").mkdir()
    page = show(width=390, board=tmp_path / "empty")
    assert page.get_by_role("heading", name="No results yet").is_visible()
    assert not has_overflow(page)
