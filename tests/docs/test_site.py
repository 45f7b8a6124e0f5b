"""The documentation's site: it builds without a warning and without a network, and looks right in a browser."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest
from snippets import ROOT

import pdebench_fm
from pdebench_fm.data.catalogue import DATASETS
from pdebench_fm.models import zoo_names

SECTIONS = (
    "install",
    "get-started",
    "tutorials/index",
    "how-to/index",
    "concepts/index",
    "catalogue/index",
    "models",
    "reproduction/index",
    "api/index",
    "design/index",
    "faq",
    "changelog",
)
LOADED = {("script", "src"), ("link", "href"), ("img", "src"), ("iframe", "src"), ("source", "src"), ("object", "data")}


class References(HTMLParser):
    """Collects what a page loads by itself, what it links to, and the places in it."""

    def __init__(self, text):
        super().__init__()
        self.loaded, self.linked, self.places = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if (tag, name) in LOADED and dict(attrs).get("rel") != "canonical":
                self.loaded.append(value)
            if (tag, name) == ("a", "href"):
                self.linked.append(value)
            if name in ("id", "name"):
                self.places.add(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built as the README says; its notebooks run in this build."""
    out = tmp_path_factory.mktemp("site")
    nowhere = "http://127.0.0.1:9"
    kept = {"PDEFM_DOCS_CACHE": str(out / "cache")}  # unless the caller's has notebooks that have run already
    environment = kept | os.environ | {"http_proxy": nowhere, "https_proxy": nowhere}
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-b", "html", "-q", "docs", str(out / "html")],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-8000:]
    return out / "html"


@pytest.fixture(scope="module")
def pages(site):
    found = {path.relative_to(site).as_posix(): path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    return {name: References(text) for name, text in found.items()}


def test_the_sections_stand_in_their_order(site):
    text = (site / "index.html").read_text(encoding="utf-8")
    sidebar = re.findall(r'class="[^"]*toctree-l1[^"]*"><a[^>]*href="([^"]+)\.html"', text) or re.findall(
        r'<a class="nav-link[^"]*" href="([^"]+)\.html"', text
    )
    assert list(dict.fromkeys(sidebar))[: len(SECTIONS)] == list(SECTIONS)


def test_nothing_is_asked_of_another_server(pages, site):
    asked = {(name, target) for name, page in pages.items() for target in page.loaded if urlsplit(target or "").netloc}
    assert asked == set()
    for sheet in site.rglob("*.css"):
        addresses = re.findall(r"url\(['\"]?(https?:)?//", sheet.read_text(encoding="utf-8"))
        assert not addresses, sheet


def test_every_link_inside_of_the_site_leads_somewhere(pages, site):
    lost = []
    for name, page in pages.items():
        for link in filter(None, page.linked):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (site / name).parent.joinpath(unquote(parts.path)).resolve() if parts.path else site / name
            at = target.relative_to(site.resolve()).as_posix() if target.is_relative_to(site.resolve()) else ""
            place = unquote(parts.fragment)
            if not target.exists() or (place and at in pages and place not in pages[at].places):
                lost.append((name, link))
    assert lost == []


def test_every_dataset_and_model_has_a_page(pages):
    wanted = {f"catalogue/datasets/{name}.html" for name in DATASETS}
    wanted |= {f"catalogue/models/{name}.html" for name in zoo_names()}
    assert wanted <= set(pages)


def test_tables_that_commands_print_are_whole(site):
    lines = [
        line
        for path in (site / "tutorials").glob("*.html")
        for line in re.sub(r"<[^>]+>", "", path.read_text(encoding="utf-8")).splitlines()
    ]
    for first, last in ("┏┓", "┡┩", "└┘"):
        found = [line.strip() for line in lines if line.strip().startswith(first)]
        assert found, first
        assert [line for line in found if not line.endswith(last)] == []


@pytest.mark.parametrize("room", ["pdebench_fm", "pdebench_fm.data", "pdebench_fm.models", "pdebench_fm.physics"])
def test_every_public_name_is_in_the_api(room, pages):
    module = __import__(room, fromlist=["__all__"]) if room != "pdebench_fm" else pdebench_fm
    places = {place for name, page in pages.items() if name.startswith("api/") for place in page.places}
    lacking = [name for name in module.__all__ if not any(place.endswith(f".{name}") for place in places)]
    assert [name for name in lacking if name != "__version__"] == []


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1280])
def test_pages_fit_the_screen_and_load_nothing_from_elsewhere(width, pages, site, browser):
    page = browser.new_page(viewport={"width": width, "height": 900})
    requests, problems = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("pageerror", lambda error: problems.append(str(error)))
    wide = {}
    for name in sorted(pages):
        if name in ("search.html", "genindex.html", "py-modindex.html"):
            continue
        page.goto((site / name).as_uri())
        over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if over > 1:
            wide[name] = over
    page.close()
    assert problems == []
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
    assert wide == {}
