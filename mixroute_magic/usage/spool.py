"""Rows that a ledger's server could not take, kept in a private file until it can.

The standard library's ``sqlite3`` does: what is kept here is read back whole, by the next kernel at the latest.
"""

from __future__ import annotations

import json
from contextlib import closing, contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from sqlite3 import Connection

__all__ = ["BATCH", "Spool"]

Row = dict[str, Any]

MOST_ROWS = 10_000  # about 5 MB; beyond them the oldest are given up
BATCH = 500  # rows delivered at a time: the person waits for it
PATIENCE = 10.0  # seconds for other kernels that write to the file, which takes each of them milliseconds
TIMES = ("started", "finished")  # columns that JSON has no type for

_TABLE = """CREATE TABLE IF NOT EXISTS rows (
    id TEXT PRIMARY KEY, target TEXT NOT NULL, row TEXT NOT NULL, refused INTEGER NOT NULL DEFAULT 0)"""

# Counted, and not told by their numbers: those of rows that are kept again, or were between others, are gone.
_GIVE_UP = "DELETE FROM rows WHERE rowid IN (SELECT rowid FROM rows ORDER BY rowid DESC LIMIT -1 OFFSET ?)"


class Spool:
    """What waits for one database; kernels share the file, and may write and deliver at once.

    A row may be delivered twice: when a kernel dies, or another one delivers at the same time. Whoever takes rows has
    to know them by their id.

    Parameters
    ----------
    path
        The file, made at the first row, readable by its owner alone.
    target
        Names the database that the rows are for, without its password.
    """

    def __init__(self, path: Path, target: str) -> None:
        self.path = path
        self._target = target

    def keep(self, row: Mapping[str, Any]) -> int:
        """Keep a row in place of what was kept of it before, and return how many rows had to be given up for it.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.touch(mode=0o600)
        with self._open() as db:
            db.execute(_TABLE)
            values = (row["id"], self._target, json.dumps(row, default=datetime.isoformat))
            db.execute("INSERT OR REPLACE INTO rows (id, target, row) VALUES (?, ?, ?)", values)
            return db.execute(_GIVE_UP, (MOST_ROWS,)).rowcount

    def deliver(self, take: Callable[[Sequence[Row]], Sequence[Row] | None]) -> int:
        """Hand over what is kept, those first that were refused least often, and return how many rows were taken.

        ``take`` gets some rows, at most `BATCH`, and returns those that it has recorded; these are forgotten here. All
        stay as they were where it raises, or returns ``None``, since no database was there to refuse any.

        Raises
        ------
        OSError
            If the file cannot be read or written.
        """
        if not self.path.exists():
            return 0
        with self._open() as db:
            db.execute(_TABLE)
            query = "SELECT id, row FROM rows WHERE target = ? ORDER BY refused, rowid LIMIT ?"
            kept = db.execute(query, (self._target, BATCH)).fetchall()
        if not kept:
            return 0
        recorded = take([_read(text) for _, text in kept])
        if recorded is None:
            return 0
        taken = {row["id"] for row in recorded}
        with self._open() as db:
            # Not what has been kept anew meanwhile: a request may have ended.
            gone = [(name, text) for name, text in kept if name in taken]
            db.executemany("DELETE FROM rows WHERE id = ? AND row = ?", gone)
            db.executemany("UPDATE rows SET refused = refused + 1 WHERE id = ?", [(name,) for name, _ in kept])
        return len(taken)

    @contextmanager
    def _open(self) -> Iterator[Connection]:
        """Open the file for one transaction: it is needed too seldom to be kept open."""
        import sqlite3

        try:
            with closing(sqlite3.connect(self.path, timeout=PATIENCE)) as db, db:
                yield db
        except sqlite3.Error as error:
            raise OSError(str(error)) from error


def _read(text: str) -> Row:
    row: Row = json.loads(text)
    return row | {name: datetime.fromisoformat(row[name]) for name in TIMES if row.get(name)}
