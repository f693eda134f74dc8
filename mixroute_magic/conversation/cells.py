"""The cells of a notebook with the turns that they hold, in the order of the document. Pure, no input or output.

Order is the document's, as a page or a file last showed it; cells that it does not know yet follow in the order of
their first run.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from mixroute_magic.conversation.turn import Turn, complete

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from mixroute_magic.conversation.records import Edit
    from mixroute_magic.conversation.values import Run

__all__ = ["Cell", "Cells", "Shown"]

_OTHERS_KEPT = 500  # turns that no cell holds; now and then there are twice as many


class Shown(Protocol):
    """A cell as a page or a file shows it: its id, and the ids of the turns in its outputs."""

    @property
    def id(self) -> str:
        """The cell's id."""

    @property
    def turns(self) -> Sequence[str]:
        """The ids of its turns."""


@dataclass(frozen=True)
class Cell:
    """The turns of one cell by their place in its newest run, and those that stood there before this run."""

    run_id: str = ""
    number: int | None = None
    turns: Mapping[int, Turn] = field(default_factory=dict)
    before: Mapping[int, Turn] = field(default_factory=dict)
    next_place: int = 0
    replaced: bool = False

    @cached_property
    def turn_ids(self) -> set[str]:
        """The ids of its turns."""
        return {turn.turn for turn in self.turns.values()}

    @cached_property
    def standing(self) -> tuple[Turn, ...]:
        """What it contributes to its threads; worked out once, since every cell below asks for it."""
        return tuple(complete(self.turns).values())


class Cells:
    """All cells of one notebook in which something was asked or run, by their ids; any other is an empty one."""

    def __init__(self) -> None:
        self.known: dict[str, Turn] = {}  # also those that no cell holds now, by id: copies of cells show them again
        self._many = _OTHERS_KEPT
        self._cells: dict[str, Cell] = {}  # in the order of their first run
        self._order: dict[str, int] = {}
        self._listed: set[str] = set()  # cells that a document once showed: missing in the next, they are deleted

    def __getitem__(self, key: str) -> Cell:
        return self._cells.get(key, _EMPTY)

    def __setitem__(self, key: str, cell: Cell) -> None:
        self._cells[key] = cell
        self.known |= _with_earlier(cell.turns.values())

    def take(self, document: Sequence[Shown], found: Mapping[str, Turn] | None = None, *, whole: bool = False) -> int:
        """Take in a document: its order, and the turns of cells that are not known yet; otherwise memory wins.

        Parameters
        ----------
        document
            The cells as they stand on the page, or as they were saved.
        found
            Turns that the file holds, by id.
        whole
            Whether there are no other cells: a page shows all, a file only those that were saved.

        Returns
        -------
        int
            How many complete turns came in.
        """
        shown = {cell.id: cell.turns for cell in document}
        self._order = {cell: place for place, cell in enumerate(shown)}
        self._listed |= self._order.keys() | (self._cells.keys() if whole else set())
        unseen = {name: turn for name, turn in (found or {}).items() if name not in self.known}
        self.known |= _with_earlier(unseen.values())
        return sum(self._take_cell(cell, unseen, shown) for cell in document if cell.turns)

    def _take_cell(self, cell: Shown, unseen: Mapping[str, Turn], shown: Mapping[str, Sequence[str]]) -> int:
        """Take a cell's turns over if it is new, or if another kernel has asked in it since."""
        turns = [self.known[turn] for turn in dict.fromkeys(cell.turns) if turn in self.known]
        mine = self._cells.get(cell.id)
        if not turns or (mine is not None and not _newer(turns, mine, unseen)):
            return 0
        moved = {turn.turn for turn in turns}
        if mine is None and not moved <= unseen.keys():  # whoever holds what was never seen before shows it, too
            self._leave_former_owner(moved, shown)
        self[cell.id] = Cell(turns=dict(enumerate(turns)))
        return len(self[cell.id].standing)

    def _leave_former_owner(self, moved: set[str], shown: Mapping[str, Sequence[str]]) -> None:
        """Take turns from a cell whose output is seen elsewhere and no longer there: split, or copied and deleted.

        Where a cell that holds them shows them still, they were only copied.
        """
        moved = self._ids(moved)
        owners = [owner for owner in self._cells if not moved.isdisjoint(self._ids(self[owner].turn_ids))]
        if any(not moved.isdisjoint(self._ids(shown.get(owner, ()))) for owner in owners):
            return
        for owner in owners:
            cell = self._cells[owner]
            if owner in shown:
                left = {place: turn for place, turn in complete(cell.turns).items() if turn.turn not in moved}
                self._cells[owner] = replace(cell, turns=left)
            else:
                self._listed.add(owner)  # deleted before it was ever saved

    def _ids(self, turns: Iterable[str]) -> set[str]:
        """Return the ids of turns, and of those that failed ones did not erase: their outputs carry these, too."""
        return set(_with_earlier(self.known[turn] for turn in turns if turn in self.known))

    def rename(self, old: str, new: str) -> None:
        """Let a cell go by another id: front ends need not use those of the file."""
        cell = self._cells.pop(old, None)
        if cell is not None:
            self._cells.setdefault(new, cell)

    def number(self, cell: str, number: int | None) -> None:
        """Note the number of a cell's last run, as the file has it."""
        if cell in self._cells:
            self._cells[cell] = replace(self._cells[cell], number=number)

    def ran(self, key: str) -> None:
        """Take in that a cell runs, so that it is not deleted: an undo brought it back, if it was."""
        if key not in self._order:
            self._listed.discard(key)
        if len(self.known) > self._many:
            self._forget()

    def _forget(self) -> None:
        """Let the oldest turns go that no cell holds: a kernel that asks for days does not grow for days."""
        held = _with_earlier(
            turn for cell in self._cells.values() for turn in (*cell.turns.values(), *cell.before.values())
        )
        others = [name for name in self.known if name not in held]
        for name in others[:-_OTHERS_KEPT]:
            del self.known[name]
        self._many = len(self.known) + _OTHERS_KEPT

    @property
    def shown(self) -> Collection[str]:
        """All cells that the document shows, in its order."""
        return self._order.keys()

    def standing(self) -> list[str]:
        """Return the cells that are there, in order: those shown as shown, then those never shown as first run."""
        shown = [cell for cell in self._order if cell in self._cells]
        return shown + [cell for cell in self._cells if cell not in self._listed]

    def above(self, key: str) -> list[str]:
        """Return the cells that stand above one."""
        if key in self._order:
            return [other for other in islice(self._order, self._order[key]) if other in self._cells]
        cells = self.standing()
        return cells[: cells.index(key)] if key in cells else cells

    def above_run(self, run: Run) -> list[Cell]:
        """Return the cells above a run, and its own as far as it has come."""
        above = [self[cell] for cell in self.above(run.cell)]
        here = self[run.cell]
        if here.run_id == run.id:
            kept = {place: turn for place, turn in complete(here.turns).items() if place < here.next_place}
            above.append(replace(here, turns=kept))
        return above

    def restored_into(self, edit: Edit, stands_in: str) -> list[str]:
        """Return the cells whose answers an undo had brought back, if they were not asked again since."""
        if ":" in edit.cell:  # VS Code's own id, which is not the file's
            return [cell for cell in self.shown if edit.turns and self[cell].turn_ids == set(edit.turns)]
        if edit.cell not in self.shown:
            return []
        shown = self[edit.cell].turn_ids
        expected = {*edit.turns, *(turn.turn for turn in edit.restored.values())}
        cleared = not shown and (not edit.turns or edit.cell == stands_in)
        return [edit.cell] if cleared or (shown and shown <= expected) else []

    def is_above(self, cell: str, other: str) -> bool:
        """Say whether a cell of the document stands above another one."""
        below = len(self._order)
        return self._order.get(cell, below) < self._order.get(other, below)


def _with_earlier(turns: Iterable[Turn]) -> dict[str, Turn]:
    """Return turns by their ids, and those that failed ones did not erase: copies of cells may show either again."""
    return {one.turn: one for turn in turns for one in (turn, *turn.earlier.values())}


def _newer(turns: Sequence[Turn], mine: Cell, unseen: Mapping[str, Turn]) -> bool:
    """Say whether a file shows a turn that this kernel never had and that is newer than all it has in this cell."""
    newest = max((turn.created or "" for turn in mine.turns.values()), default="")
    return bool(newest) and any(turn.turn in unseen and (turn.created or "") >= newest for turn in turns)


_EMPTY = Cell()
