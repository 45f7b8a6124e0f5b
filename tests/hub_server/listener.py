"""A listening socket: read a request, let a route answer it, write the answer, and note it in the log."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from .accounts import UnknownTokenError
from .context import Route
from .messages import CHUNK_BYTES, Answer, Body, Refusal, Request, captured
from .ranges import Slice, requested_slice

if TYPE_CHECKING:
    from .server import HubServer


@dataclass(frozen=True)
class RecordedRequest:
    """One line of the server's log.

    Attributes:
        method: the HTTP method.
        path: the path with its query, still quoted.
        status: what the client was told; ``None`` if the connection was dropped without an answer.
        bytes_received: length of the request's body.
        user: whose token came with it.
        headers: the request's headers, names in lower case.
        on_storage: whether it went to the file storage instead of the Hub itself.
    """

    method: str
    path: str
    status: int | None
    bytes_received: int
    user: str | None
    headers: Mapping[str, str]
    on_storage: bool


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # header and body are two small writes; without this each answer takes 40 ms
    server: Listener

    def _serve(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request.parse(self.command, self.path, headers, Body(self.rfile, headers))
        fault = self.server.faults.take(self.command, self.path)
        answer: Answer | None = None
        if fault is None or fault.drop in ("midway", "after"):
            request, answer = self.server.answer(request)
        elif fault.status is not None:
            retry = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
            answer = Refusal(fault.status, "an injected fault", headers=retry).answer()
        request.body.drain()
        if answer is None or (fault is not None and fault.drop == "after"):
            self.server.record(request, self.path, None)
            self.close_connection = True
            return
        answer, part = requested_slice(answer, headers.get("range"))
        self.server.record(request, self.path, answer)
        self._send(answer, part, stop_midway=fault is not None and fault.drop == "midway")

    def _send(self, answer: Answer, part: Slice, *, stop_midway: bool) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(part.length))
        self.end_headers()
        if self.command != "HEAD":
            self._send_body(answer, replace(part, length=part.length // 2) if stop_midway else part)
        if stop_midway:
            self.close_connection = True

    def _send_body(self, answer: Answer, part: Slice) -> None:
        if isinstance(answer.body, bytes):
            self.wfile.write(answer.body[part.start : part.start + part.length])
            return
        with answer.body.open("rb") as file:
            file.seek(part.start)
            left = part.length
            while left:
                chunk = file.read(min(CHUNK_BYTES, left))
                self.wfile.write(chunk)
                left -= len(chunk)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve

    def log_message(self, *_: Any) -> None:
        """Stay quiet; the log is ``HubServer.requests``."""


class Listener(ThreadingHTTPServer):
    """One socket with its routes; notices exceptions in its threads and closes its connections at the end."""

    daemon_threads = True

    def __init__(self, hub: HubServer, routes: list[Route], *, is_storage: bool):
        super().__init__(("127.0.0.1", 0), _Handler)
        self._hub = hub
        self.routes = routes
        self._is_storage = is_storage
        self._connections: set[socket.socket] = set()
        self._connections_lock = threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.faults = hub.faults
        self._thread.start()

    @property
    def url(self) -> str:
        """The address without a slash at the end."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, request: Request) -> tuple[Request, Answer]:
        """The answer, and the request with what was found out about it."""
        try:
            if not self._is_storage:
                request = replace(
                    request, account=self._hub.accounts.authenticate(request.headers.get("authorization"))
                )
                request.body.read()  # before the lock: a slow upload must not stop others
            return request, self._routed(request)
        except Refusal as refusal:
            return request, refusal.answer()
        except UnknownTokenError:
            return request, Refusal(401, "Invalid credentials in Authorization header").answer()

    def _routed(self, request: Request) -> Answer:
        for route in self.routes:
            match = route.pattern.fullmatch(request.path)
            if match and route.method == request.method:
                request = replace(request, captures=captured(match))
                if self._is_storage:
                    return route.answer(self._hub.context, request)
                with self._hub.lock:
                    return route.answer(self._hub.context, request)
        raise Refusal(404, f"this server has no {request.method} {request.path}")

    def record(self, request: Request, target: str, answer: Answer | None) -> None:
        """Log a request, before its answer goes out."""
        entry = RecordedRequest(
            method=request.method,
            path=target,
            status=answer.status if answer else None,
            bytes_received=request.body.received,
            user=request.account.name if request.account else None,
            headers=request.headers,
            on_storage=self._is_storage,
        )
        self._hub.log(entry)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection."""
        with self._connections_lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget the connection."""
        with self._connections_lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, *_: Any) -> None:
        """Clients may hang up; anything else is this server's mistake and is reported when it stops."""
        error = sys.exception()
        if error is not None and not isinstance(error, ConnectionError):
            self._hub.mistakes.append(error)

    def stop(self) -> None:
        """Take no more connections and end those that idle."""
        self.shutdown()
        self._thread.join()
        self.server_close()
        with self._connections_lock:
            for connection in self._connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # the other side was faster
