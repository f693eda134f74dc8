"""The demo gateway's HTTP: on loopback only, kept-alive connections, chunked streams, a realistic pace."""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import TYPE_CHECKING, Any, Self

from . import answers, features, models, structured, tools
from .completion import Completion
from .protocol import BYTES_PER_TOKEN, Calling, Ending, Message, Refusal, RefusedError, encode
from .request import ChatRequest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

__all__ = ["DemoGateway"]

FIRST_TOKEN_SECONDS = 0.4
TOKENS_PER_SECOND = 80
BYTES_PER_SECOND = TOKENS_PER_SECOND * BYTES_PER_TOKEN


class DemoGateway:
    """A running gateway on this machine that calls no model; also a context manager that stops it.

    Examples
    --------
    >>> with DemoGateway.start(pace=0) as gateway:
    ...     gateway.base_url.startswith("http://127.0.0.1:")
    True
    """

    def __init__(self, server: _Server) -> None:
        self._server = server
        self.base_url = f"http://127.0.0.1:{server.server_address[1]}/v1"

    @classmethod
    def start(cls, port: int = 0, pace: float = 1.0) -> DemoGateway:
        """Listen on a port of 127.0.0.1 and answer in daemon threads.

        Parameters
        ----------
        port
            0 takes any free one.
        pace
            1 is realistic: 0.4 s to the first token, then 80 tokens a second; 2 is twice as slow; 0 does not wait.
        """
        server = _Server(port, pace)
        threading.Thread(target=server.serve_forever, args=(0.1,), name="mixroute-demo", daemon=True).start()
        return cls(server)

    def stop(self) -> None:
        """Stop listening and drop the open connections."""
        self._server.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class _Server(ThreadingTCPServer):
    """Not an HTTPServer, which looks up the host's name in DNS as it binds: seconds, on some machines offline."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, pace: float) -> None:
        self.pace = pace
        self.stopping = threading.Event()
        self.rate_limited: set[tuple[Message, ...]] = set()
        self._connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Exchange)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection and remember it, so that `stop` can end it."""
        connection, address = super().get_request()
        self._connections.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        self._connections.discard(request)
        super().shutdown_request(request)

    def stop(self) -> None:
        """End the loop, the listening socket and each connection."""
        self.stopping.set()
        self.shutdown()
        self.server_close()
        for connection in self._connections.copy():
            with contextlib.suppress(OSError):  # its own thread was faster
                connection.shutdown(socket.SHUT_RDWR)


class _Exchange(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    server: _Server
    protocol_version = "HTTP/1.1"
    server_version = "mixroute-demo"
    sys_version = ""
    disable_nagle_algorithm = True
    request_id = ""

    def handle(self) -> None:
        """Answer until the client goes away, which it may do at any time."""
        with contextlib.suppress(ConnectionError):
            super().handle()

    def handle_one_request(self) -> None:
        """Give the request its id first: whatever becomes of it, the response carries one."""
        self.request_id = time.strftime("%Y%m%d%H%M%S") + secrets.token_hex(8)
        super().handle_one_request()

    def do_GET(self) -> None:
        """Answer the list of models."""
        if self._route() == "/v1/models":
            self._send_json(200, models.to_wire())
        else:
            self._refuse(self._invalid_url())

    def do_POST(self) -> None:
        """Answer a chat completion."""
        body = self._body()
        if self._route() != "/v1/chat/completions":
            self._refuse(self._invalid_url())
            return
        try:
            request = ChatRequest.from_wire(body)
            models.check(request)
            features.check(request)
            self._check_failures(request)
        except RefusedError as error:
            self._refuse(error.refusal)
            return
        completion = self._complete(request)
        if request.stream:
            self._stream(completion, with_usage=request.wants_usage)
        else:
            self._send_whole(completion)

    def end_headers(self) -> None:
        """Mark every response as the demo's."""
        self.send_header("x-mixroute-demo", "true")
        self.send_header("x-oneapi-request-id", self.request_id)
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing: the terminal, or the cell, is somebody else's."""

    def _route(self) -> str:
        return self.path.partition("?")[0]

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            self.close_connection = True  # where the body ends, and the next request begins, is unknown
            return b""
        return self.rfile.read(int(length))

    def _invalid_url(self) -> Refusal:
        return Refusal(404, f"Invalid URL ({self.command} {self._route()})", type="invalid_request_error")

    def _check_failures(self, request: ChatRequest) -> None:
        """Refuse for the models that do so on purpose; with a Retry-After, every other time."""
        refusal = models.REFUSALS.get(request.model)
        if refusal is None:
            return
        if refusal.retry_after is not None:
            if request.messages in self.server.rate_limited:
                self.server.rate_limited.discard(request.messages)
                return
            self.server.rate_limited.add(request.messages)
        raise RefusedError(refusal)

    def _complete(self, request: ChatRequest) -> Completion:
        reasons = request.thinks and request.model in models.REASONING_SHOWN | models.REASONING_HIDDEN
        calling = models.CALLINGS.get(request.model, Calling())
        calls = tools.calls_for(request, signed=features.signs_calls(request.model), again=calling.again)
        text = structured.answer(request) if structured.is_wanted(request) else answers.answer(request)
        return Completion.of(
            request,
            self.request_id,
            "" if calls else text,
            answers.reasoning(request) if reasons else "",
            models.ENDINGS.get(request.model, Ending()),
            reasoning_shown=request.model in models.REASONING_SHOWN,
            calls=calls,
            calling=calling,
        )

    def _stream(self, completion: Completion, *, with_usage: bool) -> None:
        ending = completion.ending
        self._wait(FIRST_TOKEN_SECONDS + completion.hidden / TOKENS_PER_SECOND)
        self._start_stream()
        for delta in completion.deltas():
            self._send_event(completion.chunk(delta))
            self._wait(completion.size(delta) / BYTES_PER_SECOND)
        if ending.finish_reason:
            self._send_event(completion.chunk({}, completion.finish_reason))
            if with_usage:
                self._send_event(completion.usage_chunk())
        elif ending.error:
            self._send_event(ending.error.to_wire(self.request_id))
        else:
            self.close_connection = True  # in the middle: no last chunk tells the client that this was all
            return
        self._send_data("[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def _send_whole(self, completion: Completion) -> None:
        usage = completion.usage()
        self._wait(FIRST_TOKEN_SECONDS + usage["completion_tokens"] / TOKENS_PER_SECOND)
        ending = completion.ending
        if ending.finish_reason:
            self._send_json(200, completion.to_wire())
        elif ending.error:
            self._refuse(ending.error)
        else:
            self.close_connection = True

    def _start_stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-cache")
        self.send_header("X-Accel-Buffering", "no")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _send_event(self, data: Mapping[str, Any]) -> None:
        self._send_data(json.dumps(data, ensure_ascii=False))

    def _send_data(self, data: str) -> None:
        event = encode(f"data: {data}\n\n")
        self.wfile.write(b"%x\r\n%b\r\n" % (len(event), event))

    def _refuse(self, refusal: Refusal) -> None:
        headers = {} if refusal.retry_after is None else {"Retry-After": str(refusal.retry_after)}
        if refusal.page:
            self._send(refusal.status, "text/html", refusal.page)
        else:
            self._send_json(refusal.status, refusal.to_wire(self.request_id), headers)

    def _send_json(self, status: int, data: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        self._send(status, "application/json; charset=utf-8", json.dumps(data, ensure_ascii=False), headers)

    def _send(self, status: int, content_type: str, text: str, headers: Mapping[str, str] | None = None) -> None:
        body = encode(text)
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _wait(self, seconds: float) -> None:
        if self.server.pace and self.server.stopping.wait(seconds * self.server.pace):
            raise ConnectionAbortedError
