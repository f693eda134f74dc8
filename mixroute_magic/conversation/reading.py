"""A file with a conversation in it: a notebook, or what ``%thread --export`` wrote as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mixroute_magic.conversation.saved import SavedCell
from mixroute_magic.conversation.turn import Turn
from mixroute_magic.errors import HistoryError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["EXPORT_MARK", "cells_of", "read_cells", "reason"]

EXPORT_MARK = "mixroute_export"
"""The key under which an export says that it is one."""


def read_cells(path: Path) -> list[SavedCell]:
    """Return what the cells of a file hold.

    Raises
    ------
    HistoryError
        If it cannot be read, or is neither a notebook nor an export.
    """
    try:
        data = json.loads(path.read_bytes())
        cells = cells_of(data)
    except OSError as error:
        raise HistoryError(f"{path} cannot be read: {reason(error)}.", "Name a file that exists.") from error
    except (ValueError, OverflowError, RecursionError) as error:
        raise _foreign(path) from error
    if EXPORT_MARK not in (known := _mapping(data)) and not isinstance(known.get("cells"), list):
        raise _foreign(path)
    return cells


def reason(error: OSError | ValueError) -> str:
    """Return why something could not be done with a file."""
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def _foreign(path: Path) -> HistoryError:
    hint = "Name a notebook, or a .json file written by %thread --export."
    return HistoryError(f"{path.name} is no notebook and no export.", hint)


def cells_of(data: Any) -> list[SavedCell]:
    """Return what a notebook's cells hold, as far as anything is what it should be; an export has a cell per turn."""
    if EXPORT_MARK in (known := _mapping(data)):
        return [_cell(place, [record]) for place, record in enumerate(_list(known.get("turns")))]
    outputs = (_list(_mapping(cell).get("outputs")) for cell in _list(known.get("cells")))
    return [
        _cell(place, [_mapping(_mapping(output).get("metadata")).get("mixroute") for output in below])
        for place, below in enumerate(outputs)
    ]


def _cell(place: int, found: Sequence[Any]) -> SavedCell:
    records = tuple(record for record in found if isinstance(record, Mapping))
    turns = tuple(turn.turn for turn in map(Turn.from_metadata, records) if turn is not None)
    return SavedCell(id=str(place), source="", number=None, turns=turns, records=records)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
