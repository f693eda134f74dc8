"""A notebook as it was last saved: its cells, and the records in their outputs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["SavedCell", "SavedNotebook", "in_front_end", "is_foreign"]


@dataclass(frozen=True, slots=True)
class SavedCell:
    """A cell of the saved notebook, the ids of the turns in its outputs, and all records there."""

    id: str
    source: str
    number: int | None
    turns: tuple[str, ...]
    records: tuple[Mapping[str, Any], ...]


_UNNAMED = "cell without id "  # no id of a file has a blank


class SavedNotebook:
    """The notebook as saved, read again only when the file has changed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp: tuple[int, int] | None = None
        self._cells: tuple[SavedCell, ...] = ()

    @property
    def known(self) -> tuple[SavedCell, ...]:
        """The cells as they were last read."""
        return self._cells

    def cells(self) -> tuple[SavedCell, ...]:
        """Return the code cells in document order, as last readable: a file that was moved deletes no cell."""
        with suppress(OSError):
            status = self.path.stat()
            stamp = (status.st_mtime_ns, status.st_size)
            if stamp != self._stamp:
                cells = _read(self.path)
                self._cells = self._cells if cells is None else cells
                self._stamp = stamp
        return self._cells


def is_foreign(name: str, cells: tuple[SavedCell, ...]) -> bool:
    """Say whether a front end names a cell otherwise than the file: VS Code does (by a URI), and all do before 4.5."""
    return ":" in name or any(cell.id.startswith(_UNNAMED) for cell in cells[:1])


def in_front_end(cells: tuple[SavedCell, ...], asked: Mapping[str, tuple[set[str], str]]) -> dict[str, str]:
    """Match ids of the file with those that a front end uses instead, as VS Code does.

    ``asked`` tells for each of these the turns that it holds and the source that was run. What was answered in a cell
    tells for sure which it is; else its source does, where no other cell has the same.
    """
    by_turn = {turn: cell.id for cell in cells for turn in cell.turns}
    matched = {by_turn[turn]: name for name, (turns, _) in asked.items() for turn in turns & by_turn.keys()}
    by_source: dict[str, list[str]] = {}
    for cell in cells:
        by_source.setdefault(cell.source.strip(), []).append(cell.id)
    for name in asked.keys() - set(matched.values()):
        same = by_source.get(asked[name][1].strip(), [])
        matched |= {only: name for only in same if len(same) == 1 and only not in matched}
    return matched


def _read(path: Path) -> tuple[SavedCell, ...] | None:
    """Read a notebook of format 4 as the JSON that it is; ``None`` where it is none.

    Not with nbformat: beside JupyterLab its import alone takes 1.5 to 2 seconds (of jsonschema's grammars), and what is
    read here needs no validation, since every record is checked when it becomes a turn.
    """
    try:
        cells = json.loads(path.read_bytes())["cells"]
        code = [(place, cell) for place, cell in enumerate(cells) if _mapping(cell).get("cell_type") == "code"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None  # half written, or no notebook: the next save will be read
    return tuple(_cell(place, cell) for place, cell in code)


def _cell(place: int, cell: Mapping[str, Any]) -> SavedCell:
    """Read one cell as far as it is one: tools and people edit notebooks, too."""
    outputs, source, number = cell.get("outputs"), cell.get("source"), cell.get("execution_count")
    metadata = (_mapping(output).get("metadata") for output in (outputs if isinstance(outputs, list) else ()))
    found = (_mapping(data).get("mixroute") for data in metadata)
    records = tuple(record for record in found if isinstance(record, Mapping))
    turns = (record.get("turn") for record in records if record.get("kind") == "turn")
    return SavedCell(
        id=str(cell.get("id") or f"{_UNNAMED}{place}"),
        source="".join(map(str, source)) if isinstance(source, list | str) else "",
        number=number if isinstance(number, int) else None,
        turns=tuple(turn for turn in turns if isinstance(turn, str)),
        records=records,
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
