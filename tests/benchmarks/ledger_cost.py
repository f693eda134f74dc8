"""What the ledger adds to a chat cell, as a multiple of two bare committed ``sqlite3`` inserts in WAL mode.

Run by hand: ``.venv/bin/python tests/benchmarks/ledger_cost.py``. Both write to files in one folder, in turns, so that
only the ratio counts and not the disk.
"""

from __future__ import annotations

import os
import sqlite3
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from mixroute_magic.reply import Reply
from mixroute_magic.usage.budget import Budget
from mixroute_magic.usage.ledger import Ledger
from mixroute_magic.wire import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROUNDS = 200
NONE: tuple[Budget, ...] = ()
BOTH = Budget(10**9, "session"), Budget(10**9, "day")
ASKED = {"model": "glm-5", "gateway": "localhost", "thread": "main", "notebook": "talk.ipynb", "cell": "c", "turn": "t"}
REPLY = Reply("", "glm-5", usage=Usage(25, 100, source="reported"), finish_reason="stop", seconds=1.0)


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that it takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measure(rounds: int, budgets: Sequence[Budget] = NONE) -> tuple[float, float]:
    """Return the median seconds of the ledger's part in a chat cell, and of two bare inserts."""

    def cell() -> None:
        entry = ledger.begin(**ASKED, reserved_tokens=1_000)
        ledger.finish(entry, status="complete", reply=REPLY)
        ledger.notes()

    def bare() -> None:
        for _ in range(2):
            connection.execute("INSERT INTO requests VALUES (?, ?, ?)", ("glm-5", "complete", 125))
            connection.commit()

    with tempfile.TemporaryDirectory() as folder, closing(sqlite3.connect(Path(folder) / "bare.sqlite")) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE requests (model TEXT, status TEXT, tokens INTEGER)")
        here = os.environ.get("JUPYTER_DATA_DIR")
        os.environ["JUPYTER_DATA_DIR"] = folder
        ledger = Ledger(None, session="here", warn=print, budgets=lambda: budgets)
        cell()  # opens it
        pairs = [(timed(cell), timed(bare)) for _ in range(rounds)]
        ledger.close()
        os.environ.pop("JUPYTER_DATA_DIR") if here is None else os.environ.update(JUPYTER_DATA_DIR=here)
    ledgers, bares = zip(*pairs, strict=True)
    return statistics.median(ledgers), statistics.median(bares)


def ratio(rounds: int = ROUNDS, budgets: Sequence[Budget] = NONE) -> float:
    """Return the one over the other."""
    ours, bare = measure(rounds, budgets)
    return ours / bare


if __name__ == "__main__":
    for name, limits in ("no budget", NONE), ("a session's and a day's budget", BOTH):
        ours, bare = measure(ROUNDS, limits)
        print(f"{name}: {ours * 1e3:.2f} ms a cell, {ours / bare:.2f} times two bare inserts ({bare * 1e3:.2f} ms)")
