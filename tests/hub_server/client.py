"""Talking to a server: the stock clients, each in a new process as they read their settings once, and plain HTTP."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from .server import HubServer


def client_environment(hub: HubServer, home: Path, token: str | None = None) -> dict[str, str]:
    """Environment variables that send ``huggingface_hub`` and ``datasets`` to the server.

    Args:
        hub: a running server.
        home: folder for caches and settings; a fresh one keeps runs apart.
        token: an access token, or none.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    settings = {
        "HOME": str(home),
        "HF_HOME": str(home / "huggingface"),
        "HF_ENDPOINT": hub.url,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        "NO_PROXY": "127.0.0.1",
    }
    return inherited | settings | ({"HF_TOKEN": token} if token else {})


def run_client(
    script: str,
    hub: HubServer,
    home: Path,
    *arguments: str,
    token: str | None = None,
    timeout: float = 180,
    offline: bool = False,
) -> Any:
    """Run a Python script in a new process with the stock clients pointed at the server.

    The script finds ``arguments`` in ``sys.argv[1:]`` and prints its result as JSON on the last line.

    Raises:
        RuntimeError: if the script fails; the message is what it wrote to standard error.
    """
    home.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env=client_environment(hub, home, token) | ({"HF_HUB_OFFLINE": "1"} if offline else {}),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    lines = done.stdout.strip().splitlines()
    return json.loads(lines[-1]) if lines else None


class Fetched(NamedTuple):
    """An answer to a plain request; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


def fetch(url: str, *, method: str = "GET", body: bytes = b"", headers: Mapping[str, str] | None = None) -> Fetched:
    """Send one request without any client library, follow redirects, and never raise because of the status."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=10)
    try:
        connection.request(method, f"{parts.path}?{parts.query}", body or None, dict(headers or {}))
        response = connection.getresponse()
        fetched = Fetched(
            response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
        )
    finally:
        connection.close()
    return fetch(fetched.headers["location"], method=method) if fetched.status == 302 else fetched
