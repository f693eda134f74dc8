"""The conversation as one reads it off a notebook, in plain words: what the next request must be.

It imports nothing of the package. It is told what a kernel can learn, in the order in which it happens: the file when
it was saved, the page when it reports, and each run of a cell. A turn is known by its words, which are never the same
twice. After a restart it is told the outputs in the file, which also say how threads were edited.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Messages = tuple[tuple[str, str], ...]
"""Role and words of each."""


@dataclass(frozen=True)
class Ask:
    """A question in a cell."""

    words: str
    thread: str = "main"
    fresh: bool = False
    goes_on: bool = False


@dataclass(frozen=True)
class Reply:
    """What the gateway says to it, and whether it comes to an end."""

    words: str
    whole: bool = True


@dataclass(frozen=True)
class Turn:
    """Questions and answers that belong together, in a thread and in those to which it came by forks."""

    thread: str
    messages: Messages
    forks: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Edit:
    """What a cell does to a thread: ``clear``, ``rewind`` by one turn, ``fork`` into another, or ``undo``."""

    action: str
    thread: str = "main"
    into: str = ""


@dataclass(frozen=True)
class Change:
    """What an edit did: turns stand in a thread from then on, or stand there no longer.

    ``forked_in`` are the cells that began the thread so: after a restart also the copies of the first.
    """

    thread: str
    turns: frozenset[Turn]
    forked_in: frozenset[str] = frozenset()
    parent: str = ""


@dataclass(frozen=True)
class Held:
    """What a cell holds, by place in its run: complete turns, and one whose answer broke off, where its run ended."""

    turns: Mapping[int, Turn] = field(default_factory=dict)
    broken: Mapping[int, Turn] = field(default_factory=dict)

    @property
    def all(self) -> set[Turn]:
        return {*self.turns.values(), *self.broken.values()}

    @property
    def so_far(self) -> list[Turn]:
        """What ``-c`` goes on from: all that the last run said, else the turns that it left."""
        said = [turn for place, turn in sorted(self.turns.items()) if all(place < end for end in self.broken)]
        return [*said, *self.broken.values()]


Document = list[tuple[str, Held]]
"""The cells as they stand, each with what its outputs show."""


def shown(outputs: Iterable[Mapping[str, Any]]) -> Held:
    """Read a cell's outputs: a turn that broke off carries those that it did not erase."""
    turns: dict[int, Turn] = {}
    broken: dict[int, Turn] = {}
    for place, record in enumerate(record for record in records(outputs) if record["kind"] == "turn"):
        if record["status"] == "complete":
            turns[place] = _turn(record)
            continue
        turns |= {int(earlier): _turn(kept) for earlier, kept in record.get("earlier", {}).items()}
        broken = {place: _turn(record)} if record["messages"][-1]["role"] == "assistant" else {}
    return Held(turns, broken)


def records(outputs: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return what a cell's outputs tell about themselves."""
    return [output["metadata"]["mixroute"] for output in outputs if "mixroute" in output.get("metadata", {})]


def named(outputs: Iterable[Mapping[str, Any]]) -> dict[str, Turn]:
    """Return the turns of a cell's outputs by the ids that edits use for them."""
    return {record["turn"]: _turn(record) for record in records(outputs) if record["kind"] == "turn"}


def edits(outputs: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return what a cell's outputs say about edits: of the newest run, and of those before it."""
    told = [edit for record in records(outputs) for edit in (*record.get("before", ()), record)]
    return [edit for edit in told if edit["kind"] == "edit"]


def words(turns: Iterable[Turn]) -> Messages:
    """Return what turns say."""
    return tuple(message for turn in turns for message in turn.messages)


def _turn(record: Mapping[str, Any]) -> Turn:
    said = tuple((message["role"], message["content"]) for message in record["messages"])
    return Turn(record["thread"], said, frozenset(record.get("also_in", ())))


class Reference:
    """What a kernel knows of one notebook."""

    def __init__(self) -> None:
        self.held: dict[str, Held] = {}  # in the order in which the cells first ran, or were first seen with turns
        self._seen: set[Turn] = set()
        self._order: list[str] = []
        self._listed: set[str] = set()  # cells that were in the document once: missing later, they are deleted
        self._has_page = False
        self._changes: list[Change] = []
        self._undo: list[list[Change] | tuple[str, Held]] = []  # the changes, or what a cell held, before each step

    def file(self, document: Document) -> None:
        """The file was saved: it tells all turns that it shows, and the order where no page does."""
        if not self._has_page:
            self._arrange(document)
        unseen = {turn for _, held in document for turn in held.all} - self._seen
        self._seen |= unseen
        self._take(document)
        for cell, held in document:
            if held.all & unseen:  # another kernel asked this later: it is not what this one has read before
                self.held[cell] = held

    def restart(self, cells: Mapping[str, Sequence[Mapping[str, Any]]], turns: Mapping[str, Turn]) -> None:
        """Start with what the outputs in the file say about edits; ``turns`` are all that were ever shown, by id."""
        told = [(cell, record) for cell, outputs in cells.items() for record in edits(outputs)]
        made = sorted(told, key=lambda entry: entry[1]["created"])
        self._edit_again(made, turns)
        shows = {cell: frozenset(named(outputs).values()) for cell, outputs in cells.items()}
        for record in [record for _, record in made if record["action"] == "restore" and record["cell"] in cells]:
            cell, gone = record["cell"], frozenset(turns[turn] for turn in record.get("turns", ()))
            back = {int(place): _turn(turn) for place, turn in record["restored"].items()}
            is_empty_since = not gone or record in records(cells[cell])
            if shows[cell] <= gone.union(back.values()) if shows[cell] else is_empty_since:
                self.held[cell], shows[cell] = Held(back), frozenset(back.values())
                self._seen |= shows[cell]

    def _edit_again(self, made: Sequence[tuple[str, Mapping[str, Any]]], turns: Mapping[str, Turn]) -> None:
        """Edit the threads as the outputs say, each edit once, unless others undid it."""
        undone = {record.get("undoes") for _, record in made}
        once = {record["edit"]: record for _, record in made if record["action"] in {"fork", "forget"}}
        for edit, record in ((edit, record) for edit, record in once.items() if edit not in undone):
            name, forks = record["thread"], record["action"] == "fork"
            copies = frozenset(cell for cell, copy in made if forks and copy["edit"] == edit)
            others = [change for change in self._changes if change.thread != name or not copies & change.forked_in]
            taken = frozenset(turns[turn] for turn in record.get("turns", ()))
            self._changes = [*others, Change(name, taken, copies, record.get("parent", ""))]

    def page(self, document: Document) -> None:
        """The page has told all of its cells in order; of turns just which they are."""
        self._has_page = True
        self._arrange(document)
        self._listed |= self.held.keys()
        self._take(document)

    def _arrange(self, document: Document) -> None:
        self._order = [cell for cell, _ in document]
        self._listed |= set(self._order)

    def _take(self, document: Document) -> None:
        """Let cells that were never seen before hold what they show: duplicates, and what was pasted or restored."""
        for cell, held in document:
            if held.all and held.all <= self._seen and cell not in self.held:
                self._move(held, document)
                self.held[cell] = held

    def _move(self, moved: Held, document: Document) -> None:
        """Take turns from the cell that showed them before, unless it shows them still: then these are a copy."""
        outputs = dict(document)
        owners = [cell for cell, held in self.held.items() if held.all & moved.all]
        self._listed |= {owner for owner in owners if owner not in outputs}
        if any(outputs[owner].all & moved.all for owner in owners if owner in outputs):
            return
        for owner in (owner for owner in owners if owner in outputs):
            left = {place: turn for place, turn in self.held[owner].turns.items() if turn not in moved.all}
            self.held[owner] = Held(left)

    # What stands above

    def above(self, cell: str, thread: str) -> Messages:
        """Return the messages of all turns that stand above a cell."""
        return words(self._above(cell, thread))

    def _above(self, cell: str, thread: str) -> list[Turn]:
        cells = self._standing()
        if cell in self._order:
            cells = self._order[: self._order.index(cell)]
        elif cell in cells:
            cells = cells[: cells.index(cell)]
        return self._turns(cells, thread)

    def _standing(self) -> list[str]:
        cells = [other for other in self._order if other in self.held]
        return cells + [other for other in self.held if other not in self._listed]

    def _turns(self, cells: Iterable[str], thread: str) -> list[Turn]:
        held = [self.held[cell] for cell in cells if cell in self.held]
        return self._of(thread, (turn for cell in held for _, turn in sorted(cell.turns.items())))

    def _of(self, thread: str, turns: Iterable[Turn]) -> list[Turn]:
        return [turn for turn in turns if self._forked(turn, thread, otherwise=turn.thread == thread)]

    def _forked(self, turn: Turn, thread: str, *, otherwise: bool = False) -> bool:
        """Say whether a turn came to a thread by a fork, and did not leave it since."""
        changes = [change for change in self._changes if change.thread == thread and turn in change.turns]
        return bool(changes[-1].forked_in) if changes else thread in turn.forks or otherwise

    # What cells do

    def run(self, cell: str, asks: Sequence[Ask], replies: Sequence[Reply], *, ends_well: bool) -> list[Messages]:
        """Run a cell, which ends where a reply is not whole; return the requests that it must send."""
        if not asks and not ends_well:
            return []
        before, here, broken = self.held.get(cell, Held()), dict[int, Turn](), dict[int, Turn]()
        requests = []
        if asks and cell not in self._order:
            self._listed.discard(cell)
        self.held.setdefault(cell, Held())
        for place, (ask, reply) in enumerate(zip(asks, replies, strict=True)):
            so_far = words(self._of(ask.thread, before.so_far)) if ask.goes_on else ()
            exchange = (*so_far, ("user", ask.words))
            above = [] if ask.fresh else [*self._above(cell, ask.thread), *self._of(ask.thread, here.values())]
            requests.append((*words(above), *exchange))
            forks = self._kept_forks(before.turns.get(place), ask.thread)
            turn = Turn(ask.thread, (*exchange, ("assistant", reply.words)), forks)
            if not reply.whole:
                here |= {later: left for later, left in before.turns.items() if later >= place}
                broken = {place: turn} if reply.words else {}
                break
            here[place] = turn
        if before.turns and (not asks or replies[0].whole):
            self._undo.append((cell, before))
        self.held[cell] = Held(here, broken)
        self._seen |= self.held[cell].all
        return requests

    def _kept_forks(self, former: Turn | None, thread: str) -> frozenset[str]:
        """Return the forks in which a turn stands that another one in ``thread`` replaces."""
        if former is None:
            return frozenset()
        names = former.forks | {change.thread for change in self._changes}
        return frozenset(name for name in names if name != thread and self._forked(former, name))

    def edit(self, cell: str, edit: Edit) -> bool:
        """Edit a thread in a cell; return whether that can be done."""
        if edit.action == "undo":
            return self._take_back(cell)
        done = self._fork(cell, edit.thread, edit.into) if edit.action == "fork" else self._forget(cell, edit)
        self.run(cell, (), (), ends_well=done)
        return done

    def can_undo(self) -> bool:
        """Say whether this kernel has done something that can be undone."""
        return bool(self._undo)

    def _forget(self, cell: str, edit: Edit) -> bool:
        clears = edit.action == "clear"
        turns = self._turns(self._standing(), edit.thread) if clears else self._above(cell, edit.thread)[-1:]
        if clears or turns:
            self._change(self._changes, Change(edit.thread, frozenset(turns)))
        return clears or bool(turns)

    def _fork(self, cell: str, parent: str, name: str) -> bool:
        """Let a thread begin with what stands above; only the cell that did so before can do it again, and anew."""
        former = [change for change in self._changes if cell in change.forked_in and change.thread == name]
        if not former and (name == parent or self._turns(self._standing(), name)):
            return False
        parent = former[0].parent if name == parent else parent
        others = [change for change in self._changes if change not in former]
        self._change(others, Change(name, frozenset(self._above(cell, parent)), frozenset({cell}), parent))
        return True

    def _change(self, others: list[Change], change: Change) -> None:
        self._undo.append(self._changes)
        self._changes = [*others, change]

    def _take_back(self, cell: str) -> bool:
        """Undo the newest replacement or edit; what comes back into the running cell itself stays there."""
        before = self._undo.pop()
        if isinstance(before, list):
            self._changes = before
        else:
            where, held = before
            self.held[where] = Held(held.turns)
            if where == cell:
                return True
        self.run(cell, (), (), ends_well=True)
        return True
