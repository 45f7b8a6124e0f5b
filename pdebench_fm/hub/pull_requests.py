"""Pull requests on the Hub: one commit proposed to a repository that somebody else may own, and never twice."""

from collections.abc import Sequence
from dataclasses import dataclass

from huggingface_hub import CommitOperationAdd

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
