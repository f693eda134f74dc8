"""What a conversation is told and what it answers. Pure, no input or output."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mixroute_magic.conversation.records import RESTORE, Edit, now
from mixroute_magic.conversation.turn import contexts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mixroute_magic.conversation.turn import Turn

__all__ = ["CellChange", "Line", "Run", "Undone", "lines", "restoring"]


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


@dataclass(frozen=True, slots=True)
class CellChange:
    """What a cell held before it changed."""

    cell: str
    turns: Mapping[int, Turn]


def lines(standing: Sequence[tuple[int | None, Turn]]) -> list[Line]:
    """Return a line for each turn of a thread: a real one is not stale for a demo's above it, which no model saw."""
    everything = contexts(turn for _, turn in standing)
    real = contexts(turn for _, turn in standing if not turn.demo)
    found, above_real = [], next(real)
    for (number, turn), above in zip(standing, everything, strict=False):
        stale = turn.context not in {None, above if turn.demo else above_real}
        found.append(Line(turn, number, stale))
        above_real = above_real if turn.demo else next(real)
    return found


def restoring(cell: str, gone: Mapping[int, Turn], back: Mapping[int, Turn]) -> Undone:
    """Return what there is to tell of turns that stand in a cell instead of others."""
    named = tuple(turn.turn for turn in gone.values())
    record = Edit(id=uuid.uuid4().hex, created=now(), action=RESTORE, turns=named, cell=cell, restored=back)
    return Undone(record, cell=cell, gone=gone, back=back)
