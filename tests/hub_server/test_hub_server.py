"""The stock clients publish to and download from the server, in processes of their own."""

import hashlib
import http.client
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from huggingface_hub import HfApi

from . import HubServer, client_environment, fetch, run_client
from .conftest import ALICE, REPO, add, status_of, text_at

PUBLISH = """
import json, sys
from huggingface_hub import HfApi
api = HfApi()
folder, repo = sys.argv[1:]
api.create_repo(repo, repo_type="dataset", exist_ok=True)
commit = api.upload_folder(folder_path=folder, repo_id=repo, repo_type="dataset")
print(json.dumps(commit.oid))
"""
README = "---\nlicense: mit\ntags:\n- pde\nconfigs:\n- config_name: poisson\n  data_files:\n{splits}---\n# Fields\n"
SPLITS = "  - split: train\n    path: data/train.parquet\n  - split: test\n    path: data/test.parquet\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A README and two large files (by their suffix) that are not really parquet."""
    root = tmp_path / "folder"
    (root / "data").mkdir(parents=True)
    (root / "README.md").write_text(README.format(splits=SPLITS))
    (root / "data" / "train.parquet").write_bytes(b"old train" * 1000)
    (root / "data" / "test.parquet").write_bytes(b"old test" * 1000)
    return root


def test_a_tag_keeps_the_old_bytes_after_main_moved_on(hub: HubServer, home: Path, folder: Path) -> None:
    script = """
import json, sys
from pathlib import Path
from huggingface_hub import HfApi
api = HfApi()
folder, old_train, repo, kind = Path(sys.argv[1]), sys.argv[2].encode() * 1000, "alice/fields", {"repo_type": "dataset"}
api.create_repo(repo, **kind)
first = api.upload_folder(folder_path=folder, repo_id=repo, **kind)
api.create_tag(repo, tag="v1.0", **kind)
(folder / "data" / "train.parquet").write_bytes(b"new")
second = api.upload_folder(folder_path=folder, repo_id=repo, **kind)
def read(revision):
    snapshot = Path(api.snapshot_download(repo, revision=revision, **kind))
    local = folder / "single"
    single = Path(api.hf_hub_download(repo, "data/train.parquet", revision=revision, local_dir=local, **kind))
    train = (snapshot / "data" / "train.parquet").read_bytes()
    assert train == single.read_bytes()
    return [train.decode(), (snapshot / "data" / "test.parquet").read_bytes().decode(), snapshot.name]
contents = {revision: read(revision) for revision in ("v1.0", "main", first.oid)}
print(json.dumps({**contents, "shas": [first.oid, second.oid]}))
"""
    seen = run_client(script, hub, home, str(folder), "old train", token=ALICE)
    first, second = seen["shas"]
    assert seen["v1.0"] == ["old train" * 1000, "old test" * 1000, first]
    assert seen[first] == seen["v1.0"]
    assert seen["main"] == ["new", "old test" * 1000, second]


def test_large_files_go_to_the_storage_and_small_ones_into_the_commit(hub: HubServer, home: Path, folder: Path) -> None:
    run_client(PUBLISH, hub, home, str(folder), "alice/fields", token=ALICE)
    sizes = sorted(request.bytes_received for request in hub.uploads)
    assert sizes == [8000, 9000]
    assert hub.requests_to("/commit/main", "POST")[0].bytes_received < 1000
    assert all("authorization" not in request.headers for request in hub.requests if request.on_storage)


def test_the_same_bytes_are_not_uploaded_twice(hub: HubServer, home: Path, folder: Path) -> None:
    run_client(PUBLISH, hub, home, str(folder), "alice/fields", token=ALICE)
    (folder / "data" / "copy.parquet").write_bytes((folder / "data" / "train.parquet").read_bytes())
    hub.forget_requests()
    run_client(PUBLISH, hub, home, str(folder), "alice/fields", token=ALICE)
    assert hub.uploads == []
    assert len(hub.requests_to("/commit/main", "POST")) == 1


def test_publishing_again_without_changes_makes_no_commit(hub: HubServer, home: Path, folder: Path) -> None:
    first = run_client(PUBLISH, hub, home, str(folder), "alice/fields", token=ALICE)
    hub.forget_requests()
    second = run_client(PUBLISH, hub, home, str(folder), "alice/fields", token=ALICE)
    assert first == second
    assert hub.requests_to("/commit/", "POST") == []


@pytest.mark.parametrize("trouble", [{"status": 503}, {"drop": "before"}, {"drop": "after"}])
def test_a_failed_upload_is_sent_again_and_ends_right(
    hub: HubServer, home: Path, folder: Path, trouble: dict[str, object]
) -> None:
    hub.fail_next(method="PUT", path_contains=_sha256(folder / "data" / "train.parquet"), **trouble)
    run_client(PUBLISH, hub, home, str(folder), "alice/fields", token=ALICE)
    assert hub.faults.pending == 0
    statuses = [request.status for request in hub.uploads if request.bytes_received == 9000]
    assert statuses == [trouble.get("status"), 200]
    assert fetch(f"{hub.url}/datasets/alice/fields/resolve/main/data/train.parquet").body == b"old train" * 1000


def test_a_broken_off_download_is_repeated_and_ends_right(hub: HubServer, home: Path, folder: Path) -> None:
    run_client(PUBLISH, hub, home, str(folder), "alice/fields", token=ALICE)
    script = """
import json
from pathlib import Path
from huggingface_hub import hf_hub_download
print(json.dumps(Path(hf_hub_download("alice/fields", "data/train.parquet", repo_type="dataset")).read_text()))
"""
    hub.fail_next(method="GET", path_contains=_sha256(folder / "data" / "train.parquet"), drop="midway")
    assert run_client(script, hub, home) == "old train" * 1000
    downloads = [request for request in hub.requests if request.on_storage and request.method == "GET"]
    assert len(downloads) == 2


def test_a_lost_answer_leaves_the_commit_in_place(hub: HubServer, home: Path, folder: Path) -> None:
    hub.fail_next(method="POST", path_contains="/commit/", drop="after")
    with pytest.raises(RuntimeError, match="RemoteProtocolError"):
        run_client(PUBLISH, hub, home, str(folder), "alice/fields", token=ALICE)
    assert [request.status for request in hub.requests_to("/commit/", "POST")] == [None]
    assert fetch(f"{hub.url}/datasets/alice/fields/resolve/main/data/test.parquet").body == b"old test" * 1000
    hub.forget_requests()
    run_client(PUBLISH, hub, home, str(folder), "alice/fields", token=ALICE)
    assert hub.uploads == []
    assert hub.requests_to("/commit/", "POST") == []


@pytest.fixture
def tables(hub: HubServer, home: Path, folder: Path) -> Iterator[HubServer]:
    """A published dataset of two tagged versions, with real parquet files."""
    script = PUBLISH + (
        """
from pathlib import Path
import pyarrow as pa, pyarrow.parquet as pq
for version in (1, 2):
    for split in ("train", "test"):
        table = pa.table({"version": [version] * 3, "split": [split] * 3, "index": [0, 1, 2]})
        pq.write_table(table, f"{folder}/data/{split}.parquet")
    api.upload_folder(folder_path=folder, repo_id=repo, repo_type="dataset")
    api.create_tag(repo, tag=f"v{version}", repo_type="dataset")
"""
    )
    run_client(script, hub, home, str(folder), "alice/fields", token=ALICE)
    return hub


def test_datasets_loads_a_config_and_split_at_a_revision(tables: HubServer, home: Path) -> None:
    script = """
import json
from datasets import load_dataset
def read(revision, streaming):
    rows = load_dataset("alice/fields", "poisson", split="test", revision=revision, streaming=streaming)
    return [[row["version"], row["split"], row["index"]] for row in rows]
print(json.dumps([read(revision, streaming) for revision in ("v1", "v2", None) for streaming in (True, False)]))
"""
    v1, v2 = ([[version, "test", index] for index in range(3)] for version in (1, 2))
    assert run_client(script, tables, home / "reader") == [v1, v1, v2, v2, v2, v2]
    assert any("range" in request.headers and request.status == 206 for request in tables.requests)


def test_a_private_dataset_loads_with_its_owners_token_only(tables: HubServer, home: Path) -> None:
    script = """
import json, sys
from datasets import load_dataset
from datasets.exceptions import DatasetNotFoundError
from huggingface_hub import HfApi
token = sys.argv[1]
HfApi(token=token).update_repo_settings("alice/fields", repo_type="dataset", private=True)
def rows(token):
    try:
        return len(list(load_dataset("alice/fields", "poisson", split="train", streaming=True, token=token)))
    except DatasetNotFoundError:
        return None
print(json.dumps([rows(False), rows(token)]))
"""
    assert run_client(script, tables, home / "reader", ALICE) == [None, 3]


def test_a_stopped_server_can_be_continued_from_its_folder(hub: HubServer, api: HfApi) -> None:
    add(api, "a.txt", "kept")
    with HubServer(hub.folder) as later:
        assert text_at(later, "a.txt") == "kept"


def test_connections_end_with_the_server(tmp_path: Path) -> None:
    with HubServer(tmp_path) as server:
        address = urlsplit(server.url)
        connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=5)
        connection.request("GET", "/api/models")
        assert connection.getresponse().read() == b"[]"
    connection.auto_open = 0
    with pytest.raises(ConnectionError):
        _ask_again(connection)


@pytest.mark.usefixtures("api")
def test_a_storage_link_is_good_for_one_object_one_method_and_a_while(hub: HubServer) -> None:
    content, path = b"weights", f"/models/{REPO}/{hashlib.sha256(b'weights').hexdigest()}"
    link = hub.storage_url + hub.context.signer.sign("PUT", path)
    for method, url in (("GET", link), ("PUT", link.replace("/models/", "/datasets/")), ("PUT", link[:-1])):
        assert fetch(url, method=method, body=content).status == 403
    with HubServer(hub.folder, link_seconds=-1) as hasty:
        late = hasty.storage_url + hasty.context.signer.sign("PUT", path)
        assert fetch(late, method="PUT", body=content).status == 403
    assert fetch(link, method="PUT", body=content, headers={"Authorization": f"Bearer {ALICE}"}).status == 400
    assert fetch(link, method="PUT", body=content).status == 200


@pytest.mark.usefixtures("api")
def test_content_with_another_hash_is_not_stored(hub: HubServer) -> None:
    path = f"/models/{REPO}/{hashlib.sha256(b'weights').hexdigest()}"
    for content, status, stored in ((b"weight", 400, 0), (b"weights", 200, 1)):
        link = hub.storage_url + hub.context.signer.sign("PUT", path)
        assert fetch(link, method="PUT", body=content).status == status
        assert len(list(hub.folder.glob("models/alice/net/lfs/*"))) == stored


def test_the_client_environment_hides_the_users_own_settings(
    hub: HubServer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_developer")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    environment = client_environment(hub, home)
    names = subprocess.run(
        [sys.executable, "-c", "import os; print(*sorted(name for name in os.environ if name.startswith('HF_')))"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert "HF_TOKEN" not in names
    assert "HF_HUB_OFFLINE" not in names
    assert environment["PATH"] == os.environ["PATH"]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _ask_again(connection: http.client.HTTPConnection) -> None:
    connection.request("GET", "/api/models")
    connection.getresponse()


def test_a_static_space_has_the_hubs_template_until_somebody_commits(hub: HubServer, api: HfApi) -> None:
    api.create_repo("alice/page", repo_type="space", space_sdk="static")
    info = api.space_info("alice/page", files_metadata=True)
    assert info.sdk == "static"
    assert {file.rfilename for file in info.siblings} == {".gitattributes", "README.md", "index.html", "style.css"}
    card = "---\ntitle: Page\nsdk: static\ncolorFrom: {colour}\n---\n"

    def put(colour: str) -> object:
        text = card.format(colour=colour).encode()
        return api.upload_file(path_or_fileobj=text, path_in_repo="README.md", repo_id="alice/page", repo_type="space")

    assert status_of(lambda: put("orange")) == 400
    put("blue")
    assert b"colorFrom: blue" in fetch(f"{hub.url}/spaces/alice/page/resolve/main/README.md").body


def test_a_space_without_an_sdk_is_refused(api: HfApi) -> None:
    assert status_of(lambda: api.create_repo("alice/page", repo_type="space", space_sdk="gradio")) == 400
