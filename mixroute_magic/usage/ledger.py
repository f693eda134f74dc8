"""What every request cost: one row each, in SQLite or in any database that SQLAlchemy knows.

A row is committed when the request starts and filled in when it ends, so that a killed kernel leaves an
``unfinished`` row instead of nothing. Prompts, answers and keys are never stored. This is the only door to
SQLAlchemy, which is heavy and therefore imported at first use.
"""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mixroute_magic.usage.report import COUNTS, ModelTotals, TokenSum

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Engine, Table

    from mixroute_magic.wire import Reply

__all__ = ["Ledger"]

T = TypeVar("T")

# Seconds to wait for a locked database: kernels that share it write for milliseconds, so a longer lock is somebody's
# open transaction. Once that was warned about, the following answers are kept waiting less.
PATIENCE = 2.0
PATIENCE_AFTER_WARNING = 0.2


class Ledger:
    """The requests of this session, and of all others that write to the same database.

    No method raises because of the database: what cannot be recorded is warned about once, and costs no answer.
    Threads may share a ledger. Nothing is opened, and nothing heavy imported, before the first use.

    Parameters
    ----------
    url
        A SQLAlchemy URL; with ``None``, a private SQLite file in the Jupyter data directory.
    session
        What the totals are about: one id for a kernel's life.
    warn
        Called with the one warning.
    """

    def __init__(self, url: str | None, *, session: str, warn: Callable[[str], None]) -> None:
        self._url = url
        self._session = session
        self._warn = warn
        self._warned = False
        self._lock = threading.Lock()
        self._opened: tuple[Engine, Table] | None = None

    def begin(self, *, model: str, gateway: str, thread: str, notebook: str | None, demo: bool = False) -> str | None:
        """Record that a request starts.

        Returns
        -------
        str or None
            The entry to `finish`, committed; ``None`` if it could not be recorded.
        """
        row = {
            "id": str(uuid.uuid4()),
            "session": self._session,
            "notebook": notebook,
            "thread": thread,
            "gateway": gateway,
            "model": model,
            "started": datetime.now(UTC),
            "status": "unfinished",
            "demo": demo,
        }

        def insert(connection: Connection, requests: Table) -> str:
            connection.execute(requests.insert().values(row))
            return str(row["id"])

        return self._run(insert)

    def finish(self, entry: str | None, *, status: str, reply: Reply | None = None, error: str | None = None) -> None:
        """Record how a request ended; an entry of ``None`` was never recorded and is passed over.

        Parameters
        ----------
        entry
            What `begin` returned.
        status
            ``complete``, ``interrupted`` or ``failed``.
        reply
            As much of the answer as arrived; its text is not stored.
        error
            The name of the error's class.
        """
        if entry is None:
            return
        values = {"finished": datetime.now(UTC), "status": status, "error": error, **_figures(reply)}

        def update(connection: Connection, requests: Table) -> None:
            connection.execute(requests.update().where(requests.c.id == entry).values(values))

        self._run(update)

    def totals(self) -> list[ModelTotals]:
        """Return this session's requests by model, demo requests apart, sorted by name."""

        def select(connection: Connection, requests: Table) -> list[ModelTotals]:
            return _totals(connection, requests, self._session)

        return self._run(select) or []

    def close(self) -> None:
        """Close the database; the next use opens it again."""
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is not None:
            opened[0].dispose()

    def _run(self, work: Callable[[Connection, Table], T]) -> T | None:
        """Do the work in one transaction, or warn and return ``None``."""
        try:
            engine, requests = self._open()
            with engine.begin() as connection:
                return work(connection, requests)
        except BaseException as error:
            # Opened afresh next time: the file may have been repaired or moved meanwhile, and an interrupt may have
            # come with the connection half taken from its pool.
            self.close()
            if not isinstance(error, Exception):
                raise
            self._complain(error)
            return None

    def _open(self) -> tuple[Engine, Table]:
        with self._lock:
            if self._opened is None:
                self._opened = _open(self._url, PATIENCE_AFTER_WARNING if self._warned else PATIENCE)
            return self._opened

    def _complain(self, error: Exception) -> None:
        with self._lock:
            warned, self._warned = self._warned, True
        if not warned:
            self._warn(_complaint(self._url, error))


def _figures(reply: Reply | None) -> dict[str, Any]:
    """Return what a row keeps of a reply."""
    if reply is None:
        return {}
    return {
        **reply.usage.to_json(),
        "served_model": reply.model,
        "seconds": reply.seconds,
        "first_token_seconds": reply.first_token_seconds,
        "finish_reason": reply.finish_reason,
        "request_id": reply.request_id,
        "demo": reply.demo,
    }


def _totals(connection: Connection, requests: Table, session: str) -> list[ModelTotals]:
    from sqlalchemy import func, select

    kind = (requests.c.model, requests.c.demo, requests.c.status)
    known = [func.sum(requests.c[name]).label(name) for name in COUNTS]
    told = [func.count(requests.c[name]).label(f"{name}_told") for name in COUNTS]
    query = select(*kind, func.count().label("rows"), *known, *told)
    query = query.where(requests.c.session == session).group_by(*kind)

    parts: dict[tuple[str, bool], list[ModelTotals]] = {}
    for row in connection.execute(query).mappings():
        sums = {name: TokenSum(int(row[name] or 0), row["rows"] - row[f"{name}_told"]) for name in COUNTS}
        part = ModelTotals(row["model"], bool(row["demo"]), Counter({row["status"]: row["rows"]}), **sums)
        parts.setdefault((part.model, part.demo), []).append(part)
    return [ModelTotals.combine(model, parts[model, demo], demo=demo) for model, demo in sorted(parts)]


def _open(url: str | None, patience: float) -> tuple[Engine, Table]:
    """Open the database, bring its schema up to date, and read the table from there."""
    from sqlalchemy import MetaData, Table

    engine = _engine(url, patience)
    try:
        _migrate(engine)
        if url is None:
            _allow_readers_while_writing(engine)
        return engine, Table("requests", MetaData(), autoload_with=engine)
    except BaseException:
        engine.dispose()
        raise


def _engine(url: str | None, patience: float) -> Engine:
    from sqlalchemy import URL, QueuePool, create_engine, make_url

    target = URL.create("sqlite", database=str(_private_file())) if url is None else make_url(url)
    sqlite = {"timeout": patience, "check_same_thread": False}
    # One connection, which threads take in turn: SQLite writes one at a time anyway, and ``sqlite://`` (in memory)
    # is another database in every other connection.
    return create_engine(
        target,
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
        pool_pre_ping=True,
        connect_args=sqlite if target.get_backend_name() == "sqlite" else {},
    )


def _default_path() -> Path:
    from jupyter_core.paths import jupyter_data_dir

    return Path(jupyter_data_dir()) / "mixroute" / "ledger.sqlite"


def _private_file() -> Path:
    """Make the default file so that only its owner can read it, from its first moment on."""
    path = _default_path()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    path.touch(mode=0o600)
    path.chmod(0o600)
    return path


def _allow_readers_while_writing(engine: Engine) -> None:
    """Switch SQLite to its write-ahead log; a file system that cannot have one keeps the rollback journal.

    Only for the file that we made: a given database may lie on a network drive, where the log does not work.
    """
    from sqlalchemy.exc import DBAPIError

    with suppress(DBAPIError), engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")


def _migrate(engine: Engine) -> None:
    """Apply the migrations that this database has not seen yet, each in its own transaction."""
    from sqlalchemy import Column, Integer, MetaData, Table, select
    from sqlalchemy.exc import IntegrityError
    from sqlalchemy.schema import CreateTable

    schema = Table("mixroute_schema", MetaData(), Column("version", Integer, primary_key=True, autoincrement=False))
    with engine.begin() as connection:
        connection.execute(CreateTable(schema, if_not_exists=True))
        applied = set(connection.scalars(select(schema.c.version)))
    for version, migration in enumerate(MIGRATIONS, start=1):
        if version not in applied:
            # Of two kernels that start at once, the second waits at the version's key, and finds the work done.
            with suppress(IntegrityError), engine.begin() as connection:
                connection.execute(schema.insert().values(version=version))
                migration(connection)


def _create_requests(connection: Connection) -> None:
    import sqlalchemy as sa

    requests = sa.Table(
        "requests",
        sa.MetaData(),
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("session", sa.String(64), nullable=False, index=True),
        sa.Column("notebook", sa.Text),
        sa.Column("thread", sa.Text, nullable=False),
        sa.Column("gateway", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("served_model", sa.Text),
        sa.Column("started", sa.DateTime(timezone=True), nullable=False),  # UTC, like finished
        sa.Column("finished", sa.DateTime(timezone=True)),
        sa.Column("status", sa.String(16), nullable=False),  # unfinished, complete, interrupted or failed
        sa.Column("input_tokens", sa.Integer),  # null, here and below: unknown
        sa.Column("output_tokens", sa.Integer),
        sa.Column("cached_tokens", sa.Integer),
        sa.Column("reasoning_tokens", sa.Integer),
        sa.Column("source", sa.String(16)),  # who counted the tokens
        sa.Column("seconds", sa.Float),
        sa.Column("first_token_seconds", sa.Float),
        sa.Column("finish_reason", sa.Text),
        sa.Column("request_id", sa.Text),
        sa.Column("error", sa.Text),  # the name of the error's class
        sa.Column("demo", sa.Boolean, nullable=False),
    )
    requests.create(connection)


# In order, and only ever appended to: a database remembers by number which ones it has seen.
MIGRATIONS = (_create_requests,)


def _complaint(url: str | None, error: Exception) -> str:
    """Return the warning: what happened, that answers are not affected, what to do.

    Of a database server neither the URL nor the driver's message is repeated: either may hold a password, even a
    masked URL does when the password has an ``@`` in it.
    """
    place = f" {_default_path()}" if url is None else ""
    harmless = url is None or url.startswith("sqlite:") or isinstance(error, ImportError)
    reason = str(getattr(error, "orig", None) or error) if harmless else type(error).__name__
    return (
        f"The token ledger{place} cannot be used ({reason}): answers are not affected, but %usage will miss requests. "
        "Make it writable, move it away if it is damaged, or set MIXROUTE_LEDGER_URL to another database."
    )
