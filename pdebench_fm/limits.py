"""How large what others send may be: checked by headers and file sizes, before anything is read, made or downloaded.

A file that is far smaller than what it unfolds to, or far larger than anything that it could be, costs whoever reads it
his memory, his disk or his day. Each limit lies well above what this package writes, and its comment says why there.
"""

import os
from pathlib import Path

from pdebench_fm.errors import PdefmError

MiB = 2**20

RESULT_BYTES = 16 * MiB
"""Of a result file: a cell takes about 2 kB, and a model with all eight numbers of shots, from both starts, with three
seeds has 48 of them."""

SAMPLE_ROWS = 4_000_000
"""Of the per-sample scores beside a result, all cells together: 48 cells on the full track are 200,000."""

ROW_BYTES = 128
"""Of one row of per-sample scores, uncompressed: eleven numbers of 8 bytes, and a word."""

SAMPLES_BYTES = SAMPLE_ROWS * ROW_BYTES
"""Of the file of per-sample scores beside a result: 200,000 rows take 18 MB."""

CONFIG_BYTES = 64 * 1024
"""Of a model's `config.json`: about 400 bytes."""

RECORD_BYTES = MiB
"""Of a model's `training.json`, which is about 1 kB, and of other records of a page or so."""

TRAINING_STREAMS = 256
"""Streams that a model was trained on: those pretrained here have one or two for each of at most three systems."""

STREAM_ROWS = 10**12
"""Rows of a stream that a model saw: the zoo's saw up to a million."""

CARD_BYTES = 256 * 1024
"""Of a README: 13 kB for a model of the zoo; YAML of this size takes a second or two to read."""

CARD_DEPTH = 32
"""Of lists in lists in a README's metadata: `model-index` has eight."""

MODEL_LAYERS = 64
"""Fourier layers of a model: the zoo's have 4."""

MODEL_WIDTH = 4096
"""Channels of a model: the zoo's have up to 128."""

MODEL_MODES = 1024
"""Fourier modes of a model along an axis: the zoo's have up to 32, and 1024 of them need a grid of 2048²."""

MODEL_PARAMETERS = 4_000_000_000
"""Real numbers in a model, 16 GB of float32: the zoo's largest has 268 million."""

HEADER_BYTES = MiB
"""Of the header of a safetensors file: about 100 bytes a tensor."""

REPORT_BYTES = 16 * MiB
"""Of a report of review: a row takes about 2 kB, and a submission has at most 1,000."""

OPEN_REQUESTS = 20_000
"""Pull requests of a leaderboard that are listed; a person's are ten or so."""

MANIFEST_BYTES = 16 * MiB
"""Of a dataset's `manifest.json`: a shard takes some 250 bytes."""

SPLIT_ROWS = 10_000_000
"""Rows of a split: the published ones have up to 32,768."""

RESOLUTION = 4096
"""Points a side of stored fields: the published ones have 128."""

SHARD_RATIO = 16
"""How much larger the values of a shard may be than its file. Fields are close to noise for a compressor: measured,
1.2 to 1.5 times. Zeros shrink a thousandfold."""

DATASET_SLACK_BYTES = 64 * MiB
"""What a dataset's repository may hold beside the shards of its manifest: card, statistics and figures."""


GRAPH_BYTES = 2**31 - 1
"""Of an ONNX graph, whose format has no larger ones."""

GRAPH_NODES = 100_000
"""Operators in a graph: a U-Net or a Fourier neural operator has some hundreds."""

GRAPH_DEPTH = 8
"""Of graphs in the operators of graphs (`If`, `Loop`): most models have none."""

GRAPH_MEMORY = 4 * 2**30
"""Bytes for the fields and constants of a running graph, beside six times its file: 32 fields of 128² in 64 channels
take 134 MB."""

GRAPH_SECONDS = 600.0
"""For loading a graph, and for each batch of 32 fields: seconds at most for the zoo's on one core."""


def read_limited(path: Path, most: int) -> bytes:
    """Return the content of a file of at most so many bytes.

    Raises:
        PdefmError: if it is larger; by its size, before any of it is read.
        OSError: if it cannot be read.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        content = file.read(most + 1) if size <= most else b""
    if max(size, len(content)) > most:  # it may have grown, or be no file that has a size
        raise PdefmError(f"{path} is too large to be what it should: {in_bytes(size)}, of at most {in_bytes(most)}")
    return content


def in_bytes(size: int) -> str:
    """Return a size as people say it: 700 bytes, 64.0 kB, 3.2 GB."""
    for unit, one in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= one:
            return f"{size / one:.1f} {unit}"
    return f"{size} bytes"
