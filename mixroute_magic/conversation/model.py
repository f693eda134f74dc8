"""The conversation: turns, the cells they belong to, and what stands above a cell. Pure, no input or output.

A turn belongs to a cell and to its place in that cell's run, so that two ``%chat`` in one cell are two turns, and a
re-run replaces its own turns and no others. Order is the saved document's; cells that were never saved follow in the
order of their first run.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mixroute_magic.conversation.turn import COMPLETE, Turn

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Conversation", "Run"]


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of one cell: the cell, as far as it is known, and an id that no other execution has."""

    id: str
    cell_id: str | None = None

    @property
    def cell(self) -> str:
        """The key of the cell; without an id from the front end every execution is a cell of its own."""
        return self.cell_id or f"execution {self.id}"


@dataclass(slots=True)
class _Cell:
    """The turns of one cell, by their place in its newest run, and those that this run replaces."""

    run_id: str = ""
    turns: dict[int, Turn] = field(default_factory=dict)
    replaced: dict[int, Turn] = field(default_factory=dict)
    next_place: int = 0


class Conversation:
    """All threads of one notebook."""

    def __init__(self) -> None:
        self._cells: dict[str, _Cell] = {}  # in the order of their first run
        self._order: dict[str, int] = {}
        self._once_saved: set[str] = set()

    def arrange(self, saved: Sequence[str]) -> None:
        """Take in the order of the cells in the saved document."""
        self._order = {cell: place for place, cell in enumerate(saved)}
        self._once_saved.update(saved)

    def restore(self, cell: str, turns: Iterable[Turn]) -> int:
        """Bring back a cell's turns from the saved document; memory wins over the file.

        Returns how many of them are complete: only these are sent again.
        """
        kept = dict(enumerate(turns))
        if cell in self._cells or not kept:
            return 0
        self._cells[cell] = _Cell(turns=kept, next_place=len(kept))
        return sum(turn.status == COMPLETE for turn in kept.values())

    def above(self, run: Run, thread: str) -> list[Turn]:
        """Return the complete turns that stand above: of the cells above, and of this run of this cell so far."""
        turns = [turn for cell in self._cells_above(run.cell) for turn in self._cells[cell].turns.values()]
        here = self._cells.get(run.cell)
        if here is not None and here.run_id == run.id:
            turns += [turn for place, turn in here.turns.items() if place < here.next_place]
        return [turn for turn in turns if turn.thread == thread and turn.status == COMPLETE]

    def begin(self, run: Run) -> int:
        """Begin a turn and return its place in the cell; the first of a run puts the cell's earlier turns aside."""
        if run.cell not in self._order:
            self._once_saved.discard(run.cell)  # it runs, so it is not deleted: an undo brought it back
        cell = self._cells.get(run.cell)
        if cell is None or cell.run_id != run.id:
            cell = self._cells[run.cell] = _Cell(run.id, replaced=cell.turns if cell else {})
        place = cell.next_place
        cell.next_place += 1
        return place

    def record(self, run: Run, place: int, turn: Turn) -> None:
        """End a turn. One that failed or was interrupted costs none of those that the run would have replaced."""
        cell = self._cells[run.cell]
        cell.turns[place] = turn
        if turn.status != COMPLETE:
            cell.turns |= {later: earlier for later, earlier in cell.replaced.items() if later >= place}

    def clear(self, thread: str) -> int:
        """Forget a thread, and return how many complete turns it had."""
        forgotten = self.threads().get(thread, 0)
        for cell in self._cells.values():
            cell.turns = {place: turn for place, turn in cell.turns.items() if turn.thread != thread}
        return forgotten

    def threads(self) -> dict[str, int]:
        """Return the threads by name, each with the number of its complete turns."""
        counts: dict[str, int] = {}
        for turn in (turn for cell in self._document() for turn in self._cells[cell].turns.values()):
            counts[turn.thread] = counts.get(turn.thread, 0) + (turn.status == COMPLETE)
        return counts

    def _document(self) -> list[str]:
        """Return the cells that are there, in order: saved ones as saved, then those never saved as first run."""
        saved = sorted((cell for cell in self._cells if cell in self._order), key=self._order.__getitem__)
        return saved + [cell for cell in self._cells if cell not in self._once_saved]

    def _cells_above(self, cell: str) -> list[str]:
        cells = self._document()
        if cell in cells:
            return cells[: cells.index(cell)]
        if cell not in self._order:
            return cells
        return [other for other in cells if self._order.get(other, len(self._order)) < self._order[cell]]
