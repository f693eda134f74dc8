"""What every request cost: one row each, in SQLite or PostgreSQL.

A row is committed when the request starts and filled in when it ends, so that a killed kernel leaves an
``unfinished`` row instead of nothing. Prompts, answers and keys are never stored.
"""

from __future__ import annotations

import platform
import uuid
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from mixroute_magic.errors import BudgetError, SettingError
from mixroute_magic.interrupts import undisturbed
from mixroute_magic.usage.budget import Budget, admit, cannot_be_kept, spent, today
from mixroute_magic.usage.facts import figures, still_reserved, storable, user_name
from mixroute_magic.usage.shared import open_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import Connection

    from mixroute_magic.reply import Reply

__all__ = ["Ledger"]

T = TypeVar("T")


class Ledger:
    """The requests of this session, and of all others that write to the same database.

    What cannot be recorded is warned about once, and costs no answer: no method raises because of the database but
    `read`, and `begin` while there is a budget, which could not be kept.
    Threads may share a ledger. Nothing is opened, and nothing heavy imported, before the first use.

    Parameters
    ----------
    url
        A URL of SQLite or PostgreSQL; with ``None``, a private SQLite file in the Jupyter data directory.
    session
        What the totals are about: one id for a kernel's life.
    warn
        Called with the one warning.
    budgets
        Returns the budgets that hold when a request begins.
    """

    def __init__(
        self,
        url: str | None,
        *,
        session: str,
        warn: Callable[[str], None],
        budgets: Callable[[], Sequence[Budget]] = tuple,
    ) -> None:
        self._database = open_database(url, warn)
        self._session = session
        self._budgets = budgets
        self._begun: dict[str, dict[str, Any]] = {}  # rows of requests that have not ended
        self._spent: dict[Budget, int] = {}  # as the last answer has found it
        self._noted: set[tuple[Budget, datetime]] = set()

    def begin(
        self,
        *,
        model: str,
        gateway: str,
        thread: str,
        notebook: str | None,
        cell: str | None = None,
        turn: str | None = None,
        number: int = 1,
        reserved_tokens: int = 0,
        demo: bool = False,
        replayed: bool = False,
    ) -> str | None:
        """Record that a request starts.

        Parameters
        ----------
        turn
            The id of the turn that it belongs to.
        number
            The round in its turn: tool calls and repairs count up.
        reserved_tokens
            What counts for budgets until the true count is known.

        Returns
        -------
        str or None
            The entry to `finish`, committed; ``None`` if it could not be recorded.

        Raises
        ------
        BudgetError
            If it would pass a budget, or there is one and the database cannot be used.
        """
        row = storable(
            {
                "id": str(uuid.uuid4()),
                "session": self._session,
                "user": user_name(),
                "host": platform.node(),
                "notebook": notebook,
                "cell": cell,
                "thread": thread,
                "turn": turn,
                "round": number,
                "attempt": 1,
                "gateway": gateway,
                "model": model,
                "started": datetime.now(UTC),
                "status": "unfinished",
                "demo": demo,
                "replayed": replayed,
                "reserved_tokens": reserved_tokens,
            }
        )
        budgets = () if demo or replayed else self._budgets()
        self._spent = {}

        def insert(connection: Connection) -> BudgetError | bool:
            from mixroute_magic.usage.schema import REQUESTS

            refused = admit(connection, budgets, row) if budgets else None
            if refused is None:
                connection.execute(REQUESTS.insert(), row)
                self._begun[row["id"]] = row
            return refused or True

        with self._not_left_unfinished(row):
            if budgets:  # what waits for a server is not there yet to be counted
                return self._entered(row, self._database.run(insert), budgets)
            return self._entered(row, self._database.write([row], insert))

    def again(self, entry: str | None, *, error: str, seconds: float, free: bool) -> str | None:
        """Record that a request has failed and will be sent once more, in so many seconds: as a row of its own.

        What was reserved for it is reserved again, and no budget can refuse that; unless it is sure to have been
        ``free``, it counts for the one that failed, too. Returns the entry to `finish`.
        """
        before = self._begun.get(entry) if entry else None
        if before is None:
            return entry
        now = datetime.now(UTC)
        row = before | {
            "id": str(uuid.uuid4()),
            "attempt": before["attempt"] + 1,
            "started": now + timedelta(seconds=seconds),
        }
        took = (now - before["started"]).total_seconds()
        failed = before | {"finished": now, "status": "failed", "error": error, "seconds": took}
        rows = [failed | {"reserved_tokens": None} if free else failed, row]

        def record(connection: Connection) -> None:
            from mixroute_magic.usage.rows import put

            for one in rows:
                put(connection, one)
            self._begun[row["id"]] = row

        with self._not_left_unfinished(row):
            if self._entered(row, self._database.write(rows, record)) is None:
                return entry  # one row for both is better than none
        del self._begun[before["id"]]
        return str(row["id"])

    @contextmanager
    def _not_left_unfinished(self, row: dict[str, Any]) -> Iterator[None]:
        """Let a row end where an interrupt comes when it is just written: whoever began it does not know of it yet."""
        try:
            yield
        except KeyboardInterrupt:
            with undisturbed():
                self.finish(row["id"], status="interrupted", free=True)  # nothing was sent
            raise

    def _entered(
        self, row: dict[str, Any], outcome: BudgetError | bool | None, budgets: Sequence[Budget] = ()
    ) -> str | None:
        """Return the entry of a row that the database has taken."""
        if outcome is None and budgets:
            raise cannot_be_kept(budgets, row["round"])
        if isinstance(outcome, BudgetError):
            raise outcome
        if not outcome:
            self._begun.pop(row["id"], None)
            return None
        self._begun[row["id"]] = row
        return str(row["id"])

    def finish(
        self,
        entry: str | None,
        *,
        status: str,
        reply: Reply | None = None,
        error: str | None = None,
        free: bool = False,
    ) -> None:
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
        free
            Whether it is sure to have cost nothing, though nobody has counted.
        """
        before = self._begun.get(entry) if entry else None
        if before is None:
            return
        now = datetime.now(UTC)
        values = {
            "started": min(before["started"], now),  # it may have been about to be sent once more
            "finished": now,
            "status": status,
            "error": error,
            "reserved_tokens": None if free else still_reserved(before["reserved_tokens"], reply),
        }
        row = storable(before | values | figures(reply))
        budgets = self._unnoted() if status == "complete" else ()

        def record(connection: Connection) -> None:
            from mixroute_magic.usage.rows import put

            put(connection, row)
            self._spent = self._taken(connection, budgets) or self._spent

        self._database.write([row], record)
        del self._begun[before["id"]]  # not before: whoever is interrupted here tries again

    def read(self, work: Callable[[Connection], T]) -> T:
        """Return what comes of some work with the database, which has to be something.

        Raises
        ------
        SettingError
            If the database cannot be used, which is warned about, too.
        """
        found = self._database.run(work)
        if found is None:
            raise SettingError("The token ledger cannot be read.", self._database.remedy)
        return found

    def notes(self) -> list[str]:
        """Say of which budgets most is spent, as the last answer has found it, of each only once."""
        notes = {budget: note for budget, tokens in self._spent.items() if (note := budget.note(tokens))}
        self._noted.update((budget, today()) for budget in notes)
        self._spent = {}
        return list(notes.values())

    def standing(self) -> list[str]:
        """Say of each budget how much of it is taken by now.

        Raises
        ------
        SettingError
            If the database cannot be used.
        """
        budgets = self._set()
        taken = self.read(lambda connection: self._taken(connection, budgets)) if budgets else {}
        return [budget.standing(tokens) for budget, tokens in taken.items()]

    def _unnoted(self) -> list[Budget]:
        return [budget for budget in self._set() if (budget, today()) not in self._noted]

    def _set(self) -> Sequence[Budget]:
        """Return the budgets that hold; what is set that is none is told when something is asked."""
        with suppress(SettingError):
            return self._budgets()
        return ()

    def _taken(self, connection: Connection, budgets: Sequence[Budget]) -> dict[Budget, int]:
        if not budgets:
            return {}
        return dict(zip(budgets, spent(connection, budgets, session=self._session, user=user_name()), strict=True))

    def close(self) -> None:
        """Close the database; the next use opens it again."""
        self._database.close()
