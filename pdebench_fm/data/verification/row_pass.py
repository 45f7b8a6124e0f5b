"""One pass over a split's stored rows, from which every check of rows takes what it needs."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pdebench_fm.data.blocks import DamagedShardError, read_blocks
from pdebench_fm.data.digest import combine, content_hashes, recipe_digest, recipe_hashes
from pdebench_fm.data.manifest import Shard, Split
from pdebench_fm.data.statistics import RegimeMeter
from pdebench_fm.data.verification.checks import Block, Tally
from pdebench_fm.physics import SampleKey, draw


@dataclass
class RowPass:
    """Reads the shards of one split in order and keeps what the checks need: hashes and sums, no rows.

    Attributes:
        split, key: what is read; `folder`, `resolution`: from where.
        sampled: (S,) positions in the split whose fields are built again.
        tallies: of the checks of rows, to which this split's rows are added.
        seen: where each recipe of the build was first met; shared by all its splits.
        damaged, miscounted, shared: what is wrong with shards that cannot be read, have other rows than the manifest
            says, or hold a row that was met before.
        meter: statistics of the rows.
    """

    split: Split
    key: SampleKey
    folder: Path
    resolution: int
    sampled: NDArray[np.int64]
    tallies: Sequence[Tally]
    seen: dict[bytes, str]
    damaged: list[str] = field(default_factory=list)
    miscounted: list[str] = field(default_factory=list)
    shared: list[str] = field(default_factory=list)
    meter: RegimeMeter = field(init=False)
    _recipes: list[bytes] = field(default_factory=list)
    _contents: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Start the meter."""
        self.meter = RegimeMeter(self.key)

    def run(self, on_rows: Callable[[int], None]) -> None:
        """Read everything; `on_rows` is called with the number of rows of each block."""
        start = 0
        for shard in self.split.shards:
            read = self._read_shard(shard, start, on_rows)
            start += shard.rows if read is None else read
            if read is not None and read != shard.rows:
                self.miscounted.append(f"{shard.path} has {read} rows, not {shard.rows}")

    def digest_problems(self) -> tuple[list[str], list[str]]:
        """Return what is wrong with the content digest and with the recipe digest of this split."""
        name = f"{self.split.regime}/{self.split.split}"
        if self.damaged:
            content = [f"{name} cannot be hashed: {self.damaged[0].partition(':')[0]} cannot be read"]
        else:
            content = _difference(name, combine(self._contents), self.split.content_digest)
        complete = len(self._recipes) == self.split.rows
        found = combine(self._recipes) if complete else recipe_digest(self.key, self.split.rows)
        return content, _difference(name, found, self.split.recipe_digest)

    def _read_shard(self, shard: Shard, start: int, on_rows: Callable[[int], None]) -> int | None:
        """Read one shard whose first row is row `start` of the split; return its rows, None if it is damaged."""
        rows = 0
        try:
            for stored in read_blocks(self.folder / shard.path, self.key, self.resolution):
                first = start + rows
                expected = draw(self.key, range(first, first + len(stored)))
                block = Block(shard.path, range(rows, rows + len(stored)), stored, expected)
                self._check(block, self.sampled - first)
                rows += len(stored)
                on_rows(len(stored))
        except DamagedShardError as error:
            self.damaged.append(f"{shard.path}: {error}")
            return None
        return rows

    def _check(self, block: Block, sampled: NDArray[np.int64]) -> None:
        """Pass a block to everyone who wants it; `sampled` counts from its first row and may lie outside it."""
        self._recipes += recipe_hashes(block.expected)
        self._contents += content_hashes(block.stored)
        self.meter.add(block.stored)
        self._find_shared(block)
        of_block = [block.row(int(row)) for row in sampled if 0 <= row < len(block)]
        for tally in self.tallies:
            for part in of_block if tally.check.sampled else [block]:
                tally.add(part)

    def _find_shared(self, block: Block) -> None:
        """Look every row's weights and coefficients up among those met before."""
        draws = block.stored.draws
        for row in range(len(block)):
            recipe = hashlib.sha256(draws.weights[row].data)
            recipe.update(draws.coefficients[row].data)
            place = f"{block.shard} row {block.rows[row]}"
            before = self.seen.setdefault(recipe.digest()[:16], place)
            if before != place:
                self.shared.append(f"{place} has the weights and coefficients of {before}")


def _difference(name: str, found: str, listed: str) -> list[str]:
    return [] if found == listed else [f"{name} has {found[:12]}…, the manifest {listed[:12]}…"]
