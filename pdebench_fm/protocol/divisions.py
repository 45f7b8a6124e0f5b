"""The divisions of the protocol: what a way of adapting models is ranked among, as MLPerf has them."""

import re
from typing import Final, Literal, get_args

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
