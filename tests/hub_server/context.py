"""What every route needs: the store, the accounts, the settings, and the checks of who may do what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from re import Pattern

from .accounts import Account, Accounts
from .links import LinkSigner
from .messages import Answer, Refusal, Request, path_pattern
from .store import Commit, Repo, Store


@dataclass
class Context:
    """The server's parts, shared by all routes; the addresses are known once the sockets are bound."""

    store: Store
    accounts: Accounts
    signer: LinkSigner
    lfs_threshold: int
    page_size: int
    url: str = ""
    storage_url: str = ""

    def readable(self, request: Request) -> Repo:
        """The repository that the path names, if the request may see it.

        Raises:
            Refusal: as the Hub does, an invisible repository looks like a missing one.
        """
        captures = request.captures
        repo = self.store.get(captures["kind"], captures["namespace"], captures["name"])
        if repo is None or not self.visible(repo, request.account):
            raise repo_not_found(request)
        return repo

    def visible(self, repo: Repo, account: Account | None) -> bool:
        """Whether an account (or nobody) may read a repository."""
        return not repo.state.private or (account is not None and account.belongs_to(repo.namespace))

    def writable(self, request: Request) -> Repo:
        """The repository that the path names, if the request may change it."""
        repo = self.readable(request)
        signed_in(request)
        require_write(request, repo.namespace)
        return repo

    def pushable(self, request: Request, revision: str) -> Repo:
        """The repository that the path names, if the request may push to the revision.

        A pull request's author may push to it without the right to write to the repository.
        """
        repo = self.readable(request)
        account = signed_in(request)
        opened = {f"refs/pr/{item.num}" for item in repo.state.discussions if item.author == account.name}
        require_write(request, account.name if revision in opened else repo.namespace)
        return repo

    def contributable(self, request: Request) -> Repo:
        """The repository that the path names, if the request may open pull requests on it."""
        repo = self.readable(request)
        account = signed_in(request)
        require_write(request, account.name)
        return repo


@dataclass(frozen=True)
class Route:
    """A method and path with the function that answers it."""

    method: str
    pattern: Pattern[str]
    answer: Callable[[Context, Request], Answer]


def route(method: str, template: str, answer: Callable[[Context, Request], Answer]) -> Route:
    """A route for a path template, see ``path_pattern``."""
    return Route(method, path_pattern(template), answer)


def repo_not_found(request: Request) -> Refusal:
    """The Hub tells strangers to sign in and users that there is nothing."""
    if request.account is None:
        return Refusal(401, "Invalid username or password.", code="RepoNotFound")
    return Refusal(404, "Repository not found", code="RepoNotFound")


def signed_in(request: Request) -> Account:
    """The request's account; refused without one."""
    if request.account is None:
        raise Refusal(401, "Invalid username or password.")
    return request.account


def require_write(request: Request, namespace: str) -> None:
    """Refuse what the token may not change."""
    if not signed_in(request).may_write(namespace):
        message = f'You don\'t have the rights to write to the namespace "{namespace}" with this token'
        raise Refusal(403, message)


def commit_at(repo: Repo, revision: str) -> Commit:
    """The commit of a revision; refused if there is none."""
    commit = repo.find_commit(revision)
    if commit is None:
        raise Refusal(404, f"Invalid rev id: {revision}", code="RevisionNotFound")
    return commit
