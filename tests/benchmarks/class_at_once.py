"""A class that runs the same cell at once, behind one gateway with one shared rate limit.

Run by hand: ``.venv/bin/python tests/benchmarks/class_at_once.py [--clients 200] [--limit 120] [--window 10]``. Each
client is a `Client` of its own in a thread; the limit is one of so many requests in each window of so many seconds, and
a refusal (429) says in its ``Retry-After`` when the next window begins, in whole seconds, as gateways do.

Requests per answer can be no fewer than one, and one more for each client that its own window had no room for: with a
limit of 120, 200 clients that ask within one window need 1.4, whatever they do.
"""

from __future__ import annotations

import argparse
import json
import math
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from mixroute_magic import Client, MixRouteError

if TYPE_CHECKING:
    from collections.abc import Iterator

BAR = 60  # characters


@dataclass
class Limit:
    """So many requests in a window, for all clients together; a window begins with its first request."""

    most: int
    window: float
    arrivals: list[tuple[float, bool]] = field(default_factory=list)  # when, and whether it was served
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _end: float = 0.0
    _served: int = 0

    def admit(self) -> int:
        """Return 0 for a request that is served, else the seconds until there is room."""
        with self._lock:
            now = time.monotonic()
            if now >= self._end:
                self._end, self._served = now + self.window, 0
            served = self._served < self.most
            self._served += served
            self.arrivals.append((now, served))
            return 0 if served else math.ceil(self._end - now)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512  # a class connects at once


@contextmanager
def gateway(limit: Limit) -> Iterator[str]:
    """Serve an echo of each question behind the limit, and return the address."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["messages"][0]["content"]
            if seconds := limit.admit():
                self._send(429, b"", "application/json", Retry_After=str(seconds))
                return
            pieces = [{"delta": {"content": f"{question}!"}}, {"delta": {}, "finish_reason": "stop"}]
            events = [f"data: {json.dumps({'choices': [piece]})}\n\n" for piece in pieces]
            self._send(200, "".join([*events, "data: [DONE]\n\n"]).encode(), "text/event-stream")

        def _send(self, status: int, body: bytes, content_type: str, **headers: str) -> None:
            self.send_response(status)
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            for name, value in {"Content-Type": content_type, "Content-Length": str(len(body)), **named}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = _Server(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class Ran:
    """What came of a class: whose answer was right, what the others were told, and how long each waited when."""

    clients: int
    limit: Limit
    right: int = 0
    errors: list[str] = field(default_factory=list)
    waits: list[list[float]] = field(default_factory=list)  # of each client, as it was told

    @property
    def requests_per_answer(self) -> float:
        return len(self.limit.arrivals) / max(1, self.right)

    @property
    def first_waits(self) -> list[float]:
        """How long those who were refused were told to wait at first."""
        return [waits[0] for waits in self.waits if waits]


def ask_at_once(clients: int, limit: Limit, **settings: Any) -> Ran:
    """Let so many clients ask at the same moment, each its own question, and wait for all of them."""
    ran = Ran(clients, limit)
    ready, lock = threading.Barrier(clients), threading.Lock()

    def ask(number: int, base_url: str) -> None:
        waits: list[float] = []
        with Client(base_url, "sk-class-key", **settings) as client:
            ready.wait()
            question = [{"role": "user", "content": f"question {number}"}]
            told, text = "", ""
            try:
                chunks = client.stream(question, model="glm-5", on_retry=lambda _, seconds: waits.append(seconds))
                text = "".join(chunk.text for chunk in chunks)
            except MixRouteError as error:
                told = str(error)
        with lock:
            ran.waits.append(waits)
            ran.right += text == f"question {number}!"
            ran.errors += [told] if told else []

    with gateway(limit) as base_url:
        threads = [threading.Thread(target=ask, args=(number, base_url)) for number in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return ran


def show(ran: Ran) -> None:
    arrivals = sorted(ran.limit.arrivals)
    begun = arrivals[0][0]
    served = Counter(int(when - begun) for when, ok in arrivals if ok)
    refused = Counter(int(when - begun) for when, ok in arrivals if not ok)
    print(f"{ran.clients} clients, {ran.limit.most} requests every {ran.limit.window:g} s for all of them together\n")
    print("second  requests served (#) and refused (.)")
    scale = max(1, max((served + refused).values()) / BAR)
    for second in sorted(served | refused):
        bar = "#" * math.ceil(served[second] / scale) + "." * math.ceil(refused[second] / scale)
        print(f"{second:>6}  {served[second]:>4} {refused[second]:>4}  {bar}")
    first = sorted(ran.first_waits)
    print(f"\nserved                 {ran.right} of {ran.clients}; errors: {dict(Counter(ran.errors)) or 'none'}")
    print(f"requests               {len(arrivals)}, {ran.requests_per_answer:.2f} per answer")
    print(
        f"least possible         {1 + max(0, ran.clients - ran.limit.most) / ran.clients:.2f} per answer, of one window"
    )
    if first:
        print(f"refused at first       {len(first)}, told to wait {first[0]:.1f} to {first[-1]:.1f} s")
    print(f"longest wait in all    {max(map(sum, ran.waits)):.1f} s, over {max(map(len, ran.waits))} refusals")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--limit", type=int, default=120, help="requests in each window")
    parser.add_argument("--window", type=float, default=10.0, help="seconds")
    parser.add_argument("--retries", type=int, default=2)
    arguments = parser.parse_args()
    limit = Limit(arguments.limit, arguments.window)
    show(ask_at_once(arguments.clients, limit, retries=arguments.retries))


if __name__ == "__main__":
    main()
