"""A picture of results in one call: what it shows by its kind, how it is drawn by its file's suffix."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from pdebench_fm.errors import UsageError, unknown_name
from pdebench_fm.plots.chart import Chart
from pdebench_fm.plots.regimes import regimes_chart
from pdebench_fm.plots.sample_fields import FieldsPicture, fields_picture
from pdebench_fm.plots.scores import Scores, read_scores
from pdebench_fm.plots.selection import Selection
from pdebench_fm.plots.shots import shots_chart
from pdebench_fm.plots.sizes import sizes_chart

CHARTS: dict[str, Callable[[Scores], Chart]] = {"shots": shots_chart, "sizes": sizes_chart, "regimes": regimes_chart}
FIELDS = "fields"
KINDS = (*CHARTS, FIELDS)
SUFFIXES = (".png", ".svg", ".pdf", ".html")
MOST_LINES = 300
"""Lines of one picture: the legend of ten times as many would be longer than Matplotlib can draw."""


@dataclass(frozen=True)
class Drawing:
    """A picture that was written, and what it leaves out or remade, a line each."""

    path: Path
    notes: tuple[str, ...]


def draw(
    paths: Iterable[Path | str],
    kind: str,
    out: Path | str,
    selection: Selection = Selection(),  # noqa: B008 (frozen)
    *,
    reference: str | None = None,
) -> Drawing:
    """Draw results.

    Args:
        paths: result files, or folders of which every `*.json` is one.
        kind: "shots", "sizes" or "regimes" for errors against these; "fields" for predictions of one result.
        out: the picture: `.png`, `.svg` and `.pdf` for print, `.html` to explore. The same results give the same bytes.
        selection: what of the results is shown.
        reference: for fields, what to open the model from, where the result does not say it.

    Raises:
        UsageError: an unknown kind or suffix, no results or several tracks, or no Plotly for `.html`; nothing is
            written.
        PdefmError: no file that is a valid result, a model that is not the one that was scored, or a picture that
            cannot be written.
    """
    out = Path(out)
    if kind not in KINDS:
        raise unknown_name("kind of picture", kind, KINDS)
    if out.suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"a picture cannot be written as {out.name!r}: its name must end in one of {', '.join(SUFFIXES)}"
        )
    if reference is not None and kind != FIELDS:
        raise UsageError(f"a reference to a model is for pictures of fields, not of {kind}")
    renderer = _renderer(out)
    picture: Chart | FieldsPicture
    if kind == FIELDS:
        picture = fields_picture(map(Path, paths), selection, reference)
    else:
        picture = _drawable(CHARTS[kind](read_scores(map(Path, paths), selection)))
    renderer(picture, out)
    return Drawing(out, picture.notes)


def _drawable(chart: Chart) -> Chart:
    """Return a chart, or refuse one whose legend would be longer than a picture can be."""
    if (lines := len(chart.legend)) > MOST_LINES:
        raise UsageError(
            f"{lines} lines are too many for one picture, which can have {MOST_LINES}: choose with --model, --task, "
            "--shots or --start"
        )
    return chart


def _renderer(out: Path) -> Callable[[Chart | FieldsPicture, Path], None]:
    """Return what draws and writes a file of this suffix; it is imported only when it is needed."""
    if out.suffix.lower() == ".html":
        from pdebench_fm.plots.interactive import save as save_page

        return save_page
    from pdebench_fm.plots.static import save as save_image

    return save_image
