"""The divisions of the protocol: what a way of adapting models is ranked among, as MLPerf has them."""

import re
from collections.abc import Iterable
from typing import Final, Literal, get_args

from pdebench_fm.naming import bare_outline

Division = Literal["closed", "open", "unranked"]
DIVISIONS: Final[tuple[Division, ...]] = get_args(Division)

PAPER_METHOD: Final = "paper"
"""The paper's own: it chooses on validation rows, so what it is given is more than the support set."""


def division_of(method: str) -> Division:
    """Return the division of a way of adapting: the protocol's own recipe ("v1"), the paper's, or any other's."""
    if method == PAPER_METHOD:
        return "unranked"
    return "closed" if re.fullmatch("v[1-9][0-9]*", method) else "open"


def passes_for_a_division(method: str) -> bool:
    """Tell whether a way of adapting has a name that tables would show as a division, or a protocol, that it isn't."""
    name = method.lower()
    return name in DIVISIONS or (re.fullmatch("v[0-9]+", name) is not None and division_of(method) != "closed")


SIGNS_OF_METHODS: Final = "letters and digits of ASCII, and '-', '_', '.' and ':' between them"


def looks_like(method: str, names: Iterable[str]) -> str | None:
    """Return which of these names the name of a method can be taken for, though it is another; None if none."""
    return next((name for name in names if bare_outline(method) == bare_outline(name) and method != name), None)


def has_a_methods_signs(method: str) -> bool:
    """Tell whether a name has `SIGNS_OF_METHODS` alone: others are overlooked, or look like letters."""
    return re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_.:-]*[A-Za-z0-9_])?", method) is not None
