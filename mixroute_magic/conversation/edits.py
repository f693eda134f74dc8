"""Which threads a turn stands in, once threads were forked, rewound and cleared. Pure, no input or output."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from mixroute_magic.conversation.records import FORGET, FORK, UNDO, Edit, now

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mixroute_magic.conversation.turn import Turn

__all__ = ["Edits"]


class Edits:
    """The edits of one notebook's threads, in the order in which they were made."""

    def __init__(self) -> None:
        self._edits: list[Edit] = []
        self._made_in: dict[str, set[str]] = {}  # the cells, by fork
        self._former: dict[str, tuple[int, Edit]] = {}  # by fork: the one that it began anew, and where that stood
        self._forked: dict[str, set[str]] = {}
        self._forks_of: dict[str, list[str]] = {}  # the same by turn
        self._forgotten: dict[str, set[str]] = {}

    @property
    def forks(self) -> Iterable[str]:
        """The threads that begin as another one."""
        return self._forked

    def stands_in(self, turn: Turn, thread: str) -> bool:
        """Say whether a turn belongs to a thread."""
        if turn.turn in self._forgotten.get(thread, ()):
            return False
        return turn.thread == thread or thread in turn.also_in or turn.turn in self._forked.get(thread, ())

    def inherited(self, former: Turn | None, thread: str) -> tuple[str, ...]:
        """Return the forks in which a replaced turn stood: its successor in ``thread`` stands there, too."""
        if former is None:
            return ()
        forks = {*former.also_in, *(name for name, turns in self._forked.items() if former.turn in turns)}
        return tuple(sorted(name for name in forks - {thread} if self.stands_in(former, name)))

    def threads_of(self, turn: Turn) -> list[str]:
        """Return the threads that a turn belongs to."""
        names = dict.fromkeys([turn.thread, *turn.also_in, *self._forks_of.get(turn.turn, ())])
        return [name for name in names if turn.turn not in self._forgotten.get(name, ())]

    def forked(self) -> dict[tuple[str, str], Edit]:
        """Return the edits that began threads, by cell and thread: a re-run of the cell begins it anew."""
        found: dict[tuple[str, str], Edit] = {}
        for edit in self._edits:
            for cell in self._made_in[edit.id] if edit.action == FORK else ():
                found.setdefault((cell, edit.thread), edit)
        return found

    def fork(self, cell: str, thread: str, parent: str, turns: Sequence[Turn]) -> Edit:
        """Let turns of one thread stand in another, too, instead of those that the same cell once chose."""
        former = self.forked().get((cell, thread))
        place = self._edits.index(former) if former is not None else 0
        if former is not None:
            self._edits.remove(former)
        edit = self._add(FORK, thread, turns, parent)
        self._made_in[edit.id] = {cell}
        if former is not None:
            self._former[edit.id] = (place, former)
        return edit

    def forget(self, thread: str, turns: Sequence[Turn]) -> Edit:
        """Take turns out of a thread."""
        return self._add(FORGET, thread, turns)

    def undo(self, edit: Edit) -> Edit:
        """Take an edit back, and return the edit that says so."""
        self._edits.remove(edit)
        if edit.id in self._former:
            self._edits.insert(*self._former.pop(edit.id))
        self._fold()
        return Edit(id=uuid.uuid4().hex, created=now(), action=UNDO, undoes=edit.id)

    def restore(self, edits: Sequence[tuple[str, Edit]]) -> list[Edit]:
        """Apply the edits that a file holds, with their cells, as they were made; return those that hold."""
        undone = {edit.undoes for _, edit in edits if edit.action == UNDO}
        kept = [(cell, edit) for cell, edit in edits if edit.action in {FORK, FORGET} and edit.id not in undone]
        for cell, edit in kept:  # the same edit may stand in several outputs and in copies of its cell
            self._made_in.setdefault(edit.id, set()).add(cell)
        newest = {(cell, edit.thread): edit.id for cell, edit in kept if edit.action == FORK}
        once = {edit.id: edit for cell, edit in kept if edit.action == FORGET or newest[cell, edit.thread] == edit.id}
        self._edits += once.values()
        self._fold()
        return list(once.values())

    def _add(self, action: str, thread: str, turns: Sequence[Turn], parent: str = "") -> Edit:
        named = tuple(turn.turn for turn in turns)
        edit = Edit(id=uuid.uuid4().hex, created=now(), action=action, thread=thread, parent=parent, turns=named)
        self._edits.append(edit)
        self._fold()
        return edit

    def _fold(self) -> None:
        self._forked, self._forgotten = {}, {}
        for edit in self._edits:
            into, out_of = (self._forked, self._forgotten) if edit.action == FORK else (self._forgotten, self._forked)
            into.setdefault(edit.thread, set()).update(edit.turns)
            out_of.get(edit.thread, set()).difference_update(edit.turns)
        self._forks_of = {}
        for name, turns in self._forked.items():
            for turn in turns:
                self._forks_of.setdefault(turn, []).append(name)
