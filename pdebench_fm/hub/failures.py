"""What the Hub's client raises: which failures may pass, how long to wait for them, and what the user is told."""

import json
import random
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from pdebench_fm.errors import PdefmError

# The base of the client's own errors is that of its HTTP library, whichever it is built on: it covers what
# happens to a connection as well. Uploads fail with RuntimeError; an error page that is not JSON is a ValueError.
_HTTP_ERROR: type[Exception] = HfHubHTTPError.__bases__[0]
HUB_ERRORS: tuple[type[Exception], ...] = (_HTTP_ERROR, OSError, RuntimeError, ValueError, KeyError)
"""What calls of the Hub's client raise."""

_BUSY = (408, 409, 412, 429)  # 409 and 412: another change is going on or has just happened
_UNREACHED = ("ConnectError", "ConnectTimeout")  # in the words of the client's HTTP library
_REFUSED = re.compile(r"client error \((?!408|429)4[0-9]{2}")  # how uploads report an answer
_RATE_LIMIT = re.compile(r";\s*t=([0-9]+)")


class HubError(PdefmError):
    """The Hub refused a call or kept failing."""

    @property
    def may_pass(self) -> bool:
        """Whether it kept failing, so that the same may succeed later."""
        return self.__cause__ is not None and is_temporary(self.__cause__)


@contextmanager
def going_on() -> Iterator[None]:
    """Say of the Hub's failures within that the same command goes on from there."""
    try:
        yield
    except HubError as error:
        raise HubError(f"{error}; the same command goes on from there") from error


def explain(error: BaseException, name: str) -> str:
    """Return one line for the user about a failed call that concerns the repository `name`."""
    error = _origin(error)
    status, reason = _status(error), reason_of(error)
    login = "log in with `hf auth login` or set HF_TOKEN"
    namespace = name.split("/", maxsplit=1)[0]
    if is_unreached(error):
        return f"the Hub cannot be reached ({reason}): check the network, and HF_ENDPOINT if it is set"
    if isinstance(error, GatedRepoError):
        return f"access to {name} has to be asked for on its page ({reason}): then {login}"
    if isinstance(error, RevisionNotFoundError | EntryNotFoundError) and status == 404:
        return f"{name} has no such file or revision ({reason})"
    if status == 404 or isinstance(error, RepositoryNotFoundError):
        return f"the Hub has no {name}, or your token may not see it ({reason}): {login}"
    if status == 401:
        return f"the Hub asks for a valid token ({reason}): {login}, with write access to {namespace}"
    if status == 403:
        return f"your token may not do this ({reason}): {login}, with write access to {namespace}"
    if isinstance(error, HFValidationError):
        return f"{name!r} cannot be the name of a repository"
    if isinstance(error, OfflineModeIsEnabled):
        return f"{name} is not looked for on the Hub while HF_HUB_OFFLINE is set"
    if "xet-write-token" in reason:
        return f"the Hub failed on {name} ({reason}): one without Xet storage needs HF_HUB_DISABLE_XET=1"
    return f"the Hub failed on {name} ({reason})"


def _origin(error: BaseException) -> BaseException:
    """Return what went wrong, without what the client wraps around it."""
    if isinstance(error, RuntimeError | LocalEntryNotFoundError) and error.__cause__ is not None:
        return _origin(error.__cause__)
    return error


def is_temporary(error: BaseException) -> bool:
    """Return whether the same call may succeed a little later."""
    error = _origin(error)
    if isinstance(error, HfHubHTTPError):
        return error.response.status_code in _BUSY or error.response.status_code >= 500
    if isinstance(error, OfflineModeIsEnabled) or type(error).__name__ == "UnsupportedProtocol":
        return False
    if isinstance(error, ConnectionError | RuntimeError) and _REFUSED.search(str(error)):
        return False
    return isinstance(error, (_HTTP_ERROR, ConnectionError, TimeoutError, RuntimeError, json.JSONDecodeError))


def is_unreached(error: BaseException | None) -> bool:
    """Return whether no connection came about: the name has no address, or nobody answers there."""
    return error is not None and type(_origin(error)).__name__ in _UNREACHED


def wait_before(error: BaseException, attempt: int) -> float:
    """Return the seconds until the next attempt: growing and jittered, and never less than the Hub asks for."""
    error = _origin(error)
    backoff = 2.0 ** (attempt - 1) * random.uniform(0.75, 1.25)  # noqa: S311 (not a secret)
    headers: Mapping[str, str] = getattr(getattr(error, "response", None), "headers", {})
    asked = headers.get("retry-after", "")
    if asked.isdigit():
        return max(backoff, float(asked))
    limit = _RATE_LIMIT.search(headers.get("ratelimit", ""))
    return max(backoff, float(limit[1])) if limit and _status(error) == 429 else backoff


def _status(error: BaseException) -> int | None:
    """Return the HTTP status of an error that is an answer."""
    status: int | None = getattr(getattr(error, "response", None), "status_code", None)
    return status


def reason_of(error: BaseException) -> str:
    """Return what the Hub said, or what happened to the connection, in a few words."""
    error = _origin(error)
    status, said = _status(error), getattr(error, "server_message", None)
    text = str(said or error).strip() or type(error).__name__
    if isinstance(error, KeyError):
        text = f"an answer without {text}"
    return (f"{status}: " if status else "") + " ".join(text.split())[:300]
