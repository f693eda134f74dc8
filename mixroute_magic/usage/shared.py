"""A ledger on a database server, which may be out of reach: rows then wait on this machine, and no chat for them."""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from mixroute_magic.tables import counted
from mixroute_magic.usage.database import Database, data_folder
from mixroute_magic.usage.server import Pause, read_url, reason_of, target_of
from mixroute_magic.usage.spool import BATCH, MOST_ROWS, Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

    from mixroute_magic.usage.spool import Row

__all__ = ["Shared", "open_database"]

T = TypeVar("T")

_NO_ADDRESS = "Set MIXROUTE_LEDGER_URL to a SQLite or PostgreSQL database"


def open_database(url: str | None, warn: Callable[[str], None]) -> Database:
    """Return the database at an address, or the private file; it is opened at its first use."""
    on_a_server = url is not None and not url.lstrip().startswith("sqlite")
    return Shared(url, warn) if on_a_server else Database(url, warn)


class Shared(Database):
    """A database on a server. What it cannot take waits, and is delivered by this kernel or a later one.

    Warnings come once: when it cannot be used, and when it has got what waited. Whoever reads is told again.
    """

    def __init__(self, url: str | None, warn: Callable[[str], None]) -> None:
        super().__init__(url, warn)
        self._pause = Pause()
        self._gave_up = False
        self._may_wait = True  # something in the spool: an earlier kernel may have left it

    def run(self, work: Callable[[Connection], T]) -> T | None:
        """Deliver what waits and do the work in one transaction, or warn and return ``None``."""
        self._warned = self._warned and self._spool is None  # what somebody looks at now may not be all there is
        return self._try(work)

    def write(self, rows: Sequence[Row], work: Callable[[Connection], object]) -> bool:
        """Do the work, which records these rows, or let the rows wait.

        Returns
        -------
        bool
            Whether either was done. If not, that was warned about.
        """

        def recorded(connection: Connection) -> bool:
            work(connection)
            return True

        done = self._try(recorded) if self._pause.over else None  # else trying would only make a chat wait again
        return bool(done) or all(self._keep(row) for row in rows)

    @property
    def remedy(self) -> str:
        """What to do where it cannot be read."""
        if self._spool is None:
            return f"{_NO_ADDRESS} and restart the kernel."
        return "Check the server and MIXROUTE_LEDGER_URL: the warning says what is wrong."

    @cached_property
    def _spool(self) -> Spool | None:
        """Where rows wait; ``None`` for an address at which nothing will ever be delivered."""
        from sqlalchemy.exc import ArgumentError

        with suppress(ArgumentError, ValueError):
            url = read_url(self._url or "")
            with suppress(ImportError):  # imported here, so that the time it takes is not taken for the server's
                url.get_dialect().import_dbapi()
            return Spool(data_folder() / "ledger-unsent.sqlite", target_of(url))
        return None

    def _try(self, work: Callable[[Connection], T]) -> T | None:
        spool = self._spool
        self._pause.start()
        done = super().run(work) if spool is None or self._deliver(spool) else None
        self._pause.begin() if done is None else self._pause.end()
        return done

    def _keep(self, row: Row) -> bool:
        """Let a row wait for the server."""
        if self._spool is None:
            return False
        try:
            given_up = self._spool.keep(row)
        except OSError as error:
            self._warn(f"Requests cannot wait in {self._spool.path} ({error}): %usage will miss them.")
            return False
        if given_up and not self._gave_up:
            self._gave_up = True
            self._warn(
                f"{MOST_ROWS:,} requests wait in {self._spool.path}: the oldest are given up, %usage misses them."
            )
        self._may_wait = True
        return True

    def _deliver(self, spool: Spool) -> bool:
        """Deliver what waits, and say so; return whether the server can be used, as far as this has shown."""
        if not self._may_wait:
            return True
        self._may_wait = False  # set again where something is kept meanwhile
        reached, full = True, False

        def take(rows: Sequence[Row]) -> Sequence[Row] | None:
            from mixroute_magic.usage.rows import put_each

            nonlocal reached, full
            taken = super(Shared, self).run(lambda connection: put_each(connection, rows))
            # Of a batch that is refused as a whole, the next kernel tries whether another is taken: else each request
            # would be kept waiting for one.
            reached, full = taken is not None, len(rows) == BATCH and bool(taken)
            return taken

        delivered = 0
        try:
            delivered = spool.deliver(take)
        except OSError as error:
            self._warn(f"What waits for the token ledger in {spool.path} cannot be read ({error}).")
        finally:
            self._may_wait = self._may_wait or not reached or full
        if delivered:
            self._warned = False
            what = f"{counted(delivered, 'request')} that waited on this machine"
            self._warn(f"The token ledger can be used again, and has got {what}.")
        return reached

    def _complaint(self, error: Exception) -> str:
        what = f"The token ledger cannot be used ({reason_of(error)}): answers are not affected"
        if self._spool is None:
            return f"{what}, but %usage will miss requests. {_NO_ADDRESS}."
        todo = "Check MIXROUTE_LEDGER_URL and the server."
        if isinstance(error, ImportError):
            todo = "Install its driver: pip install mixroute-magic[postgres]."
        return f"{what}. Requests wait on this machine until it can; %usage misses them until then. {todo}"
