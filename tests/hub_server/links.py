"""Signed links to the file storage: whoever holds one needs no token, but only until it expires."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time


class LinkSigner:
    """Signs a method and path and checks the signature.

    Args:
        seconds: how long a link is good for.
    """

    def __init__(self, seconds: float):
        self._seconds = seconds
        self._key = secrets.token_bytes(32)

    def sign(self, method: str, path: str) -> str:
        """The path with its signature as query."""
        expires = f"{time.time() + self._seconds:.3f}"
        return f"{path}?expires={expires}&signature={self._digest(method, path, expires)}"

    def allows(self, method: str, path: str, expires: str, signature: str) -> bool:
        """Whether the signature is right and the link not yet too old."""
        expected = self._digest(method, path, expires)
        return hmac.compare_digest(expected, signature) and float(expires) > time.time()

    def _digest(self, method: str, path: str, expires: str) -> str:
        return hmac.new(self._key, f"{method} {path} {expires}".encode(), hashlib.sha256).hexdigest()
