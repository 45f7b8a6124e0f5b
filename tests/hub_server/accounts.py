"""Who is asking: access tokens, the users behind them, and the namespaces that they may write to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["read", "write"]


@dataclass(frozen=True)
class Account:
    """A user as seen through one access token."""

    name: str
    role: Role
    organizations: tuple[str, ...] = ()

    def belongs_to(self, namespace: str) -> bool:
        """Whether the namespace is the user's own or one of their organisations."""
        return namespace == self.name or namespace in self.organizations

    def may_write(self, namespace: str) -> bool:
        """Whether this token may change the namespace's repositories."""
        return self.role == "write" and self.belongs_to(namespace)

    def as_whoami(self) -> dict[str, object]:
        """The answer of ``/api/whoami-v2``."""
        return {
            "type": "user",
            "id": f"user-{self.name}",
            "name": self.name,
            "fullname": self.name,
            "orgs": [{"type": "org", "name": name, "roleInOrg": "write"} for name in self.organizations],
            "auth": {"type": "access_token", "accessToken": {"displayName": "test", "role": self.role}},
        }


class UnknownTokenError(Exception):
    """The request carries credentials that belong to nobody."""


class Accounts:
    """All access tokens of a server."""

    def __init__(self) -> None:
        self._by_token: dict[str, Account] = {}

    def add(self, name: str, token: str, role: Role, organizations: tuple[str, ...]) -> Account:
        """Register one token of a user; a user may have several."""
        if role not in ("read", "write"):
            raise ValueError(f"role must be 'read' or 'write', not {role!r}")
        if token in self._by_token:
            raise ValueError(f"the token {token!r} is taken")
        account = Account(name, role, organizations)
        self._by_token[token] = account
        return account

    def named(self, name: str) -> Account | None:
        """The user of this name, by the first of their tokens; ``None`` if there is none."""
        return next((account for account in self._by_token.values() if account.name == name), None)

    def authenticate(self, authorization: str | None) -> Account | None:
        """The account of an ``Authorization`` header, ``None`` without one.

        Raises:
            UnknownTokenError: if the header is there but wrong.
        """
        if authorization is None:
            return None
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or token not in self._by_token:
            raise UnknownTokenError
        return self._by_token[token]
