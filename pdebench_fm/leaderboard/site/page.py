"""What a file of the site is, and how a page is made from a template: with everything from outside as text."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import PurePosixPath
from typing import Any

from jinja2 import Environment as Templates
from jinja2 import PackageLoader, StrictUndefined

from pdebench_fm.leaderboard.site.words import number, parameters, short

GENERATOR = '<meta name="generator" content="pdebench_fm leaderboard">'
"""In the head of each page, by which an earlier build is recognised."""


@dataclass(frozen=True)
class Page:
    """One file of the site: its place, relative to the site's folder, and its content."""

    path: PurePosixPath
    content: str | bytes


def page(path: PurePosixPath, template: str, **context: Any) -> Page:
    """Return a page from a template that extends `base.html.jinja`.

    The template knows, besides `context`, `root`: what leads from the page to the site's folder, "" or "../" or
    "../../". Links to other files of the site begin with it, so that they work from disk.
    """
    words = _templates().get_template(template).render(root=up_from(path), generator=GENERATOR, **context)
    return Page(path, words)


def up_from(path: PurePosixPath) -> str:
    """Return what leads from a page to the site's folder."""
    return "../" * (len(path.parts) - 1)


@cache
def _templates() -> Templates:
    """Return the environment of the site's templates; a name that nobody gave is an error."""
    environment = Templates(
        loader=PackageLoader("pdebench_fm.leaderboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=number, parameters=parameters, short=short)
    return environment


SCRIPTS = ("core.js", "state.js", "table.js", "details.js", "charts.js", "front.js")
"""In the order in which they are loaded."""

_PACKAGE = files("pdebench_fm.leaderboard")
_LIBRARIES = ("d3", "plot")  # the second needs the first


def shared(name: str) -> Page:
    """Return a file of the package's templates that goes into the site as it is, under `shared/`."""
    return Page(PurePosixPath("shared", name), _PACKAGE.joinpath("templates", name).read_bytes())


def shared_files() -> Iterator[Page]:
    """Return what pages share, under `shared/`: the style, the scripts, and the library of charts with its licences."""
    yield from map(shared, ("style.css", "pages.css", *SCRIPTS))
    vendored = _PACKAGE.joinpath("vendored")
    library = b"\n".join(vendored.joinpath(f"{name}.min.js").read_bytes() for name in _LIBRARIES)
    yield Page(PurePosixPath("shared", "plot.js"), library)
    for name in _LIBRARIES:
        licence = f"{name}.LICENSE.txt"
        yield Page(PurePosixPath("shared", licence), vendored.joinpath(licence).read_bytes())
