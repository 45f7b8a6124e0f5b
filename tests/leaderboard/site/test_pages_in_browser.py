"""Pages of models and tasks in a real browser, opened from disk: links, widths, hostile words, who can read them."""

import io
import re
from pathlib import PurePosixPath

import pytest
from factories import make_model, make_result, make_run
from PIL import Image

from pdebench_fm.data.catalogue import TASKS
from pdebench_fm.data.training_manifest import TrainingManifest, stream_of
from pdebench_fm.leaderboard.site.addresses import model_address, task_address
from pdebench_fm.leaderboard.site.build import pages
from pdebench_fm.leaderboard.site.material import Material
from pdebench_fm.leaderboard.site.page import Page
from pdebench_fm.leaderboard.site.pictures import Picture, Pictures
from pdebench_fm.physics import SampleKey

from .pages import HOSTILE, Document, entry_of, expect

TASK = "helmholtz-ood/mild"
HOSTILE_NAME = "".join(HOSTILE).replace("/", "|")
PAGES = (
    str(model_address("acme", "acme/Net.V2")),
    str(model_address("acme", f"acme/{HOSTILE_NAME}")),
    str(task_address(TASK)),
    "tasks/index.html",
    "submit.html",
)


def drawn():
    """Pictures of a site, all of which are one small grey one."""
    content = io.BytesIO()
    Image.new("RGB", (1470, 1180), "grey").save(content, "PNG")
    path = PurePosixPath("pictures", "grey.png")
    picture = Picture(path, "nothing", "A grey field, and more words than fit a line of a telephone", 1470, 1180)
    return Pictures(
        [Page(path, content.getvalue())],
        dict.fromkeys(TASKS, [picture] * 4),
        {("acme", "acme/Net.V2"): [picture] * 3},
        {("acme", f"acme/{HOSTILE_NAME}"): "No pictures."},
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """One model with every number of shots, one with hostile words wherever there is room, and a yardstick."""
    shots = [(0, (0.2,)), *((k, (0.1, 0.11, 0.12)) for k in (8, 32, 128, 512, 2048, 8192, 32768))]
    runs = [make_run(errors, shots=k) for k, errors in shots]
    runs += [make_run((1.5, 1.6), "scratch", 8), make_run((0.9,), "scratch", 32)]
    training = TrainingManifest(trained=(stream_of(SampleKey("helmholtz", "pretrain", "train"), range(10**6), 64),))
    model = make_model("acme/Net.V2", training=training, code_url="https://code.example/" + "long/" * 30)
    hostile = make_model(f"acme/{HOSTILE_NAME}", revision="\u05d0" * 40, family=HOSTILE[0], size=HOSTILE[1])
    failure = {"start": "scratch", "shots": 512, "seed": 0, "reason": HOSTILE_NAME}
    entries = [entry_of(make_result(task, model, runs), name=f"{i}.json") for i, task in enumerate(TASKS)]
    entries += [
        entry_of(make_result(TASK, hostile, runs[:2], method=HOSTILE[2], failures=(failure,)), name="x.json"),
        entry_of(make_result(TASK, hostile, runs[:2], failures=(failure,)), name="y.json"),
        entry_of(make_result(TASK, "zero", [make_run((1.0,), shots=0)]), "pdebench-fm", name="z.json"),
    ]
    folder = tmp_path_factory.mktemp("site")
    for page in pages(Material(entries), drawn()):
        path = folder / page.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(page.content if isinstance(page.content, bytes) else page.content.encode())
    return folder


@pytest.fixture
def show(browser, site):
    """Open a page; at the end of the test, no error and no request that leaves the folder may have been seen."""
    troubles, opened = [], []

    def open_page(address, width=1280, scheme="light"):
        page = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
        page.set_default_timeout(10_000)
        page.on("console", lambda message: troubles.append(message.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", lambda request: request.url.startswith(site.as_uri()) or troubles.append(request.url))
        page.goto((site / address).as_uri())
        opened.append(page)
        return page

    yield open_page
    for page in opened:
        page.close()
    assert troubles == []


def test_every_link_leads_to_a_file_of_the_site(site):
    for path in site.rglob("*.html"):
        document = Document(path.read_text(encoding="utf-8"))
        for address in [*document.links, *document.sources]:
            if not address.startswith(("#", "https://", "data:")):
                assert (path.parent / address.partition("#")[0]).is_file(), f"{path}: {address}"


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("address", PAGES)
def test_a_page_fits_its_window(show, address, width):
    page = show(address, width)
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    expect(page).not_to_have_title("attacked")
    for image in page.locator("img").all():
        image.scroll_into_view_if_needed()
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") == 1470


@pytest.mark.browser
def test_at_1280_pixels_no_table_of_a_task_is_cut(show):
    page = show(str(task_address(TASK)))
    for frame in page.locator(".frame").all():
        assert frame.evaluate("frame => frame.scrollWidth <= frame.clientWidth")


@pytest.mark.browser
def test_on_a_phone_the_first_score_and_what_it_belongs_to_are_in_sight(show):
    page = show(PAGES[0], 390)
    table = page.locator("table.scores").first
    table.scroll_into_view_if_needed()
    box = table.locator("tbody td").first.bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    frame = page.locator(".frame").first
    frame.evaluate("frame => frame.scrollLeft = 300")
    head = table.locator("tbody th").first.bounding_box()
    assert 0 <= head["x"] < 20  # stays where it was


@pytest.mark.browser
def test_from_the_front_to_a_model_to_a_task_and_back(show, site):
    page = show("index.html")
    page.get_by_role("link", name="Net.V2").first.click()
    page.wait_for_url("**/models/**")
    expect(page.get_by_role("heading", level=1)).to_have_text("acme/Net.V2", use_inner_text=True)
    page.get_by_role("link", name=TASK).first.click()
    page.wait_for_url("**/tasks/**")
    expect(page.get_by_role("heading", level=1)).to_have_text(TASK, use_inner_text=True)
    page.get_by_role("link", name="hard", exact=True).click()
    page.wait_for_url("**/tasks/helmholtz-ood--hard.html")
    page.get_by_role("link", name="Leaderboard").click()
    page.wait_for_url((site / "index.html").as_uri() + "**")


@pytest.mark.browser
def test_hostile_words_are_shown_as_they_are(show):
    page = show(PAGES[1])
    for attack in HOSTILE[:3]:
        expect(page.locator("body")).to_contain_text(re.compile(re.escape(attack).replace("/", "[/|]")))
    expect(page).to_have_title(re.compile(re.escape(f"acme/{HOSTILE_NAME[:20]}")))
    assert page.evaluate("document.scripts.length + document.images.length") == 0


@pytest.mark.browser
def test_the_keyboard_can_skip_what_all_pages_begin_with(show):
    page = show("tasks/index.html", 390)
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to the content")


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("address", PAGES)
def test_nothing_serious_is_in_the_way_of_who_cannot_see_or_point(show, address, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    found = axe.Axe().run(show(address, scheme=scheme), options={"preload": False}).response["violations"]
    serious = [(each["id"], each["nodes"][0]["html"]) for each in found if each["impact"] in ("serious", "critical")]
    assert serious == []
