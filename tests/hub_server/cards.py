"""README front matter: whether it is a mapping, and its simple top-level fields.

Only as much YAML as the Hub's answers need: values and lists of values at the top level. Nested fields count
as valid and are left out.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from .context import Context, route
from .messages import Answer, Request, json_answer

_BLOCK = re.compile(r"\s*---[ \t]*\r?\n(.*?)(?:\r?\n)?---[ \t]*(?:\r?\n|$)", re.DOTALL)
_FIELD = re.compile(r"""(?P<quote>["']?)(?P<key>[^\s"'#\[{&*!|>%@`-][^:"']*?)(?P=quote)\s*:(?:[ \t]+(?P<value>.*))?""")
_ITEM = re.compile(r"\s*-[ \t]+(?P<value>.*)")

_COLOURS = ("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")
_LONGEST_DESCRIPTION = 60

CardValue = str | int | float | bool | None | list[object]
_NESTED: list[object] = ["nested"]  # stands for a value that is not read further; compared by identity


@dataclass(frozen=True)
class Card:
    """The checked front matter of a README."""

    fields: dict[str, CardValue]
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def read_card(text: str) -> Card:
    """Read the front matter of a README."""
    block = _BLOCK.match(text)
    if block is None:
        return Card({}, warnings=("empty or missing yaml metadata in repo card",))
    fields: dict[str, CardValue] = {}
    errors: list[str] = []
    key = None
    for number, line in enumerate(block[1].splitlines(), start=1):
        item = _ITEM.fullmatch(line)
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line.startswith("\t"):
            errors.append(f"line {number}: tabs may not indent")
        elif item and key is not None:
            _add_item(fields, key, item["value"])
        elif line[0] == " " or line[0] in "]}":
            _mark_nested(fields, key)
        elif match := _FIELD.fullmatch(line):
            key = match["key"]
            if key in fields:
                errors.append(f"line {number}: duplicated mapping key {key!r}")
            fields[key] = _value(match["value"] or "")
        else:
            errors.append(f"line {number}: the metadata must be a mapping, got {line!r}")
    return Card({name: value for name, value in fields.items() if value is not _NESTED}, tuple(errors))


def space_errors(card: Card) -> tuple[str, ...]:
    """What the Hub says against a Space's card, besides what is wrong with any."""
    errors = []
    if card.fields.get("sdk") not in ("static", "gradio", "docker", "streamlit"):
        errors.append('"sdk" must be one of [static, gradio, docker, streamlit]')
    errors += [
        f'"{name}" must be one of [{", ".join(_COLOURS)}]'
        for name in ("colorFrom", "colorTo")
        if card.fields.get(name, "red") not in _COLOURS
    ]
    if len(str(card.fields.get("short_description", ""))) > _LONGEST_DESCRIPTION:
        errors.append(
            f'"short_description" length must be less than or equal to {_LONGEST_DESCRIPTION} characters long'
        )
    return (*card.errors, *errors)


def _add_item(fields: dict[str, CardValue], key: str, text: str) -> None:
    value = _value(text)
    present = fields[key]
    if present is _NESTED or _FIELD.fullmatch(text):
        fields[key] = _NESTED
    elif isinstance(present, list):
        fields[key] = [*present, value]
    elif present is None:
        fields[key] = [value]


def _mark_nested(fields: dict[str, CardValue], key: str | None) -> None:
    if key is not None:
        fields[key] = _NESTED


def _value(text: str) -> CardValue:
    text = re.sub(r"(^|\s)#.*", "", text).strip()
    if text.startswith("[") and text.endswith("]"):
        return [_value(part) for part in text[1:-1].split(",") if part.strip()]
    if text.startswith(("[", "{", "|", ">", "&", "*")):
        return _NESTED
    if text[:1] == text[-1:] == "'" and len(text) > 1:
        return text[1:-1].replace("''", "'")
    if text in ("", "~", "null"):
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, str | int | float | bool) else text


def validate(_: Context, request: Request) -> Answer:
    """POST /api/validate-yaml."""
    card = read_card(str(request.json().get("content", "")))
    content = {
        "errors": [{"message": message} for message in card.errors],
        "warnings": [{"message": message} for message in card.warnings],
    }
    return json_answer(content, status=400 if card.errors else 200)


ROUTES = [route("POST", "/api/validate-yaml", validate)]
