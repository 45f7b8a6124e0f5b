"""Pages of the API are for reading: docstrings are plain text, and signatures say types, not their validators."""

import re
from typing import Any

from sphinx import addnodes
from sphinx.application import Sphinx

_CODE = re.compile(r"(``[^`]+``|`[^`\n]+`)")
_STRING = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""")
_COLON = "\ue000"  # stands for one, a character of private use
_LONGEST_VALUE = 100  # characters, of a constant's value


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    # before napoleon, which makes lists and fields of the sections
    app.connect("autodoc-process-docstring", _escape, priority=100)
    app.connect("autodoc-process-docstring", _hide_colons, priority=101)
    app.connect("autodoc-process-docstring", _show_colons, priority=900)  # after napoleon
    app.connect("autodoc-process-signature", _shorten)
    app.connect("object-description-transform", _without_long_value)
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


def _hide_colons(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:  # noqa: ARG001
    """Keep napoleon from taking the words before a colon for a type, as it does in a first line of these."""
    if what in ("attribute", "data", "property") and lines:
        lines[0] = lines[0].replace(":", _COLON)


def _show_colons(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:  # noqa: ARG001
    """Put back the colons that were hidden."""
    lines[:] = [line.replace(_COLON, ":") for line in lines]


def _shorten(
    app: Sphinx,  # noqa: ARG001
    what: str,  # noqa: ARG001
    name: str,  # noqa: ARG001
    thing: Any,  # noqa: ARG001
    options: Any,  # noqa: ARG001
    arguments: str | None,
    returned: str | None,
) -> tuple[str | None, str | None]:
    """Write a signature without the validators of its types, and so that Sphinx can read it."""
    return tuple(part and readable(part) for part in (arguments, returned))  # type: ignore[return-value]  # of two


def readable(signature: str) -> str:
    """Return a signature with `T` for `Annotated[T, ...]`, and `...` for a default that Python cannot read.

    Args:
        signature: As `inspect` and Sphinx write it.

    Returns:
        The signature, in which strings are as they were.
    """
    strings: list[str] = []

    def keep(found: re.Match[str]) -> str:
        strings.append(found.group())
        return f"\0{len(strings) - 1}\0"

    text = _STRING.sub(keep, signature)
    text = re.sub(r"<[^<>]*>", "...", text)
    while found := re.search(r"(?:~?[\w.]+\.)?\bAnnotated\[", text):
        depth, comma, end = 1, None, found.end()
        while depth:
            character = text[end]
            depth += (character in "[(") - (character in "])")
            if character == "," and depth == 1 and comma is None:
                comma = end
            end += 1
        text = text[: found.start()] + text[found.end() : comma or end - 1] + text[end:]
    return re.sub("\0(\\d+)\0", lambda found: strings[int(found.group(1))], text)


def _without_long_value(app: Sphinx, domain: str, kind: str, content: addnodes.desc_content) -> None:  # noqa: ARG001
    """Leave out the value of a constant that would fill a screen: its docstring says what it holds."""
    for signature in content.parent.findall(addnodes.desc_signature):
        for note in list(signature.findall(addnodes.desc_annotation)):
            text = note.astext()
            if text.lstrip().startswith("=") and len(text) > _LONGEST_VALUE:
                note.parent.remove(note)
