"""The ledger's tables, and the migrations that make them. Names are for good: other people's queries rely on them.

A column or an index is only ever added, may be null or has a default in the database, and is never renamed or taken
away. So an older kernel writes to a newer ledger, and columns that somebody else has added are in nobody's way.
SQLAlchemy is heavy: this module is imported at the first use of a ledger.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.schema import CreateColumn, CreateIndex, CreateTable

if TYPE_CHECKING:
    from sqlalchemy import Column, Connection, Engine

__all__ = ["REQUESTS", "VERSIONS", "migrate"]

_METADATA = sa.MetaData()


def _since_the_first_version() -> list[Column[Any]]:
    """Return what a row says of a request; times are UTC, and a count that is null is unknown, never zero."""
    return [
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("session", sa.String(64), nullable=False),  # of one kernel's life
        sa.Column("notebook", sa.Text),
        sa.Column("thread", sa.Text, nullable=False),
        sa.Column("gateway", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("served_model", sa.Text),
        sa.Column("started", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished", sa.DateTime(timezone=True)),
        sa.Column("status", sa.String(16), nullable=False),  # unfinished, complete, interrupted or failed
        sa.Column("input_tokens", sa.Integer),
        sa.Column("output_tokens", sa.Integer),
        sa.Column("cached_tokens", sa.Integer),
        sa.Column("reasoning_tokens", sa.Integer),
        sa.Column("source", sa.String(16)),  # who counted: reported, estimated or replayed
        sa.Column("seconds", sa.Float),
        sa.Column("first_token_seconds", sa.Float),
        sa.Column("finish_reason", sa.Text),
        sa.Column("request_id", sa.Text),
        sa.Column("error", sa.Text),  # the name of the error's class
        sa.Column("demo", sa.Boolean, nullable=False),
    ]


def _since_the_second_version() -> list[Column[Any]]:
    """Return who asked, and the request's place in its turn; of older rows only the place is known, or guessed."""
    return [
        sa.Column("user", sa.Text),
        sa.Column("host", sa.Text),
        sa.Column("cell", sa.Text),
        sa.Column("turn", sa.String(64)),  # one question and its answer, which may take several requests
        sa.Column("round", sa.Integer, nullable=False, server_default="1"),  # tool calls and repairs count up
        sa.Column("attempt", sa.Integer, nullable=False, server_default="1"),  # retries count up
        sa.Column("replayed", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("reserved_tokens", sa.Integer),  # what counts for budgets as long as the true count is not known
    ]


#: One row per request.
REQUESTS = sa.Table("requests", _METADATA, *_since_the_first_version(), *_since_the_second_version())

_BY_SESSION = sa.Index("ix_requests_session", REQUESTS.c.session)
_BY_TIME = sa.Index("ix_requests_started", REQUESTS.c.started)
_BY_USER = sa.Index("ix_requests_user", REQUESTS.c.user, REQUESTS.c.started)

_LOCK = 0x6D697872  # any number that nobody else takes: "mixr"

VERSIONS = sa.Table(
    "mixroute_schema", _METADATA, sa.Column("version", sa.Integer, primary_key=True, autoincrement=False)
)


def migrate(engine: Engine) -> None:
    """Apply the migrations that this database has not seen yet, each in its own transaction.

    Where there are none, nothing is made or changed: most who use a shared ledger may not.
    """
    with engine.begin() as connection:
        known = sa.inspect(connection).has_table(VERSIONS.name)
        applied = set(connection.scalars(sa.select(VERSIONS.c.version))) if known else set()
    if not known:
        with engine.begin() as connection:
            _one_at_a_time(connection)
            connection.execute(CreateTable(VERSIONS, if_not_exists=True))
    for version, migration in enumerate(MIGRATIONS, start=1):
        if version not in applied:
            # Of two kernels that start at once, the second waits at the version's key, and finds the work done.
            with suppress(IntegrityError), engine.begin() as connection:
                connection.execute(VERSIONS.insert().values(version=version))
                migration(connection)


def _one_at_a_time(connection: Connection) -> None:
    """Wait for others that do so: PostgreSQL's IF NOT EXISTS does not see a table that is just being made."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))


def _create_requests(connection: Connection) -> None:
    connection.execute(CreateTable(sa.Table(REQUESTS.name, sa.MetaData(), *_since_the_first_version())))
    connection.execute(CreateIndex(_BY_SESSION))


def _tell_who_asked_and_in_which_turn(connection: Connection) -> None:
    for column in _since_the_second_version():
        _add(connection, REQUESTS.columns[column.name])
    connection.execute(CreateIndex(_BY_TIME))
    connection.execute(CreateIndex(_BY_USER))


def _add(connection: Connection, column: Column[Any]) -> None:
    """Add a column to its table: SQLAlchemy has no words for it, only for the column itself."""
    table = connection.dialect.identifier_preparer.format_table(column.table)
    words = CreateColumn(column).compile(dialect=connection.dialect)
    connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN {words}")


# In order, and only ever appended to: a database remembers by number which ones it has seen.
MIGRATIONS = (_create_requests, _tell_who_asked_and_in_which_turn)
