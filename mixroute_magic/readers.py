"""The threads that read answers side by side, and the one queue on which they put what comes."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from mixroute_magic.wire import Chunk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mixroute_magic.chat import Answer
    from mixroute_magic.gateway.client import Client
    from mixroute_magic.wire import Request

__all__ = ["End", "News", "Readers", "Retry"]

_LISTEN = 0.5  # seconds; Windows lets an interrupt through only between two waits
_LEAVE = 1.0  # seconds for cancelled threads to end: only one that looks up a host's address takes longer


@dataclass(frozen=True, slots=True)
class Retry:
    """A request will be sent again, once this was ``noted``: by then it is in the ledger."""

    error: Exception
    seconds: float
    noted: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, slots=True)
class End:
    """Nothing more will come; ``at`` a moment of the monotonic clock."""

    failure: BaseException | None = None
    at: float = field(default_factory=time.monotonic)


News = Chunk | Retry | End


class Readers:
    """The threads, and the queue on which they put what comes, each with the number of its column."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[tuple[int, News]] = SimpleQueue()
        self._threads: dict[int, threading.Thread] = {}
        self._reading: set[int] = set()
        self._clients: list[Client] = []
        self._stopped = threading.Event()

    def start(self, number: int, answer: Answer, client: Client | None, request: Request) -> None:
        """Begin to read an answer."""
        self._reading.add(number)
        if client is not None and client not in self._clients:
            self._clients.append(client)
        thread = threading.Thread(
            target=self._read, args=(number, answer, request), name=f"mixroute-answer-{number}", daemon=True
        )
        self._threads[number] = thread
        thread.start()

    def news(self) -> Iterator[tuple[int, News]]:
        """Yield what comes, until all answers have ended; for one that goes on then, `start` has to be called again."""
        while self._reading:
            try:
                number, news = self._queue.get(timeout=_LISTEN)
            except Empty:
                continue
            if isinstance(news, End):
                self._reading.discard(number)
            yield number, news

    def stop(self) -> None:
        """End what is still being read, and close all connections."""
        self._stopped.set()
        for client in self._clients:
            client.cancel()
        until = time.monotonic() + _LEAVE
        for thread in self._threads.values():
            if thread.ident is not None:
                thread.join(max(0.0, until - time.monotonic()))
        for client in self._clients:
            client.close()

    def _read(self, number: int, answer: Answer, request: Request) -> None:
        try:
            with closing(answer(request, lambda *why: self._retry(number, Retry(*why)))) as chunks:
                for chunk in chunks:
                    self._queue.put((number, chunk))
                    if self._stopped.is_set():
                        break
        except BaseException as error:  # noqa: BLE001 - the main thread raises it, or shows it in the column
            self._queue.put((number, End(error)))
        else:
            self._queue.put((number, End()))

    def _retry(self, number: int, news: Retry) -> None:
        """Tell that a request will be sent again, and wait until that is in the ledger."""
        self._queue.put((number, news))
        while not news.noted.wait(_LISTEN) and not self._stopped.is_set():
            pass
