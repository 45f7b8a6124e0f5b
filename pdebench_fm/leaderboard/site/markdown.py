"""Markdown as HTML for the site's pages: no HTML of its own, no pictures, and links to https addresses alone."""

from functools import cache

from markdown_it import MarkdownIt
from markdown_it.token import Token


def as_html(text: str) -> str:
    """Return a card's Markdown as HTML below a page's heading of the second level; its own title is left out."""
    markdown = _markdown()
    shared: dict[str, object] = {}
    tokens = markdown.parse(text, shared)
    if tokens and tokens[0].type == "heading_open" and tokens[0].tag == "h1":
        tokens = tokens[3:]  # the heading, what is in it, and its end
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + 1, 6)}"
    return str(markdown.renderer.render(_with_frames(tokens), markdown.options, shared))


def _with_frames(tokens: list[Token]) -> list[Token]:
    """Return tokens with each table in a frame that scrolls, so that a narrow page need not."""
    framed, tables = [], 0
    for token in tokens:
        if token.type == "table_open":
            tables += 1
            label = f"Table {tables} of the card"
            attributes: dict[str, str | int | float] = {
                "class": "frame",
                "tabindex": "0",
                "role": "region",
                "aria-label": label,
            }
            framed.append(Token("frame_open", "div", 1, attrs=attributes, block=True))
        framed.append(token)
        if token.type == "table_close":
            framed.append(Token("frame_close", "div", -1, block=True))
    return framed


@cache
def _markdown() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    vars(markdown)["validateLink"] = lambda address: address.startswith("https://")  # the parser asks its own attribute
    return markdown
