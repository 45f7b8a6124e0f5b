"""The names of what is published: a namespace, a version of three numbers, and its tag."""

import re
from collections.abc import Iterable

from pdebench_fm.contracts import VERSION_PATTERN
from pdebench_fm.errors import PdefmError, UsageError

_NAMESPACE = re.compile(r"(?!.*(--|\.\.))[A-Za-z0-9_]([A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?")
_TAG = re.compile(rf"v(?P<version>{VERSION_PATTERN})")


def check_namespace(namespace: str) -> None:
    """Refuse, with a `UsageError`, what the Hub would not accept as a user's or an organisation's name."""
    if not _NAMESPACE.fullmatch(namespace):
        raise UsageError(
            f"{namespace!r} cannot be a namespace on the Hub: use at most 96 letters, digits, '-', '_' and '.', "
            "without '--' or '..' and with neither '-' nor '.' at its ends"
        )


def check_repository(name: str) -> None:
    """Refuse, with a `UsageError`, what the Hub would not accept as `namespace/name`."""
    namespace, slash, rest = name.partition("/")
    if not slash:
        raise UsageError(f"{name!r} is no repository on the Hub: give ORG/NAME")
    check_namespace(namespace)
    if not _NAMESPACE.fullmatch(rest):
        raise UsageError(
            f"{rest!r} cannot be the name of a repository on the Hub: use at most 96 letters, digits, '-', '_' and "
            "'.', without '--' or '..' and with neither '-' nor '.' at its ends"
        )


def check_version(version: str) -> None:
    """Refuse, with a `UsageError`, a version that is not of the form X.Y.Z."""
    if not re.fullmatch(VERSION_PATTERN, version):
        raise UsageError(f"{version!r} is not a version: give three numbers, such as 1.0.0")


def numbers_of(version: str) -> tuple[int, ...]:
    """Return a version in the order of versions."""
    return tuple(int(part) for part in version.split("."))


def tagged_versions(tags: Iterable[str]) -> list[str]:
    """Return the versions that tags of the form `vX.Y.Z` name, without their v."""
    return [match["version"] for match in map(_TAG.fullmatch, tags) if match]


def check_not_older(repository: str, version: str, published: Iterable[str]) -> None:
    """Refuse, with a `PdefmError`, a version below one that is published."""
    newest = max(published, key=numbers_of, default=version)
    if numbers_of(newest) > numbers_of(version):
        raise PdefmError(f"{repository} is already at version {newest}: {version} would be older")
