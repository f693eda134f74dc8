"""Sums over requests that keep apart what was reported, what is estimated, and what nobody knows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from mixroute_magic.usage.prices import Cost

__all__ = ["COUNTS", "TokenSum", "Totals"]

COUNTS = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens")


@dataclass(frozen=True, slots=True)
class TokenSum:
    """Tokens over several requests.

    Parameters
    ----------
    known
        The sum of what the gateway reported.
    unknown
        Of how many requests the count is not known.
    estimated
        The sum of what was estimated where the gateway reported nothing; not in ``known``.
    """

    known: int = 0
    unknown: int = 0
    estimated: int = 0

    def __add__(self, other: TokenSum) -> TokenSum:
        return TokenSum(self.known + other.known, self.unknown + other.unknown, self.estimated + other.estimated)


@dataclass(frozen=True, slots=True)
class Totals:
    """What was asked of one model, or in one thread, on one day, by one user.

    Parameters
    ----------
    name
        Of the model, the thread, the notebook (its path), the session (its id), the day or the user.
    model
        The model by the name that it was asked by; empty for several.
    demo, replayed
        Whether the offline demo gateway, or a record, answered: then no model was called.
    statuses
        How many requests were ``complete``, ``failed``, ``interrupted`` and are ``unfinished``.
    first
        When the first of the requests started, in UTC, where that was asked for.
    cost
        What they cost, where there are prices.
    """

    name: str
    model: str = ""
    demo: bool = False
    replayed: bool = False
    statuses: Counter[str] = field(default_factory=Counter)
    input_tokens: TokenSum = TokenSum()
    output_tokens: TokenSum = TokenSum()
    cached_tokens: TokenSum = TokenSum()
    reasoning_tokens: TokenSum = TokenSum()
    first: datetime | None = None
    cost: Cost | None = None

    @property
    def requests(self) -> int:
        """How many requests there were, whatever became of them."""
        return self.statuses.total()

    @property
    def spent(self) -> bool:
        """Whether a model was called: only that counts."""
        return not (self.demo or self.replayed)

    @classmethod
    def combine(cls, name: str, parts: Iterable[Totals]) -> Totals:
        """Add up several totals of one kind under one name."""
        parts = list(parts)
        sums: dict[str, Any] = {count: sum((getattr(part, count) for part in parts), TokenSum()) for count in COUNTS}
        models = {part.model for part in parts}
        return cls(
            name,
            model=models.pop() if len(models) == 1 else "",
            demo=any(part.demo for part in parts),
            replayed=any(part.replayed for part in parts),
            statuses=sum((part.statuses for part in parts), Counter()),
            first=min((part.first for part in parts if part.first), default=None),
            **sums,
        )
