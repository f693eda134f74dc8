"""The journal: a private file with each cell's last complete turns, and with the text of running ones.

It is there for undo, for replay after an aborted Run All, and for what a killed kernel was writing. It is never shared
and never sent, holds no key, and is bounded in size. All kernels of a person share it.
"""

from __future__ import annotations

import json
import os
import platform
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from mixroute_magic.conversation.journal_file import identity, make_private, open_database, shrink
from mixroute_magic.conversation.processes import birth, is_gone
from mixroute_magic.conversation.turn import COMPLETE, Turn, answer_to

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from sqlite3 import Connection

__all__ = ["Journal", "Kept"]

T = TypeVar("T")

# Seconds to wait for a locked file: kernels that share it write for milliseconds, so a longer lock is somebody's open
# transaction. Once that was warned about, the following answers are kept waiting less.
PATIENCE, PATIENCE_AFTER_WARNING = 1.0, 0.1
WRITE_EVERY = 2.0  # seconds, for the text of a running turn

DAMAGE = (11, 26)  # SQLITE_CORRUPT and SQLITE_NOTADB


@dataclass(frozen=True, slots=True)
class Kept:
    """A turn and the place where it stood."""

    cell: str
    place: int
    turn: Turn


class Journal:
    """The turns that all kernels of a person keep in one file; notebooks are named by their absolute path.

    No method raises because of the file: what cannot be kept or read is warned about once, and costs no answer.
    Nothing is opened before the first use.

    Parameters
    ----------
    path
        With ``None``, ``journal.sqlite`` in the Jupyter data directory.
    limit
        The bytes that the file may have. Its write-ahead log, some MB at most, comes on top while a kernel has it open.
    warn
        Called with the one warning.
    """

    def __init__(self, path: Path | None = None, *, limit: int = 64 * 2**20, warn: Callable[[str], None]) -> None:
        self._path = path
        self._limit = limit
        self._warn = warn
        self._warned = False
        self._hurried = False  # whoever has pressed Stop while it was locked does not wait for it twice
        self._opened: Connection | None = None
        self._file: tuple[int, int] | None = None
        self._lock = threading.RLock()
        self._ended: dict[str, threading.Event] = {}  # by running turn
        self._texts: dict[str, Callable[[], Turn]] = {}  # of running turns, not yet written down

    def trim(self, notebook: str, cell: str, places: int) -> None:
        """Forget what a cell had at later places than it now has; with 0, forget the cell."""
        which = (notebook, cell, places)
        self._write(lambda db: db.execute("DELETE FROM turns WHERE notebook = ? AND cell = ? AND place >= ?", which))

    def turns(self, notebook: str) -> list[Kept]:
        """Return what is kept of a notebook, by cell and place; what is no turn of this version is passed over."""
        query = "SELECT cell, place, record FROM turns WHERE notebook = ? ORDER BY cell, place"
        return self._run(lambda db: list(_readable(db.execute(query, (notebook,))))) or []

    def find(self, request_hash: str, besides: Collection[str] = ()) -> Turn | None:
        """Return the newest answer to this very request, in any notebook, ``besides`` those with these ids.

        A turn that several models answered is kept with all their hashes in one text; the index holds these texts, so
        that looking into each of them is fast.
        """
        query = (
            "SELECT cell, place, record FROM turns WHERE id IN (SELECT id FROM turns WHERE instr(request_hash, ?)) "
            "ORDER BY id DESC"
        )

        def look(db: Connection) -> Turn | None:
            turns = (kept.turn for kept in _readable(db.execute(query, (request_hash,))))
            return answer_to(turns, request_hash, besides)

        return self._run(look)

    def renamed(self, old: str, new: str) -> None:
        """Follow a notebook to its new path; what was kept of another one there is dropped."""
        if old == new:
            return

        def rename(db: Connection) -> None:
            db.execute("DELETE FROM turns WHERE notebook = ?", (new,))
            db.execute("DELETE FROM running WHERE notebook = ?", (new,))
            db.execute("UPDATE turns SET notebook = ? WHERE notebook = ?", (new, old))
            db.execute("UPDATE running SET notebook = ? WHERE notebook = ?", (new, old))

        self._write(rename)

    def begin(self, notebook: str, cell: str, place: int, turn: Turn) -> None:
        """Write down that this process starts a turn; it is given as it would stand if nothing more came of it."""
        process = (platform.node(), os.getpid(), birth(os.getpid()))
        row = (turn.turn, notebook, cell, place, *process, time.time(), _packed(turn))
        self._write(lambda db: db.execute("INSERT OR REPLACE INTO running VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row))
        ended = self._ended[turn.turn] = threading.Event()
        threading.Thread(
            target=self._keep_writing, args=(turn.turn, ended), name="mixroute-journal", daemon=True
        ).start()

    def write(self, turn: str, so_far: Callable[[], Turn]) -> None:
        """Let the text so far of a begun turn be written down within two seconds, whether or not more of it comes."""
        if turn in self._ended:
            self._texts[turn] = so_far

    def end(self, notebook: str, cell: str, place: int, turn: Turn) -> None:
        """Take a turn out of the running ones, and keep a complete one instead of that at its place."""
        ended = self._ended.pop(turn.turn, None)
        if ended is not None:
            ended.set()
            self._texts.pop(turn.turn, None)
        hashes = " ".join(filter(None, (answer.request_hash for answer in turn.alternatives or (turn,)))) or None
        row = (notebook, cell, place, hashes, _packed(turn))

        def put(db: Connection) -> None:
            db.execute("DELETE FROM running WHERE turn = ?", (turn.turn,))
            if turn.status == COMPLETE:
                db.execute("INSERT OR REPLACE INTO turns VALUES (NULL, ?, ?, ?, ?, ?)", row)

        self._write(put)

    def broken_off(self, notebook: str) -> list[Kept]:
        """Return, once, the running turns of a notebook whose process is no more, with the text they had."""
        query = "SELECT cell, place, record, turn, host, pid, birth, written FROM running WHERE notebook = ?"

        def take(db: Connection) -> list[Kept]:
            rows = db.execute(f"{query} ORDER BY written", (notebook,)).fetchall()
            gone = [row for row in rows if is_gone(*row[4:])]
            db.executemany("DELETE FROM running WHERE turn = ?", [row[3:4] for row in gone])
            return list(_readable(row[:3] for row in gone))

        return self._write(take) or []

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            opened, self._opened = self._opened, None
            if opened is not None:
                opened.close()

    def _keep_writing(self, turn: str, ended: threading.Event) -> None:
        """Write down the text of a running turn every two seconds: the thread that reads it may wait for more."""
        while not ended.wait(WRITE_EVERY):
            so_far = self._texts.pop(turn, None)
            if so_far is not None:
                row = (time.time(), _packed(so_far()), turn)
                self._write(partial(_update, row=row))

    def _write(self, work: Callable[[Connection], T]) -> T | None:
        """Do the work in one transaction, which also keeps the file within its limit."""

        def transaction(db: Connection) -> T:
            db.execute("BEGIN IMMEDIATE")
            result = work(db)
            shrunk = shrink(db, self._limit)
            db.execute("COMMIT")
            if shrunk:
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            return result

        return self._run(transaction)

    def _run(self, work: Callable[[Connection], T]) -> T | None:
        """Do the work, or warn and return ``None``; a damaged file is set aside first."""
        try:
            with self._lock:
                try:
                    return work(self._open())
                except Exception as error:
                    if getattr(error, "sqlite_errorcode", 0) & 0xFF not in DAMAGE:
                        raise
                    self._set_aside(error)
                    return work(self._open())
        except BaseException as error:
            self.close()  # which rolls back; the file may be repaired or free when it is opened next time
            if not isinstance(error, Exception):
                self._hurried = True
                raise
            self._complain(
                f"The journal {self._place()} cannot be used ({error}): answers are not affected, but %thread --undo "
                "and replay will miss turns. Make it writable or move it away, or set MixRoute.journal to False."
            )
            return None

    def _open(self) -> Connection:
        path = self._place()
        if self._opened is not None and self._file != identity(path):
            self.close()  # deleted, or set aside by another kernel: what is written there is lost
        if self._opened is None:
            make_private(path)
            self._file = identity(path)
            hurried = self._warned or self._hurried
            self._opened = open_database(path, PATIENCE_AFTER_WARNING if hurried else PATIENCE)
            self._hurried = False
        return self._opened

    def _place(self) -> Path:
        if self._path is None:
            from jupyter_core.paths import jupyter_data_dir

            self._path = Path(jupyter_data_dir()) / "mixroute" / "journal.sqlite"
        return self._path

    def _set_aside(self, error: Exception) -> None:
        """Move a damaged file out of the way, unless another kernel has just done so."""
        self.close()
        path = self._place()
        if self._file != identity(path):
            return
        for suffix in ("-wal", "-shm", ""):
            with suppress(FileNotFoundError):
                Path(f"{path}{suffix}").replace(f"{path}.broken{suffix}")
        self._complain(
            f"The journal {path} was damaged ({error}) and is now {path.name}.broken: answers are not affected, but "
            "%thread --undo and replay will miss earlier turns. A new one was begun."
        )

    def _complain(self, complaint: str) -> None:
        warned, self._warned = self._warned, True
        if not warned:
            self._warn(complaint)


def _update(db: Connection, row: tuple[float, bytes, str]) -> None:
    db.execute("UPDATE running SET written = ?, record = ? WHERE turn = ?", row)


def _packed(turn: Turn) -> bytes:
    """Return a turn as JSON; halves of characters, which a broken-off stream can leave, are kept as they are."""
    return json.dumps(turn.to_metadata(), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def _readable(rows: Iterable[tuple[str, int, bytes]]) -> Iterator[Kept]:
    for cell, place, record in rows:
        with suppress(ValueError, RecursionError):
            turn = Turn.from_metadata(json.loads(record))
            if turn is not None:
                yield Kept(cell, place, turn)
