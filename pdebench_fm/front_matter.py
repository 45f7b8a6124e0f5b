"""Reading a README whose first lines are YAML, as the Hub's are, when anybody may have written it."""

import re
from pathlib import Path

import yaml

from pdebench_fm.errors import PdefmError
from pdebench_fm.limits import CARD_BYTES, CARD_DEPTH, read_limited

_BLOCK = re.compile(r"\s*---\r?\n(.*?)\n---", re.DOTALL)


def read_card_text(path: Path) -> str:
    """Return a README's text, whose metadata can be parsed without harm.

    YAML's aliases let a page unfold to more than any memory, and deep nesting exhausts the parser's stack: neither is
    in a card of this package.

    Raises:
        PdefmError: if the file cannot be read, is too large, or its metadata has aliases or is nested too deeply.
    """
    try:
        text = read_limited(path, CARD_BYTES).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise PdefmError(f"cannot read {path}: {error}") from error
    if block := _BLOCK.match(text):
        _check_events(path, block[1])
    return text


def without_metadata(text: str) -> str:
    """Return a README's text without the YAML block that it begins with, if it does."""
    return _BLOCK.sub("", text, count=1) if _BLOCK.match(text) else text


def _check_events(path: Path, metadata: str) -> None:
    depth = 0
    try:
        for event in yaml.parse(metadata, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            if isinstance(event, yaml.AliasEvent):
                raise PdefmError(f"{path} has metadata with YAML aliases, which no card of this package has")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > CARD_DEPTH:
                raise PdefmError(f"{path} has metadata that is nested more than {CARD_DEPTH} levels deep")
    except (yaml.YAMLError, RecursionError):
        return  # whoever parses it says what is wrong
