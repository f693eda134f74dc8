"""The memory of one notebook, kept in step with its page, its file and the journal."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from mixroute_magic.conversation.model import Conversation, Run
from mixroute_magic.conversation.records import Edit, Setting, now, read_all
from mixroute_magic.conversation.saved import SavedNotebook, in_front_end, is_foreign
from mixroute_magic.conversation.turn import VERSION, Turn
from mixroute_magic.tables import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from mixroute_magic.conversation.journal import Journal
    from mixroute_magic.conversation.model import Undone
    from mixroute_magic.conversation.page import Page
    from mixroute_magic.conversation.records import Record
    from mixroute_magic.conversation.saved import SavedCell

__all__ = ["Notebook"]

_ENDED_KEPT, _LATELY = 50, 1800.0  # turns, seconds: what a page that is loaded again may have missed


class Notebook:
    """One notebook of this kernel: its conversation, the thread in use, and what ``%model`` chose."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.journal: Journal | None = None
        self.conversation = Conversation()
        self.thread = "main"
        self.chosen: dict[str, Any] = {}
        self._restored: list[tuple[str, Setting]] = []  # with their cells, in the order in which they were made
        self._left: dict[str, list[dict[str, Any]]] = {}  # the records of each cell's commands
        self._set: set[str] = set()  # what was set in this kernel's life
        self._saved = SavedNotebook(path) if path is not None else None
        self._taken: object = None  # the page or the cells that were last taken in
        self._wanting = False  # whether the page shows turns that are not known
        self._searched: tuple[SavedCell, ...] = ()  # the cells in which they were last looked for
        self._foreign: dict[str, str] = {}  # cells that go by other ids than the file's, with the source last run
        self._news: list[str] = []
        self._outputs: dict[str, str] = {}  # of turns that an undo put into the output of another
        self._offered: dict[str, dict[int, Turn]] = {}
        self._ended: deque[tuple[str, Turn, float]] = deque(maxlen=_ENDED_KEPT)  # by cell, with the time

    def signed(self, run: Run, record: Record | None, instead_of: Record | None = None) -> dict[str, Any] | None:
        """Return what a cell's output carries: its record, and those that the cell has left before.

        A cell is run again, and used for another command, while what it did still holds. Only what it set a moment
        ago, and sets anew now, holds no more.
        """
        left = self._left.get(run.cell, [])
        if instead_of is not None and (dropped := instead_of.to_metadata()) in left:
            left.remove(dropped)
        before = list(left)
        if record is None and not before:
            return None
        if record is not None:
            self._carry_on(run.cell, record)
        return (record or Setting(created=now())).to_metadata() | ({"before": before} if before else {})

    def _carry_on(self, cell: str, record: Record) -> None:
        """Remember what a cell's command left; what it brought back into the cell itself goes with its next run."""
        left, metadata = self._left.setdefault(cell, []), record.to_metadata()
        if metadata not in left and getattr(record, "cell", "") != cell:
            left.append(metadata)

    def choose(self, chosen: dict[str, Any]) -> None:
        """Ask so from now on."""
        self.chosen = chosen
        self._set.add("chosen")

    def use(self, thread: str) -> None:
        """Go on with a thread."""
        self.thread = thread
        self._set.add("thread")

    def refresh(self, page: Page | None, run: Run, source: str) -> None:
        """Take in the notebook as it stands on the page, or as it was last saved."""
        if self._saved is None:
            return
        if self._taken is None:
            self._restore(self._saved.cells())
        foreign = run.cell_id is not None and is_foreign(run.cell_id, self._saved.known)
        if run.cell_id is not None and foreign and self._foreign.get(run.cell_id) != source:
            self._foreign[run.cell_id] = source
            self._taken = ()  # the file is taken in once more, to find this cell there
        if page is None:
            self._take_file(self._saved.cells())
        elif page is not self._taken or self._wanting:
            self._take_page(page)
        self._recall(run)

    def renamed(self, path: Path) -> None:
        """Go by another path from now on."""
        if self.journal is not None:
            self.journal.renamed(str(self.path), str(path))
        self.path, self._saved = path, SavedNotebook(path)

    def announcement(self) -> list[str]:
        """Say what came back, until that was shown."""
        return list(self._news)

    def announced(self) -> None:
        """Take in that it was shown."""
        self._news.clear()

    def begin(self, run: Run, place: int, turn: Turn) -> None:
        """Let the journal know that a turn is being asked, in case that the kernel is killed."""
        if self.journal is not None and run.cell_id:
            self.journal.begin(str(self.path), run.cell, place, turn)

    def write(self, turn: str, so_far: Callable[[], Turn]) -> None:
        """Let the journal have the text so far of a turn that has begun; it asks for it every few seconds."""
        if self.journal is not None:
            self.journal.write(turn, so_far)

    def record(self, run: Run, place: int, turn: Turn) -> tuple[Turn, int]:
        """End a turn, as `Conversation.record` does, and let the journal remember it if it is complete."""
        kept, replaced = self.conversation.record(run, place, turn)
        if run.cell_id:
            self._ended.append((run.cell, kept, time.monotonic()))
        if self.journal is not None and run.cell_id:
            self.journal.end(str(self.path), run.cell, place, kept)
        return kept, replaced

    def missed(self, page: Page) -> Iterator[tuple[str, Turn, float]]:
        """Yield the turns that ended lately and that a page does not show: cell, turn, and how many seconds ago.

        The page knows whether it was loaded in between: what it showed and shows no more was cleared.
        """
        shown = {cell.id: cell.turns for cell in page.cells}
        for cell, turn, ended in self._ended:
            seconds = time.monotonic() - ended
            there = cell in shown and turn.turn not in shown[cell] and turn.turn in self.conversation.turn_ids(cell)
            if there and seconds < _LATELY:
                yield cell, turn, seconds

    def left(self, run: Run) -> None:
        """Forget the turns of a cell that ran and asked nothing."""
        self.conversation.left(run)
        self._offered.pop(run.cell, None)
        self.ended(run)

    def ended(self, run: Run) -> None:
        """Let the journal forget what a longer run of this cell left."""
        places = self.conversation.places(run)
        if self.journal is not None and places is not None:
            self.journal.trim(str(self.path), run.cell, places)

    def undo(self) -> list[Undone]:
        """Take back the last change; where there is none, bring back what the journal kept of cleared outputs."""
        undone = self.conversation.undo()
        if undone is None:
            offered, self._offered = self._offered, {}
            brought = self.conversation.bring_back(offered)
            undone = None if brought else self.conversation.undo(restored=True)
            if undone is None:
                return brought
        self._remember(undone)
        return [undone]

    def keep(self, turn: Turn, thread: str, place: int) -> Undone:
        """Let another alternative of a turn go on, as `Conversation.keep` does."""
        kept = self.conversation.keep(turn, thread, place)
        self._remember(kept)
        return kept

    def shown_instead(self, gone: Turn, back: Turn) -> str:
        """Return the id of the output in which an earlier turn is shown again, in the place of a later one."""
        self._outputs[back.turn] = self._outputs.get(gone.turn, gone.turn)
        return self._outputs[back.turn]

    def _remember(self, undone: Undone) -> None:
        """Let the journal have what stands in a cell now."""
        for place, turn in undone.back.items():
            if self.journal is not None and undone.cell is not None:
                self.journal.end(str(self.path), undone.cell, place, turn)

    def _take_page(self, page: Page) -> None:
        """Take in a page; turns that it shows and that are not known, of another notebook, come with the next save."""
        shown = {turn for cell in page.cells for turn in cell.turns}
        self._wanting = any(not self.conversation.knows(turn) for turn in shown)
        cells = self._saved.cells() if self._wanting and self._saved is not None else ()
        if page is self._taken and cells is self._searched:
            return
        document = page.cells
        if page is self._taken:  # the file is newer: a page does not tell when outputs change, only when cells do
            saved = {cell.id: cell.turns for cell in cells}
            document = tuple(replace(cell, turns=saved.get(cell.id, cell.turns)) for cell in document)
        self._taken, self._searched = page, cells
        self.conversation.take(document, self._found(cells), whole=True)

    def _take_file(self, cells: tuple[SavedCell, ...]) -> None:
        if cells is self._taken:
            return
        self._taken = cells
        asked = {cell: (self.conversation.turn_ids(cell), source) for cell, source in self._foreign.items()}
        names = in_front_end(cells, asked)
        for saved, name in names.items():
            self.conversation.rename(saved, name)
        document = [replace(cell, id=names[cell.id]) if cell.id in names else cell for cell in cells]
        self.conversation.take(document, self._found(cells))

    def _restore(self, cells: tuple[SavedCell, ...]) -> None:
        """Read the memory back from the file: a kernel that has just been started knows nothing else."""
        self.conversation.take(cells, self._found(cells))
        for cell in cells:
            self.conversation.number(cell.id, cell.number)
        records = [(cell.id, record) for cell in cells for record in cell.records]
        told = [(cell, entry) for cell, record in records for entry in read_all(record)]
        for name, entry in told:
            self._carry_on(name, entry)
        edits = [(cell, entry) for cell, entry in told if isinstance(entry, Edit)]
        self.conversation.restore_edits(edits)
        settings = [(cell, entry) for cell, entry in told if isinstance(entry, Setting)]
        forked = self.conversation.forked()
        begun = [(cell, edit) for cell, edit in edits if forked.get((cell, edit.thread)) == edit]
        forks = [(cell, Setting(created=edit.created, thread=edit.thread)) for cell, edit in begun]
        self._restored = sorted([*settings, *forks], key=lambda entry: entry[1].created)
        self._announce([record for _, record in records], asks=any(entry.chosen for _, entry in settings))
        self._ask_journal(cells)
        self._taken = cells

    def _recall(self, run: Run) -> None:
        """Ask as was set above the running cell before the restart, until something is set anew.

        What was set below it comes later in a Restart & Run All, and must not hold before.
        """
        above = [setting for cell, setting in self._restored if self.conversation.is_above(cell, run)]
        if "chosen" not in self._set:
            self.chosen = next((dict(entry.chosen) for entry in reversed(above) if entry.chosen is not None), {})
        if "thread" not in self._set:
            self.thread = next((entry.thread for entry in reversed(above) if entry.thread), "main")

    def _announce(self, records: Sequence[Mapping[str, Any]], *, asks: bool) -> None:
        name = self.path.name if self.path is not None else ""
        turns = self.conversation.count()
        came = [*([counted(turns, "earlier turn")] if turns else []), *(["what %model set"] if asks else [])]
        if came:
            self._news.append(f"{' and '.join(came)} restored from {name}")
        newer = sum(record.get("kind") == "turn" and _is_newer(record.get("version")) for record in records)
        if newer:
            self._news.append(f"{counted(newer, 'turn')} of a newer mixroute-magic left out")

    def _ask_journal(self, cells: Sequence[SavedCell]) -> None:
        """Take from the journal what a killed kernel was writing, and offer what stands in no output any more."""
        if self.journal is None:
            return
        broken = [kept for kept in self.journal.broken_off(str(self.path)) if self.conversation.broken_off(kept)]
        if broken:
            self._news.append(
                f"{counted(len(broken), 'answer')} cut off when the last kernel died: -c in its cell goes on"
            )
        there = {cell.id for cell in cells if not self.conversation.turn_ids(cell.id)}
        kept = [kept for kept in self.journal.turns(str(self.path)) if kept.cell in there]
        by_cell = groupby(kept, key=lambda kept: kept.cell)
        self._offered = {cell: {kept.place: kept.turn for kept in group} for cell, group in by_cell}
        if kept:
            left_out = f"{counted(len(kept), 'turn')} with cleared output left out"
            self._news.append(f"{left_out}: %thread --undo brings them back")

    def _found(self, cells: Iterable[SavedCell]) -> dict[str, Turn]:
        """Return the turns of the file that were never seen before, by id."""
        records = (record for cell in cells for record in cell.records if not self.conversation.knows(_id(record)))
        return {turn.turn: turn for record in records if (turn := Turn.from_metadata(record)) is not None}


def _id(record: Mapping[str, Any]) -> str:
    return str(record.get("turn"))


def _is_newer(version: Any) -> bool:
    return isinstance(version, int) and version > VERSION
