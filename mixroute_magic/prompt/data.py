"""DataFrames, Series and arrays in a prompt. Their libraries are never imported here: whoever has one, has them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from mixroute_magic.prompt.limits import (
    ARRAY_HEAD,
    ARRAY_VALUES,
    CELL_CHARACTERS,
    COLUMNS,
    HEAD_ROWS,
    ROWS,
    Shown,
    counts,
    cut,
)
from mixroute_magic.prompt.texts import beginning

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["array", "column", "table"]


def table(frame: Any) -> Shown:
    """Return a DataFrame as a Markdown table; of a long or wide one the head."""
    return _table(frame.iloc[: _height(frame), :COLUMNS], *frame.shape)


def column(series: Any) -> Shown:
    """Return a Series as a Markdown table of one column."""
    return _table(series.iloc[: _height(series)].to_frame(), len(series), 1)


def _height(data: Any) -> int:
    return ROWS if len(data) <= ROWS else HEAD_ROWS


def _table(head: Any, rows: int, columns: int) -> Shown:
    """Return the head of a table of ``rows`` and ``columns``, with how much is missing."""
    index = " / ".join("" if name is None else str(name) for name in head.index.names)
    lines = [[index, *map(_text, head.columns)], *([*map(_text, row)] for row in head.itertuples(name=None))]
    cells_cut = any(len(cell) > CELL_CHARACTERS for line in lines for cell in line)
    parts = [
        *([counts(len(head), rows, "rows")] if len(head) < rows else []),
        *([counts(head.shape[1], columns, "columns")] if head.shape[1] < columns else []),
        *([f"{CELL_CHARACTERS} characters of a cell"] if cells_cut else []),
    ]
    what = " and ".join(parts)
    text = "\n".join(map(_row, [lines[0], ["---"] * len(lines[0]), *lines[1:]]))
    return Shown(f"{text}\n\n(… the first {what})", f"shortened to {what}") if what else Shown(text)


def _text(cell: object) -> str:
    return beginning(cell, CELL_CHARACTERS + 1)


def _row(cells: Iterable[str]) -> str:
    short = (f"{cell[:CELL_CHARACTERS]}…" if len(cell) > CELL_CHARACTERS else cell for cell in cells)
    texts = (" ".join(cell.splitlines()).replace("|", "\\|") for cell in short)
    return f"| {' | '.join(texts)} |"


def array(values: Any) -> Shown:
    """Return a small array's values; of a larger one shape, type, range and the first values."""
    if values.size <= ARRAY_VALUES:
        return cut(str(values))
    axes = min(values.ndim, 2)
    head = values[(0,) * (values.ndim - axes) + (slice(ARRAY_HEAD),) * axes]
    what = f"{type(values).__name__} of shape {values.shape}, {values.dtype}{_range(values)}"
    return Shown(
        f"{what}; its first values:\n{cut(str(head)).text}", f"shortened to {counts(head.size, values.size, 'values')}"
    )


def _range(values: Any) -> str:
    """Tell the smallest and the largest value, where that is one pass over memory: not of a file, not of objects."""
    numpy = sys.modules["numpy"]
    if type(values) is not numpy.ndarray or values.dtype.kind not in "iufmM":
        return ""
    return f", from {numpy.fmin.reduce(values, axis=None)} to {numpy.fmax.reduce(values, axis=None)}"
