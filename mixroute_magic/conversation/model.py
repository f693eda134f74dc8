"""The conversation: turns, the cells they belong to, and what stands above a cell. Pure, but for `Conversation.read`.

A turn belongs to a cell and to its place in that cell's run, so that two ``%chat`` in one cell are two turns, and a
re-run replaces its own turns and no others.
"""

from __future__ import annotations

import threading
import uuid
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mixroute_magic.conversation.cells import Cell, Cells
from mixroute_magic.conversation.edits import Edits
from mixroute_magic.conversation.pictures import saved_images
from mixroute_magic.conversation.reading import read_cells
from mixroute_magic.conversation.records import RESTORE, Edit, read_all
from mixroute_magic.conversation.turn import COMPLETE, Turn, answer_to, complete
from mixroute_magic.conversation.values import CellChange, Line, Run, Undone, lines, restoring
from mixroute_magic.parts import images_in, with_bytes

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from mixroute_magic.conversation.cells import Shown
    from mixroute_magic.conversation.journal import Kept
    from mixroute_magic.conversation.saved import SavedCell
    from mixroute_magic.wire import Message

__all__ = ["Conversation", "Line", "Run", "Undone"]

_CHANGES_KEPT = 100


class Conversation:
    """All threads of one notebook.

    The magics keep one for each notebook. From Python, `read` one from a file: it holds what a kernel that opens the
    notebook would restore, edits with ``%thread`` included.

    Examples
    --------
    >>> from mixroute_magic import Client, Conversation
    >>> conversation = Conversation.read("talk.ipynb")
    >>> conversation.threads()
    {'main': 2}
    >>> for turn in conversation.thread("main"):
    ...     print(turn.model, turn.question, turn.usage.output_tokens)
    glm-5 Who was Ada Lovelace? 21
    glm-5 When did she live? 12

    Its messages are what a model would see next, so that a client can go on from there:

    >>> question = {"role": "user", "content": "Where?"}
    >>> with Client() as client:
    ...     reply = client.chat([*conversation.messages("main"), question], model="glm-5")
    """

    def __init__(self, images: Callable[[], Mapping[str, bytes]] = dict) -> None:
        self._cells = Cells()
        self._lock = threading.Lock()  # for those who ask from several threads of the process
        self._edits = Edits()
        self._changes: deque[CellChange | Edit] = deque(maxlen=_CHANGES_KEPT)
        self._restored: deque[CellChange | Edit] = deque()  # edits that were made before the restart
        self._images = images

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.threads()})"

    # From Python

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Conversation:
        """Read the conversation of a saved notebook, or of a ``.json`` file that ``%thread --export`` wrote.

        What is not a turn of this version of the package is left out.

        Raises
        ------
        HistoryError
            If the file cannot be read, or is neither.
        """
        return cls.of(read_cells(Path(path)), lambda: saved_images(Path(path)))

    @classmethod
    def of(cls, cells: Sequence[SavedCell], images: Callable[[], Mapping[str, bytes]] = dict) -> Conversation:
        """Return the conversation that cells hold which were read from a file, which has ``images`` by their hash."""
        conversation = cls(images)
        records = [(cell.id, record) for cell in cells for record in cell.records]
        turns = [turn for _, record in records if (turn := Turn.from_metadata(record)) is not None]
        conversation.take(cells, {turn.turn: turn for turn in turns})
        told = [(cell, entry) for cell, record in records for entry in read_all(record)]
        conversation.restore_edits((cell, edit) for cell, edit in told if isinstance(edit, Edit))
        return conversation

    def threads(self) -> dict[str, int]:
        """Return the threads by name, each with the number of its complete turns."""
        turns = self._standing()
        names = [*(turn.thread for turn in turns), *(name for turn in turns for name in turn.also_in)]
        counts = dict.fromkeys([*names, *self._edits.forks], 0)
        for name in (name for turn in turns for name in self._edits.threads_of(turn)):
            counts[name] += 1
        return counts

    def count(self) -> int:
        """Return how many complete turns stand in any thread."""
        return len({turn.turn for turn in self._standing() if self._edits.threads_of(turn)})

    def thread(self, name: str = "main") -> list[Turn]:
        """Return all complete turns of a thread, in the document's order."""
        return [turn for turn in self._standing() if self._edits.stands_in(turn, name)]

    def messages(self, thread: str = "main") -> list[Message]:
        """Return all messages of a thread, as a question below the last cell would send them along.

        Reasoning, and system prompts for one turn alone, are not among them; images are, if the file shows them.
        """
        messages = [message for turn in self.thread(thread) for message in turn.exchange]
        known = self._images() if images_in(messages) else {}
        return list(with_bytes(messages, lambda image: known.get(image.sha256)))

    # The document

    def take(self, document: Sequence[Shown], found: Mapping[str, Turn] | None = None, *, whole: bool = False) -> int:
        """Take in a document, as `Cells.take` does."""
        return self._cells.take(document, found, whole=whole)

    def knows(self, turn: str) -> bool:
        """Say whether a turn was ever part of it."""
        return turn in self._cells.known

    def turn_ids(self, cell: str) -> set[str]:
        """Return the ids of the turns that a cell holds."""
        return self._cells[cell].turn_ids

    def rename(self, old: str, new: str) -> None:
        """Let a cell go by another id: front ends need not use those of the file."""
        self._cells.rename(old, new)

    def number(self, cell: str, number: int | None) -> None:
        """Note the number of a cell's last run, as the file has it."""
        self._cells.number(cell, number)

    def is_above(self, cell: str, run: Run) -> bool:
        """Say whether a cell of the document stands above the running one."""
        return self._cells.is_above(cell, run.cell)

    def places(self, run: Run) -> int | None:
        """Return how many turns a run has asked; ``None`` where it asked none."""
        cell = self._cells[run.cell]
        return cell.next_place if cell.run_id == run.id else None

    # What stands above

    def above(self, run: Run, thread: str) -> list[Turn]:
        """Return the complete turns that stand above: of the cells above, and of this run of this cell so far."""
        standing = (turn for cell in self._cells.above_run(run) for turn in cell.standing)
        return [turn for turn in standing if self._edits.stands_in(turn, thread)]

    def lines(self, run: Run, thread: str) -> list[Line]:
        """Return the turns that stand above, each with what there is to know of it."""
        standing = ((cell.number, turn) for cell in self._cells.above_run(run) for turn in cell.standing)
        return lines([(number, turn) for number, turn in standing if self._edits.stands_in(turn, thread)])

    def answer(self, number: int) -> str | None:
        """Return the last answer of the cell that this kernel ran under a number, or ``None``."""
        mine = (self._cells[key] for key in self._cells.standing())
        turns = (cell.standing[-1] for cell in mine if cell.run_id and cell.number == number and cell.standing)
        return next((turn.messages[-1].text for turn in turns), None)

    def own(self, run: Run, thread: str) -> list[Turn]:
        """Return the turns from which a run's first question can go on: its cell's, a last partial one included."""
        cell = self._cells[run.cell]
        if cell.run_id == run.id:
            return []
        turns = complete(cell.turns)
        if cell.turns:
            place, last = list(cell.turns.items())[-1]
            if last.answered:
                turns = {kept: turn for kept, turn in turns.items() if kept < place} | {place: last}
        return [turn for turn in turns.values() if self._edits.stands_in(turn, thread)]

    def recorded(self, run: Run, request_hash: str, besides: Collection[str] = ()) -> Turn | None:
        """Return a complete answer to just this request, ``besides`` those with these ids.

        The cell's own at this place goes before the notebook's newest.
        """
        cell = self._cells[run.cell]
        before, place = (cell.before, cell.next_place) if cell.run_id == run.id else (cell.turns, 0)
        mine = complete(before).get(place)
        known = [*([mine] if mine is not None else []), *reversed(self._cells.known.values())]
        return answer_to(known, request_hash, besides)

    # Asking

    def begin(self, run: Run) -> int:
        """Begin a turn and return its place in the cell; the first of a run puts the cell's earlier turns aside."""
        with self._lock:
            self._cells.ran(run.cell)
            cell = self._cells[run.cell]
            if cell.run_id != run.id:
                # Of a run that was interrupted before it recorded anything, what it had put aside.
                cell = Cell(run.id, run.number, before=cell.turns or cell.before)
            self._cells[run.cell] = replace(cell, next_place=cell.next_place + 1)
            return cell.next_place

    def record(self, run: Run, place: int, turn: Turn) -> tuple[Turn, int]:
        """End a turn; return it as it is kept, and how many complete turns it replaced.

        One that failed or was interrupted replaces none: it carries those that the run would have replaced.
        """
        with self._lock:
            cell = self._cells[run.cell]
            before = complete(cell.before)
            if turn.status != COMPLETE:
                turn = replace(turn, earlier={later: left for later, left in before.items() if later >= place})
            turn = replace(turn, also_in=self._edits.inherited(before.get(place), turn.thread))
            replaced = 0
            if turn.status == COMPLETE and not cell.replaced and before and not turn.repeats(before.get(place)):
                replaced = len(before)
                self._changes.append(CellChange(run.cell, cell.before))
            turns = dict(sorted({**cell.turns, place: turn}.items()))  # of two at once, the first may end last
            self._cells[run.cell] = replace(cell, turns=turns, replaced=cell.replaced or replaced > 0)
        return turn, replaced

    def left(self, run: Run) -> None:
        """Take the turns of a cell out that ran to its end and asked nothing: they no longer stand there."""
        cell = self._cells[run.cell]
        if cell.standing:
            self._changes.append(CellChange(run.cell, cell.turns))
        self._cells[run.cell] = Cell(run.id, run.number)

    # Editing

    def forked(self) -> dict[tuple[str, str], Edit]:
        """Return the edits by which cells once began threads, by cell and thread."""
        return self._edits.forked()

    def fork(self, run: Run, thread: str, name: str) -> Edit:
        """Begin a thread with the turns of another one that stand above."""
        return self._changed(self._edits.fork(run.cell, name, thread, self.above(run, thread)))

    def rewind(self, run: Run, thread: str, count: int) -> Edit:
        """Take the last turns that stand above out of a thread."""
        return self._changed(self._edits.forget(thread, self.above(run, thread)[-count:]))

    def clear(self, thread: str) -> Edit:
        """Take all turns out of a thread."""
        return self._changed(self._edits.forget(thread, self.thread(thread)))

    def compared(self, run: Run, thread: str) -> Turn | None:
        """Return the nearest turn above that several models answered."""
        return next((turn for turn in reversed(self.above(run, thread)) if turn.alternatives), None)

    def keep(self, turn: Turn, thread: str, place: int) -> Undone:
        """Let another alternative of a standing turn go on in the conversation: as a new turn, in the place of that."""
        key, where = next(
            (cell, where)
            for cell in self._cells.standing()
            for where, standing in complete(self._cells[cell].turns).items()
            if standing.turn == turn.turn
        )
        stands_in = turn.thread if self._edits.stands_in(turn, turn.thread) else thread
        turn = replace(turn, thread=stands_in, also_in=self._edits.inherited(turn, stands_in))
        cell = self._cells[key]
        self._changes.append(CellChange(key, cell.turns))
        kept = turn.keeping(place, uuid.uuid4().hex)
        turns = complete(cell.turns) | {where: kept}
        self._cells[key] = replace(cell, turns=turns)
        gone = {where: cell.turns.get(where, turn)}
        return replace(restoring(key, cell.turns, turns), gone=gone, back={where: kept})

    def undo(self, *, restored: bool = False) -> Undone | None:
        """Take back the last replacement or edit; or the last ``restored`` edit; ``None`` where there is none."""
        changes = self._restored if restored else self._changes
        if not changes:
            return None
        change = changes.pop()
        if isinstance(change, Edit):
            return Undone(self._edits.undo(change), edit=change)
        return self._put_back(change.cell, complete(change.turns))

    def bring_back(self, found: Mapping[str, Mapping[int, Turn]]) -> list[Undone]:
        """Put turns that the journal kept back into their cells, where these are there and hold none."""
        cells = [cell for cell in self._cells.shown if cell in found and not self.turn_ids(cell)]
        return [self._put_back(cell, found[cell]) for cell in cells]

    def broken_off(self, kept: Kept) -> bool:
        """Put an answer that a killed kernel was writing into its cell, if that is there; it erases nothing."""
        if kept.cell not in self._cells.shown:
            return False
        cell = self._cells[kept.cell]
        left = {place: turn for place, turn in complete(cell.turns).items() if place >= kept.place}
        so_far = {place: turn for place, turn in cell.turns.items() if place < kept.place}
        self._cells[kept.cell] = replace(cell, turns={**so_far, kept.place: replace(kept.turn, earlier=left)})
        return True

    def restore_edits(self, edits: Iterable[tuple[str, Edit]]) -> None:
        """Apply the edits that a file holds, with the cells in which they were made."""
        made = sorted(edits, key=lambda entry: entry[1].created)
        self._restored.extend(self._edits.restore(made))
        for stands_in, edit in ((cell, edit) for cell, edit in made if edit.action == RESTORE):
            for cell in self._cells.restored_into(edit, stands_in):
                self._cells[cell] = replace(self._cells[cell], turns=edit.restored)

    def _put_back(self, key: str, turns: Mapping[int, Turn]) -> Undone:
        gone = self._cells[key].turns
        self._cells[key] = Cell(number=self._cells[key].number, turns=turns)
        return restoring(key, gone, complete(turns))

    def _changed(self, edit: Edit) -> Edit:
        self._changes.append(edit)
        return edit

    def _standing(self) -> list[Turn]:
        return [turn for cell in self._cells.standing() for turn in self._cells[cell].standing]
