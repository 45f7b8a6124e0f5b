"""What storage and transport do to files: bits flip, ends or blocks are lost, single digits change."""

from pathlib import Path

import numpy as np

_BLOCK = 512


def damage(path: Path, generator: np.random.Generator) -> str:
    """Damage a file; return how, in words."""
    content = bytearray(path.read_bytes())
    kind = generator.choice(list(_KINDS))
    after = _KINDS[kind](bytearray(content), generator)
    if after == content:  # there was nothing to damage
        kind, after = "more", _more(content, generator)
    path.write_bytes(after)
    return str(kind)


def _bits(content: bytearray, generator: np.random.Generator) -> bytearray:
    for _ in range(int(generator.integers(1, 9))):
        if content:
            content[generator.integers(len(content))] ^= 1 << int(generator.integers(8))
    return content


def _cut(content: bytearray, generator: np.random.Generator) -> bytearray:
    return content[: generator.integers(len(content) + 1)]


def _zeros(content: bytearray, generator: np.random.Generator) -> bytearray:
    start = int(generator.integers(len(content) + 1))
    stop = min(start + _BLOCK, len(content))
    content[start:stop] = bytes(stop - start)
    return content


def _more(content: bytearray, generator: np.random.Generator) -> bytearray:
    return content + generator.bytes(int(generator.integers(1, _BLOCK)))


def _character(content: bytearray, generator: np.random.Generator) -> bytearray:
    """Change one letter or digit to another one, which leaves a text well-formed."""
    places = [i for i, byte in enumerate(content[:100_000]) if chr(byte).isalnum()]
    if places:
        place = places[generator.integers(len(places))]
        digits = b"0123456789" if chr(content[place]).isdigit() else b"abcdefghijklmnopqrstuvwxyz"
        content[place] = digits[generator.integers(len(digits))]
    return content


_KINDS = {"bits": _bits, "cut": _cut, "zeros": _zeros, "more": _more, "character": _character}
