"""Planned trouble: which of the coming requests fail, and how."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Literal

Drop = Literal["before", "midway", "after"]


@dataclass(frozen=True)
class Fault:
    """What happens to one request.

    Attributes:
        status: answer with this status, without doing anything else.
        retry_after: seconds in the ``Retry-After`` header of that answer.
        drop: hang up ``"before"`` the request takes effect, ``"midway"`` through its answer's body, or
            ``"after"`` it took effect but without an answer.
    """

    status: int | None = None
    retry_after: int | None = None
    drop: Drop | None = None

    def __post_init__(self) -> None:
        if (self.status is None) == (self.drop is None):
            raise ValueError("a fault is either a status or a dropped connection")
        if self.drop not in (None, "before", "midway", "after"):
            raise ValueError(f"drop must be 'before', 'midway' or 'after', not {self.drop!r}")


@dataclass
class _Planned:
    method: str | None
    path_contains: str
    skip: int
    times: int
    fault: Fault


class FaultPlan:
    """The faults still to come; safe to use from several threads."""

    def __init__(self) -> None:
        self._planned: list[_Planned] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault, method: str | None, path_contains: str, times: int, skip: int) -> None:
        """Let ``times`` matching requests fail, after ``skip`` that don't."""
        if times < 1 or skip < 0:
            raise ValueError("times must be at least 1 and skip at least 0")
        with self._lock:
            self._planned.append(_Planned(method, path_contains, skip, times, fault))

    def take(self, method: str, target: str) -> Fault | None:
        """The fault for this request, if one is due; uses it up."""
        with self._lock:
            for planned in self._planned:
                if planned.method not in (None, method) or planned.path_contains not in target:
                    continue
                if planned.skip:
                    planned.skip -= 1
                    continue
                planned.times -= 1
                if not planned.times:
                    self._planned.remove(planned)
                return planned.fault
        return None

    @property
    def pending(self) -> int:
        """How many failures have not happened yet."""
        with self._lock:
            return sum(planned.times for planned in self._planned)

    def clear(self) -> None:
        """Forget all planned faults."""
        with self._lock:
            self._planned.clear()
