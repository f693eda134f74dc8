"""Whatever people do to a notebook, the next request is what one reads above its cell: a stateful property test.

A page is played on a real kernel, with its commands in any order; ``reference.py`` tells what must be asked. By hand:
``DOCUMENT_EXAMPLES=500 python -m pytest tests/test_document.py``.
"""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from kernels import Kernel, Ran
from reference import Ask, Document, Edit, Messages, Reference, Reply, Turn, named, records, shown
from scripted import DONE, STOP, Pause, Piece, Reset, ScriptedGateway, answer, delta, reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

EXAMPLES = int(os.environ.get("DOCUMENT_EXAMPLES", "4"))
MOST_CELLS = 6
THREADS = ("main", "side", "other")
SILENT = "and then silence"
SET_UP = "import os; os.environ['JPY_SESSION_NAME'] = {path!r}\n%config MixRoute.retries = 0"

Fate = tuple[str, int] | None
"""How the gateway spoils a run, and at which of its requests."""


class Answers:
    """A gateway's script: to each request an answer of its own, unless that one shall be spoiled.

    One that hangs sends signs of life: Python loses an interrupt that comes right before it waits for the socket.
    """

    def __init__(self) -> None:
        self._number = count()
        self.spoilt: dict[int, str] = {}

    def __iter__(self) -> Iterator[Piece]:
        number = next(self._number)
        how, words = self.spoilt.get(number), self.reply(number).words
        if how == "refuses":
            return iter([reply(500, {"error": {"message": "Not now."}})])
        end = {None: (STOP, DONE), "breaks": (Reset(),), "hangs": (Pause(0.1), b": PING\n\n") * 600}[how]
        return iter(answer(delta(words), *end))

    def reply(self, number: int) -> Reply:
        """Return what it says to a request."""
        if number not in self.spoilt:
            return Reply(f"answer {number}")
        words = {"refuses": "", "breaks": f"half of answer {number}", "hangs": f"half of answer {number} {SILENT}"}
        return Reply(words[self.spoilt[number]], whole=False)


class Page(Kernel):
    """A kernel on which one page after another works."""

    def open(self, path: Path) -> None:
        """Open a notebook: every page has a connection of its own to the kernel."""
        self._client.session.session = uuid.uuid4().hex
        self.heard[:] = [message for message in self.heard if message["msg_type"] == "comm_open"]
        self.set_up(path)

    def set_up(self, path: Path) -> None:
        assert self.run(SET_UP.format(path=str(path))).status == "ok"

    def run_and_stop(self, code: str, cell_id: str) -> Ran:
        """Run a cell, and press Stop where the answer does not go on."""
        ran = self.send(code, cell_id)
        ran.until(lambda ran: hangs(ran) or ran.contents("status")[-1:] == [{"execution_state": "idle"}])
        if hangs(ran):
            self.interrupt()
        return ran.wait()


def hangs(ran: Ran) -> bool:
    return any(SILENT in frame.get("text", "") for frame in ran.frames)


@dataclass(frozen=True)
class Source:
    """What a person writes into a cell."""

    code: str
    asks: tuple[Ask, ...] = ()
    raises: bool = False
    edit: Edit | None = None


def asking(words: str) -> dict[str, Source]:
    """Return the cells that one can write with these words, by what is special about them."""
    two, three = [f"{words} {part}" for part in "ab"], [f"{words} part {part}" for part in range(3)]
    loop = f"for part in range(3):\n    get_ipython().run_line_magic('chat', f'{words} part {{part}}')"
    return {
        "one": Source(f"%%chat\n{words}", (Ask(words),)),
        "two": Source("\n".join(f"%chat {question}" for question in two), tuple(map(Ask, two))),
        "loop": Source(loop, tuple(map(Ask, three))),
        "side": Source(f"%chat --thread side {words}", (Ask(words, "side"),)),
        "other": Source(f"%%chat --thread other -c\n{words}", (Ask(words, "other", goes_on=True),)),
        "both": Source(f"%chat {two[0]}\n%chat --thread side {two[1]}", (Ask(two[0]), Ask(two[1], "side"))),
        "fresh": Source(f"%%chat --fresh\n{words}", (Ask(words, fresh=True),)),
        "continue": Source(f"%%chat -c\n{words}", (Ask(words, goes_on=True),)),
        "raises": Source(f"%chat {words}\nraise ValueError('later')", (Ask(words),), raises=True),
        "code": Source("x = 1"),
    }


def editing(action: str, thread: str = "main", into: str = "") -> Source:
    """Return a cell that edits a thread; those below a fork go on in the main one."""
    code = {"clear": f"{thread} --clear", "rewind": f"{thread} --rewind 1", "undo": "--undo"}
    code["fork"] = f"{thread} --fork {into}\n%thread main"
    return Source(f"%thread {code[action]}", edit=Edit(action, thread, into))


KINDS = list(asking(""))
CODE = asking("")["code"]
DRY_RUN = "\n".join(f"%chat --dry-run --thread {thread} probe" for thread in THREADS)


@dataclass
class Cell:
    id: str
    source: Source
    outputs: list[nbformat.NotebookNode] = field(default_factory=list)
    displays: dict[str, nbformat.NotebookNode] = field(default_factory=dict)  # the outputs that can still be changed

    def change(self, display_id: str, content: dict[str, Any]) -> None:
        """Show something else in an output; copies of the cell go on to show what they showed."""
        before = self.displays.get(display_id)
        if before is not None:
            now = nbformat.from_dict({**before, "data": content["data"], "metadata": content["metadata"]})
            self.displays[display_id] = now
            self.outputs = [now if output is before else output for output in self.outputs]


class Notebook(RuleBasedStateMachine):
    """A notebook whose kernel has its saved file alone; after each step, it would ask what the reference says.

    Which cell a rule means is a number, taken modulo the number of cells.
    """

    numbers = st.integers(0, MOST_CELLS - 1)
    kinds = st.sampled_from(KINDS)
    threads = st.sampled_from(("main", *THREADS))
    actions = st.sampled_from(["clear", "rewind", "fork", "undo", "undo"])
    fates = st.none() | st.tuples(st.sampled_from(["refuses", "breaks", "hangs"]), st.integers(0, 2))

    def __init__(self, kernel: Page, gateway: ScriptedGateway, answers: Answers) -> None:
        super().__init__()
        self.kernel, self.gateway, self.answers = kernel, gateway, answers
        self.path = kernel.home / f"{uuid.uuid4().hex}.ipynb"
        self.reference = Reference()
        self.names, self.words = (f"cell-{number}" for number in count()), (f"question {n}" for n in count())
        self.cells = [Cell(next(self.names), asking(next(self.words))["one"]) for _ in range(3)]
        self.clipboard: tuple[Cell, bool] | None = None
        self.deleted: list[tuple[int, Cell]] = []
        self.unread: Document | None = None  # a file that no magic has seen yet
        self.steps = 0
        self.watched = True
        self.turns: dict[str, Turn] = {}  # all that were ever shown, by id
        self.starts = False  # the kernel has not read the file yet
        kernel.open(self.path)
        self.begin()

    # What a person does to cells

    @initialize(kinds=st.just([]) | st.lists(kinds, min_size=3, max_size=3))
    def ask_at_first(self, kinds: list[str]) -> None:
        for at, kind in enumerate(kinds):
            self.edit_and_run(at, kind, None)

    @precondition(lambda self: len(self.cells) < MOST_CELLS)
    @rule(at=numbers, kind=kinds, fate=fates)
    def insert_and_run(self, at: int, kind: str, fate: Fate) -> None:
        cell = Cell(next(self.names), asking(next(self.words))[kind])
        self.cells.insert(at % (len(self.cells) + 1), cell)
        self.run(cell, fate)

    @precondition(lambda self: self.cells)
    @rule(at=numbers, kind=kinds, fate=fates)
    def edit_and_run(self, at: int, kind: str, fate: Fate) -> None:
        self.cell(at).source = asking(next(self.words))[kind]
        self.run(self.cell(at), fate)

    @precondition(lambda self: self.cells)
    @rule(at=numbers, fate=fates)
    def run_again(self, at: int, fate: Fate) -> None:
        self.run(self.cell(at), fate)

    @rule(fate=fates)
    def run_all(self, fate: Fate) -> None:
        for cell in self.cells:
            cell.outputs = []
        first = len(self.gateway.bodies)
        for cell in self.cells:
            asked = len(self.gateway.bodies) - first
            if not self.run(cell, (fate[0], fate[1] - asked) if fate else None):
                break

    @rule(at=numbers, action=actions, thread=threads, into=st.sampled_from(THREADS[1:]), new=st.booleans())
    def edit(self, at: int, action: str, thread: str, into: str, *, new: bool) -> None:
        """Edit a thread in a new cell, or in place of what stands in a cell."""
        if not self.cells or (new and len(self.cells) < MOST_CELLS):
            self.cells.insert(at % (len(self.cells) + 1), Cell(next(self.names), CODE))
        self.cell(at).source = editing(action, thread, into)
        self.run(self.cell(at), None)

    @precondition(lambda self: self.cells)
    @rule(at=numbers)
    def dry_run(self, at: int) -> None:
        """Ask in a cell what it would ask: that changes the page, and nothing that is known."""
        cell = self.cell(at)
        cell.outputs, cell.displays = self.check_above(cell.id).displayed()

    @precondition(lambda self: self.cells)
    @rule(at=numbers)
    def clear_output(self, at: int) -> None:
        self.cell(at).outputs = []

    @precondition(lambda self: self.cells)
    @rule(at=numbers)
    def delete(self, at: int) -> None:
        self.deleted.append((at, self.take_out(at)))

    @precondition(lambda self: self.deleted)
    @rule()
    def undo_delete(self) -> None:
        at, cell = self.deleted.pop()
        if cell.id not in self.ids():
            self.cells.insert(at % (len(self.cells) + 1), cell)

    @precondition(lambda self: self.cells)
    @rule(at=numbers, cut=st.booleans())
    def copy(self, at: int, *, cut: bool) -> None:
        cell = self.take_out(at) if cut else self.cell(at)
        self.clipboard = (Cell(cell.id, cell.source, list(cell.outputs)), cut)

    @precondition(lambda self: self.clipboard and len(self.cells) < MOST_CELLS)
    @rule(at=numbers)
    def paste(self, at: int) -> None:
        """Paste a cell: only what was cut, and only once, keeps its id."""
        cell, was_cut = self.clipboard
        keeps = was_cut and cell.id not in self.ids()
        pasted = Cell(cell.id if keeps else next(self.names), cell.source, list(cell.outputs))
        self.cells.insert(at % (len(self.cells) + 1), pasted)
        self.clipboard = (cell, False)

    @precondition(lambda self: 0 < len(self.cells) < MOST_CELLS)
    @rule(at=numbers)
    def duplicate(self, at: int) -> None:
        cell = self.cell(at)
        self.cells.insert(self.cells.index(cell) + 1, Cell(next(self.names), cell.source, list(cell.outputs)))

    @precondition(lambda self: 0 < len(self.cells) < MOST_CELLS)
    @rule(at=numbers)
    def split(self, at: int) -> None:
        """Split a cell at its start: the lower part keeps the id and the outputs."""
        self.cells.insert(at % len(self.cells), Cell(next(self.names), CODE))

    @precondition(lambda self: len(self.cells) > 1)
    @rule(at=numbers)
    def merge(self, at: int) -> None:
        """Merge two cells: the new one has neither id nor outputs of theirs."""
        above = at % (len(self.cells) - 1)
        self.cells[above : above + 2] = [Cell(next(self.names), CODE)]

    @precondition(lambda self: self.cells)
    @rule(at=numbers, to=numbers)
    def move(self, at: int, to: int) -> None:
        cell = self.take_out(at)
        self.cells.insert(to % (len(self.cells) + 1), cell)

    @rule()
    def save(self) -> None:
        made = [
            nbformat.v4.new_code_cell(cell.source.code, id=cell.id, outputs=cell.outputs) for cell in self.all_cells()
        ]
        nbformat.write(nbformat.v4.new_notebook(cells=made), self.path)
        self.unread = self.document()

    @precondition(lambda self: self.steps > 7)
    @rule()
    def restart(self) -> None:
        """Restart the kernel: what it knows is what was saved."""
        self.steps = 0
        self.kernel.restart()
        self.kernel.set_up(self.path)
        self.reference = Reference()
        self.unread, self.starts = [(cell.id, shown(cell.outputs)) for cell in self.saved()], True
        self.begin()

    @rule()
    def look_away(self) -> None:
        """Let the next steps go without a look at what would be asked, which makes the kernel take the document in."""
        self.watched = False

    @invariant()
    def the_next_request_is_what_one_reads(self) -> None:
        self.steps += 1
        self.tell()
        if self.watched:
            self.check_above(self.below())

    # How it is done

    def run(self, cell: Cell, fate: Fate) -> bool:
        """Run a cell, check its requests, and what its outputs show; return whether it ended well."""
        self.watched = True
        if cell.source.edit:
            return self.run_edit(cell, cell.source.edit)
        first = len(self.gateway.bodies)
        self.answers.spoilt = {first + fate[1]: fate[0]} if fate else {}
        replies = [self.answers.reply(first + number) for number in range(len(cell.source.asks))]
        well = all(said.whole for said in replies) and not cell.source.raises
        self.tell()
        if cell.source.asks:
            self.is_read()
        expected = self.reference.run(cell.id, cell.source.asks, replies, ends_well=well)
        cell.outputs = []
        ran = self.kernel.run_and_stop(cell.source.code, cell.id)
        cell.outputs, cell.displays = ran.displayed()
        self.turns |= named(cell.outputs)
        assert [messages(body) for body in self.gateway.bodies[first:]] == expected
        assert (ran.status == "ok") == well, ran.lines
        if cell.source.asks:
            assert shown(cell.outputs) == self.reference.held[cell.id]
        return well

    def run_edit(self, cell: Cell, edit: Edit) -> bool:
        """Run a cell that edits a thread, which may also change the outputs of others; return whether it ended well."""
        if edit.action == "undo" and not self.reference.can_undo():
            return True
        self.tell()
        self.is_read()
        expected = self.reference.edit(cell.id, edit)
        cell.outputs = []
        ran = self.kernel.run(cell.source.code, cell.id)
        assert (ran.status == "ok") == expected, ran.lines
        cell.outputs, cell.displays = ran.displayed()
        for content in ran.contents("update_display_data"):
            for other in self.cells:
                other.change(content["transient"]["display_id"], content)
        self.is_shown_again(cell)
        return expected

    def is_shown_again(self, undo: Cell) -> None:
        """Check that what an undo brought back stands in its own cell, where that showed what it replaced."""
        for record in (record for record in records(undo.outputs) if "0" in record.get("restored", ())):
            replaced, first = record.get("turns", ()), record["restored"]["0"]["turn"]
            for cell in (cell for cell in self.cells if cell.id == record["cell"] and named(cell.outputs)):
                assert first in named(cell.outputs) or not cell.displays.keys() & replaced

    def check_above(self, cell_id: str) -> Ran:
        """Check what a cell would ask."""
        self.is_read()
        ran = self.kernel.run(DRY_RUN, cell_id)
        assert ran.status == "ok", ran.lines
        assert [output.output_type for output in ran.outputs] == ["display_data"] * len(THREADS), ran.text
        texts = [output.data["text/plain"] for output in ran.outputs]
        would_ask = [messages(json.loads(text.partition("\n\n")[2])) for text in texts]
        assert would_ask == [(*self.reference.above(cell_id, thread), ("user", "probe")) for thread in THREADS]
        return ran

    def is_read(self) -> None:
        """A magic is about to run: it reads the file, if that is new."""
        if self.unread is not None:
            self.reference.file(self.unread)
            self.unread = None
        if self.starts:
            self.reference.restart({cell.id: cell.outputs for cell in self.saved()}, self.turns)
            self.starts = False

    def begin(self) -> None:
        """Do what a page does when its kernel has started: nothing here."""

    def tell(self) -> None:
        """Tell the kernel of changes: a page that is no JupyterLab does not."""

    def all_cells(self) -> list[Cell]:
        return self.cells

    def below(self) -> str:
        """Return the id of a cell below all others: one that was never seen."""
        return f"below-{next(self.names)}"

    def cell(self, at: int) -> Cell:
        return self.cells[at % len(self.cells)]

    def take_out(self, at: int) -> Cell:
        return self.cells.pop(at % len(self.cells))

    def ids(self) -> list[str]:
        return [cell.id for cell in self.cells]

    def document(self) -> Document:
        return [(cell.id, shown(cell.outputs)) for cell in self.all_cells()]

    def saved(self) -> list[nbformat.NotebookNode]:
        """Read the file's cells."""
        return nbformat.read(self.path, as_version=4).cells if self.path.exists() else []


class LiveNotebook(Notebook):
    """The same with a page that tells the kernel its cells, as JupyterLab's does after every change of their order.

    Its first cell is where the extension is loaded, its last one is empty: nobody moves them.
    """

    def __init__(self, kernel: Page, gateway: ScriptedGateway, answers: Answers) -> None:
        self.top, self.bottom = Cell("top", Source("%thread")), Cell("bottom", Source(""))
        self.told: list[str] = []
        self.untaken: Document | None = None  # what the page has told, and no magic has seen yet
        super().__init__(kernel, gateway, answers)

    def begin(self) -> None:
        """Run the first magic: from then on the page tells what it shows."""
        self.untaken = None  # what was told to the last kernel is lost with it
        if not self.path.exists():
            self.save()
        self.is_read()
        self.top.outputs = self.kernel.run(self.top.source.code, self.top.id).outputs
        self.page_tells()

    @rule()
    def page_tells(self) -> None:
        """Tell the page's cells, as it also does when it is loaded again."""
        self.told, self.untaken = self.ids(), self.document()
        self.kernel.report(self.path.name, [(cell.id, list(named(cell.outputs))) for cell in self.all_cells()])

    def tell(self) -> None:
        if self.ids() != self.told:
            self.page_tells()

    def is_read(self) -> None:
        super().is_read()
        if self.untaken is not None:
            self.reference.page(self.untaken)
            self.untaken = None

    def all_cells(self) -> list[Cell]:
        return [self.top, *self.cells, self.bottom]

    def below(self) -> str:
        return self.bottom.id


def messages(body: dict[str, Any]) -> Messages:
    return tuple((message["role"], message["content"]) for message in body["messages"])


@pytest.fixture(scope="module")
def answers() -> Answers:
    return Answers()


@pytest.fixture(scope="module")
def gateway(answers: Answers) -> Iterator[ScriptedGateway]:
    gateway = ScriptedGateway([answers])
    yield gateway
    gateway.close()


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory, gateway: ScriptedGateway) -> Iterator[Page]:
    with Page(tmp_path_factory.mktemp("document"), gateway.base_url) as kernel:
        yield kernel


def hold(machine: Callable[[], RuleBasedStateMachine]) -> None:
    """Play a machine's rules in any order."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=30,
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.timeout(0)  # by hand it takes long
def test_the_next_request_is_read_off_the_saved_file(kernel: Page, gateway: ScriptedGateway, answers: Answers) -> None:
    hold(lambda: Notebook(kernel, gateway, answers))


@pytest.mark.timeout(0)
def test_the_next_request_is_read_off_the_live_page(kernel: Page, gateway: ScriptedGateway, answers: Answers) -> None:
    hold(lambda: LiveNotebook(kernel, gateway, answers))
