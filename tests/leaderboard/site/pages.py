"""Pages of a leaderboard's site without a browser: their text, what they link to, and rows to make them from."""

from html.parser import HTMLParser
from pathlib import Path

from factories import with_samples

from pdebench_fm.leaderboard.run_scores import scores_of
from pdebench_fm.leaderboard.store import Entry

HOSTILE = (
    "</script><script>document.title='attacked'</script>",
    '"><img src=x onerror="document.title=\'attacked\'">',
    "[click](javascript:document.title='attacked')",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;b&gt;&amp;",
)
"""Texts that a page must show as they are."""


def entry_of(result, organisation="acme", record=None, name=None) -> Entry:
    """A row as a leaderboard that holds it would give it, whatever its model is called."""
    place = Path("results", organisation, "model", name or f"{abs(hash(result.model_dump_json()))}.json")
    return Entry(place, organisation, result, record, scores_of(with_samples(result)))


def expect(shown):
    """Playwright's assertions on what a browser shows, which wait until it does: a page draws after the click."""
    from playwright.sync_api import expect as expected  # which is not installed everywhere

    return expected(shown)


class Document(HTMLParser):
    """What a page says, by a parser that is none of ours.

    Attributes:
        words: its text; cells: those of its tables.
        links: of anchors; sources: of pictures, scripts and styles.
        tags: all that there are.
        handlers: attributes that would run something.
        policy: the content security policy, whose `default-src 'none'` covers what is not named.
    """

    def __init__(self, html):
        super().__init__()
        self.words, self.links, self.sources, self.tags, self.handlers, self.policy = "", [], [], [], [], ""
        self.ids, self.cells, self._in_cell = [], [], False
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        known = dict(attributes)
        self.tags.append(tag)
        self.handlers += [name for name in known if name.startswith("on")]
        self.ids += [known["id"]] if "id" in known else []
        if tag == "a":
            self.links.append(known["href"])
        elif tag in ("img", "script"):
            self.sources.append(known.get("src"))
        elif tag == "link":
            self.sources.append(known["href"])
        elif tag == "meta" and known.get("http-equiv") == "Content-Security-Policy":
            self.policy = known["content"]
        if tag in ("td", "th"):
            self._in_cell = True
            self.cells.append("")

    def handle_endtag(self, tag):
        self._in_cell = self._in_cell and tag not in ("td", "th")

    def handle_data(self, data):
        self.words += data
        if self._in_cell:
            self.cells[-1] += data
