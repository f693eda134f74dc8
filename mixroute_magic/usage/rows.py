"""A request's row on its way into the database, wherever an earlier state of it may be."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam
from sqlalchemy.exc import IntegrityError, OperationalError

from mixroute_magic.usage.schema import REQUESTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

__all__ = ["put", "put_each"]

Row = dict[str, Any]

# Once for all rows: to put a statement together takes as long as to execute it.
_UNFINISHED = REQUESTS.update().where(REQUESTS.c.id == bindparam("row"), REQUESTS.c.status == "unfinished")


def put(connection: Connection, row: Mapping[str, Any]) -> None:
    """Record a request's last state, whether or not it is known to the database; a request that has ended stays so.

    In words that every database knows, and that a role may use which sees its own rows only and may not change those
    that are finished.

    Raises
    ------
    ValueError
        If it has a column that only a newer version knows, and has kept on this machine.
    """
    if unknown := row.keys() - REQUESTS.columns.keys():
        raise ValueError(f"no columns of this version: {', '.join(sorted(unknown))}")
    for _ in range(2):  # another kernel may add the row between the two statements
        if connection.execute(_UNFINISHED, {**row, "row": row["id"]}).rowcount:
            return
        with suppress(IntegrityError), connection.begin_nested():
            connection.execute(REQUESTS.insert(), row)
            return


def put_each(connection: Connection, rows: Sequence[Row]) -> list[Row]:
    """Record the rows that the database takes, and return these.

    Raises
    ------
    sqlalchemy.exc.OperationalError
        If no fault of a row's is in the way: the server is gone, or somebody has locked the table, which each of the
        rows would wait for.
    """
    taken = []
    for row in rows:
        try:
            with connection.begin_nested():
                put(connection, row)
        except OperationalError:
            raise
        except Exception:  # whatever a driver says of one row's values: that row waits on, the others must not
            if connection.invalidated:
                raise
        else:
            taken.append(row)
    return taken
