"""Pull requests on the Hub: one commit proposed to a repository that somebody else may own, and never twice."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from huggingface_hub import CommitOperationAdd, DiscussionComment

from pdebench_fm.errors import PdefmError
from pdebench_fm.hub.failures import HubError
from pdebench_fm.hub.repository import Expected, Repository

_DRAFT = "draft"


@dataclass(frozen=True)
class PullRequest:
    """A pull request.

    Attributes:
        number: in its repository.
        url: of its page.
        already_open: whether it was there before it was asked for.
    """

    number: int
    url: str
    already_open: bool = False

    @property
    def revision(self) -> str:
        """The reference that its files are at."""
        return revision_of(self.number)


@dataclass(frozen=True)
class Account:
    """Who somebody is on the Hub.

    Attributes:
        name: the user's.
        organisations: that he belongs to.
    """

    name: str
    organisations: tuple[str, ...]

    @property
    def namespaces(self) -> tuple[str, ...]:
        """The names that he may publish under."""
        return self.name, *self.organisations


def revision_of(number: int) -> str:
    """Return the reference of a pull request's files."""
    return f"refs/pr/{number}"


def own_account(repository: Repository) -> Account:
    """Return whom the token belongs to; a `HubError` says that there is none."""
    answer = repository.retried(repository.api.whoami)
    return Account(str(answer["name"]), tuple(str(each["name"]) for each in answer.get("orgs", ())))


def account_of(repository: Repository, name: str) -> Account:
    """Return what the Hub tells everybody of a user."""
    user = repository.retried(lambda: repository.api.get_user_overview(name))
    return Account(name, tuple(each.name for each in user.orgs))


def author_of(repository: Repository, number: int) -> str:
    """Return who opened a pull request.

    Raises:
        PdefmError: if there is no such pull request, or it is not open any more.
    """
    details = repository.retried(
        lambda: repository.api.get_discussion_details(repository.name, number, repo_type=repository.kind)
    )
    if not details.is_pull_request:
        raise PdefmError(f"{repository.name}#{number} is a discussion, no pull request")
    if details.status not in ("open", _DRAFT):
        raise PdefmError(f"{repository.name}#{number} is {details.status}: only an open pull request is looked at")
    return str(details.author)


@dataclass(frozen=True)
class OpenRequest:
    """An open pull request that is no draft.

    Attributes:
        number: in its repository.
        author: who opened it.
        commit: that it is at.
    """

    number: int
    author: str
    commit: str


@dataclass(frozen=True)
class State:
    """What becomes of a pull request.

    Attributes:
        status: "open", "draft", "closed" or "merged".
        conflicts: whether main has changed the same files in the meantime.
        comments: (who, what he wrote).
        merge_commit: that brought it to main, if one did.
    """

    status: str
    conflicts: bool
    comments: tuple[tuple[str, str], ...]
    merge_commit: str | None = None


def open_requests(repository: Repository, most: int) -> list[OpenRequest]:
    """Return the open pull requests, oldest first; of more than `most`, the newest.

    Raises:
        HubError: if the repository cannot be seen, or the Hub keeps failing.
    """
    api, name, kind = repository.api, repository.name, repository.kind

    def listed() -> list[tuple[int, str]]:
        found = api.get_repo_discussions(name, discussion_type="pull_request", discussion_status="open", repo_type=kind)
        return [(each.num, each.author) for each in islice(found, most) if each.status == "open"]

    requests = repository.retried(listed)
    refs = repository.retried(lambda: api.list_repo_refs(name, repo_type=kind, include_pull_requests=True))
    heads = {ref.ref: ref.target_commit for ref in refs.pull_requests or ()}
    # one without a commit has just been opened, or closed
    known = ((number, author, heads.get(revision_of(number))) for number, author in requests)
    return sorted(
        (OpenRequest(number, author, commit) for number, author, commit in known if commit is not None),
        key=lambda each: each.number,
    )


def state_of(repository: Repository, number: int) -> State:
    """Return what becomes of a pull request.

    Raises:
        HubError: if there is none, or the Hub keeps failing.
    """
    found = repository.retried(
        lambda: repository.api.get_discussion_details(repository.name, number, repo_type=repository.kind)
    )
    comments = [(each.author, each.content) for each in found.events if isinstance(each, DiscussionComment)]
    return State(found.status, bool(found.conflicting_files), tuple(comments), found.merge_commit_oid)


def comment_once(repository: Repository, author: str, number: int, text: str) -> bool:
    """Comment on a pull request, unless its author has a comment there that begins with the same line.

    Args:
        repository: that it is in.
        author: the user that the token belongs to; what others wrote does not count.
        number: of the pull request.
        text: in Markdown.

    Returns:
        Whether there is a new comment.

    Raises:
        HubError: if it is refused or keeps failing.
    """

    def look() -> bool | None:
        first = text.partition("\n")[0]
        there = state_of(repository, number).comments
        return True if any(who == author and said.partition("\n")[0] == first for who, said in there) else None

    if look():
        return False

    def attempt() -> bool:
        repository.api.comment_discussion(repository.name, number, text, repo_type=repository.kind)
        return True

    return repository.retried(attempt, look)


def merge(repository: Repository, number: int) -> None:
    """Merge a pull request; one whose answer is lost may be merged, and is looked for before that is asked again.

    Raises:
        HubError: if it is refused or keeps failing.
    """

    def attempt() -> bool:
        repository.api.merge_pull_request(repository.name, number, repo_type=repository.kind)
        return True

    repository.retried(attempt, lambda: True if state_of(repository, number).status == "merged" else None)


def propose(
    repository: Repository,
    author: str,
    operations: Sequence[CommitOperationAdd],
    title: str,
    description: str,
    parent: str,
    expected: Expected,
) -> PullRequest:
    """Open a pull request with one commit, unless its author has one open with this title and these files.

    A commit whose answer is lost may have happened: it is looked for before it is sent again.

    Args:
        repository: to propose it to.
        author: the user that the token belongs to.
        operations: the files.
        title: the pull request's; what has one title has the same files.
        description: in Markdown.
        parent: the commit of main that it is proposed for.
        expected: what the operations lead to.

    Raises:
        HubError: if it is refused or keeps failing.
    """
    found = _open_with(repository, author, title, expected)
    if found is not None:
        return PullRequest(found.number, found.url, already_open=True)

    def attempt() -> PullRequest:
        done = repository.api.create_commit(
            repository.name,
            operations,
            commit_message=title,
            commit_description=description,
            repo_type=repository.kind,
            parent_commit=parent,
            create_pr=True,
        )
        if done.pr_num is None:
            raise HubError(f"{repository.name} took the commit {done.oid} and opened no pull request for it")
        return PullRequest(done.pr_num, _url(repository, done.pr_num))

    return repository.retried(attempt, lambda: _open_with(repository, author, title, expected))


def _open_with(repository: Repository, author: str, title: str, expected: Expected) -> PullRequest | None:
    """Return the author's open pull request that has this title and these files; a draft of it is opened."""
    api, name, kind = repository.api, repository.name, repository.kind
    numbers = repository.retried(
        lambda: [
            (found.num, found.status)
            for found in api.get_repo_discussions(
                name, author=author, discussion_type="pull_request", discussion_status="open", repo_type=kind
            )
            if found.title == title
        ]
    )
    for number, status in numbers:
        there = repository.snapshot(revision_of(number))
        if there is None or not there.holds(expected):
            continue
        if status == _DRAFT:
            repository.retried(lambda: api.change_discussion_status(name, number, new_status="open", repo_type=kind))  # noqa: B023 (called at once)
        return PullRequest(number, _url(repository, number))
    return None


def _url(repository: Repository, number: int) -> str:
    return f"{repository.url}/discussions/{number}"
