"""Text from outside, made harmless to show: whatever could move a cursor, colour a terminal or turn lines around."""

import unicodedata
from collections.abc import Iterable, Sequence
from html import escape

_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Control characters; marks of format, which are not seen, or turn the direction of what follows, so that `exe.txt` can
look like `txt.exe`; halves of surrogate pairs; and separators that break a line."""


def is_plain(text: str) -> bool:
    """Tell whether a text has no character that `visible` would replace."""
    return (text.isascii() and text.isprintable()) or not any(map(_is_hidden, text))


def visible(text: str, keep: str = "") -> str:
    r"""Return a text with each control character and mark of format as its escape, such as `\x1b` or `\u200b`.

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
    return unicodedata.category(character) in _HIDDEN


def html_table(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table as notebooks show it, every text in it as text."""

    def line(tag: str, cells: Sequence[str]) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(visible(cell))}</{tag}>" for cell in cells) + "</tr>"

    body = "".join(line("td", row) for row in rows)
    head = f"<thead>{line('th', heads)}</thead>" if heads else ""
    return f"<table><caption>{escape(visible(title))}</caption>{head}<tbody>{body}</tbody></table>"
