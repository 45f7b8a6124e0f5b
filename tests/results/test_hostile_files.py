"""Results from strangers: whatever a file unfolds to, reading it costs little, and one line says what is wrong."""

import json
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from factories import make_evaluation
from measured import measured

from pdebench_fm.errors import PdefmError
from pdebench_fm.limits import RESULT_BYTES, SAMPLE_ROWS
from pdebench_fm.results.evaluation import read_evaluation
from pdebench_fm.results.result import read_result
from pdebench_fm.results.samples import SCHEMA, samples_path

MILLION = 1_000_000


def sparse(path, size):
    with path.open("wb") as file:
        file.truncate(size)


def repeated(rows, start="pretrained", shots=7):
    """A table of `rows` rows that are all alike, which takes next to nothing in a file."""
    columns = {"start": pa.array([start], pa.string()).take(pa.array(np.zeros(rows, np.int64)))}
    for field in list(SCHEMA)[1:]:
        columns[field.name] = pa.array(np.full(rows, shots), field.type)
    return pa.table(columns, schema=SCHEMA)


def result_with(folder, name, write_scores):
    """A valid result with other scores beside it; returns its path."""
    path = folder / f"{name}.json"
    evaluation = make_evaluation()
    evaluation.write(path)
    write_scores(samples_path(path), evaluation.samples)
    return path


def groups(table, number):
    def write(path, _):
        with pq.ParquetWriter(path, SCHEMA) as writer:
            for _ in range(number):
                writer.write_table(table)

    return write


@pytest.fixture(scope="module")
def costs(tmp_path_factory):
    """What reading each of several bombs says and costs, by name."""
    folder = tmp_path_factory.mktemp("bombs")
    sparse(folder / "sparse.json", 3 * 2**30)
    (folder / "deep.json").write_text("[" * MILLION)
    (folder / "spaces.json").write_text(" " * RESULT_BYTES + "{}")
    word = "x" * 8 * MILLION
    paths = {
        "sparse": folder / "sparse.json",
        "deep": folder / "deep.json",
        "spaces": folder / "spaces.json",
        "rows": result_with(folder, "rows", groups(repeated(MILLION), 5)),
        "strangers": result_with(folder, "strangers", groups(repeated(MILLION), 3)),
        "word": result_with(folder, "word", lambda path, samples: write_with_word(samples, word, path)),
        "sparse scores": result_with(folder, "scores", lambda path, _: sparse(path, 3 * 2**30)),
    }
    found = measured(
        "from pathlib import Path\nfrom pdebench_fm.results.evaluation import read_evaluation",
        "read_evaluation(Path(path))",
        paths.values(),
    )
    return dict(zip(paths, found, strict=True))


def write_with_word(samples, word, path):
    """Write samples whose every row has a long word, which lies in the file's dictionary once."""
    words = pa.DictionaryArray.from_arrays(pa.array(np.zeros(len(samples), np.int32)), pa.array([word]))
    pq.write_table(samples.set_column(0, "start", words), path, store_schema=False)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("sparse", "too large to be what it should: 3.2 GB, of at most 16.8 MB"),
        ("deep", "not JSON"),
        ("spaces", "too large"),
        ("rows", f"has 5,000,000 rows: at most {SAMPLE_ROWS:,} per-sample scores are read"),
        ("strangers", "does not hold the 2,048 scores that strangers.json states"),
        ("word", "is not one of 2,048 per-sample scores"),
        ("sparse scores", "cannot be read as Parquet"),
    ],
)
def test_what_a_file_unfolds_to_is_never_held(costs, name, words):
    said, grown, seconds = costs[name]
    assert words in said
    assert "\n" not in said
    assert grown < 150  # MiB, of the gigabytes that they unfold to
    assert seconds < 30


def test_scores_of_other_cells_beside_a_results_own_are_left_aside(tmp_path):
    path = result_with(
        tmp_path,
        "both",
        lambda place, samples: pq.write_table(pa.concat_tables([repeated(MILLION), samples]), place),
    )
    assert read_evaluation(path).samples.num_rows == 2048


def test_a_result_that_states_more_scores_than_are_read_is_refused(tmp_path):
    path = tmp_path / "many.json"
    make_evaluation(track="full").write(path)
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"test_rows": 10**9}))
    with pytest.raises(PdefmError, match="states 4,000,000,000 per-sample scores: at most 4,000,000 are read"):
        read_evaluation(path)


@pytest.mark.parametrize("column", ["start", "shots", "relative_l2"])
def test_empty_values_are_no_scores(tmp_path, column):
    def write(path, samples):
        values = samples.column(column).to_pylist()
        place = SCHEMA.names.index(column)
        holed = samples.set_column(place, column, pa.array([None, *values[1:]], SCHEMA.field(column).type))
        pq.write_table(holed, path)

    with pytest.raises(PdefmError, match=r"does not hold per-sample scores: it has empty values"):
        read_evaluation(result_with(tmp_path, "holed", write))


def test_a_pipe_is_no_result(tmp_path):

    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(PdefmError, match="no result file"):
        read_result(tmp_path / "pipe.json")
