"""What ``%usage`` shows: tokens by model, thread, day …, as HTML, Markdown and text, and as a DataFrame."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from mixroute_magic.errors import MixRouteError
from mixroute_magic.tables import Table
from mixroute_magic.usage.export import import_pandas
from mixroute_magic.usage.prices import Cost, cost_of
from mixroute_magic.usage.query import short_names
from mixroute_magic.usage.totals import COUNTS, TokenSum, Totals

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from mixroute_magic.usage.export import Requests
    from mixroute_magic.usage.plot import UsagePlot
    from mixroute_magic.usage.prices import Price

__all__ = ["UsageReport"]

HEADER = ["requests", "input tokens", "output tokens", "cached", "reasoning"]
STATUSES = ("complete", "failed", "interrupted", "unfinished")
_ID = 32  # characters of a session's id
_MOST_ROWS = 60  # of a table that is shown; all are in `rows` and `to_frame`

UNKNOWN = "unknown: requests for which the gateway reported no count, often because they failed; ≥: at least."
ESTIMATED = "≈: estimated from the text where the gateway reported no count, and not in the number before it."
DEMO = "demo: answered by the offline demo gateway. No model was called, and the total leaves these requests out."
REPLAYED = "replayed: answered from a record. No model was called, and the total leaves these requests out."
COST = "cost: by the prices in MixRoute.prices; the gateway's bill may differ."


@dataclass(frozen=True, repr=False)
class UsageReport:
    """The tokens spent, with a total of what real gateways served. It is a sequence of its `rows`.

    Parameters
    ----------
    parts
        The sums, each of one name and one model.
    by
        What the names are of: ``model``, ``thread``, ``notebook``, ``session``, ``day`` or ``user``.
    about
        Which requests these are, in words.
    prices
        By model; where there are none, there is no word of money.
    notes
        What else there is to say, below the table.
    requests
        The requests themselves.
    """

    parts: Sequence[Totals]
    by: str = "model"
    about: str = "this session"
    prices: Mapping[str, Price] = field(default_factory=dict)
    notes: Sequence[str] = ()
    requests: Requests | None = None

    @property
    def rows(self) -> list[Totals]:
        """The sums of one name each; those of demo and replayed requests are apart, and last."""
        found: dict[tuple[Any, ...], list[Totals]] = {}
        for part in self.parts:
            found.setdefault((part.demo, part.replayed, part.name), []).append(part)
        rows = [self._sum(name, found[demo, replayed, name]) for demo, replayed, name in sorted(found)]
        return sorted(rows, key=lambda row: (row.demo, row.replayed, row.first)) if self.by == "session" else rows

    @property
    def total(self) -> Totals:
        """The sum of what real gateways served."""
        return self._sum("Total", [part for part in self.parts if part.spent])

    def _sum(self, name: str, parts: Sequence[Totals]) -> Totals:
        cost = cost_of(parts, self.prices) if self.prices else None
        return replace(Totals.combine(name, parts), cost=cost)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Totals]:
        return iter(self.rows)

    def __getitem__(self, place: int) -> Totals:
        return self.rows[place]

    def __repr__(self) -> str:
        return repr(self._table())

    def _repr_markdown_(self) -> str:
        return self._table().to_markdown()

    def _repr_html_(self) -> str:
        return self._table().to_html()

    def to_frame(self) -> pd.DataFrame:
        """Return the rows as a pandas DataFrame; what is unknown is missing there (``<NA>``).

        Raises
        ------
        MixRouteError
            If pandas is not installed.
        """
        pandas = import_pandas()
        frame = pandas.DataFrame([self._record(row) for row in self.rows], columns=self._columns())
        whole = [name for name in frame.columns if name.endswith(("tokens", "estimated", "unknown"))]
        return frame.astype(dict.fromkeys([*whole, "requests", *STATUSES], "Int64"))

    def to_csv(self, path: str | Path) -> int:
        """Write the requests themselves to a CSV file, and return how many there are (docs/ledger.md: the columns)."""
        return self._requests().to_csv(path)

    def to_parquet(self, path: str | Path) -> int:
        """Write the requests themselves to a Parquet file, and return how many there are; needs pandas and pyarrow."""
        return self._requests().to_parquet(path)

    def plot(self) -> UsagePlot:
        """Return the tokens over time by model; needs matplotlib, whose figure is its ``figure``."""
        return self._requests().plot(self.about)

    def _requests(self) -> Requests:
        if self.requests is None:
            raise MixRouteError("This report knows sums only.", "Take one of %usage: report = %usage")
        return self.requests

    def _record(self, row: Totals) -> dict[str, Any]:
        record: dict[str, Any] = {self.by: row.name, "demo": row.demo, "replayed": row.replayed}
        record |= {"requests": row.requests} | {status: row.statuses[status] for status in STATUSES}
        for name in COUNTS:
            tokens: TokenSum = getattr(row, name)
            nothing = tokens.unknown == row.requests or (tokens.estimated and not tokens.known)
            record |= {name: None if nothing else tokens.known, f"{name}_estimated": tokens.estimated}
            record |= {f"{name}_unknown": tokens.unknown}
        return record | ({"cost": str(row.cost)} if self.prices else {})

    def _columns(self) -> list[str]:
        return list(self._record(Totals("")))

    def _table(self) -> Table:
        """Return a row for each name, the total, and then what was not spent."""
        if not self.parts:
            return Table(caption=f"No requests recorded in {self.about} yet.", notes=self.notes)
        rows = self.rows
        spent, others = [row for row in rows if row.spent], [row for row in rows if not row.spent]
        total = [self.total] if spent else []
        shown = [*self._most(spent), *total, *self._most(others)]
        header = [self.by, *HEADER, *(["cost"] if self.prices else [])]
        words = "" if self.by == "model" else f" by {self.by}"
        return Table(
            caption=f"Tokens of {self.about}{words}, as reported by the gateway.",
            header=header,
            rows=self._lines(shown),
            notes=[*self._legend(), *self.notes],
            numbers=frozenset(range(1, len(header))),
        )

    def _most(self, rows: list[Totals]) -> list[Totals]:
        """Return as many rows as a page takes, the rest added up: the earliest in time, else the smallest."""
        if len(rows) <= _MOST_ROWS:
            return rows
        in_time = self.by in {"day", "session"}
        ranked = rows[::-1] if in_time else sorted(rows, key=_size, reverse=True)
        kept = {id(row) for row in ranked[: _MOST_ROWS - 1]}
        rest = [row for row in rows if id(row) not in kept]
        words = f"{len(rest):,} {'earlier' if in_time else 'smaller'} ones"
        cost = sum((row.cost for row in rest if row.cost), Cost()) if self.prices else None
        folded = replace(Totals.combine(words, rest), cost=cost)
        shown = [row for row in rows if id(row) in kept]
        return [folded, *shown] if in_time else [*shown, folded]

    def _lines(self, rows: Sequence[Totals]) -> list[list[str]]:
        labels = short_names({row.name for row in rows}) if self.by == "notebook" else {}
        return [self._line(row, labels.get(row.name, row.name)) for row in rows]

    def _line(self, row: Totals, label: str) -> list[str]:
        if self.by == "session" and row.first and len(label) == _ID:
            label = f"{row.first.astimezone():%Y-%m-%d %H:%M} ({label[:8]})"
        marks = [mark for mark, holds in (("demo", row.demo), ("replayed", row.replayed)) if holds]
        label = " ".join(label.split()) + (f" ({', '.join(marks)})" if marks else "")
        money = [str(row.cost) if row.spent else ""] if self.prices else []
        return [label, _requests(row), *(_tokens(getattr(row, name)) for name in COUNTS), *money]

    def _legend(self) -> list[str]:
        sums = [getattr(part, name) for part in self.parts for name in COUNTS]
        unpriced = sorted({part.model for part in self.parts if part.spent} - set(self.prices)) if self.prices else []
        missing = f"; without a price: {', '.join(unpriced)}." if unpriced else "."
        notes = {
            UNKNOWN: any(tokens.unknown for tokens in sums),
            ESTIMATED: any(tokens.estimated for tokens in sums),
            DEMO: any(part.demo for part in self.parts),
            REPLAYED: any(part.replayed for part in self.parts),
            COST.removesuffix(".") + missing: bool(self.prices),
        }
        return [note for note, needed in notes.items() if needed]


def _size(row: Totals) -> tuple[int, int]:
    sums = (row.input_tokens, row.output_tokens)
    return sum(tokens.known + tokens.estimated for tokens in sums), row.requests


def _requests(row: Totals) -> str:
    """Return the number of requests, and how many of them did not end well."""
    others = [f"{count:,} {status}" for status, count in sorted(row.statuses.items()) if status != "complete"]
    return f"{row.requests:,}" + (f" ({', '.join(others)})" if others else "")


def _tokens(tokens: TokenSum) -> str:
    """Return a sum that never passes an unknown count off as zero, nor an estimate off as reported."""
    if tokens.unknown and not tokens.known + tokens.estimated:
        return "unknown"
    parts = [f"{tokens.known:,}"] if tokens.known or not tokens.estimated else []
    parts += [f"≈ {tokens.estimated:,}"] if tokens.estimated else []
    known = " + ".join(parts)
    return f"≥ {known} ({tokens.unknown:,} unknown)" if tokens.unknown else known
