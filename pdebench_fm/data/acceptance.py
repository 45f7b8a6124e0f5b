"""The law of the varied parameter where samples are refused: measured from the draws, as no formula gives it.

A system with a bound on its solution draws a sample again until the bound holds. So its parameter is uniform *given*
the bound only: next to a resonance few samples are accepted, and that value of the parameter all but disappears.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pdebench_fm.data.measured_laws import MEASURED_LAWS
from pdebench_fm.data.statistics import RegimeStatistics, parameter_edges
from pdebench_fm.physics import BUILT_IN, ORIGINS, SampleKey, System, draw
from pdebench_fm.templates import as_text

_CHUNK = 512


@dataclass(frozen=True)
class Law:
    """How often each value of the varied parameter occurs in a regime, and how often a first draw is accepted.

    Attributes:
        labels: the integers of the range, or the intervals that it is cut into.
        counts: rows with each; they add up to the rows that were measured.
        redrawn: rows whose first draw was refused.
    """

    labels: tuple[str, ...]
    counts: tuple[int, ...]
    redrawn: int

    @property
    def shares(self) -> tuple[float, ...]:
        """The counts as shares of all rows."""
        return tuple(count / sum(self.counts) for count in self.counts)

    @property
    def accepted(self) -> float:
        """The share of first draws that were accepted."""
        return 1.0 - self.redrawn / sum(self.counts)

    def __str__(self) -> str:
        """Return the shares in words, such as "1: 29.9 %, 2: 0.2 %"."""
        return ", ".join(f"{label}: {100 * share:.1f} %" for label, share in zip(self.labels, self.shares, strict=True))


def measure_law(key: SampleKey, rows: int) -> Law:
    """Return the law among the first `rows` samples of a stream, by drawing them."""
    edges = parameter_edges(key.range)
    counts, redrawn = np.zeros(len(edges) - 1, np.int64), 0
    for start in range(0, rows, _CHUNK):
        draws = draw(key, range(start, min(rows, start + _CHUNK)))
        counts += np.histogram(draws.parameter.astype(np.float64), edges)[0]
        redrawn += int((draws.attempts > 0).sum())
    return Law(_labels(key.definition, key.regime), tuple(counts.tolist()), redrawn)


def stated_law(system: System, regime: str, measured: Sequence[RegimeStatistics] = ()) -> Law | None:
    """Return the law of a system that refuses samples; None for one that does not, whose parameter is uniform.

    For the benchmark's it is that of the published test rows (`MEASURED_LAWS`); for others what a build measured of
    itself, None if that has not been done.
    """
    if system.solution_bound is None:
        return None
    labels = _labels(system, regime)
    if ORIGINS[system.name] == BUILT_IN:
        return Law(labels, *MEASURED_LAWS[system.name][regime])
    held = next((item for item in measured if item.regime == regime), None)
    return None if held is None else Law(labels, held.parameter.counts, round(held.redrawn * held.rows))


def law_in_words(system: System, regime: str, measured: Sequence[RegimeStatistics] = ()) -> str:
    """Return the law of the varied parameter in a few words, such as "integers 1–5, given |u| ≤ 2 (not uniform)"."""
    text, law = system.law_of(regime), stated_law(system, regime, measured)
    if law is None:
        return text
    return f"{text} ({'not uniform' if law.redrawn else f'none refused of {sum(law.counts)}'})"


def law_table(system: System, regimes: Sequence[str], measured: Sequence[RegimeStatistics] = ()) -> str:
    """Return the laws of these regimes as a Markdown table; "" where none is known, or every sample is accepted."""
    laws = {name: law for name in regimes if (law := stated_law(system, name, measured)) is not None}
    if not laws:
        return ""
    lines = [f"| configuration | rows | {as_text(system.parameter_symbol)}: share of the rows | first draws accepted |"]
    lines.append("|---|---|---|---|")
    for name, law in laws.items():
        lines.append(f"| `{name}` | {sum(law.counts)} | {law} | {100 * law.accepted:.1f} % |")
    return "\n".join(lines)


def _labels(system: System, regime: str) -> tuple[str, ...]:
    span = system.regimes[regime]
    edges = parameter_edges(span)
    if span.integer:
        return tuple(f"{low + 0.5:g}" for low in edges[:-1])
    return tuple(f"{low:.3g}–{high:.3g}" for low, high in pairwise(edges))
