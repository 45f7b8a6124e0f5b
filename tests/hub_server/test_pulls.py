"""Pull requests: who may open, push to and merge them."""

import json

from huggingface_hub import CommitOperationAdd, HfApi

from . import HubServer, fetch
from .conftest import ALICE, REPO, add, status_of, text_at

BOB = "hf_bob"


def test_a_pull_request_changes_main_only_when_merged(hub: HubServer, api: HfApi) -> None:
    hub.add_user("bob", token=BOB)
    bob = HfApi(endpoint=hub.url, token=BOB)
    pushed = bob.create_commit(REPO, [CommitOperationAdd("b.txt", b"bob")], commit_message="Add b", create_pr=True)
    add(api, "a.txt", "alice")
    assert pushed.pr_revision == "refs/pr/1"
    add(bob, "c.txt", "bob too", revision="refs/pr/1")
    assert set(api.list_repo_files(REPO)) == {".gitattributes", "a.txt"}
    [found] = api.get_repo_discussions(REPO, discussion_type="pull_request", discussion_status="open")
    assert (found.num, found.author, found.title) == (1, "bob", "Add b")
    assert status_of(lambda: bob.merge_pull_request(REPO, 1)) == 403
    api.comment_discussion(REPO, 1, comment="thanks")
    api.merge_pull_request(REPO, 1)
    assert set(api.list_repo_files(REPO)) == {".gitattributes", "a.txt", "b.txt", "c.txt"}
    details = api.get_discussion_details(REPO, 1)
    assert details.status == "merged"
    assert details.merge_commit_oid == api.repo_info(REPO).sha
    assert [event.type for event in details.events] == ["commit", "commit", "comment", "status-change"]


def test_large_files_may_be_sent_by_whoever_may_push(hub: HubServer, api: HfApi) -> None:
    hub.add_user("bob", token=BOB)
    bob = HfApi(endpoint=hub.url, token=BOB)
    bob.create_pull_request(REPO, title="Weights")

    def status(token: str, ref: str | None) -> int:
        objects = [{"oid": "0" * 64, "size": 1}]
        payload = {"operation": "upload", "objects": objects} | ({"ref": {"name": ref}} if ref else {})
        headers = {"Authorization": f"Bearer {token}"}
        url = f"{hub.url}/{REPO}.git/info/lfs/objects/batch"
        return fetch(url, method="POST", body=json.dumps(payload).encode(), headers=headers).status

    assert [status(BOB, ref) for ref in ("main", "refs/pr/1", None)] == [403, 200, 200]
    assert [status(ALICE, ref) for ref in ("main", "refs/pr/1", None)] == [200, 200, 200]
    api.update_repo_settings(REPO, private=True)
    assert status(BOB, "refs/pr/1") == 404


def test_a_conflicting_pull_request_is_not_merged(hub: HubServer, api: HfApi) -> None:
    add(api, "a.txt", "before")
    draft = api.create_pull_request(REPO, title="Change a")
    assert (draft.status, draft.git_reference) == ("draft", "refs/pr/1")
    add(api, "a.txt", "proposed", revision="refs/pr/1")
    api.change_discussion_status(REPO, 1, new_status="open")
    api.rename_discussion(REPO, 1, new_title="Change a differently")
    add(api, "a.txt", "meanwhile")
    assert api.get_discussion_details(REPO, 1).conflicting_files == ["a.txt"]
    assert status_of(lambda: api.merge_pull_request(REPO, 1)) == 409
    assert text_at(hub, "a.txt") == "meanwhile"
