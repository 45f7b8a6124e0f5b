"""The Hub's answers that the stock ``HfApi`` relies on; small files only, so all in this process."""

from pathlib import Path

import pytest
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationCopy,
    CommitOperationDelete,
    HfApi,
    HfFileSystem,
    RepoFolder,
)
from huggingface_hub.errors import RemoteEntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

from . import HubServer, fetch
from .cards import read_card
from .conftest import ALICE, REPO, add, status_of, text_at

READER, BOB, CAROL, NOBODY = "hf_alice_read", "hf_bob", "hf_carol", "hf_nobody"


def test_whoami_tells_the_user_and_the_role(hub: HubServer) -> None:
    hub.add_user("bob", token=BOB, role="read", organizations=("lab",))
    answer = HfApi(endpoint=hub.url, token=BOB).whoami()
    assert (answer["name"], answer["auth"]["accessToken"]["role"]) == ("bob", "read")
    assert [organization["name"] for organization in answer["orgs"]] == ["lab"]
    assert status_of(lambda: HfApi(endpoint=hub.url, token=NOBODY).whoami()) == 401


def test_a_repository_is_created_once_and_gone_after_deletion(api: HfApi) -> None:
    assert status_of(lambda: api.create_repo(REPO)) == 409
    assert api.create_repo(REPO, exist_ok=True).repo_id == REPO
    api.create_repo(REPO, repo_type="dataset")  # a name is taken per kind
    api.delete_repo(REPO)
    assert not api.repo_exists(REPO)
    assert api.repo_exists(REPO, repo_type="dataset")
    with pytest.raises(RepositoryNotFoundError):
        api.delete_repo(REPO)


def test_a_private_repository_is_hidden_from_strangers(hub: HubServer, api: HfApi) -> None:
    hub.add_user("bob", token=BOB)
    add(api, "config.json", "{}")
    api.update_repo_settings(REPO, private=True)
    for token, status in ((False, 401), (BOB, 404)):
        stranger = HfApi(endpoint=hub.url, token=token)
        with pytest.raises(RepositoryNotFoundError) as caught:
            stranger.repo_info(REPO)
        assert caught.value.response.status_code == status
        assert list(stranger.list_models(author="alice")) == []
    assert api.repo_info(REPO).private
    assert fetch(f"{hub.url}/{REPO}/resolve/main/config.json").status == 401
    api.update_repo_settings(REPO, private=False)
    assert text_at(hub, "config.json") == "{}"


@pytest.mark.usefixtures("api")
def test_only_a_write_token_of_the_namespace_writes(hub: HubServer) -> None:
    hub.add_user("alice", token=READER, role="read")
    hub.add_user("bob", token=BOB, organizations=("lab",))
    hub.add_user("carol", token=CAROL, organizations=("lab",))
    for token, status in ((READER, 403), (BOB, 403), (False, 401)):
        other = HfApi(endpoint=hub.url, token=token)
        assert status_of(lambda other=other: add(other, "a.txt", "a")) == status
        assert status_of(lambda other=other: other.create_tag(REPO, tag="v1")) == status
        assert status_of(lambda other=other: other.create_repo("alice/other")) == status
    HfApi(endpoint=hub.url, token=BOB).create_repo("lab/net", private=True)
    assert HfApi(endpoint=hub.url, token=CAROL).repo_info("lab/net").author == "lab"


def test_everybody_may_know_the_organisations_of_a_user(hub: HubServer) -> None:
    hub.add_user("bob", token=BOB, organizations=("lab",))
    user = HfApi(endpoint=hub.url, token=False).get_user_overview("bob")
    assert (user.username, [organisation.name for organisation in user.orgs]) == ("bob", ["lab"])
    assert status_of(lambda: HfApi(endpoint=hub.url, token=False).get_user_overview("nobody")) == 404


def test_repository_info_describes_the_files_and_the_card(hub: HubServer, api: HfApi) -> None:
    card = "---\nlicense: mit\ntags: [pde, operator]\nlibrary_name: neural\nmodel-index:\n- name: net\n---\n# Net\n"
    first = add(api, "README.md", card)
    add(api, "a/b.txt", "text")
    info = api.model_info(REPO, files_metadata=True)
    assert info.tags == ["pde", "operator", "neural", "license:mit"]
    assert info.card_data is not None
    assert info.card_data.license == "mit"
    sizes = {file.rfilename: file.size for file in info.siblings or []}
    assert sizes.pop(".gitattributes") == len(text_at(hub, ".gitattributes"))
    assert sizes == {"README.md": len(card), "a/b.txt": 4}
    assert [file.rfilename for file in api.model_info(REPO, revision=first).siblings or []] == [
        ".gitattributes",
        "README.md",
    ]
    assert [model.id for model in api.list_models(filter="operator", author="alice")] == [REPO]
    assert list(api.list_models(filter="vision")) == []


def test_card_metadata_must_be_a_mapping(api: HfApi) -> None:
    with pytest.raises(ValueError, match="must be a mapping"):
        add(api, "README.md", "---\n- just\n- a list\n---\n")
    with pytest.raises(ValueError, match="duplicated mapping key"):
        add(api, "README.md", "---\nlicense: mit\nlicense: apache-2.0\n---\n")
    with pytest.warns(UserWarning, match="empty or missing yaml metadata"):
        add(api, "README.md", "# No metadata\n")


def test_card_fields_are_read_as_far_as_they_are_simple() -> None:
    card = read_card(
        "---\r\nlicense: 'cc-by-4.0'  # why\r\nsize: 3\r\ntags:\r\n  - a\r\n  - b\r\nempty:\r\n"
        "dataset_info:\r\n- config_name: x\r\n  features:\r\n  - name: y\r\ndescription: |\r\n  long: text\r\n---\r\n"
    )
    assert card.errors == ()
    assert card.fields == {"license": "cc-by-4.0", "size": 3, "tags": ["a", "b"], "empty": None}


def test_revisions_are_branches_tags_and_commits(hub: HubServer, api: HfApi) -> None:
    first = add(api, "a.txt", "one")
    api.create_branch(REPO, branch="feature/x")
    api.create_tag(REPO, tag="v1", revision=first)
    second = add(api, "a.txt", "two")
    add(api, "a.txt", "three", revision="feature/x")
    assert text_at(hub, "a.txt", "feature%2Fx") == "three"
    assert [text_at(hub, "a.txt", revision) for revision in ("main", "v1", first)] == ["two", "one", "one"]
    refs = api.list_repo_refs(REPO)
    assert {ref.name: ref.target_commit for ref in refs.tags} == {"v1": first}
    assert {ref.name for ref in refs.branches} == {"main", "feature/x"}
    assert [commit.commit_id for commit in api.list_repo_commits(REPO)][:2] == [second, first]
    api.delete_branch(REPO, branch="feature/x")
    with pytest.raises(RevisionNotFoundError):
        api.repo_info(REPO, revision="feature/x")


def test_a_tag_never_moves(api: HfApi) -> None:
    api.create_tag(REPO, tag="v1")
    tagged = api.repo_info(REPO, revision="v1").sha
    add(api, "a.txt", "a")
    assert status_of(lambda: api.create_tag(REPO, tag="v1")) == 409
    assert status_of(lambda: add(api, "a.txt", "b", revision="v1")) == 404
    assert api.repo_info(REPO, revision="v1").sha == tagged
    api.delete_tag(REPO, tag="v1")
    api.create_tag(REPO, tag="v1")
    assert api.repo_info(REPO, revision="v1").sha != tagged


def test_one_commit_adds_copies_and_deletes(api: HfApi) -> None:
    for path in ("old/a.txt", "old/b.txt", "single.txt", "kept.txt"):
        add(api, path, path)
    api.create_commit(
        REPO,
        [
            CommitOperationAdd("new.txt", b"new"),
            CommitOperationCopy("kept.txt", "copied.txt"),
            CommitOperationDelete("old/"),
            CommitOperationDelete("single.txt"),
        ],
        commit_message="rearrange",
        commit_description="why",
    )
    assert set(api.list_repo_files(REPO)) == {".gitattributes", "new.txt", "kept.txt", "copied.txt"}
    assert (api.list_repo_commits(REPO)[0].title, api.list_repo_commits(REPO)[0].message) == ("rearrange", "why")
    with pytest.raises(RemoteEntryNotFoundError):
        api.delete_file("single.txt", REPO)


def test_a_commit_on_an_outdated_parent_is_refused(hub: HubServer, api: HfApi) -> None:
    first = add(api, "a.txt", "one")
    second = add(api, "a.txt", "two")
    assert status_of(lambda: add(api, "a.txt", "three", parent_commit=first)) == 412
    add(api, "a.txt", "three", parent_commit=second)
    assert text_at(hub, "a.txt") == "three"


def test_a_commit_cannot_point_to_a_large_file_that_was_not_uploaded(hub: HubServer, api: HfApi) -> None:
    lines = b'{"key": "header", "value": {"summary": "x"}}\n' + (
        b'{"key": "lfsFile", "value": {"path": "a.parquet", "algo": "sha256", "oid": "%s", "size": 1}}\n' % (b"0" * 64)
    )
    headers = {"Authorization": "Bearer hf_alice"}
    refused = fetch(f"{hub.url}/api/models/{REPO}/commit/main", method="POST", body=lines, headers=headers)
    assert (refused.status, b"does not exist" in refused.body) == (400, True)
    assert api.list_repo_files(REPO) == [".gitattributes"]


def test_ignored_files_are_not_committed(api: HfApi, tmp_path: Path) -> None:
    for path in (".gitignore", "notes.log", "cache/x.txt", "kept.txt"):
        (tmp_path / "folder" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / path).write_text("*.log\ncache/\n")
    operations = [
        CommitOperationAdd(path.relative_to(tmp_path / "folder").as_posix(), path)
        for path in (tmp_path / "folder").rglob("*")
        if path.is_file()
    ]
    api.create_commit(REPO, operations, commit_message="all")
    assert set(api.list_repo_files(REPO)) == {".gitattributes", ".gitignore", "kept.txt"}


def test_trees_are_listed_by_folder_and_in_pages(tmp_path: Path) -> None:
    with HubServer(tmp_path, page_size=2) as server:
        server.add_user("alice", token=ALICE)
        api = HfApi(endpoint=server.url, token=ALICE)
        api.create_repo(REPO)
        names = [f"data/{split}/{index}.txt" for split in ("test", "train") for index in range(3)]
        api.create_commit(REPO, [CommitOperationAdd(name, name.encode()) for name in names], commit_message="add")
        last = add(api, "data/train/1.txt", "changed")
        listed = [entry.path for entry in api.list_repo_tree(REPO, recursive=True)]
        assert listed == sorted([".gitattributes", "data", "data/test", "data/train", *names])
        below = list(api.list_repo_tree(REPO, "data", expand=True))
        assert [entry.path for entry in below] == ["data/test", "data/train"]
        assert all(isinstance(entry, RepoFolder) for entry in below)
        assert [entry.last_commit.oid == last for entry in below] == [False, True]
        assert len(server.requests_to("/tree/")) == 6
        assert len(api.list_repo_commits(REPO)) == 3
        with pytest.raises(RemoteEntryNotFoundError):
            list(api.list_repo_tree(REPO, "nowhere"))


def test_paths_info_leaves_out_what_does_not_exist(api: HfApi) -> None:
    add(api, "a/b.txt", "text")
    found = api.get_paths_info(REPO, ["a", "a/b.txt", "a/c.txt"], expand=True)
    assert [entry.path for entry in found] == ["a", "a/b.txt"]
    assert found[1].size == 4


def test_files_are_read_in_ranges(hub: HubServer, api: HfApi) -> None:
    add(api, "digits.txt", "0123456789")
    url = f"{hub.url}/{REPO}/resolve/main/digits.txt"

    def part(span: str) -> tuple[int, str, str | None]:
        answer = fetch(url, headers={"Range": span})
        return answer.status, answer.body.decode(), answer.headers.get("content-range")

    assert part("bytes=2-4") == (206, "234", "bytes 2-4/10")
    assert part("bytes=7-99") == (206, "789", "bytes 7-9/10")
    assert part("bytes=-3") == (206, "789", "bytes 7-9/10")
    assert part("bytes=0-1,3-4") == (200, "0123456789", None)
    assert part("bytes=10-") == (416, "", "bytes */10")
    with HfFileSystem(endpoint=hub.url, token=ALICE).open(f"{REPO}/digits.txt", block_size=4) as file:
        file.seek(5)
        assert file.read(2) == b"56"


def test_a_missing_file_is_told_from_a_missing_revision(hub: HubServer, api: HfApi, tmp_path: Path) -> None:
    with pytest.raises(RemoteEntryNotFoundError):
        api.hf_hub_download(REPO, "nothing.txt", cache_dir=tmp_path / "cache")
    with pytest.raises(RevisionNotFoundError):
        api.hf_hub_download(REPO, ".gitattributes", revision="v9", cache_dir=tmp_path / "cache")
    assert {request.user for request in hub.requests_to("/resolve/")} == {"alice"}
