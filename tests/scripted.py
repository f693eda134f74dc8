"""A gateway of raw sockets that answers what a test wrote down, byte for byte, and keeps what it was asked."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl

import leaks


@dataclass(frozen=True)
class Asked:
    """A request as it arrived."""

    line: str
    headers: dict[str, str]
    raw_body: bytes

    @property
    def body(self) -> dict[str, Any]:
        return json.loads(self.raw_body)


@dataclass(frozen=True)
class Pause:
    """Seconds of silence in the middle of a reply."""

    seconds: float


@dataclass(frozen=True)
class Until:
    """Silence until something has happened elsewhere, such as another model's answer."""

    event: threading.Event


@dataclass(frozen=True)
class Reset:
    """The connection breaks here, with a TCP reset."""


Piece = bytes | Pause | Until | Reset
Script = bytes | Iterable[Piece] | Callable[[Asked], bytes]


def event(data: Any) -> bytes:
    """Return one server-sent event."""
    return b"data: " + (data if isinstance(data, bytes) else json.dumps(data, ensure_ascii=False).encode()) + b"\n\n"


def delta(text: str, **choice: Any) -> bytes:
    """Return one event that adds text."""
    return event({"model": "served", "choices": [{"index": 0, "delta": {"content": text}, **choice}]})


PATIENCE = 60  # seconds, for what should come at once

DONE = b"data: [DONE]\n\n"
STOP = event({"model": "served", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
USAGE = event({"choices": [], "usage": {"prompt_tokens": 25, "completion_tokens": 100, "total_tokens": 125}})


def answer(*pieces: Piece) -> list[Piece]:
    """Return the reply whose body streams these pieces until the connection closes."""
    return [reply(200, content_type="text/event-stream"), *pieces]


def whole(*texts: str) -> list[Piece]:
    """Return the reply of a healthy stream."""
    return answer(*(delta(text) for text in texts), STOP, USAGE, DONE)


def chunked(*pieces: bytes, whole: bool = True) -> list[Piece]:
    """Return the reply that streams these pieces as HTTP chunks; one that is not ``whole`` lacks the last one."""
    sizes = (f"{len(piece):x}\r\n".encode() for piece in pieces)
    chunks = (size + piece + b"\r\n" for size, piece in zip(sizes, pieces, strict=True))
    head = reply(200, content_type="text/event-stream", Transfer_Encoding="chunked")
    return [head, *chunks, *([b"0\r\n\r\n"] if whole else [])]


def reply(
    status: int, body: bytes | dict[str, Any] = b"", content_type: str = "application/json", **headers: str
) -> bytes:
    """Return a response, with a length when it has a body and open-ended when it streams."""
    payload = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    lines = [
        f"HTTP/1.1 {status} Said",
        f"Content-Type: {content_type}",
        "x-oneapi-request-id: req-1",
        "Connection: close",
    ]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if "event-stream" not in content_type:
        lines.append(f"Content-Length: {len(payload)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + payload


def forwarding(base_url: str) -> Callable[[Asked], bytes]:
    """Return the script that lets another gateway answer, so that what that was asked is kept here."""

    def script(asked: Asked) -> bytes:
        method, path, _ = asked.line.split(" ")
        url = base_url + path.removeprefix("/v1")
        request = urllib.request.Request(url, asked.raw_body or None, method=method)
        for name in ("authorization", "content-type"):
            request.add_header(name, asked.headers.get(name, ""))
        try:
            with _NO_PROXY.open(request, timeout=PATIENCE) as response:
                status, body, theirs = response.status, response.read(), response.headers
        except urllib.error.HTTPError as refused:
            status, body, theirs = refused.code, refused.read(), refused.headers
        ours = {name: value for name, value in theirs.items() if name.lower().startswith("x-")}
        return reply(status, body, theirs.get("Content-Type", ""), **ours)

    return script


_NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ScriptedGateway:
    """Plays one script a request, in order; the last one again for any further request.

    ``by_model`` has scripts for the requests to one model, in the same way; those to "" are for requests without a
    body. With ``tls`` it is a proxy, too, and answers in the place of whatever host it is asked to connect to.
    """

    def __init__(
        self,
        scripts: list[Script],
        by_model: dict[str, list[Script]] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.scripts = scripts
        self._tls = tls
        self._by_model = {model: iter([*theirs, *repeat(theirs[-1], 99)]) for model, theirs in (by_model or {}).items()}
        self.asked: list[Asked] = []
        self.arrived = threading.Event()
        self.closed_by_client = threading.Event()
        self.closed: list[float] = []  # when clients hung up, by the clock (time.time)
        self._lock = threading.Lock()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.base_url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"
        self._stopping = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._stopping.set()
        self._socket.close()
        for asked in self.asked:  # the key must be nowhere but in its header
            leaks.look(asked.line, leaks.outside_its_header(asked))

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [asked.body for asked in self.asked if asked.line.startswith("POST")]

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._play, args=(connection,), daemon=True).start()

    def _play(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            line = stream.readline().decode("latin-1").strip()
            if not line:
                return
            headers = {}
            while header := stream.readline().decode("latin-1").strip():
                name, _, value = header.partition(":")
                headers[name.lower()] = value.strip()
            if line.startswith("CONNECT ") and self._tls is not None:
                connection.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
                with suppress(OSError):  # the client does not trust our certificate
                    self._play(self._tls.wrap_socket(connection, server_side=True))
                return
            body = stream.read(int(headers.get("content-length", 0)))
            asked = Asked(line, headers, body)
            script = self._script(asked)
            script = script(asked) if callable(script) else script
            try:
                self._send(connection, [script] if isinstance(script, bytes) else script)
            except OSError:
                self.closed.append(time.time())
                self.closed_by_client.set()

    def _script(self, asked: Asked) -> Script:
        with self._lock:
            number = len(self.asked)
            self.asked.append(asked)
            self.arrived.set()
            model = asked.body["model"] if asked.raw_body else ""
            if model in self._by_model:
                return next(self._by_model[model])
            return self.scripts[min(number, len(self.scripts) - 1)]

    def _send(self, connection: socket.socket, script: Iterable[Piece]) -> None:
        for piece in script:
            if isinstance(piece, Pause):
                self._wait(connection, piece.seconds)
            elif isinstance(piece, Until):
                self._wait(connection, PATIENCE, piece.event)
            elif isinstance(piece, Reset):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            else:
                connection.sendall(piece)

    def _wait(self, connection: socket.socket, seconds: float, event: threading.Event | None = None) -> None:
        """Stay silent, but notice when the client hangs up."""
        connection.settimeout(min(0.02, seconds))
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self._stopping.is_set() and not (event and event.is_set()):
            try:
                if connection.recv(1) == b"":
                    raise ConnectionResetError
            except TimeoutError:
                continue
        connection.settimeout(None)


@contextmanager
def scripted(
    *scripts: Script, tls: ssl.SSLContext | None = None, **by_model: list[Script]
) -> Iterator[ScriptedGateway]:
    """Serve scripts for the length of a block; by name those for the requests to a model."""
    gateway = ScriptedGateway(list(scripts), by_model, tls)
    try:
        yield gateway
    finally:
        gateway.close()


@dataclass(frozen=True)
class Doors:
    """Addresses (host and port) behind which no gateway is; ``knocks`` grows with the callers at ``mail``."""

    closed: str
    full: str
    mail: str
    knocks: list[str]


@contextmanager
def doors() -> Iterator[Doors]:
    """Open a port that takes nobody in, and one where a mail server greets; a third stays closed."""
    knocks: list[str] = []
    full, mail = socket.create_server(("127.0.0.1", 0), backlog=0), socket.create_server(("127.0.0.1", 0))
    waiting = [socket.socket() for _ in range(3)]  # more than the queue holds, so that the next has to wait outside
    for caller in waiting:
        caller.setblocking(False)
        caller.connect_ex(full.getsockname())

    def greet() -> None:
        with suppress(OSError):  # closed below
            while True:
                connection, caller = mail.accept()
                knocks.append(str(caller))
                with connection:
                    connection.sendall(b"220 mail.example ESMTP\r\n")
                    connection.shutdown(socket.SHUT_WR)

    threading.Thread(target=greet, daemon=True).start()
    try:
        full_at, mail_at = (f"127.0.0.1:{door.getsockname()[1]}" for door in (full, mail))
        yield Doors("127.0.0.1:9", full_at, mail_at, knocks)
    finally:
        for door in (*waiting, full, mail):
            door.close()
