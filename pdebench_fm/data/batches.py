"""Endless streams of fresh samples as PyTorch tensors: no stored dataset, no epochs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pdebench_fm.physics import SampleKey, Samples, sample

_RESOLVED = 64  # points a side from which the sources are resolved to rounding


@dataclass(frozen=True)
class Batch:
    """Fields and coefficients as a model takes them.

    Attributes:
        source: (B, n, n) float32; `coefficients`: (B, 6) float32; `solution`: (B, n, n) float32.
    """

    source: torch.Tensor
    coefficients: torch.Tensor
    solution: torch.Tensor

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.source)

    def to(self, device: str | torch.device) -> "Batch":
        """Return the batch on another device."""
        return Batch(self.source.to(device), self.coefficients.to(device), self.solution.to(device))

    def __getitem__(self, rows: slice | torch.Tensor) -> "Batch":
        """Return some of the rows."""
        return Batch(self.source[rows], self.coefficients[rows], self.solution[rows])


def batch_of(samples: Samples) -> Batch:
    """Return samples as tensors on the CPU, sharing their memory."""
    return Batch(
        torch.from_numpy(samples.source),
        torch.from_numpy(samples.draws.coefficients),
        torch.from_numpy(samples.solution),
    )


def concatenate(batches: Sequence[Batch]) -> Batch:
    """Return one batch with the rows of all."""
    return Batch(
        torch.cat([batch.source for batch in batches]),
        torch.cat([batch.coefficients for batch in batches]),
        torch.cat([batch.solution for batch in batches]),
    )


def every_nth_point(batch: Batch, n: int) -> Batch:
    """Return the batch on the grid of every n-th point of its own along each axis."""
    if n == 1:
        return batch
    source, solution = (field[:, ::n, ::n].contiguous() for field in (batch.source, batch.solution))
    return Batch(source, batch.coefficients, solution)


@dataclass(frozen=True)
class Mixture:
    """Several streams, interleaved in rounds, in each of which every stream has its share of samples.

    A position is all the state there is, so a stream can be entered anywhere and any rows can be made by any process.

    Attributes:
        keys: of the streams.
        resolution: points a side: a multiple of 64, or a part of 64: those fields are the ones at 64×64, which
            resolves the sources, at every second, fourth, … point.
        shares: each stream's samples in a round, ≥ 1; by default one each.
    """

    keys: tuple[SampleKey, ...]
    resolution: int
    shares: tuple[int, ...] = ()

    def batch(self, start: int, count: int) -> Batch:
        """Return the samples at positions start … start+count−1, in an order fixed by the positions."""
        shares = self.shares or (1,) * len(self.keys)
        rounds, places = np.divmod(np.arange(start, start + count), sum(shares))
        resolved = max(self.resolution, _RESOLVED)
        made, first = [], 0
        for key, share in zip(self.keys, shares, strict=True):
            own = (first <= places) & (places < first + share)
            if own.any():
                made.append(batch_of(sample(key, rounds[own] * share + places[own] - first, resolved)))
            first += share
        return every_nth_point(concatenate(made), resolved // self.resolution)

    def rows(self, start: int, stop: int) -> dict[SampleKey, range]:
        """Return the indices of each stream's rows at positions start … stop−1: consecutive ones."""
        shares = self.shares or (1,) * len(self.keys)

        def before(position: int, first: int, share: int) -> int:
            rounds, place = divmod(position, sum(shares))
            return rounds * share + min(max(place - first, 0), share)

        firsts = [sum(shares[:i]) for i in range(len(shares))]
        return {
            key: range(before(start, first, share), before(stop, first, share))
            for key, first, share in zip(self.keys, firsts, shares, strict=True)
        }

    def batches(self, batch_size: int, start: int = 0) -> Iterator[Batch]:
        """Yield batches without end, from position `start` on."""
        while True:
            yield self.batch(start, batch_size)
            start += batch_size
