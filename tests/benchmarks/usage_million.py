"""What `%usage --all --by model` takes over a million requests, and SQLite alone for the same sums.

Run it by hand: ``python tests/benchmarks/usage_million.py [ROWS]``. Processor time of one process, so that what else
the machine does counts little; the better of two rounds each.
"""

from __future__ import annotations

import random
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

COUNTS = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens")
MODELS = ("glm-5", "deepseek-r1", "gpt-4o", "claude-sonnet-4", "qwen3-max", "kimi-k2", "gemini-2.5-pro", "doubao")
COLUMNS = (
    *("id", "session", "user", "host", "notebook", "cell", "thread", "turn", "gateway", "model", "served_model"),
    *("started", "finished", "status", "source", "demo", *COUNTS, "seconds", "first_token_seconds", "finish_reason"),
)
BARE = f"SELECT model, count(*), {', '.join(f'sum({name})' for name in COUNTS)} FROM requests GROUP BY model"


def fill(path: Path, number: int) -> None:
    """Make a ledger of a class: 300 people, eight models, requests of which some fail."""
    from mixroute_magic.usage.ledger import Ledger

    ledger = Ledger(f"sqlite:///{path}", session="", warn=print)
    ledger.read(lambda _connection: True)
    ledger.close()
    places = ", ".join("?" * len(COLUMNS))
    with closing(sqlite3.connect(path)) as database, database:
        names = ", ".join(f'"{name}"' for name in COLUMNS)
        database.executemany(f"INSERT INTO requests ({names}) VALUES ({places})", _rows(number))


def _rows(number: int) -> Iterator[tuple[Any, ...]]:
    chance = random.Random(7)
    first = datetime(2026, 1, 1, tzinfo=UTC)
    for index in range(number):
        model, user = chance.choice(MODELS), f"student{index % 300}"
        started = (first + timedelta(seconds=28 * index)).strftime("%Y-%m-%d %H:%M:%S.000000")
        known = chance.random() < 0.95
        status, source = ("complete", "reported") if known else ("failed", None)
        counts = (
            (chance.randint(50, 5000), chance.randint(5, 900), chance.choice((0, 100)), 0) if known else (None,) * 4
        )
        who = (f"{index:036d}", f"{index // 50:032d}", user, "hub", f"/home/{user}/lesson.ipynb", f"cell-{index}")
        asked = ("main", f"{index:032x}", "console.mixroute.io", model, model, started, started, status, source)
        yield (*who, *asked, index % 20 == 0, *counts, 2.5, 0.5, "stop")


def ratio(path: Path, rounds: int = 2) -> tuple[float, float, float]:
    """Return the seconds of `%usage`, those of SQLite alone, and how many times the one is the other."""
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell()
    shell.run_line_magic("load_ext", "mixroute_magic")
    shell.run_line_magic("config", f'MixRoute.ledger_url = "sqlite:///{path}"')
    shell.run_line_magic("usage", "")  # SQLAlchemy is imported
    with closing(sqlite3.connect(path)) as database:
        ours, bare = [], []
        for _ in range(rounds):
            ours.append(_seconds(lambda: repr(shell.run_line_magic("usage", "--all --by model"))))
            bare.append(_seconds(lambda: database.execute(BARE).fetchall()))
    shell.run_line_magic("unload_ext", "mixroute_magic")
    return min(ours), min(bare), min(ours) / min(bare)


def _seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


if __name__ == "__main__":
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder) / "ledger.sqlite", rows)
        usage, sql, times = ratio(Path(folder) / "ledger.sqlite")
    print(f"{rows:,} requests: %usage {usage:.2f} s, SQL alone {sql:.2f} s, ratio {times:.2f}")
