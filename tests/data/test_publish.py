"""Publishing: whatever happens on the way, a tag names exactly what was built, and no shard is sent twice."""

import dataclasses
import re
import subprocess
import sys
import time

import pytest
import yaml
from described import ALICE
from hub_server import client_environment, fetch
from published_state import NAME, SHARDS, files_of, state, writes

from pdebench_fm.data.manifest import read_manifest
from pdebench_fm.data.publishing import publication
from pdebench_fm.data.publishing import publish as publishing
from pdebench_fm.data.publishing.publish import publish_all
from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.hub.repository import ATTEMPTS


@pytest.fixture
def shard_by_shard(monkeypatch):
    """Commit after each shard, however small."""
    monkeypatch.setattr(publishing, "COMMIT_BYTES", 1)


def run(hub, home, *words, token=ALICE):
    """Run `pdefm` in a process of its own."""
    home.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-c", "from pdebench_fm.cli import main; raise SystemExit(main())", *map(str, words)],
        env=client_environment(hub, home, token),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_what_was_built_is_on_main_and_under_the_tag(send, built, hub, api):
    done = send(built)
    commit, files, tags = state(api)
    assert set(files) == {".gitattributes", "eval.yaml", *files_of(built)}
    assert {path: files[path] for path in SHARDS} == {
        shard.path: shard.sha256 for split in read_manifest(built / "manifest.json").splits for shard in split.shards
    }
    assert (done.repository, done.tag, done.revision, tags) == (NAME, "v1.0.0", commit, {"v1.0.0": commit})
    assert (done.sent, done.kept, done.already_published) == (6, 0, False)
    assert done.url == f"{hub.url}/datasets/{NAME}"
    card = fetch(f"{hub.url}/datasets/{NAME}/resolve/v1.0.0/README.md").body.decode()
    assert f'load_dataset("{NAME}"' in card
    manifest = fetch(f"{hub.url}/datasets/{NAME}/resolve/v1.0.0/manifest.json").body
    assert manifest == (built / "manifest.json").read_bytes()


def test_publishing_again_changes_nothing_and_says_so(send, built, hub, api):
    first, before = send(built), state(api)
    hub.forget_requests()
    again = send(built)
    assert again == dataclasses.replace(first, sent=0, kept=6, already_published=True)
    assert writes(hub) == []
    assert state(api) == before


@pytest.mark.usefixtures("shard_by_shard")
def test_an_interrupted_upload_goes_on_where_it_was(send, built, hub, api):
    hub.fail_next(method="POST", path_contains="/commit/", skip=3, times=ATTEMPTS, status=503)
    with pytest.raises(PdefmError, match=r"503.*4 of 6 shards of pde-lab/helmholtz-ood .* goes on"):
        send(built)
    _, files, tags = state(api)
    assert [path for path in SHARDS if path in files] == SHARDS[:3]
    assert "manifest.json" not in files
    assert tags == {}
    again = send(built)
    assert (again.sent, again.kept) == (3, 3)
    sent = [request.path.partition("?")[0] for request in hub.uploads]
    assert len(sent) == len(set(sent)) == 6


def test_waits_grow_and_stay_bounded(send, built, hub):
    hub.fail_next(path_contains="/api/datasets/", times=100, status=502)
    with pytest.raises(PdefmError, match="502"):
        send(built)
    assert len(send.waits) == ATTEMPTS - 1
    assert all(0.75 * 2**i <= wait <= 1.25 * 2**i for i, wait in enumerate(send.waits))


TROUBLE = [{"status": 503}, {"status": 500}, {"status": 429, "retry_after": 30}, {"drop": "before"}, {"drop": "after"}]


@pytest.mark.parametrize("trouble", TROUBLE, ids=str)
@pytest.mark.usefixtures("shard_by_shard")
def test_trouble_at_any_call_is_overcome(send, built, hub, api, trouble):
    for path in ("/revision/main", "/repos/create", "/refs", "/validate-yaml", "/tag/"):
        hub.fail_next(path_contains=path, **trouble)
    for skip in (0, 2, 4):  # for commits that happen: the first, the fourth and the last
        hub.fail_next(path_contains="/commit/", skip=skip, **trouble)
    done = send(built)
    commit, files, tags = state(api)
    assert hub.faults.pending == 0
    assert set(files) == {".gitattributes", "eval.yaml", *files_of(built)}
    assert tags == {"v1.0.0": commit} == {done.tag: done.revision}
    assert len(hub.uploads) == 6
    titles = [item.title for item in api.list_repo_commits(NAME, repo_type="dataset")]
    assert len(titles) == 8, titles  # the first, six shards, the end: none of them twice
    if trouble.get("retry_after"):
        assert all(wait >= 30 for wait in send.waits)


def test_a_hub_that_asks_for_too_much_patience_is_not_waited_for(send, built, hub):
    hub.fail_next(path_contains="/commit/", status=429, retry_after=3600)
    with pytest.raises(PdefmError, match="3600 s"):
        send(built)
    assert send.waits == []


def test_somebody_elses_commit_in_between_stops_the_upload(send, built, api):
    def meddle(progress):
        if progress.stage == "uploading" and progress.done == 4:
            api.upload_file(path_or_fileobj=b"x", path_in_repo="x.txt", repo_id=NAME, repo_type="dataset")

    with pytest.raises(PdefmError, match="changed by somebody else"):
        send(built, on_progress=meddle)
    assert state(api)[2] == {}


def test_a_shard_that_changes_during_the_upload_is_not_tagged(send, built, api):
    def meddle(progress):
        if progress.stage == "uploading" and progress.note == SHARDS[3]:
            (built / SHARDS[3]).write_bytes(b"other")

    with pytest.raises(PdefmError, match="not tagged"):
        send(built, on_progress=meddle)
    assert state(api)[2] == {}


@pytest.mark.usefixtures("shard_by_shard")
def test_a_new_version_replaces_main_at_once_and_leaves_the_old_tag(send, built, make_build, hub, api):
    send(built)
    before = state(api)
    newer = make_build(regimes=("medium", "hard"), version="2.0.0")
    hub.fail_next(method="POST", path_contains="/commit/", times=ATTEMPTS, status=503)
    with pytest.raises(PdefmError, match="6 of 6 shards"):
        send(newer, "2.0.0")
    assert state(api) == before  # main stays whole
    uploads = len(hub.uploads)
    done = send(newer, "2.0.0")
    assert len(hub.uploads) == uploads
    commit, files, tags = state(api)
    assert tags == {**before[2], "v2.0.0": commit}
    assert done.revision == commit
    assert not any(path.startswith("mild/") for path in files)
    assert {path for path in files if path.startswith("hard/")} == {path.replace("mild", "hard") for path in SHARDS[:3]}
    assert api.dataset_info(NAME, revision="v1.0.0").sha == before[0]
    assert send(built).already_published  # the old version is still what it was
    with pytest.raises(PdefmError, match=r"already at version 2\.0\.0"):
        send(make_build(version="1.1.0"), "1.1.0")


def test_a_new_patch_brings_a_new_card_for_the_same_data(send, built, hub, api, monkeypatch):
    send(built)
    first = state(api)
    monkeypatch.setattr(publication, "dataset_card", lambda *_: "---\nlicense: cc-by-4.0\n---\n# Better words\n")
    again = send(built)
    assert again.already_published
    assert again.card_differs
    assert state(api) == first
    uploads = len(hub.uploads)
    done = send(built, "1.0.1")
    assert (done.tag, done.sent, done.kept) == ("v1.0.1", 0, 6)
    commit, files, tags = state(api)
    assert {path for path in files if files[path] != first[1][path]} == {"README.md"}
    assert tags == {"v1.0.0": first[0], "v1.0.1": commit}
    assert len(hub.uploads) == uploads
    assert send(built, "1.0.1").already_published


def test_what_the_card_shows_is_published_with_it(send, built, hub):
    send(built)
    shown = files_of(built) - {"README.md", "manifest.json", *SHARDS}
    assert "statistics.json" in shown
    for path in shown:
        assert fetch(f"{hub.url}/datasets/{NAME}/resolve/v1.0.0/{path}").body == (built / path).read_bytes()


def test_all_builds_are_checked_before_the_first_is_sent(built, make_build, hub):
    options = {"token": ALICE, "endpoint": hub.url}
    with pytest.raises(PdefmError, match="not a finished build"):
        publish_all([built, built.parent], "pde-lab", "1.0.0", **options)
    with pytest.raises(UsageError, match="several folders hold helmholtz-ood"):
        publish_all([built, make_build()], "pde-lab", "1.0.0", **options)
    assert hub.requests == []
    folders = [built, make_build("poisson", ("in-domain",))]
    assert [done.repository for done in publish_all(folders, "pde-lab", "1.0.0", **options)] == [
        NAME,
        "pde-lab/poisson",
    ]


def test_a_refusal_for_one_dataset_comes_before_another_is_sent(send, built, make_build, hub):
    send(make_build("poisson", ("in-domain",)))
    hub.forget_requests()
    folders = [built, make_build("poisson", ("in-domain",), test=4)]
    with pytest.raises(PdefmError, match="other contents"):
        publish_all(folders, "pde-lab", "1.0.0", token=ALICE, endpoint=hub.url)
    assert writes(hub) == []


def test_the_command_publishes_several_folders(built, make_build, hub, tmp_path, api):
    words = ["data", "publish", built, make_build("poisson", ("in-domain",)), "--namespace", "pde-lab"]
    done = run(hub, tmp_path / "home", *words, "--version", "1.0.0", "--private")
    assert done.returncode == 0, done.stderr
    assert re.search(r"published pde-lab/helmholtz-ood v1\.0\.0: 6 shards sent", done.stdout)
    assert re.search(r"published pde-lab/poisson v1\.0\.0: 3 shards sent", done.stdout)
    assert api.dataset_info("pde-lab/poisson").private
    again = run(hub, tmp_path / "home", *words, "--version", "1.0.0")
    assert again.stdout.count("already published") == 2


def test_the_command_says_in_one_line_that_a_token_is_missing(built, hub, tmp_path):
    done = run(
        hub, tmp_path / "home", "data", "publish", built, "--namespace", "alice", "--version", "1.0.0", token=None
    )
    assert done.returncode == 1
    assert re.fullmatch(r"pdefm: .*hf auth login.*HF_TOKEN.*alice.*\n", done.stderr)
    assert "Traceback" not in done.stderr


def test_the_command_says_within_seconds_that_there_is_no_network(built, hub, tmp_path, monkeypatch):
    for address in ("http://nowhere.invalid", "http://127.0.0.1:9"):
        monkeypatch.setattr(type(hub), "url", address)
        began = time.monotonic()
        done = run(hub, tmp_path / "home", "data", "publish", built, "--namespace", "alice", "--version", "1.0.0")
        assert done.returncode == 1
        line = r"pdefm: the Hub cannot be reached \(.*\): check the network, and HF_ENDPOINT if it is set.*\n"
        assert re.fullmatch(line, done.stderr), done.stderr
        assert time.monotonic() - began < 30  # of which the waits take 3 s: the rest is a busy machine's


def test_a_published_dataset_registers_each_regime_as_a_task_of_a_benchmark(send, built, hub):
    send(built)
    content = yaml.safe_load(fetch(f"{hub.url}/datasets/{NAME}/resolve/v1.0.0/eval.yaml").body)
    assert list(content) == ["name", "description", "evaluation_framework", "tasks"]
    assert content["evaluation_framework"] == "pdebench-fm"
    assert content["name"] == "pdebench-fm: helmholtz-ood"
    assert "higher is better" in content["description"]
    assert content["tasks"] == [{"id": name, "config": name, "split": "test"} for name in ("mild", "medium")]


def test_a_dataset_without_test_rows_is_no_benchmark(send, make_build, api):
    send(make_build(test=0))
    assert "eval.yaml" not in state(api)[1]


def test_a_new_patch_renews_a_registration_that_has_changed(send, built, api, monkeypatch):
    send(built)
    words = b"name: n\ndescription: d\nevaluation_framework: f\ntasks: [{id: a, config: a, split: test}]\n"
    monkeypatch.setattr(publication, "benchmark_file", lambda _: words)
    assert send(built).card_differs
    before = state(api)[1]
    send(built, "1.0.1")
    after = state(api)[1]
    assert {path for path in after if after[path] != before[path]} == {"eval.yaml"}
