"""The rows of a task, made or read once and held on the device that models are scored and adapted on."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from pdebench_fm.data.batches import Batch, concatenate
from pdebench_fm.protocol.task import EvaluationTask, rows_at
from pdebench_fm.protocol.tracks import Track, find_track
from pdebench_fm.training.support import SupportSet


@dataclass(frozen=True)
class HeldSupport:
    """The rows of one run, in its own order, without a copy of them.

    Attributes:
        held: rows on the device, those of other runs among them.
        positions: (K,) int64 on the same device, of this run's rows.
    """

    held: Batch
    positions: Tensor

    def __len__(self) -> int:
        """Return K."""
        return len(self.positions)

    def __getitem__(self, rows: Tensor) -> Batch:
        """Return some of the run's rows, by their place in it."""
        return self.held[self.positions[rows.to(self.positions.device)]]


class HeldTask:
    """A task's rows at a track's resolution on one device.

    Support sets of one seed are nested and those of several overlap: each row of the train split is there once.

    Attributes:
        task, track, device: whose rows, at which resolution, and where.
    """

    def __init__(self, task: EvaluationTask, track: Track, device: torch.device) -> None:
        """Hold nothing yet."""
        self.task = task
        self.track = track
        self.device = device
        self._test: Batch | None = None
        self._validation: Batch | None = None
        self._support: Batch | None = None
        self._places: dict[int, int] = {}
        self._expected: list[tuple[int, int]] = []

    def test(self) -> Batch:
        """Return the rows that are scored."""
        if self._test is None:
            self._test = self.task.test_batch(self.track).to(self.device)
        return self._test

    def validation(self) -> Batch:
        """Return the rows that the paper's recipe chooses by: as many of the validation split as the track scores."""
        if self._validation is None:
            rows = self.task.validation
            count = min(self.task.test_rows(self.track), rows.size)
            self._validation = rows_at(rows, range(count), self.track).to(self.device)
        return self._validation

    def expect(self, runs: Iterable[tuple[int, int]]) -> None:
        """Announce the (shots, seed) of runs to come: with the first of them the rows of all are made, at once."""
        self._expected = list(runs)

    def support(self, shots: int, seed: int) -> HeldSupport:
        """Return the support set of a run of at least one shot."""
        indices = self.task.support_indices(shots, seed)
        if any(i not in self._places for i in indices):
            self._hold({(shots, seed), *self._expected})
        if self._support is None:
            raise ValueError("a support set has at least one row")
        places = [self._places[i] for i in indices]
        return HeldSupport(self._support, torch.tensor(places, dtype=torch.int64, device=self.device))

    def support_set(self, shots: int, seed: int, *, fresh: bool) -> SupportSet:
        """Return a copy of the support set of a run, maybe of no shots, as a method is given it (see `SupportSet`)."""
        system = self.task.task.dataset.system
        if shots:
            rows = self.support(shots, seed)[torch.arange(shots)]
        else:
            n = find_track(self.track).resolution
            fields = torch.empty(0, n, n, device=self.device)
            rows = Batch(fields, torch.empty(0, 6, device=self.device), fields)
        symmetries = system.symmetry_group
        return SupportSet(rows.source, rows.solution, rows.coefficients, system.name, symmetries, fresh=fresh)

    def _hold(self, runs: Iterable[tuple[int, int]]) -> None:
        """Make the rows of these runs that are not here yet."""
        largest: dict[int, int] = {}  # of each seed: the smaller support sets are inside it
        for shots, seed in runs:
            largest[seed] = max(shots, largest.get(seed, 0))
        wanted = dict.fromkeys(
            i for seed, shots in sorted(largest.items()) for i in self.task.support_indices(shots, seed)
        )
        missing = [i for i in wanted if i not in self._places]
        made = rows_at(self.task.train, missing, self.track).to(self.device)
        self._places.update({index: len(self._places) + i for i, index in enumerate(missing)})
        self._support = made if self._support is None else concatenate([self._support, made])
