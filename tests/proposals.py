"""Pull requests to a leaderboard on the tests' Hub, true and false ones."""

from falsified import put
from huggingface_hub import CommitOperationAdd, HfApi

from pdebench_fm.results.paths import row_path
from pdebench_fm.results.samples import samples_path

BOARD = "pde-lab/leaderboard"
"""A leaderboard that Alice may write to."""

BOB = "hf_bob"
"""The token of a stranger."""


def propose(hub, operations, token=BOB):
    """Open a pull request, and return its number."""
    api = HfApi(endpoint=hub.url, token=token)
    done = api.create_commit(BOARD, operations, commit_message="Rows", repo_type="dataset", create_pr=True)
    return done.pr_num


def rows(evaluation, tmp_path, place=None):
    """The operations that add a row."""
    path = put(evaluation, tmp_path / "row.json")
    place = place or row_path(evaluation.result)
    return [
        CommitOperationAdd(place.as_posix(), path.read_bytes()),
        CommitOperationAdd(samples_path(place).as_posix(), samples_path(path).read_bytes()),
    ]


def files_of(api, revision="main"):
    """The paths that the leaderboard has, but for the Hub's own."""
    found = set(api.list_repo_files(BOARD, repo_type="dataset", revision=revision))
    return found - {".gitattributes"}


def pushed(hub, files, author="bob"):
    """Open a pull request by a push of Git, which can hold what the Hub's client and pages refuse; returns its number.

    Args:
        hub: the tests' Hub.
        files: contents by path.
        author: who opens it.
    """
    from hub_server.context import commit_at
    from hub_server.pulls import open_pull_request

    repo = hub.context.store.get("datasets", *BOARD.split("/"))
    main = commit_at(repo, "main")
    request = open_pull_request(repo, "Rows", author, base=main.sha, status="open", comment="")
    added = {path: repo.add_regular(content) for path, content in files.items()}
    repo.add_commit(f"refs/pr/{request.num}", main, {**main.tree, **added}, "Rows", "", author)
    return request.num
