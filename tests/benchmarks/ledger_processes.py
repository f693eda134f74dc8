"""Many processes that write to one ledger at once: nothing lost, sums exact, also where they are killed at random.

``python tests/benchmarks/ledger_processes.py [URL] [--processes 32] [--requests 200]`` prints what was found, and the
time that one write takes with 1, 8 and so many processes. Without a URL it is a private SQLite file, as in a notebook.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import signal
import statistics
import tempfile
import time
import uuid
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import case, create_engine, func, select

from mixroute_magic.reply import Reply
from mixroute_magic.usage.ledger import Ledger
from mixroute_magic.usage.schema import REQUESTS
from mixroute_magic.wire import Usage

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess
    from multiprocessing.synchronize import Event

# What a server has imported need not be imported by each of 32.
_FORK = multiprocessing.get_context("forkserver")
_FORK.set_forkserver_preload(["mixroute_magic.usage.ledger", "mixroute_magic.usage.schema", "jupyter_core.paths"])


def counts(number: int) -> tuple[int, int]:
    """Return the tokens of a request, by its number: another sum for each."""
    return 10 + number, 3 * number


@dataclass(frozen=True, slots=True)
class Found:
    """What the ledger says of one run: rows by status, input and output tokens of the complete ones."""

    statuses: Counter[str]
    tokens: tuple[int, int]
    warnings: list[str]
    writes: list[float]  # seconds each, where nobody was killed
    seconds: float
    begun: int  # requests of which a process could still say that their row is there
    missing: int  # of those, and of the finished ones, rows that are not there, or not finished

    def __str__(self) -> str:
        lines = [f"rows {dict(self.statuses)}, tokens {self.tokens}, warnings {len(self.warnings)}"]
        lines.append(f"begun and told {self.begun}, of which missing {self.missing}; {self.seconds:.1f} s")
        if self.writes:
            *_, p99 = statistics.quantiles(self.writes, n=100)
            median = statistics.median(self.writes)
            rate = len(self.writes) / self.seconds
            lines.append(f"{rate:,.0f} writes/s, p50 {median * 1e3:.1f} ms, p99 {p99 * 1e3:.1f} ms")
        return "\n".join(lines)


def _work(where: tuple[str | None, str], session: str, requests: int, go: Event, told: Connection) -> None:
    """Make requests, and tell of each write that it is done."""
    url, os.environ["JUPYTER_DATA_DIR"] = where
    ledger = Ledger(url, session=session, warn=lambda text: told.send(("warned", text)))
    ledger.read(lambda _connection: True)  # opens it
    told.send(("ready", ""))
    go.wait()
    for number in range(requests):
        started = time.perf_counter()
        entry = ledger.begin(model="glm-5", gateway="localhost", thread="main", notebook=None)
        told.send(("begun", entry, time.perf_counter() - started))
        reply = Reply("", "glm-5", usage=Usage(*counts(number), source="reported"), finish_reason="stop")
        started = time.perf_counter()
        ledger.finish(entry, status="complete", reply=reply)
        told.send(("finished", entry, time.perf_counter() - started))
    ledger.close()
    told.close()


def run(url: str | None, *, processes: int, requests: int, kill: bool = False) -> Found:
    """Let processes write to a ledger at once; with ``kill`` each is killed at some moment."""
    go, run_id, folder = _FORK.Event(), uuid.uuid4().hex, os.environ.get("JUPYTER_DATA_DIR", "")
    pipes, workers = [], []
    for number in range(processes):
        ours, theirs = _FORK.Pipe(duplex=False)
        worker = _FORK.Process(target=_work, args=((url, folder), f"{run_id}-{number}", requests, go, theirs))
        worker.start()
        theirs.close()
        pipes.append(ours)
        workers.append(worker)
    for pipe in pipes:
        assert pipe.recv()[0] == "ready"
    started = time.perf_counter()
    go.set()
    told = _listen(pipes, workers if kill else [], 4 / requests)
    seconds = time.perf_counter() - started
    for worker in workers:
        worker.join()
    return _found(url, run_id, told, seconds, kill=kill)


def _listen(pipes: list[Connection], victims: list[BaseProcess], chance: float) -> list[tuple[object, ...]]:
    """Return what the processes tell until they have ended, and kill victims, by ``chance`` at each thing told."""
    told: list[tuple[object, ...]] = []
    open_pipes, victims = list(pipes), random.sample(victims, len(victims))
    while open_pipes:
        for pipe in multiprocessing.connection.wait(open_pipes):
            try:
                told.append(pipe.recv())
            except (EOFError, OSError):
                open_pipes.remove(pipe)
            if victims and random.random() < chance:
                os.kill(victims.pop().pid or 0, signal.SIGKILL)
    return told


def _found(url: str | None, run_id: str, told: list[tuple[object, ...]], seconds: float, *, kill: bool) -> Found:
    engine = create_engine(url or f"sqlite:///{Path(os.environ['JUPYTER_DATA_DIR'], 'mixroute', 'ledger.sqlite')}")
    column, mine = REQUESTS.c, REQUESTS.c.session.like(f"{run_id}-%")
    with engine.connect() as connection:
        rows = {row.id: row.status for row in connection.execute(select(column.id, column.status).where(mine))}
        complete = [func.sum(case((column.status == "complete", column[name]), else_=0)) for name in _TOKENS]
        tokens = connection.execute(select(*complete).where(mine)).one()
    engine.dispose()
    begun = {entry for what, entry, *_ in told if what == "begun"}
    finished = {entry for what, entry, *_ in told if what == "finished"}
    return Found(
        statuses=Counter(rows.values()),
        tokens=(int(tokens[0] or 0), int(tokens[1] or 0)),
        warnings=[str(text) for what, text, *_ in told if what == "warned"],
        writes=[] if kill else [float(str(rest[0])) for what, _, *rest in told if what in {"begun", "finished"}],
        seconds=seconds,
        begun=len(begun),
        missing=len(begun - set(rows)) + sum(rows.get(str(entry)) != "complete" for entry in finished),
    )


_TOKENS = ("input_tokens", "output_tokens")


def main() -> None:
    """Print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", nargs="?", help="a SQLAlchemy URL")
    parser.add_argument("--processes", type=int, default=32)
    parser.add_argument("--requests", type=int, default=200)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["JUPYTER_DATA_DIR"] = folder
        for processes in (1, 8, asked.processes):
            print(f"{processes} processes: {run(asked.url, processes=processes, requests=asked.requests)}", flush=True)
        killed = run(asked.url, processes=asked.processes, requests=asked.requests, kill=True)
        print(f"{asked.processes} processes, each killed: {killed}")


if __name__ == "__main__":
    main()
