"""A YAML file whose every value knows its line, so that whatever is wrong with it is told where it stands."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from yaml.constructor import ConstructorError, SafeConstructor

from pdebench_fm.errors import PdefmError, UsageError, unknown_name
from pdebench_fm.limits import CARD_BYTES, CARD_DEPTH, read_limited
from pdebench_fm.text import in_one_line

Step = str | int
Place = tuple[Step, ...]
"""Where a value stands: keys and positions from the top of the file."""

_CONSTRUCTOR: Final = SafeConstructor()


@dataclass(frozen=True)
class Document:
    """What a file says.

    Attributes:
        path: of the file.
        values: mappings, lists, words and numbers.
        lines: by place, counted from 1.
    """

    path: Path
    values: dict[str, Any]
    lines: dict[Place, int]

    def error(self, place: Sequence[Step], message: str) -> UsageError:
        """Return an error about a place, or about the nearest one above it that the file has."""
        return UsageError(f"{self.path}, line {self.line(place)}: {in_one_line(message)}")

    def line(self, place: Sequence[Step]) -> int:
        """Return the line of a place, or of the nearest one above it that the file has."""
        return self.lines.get(self.known(place), 1)

    def known(self, place: Sequence[Step]) -> Place:
        """Return a place without the steps that the file doesn't have, such as the name of a kind."""
        known: Place = ()
        for step in place:
            if (*known, step) in self.lines:
                known = (*known, step)
        return known

    @contextmanager
    def telling(self, place: Place) -> Iterator[None]:
        """Let errors say what place they are about."""
        try:
            yield
        except PdefmError as error:
            raise self.error(place, str(error)) from error

    def changed_by(self, place: Place) -> "Document":
        """Return the document with what stands at a place laid over the rest.

        Mappings are laid into mappings, key by key; null takes a key away; anything else takes the place of what was
        there.

        Raises:
            UsageError: if null is to take a key away that isn't there.
        """
        changes: Any = self.values
        for step in place:
            changes = changes[step]
        self._check_removals(self.values, changes, place)
        lines = dict(self.lines)
        values = _laid_over(self.values, changes, (), place, lines)
        return Document(self.path, values, lines)

    def _check_removals(self, base: Any, changes: Any, place: Place) -> None:
        if not (isinstance(base, dict) and isinstance(changes, dict)):
            return
        for key, change in changes.items():
            if change is None and key not in base:
                raise self.error((*place, key), f"null takes a key away, and {unknown_name('key', key, base)}")
            self._check_removals(base.get(key), change, (*place, key))


def read_document(path: Path) -> Document:
    """Read a file that holds one YAML mapping, with neither aliases nor tags nor a key that is there twice.

    Raises:
        UsageError: if it doesn't exist or is no such file; the message has the line.
        PdefmError: if it cannot be read.
    """
    try:
        content = read_limited(path, CARD_BYTES)
        text = content.decode()
    except FileNotFoundError as error:
        raise UsageError(f"no study at {path}") from error
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UsageError(f"{path}, line {line}: not UTF-8 text: save the file as such") from error
    except OSError as error:
        raise PdefmError(f"cannot read {path}: {error.strerror or error}") from error
    reader = _Reader(path)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader) if _is_plain(path, text) else None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UsageError(f"{path}, line {line}: not YAML: {in_one_line(error.problem or str(error))}") from error
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise UsageError(f"{path}, line {line}: not YAML: a control character, U+{error.character:04X}") from error
    values = None if node is None else reader.value(node, ())
    if not isinstance(values, dict):
        raise UsageError(f"{path}, line 1: this is no study, which is a mapping of keys to values")
    return Document(path, values, reader.lines)


def _is_plain(path: Path, text: str) -> bool:
    """Return True; refuse tags, aliases, which unfold to more than any memory, and nesting that ends the parser."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise UsageError(f"{path}, line {event.start_mark.line + 1}: aliases (*name) are not for studies")
        if getattr(event, "tag", None) is not None:
            raise UsageError(f"{path}, line {event.start_mark.line + 1}: tags (!name) are not for studies")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > CARD_DEPTH:
            raise UsageError(f"{path}, line {event.start_mark.line + 1}: nested more than {CARD_DEPTH} levels deep")
    return True


class _Reader:
    """Turns nodes into values and notes their lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: dict[Place, int] = {}

    def value(self, node: yaml.Node, place: Place) -> Any:
        self.lines[place] = node.start_mark.line + 1
        if isinstance(node, yaml.SequenceNode):
            return [self.value(each, (*place, i)) for i, each in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place)
        try:
            value = _CONSTRUCTOR.construct_object(node)
        except (ConstructorError, ValueError) as error:
            what = error.problem if isinstance(error, ConstructorError) else str(error)
            raise self._error(node, f"a value that is neither word nor number ({in_one_line(str(what))})") from error
        if not _is_as_written(node.value, value):
            raise self._error(node, f"YAML reads {node.value} as {value!r}: write that, or a word in quotes")
        return value

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self.value(key_node, (*place, "?"))
            if not isinstance(key, str):
                raise self._error(key_node, f"a key should be a word, not {key!r}")
            if key in found:
                raise self._error(key_node, f"{key!r} is there twice: name it once")
            found[key] = self.value(value_node, (*place, key))
            self.lines[*place, key] = key_node.start_mark.line + 1
        self.lines.pop((*place, "?"), None)
        return found

    def _error(self, node: yaml.Node, message: str) -> UsageError:
        return UsageError(f"{self.path}, line {node.start_mark.line + 1}: {message}")


def _is_as_written(text: str, value: object) -> bool:
    """Tell whether a value is what its text says to somebody who does not know that 1:30 is 90, 010 is 8, and no false.

    Those are numbers and truth values of YAML 1.1, which lets numbers have underscores as well.
    """
    if isinstance(value, bool):
        return text.lower() == str(value).lower()
    if isinstance(value, int):
        return text.removeprefix("+") == str(value)
    return not isinstance(value, float) or not set(text) & {":", "_"}


def _laid_over(base: Any, changes: Any, place: Place, source: Place, lines: dict[Place, int]) -> Any:
    """Return a value with changes laid over it, and let `lines` say where each part of it stands."""
    if isinstance(base, dict) and isinstance(changes, dict):
        merged = dict(base)
        for key, change in changes.items():
            if change is None:
                merged.pop(key, None)
            else:
                merged[key] = _laid_over(base.get(key), change, (*place, key), (*source, key), lines)
        return merged
    for known in [known for known in lines if known[: len(place)] == place and known != place]:
        del lines[known]
    for known, line in list(lines.items()):
        if known[: len(source)] == source:
            lines[*place, *known[len(source) :]] = line
    return changes
