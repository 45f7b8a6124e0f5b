"""Templates of cards, and what others' words become in them.

A card is Markdown that the Hub shows as HTML. Words that come from files or plug-ins stand in it as text, or as code,
that shows what they say and does nothing else.
"""

import re
import unicodedata
from functools import cache

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pdebench_fm.shipped import shipped

# Entities are text in every dialect of Markdown, where a backslash is not. An underscore inside of a word is one, too.
_SPECIAL = re.compile(r"[\\`*\[\]<>&|~$\"]|(?<![^\W_])_|_(?![^\W_])|(?<=:)/(?=/)|^[#+=-]|^[0-9](?=[0-9]*[.)]( |$))")


def printable(text: str) -> str:
    """Return a text without control characters, those that turn its direction included; its lines stay."""
    return "".join(letter for letter in text if letter == "\n" or not unicodedata.category(letter).startswith("C"))


def one_line(value: object) -> str:
    """Return a value's words in one line, without control characters."""
    return printable(" ".join(str(value).split()))


def as_text(value: object) -> str:
    """Return a value as Markdown that shows its words: no markup, no HTML, no link and no second line comes of them."""
    return _SPECIAL.sub(lambda found: f"&#{ord(found[0])};", one_line(value))


def as_code(value: object) -> str:
    """Return a value for inside of a span of code, also in a table's cell, which nothing in it can end."""
    return one_line(value).replace("`", "'").replace("|", "\u2223")


@cache
def card_templates() -> Environment:
    """Return the environment of `cards/`; a name a template asks for and nobody gave is an error."""
    environment = Environment(
        loader=FileSystemLoader(shipped("cards")),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 (Markdown, not HTML)
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"text": as_text, "code": as_code, "line": one_line}
    return environment
