"""The page that says how to submit a model and how to cite the benchmark."""

import re
from pathlib import PurePosixPath

import yaml

from pdebench_fm.leaderboard.site.page import Page, page
from pdebench_fm.shipped import shipped

GUIDE = PurePosixPath("submit.html")
_WORD = re.compile(r"[A-Za-z]+")
_SPECIAL = re.compile(r"[\\{}&%$#_^~]")


def guide_page() -> Page:
    """Return the page."""
    return page(GUIDE, "guide.html.jinja", bibtex=bibtex(read_citation()))


def read_citation() -> dict[str, object]:
    """Return the content of CITATION.cff."""
    content: dict[str, object] = yaml.safe_load(shipped("CITATION.cff").read_text(encoding="utf-8"))
    return content


def bibtex(citation: dict[str, object]) -> str:
    """Return a citation, as CITATION.cff has it, as BibTeX: the software, then each work that it refers to."""
    references = citation.get("references", [])
    works = [citation, *(references if isinstance(references, list) else [])]
    return "\n\n".join(_entry(work) for work in works)


def _entry(work: dict[str, object]) -> str:
    kind = str(work["type"])
    authors = work["authors"]
    names = [_name(author) for author in authors] if isinstance(authors, list) else []
    fields = {
        "title": "{" + _escaped(work["title"]) + "}",
        "author": " and ".join(names),
        "year": work.get("year"),
        "version": work.get("version"),
        "license": work.get("license"),
        "doi": work.get("doi"),
        "url": work.get("url") or work.get("repository-code"),
    }
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@{kind if kind in ('article', 'software') else 'misc'}{{{_key(work, names)},", *lines, "}"])


def _name(author: dict[str, str]) -> str:
    """Return a person as "family, given", or an organisation, which BibTeX is not to take apart."""
    if "name" in author:
        return "{" + _escaped(author["name"]) + "}"
    return f"{_escaped(author['family-names'])}, {_escaped(author['given-names'])}"


def _key(work: dict[str, object], names: list[str]) -> str:
    """Return what the work is cited by, such as `subramanian2023towards`, or the software's own name."""
    title = str(work["title"])
    if work["type"] == "software":
        return title.partition(":")[0].strip()
    first = "".join(_WORD.findall(names[0].partition(",")[0]))
    return f"{first}{work.get('year', '')}{_WORD.findall(title)[0]}".lower()


def _escaped(text: object) -> str:
    return _SPECIAL.sub(lambda found: f"\\{found[0]}", str(text))
