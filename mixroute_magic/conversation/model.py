"""The conversation: turns, the cells they belong to, and what stands above a cell. Pure, no input or output.

A turn belongs to a cell and to its place in that cell's run, so that two ``%chat`` in one cell are two turns, and a
re-run replaces its own turns and no others. Order is the document's, as a page or a file last showed it; cells that it
does not know yet follow in the order of their first run.
"""

from __future__ import annotations

import uuid
from collections import deque
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from mixroute_magic.conversation.edits import Edits
from mixroute_magic.conversation.records import RESTORE, Edit, now
from mixroute_magic.conversation.turn import COMPLETE, Turn, complete, contexts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mixroute_magic.conversation.journal import Kept

__all__ = ["Conversation", "Line", "Run", "Shown", "Undone"]

_CHANGES_KEPT = 100


class Shown(Protocol):
    """A cell as a page or a file shows it: its id, and the ids of the turns in its outputs."""

    @property
    def id(self) -> str:
        """The cell's id."""

    @property
    def turns(self) -> Sequence[str]:
        """The ids of its turns."""


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of one cell: an id that no other execution has, its cell and its number as far as known."""

    id: str
    cell_id: str | None = None
    number: int | None = None

    @property
    def cell(self) -> str:
        """The key of the cell; without an id from the front end every execution is a cell of its own."""
        return self.cell_id or f"execution {self.id}"


@dataclass(frozen=True, slots=True)
class Line:
    """A turn that stands in a thread: the number of its cell's last run, and whether another context made it stale."""

    turn: Turn
    number: int | None
    stale: bool


@dataclass(frozen=True, slots=True)
class Undone:
    """What an undo did, for the person and for the notebook: in a cell, or to a thread (``cell`` is ``None``)."""

    record: Edit
    cell: str | None = None
    gone: Mapping[int, Turn] = field(default_factory=dict)
    back: Mapping[int, Turn] = field(default_factory=dict)
    edit: Edit | None = None


@dataclass(frozen=True)
class _Cell:
    """The turns of one cell by their place in its newest run, and those that stood there before this run."""

    run_id: str = ""
    number: int | None = None
    turns: Mapping[int, Turn] = field(default_factory=dict)
    before: Mapping[int, Turn] = field(default_factory=dict)
    next_place: int = 0
    replaced: bool = False

    @cached_property
    def standing(self) -> tuple[Turn, ...]:
        """What it contributes to its threads; worked out once, since every cell below asks for it."""
        return tuple(complete(self.turns).values())


@dataclass(frozen=True, slots=True)
class _CellChange:
    """What a cell held before it changed."""

    cell: str
    turns: Mapping[int, Turn]


class Conversation:
    """All threads of one notebook."""

    def __init__(self) -> None:
        self._cells: dict[str, _Cell] = {}  # in the order of their first run
        self._order: dict[str, int] = {}
        self._listed: set[str] = set()  # cells that a document once showed: missing in the next, they are deleted
        self._known: dict[str, Turn] = {}  # all turns ever, by id: copies of cells show them again
        self._edits = Edits()
        self._changes: deque[_CellChange | Edit] = deque(maxlen=_CHANGES_KEPT)

    # The document

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
        unseen = {name: turn for name, turn in (found or {}).items() if name not in self._known}
        self._known |= unseen
        return sum(self._take_cell(cell, unseen, shown) for cell in document if cell.turns)

    def _take_cell(self, cell: Shown, unseen: Mapping[str, Turn], shown: Mapping[str, Sequence[str]]) -> int:
        """Take a cell's turns over if it is new, or if another kernel has asked in it since."""
        turns = [self._known[turn] for turn in dict.fromkeys(cell.turns) if turn in self._known]
        mine = self._cells.get(cell.id)
        if not turns or (mine is not None and not _newer(turns, mine, unseen)):
            return 0
        moved = {turn.turn for turn in turns}
        if mine is None and not moved <= unseen.keys():  # whoever holds what was never seen before shows it, too
            self._leave_former_owner(moved, shown)
        self._cells[cell.id] = _Cell(turns=dict(enumerate(turns)), next_place=len(turns))
        return len(self._cells[cell.id].standing)

    def _leave_former_owner(self, moved: set[str], shown: Mapping[str, Sequence[str]]) -> None:
        """Take turns from a cell whose output is seen elsewhere and no longer there: split, or copied and deleted."""
        for owner, cell in self._cells.items():
            if moved.isdisjoint(shown.get(owner, moved)):
                left = {place: turn for place, turn in cell.turns.items() if turn.turn not in moved}
                self._cells[owner] = replace(cell, turns=left)

    def knows(self, turn: str) -> bool:
        """Say whether a turn was ever part of it."""
        return turn in self._known

    def rename(self, old: str, new: str) -> None:
        """Let a cell go by another id: front ends need not use those of the file."""
        cell = self._cells.pop(old, None)
        if cell is not None:
            self._cells.setdefault(new, cell)

    def turn_ids(self, cell: str) -> set[str]:
        """Return the ids of the turns that a cell holds."""
        return {turn.turn for turn in self._cells[cell].turns.values()} if cell in self._cells else set()

    def places(self, run: Run) -> int | None:
        """Return how many turns a run has asked; ``None`` where it asked none."""
        cell = self._cells.get(run.cell)
        return cell.next_place if cell is not None and cell.run_id == run.id else None

    def number(self, cell: str, number: int | None) -> None:
        """Note the number of a cell's last run, as the file has it."""
        if cell in self._cells and self._cells[cell].number is None:
            self._cells[cell] = replace(self._cells[cell], number=number)

    # What stands above

    def above(self, run: Run, thread: str) -> list[Turn]:
        """Return the complete turns that stand above: of the cells above, and of this run of this cell so far."""
        return [turn for cell in self._above(run) for turn in cell.standing if self._edits.stands_in(turn, thread)]

    def lines(self, run: Run, thread: str) -> list[Line]:
        """Return the turns that stand above, each with what there is to know of it."""
        standing = ((cell.number, turn) for cell in self._above(run) for turn in cell.standing)
        found = [(number, turn) for number, turn in standing if self._edits.stands_in(turn, thread)]
        everything = contexts(turn for _, turn in found)
        real = contexts(turn for _, turn in found if not turn.demo)
        lines, above_real = [], next(real)
        for (number, turn), above in zip(found, everything, strict=False):
            stale = turn.context not in {None, above if turn.demo else above_real}
            lines.append(Line(turn, number, stale))
            above_real = above_real if turn.demo else next(real)
        return lines

    def thread(self, name: str) -> list[Turn]:
        """Return all complete turns of a thread, in the document's order."""
        return [turn for turn in self._standing() if self._edits.stands_in(turn, name)]

    def threads(self) -> dict[str, int]:
        """Return the threads by name, each with the number of its complete turns."""
        turns = self._standing()
        names = dict.fromkeys([turn.thread for turn in turns] + [name for turn in turns for name in turn.also_in])
        return {name: sum(self._edits.stands_in(turn, name) for turn in turns) for name in [*names, *self._edits.forks]}

    def own(self, run: Run, thread: str) -> list[Turn]:
        """Return the turns from which a run's first question can go on: its cell's, a last partial one included."""
        cell = self._cells.get(run.cell)
        if cell is None or cell.run_id == run.id:
            return []
        turns = complete(cell.turns)
        if cell.turns:
            place, last = list(cell.turns.items())[-1]
            if last.answered:
                turns = {kept: turn for kept, turn in turns.items() if kept < place} | {place: last}
        return [turn for turn in turns.values() if self._edits.stands_in(turn, thread)]

    def recorded(self, run: Run, request_hash: str) -> Turn | None:
        """Return a complete turn that was asked just so: the cell's own at this place, else the notebook's newest."""
        cell = self._cells.get(run.cell, _Cell())
        before, place = (cell.before, cell.next_place) if cell.run_id == run.id else (cell.turns, 0)
        mine = complete(before).get(place)
        same = [turn for turn in reversed(self._known.values()) if turn.request_hash == request_hash]
        if mine is not None and mine.request_hash == request_hash:
            return mine
        return next((turn for turn in same if turn.status == COMPLETE), None)

    # Asking

    def begin(self, run: Run) -> int:
        """Begin a turn and return its place in the cell; the first of a run puts the cell's earlier turns aside."""
        if run.cell not in self._order:
            self._listed.discard(run.cell)  # it runs, so it is not deleted: an undo brought it back
        cell = self._cells.get(run.cell)
        if cell is None or cell.run_id != run.id:
            cell = _Cell(run.id, run.number, before=cell.turns if cell else {})
        self._cells[run.cell] = replace(cell, next_place=cell.next_place + 1)
        return cell.next_place

    def record(self, run: Run, place: int, turn: Turn) -> tuple[Turn, int]:
        """End a turn; return it as it is kept, and how many complete turns it replaced.

        One that failed or was interrupted replaces none: it carries those that the run would have replaced.
        """
        cell = self._cells[run.cell]
        before = complete(cell.before)
        if turn.status != COMPLETE:
            turn = replace(turn, earlier={later: left for later, left in before.items() if later >= place})
        turn = replace(turn, also_in=self._edits.inherited(before.get(place), turn.thread))
        self._known[turn.turn] = turn
        replaced = 0
        if turn.status == COMPLETE and not cell.replaced and before and not _same(turn, before.get(place)):
            replaced = len(before)
            self._changes.append(_CellChange(run.cell, cell.before))
        self._cells[run.cell] = replace(cell, turns={**cell.turns, place: turn}, replaced=cell.replaced or replaced > 0)
        return turn, replaced

    def left(self, run: Run) -> None:
        """Take the turns of a cell out that ran to its end and asked nothing: they no longer stand there."""
        cell = self._cells.get(run.cell)
        if cell is not None and cell.standing:
            self._changes.append(_CellChange(run.cell, cell.turns))
        self._cells[run.cell] = _Cell(run.id, run.number)

    # Editing

    def forked_in(self, run: Run, name: str) -> Edit | None:
        """Return the edit by which the running cell once began a thread."""
        return self._edits.forked_in(run.cell, name)

    def fork(self, run: Run, thread: str, name: str) -> Edit:
        """Begin a thread with the turns of another one that stand above."""
        return self._changed(self._edits.fork(run.cell, name, thread, self.above(run, thread)))

    def rewind(self, run: Run, thread: str, count: int) -> Edit:
        """Take the last turns that stand above out of a thread."""
        return self._changed(self._edits.forget(thread, self.above(run, thread)[-count:]))

    def clear(self, thread: str) -> Edit:
        """Take all turns out of a thread."""
        return self._changed(self._edits.forget(thread, self.thread(thread)))

    def undo(self) -> Undone | None:
        """Take back the last replacement or edit; ``None`` where there is none."""
        if not self._changes:
            return None
        change = self._changes.pop()
        if isinstance(change, Edit):
            return Undone(self._edits.undo(change), edit=change)
        return self._put_back(change.cell, change.turns)

    def bring_back(self, found: Mapping[str, Mapping[int, Turn]]) -> list[Undone]:
        """Put turns that the journal kept back into their cells, where these are there and hold none."""
        cells = [cell for cell in self._order if cell in found and not self.turn_ids(cell)]
        self._known |= {turn.turn: turn for cell in cells for turn in found[cell].values()}
        return [self._put_back(cell, found[cell]) for cell in cells]

    def broken_off(self, kept: Kept) -> bool:
        """Put an answer that a killed kernel was writing into its cell, if that is there; it erases nothing."""
        if kept.cell not in self._order:
            return False
        cell = self._cells.get(kept.cell, _Cell())
        left = {place: turn for place, turn in complete(cell.turns).items() if place >= kept.place}
        so_far = {place: turn for place, turn in cell.turns.items() if place < kept.place}
        self._cells[kept.cell] = replace(cell, turns={**so_far, kept.place: replace(kept.turn, earlier=left)})
        return True

    def restore_edits(self, edits: Iterable[tuple[str, Edit]]) -> None:
        """Apply the edits that a file holds, with the cells in which they were made."""
        made = sorted(edits, key=lambda entry: entry[1].created)
        self._edits.restore(made)
        for edit in (edit for _, edit in made if edit.action == RESTORE):
            for key, cell in self._cells.items():
                if edit.turns and set(edit.turns) == self.turn_ids(key):
                    self._cells[key] = replace(cell, turns=edit.restored)
            if not edit.turns and edit.cell in self._order and not self.turn_ids(edit.cell):
                self._cells[edit.cell] = _Cell(turns=edit.restored, next_place=len(edit.restored))

    def _put_back(self, key: str, turns: Mapping[int, Turn]) -> Undone:
        gone = self._cells[key].turns if key in self._cells else {}
        self._cells[key] = _Cell(
            number=self._cells[key].number if key in self._cells else None, turns=dict(turns), next_place=len(turns)
        )
        named = tuple(turn.turn for turn in gone.values())
        restored = complete(turns)
        where = "" if named else key
        record = Edit(id=uuid.uuid4().hex, created=now(), action=RESTORE, turns=named, cell=where, restored=restored)
        return Undone(record, cell=key, gone=gone, back=complete(turns))

    def _changed(self, edit: Edit) -> Edit:
        self._changes.append(edit)
        return edit

    # Order

    def _above(self, run: Run) -> list[_Cell]:
        """Return the cells above, and this one as far as this run of it has come."""
        above = [self._cells[cell] for cell in self._cells_above(run.cell)]
        here = self._cells.get(run.cell)
        if here is not None and here.run_id == run.id:
            kept = complete({place: turn for place, turn in here.turns.items() if place < here.next_place})
            above.append(replace(here, turns={place: turn for place, turn in kept.items() if place < here.next_place}))
        return above

    def _standing(self) -> list[Turn]:
        return [turn for cell in self._document() for turn in self._cells[cell].standing]

    def _document(self) -> list[str]:
        """Return the cells that are there, in order: those shown as shown, then those never shown as first run."""
        shown = [cell for cell in self._order if cell in self._cells]
        return shown + [cell for cell in self._cells if cell not in self._listed]

    def is_above(self, cell: str, run: Run) -> bool:
        """Say whether a cell of the document stands above the running one."""
        below = len(self._order)
        return self._order.get(cell, below) < self._order.get(run.cell, below)

    def _cells_above(self, cell: str) -> list[str]:
        if cell in self._order:
            return [other for other in islice(self._order, self._order[cell]) if other in self._cells]
        cells = self._document()
        return cells[: cells.index(cell)] if cell in cells else cells


def _newer(turns: Sequence[Turn], mine: _Cell, unseen: Mapping[str, Turn]) -> bool:
    """Say whether a file shows a turn that this kernel never had and that is newer than all it has in this cell."""
    newest = max((turn.created or "" for turn in mine.turns.values()), default="")
    return bool(newest) and any(turn.turn in unseen and (turn.created or "") > newest for turn in turns)


def _same(turn: Turn, former: Turn | None) -> bool:
    """Say whether a turn only repeats the one it replaces, as a replay does."""
    return former is not None and turn.replayed and turn.messages == former.messages
