"""Budgets: how many tokens a session, or a user in a day, may take, checked before anything is sent.

What counts is the true count of a finished request, and as long as that is not known what was reserved for it. The sum
and the new reservation are one transaction, before which others wait, so that requests at the same time, in threads,
kernels or on other machines, cannot pass a budget together.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import cache
from typing import TYPE_CHECKING, Any

from mixroute_magic.amounts import read_tokens, typed_tokens
from mixroute_magic.config import BUDGETS
from mixroute_magic.errors import BudgetError, SettingError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection, Select

    from mixroute_magic.config import MixRoute

__all__ = ["ANSWER_TOKENS", "Budget", "admit", "budgets", "cannot_be_kept", "set_budget", "spent", "today"]

SESSION, DAY = "session", "day"
_SETTINGS = {SESSION: "token_budget", DAY: "daily_token_budget"}

ANSWER_TOKENS = 1_000
"""What is reserved for an answer where no ``max_tokens`` is set."""

_MUCH = 0.8
_RESTART = "after a change there, restart the kernel"


@dataclass(frozen=True, slots=True)
class Budget:
    """So many tokens for this ``session``, or for a ``day`` of this user's in all sessions of the ledger.

    A notebook can raise it to ``most``, what was set before the kernel started, by whomever.
    """

    tokens: int
    scope: str
    most: int | None = None

    def refusal(self, taken: int, needed: int, number: int = 1) -> BudgetError:
        """Return the error for a request that would pass it, ``number`` its round in its turn."""
        left = max(0, self.tokens - taken)
        return BudgetError(
            f"{left:,} of {self.name} {self.tokens:,} tokens are left, and this request may take {needed:,}; "
            f"{_unsent(number)}.",
            f"{self._raised(taken + needed)} Or ask for less: --max-tokens N, --fresh.",
        )

    def note(self, taken: int) -> str:
        """Return what the footer says once most of it is spent; nothing before."""
        if taken < _MUCH * self.tokens:
            return ""
        return f"{taken:,} of {self.name} {self.tokens:,} tokens are spent"

    def standing(self, taken: int) -> str:
        """Return what `%usage` says of it."""
        left = max(0, self.tokens - taken)
        name = self.name.capitalize()
        return f"{name} budget: {taken:,} of {self.tokens:,} tokens are taken, {left:,} are left."

    @property
    def name(self) -> str:
        """Whose tokens they are."""
        return "this session's" if self.scope == SESSION else "today's"

    def lifted(self) -> str:
        """Return the line that takes it away."""
        return "%usage --budget none" if self.scope == SESSION else "%config MixRoute.daily_token_budget = None"

    def _raised(self, least: int) -> str:
        """Return how to raise it to so many tokens at least, if that is for this kernel to do."""
        if self.most is not None and self.most < least:
            return f"It is set in {_where(_SETTINGS[self.scope])}; {_RESTART}."
        amount = typed_tokens(max(2 * self.tokens, least))
        if self.most is not None and (read_tokens(amount) or 0) > self.most:
            amount = str(self.most)
        if self.scope == SESSION:
            return f"Raise it: %usage --budget {amount}."
        return f'Raise it: %config MixRoute.daily_token_budget = "{amount}".'


def _where(name: str) -> str:
    """Return where a budget was set before the kernel started, by the user or by an administrator."""
    return f"{BUDGETS[name]} or ipython_config.py"


def budgets(config: MixRoute) -> list[Budget]:
    """Return the budgets that are set now."""
    read = {scope: config.budget(name) for scope, name in _SETTINGS.items()}
    return [Budget(tokens, scope, most) for scope, (tokens, most) in read.items() if tokens is not None]


def set_budget(config: MixRoute, amount: str) -> None:
    """Give this session a budget, or none.

    Raises
    ------
    BudgetError
        If a lower one was set before the kernel started.
    """
    before, config.token_budget = config.token_budget, amount
    try:
        tokens, most = config.budget("token_budget")
    except SettingError:
        config.token_budget = before
        raise
    if tokens != read_tokens(amount):
        config.token_budget = before
        raise BudgetError(
            f"{most:,} tokens are set in {_where('token_budget')}: here a budget can be lowered, not raised.",
            f"Nothing is changed; {_RESTART}.",
        )


def today() -> datetime:
    """Return when the day began, where this kernel is."""
    return datetime.combine(date.today(), time.min).astimezone(UTC)  # noqa: DTZ011 - local is meant


def spent(connection: Connection, limits: Sequence[Budget], *, session: str, user: str | None) -> list[int]:
    """Return what counts for each of the budgets by now: demo and replayed requests are free."""
    values = {"session": session, "user": user, "today": today()}
    query = _sums(tuple(budget.scope for budget in limits), named=user is not None)
    sums = connection.execute(query, values).one()
    return [int(tokens or 0) for tokens in sums]


@cache
def _sums(scopes: tuple[str, ...], *, named: bool) -> Select[Any]:
    """Return the one query for budgets of these scopes, made once: that takes as long as to ask it."""
    from sqlalchemy import bindparam, func, select

    from mixroute_magic.usage.schema import REQUESTS

    column = REQUESTS.c
    this_user = column.user == bindparam("user") if named else column.user.is_(None)
    mine = {
        SESSION: column.session == bindparam("session"),
        DAY: this_user & (column.started >= bindparam("today")),
    }
    count = func.coalesce(column.input_tokens + column.output_tokens, column.reserved_tokens, 0)
    taken = select(func.sum(count)).where(~column.demo, ~column.replayed)
    return select(*(taken.where(mine[scope]).scalar_subquery() for scope in scopes))


def admit(connection: Connection, limits: Sequence[Budget], row: Mapping[str, Any]) -> BudgetError | None:
    """Keep others waiting, and return why the request of this row cannot be sent; ``None`` if its row may be added."""
    _wait_for_others(connection, row["user"] or "")
    needed = row["reserved_tokens"]
    sums = spent(connection, limits, session=row["session"], user=row["user"])
    for budget, taken in zip(limits, sums, strict=True):
        if taken + needed > budget.tokens:
            return budget.refusal(taken, needed, row["round"])
    return None


def cannot_be_kept(limits: Sequence[Budget], number: int) -> BudgetError:
    """Return the error for a ledger that cannot be used: a broken one must not be a way around a budget."""
    hint = "Make it work again (the warning says why it does not)"
    fixed = any(budget.most is not None for budget in limits)
    lifted = " and ".join(budget.lifted() for budget in limits)
    return BudgetError(
        f"The token budget cannot be kept, because the ledger cannot be used; {_unsent(number)}.",
        f"{hint}." if fixed else f"{hint}, or ask without a budget: {lifted}.",
    )


def _unsent(number: int) -> str:
    return "nothing was sent" if number == 1 else "it was not sent"


def _wait_for_others(connection: Connection, user: str) -> None:
    """Let nobody else add a request of this user's to the ledger until this transaction has ended."""
    from sqlalchemy import func, select

    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.execute(select(func.pg_advisory_xact_lock(zlib.crc32(f"mixroute {user}".encode()))))
