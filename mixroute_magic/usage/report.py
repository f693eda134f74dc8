"""What ``%usage`` shows: tokens by model, as HTML, Markdown and text."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mixroute_magic.tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["ModelTotals", "TokenSum", "UsageReport"]

COUNTS = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens")

HEADER = ["model", "requests", "input tokens", "output tokens", "cached", "reasoning"]
_NUMBERS = frozenset(range(1, len(HEADER)))

NOTHING = "No requests recorded in this session yet."
CAPTION = "Tokens of this session, as reported by the gateway."
UNKNOWN = "unknown: requests for which the gateway reported no count, often because they failed; ≥: at least."
DEMO = "demo: answered by the offline demo gateway. No model was called, and the total leaves these requests out."


@dataclass(frozen=True, slots=True)
class TokenSum:
    """Tokens over several requests: the known ones, and of how many requests the count is unknown."""

    known: int = 0
    unknown: int = 0

    def __add__(self, other: TokenSum) -> TokenSum:
        return TokenSum(self.known + other.known, self.unknown + other.unknown)


@dataclass(frozen=True, slots=True)
class ModelTotals:
    """What was asked of one model, by the name that it was asked by. ``statuses`` counts the requests."""

    model: str
    demo: bool = False
    statuses: Counter[str] = field(default_factory=Counter)
    input_tokens: TokenSum = TokenSum()
    output_tokens: TokenSum = TokenSum()
    cached_tokens: TokenSum = TokenSum()
    reasoning_tokens: TokenSum = TokenSum()

    @property
    def requests(self) -> int:
        """How many requests there were, whatever became of them."""
        return self.statuses.total()

    @classmethod
    def combine(cls, model: str, parts: Iterable[ModelTotals], *, demo: bool = False) -> ModelTotals:
        """Add up several totals under one name."""
        parts = list(parts)
        sums = {name: sum((getattr(part, name) for part in parts), TokenSum()) for name in COUNTS}
        return cls(model, demo, sum((part.statuses for part in parts), Counter()), **sums)


@dataclass(frozen=True, repr=False)
class UsageReport:
    """The tokens of a session by model, with a total of what real gateways served."""

    totals: Sequence[ModelTotals]

    def __repr__(self) -> str:
        return repr(self._table())

    def _repr_markdown_(self) -> str:
        return self._table().to_markdown()

    def _repr_html_(self) -> str:
        return self._table().to_html()

    def _table(self) -> Table:
        """Return a row for each model, the total, and then the demo's rows."""
        if not self.totals:
            return Table(caption=NOTHING)
        real = [totals for totals in self.totals if not totals.demo]
        demo = [totals for totals in self.totals if totals.demo]
        total = [ModelTotals.combine("Total", real)] if real else []
        rows = [_row(totals) for totals in [*real, *total, *demo]]
        return Table(caption=CAPTION, header=HEADER, rows=rows, notes=self._notes(), numbers=_NUMBERS)

    def _notes(self) -> list[str]:
        unknown = any(getattr(totals, name).unknown for totals in self.totals for name in COUNTS)
        demo = any(totals.demo for totals in self.totals)
        return [note for note, needed in ((UNKNOWN, unknown), (DEMO, demo)) if needed]


def _row(totals: ModelTotals) -> list[str]:
    model = " ".join(totals.model.split()) + (" (demo)" if totals.demo else "")
    return [model, _requests(totals), *(_tokens(getattr(totals, name)) for name in COUNTS)]


def _requests(totals: ModelTotals) -> str:
    """Return the number of requests, and how many of them did not end well."""
    others = [f"{count:,} {status}" for status, count in sorted(totals.statuses.items()) if status != "complete"]
    return f"{totals.requests:,}" + (f" ({', '.join(others)})" if others else "")


def _tokens(tokens: TokenSum) -> str:
    """Return a sum that never passes an unknown count off as zero."""
    if not tokens.unknown:
        return f"{tokens.known:,}"
    return f"≥ {tokens.known:,} ({tokens.unknown:,} unknown)" if tokens.known else "unknown"
