"""What is asked of the ledger: sums by model, thread, day …, sums over time, and the requests themselves."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mixroute_magic.usage.totals import COUNTS, TokenSum, Totals

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sqlalchemy import ColumnElement, Connection, Select

__all__ = ["QUARTER", "UNKNOWN", "Scope", "requests", "short_names", "spans", "summarise", "timeline"]

QUARTER = 900  # seconds: midnight and the full hour of every time zone fall on a quarter of an hour in UTC

UNKNOWN = "not known"
"""The name of a notebook or a user that was not known."""

_UNUSUAL = r"\n(\w+) (\w*) (demo)? (replayed)?\n(.*)"  # as `_kind` writes it

# Names of what is grouped by, which a column of that name would take the place of: others may add some.
_KIND, _BEGINS = "mixroute_kind", "mixroute_begins"

_AT_ONCE = 5_000  # rows of the requests themselves


@dataclass(frozen=True, slots=True)
class Scope:
    """Which requests: of one session or of all, since a moment in UTC or from the beginning."""

    session: str | None = None
    since: datetime | None = None

    def applied(self, query: Select[Any]) -> Select[Any]:
        """Return a query that sees no other requests."""
        from mixroute_magic.usage.schema import REQUESTS

        if self.session is not None:
            query = query.where(REQUESTS.c.session == self.session)
        return query if self.since is None else query.where(REQUESTS.c.started >= self.since)


def summarise(connection: Connection, by: str, scope: Scope) -> list[Totals]:
    """Return the sums of what ``by`` names, of each model apart, in one query.

    Parameters
    ----------
    by
        ``model``, ``thread``, ``notebook``, ``session``, ``day`` (local) or ``user``.
    """
    from sqlalchemy import func, select

    from mixroute_magic.usage.schema import REQUESTS

    column = REQUESTS.c
    keys = _keys(by, connection.dialect.name)
    sums = [func.sum(column[name]).label(name) for name in COUNTS]
    told = [func.count(column[name]).label(f"{name}_told") for name in COUNTS]
    first = [func.min(column.started).label("first")] if by == "session" else []
    query = select(*keys, _kind().label(_KIND), func.count().label("rows"), *sums, *told, *first)
    rows = connection.execute(scope.applied(query).group_by(*keys, _KIND))
    return _named(by, [(tuple(row)[: len(keys)], _part(row)) for row in rows])


def timeline(connection: Connection, scope: Scope, step: int) -> list[tuple[int, Totals]]:
    """Return the sums of each model over time, with the seconds since 1970 at which each step of time begins."""
    from sqlalchemy import func, select

    from mixroute_magic.usage.schema import REQUESTS

    begins = _begins(step)
    sums = [func.sum(REQUESTS.c[name]).label(name) for name in COUNTS]
    told = [func.count(REQUESTS.c[name]).label(f"{name}_told") for name in COUNTS]
    query = select(begins, _kind().label(_KIND), func.count().label("rows"), *sums, *told)
    rows = connection.execute(scope.applied(query).group_by(begins, _KIND))
    return [(int(getattr(row, _BEGINS)), _part(row)) for row in rows]


def spans(connection: Connection, scope: Scope) -> dict[bool, tuple[datetime, datetime]]:
    """Return when the first and the last of those requests started that no record answered, in UTC; by who did.

    The demo gateway's are under ``True``, real ones' under ``False``.
    """
    from sqlalchemy import func, select

    from mixroute_magic.usage.schema import REQUESTS

    column = REQUESTS.c
    query = select(column.demo, func.min(column.started), func.max(column.started)).where(~column.replayed)
    rows = connection.execute(scope.applied(query).group_by(column.demo))
    return {demo: (_utc(first), _utc(last)) for demo, first, last in rows}


def requests(connection: Connection, scope: Scope) -> Iterator[dict[str, Any]]:
    """Yield the requests themselves in the order of their start; times are UTC. Few are in memory at a time."""
    from sqlalchemy import select

    from mixroute_magic.usage.schema import REQUESTS

    query = scope.applied(select(REQUESTS)).order_by(REQUESTS.c.started, REQUESTS.c.id)
    result = connection.execute(query, execution_options={"yield_per": _AT_ONCE})
    for row in result.mappings():
        times = {name: _utc(row[name]) if row[name] else None for name in ("started", "finished")}
        yield {**row, **times}


def _utc(moment: datetime) -> datetime:
    """Return a moment as databases give it back, SQLite without its time zone."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _keys(by: str, dialect: str) -> list[ColumnElement[Any]]:
    """Return the columns that tell apart what is summed; the model is in the kind already."""
    from sqlalchemy import func

    from mixroute_magic.usage.schema import REQUESTS

    if by == "day":  # SQLite knows this machine's time zone; a server has its own, so days are put together here
        return [func.date(REQUESTS.c.started, "localtime")] if dialect == "sqlite" else [_begins(QUARTER)]
    names = {"model": (), "thread": ("notebook", "thread")}.get(by, (by,))
    return [REQUESTS.c[name] for name in names]


def _begins(step: int) -> ColumnElement[Any]:
    from sqlalchemy import extract

    from mixroute_magic.usage.schema import REQUESTS

    seconds = extract("epoch", REQUESTS.c.started)
    return (seconds - seconds % step).label(_BEGINS)


def _kind() -> ColumnElement[str]:
    """Return a row's kind as one text: its model, and before it what is unusual: status, source, demo, replayed.

    SQLite groups by sorting. By five columns a million rows take three times as long as by the model alone, by this
    text not twice.
    """
    from sqlalchemy import and_, case, func

    from mixroute_magic.usage.schema import REQUESTS

    column = REQUESTS.c
    usual = and_(column.status == "complete", column.source == "reported", ~column.demo, ~column.replayed)
    flags = case((column.demo, " demo"), else_=" ") + case((column.replayed, " replayed"), else_=" ")
    unusual = column.status + " " + func.coalesce(column.source, "") + flags
    return case((usual, column.model), else_="\n" + unusual + "\n" + column.model)


def _part(row: Any) -> Totals:
    """Return what one row of sums says."""
    kind = getattr(row, _KIND)
    unusual = re.fullmatch(_UNUSUAL, kind, re.DOTALL)
    status, source, demo, replayed, model = unusual.groups() if unusual else ("complete", "reported", "", "", kind)
    sums: dict[str, Any] = {}
    for name in COUNTS:
        tokens, unknown = int(getattr(row, name) or 0), row.rows - getattr(row, f"{name}_told")
        sums[name] = TokenSum(0, unknown, tokens) if source == "estimated" else TokenSum(tokens, unknown)
    first = getattr(row, "first", None)
    return Totals(
        model,
        model,
        bool(demo),
        bool(replayed),
        Counter({status: row.rows}),
        **sums,
        first=_utc(first) if first else None,
    )


def _named(by: str, found: list[tuple[tuple[Any, ...], Totals]]) -> list[Totals]:
    """Return the sums under the names that people know, those of one name, model and kind added up."""
    notebooks = short_names({str(key[0] or UNKNOWN) for key, _ in found}) if by == "thread" else {}
    parts: dict[tuple[str, str, bool, bool], list[Totals]] = {}
    for key, part in found:
        name = _name(by, key, part, notebooks)
        parts.setdefault((name, part.model, part.demo, part.replayed), []).append(part)
    return [Totals.combine(name, same) for (name, *_), same in sorted(parts.items())]


def _name(by: str, key: tuple[Any, ...], part: Totals, notebooks: dict[str, str]) -> str:
    if by == "model":
        return part.model
    if by == "day":
        return (
            key[0] if isinstance(key[0], str) else datetime.fromtimestamp(int(key[0])).astimezone().date().isoformat()
        )
    if by == "thread":
        return f"{key[1]} ({notebooks[str(key[0] or UNKNOWN)]})" if len(notebooks) > 1 else str(key[1])
    return str(key[0] or UNKNOWN)


def short_names(paths: Iterable[str]) -> dict[str, str]:
    """Return the files' names by their paths, and the whole path where two files have the same name."""
    paths = set(paths)
    names = {path: re.split(r"[\\/]", path)[-1] or path for path in paths}
    often = Counter(names.values())
    return {path: name if often[name] == 1 else path for path, name in names.items()}
