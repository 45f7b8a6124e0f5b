"""The front page: what it says of the whole leaderboard; its tables and charts are drawn from the data."""

from collections.abc import Sequence

from pdebench_fm.leaderboard.board import STANDARD_RESOLUTION, is_known
from pdebench_fm.leaderboard.site.addresses import FRONT
from pdebench_fm.leaderboard.site.material import Material
from pdebench_fm.leaderboard.site.page import SCRIPTS, Page, page
from pdebench_fm.leaderboard.store import Entry
from pdebench_fm.protocol.standard_rows import STANDARD_TEST_ROWS
from pdebench_fm.text import in_one_line, visible

_MOST_FAILURES = 12


def front_page(material: Material, data: Page, details: Page) -> Page:
    """Return the front page.

    Args:
        material: that the site is made of.
        data: the script of what all tables need.
        details: the script of what is needed when a row is opened.
    """
    boards, entries = material.boards, material.entries
    protocols = {board.protocol_version for board in boards if is_known(board.protocol_version)}
    return page(
        FRONT,
        "front.html.jinja",
        has_scores=bool(boards),
        data=data.path,
        details=details.path,
        scripts=SCRIPTS,
        rows=STANDARD_TEST_ROWS,
        resolution=STANDARD_RESOLUTION,
        protocols=sorted(protocols, reverse=True) or [1],
        models=len(material.models),
        results=len(entries),
        left_out=_left_out(entries),
        skipped=[(visible(file.path.as_posix()), in_one_line(file.reason)) for file in material.skipped],
        newest=max((f"{entry.result.date:%Y-%m-%d}" for entry in entries), default=""),
    )


def _left_out(entries: Sequence[Entry]) -> list[str]:
    """Return a line for each run that the boards leave out because it failed, whole or with some seeds.

    Of the many failures of one result the first few are named.
    """
    lines = []
    for entry in entries:
        result = entry.result
        name = f"{entry.organisation}/{result.model.model_id.rpartition('/')[2]} on {result.task} ({result.track})"
        lines += [
            f"{name}, {failure.start}, {failure.shots} shots, seed {failure.seed}: {failure.reason}"
            for failure in result.failures[:_MOST_FAILURES]
        ]
        if more := len(result.failures[_MOST_FAILURES:]):
            lines.append(f"{name}: {more} more")
    return [in_one_line(line) for line in lines]
