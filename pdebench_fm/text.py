"""Text from outside, made harmless to show: whatever could move a cursor, colour a terminal or turn lines around."""

import unicodedata
from collections.abc import Iterable, Sequence
from html import escape

_HIDDEN = {"Cc", "Cs", "Zl", "Zp"}
"""Control characters, halves of surrogate pairs, and separators that break a line."""

_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Marks that change the direction in which text is shown, so that `exe.txt` can look like `txt.exe`."""


def is_plain(text: str) -> bool:
    """Tell whether a text has no character that `visible` would replace."""
    return (text.isascii() and text.isprintable()) or not any(map(_is_hidden, text))


def visible(text: str, keep: str = "") -> str:
    r"""Return a text with each control character and mark of direction as its escape, such as `\x1b` or `\u202e`.

    Args:
        text: any.
        keep: control characters that stay, such as a line feed.
    """
    if is_plain(text):
        return text
    return "".join(
        character.encode("unicode_escape").decode() if _is_hidden(character) and character not in keep else character
        for character in text
    )


def in_one_line(text: str) -> str:
    """Return a text in one line, with single spaces, and visible."""
    return visible(" ".join(text.split()))


def _is_hidden(character: str) -> bool:
    return character in _TURNING or unicodedata.category(character) in _HIDDEN


def html_table(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table as notebooks show it, every text in it as text."""

    def line(tag: str, cells: Sequence[str]) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(visible(cell))}</{tag}>" for cell in cells) + "</tr>"

    body = "".join(line("td", row) for row in rows)
    head = f"<thead>{line('th', heads)}</thead>" if heads else ""
    return f"<table><caption>{escape(visible(title))}</caption>{head}<tbody>{body}</tbody></table>"
