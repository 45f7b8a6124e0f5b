"""Alterations of stored datasets, as by damage or by somebody who makes the manifest agree with what they changed."""

import numpy as np
import pyarrow.parquet as pq

from pdebench_fm.data.blocks import read_blocks
from pdebench_fm.data.catalogue import find_dataset
from pdebench_fm.data.digest import combine, content_hashes
from pdebench_fm.data.manifest import read_manifest, write_manifest
from pdebench_fm.data.rows import features
from pdebench_fm.files import sha256_of


def update_manifest(folder, change):
    """Replace each shard and split of the manifest by what `change` makes of it."""
    manifest = read_manifest(folder / "manifest.json")
    splits = tuple(
        change(split.model_copy(update={"shards": tuple(change(shard) for shard in split.shards)}))
        for split in manifest.splits
    )
    write_manifest(manifest.model_copy(update={"splits": splits}), folder)


def rehash(folder, path):
    """Write a shard's present size and hash into the manifest."""
    now = {"bytes": (folder / path).stat().st_size, "sha256": sha256_of(folder / path)}
    update_manifest(folder, lambda item: item.model_copy(update=now) if getattr(item, "path", "") == path else item)


def rewrite(folder, path, change):
    """Change a shard's columns, given as arrays that can be written to, and make the manifest agree with the file."""
    table = pq.read_table(folder / path)
    columns = {name: np.array(table.column(name).to_pylist()) for name in table.column_names}
    change(columns)
    schema = features(64)
    arrays = {name: list(values.astype("i8" if name == "index" else "f4")) for name, values in columns.items()}
    encoded = schema.encode_batch(arrays)
    with pq.ParquetWriter(folder / path, table.schema) as writer:
        rows = {name: [np.asarray(v).tolist() for v in values] for name, values in encoded.items()}
        writer.write_table(type(table).from_pydict(rows, schema=table.schema))
    rehash(folder, path)


def redigest(folder, regime, split):
    """Write the content digest of a split's present rows into the manifest."""
    manifest = read_manifest(folder / "manifest.json")
    held = manifest.find(regime, split)
    key = find_dataset(manifest.dataset).key(regime, split, manifest.version, manifest.seed)
    blocks = [b for shard in held.shards for b in read_blocks(folder / shard.path, key, manifest.resolution)]
    now = {"content_digest": combine(row for block in blocks for row in content_hashes(block))}
    update_manifest(folder, lambda item: item.model_copy(update=now) if item == held else item)
