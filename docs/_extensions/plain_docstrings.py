"""Docstrings are plain text with back-quotes: what Sphinx would take for markup in them is taken as it stands."""

import re
from typing import Any

from sphinx.application import Sphinx

_CODE = re.compile(r"(``[^`]+``|`[^`\n]+`)")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    # before napoleon, which makes lists and fields of the sections
    app.connect("autodoc-process-docstring", _escape, priority=100)
    return {"parallel_read_safe": True, "version": "1"}


def _escape(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:  # noqa: ARG001
    """Escape bars and stars outside of code; lines that are indented as examples are left alone."""
    literal = False
    for number, line in enumerate(lines):
        if line.startswith("    ") and number and not lines[number - 1].strip() and lines[number - 2 : number - 1]:
            literal = True
        elif line.strip() and not line.startswith("    "):
            literal = False
        if not literal:
            lines[number] = "".join(
                part if part.startswith("`") else re.sub(r"([|*]|(?<=\w)_(?=\W|$))", r"\\\1", part)
                for part in _CODE.split(line)
            )
