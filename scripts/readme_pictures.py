"""Draw the two pictures of the README anew: python scripts/readme_pictures.py [fields] [board].

`docs/_static/fields.png` has rows of every system and regime, made from their recipes; `docs/_static/board.png` is the
front page of the leaderboard's site, built from the rows in `leaderboard/` and seen in Chromium. Both are opaque, so
that they can be read on a light page and on a dark one, and take less than 300 kB.
"""

import shutil
import sys
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import sync_playwright

from pdebench_fm.cli import main as pdefm
from pdebench_fm.data.catalogue import DATASETS, Dataset
from pdebench_fm.data.figures import save_figure
from pdebench_fm.files import write_atomically
from pdebench_fm.physics import sample

ROOT = Path(__file__).parent.parent
HOME = ROOT / "docs" / "_static"
SYSTEMS = {"poisson": "Poisson", "advection-diffusion": "advection–diffusion", "helmholtz": "Helmholtz"}
REGIMES = {
    "in-domain": "in-domain",
    "mild": "mild: partly outside",
    "medium": "medium: outside",
    "hard": "hard: farther outside",
}
ROW = 6  # of each test split: one with sparsity 0.6
BOARD_SIZE = (1280, 705)  # pixels of the page that are shown


def fields_figure() -> Figure:
    """Return the picture of sources and solutions: a line for each system, a pair for each regime."""
    figure = Figure(figsize=(11.0, 5.3), facecolor="white")
    axes = figure.subplots(len(SYSTEMS), 2 * len(REGIMES))
    figure.subplots_adjust(left=0.035, right=0.995, bottom=0.005, top=0.9, wspace=0.06, hspace=0.17)
    for line, (name, title) in zip(axes, SYSTEMS.items(), strict=True):
        for place, regime in enumerate(REGIMES):
            dataset = DATASETS[name if regime == "in-domain" else f"{name}-ood"]
            _draw_pair(line[2 * place], line[2 * place + 1], dataset, regime)
        line[0].set_ylabel(title, fontsize=10)
    for place, words in enumerate(REGIMES.values()):
        left, right = (axes[0][2 * place + end].get_position() for end in (0, 1))
        figure.text((left.x0 + right.x1) / 2, 0.965, words, ha="center", va="center", fontsize=11, fontweight="bold")
    return figure


def _draw_pair(of_source: Axes, of_solution: Axes, dataset: Dataset, regime: str) -> None:
    """Draw a row's source, from nothing to its maximum, and its solution, in colours that are centred on 0."""
    rows = sample(dataset.key(regime, "test"), [ROW])
    source, solution = rows.source[0], rows.solution[0]
    largest = abs(solution).max()
    parameter = f"{dataset.system.parameter_symbol} = {rows.draws.parameter[0]:.3g}"
    _draw_field(of_source, source, "source f", "viridis", (source.min(), source.max()))
    _draw_field(of_solution, solution, f"solution u, {parameter}", "RdBu_r", (-largest, largest))


def _draw_field(axis: Axes, field: NDArray, title: str, colours: str, ends: tuple[float, float]) -> None:
    axis.imshow(field, origin="lower", cmap=colormaps[colours].resampled(96), vmin=ends[0], vmax=ends[1])
    axis.set_title(title, fontsize=8.5, pad=3)
    axis.set_xticks([])
    axis.set_yticks([])


def board_picture() -> bytes:
    """Return the front page of the leaderboard that comes with the package, as a PNG."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with TemporaryDirectory() as folder, sync_playwright() as driver:
        site = Path(folder) / "site"
        words = ["leaderboard", "build", "--from", str(ROOT / "leaderboard"), "--out", str(site), "--no-pictures"]
        if pdefm(words):
            raise SystemExit("the leaderboard's site could not be built")
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": BOARD_SIZE[0], "height": BOARD_SIZE[1]}, color_scheme="light")
        page.goto((site / "index.html").as_uri())
        page.wait_for_load_state("networkidle")
        shot = page.screenshot()
        browser.close()
    small = BytesIO()
    Image.open(BytesIO(shot)).convert("RGB").quantize(128).save(small, format="png", optimize=True)
    return small.getvalue()


if __name__ == "__main__":
    wanted = sys.argv[1:] or ["fields", "board"]
    if "fields" in wanted:
        save_figure(fields_figure(), HOME / "fields.png")
    if "board" in wanted:
        write_atomically(HOME / "board.png", board_picture())
