"""What a display needs while a suite runs, the time that is left among it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pdebench_fm.evaluation.cell import Cell


@dataclass(frozen=True)
class SuiteProgress:
    """A moment of a suite.

    Attributes:
        done, cells: finished cells, those of earlier attempts among them, and all.
        cell: the one that is computed, or was last.
        step, steps: of its adaptation.
        loss: of its last step, if it has made one.
        seconds_left: estimated from steps and measured speed; None before there is a measurement.
        estimate: seconds that all of it will take by the pace of the first batch; told once, None at any other moment.
    """

    done: int
    cells: int
    cell: Cell | None = None
    step: int = 0
    steps: int = 0
    loss: float | None = None
    seconds_left: float | None = None
    estimate: float | None = None


@dataclass
class Pace:
    """How fast work is done, by kind: models differ by orders of magnitude."""

    _work: dict[str, float] = field(default_factory=dict)
    _seconds: dict[str, float] = field(default_factory=dict)

    def record(self, kind: str, work: float, seconds: float) -> None:
        """Take note of work done."""
        self._work[kind] = self._work.get(kind, 0.0) + work
        self._seconds[kind] = self._seconds.get(kind, 0.0) + seconds

    def seconds_left(self, remaining: Mapping[str, float]) -> float | None:
        """Return how long the remaining work will take, a kind not yet met at the pace of all; None before any."""
        total = sum(self._work.values())
        if not total:
            return None
        usual = sum(self._seconds.values()) / total
        return sum(
            work * (self._seconds[kind] / self._work[kind] if self._work.get(kind) else usual)
            for kind, work in remaining.items()
        )
