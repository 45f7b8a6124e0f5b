"""A built site shown to browsers of this machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.leaderboard.site.build import site_files

_HOST = "127.0.0.1"


@contextmanager
def serving(site: Path, port: int) -> Iterator[tuple[ThreadingHTTPServer, str]]:
    """Open a server of a site, for the time of this context.

    It gives out what the build wrote and nothing else that lies in the folder.

    Args:
        site: the folder that `build_site` wrote.
        port: of this machine; 0 takes a free one.

    Yields:
        The server, which `serve_forever` lets answer, and its address.

    Raises:
        UsageError: if the folder is no site.
        PdefmError: if the port cannot be had.
    """
    site_files(site)
    try:
        server = ThreadingHTTPServer((_HOST, port), partial(_Handler, site))
    except OSError as error:
        raise PdefmError(f"cannot serve on port {port}: {error.strerror or error}") from error
    with server:
        yield server, f"http://{_HOST}:{server.server_address[1]}/"


class _Handler(SimpleHTTPRequestHandler):
    """Answers for the files of the site, quietly."""

    def __init__(self, site: Path, *arguments: Any) -> None:
        self._site = site
        super().__init__(*arguments, directory=str(site))

    def send_head(self) -> Any:
        """Return the file that is asked for; a folder's is its index."""
        path = unquote(urlsplit(self.path).path)
        if not {path, f"{path}index.html"} & self._known():
            self.send_error(HTTPStatus.NOT_FOUND, "The site has no such file")
            return None
        return super().send_head()

    def _known(self) -> set[str]:
        """Return the paths of the site as it is now: it may have been built again."""
        try:
            return {f"/{path}" for path in site_files(self._site)}
        except UsageError:
            return set()

    def log_message(self, *_: Any) -> None:
        """Say nothing: the terminal shows the address."""
