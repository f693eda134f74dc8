"""The journal's SQLite file: private, its tables up to date, and no larger than it may be."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from mixroute_magic.conversation.processes import DAY
from mixroute_magic.writeahead import unstick, write_ahead

if TYPE_CHECKING:
    from pathlib import Path
    from sqlite3 import Connection

__all__ = ["identity", "make_private", "open_database", "shrink"]

SHRINK_TO = 0.8  # of the limit, so that not every turn that follows has to shrink the file again
FORGET_RUNNING = 30 * DAY  # nobody came back for it

# In order, and only ever appended to: the file remembers (user_version) how many it has seen. A turn that is kept gets
# a greater id than all that are there, so that ids say which is older whatever the clocks did.
MIGRATIONS = (
    (
        """CREATE TABLE turns (
            id INTEGER PRIMARY KEY, notebook TEXT NOT NULL, cell TEXT NOT NULL, place INTEGER NOT NULL,
            request_hash TEXT, record BLOB NOT NULL, UNIQUE (notebook, cell, place))""",
        "CREATE INDEX turns_by_request ON turns (request_hash)",
        """CREATE TABLE running (
            turn TEXT PRIMARY KEY, notebook TEXT NOT NULL, cell TEXT NOT NULL, place INTEGER NOT NULL,
            host TEXT NOT NULL, pid INTEGER NOT NULL, birth TEXT, written REAL NOT NULL, record BLOB NOT NULL)""",
    ),
)


def identity(path: Path) -> tuple[int, int] | None:
    """Return what tells this file from another one at the same path; ``None`` where there is none."""
    with suppress(OSError):
        status = path.stat()
        return status.st_dev, status.st_ino
    return None


def make_private(path: Path) -> None:
    """Make the file so that only its owner can read it, from its first moment on; SQLite's files beside it follow."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.chmod(0o600)


def open_database(path: Path, patience: float) -> Connection:
    """Open the file and bring its tables up to date."""
    import sqlite3

    unstick(path)
    # Transactions are begun and committed in words. A wrong thread at least does not fail.
    db = sqlite3.connect(path, timeout=patience, isolation_level=None, check_same_thread=False)
    try:
        _migrate(db)
        write_ahead(path)
        db.execute("PRAGMA synchronous = NORMAL")  # after a power cut, the last turns may be missing
    except BaseException:
        db.close()
        raise
    return db


def _migrate(db: Connection) -> None:
    """Apply the migrations that this file has not seen yet; a file of a newer version is left alone."""
    if _pragma(db, "user_version") == len(MIGRATIONS):
        return
    db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # heard only before the first table
    db.execute("BEGIN IMMEDIATE")
    version = _pragma(db, "user_version")  # again: another kernel may have been faster
    if version > len(MIGRATIONS):
        raise OSError("a newer mixroute-magic wrote it")
    for statement in (statement for migration in MIGRATIONS[version:] for statement in migration):
        db.execute(statement)
    db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    db.execute("COMMIT")


def shrink(db: Connection, limit: int) -> bool:
    """Where the file has passed its limit, let the oldest turns go and give back their space."""
    page = _pragma(db, "page_size")
    if _pragma(db, "page_count") * page <= limit:
        return False
    db.execute("DELETE FROM running WHERE written < ?", (time.time() - FORGET_RUNNING,))
    while (_pragma(db, "page_count") - _pragma(db, "freelist_count")) * page > SHRINK_TO * limit:
        if db.execute("DELETE FROM turns WHERE id = (SELECT min(id) FROM turns)").rowcount == 0:
            break
    for _ in range(_pragma(db, "freelist_count")):
        db.execute("PRAGMA incremental_vacuum")  # sqlite3 takes one step, which is one page
    return True


def _pragma(db: Connection, name: str) -> int:
    return int(db.execute(f"PRAGMA {name}").fetchall()[0][0])
