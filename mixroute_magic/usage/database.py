"""The door to SQLAlchemy: the ledger's database is opened, written to in one transaction, and complained about once.

SQLAlchemy is heavy, and therefore imported at first use.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mixroute_magic.writeahead import unstick, write_ahead

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection, Engine

__all__ = ["Database", "data_folder"]

T = TypeVar("T")
Row = dict[str, Any]

# Seconds to wait for a locked SQLite file. Kernels that share it write for milliseconds: where none of them gets on,
# it is somebody's open transaction, and once that was warned about, the following answers are kept waiting less. Where
# others do get on, there are many of them, and this one's turn comes.
PATIENCE = 2.0
PATIENCE_AFTER_WARNING = 0.2
_PATIENCE_IN_A_CROWD = 60.0
_TRY = 0.25  # SQLite itself waits in steps that get longer and longer; in a crowd it is better to begin with short ones


class Database:
    """A database with the ledger's tables in it. Threads may share it; nothing is opened before the first use.

    Parameters
    ----------
    url
        A URL of SQLite or PostgreSQL; with ``None``, a private SQLite file in the Jupyter data directory.
    warn
        Called once, with what is wrong with it.
    """

    def __init__(self, url: str | None, warn: Callable[[str], None]) -> None:
        self._url = url
        self._warn = warn
        self._warned = self._noticed = False
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._up_to_date = False

    def run(self, work: Callable[[Connection], T]) -> T | None:
        """Do the work in one transaction, or warn and return ``None``; it is begun anew while the file is locked."""
        patience = _Patience(PATIENCE_AFTER_WARNING if self._warned else PATIENCE)
        while True:
            try:
                with self._open().begin() as connection:
                    return work(connection)
            except BaseException as error:
                if _is_locked(error) and patience.lasts(self._engine):
                    continue
                # Opened afresh next time: the file may have been repaired or moved meanwhile, and an interrupt may
                # have come with the connection half taken from its pool.
                self.close()
                if not isinstance(error, Exception):
                    raise
                self._complain(error)
                return None

    def write(self, rows: Sequence[Row], work: Callable[[Connection], object]) -> bool:  # noqa: ARG002 - see `Shared`
        """Do the work, which records these rows, in one transaction, or warn and return ``False``."""

        def recorded(connection: Connection) -> bool:
            work(connection)
            return True

        return self.run(recorded) or False

    @property
    def remedy(self) -> str:
        """What to do where it cannot be read."""
        return "Repair it or move it away, or set MIXROUTE_LEDGER_URL to another database and restart the kernel."

    def close(self) -> None:
        """Close it; the next use opens it again."""
        with self._lock:
            engine, self._engine, self._up_to_date = self._engine, None, False
        if engine is not None:
            engine.dispose()

    def _open(self) -> Engine:
        with self._lock:
            if self._engine is None:
                self._engine = _engine(self._url)
            if not self._up_to_date:
                why = _bring_up_to_date(self._engine, private=self._url is None)
                self._notice(why)
                self._up_to_date = True
            return self._engine

    def _notice(self, why: str) -> None:
        """Tell, once, why there is no write-ahead log, if there is none."""
        if why and not self._noticed:
            self._warn(
                f"The token ledger {data_folder() / 'ledger.sqlite'} has no write-ahead log, since {why}: nothing is "
                "missed, but kernels that write at the same moment wait for each other."
            )
            self._noticed = True

    def _complain(self, error: Exception) -> None:
        with self._lock:
            warned, self._warned = self._warned, True
        if not warned:
            self._warn(self._complaint(error))

    def _complaint(self, error: Exception) -> str:
        """Return the warning: what happened, that answers are not affected, what to do."""
        place = f" {data_folder() / 'ledger.sqlite'}" if self._url is None else ""
        return (
            f"The token ledger{place} cannot be used ({getattr(error, 'orig', None) or error}): answers are not "
            "affected, but %usage will miss requests. Make it writable, move it away if it is damaged, or set "
            "MIXROUTE_LEDGER_URL to another database and restart the kernel."
        )


class _Patience:
    """How long a locked file is waited for, from the first time that it is found locked.

    Parameters
    ----------
    seconds
        While nobody else writes to it, either.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._began: float | None = None
        self._moved = 0.0
        self._seen: int | None = None

    def lasts(self, engine: Engine | None) -> bool:
        """Say whether to try again; a try has waited for a moment."""
        now, seen = time.monotonic(), None if engine is None else _data_version(engine)
        if self._began is None or seen not in {None, self._seen}:
            self._moved, self._seen = now, seen
        self._began = self._began or now
        return now - self._moved < self._seconds and now - self._began < _PATIENCE_IN_A_CROWD


def _is_locked(error: BaseException) -> bool:
    code = getattr(getattr(error, "orig", None), "sqlite_errorcode", 0)
    return code & 0xFF == sqlite3.SQLITE_BUSY  # the rest of the code says why


def _data_version(engine: Engine) -> int | None:
    """Return a number that is another one once somebody else has written; ``None`` while not even that can be read."""
    from sqlalchemy.exc import OperationalError

    with suppress(OperationalError), engine.connect() as connection:
        return int(connection.exec_driver_sql("PRAGMA data_version").scalar_one())
    return None


def _bring_up_to_date(engine: Engine, *, private: bool) -> str:
    """Bring the schema up to date, and return why there is no write-ahead log, if the file is ours and has none."""
    from mixroute_magic.usage.schema import migrate

    if private:
        unstick(data_folder() / "ledger.sqlite")
    migrate(engine)
    # Only the file that we made: a given database may lie anywhere, and be anybody's.
    return write_ahead(data_folder() / "ledger.sqlite") if private else ""


def _engine(url: str | None) -> Engine:
    from sqlalchemy import URL, QueuePool, create_engine

    from mixroute_magic.usage.server import connect_args, limit_waits, read_url

    target = URL.create("sqlite", database=str(_private_file())) if url is None else read_url(url)
    on_a_server = target.get_backend_name() != "sqlite"
    sqlite = {"timeout": _TRY, "check_same_thread": False}
    # One connection, which threads take in turn: SQLite writes one at a time anyway, and ``sqlite://`` (in memory)
    # is another database in every other connection.
    engine = create_engine(
        target,
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
        pool_pre_ping=True,
        connect_args=connect_args(target) if on_a_server else sqlite,
        # Who waits for others sees then what they have added: budgets rely on it, whatever the server's default is.
        **({"isolation_level": "READ COMMITTED"} if on_a_server else {}),
    )
    limit_waits(engine)
    return engine


def data_folder() -> Path:
    """Return the folder in which this package keeps what is private."""
    from jupyter_core.paths import jupyter_data_dir

    return Path(jupyter_data_dir()) / "mixroute"


def _private_file() -> Path:
    """Make the default file so that only its owner can read it, from its first moment on."""
    path = data_folder() / "ledger.sqlite"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    path.touch(mode=0o600)
    path.chmod(0o600)
    return path
