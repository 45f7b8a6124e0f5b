"""What is larger on the Hub than a dataset of its manifest can be is not downloaded, by any of the ways to read it."""

import json

import pytest
from described import ALICE
from huggingface_hub import HfApi, constants

from pdebench_fm.data.verification.verify import verify
from pdebench_fm.errors import PdefmError
from pdebench_fm.hub import repository
from pdebench_fm.protocol.task import load_task

NAME = "alice/helmholtz-ood"
SHARD = "medium/test-00000-of-00001.parquet"


@pytest.fixture
def put(hub, built, tmp_path, monkeypatch):
    """Put a build on the Hub with other contents in one file; returns the Hub."""
    client = repository.hub_client
    monkeypatch.setattr(repository, "hub_client", lambda: client(hub.url, ALICE))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))

    def put(path, content):
        (built / path).write_bytes(content)
        api = HfApi(endpoint=hub.url, token=ALICE)
        api.create_repo(NAME, repo_type="dataset")
        api.upload_folder(repo_id=NAME, repo_type="dataset", folder_path=built)
        hub.forget_requests()
        return hub

    return put


def read():
    load_task("helmholtz-ood/medium", data=NAME).test_batch("lite")


def check():
    verify(NAME, sample=0)


@pytest.mark.parametrize("way", [read, check])
def test_a_manifest_that_is_too_large_to_be_one(put, built, way):
    manifest = (built / "manifest.json").read_bytes()
    hub = put("manifest.json", manifest + b" " * (17 << 20))
    with pytest.raises(
        PdefmError, match=rf"{NAME} is not downloaded: manifest\.json has 17\.8 MB, .* at most 16\.8 MB"
    ):
        way()
    assert not hub.requests_to("/resolve/")


@pytest.mark.parametrize(("way", "most"), [(read, "at most"), (check, "its files together have")])
def test_a_shard_that_is_larger_than_the_manifest_says(put, built, way, most):
    shard = (built / SHARD).read_bytes()
    (stated,) = [
        each["bytes"]
        for split in json.loads((built / "manifest.json").read_text())["splits"]
        for each in split["shards"]
        if each["path"] == SHARD
    ]
    assert stated == len(shard)
    hub = put(SHARD, shard + bytes(65 << 20))  # more than the cards and figures of a dataset may have
    with pytest.raises(PdefmError, match=rf"{NAME} is not downloaded: .*{most}"):
        way()
    assert [request.path for request in hub.requests_to("/resolve/") if "parquet" in request.path] == []


def test_a_file_that_no_manifest_knows(put):
    hub = put("notes.bin", bytes(65 << 20))
    with pytest.raises(PdefmError, match=rf"{NAME} is not downloaded: its files together have"):
        check()
    assert [request.path for request in hub.requests_to("/resolve/") if "notes" in request.path] == []
    read()  # asks for no other file than the manifest and its own shard


def test_a_shard_list_that_promises_more_than_a_dataset_has(put, built):
    manifest = json.loads((built / "manifest.json").read_text())
    manifest["splits"][0]["rows"] = manifest["splits"][0]["shards"][0]["rows"] = 10**9
    put("manifest.json", json.dumps(manifest).encode())
    for way in (read, check):
        with pytest.raises(PdefmError, match=r"rows"):
            way()
