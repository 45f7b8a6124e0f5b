"""What is not published: it is refused before anything on the Hub is changed, and a tag never moves."""

import json
import re
import shutil

import pytest
from described import ALICE
from published_state import NAME, SHARDS, state, writes

from pdebench_fm.errors import PdefmError, UsageError

READER, NOBODY = "hf_reader", "hf_nobody"


def test_a_new_patch_needs_the_data_it_describes(send, built, make_build, hub):
    with pytest.raises(PdefmError, match=r"publish version 1\.0\.0 first"):
        send(built, "1.0.1")
    send(built)
    hub.forget_requests()
    with pytest.raises(PdefmError, match="other data"):
        send(make_build(test=4), "1.0.1")
    assert writes(hub) == []


def test_a_tag_with_other_contents_never_moves(send, built, make_build, hub, api):
    send(built)
    before = state(api)
    hub.forget_requests()
    with pytest.raises(PdefmError, match=r"v1\.0\.0 with other contents"):
        send(make_build(test=4))
    assert writes(hub) == []
    assert state(api) == before


def test_other_data_of_the_same_version_are_refused_before_a_tag_too(send, built, make_build, hub, api):
    send(built)
    api.delete_tag(NAME, tag="v1.0.0", repo_type="dataset")
    hub.forget_requests()
    with pytest.raises(PdefmError, match=r"other data of version 1\.0\.0"):
        send(make_build(test=4))
    assert writes(hub) == []
    assert send(built).kept == 6
    assert "v1.0.0" in state(api)[2]


def damage_the_statistics(folder):
    (folder / "statistics.json").write_text("{}")


def leave_out_the_manifest(folder):
    (folder / "manifest.json").unlink()


def leave_out_a_shard(folder):
    (folder / SHARDS[2]).unlink()


def truncate_a_shard(folder):
    content = (folder / SHARDS[2]).read_bytes()
    (folder / SHARDS[2]).write_bytes(content[:-1])


def alter_a_shard(folder):
    content = bytearray((folder / SHARDS[2]).read_bytes())
    content[1000] ^= 1
    (folder / SHARDS[2]).write_bytes(content)


def add_a_file_of_an_unfinished_regime(folder):
    (folder / "hard").mkdir()
    shutil.copy(folder / SHARDS[0], folder / "hard")


def point_outside(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["splits"][0]["shards"][0]["path"] = "../../secret.parquet"
    (folder / "manifest.json").write_text(json.dumps(manifest))


def promise_more_rows(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["splits"][0]["rows"] += 1
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (leave_out_the_manifest, "not a finished build"),
        (leave_out_a_shard, f"{SHARDS[2]} is missing"),
        (truncate_a_shard, f"{SHARDS[2]} has .* bytes instead of"),
        (alter_a_shard, f"{SHARDS[2]} has other content"),
        (add_a_file_of_an_unfinished_regime, "does not list .hard/train"),
        (point_outside, r"shard 0 of mild/train is '\.\./\.\./secret"),
        (damage_the_statistics, "statistics.json is damaged"),
        (promise_more_rows, "mild/train has 25 rows, its shards 24"),
    ],
)
def test_an_incomplete_or_damaged_build_is_refused_without_a_request(send, built, hub, damage, message):
    damage(built)
    with pytest.raises(PdefmError, match=message):
        send(built)
    assert hub.requests == []


def test_a_build_of_a_private_seed_is_not_published(send, make_build, hub):
    with pytest.raises(UsageError, match="private seed 7"):
        send(make_build("poisson", ("in-domain",), seed=7))
    assert hub.requests == []


@pytest.mark.parametrize(
    "namespace", ["", "a b", "org/name", "a--b", "a..b", "-org", "org-", ".org", "org.", "ö", "a" * 97, "org\n"]
)
def test_invalid_namespaces_are_refused_without_a_request(send, built, hub, namespace):
    with pytest.raises(UsageError, match="cannot be a namespace"):
        send(built, namespace=namespace)
    assert hub.requests == []


@pytest.mark.parametrize(
    "version", ["", "1", "1.0", "v1.0.0", "1.0.0-rc1", "1.0.x", "01.0.0", "1.0.0.0", "1.0.0\n", "१.0.0"]
)
def test_versions_are_three_numbers(send, built, hub, version):
    with pytest.raises(UsageError, match="not a version"):
        send(built, version)
    assert hub.requests == []


@pytest.mark.parametrize("version", ["2.0.0", "1.1.0", "0.9.0"])
def test_the_version_must_be_that_of_the_data(send, built, hub, version):
    with pytest.raises(UsageError, match=re.escape(f"version 1.0.0, which cannot be published as {version}")):
        send(built, version)
    assert hub.requests == []


def test_a_repository_of_something_else_is_left_alone(send, built, hub, api):
    api.create_repo(NAME, repo_type="dataset")
    api.upload_file(path_or_fileobj=b"1,2\n", path_in_repo="table.csv", repo_id=NAME, repo_type="dataset")
    hub.forget_requests()
    with pytest.raises(PdefmError, match=r"something else .*table\.csv"):
        send(built)
    assert writes(hub) == []


def test_private_means_private(send, built, make_build, api):
    send(built, private=True)
    assert api.dataset_info(NAME).private
    with pytest.raises(PdefmError, match="valid token"):
        send(built, token=NOBODY)
    poisson = make_build("poisson", ("in-domain",))
    api.create_repo("pde-lab/poisson", repo_type="dataset")
    with pytest.raises(PdefmError, match="exists and is public"):
        send(poisson, private=True)


def test_a_token_that_may_not_write_is_named_as_the_reason(send, built, hub):
    hub.add_user("alice", token=READER, role="read", organizations=("pde-lab",))
    for token, namespace in ((READER, "pde-lab"), (ALICE, "elsewhere")):
        with pytest.raises(PdefmError, match=rf"hf auth login.*HF_TOKEN, with write access to {namespace}"):
            send(built, token=token, namespace=namespace)
    assert send.waits == []
    assert hub.uploads == []
