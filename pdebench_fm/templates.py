"""Where the Jinja templates of cards are found: inside an installed package, or beside a checkout's package."""

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_PACKAGE = Path(__file__).parent


@cache
def card_templates() -> Environment:
    """Return the environment of `cards/`; a name a template asks for and nobody gave is an error."""
    folders = (_PACKAGE / "cards", _PACKAGE.parent / "cards")
    return Environment(
        loader=FileSystemLoader(folders),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 (Markdown, not HTML)
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
