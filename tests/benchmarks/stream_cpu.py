"""CPU of `Client.stream` for each event, as a multiple of a bare socket reader with ``json.loads``.

Run by hand: ``.venv/bin/python tests/benchmarks/stream_cpu.py``. Both readers run in fresh processes against the same
server process, in turns, so that only the ratio counts and not the machine.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time

EVENTS = 20_000
ROUNDS = 5
REQUEST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"


def event(text: str, finish_reason: str | None = None) -> bytes:
    """Return an event of the usual size, about 300 bytes."""
    chunk = {
        "id": "chatcmpl-" + "0" * 24,
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "glm-5",
        "system_fingerprint": "fp_" + "0" * 20,
        "choices": [{"index": 0, "delta": {"content": text}, "logprobs": None, "finish_reason": finish_reason}],
    }
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def serve() -> None:
    """Answer every request with the same stream, until killed; the port is the first line printed."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    body = head + event(" word") * EVENTS + event("", "stop") + b"data: [DONE]\n\n"
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        while True:
            connection, _ = server.accept()
            with connection:
                while not connection.recv(65536).endswith(b"}"):
                    pass
                connection.sendall(body)
                connection.shutdown(socket.SHUT_WR)
                connection.recv(65536)


def read_raw(port: int) -> int:
    """Read the events as barely as can be, and return how many there were."""
    with socket.create_connection(("127.0.0.1", port)) as connection, connection.makefile("rb") as stream:
        connection.sendall(REQUEST)
        events = (json.loads(line[6:]) for line in stream if line.startswith(b"data: {"))
        return len([event["choices"][0]["delta"]["content"] for event in events])


def read_client(port: int) -> int:
    """Read the events through `Client.stream`, and return how many there were."""
    from mixroute_magic import Client

    client = Client(f"http://127.0.0.1:{port}", "sk-test-key-of-the-length-that-real-ones-have-51-chars")
    chunks = client.stream([{"role": "user", "content": "x"}], model="glm-5")
    return sum(bool(chunk.text or chunk.finish_reason) for chunk in chunks)


READERS = {"raw": read_raw, "client": read_client}


def measure(reader: str, port: int) -> float:
    """Return the CPU seconds of one reading in a fresh process; imports and a first request are not counted."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    command = [sys.executable, __file__, reader, str(port)]
    return float(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


def ratio(rounds: int = ROUNDS) -> float:
    """Return the least of the pairs' ratios: what disturbs one side of a pair is not the code."""
    with subprocess.Popen([sys.executable, __file__, "serve"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        try:
            return min(measure("client", port) / measure("raw", port) for _ in range(rounds))
        finally:
            server.kill()


def main(task: str = "", port: str = "0") -> None:
    if task == "serve":
        serve()
    elif task:
        read = READERS[task]
        read(int(port))
        begun = time.process_time()
        assert read(int(port)) == EVENTS + 1
        print(time.process_time() - begun)
    else:
        print(f"Client.stream takes {ratio():.2f} times the CPU of a raw reader, for each of {EVENTS:,} events.")


if __name__ == "__main__":
    main(*sys.argv[1:])
