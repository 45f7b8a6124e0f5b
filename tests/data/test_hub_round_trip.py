"""What was published can be read back: by the stock `datasets` library and by this package, from any revision."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from described import ALICE
from hub_server import HubServer, run_client
from huggingface_hub import constants
from published_state import NAME

from pdebench_fm.data.catalogue import DATASETS
from pdebench_fm.data.digest import recipe_digest
from pdebench_fm.data.manifest import read_manifest
from pdebench_fm.data.publishing.publish import publish
from pdebench_fm.protocol.task import load_task, rows_at


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A Hub with a public repository of two versions and a private one."""
    with HubServer(tmp_path_factory.mktemp("hub")) as server:
        server.add_user("alice", token=ALICE, organizations=("pde-lab",))
        yield server


@pytest.fixture(scope="module")
def published(hub, make_build):
    """The folder that is published as v1.0.0 in both repositories; the public one has a smaller v2.0.0 besides."""
    first, second = make_build(), make_build(version="2.0.0", train=8)
    options = {"token": ALICE, "endpoint": hub.url}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        publish(first, "pde-lab", "1.0.0", **options)
        publish(second, "pde-lab", "2.0.0", **options)
        publish(first, "alice", "1.0.0", private=True, **options)
    return first


STOCK = """
import json, sys
from datasets import load_dataset
name = sys.argv[1]
def read(*names, **options):
    rows = load_dataset(name, *names, **options)
    rows = list(rows)
    first = rows[0]
    return [len(rows), first["index"], first["parameter"], first["source"][3][5], len(first["solution"])]
print(json.dumps({
    "default": [read(split="test")],
    "tag": [read("mild", split=split, revision="v1.0.0") for split in ("train", "validation", "test")],
    "main": [read("mild", split="train")],
    "streaming": [read("mild", split="test", revision="v1.0.0", streaming=True)],
    "splits": sorted(load_dataset(name, "medium", revision="v1.0.0")),
}))
"""


def expected(folder, regime, split):
    """What STOCK reads, taken from the Parquet file itself."""
    table = pq.read_table(next(folder.glob(f"{regime}/{split}-*.parquet")))
    first = table.slice(0, 1).to_pylist()[0]
    return [len(table), first["index"], first["parameter"], first["source"][3][5], 64]


def test_stock_load_dataset_reads_configurations_splits_and_revisions(hub, published, make_build, tmp_path):
    seen = run_client(STOCK, hub, tmp_path, NAME)
    newer = make_build(version="2.0.0", train=8)
    assert seen == {
        "default": [expected(newer, "medium", "test")],
        "tag": [expected(published, "mild", split) for split in ("train", "validation", "test")],
        "main": [expected(newer, "mild", "train")],
        "streaming": [expected(published, "mild", "test")],
        "splits": ["test", "train", "validation"],
    }
    assert (seen["tag"][0][0], seen["main"][0][0]) == (24, 8)


PRIVATE = """
import json, sys
from datasets import load_dataset
from datasets.exceptions import DatasetNotFoundError
def rows(token, **options):
    try:
        return len(list(load_dataset("alice/helmholtz-ood", "mild", split="test", token=token, **options)))
    except DatasetNotFoundError:
        return None
print(json.dumps([rows(token, streaming=streaming) for token in (False, sys.argv[1]) for streaming in (True, False)]))
"""


@pytest.mark.usefixtures("published")
def test_a_private_dataset_is_read_with_its_owners_token_only(hub, tmp_path):
    assert run_client(PRIVATE, hub, tmp_path, ALICE) == [None, None, 8, 8]


TASK = """
import json, sys
from pdebench_fm.errors import PdefmError
from pdebench_fm.evaluation.evaluation import dataset_record
from pdebench_fm.protocol.task import load_task, rows_at
seen = []
for location in sys.argv[1:]:
    try:
        task = load_task("helmholtz-ood/medium", data=location)
    except PdefmError as error:
        seen.append(str(error))
        continue
    batch, record = task.test_batch("lite"), dataset_record(task, "lite")
    support = rows_at(task.train, task.support_indices(8, seed=0), "lite")
    values = [float(part.double().sum()) for part in (batch.source, batch.coefficients, batch.solution, support.source)]
    seen.append([task.train.size, task.test.size, values, record.model_dump(mode="json")])
print(json.dumps(seen))
"""


def test_a_task_is_the_same_from_the_hub_as_from_the_folder(hub, published, tmp_path):
    newer, older, hidden = run_client(
        TASK, hub, tmp_path, NAME, f"{NAME}@v1.0.0", "alice/helmholtz-ood@v1.0.0", token=ALICE
    )
    local = load_task("helmholtz-ood/medium", data=str(published))
    batch, support = local.test_batch("lite"), rows_at(local.train, local.support_indices(8, seed=0), "lite")
    parts = (batch.source, batch.coefficients, batch.solution, support.source)
    for train, test, values, record in (older, hidden):
        assert (train, test) == (24, 8)
        np.testing.assert_array_equal(values, [float(part.double().sum()) for part in parts])
        assert record["version"] == "1.0.0"
        assert (
            record["content_digest"] == read_manifest(published / "manifest.json").find("medium", "test").content_digest
        )
        assert record["recipe_digest"] == recipe_digest(DATASETS["helmholtz-ood"].key("medium", "test"), 8)
        assert len(record["revision"]) == 40
    assert [older[3]["location"], hidden[3]["location"]] == [NAME, "alice/helmholtz-ood"]
    assert newer[0] == 8
    assert newer[3]["version"] == "2.0.0"
    assert newer[3]["revision"] != older[3]["revision"]


@pytest.mark.usefixtures("published")
def test_what_cannot_be_read_is_explained_in_a_line(hub, tmp_path):
    hidden, revision, absent, mistyped = run_client(
        TASK, hub, tmp_path, "alice/helmholtz-ood", f"{NAME}@v9.9.9", "pde-lab/poisson", "runs/a/b"
    )
    assert "alice/helmholtz-ood, or your token may not see it" in hidden
    assert "hf auth login" in hidden
    assert f"{NAME} has no such file or revision" in revision
    assert "the Hub has no pde-lab/poisson" in absent
    assert "'runs/a/b' cannot be the name of a repository" in mistyped


def test_trouble_on_the_way_changes_nothing(hub, published, tmp_path):  # noqa: ARG001
    calm = run_client(TASK, hub, tmp_path / "calm", f"{NAME}@v1.0.0")
    for path in ("/revision/", "/tree/", "/manifest.json", ".parquet"):
        for trouble in ({"status": 503}, {"drop": "before"}, {"drop": "midway"}):
            hub.fail_next(path_contains=path, **trouble)
    assert run_client(TASK, hub, tmp_path / "home", f"{NAME}@v1.0.0") == calm
    assert hub.faults.pending == 0


REGIME = """
import json, sys
from pdebench_fm.errors import PdefmError
from pdebench_fm.protocol.task import load_task
try:
    load_task(sys.argv[1], data=sys.argv[2]).test_batch("lite")
    print(json.dumps(None))
except PdefmError as error:
    print(json.dumps(str(error)))
"""


def test_offline_what_was_read_before_is_found_and_what_is_missing_is_named(hub, published, tmp_path):  # noqa: ARG001
    online = run_client(TASK, hub, tmp_path, f"{NAME}@v1.0.0")
    hub.forget_requests()
    held, newest = run_client(TASK, hub, tmp_path, f"{NAME}@v1.0.0", NAME, offline=True)
    assert [held] == online
    assert f"the dataset {NAME} at main is not in the Hub's cache here, and HF_HUB_OFFLINE is set" in newest
    mild = run_client(REGIME, hub, tmp_path, "helmholtz-ood/mild", f"{NAME}@v1.0.0", offline=True)
    assert f"mild/test-00000-of-00001.parquet of {NAME} at {held[3]['revision']} is not in the Hub's cache" in mild
    assert hub.requests == []


VERIFY = """
import json, sys
from pdebench_fm.data.verification.verify import verify
report = verify(sys.argv[1], revision=sys.argv[2], sample=4)
print(json.dumps({"passed": report.passed, "failures": [check.name for check in report.failures]}))
"""


def test_what_was_published_can_be_verified_at_a_tag(hub, published, tmp_path):  # noqa: ARG001
    assert run_client(VERIFY, hub, tmp_path, NAME, "v1.0.0") == {"passed": True, "failures": []}
