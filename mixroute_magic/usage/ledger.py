"""What every request cost: one row each, in SQLite or in any database that SQLAlchemy knows.

A row is committed when the request starts and filled in when it ends, so that a killed kernel leaves an
``unfinished`` row instead of nothing. Prompts, answers and keys are never stored.
"""

from __future__ import annotations

import getpass
import os
import platform
import uuid
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mixroute_magic.usage.database import Database
from mixroute_magic.usage.report import COUNTS, ModelTotals, TokenSum

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from mixroute_magic.wire import Reply

__all__ = ["Ledger", "user_name"]


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
        self._database = Database(url, warn)
        self._session = session

    def begin(
        self,
        *,
        model: str,
        gateway: str,
        thread: str,
        notebook: str | None,
        cell: str | None = None,
        turn: str | None = None,
        place: tuple[int, int] = (1, 1),
        demo: bool = False,
        replayed: bool = False,
    ) -> str | None:
        """Record that a request starts.

        Parameters
        ----------
        turn
            The id of the turn that it belongs to.
        place
            The round in its turn (tool calls and repairs count up), and the attempt (retries count up).

        Returns
        -------
        str or None
            The entry to `finish`, committed; ``None`` if it could not be recorded.
        """
        row = {
            "id": str(uuid.uuid4()),
            "session": self._session,
            "user": user_name(),
            "host": platform.node(),
            "notebook": notebook,
            "cell": cell,
            "thread": thread,
            "turn": turn,
            "round": place[0],
            "attempt": place[1],
            "gateway": gateway,
            "model": model,
            "started": datetime.now(UTC),
            "status": "unfinished",
            "demo": demo,
            "replayed": replayed,
        }

        def insert(connection: Connection) -> str:
            from mixroute_magic.usage.schema import REQUESTS

            connection.execute(REQUESTS.insert(), row)
            return str(row["id"])

        return self._database.run(insert)

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

        def update(connection: Connection) -> None:
            from mixroute_magic.usage.schema import REQUESTS

            connection.execute(REQUESTS.update().where(REQUESTS.c.id == entry).values(values))

        self._database.run(update)

    def totals(self) -> list[ModelTotals]:
        """Return this session's requests by model, demo requests apart, sorted by name; replays are no requests."""
        return self._database.run(lambda connection: _totals(connection, self._session)) or []

    def close(self) -> None:
        """Close the database; the next use opens it again."""
        self._database.close()


def user_name() -> str | None:
    """Return who asks: JupyterHub's user, else the system's; a container may know no name for its user."""
    hub = os.environ.get("JUPYTERHUB_USER", "").strip()
    if hub:
        return hub
    with suppress(OSError, KeyError, ImportError):
        return getpass.getuser()
    return None


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


def _totals(connection: Connection, session: str) -> list[ModelTotals]:
    from sqlalchemy import func, select

    from mixroute_magic.usage.schema import REQUESTS

    column = REQUESTS.c
    kind = (column.model, column.demo, column.status)
    known = [func.sum(column[name]).label(name) for name in COUNTS]
    told = [func.count(column[name]).label(f"{name}_told") for name in COUNTS]
    query = select(*kind, func.count().label("rows"), *known, *told)
    query = query.where(column.session == session, ~column.replayed).group_by(*kind)

    parts: dict[tuple[str, bool], list[ModelTotals]] = {}
    for row in connection.execute(query).mappings():
        sums = {name: TokenSum(int(row[name] or 0), row["rows"] - row[f"{name}_told"]) for name in COUNTS}
        part = ModelTotals(row["model"], bool(row["demo"]), Counter({row["status"]: row["rows"]}), **sums)
        parts.setdefault((part.model, part.demo), []).append(part)
    return [ModelTotals.combine(model, parts[model, demo], demo=demo) for model, demo in sorted(parts)]
