"""What a ledger on a database server needs that a file does not: an address that people paste, short waits, reasons."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine

__all__ = ["Pause", "connect_args", "limit_waits", "read_url", "reason_of", "target_of"]

# libpq's parameters (https://www.postgresql.org/docs/current/libpq-connect.html): a server that does not answer is
# given up within seconds, also one whose network has gone while it was used. They give way to those of the URL.
_WAITS = {
    "connect_timeout": 3,  # seconds
    "tcp_user_timeout": 5000,  # milliseconds
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
}
_LOCK_TIMEOUT = "5s"  # rows and tables are locked for milliseconds, so a longer lock is somebody's open transaction
_PORT = 5432
_LIBPQ = {"psycopg", "psycopg2"}

# What the driver says of a connection that comes to nothing, and what is told of it.
_REFUSALS = {
    r"authentication failed|role .* does not exist": "the user or the password is wrong",
    r"database .* does not exist": "there is no such database",
    r"pg_hba\.conf": "the server lets nobody in from here",
    r"Connection refused": "no server listens there",
    r"resolve host|translate host name": "the host is not known",
    r"connection slots|too many (clients|connections)": "the server has too many connections",
    r"\bSSL\b": "an encrypted connection cannot be made",
}


def read_url(text: str) -> URL:
    """Return the address in SQLAlchemy's form; PostgreSQL's own two forms get the driver that comes with our extra.

    Raises
    ------
    sqlalchemy.exc.ArgumentError, ValueError
        If it is none, or names another kind of database than the two on which the ledger is tested.
    """
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    url = make_url(text.strip())
    if url.drivername in {"postgres", "postgresql"}:
        url = url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() not in {"sqlite", "postgresql"}:
        raise ArgumentError("neither SQLite nor PostgreSQL")
    url.get_dialect()
    return url


def target_of(url: URL) -> str:
    """Return the name of a server's database, without login and password."""
    host, port = url.host or url.query.get("host", ""), url.port or url.query.get("port", _PORT)
    return f"{url.get_backend_name()}://{host}:{port}/{url.database or ''}"


def connect_args(url: URL) -> dict[str, Any]:
    """Return what keeps the waits for this server short, as far as its driver knows a way."""
    if url.get_driver_name() not in _LIBPQ:
        return {}
    return {name: value for name, value in _WAITS.items() if name not in url.query}


def reason_of(error: Exception) -> str:
    """Return what is wrong: the name of the error, and in our own words what the driver says of it, where we have some.

    Neither the URL nor the driver's message is repeated. Either may hold a password, even a masked URL does when the
    password has an ``@`` in it.
    """
    cause = getattr(error, "orig", None) or error
    if isinstance(error, ImportError):
        return str(error).partition("\n")[0]
    told = next((words for said, words in _REFUSALS.items() if re.search(said, str(cause))), "")
    return f"{type(cause).__name__}: {told}" if told else type(cause).__name__


def limit_waits(engine: Engine) -> None:
    """Let no statement wait long for a lock. Said in words: a pooler between refuses what it does not know at login."""
    from sqlalchemy import event

    if engine.dialect.name != "postgresql":
        return

    @event.listens_for(engine, "connect")
    def _say(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute(f"SET lock_timeout = '{_LOCK_TIMEOUT}'")
        cursor.close()
        connection.commit()


class Pause:
    """When to try a server again: one that keeps a chat waiting long is left alone for long.

    A refused connection costs nothing and is tried again at the next request; one that runs into its timeout is tried
    once a minute.
    """

    TIMES = 20  # so long as it took to find out: at most a twentieth of the time is spent on waiting

    def __init__(self) -> None:
        self._since = 0.0
        self._until = 0.0

    def start(self) -> None:
        """Take the time from here."""
        self._since = time.monotonic()

    def begin(self) -> None:
        """Pause from now on."""
        now = time.monotonic()
        self._until = now + self.TIMES * (now - self._since)

    def end(self) -> None:
        """Pause no more: it can be used again."""
        self._until = 0.0

    @property
    def over(self) -> bool:
        """Say whether it may be tried again."""
        return time.monotonic() >= self._until
