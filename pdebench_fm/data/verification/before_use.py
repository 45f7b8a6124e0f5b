"""What is checked of stored rows before they are scored or adapted to, so that nobody need trust a manifest.

A whole split is checked once, when the first of its rows is asked for: every row's recipe (index, sparsity, weights,
parameter, coefficients) against the draws that belong to its place, the values as they were read against the content
digest, the draws against the recipe digest, each file against its SHA-256. That stops rows in another order, rows of
another split and altered recipes, whatever the manifest says; and under a true manifest any other bit.

Fields are made again from the recipe of every row that is used, when it is used, and compared to `FIELD_TOLERANCE`.
That stops altered fields under a manifest that was rewritten to match; a change below the tolerance remains, under a
content digest that is not the published one.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from pdebench_fm.data.blocks import DamagedShardError, table_blocks
from pdebench_fm.data.digest import combine, content_hashes, recipe_hashes
from pdebench_fm.data.manifest import Split
from pdebench_fm.data.verification.checks import DRAWS, INDEX, REMADE, SPARSITY, Block, Tally
from pdebench_fm.errors import PdefmError
from pdebench_fm.files import sha256_of
from pdebench_fm.physics import SampleKey, draw


class AlteredRowsError(PdefmError):
    """Stored rows that are not what their manifest or their recipes say."""


def check_split(
    location: str, split: Split, key: SampleKey, resolution: int, table: pa.Table, damaged: Sequence[str]
) -> None:
    """Check a split's recipes and digests.

    Args:
        location: to be named in errors.
        split: of the manifest.
        key: the names of the rows' stream.
        resolution: of their fields.
        table: all rows of the split, as they are read from now on.
        damaged: what `check_files` found, for which the rows that differ are looked for too.

    Raises:
        AlteredRowsError: names what is wrong first: a row and its column where one can be told, else a file or digest.
    """
    if table.num_rows != split.rows:
        counted = f"its shards have {table.num_rows} rows, the manifest says {split.rows}"
        raise refusal(location, split, [*damaged, counted])
    tallies = [Tally(check) for check in (INDEX, SPARSITY, DRAWS)]
    recipes: list[bytes] = []
    contents: list[bytes] = []
    try:
        for block in _blocks(split, key, resolution, table):
            recipes += recipe_hashes(block.expected)
            contents += content_hashes(block.stored)
            for tally in tallies:
                tally.add(block)
    except DamagedShardError as error:
        raise refusal(location, split, [*damaged, str(error)]) from error
    problems = _found(tallies)
    of_files = list(damaged)
    if combine(contents) != split.content_digest:
        of_files.append("the rows that are read do not have the content digest of the manifest")
    if of_files and not problems:  # which row is it?
        fields = Tally(REMADE)
        for block in _blocks(split, key, resolution, table):
            fields.add(block)
        problems += _found([fields])
    problems += of_files
    if combine(recipes) != split.recipe_digest:
        problems.append("the draws do not have the recipe digest of the manifest")
    if problems:
        raise refusal(location, split, problems)


def check_fields(location: str, split: Split, blocks: Sequence[Block]) -> None:
    """Check the fields of rows whose recipes are known to be right, by making them again.

    Raises:
        AlteredRowsError: that names the first row and column that differs.
    """
    tally = Tally(REMADE)
    for block in blocks:
        tally.add(block)
    if problems := _found([tally]):
        raise refusal(location, split, problems)


def _blocks(split: Split, key: SampleKey, resolution: int, table: pa.Table) -> Iterator[Block]:
    """Yield all rows with their recipes, block by block, none of which reaches over the end of a shard."""
    start = 0
    for shard in split.shards:
        row = 0
        for stored in table_blocks(table.slice(start, shard.rows), key, resolution):
            rows = range(row, row + len(stored))
            yield Block(shard.path, rows, stored, draw(key, start + np.asarray(rows)))
            row += len(stored)
        start += shard.rows


def check_files(split: Split, files: Sequence[Path]) -> list[str]:
    """Return what is wrong with a split's shards, given in the order of the manifest: missing, or of another hash."""
    problems = []
    for shard, path in zip(split.shards, files, strict=True):
        if not path.is_file():
            problems.append(f"{shard.path} is missing")
        elif (found := sha256_of(path)) != shard.sha256:
            problems.append(f"{shard.path} has SHA-256 {found[:12]}…, not {shard.sha256[:12]}…")
    return problems


def _found(tallies: Sequence[Tally]) -> list[str]:
    """Return what these found, each as one item: its first example, and how many more there are."""
    found = []
    for tally in tallies:
        if tally.failures:
            more = f" (and {tally.failures - 1} more)" if tally.failures > 1 else ""
            found.append(f"{tally.examples[0]}{more}")
    return found


def refusal(location: str, split: Split, problems: Sequence[str]) -> AlteredRowsError:
    """Return the error that names these problems, the first two of them."""
    place = f"{split.regime}/{split.split} of {location}"
    return AlteredRowsError(
        f"the rows of {place} are not as they were built: {'; '.join(problems[:2])} (pdefm data verify says more)"
    )
