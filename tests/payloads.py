"""What strangers may write where a word is expected, and what a page that shows it consists of."""

from html.parser import HTMLParser

from markdown_it import MarkdownIt

PAYLOADS = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "</td></tr></table><h1>x",
    "<!-- the rest is hidden",
    "[click](javascript:alert(1))",
    "![x](javascript:alert(1))",
    "<javascript:alert(1)>",
    "[x]: javascript:alert(1)",
    "https://evil.example/",
    "<https://evil.example/>",
    "a | b | c |",
    "\\| b | c |",
    "**bold** *x* __y__ _z_ ~~s~~",
    "`code` and ``more``",
    "first\n\n# heading\n\n* item",
    "---\nlicense: other\nbase_model: evil/model\n---",
    "\n---\n\n# Another card",
    "```\nfence\n```",
    "# heading",
    "- item",
    "1. item",
    "> quote",
    "$$\\href{javascript:alert(1)}{x}$$",
    "\x1b[31mred\x07\x00",
    "txt.\u202egpj",
    "a\u2028b\u0085c",
    "{{ 7 * 7 }}{% raw %}",
)


class _Structure(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.found, self.text = [], ""

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, attrs))

    def handle_endtag(self, tag):
        self.found.append(("/" + tag, []))

    def handle_comment(self, data):
        self.found.append(("comment", data))

    def handle_data(self, data):
        self.text += data


def structure_of(card):
    """Render a card without its metadata, raw HTML let through, as HTML: its tags with their attributes; its text."""
    body = card.split("\n---\n", 1)[1]
    page = _Structure()
    page.feed(MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(body))
    return page.found, page.text
