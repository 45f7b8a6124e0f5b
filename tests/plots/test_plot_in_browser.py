"""Pages of pictures in a real browser, opened from disk: drawn without network or errors, wide and narrow."""

import pytest
from factories import make_model, make_result, make_run

from pdebench_fm.plots.draw import draw
from pdebench_fm.results.result import write_result

pytestmark = pytest.mark.browser


@pytest.fixture
def show(browser, tmp_path):
    """Open the page of a picture; at the end of the test, no error and no request may have been seen."""
    troubles, pages = [], []
    for task in ("poisson/in-domain", "poisson-ood/hard"):
        for name in ("one", "<b>two</b>"):
            runs = [make_run((0.2,), shots=0), *(make_run(start=start) for start in ("pretrained", "scratch"))]
            result = make_result(task, make_model(name), runs)
            write_result(result, tmp_path / f"{len(list(tmp_path.glob('*.json')))}.json")

    def open_page(kind, width):
        page = browser.new_page(viewport={"width": width, "height": 844})
        page.on("console", lambda message: troubles.append(message.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", lambda request: request.url.startswith(("file:", "data:")) or troubles.append(request.url))
        page.set_default_timeout(120_000)  # the page is five megabytes, and the machine may be busy
        pages.append(page)
        draw([tmp_path], kind, tmp_path / "page.html")
        page.goto((tmp_path / "page.html").as_uri())
        page.locator(".plot .main-svg").first.wait_for()
        return page

    yield open_page
    for page in pages:
        page.close()
    assert troubles == []


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("kind", ["shots", "regimes"])
def test_every_panel_is_drawn_inside_the_page(show, kind, width):
    page = show(kind, width)
    panels = page.locator(".plot")
    assert panels.count() == (2 if kind == "shots" else 1)
    for i in range(panels.count()):
        assert panels.nth(i).locator(".scatterlayer path.point").count() > 0
        title = panels.nth(i).locator(".xtitle").bounding_box()
        frame = panels.nth(i).bounding_box()
        assert frame["x"] <= title["x"]
        assert title["x"] + title["width"] <= frame["x"] + frame["width"]
    assert not page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")


def test_the_legend_hides_and_shows_a_series_in_every_panel(show):
    page = show("shots", 1280)
    before = page.locator("path.point").count()
    button = page.get_by_role("button", name="<b>two</b>, pretrained")
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    # one zero-shot point and one of 8 shots in each of two panels
    page.wait_for_function(f"document.querySelectorAll('path.point').length === {before - 4}")
    button.press("Enter")
    page.wait_for_function(f"document.querySelectorAll('path.point').length === {before}")
