"""The conversation as one reads it off a notebook, in plain words: what the next request must be.

It imports nothing of the package. It is told what a kernel can learn, in the order in which it happens: the file when
it was saved, the page when it reports, and each run of a cell. A turn is known by its words, which are never the same
twice.
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
    """Questions and answers that belong together."""

    thread: str
    messages: Messages


@dataclass(frozen=True)
class Held:
    """What a cell holds, by place in its run: complete turns, and one whose answer broke off, where its run ended."""

    turns: Mapping[int, Turn] = field(default_factory=dict)
    broken: Mapping[int, Turn] = field(default_factory=dict)

    @property
    def all(self) -> set[Turn]:
        return {*self.turns.values(), *self.broken.values()}

    def so_far(self, thread: str) -> Messages:
        """Return what ``-c`` goes on from: all that the last run said, else the turns that it left."""
        said = [turn for place, turn in sorted(self.turns.items()) if all(place < end for end in self.broken)]
        return words([*said, *self.broken.values()], thread)


Document = list[tuple[str, Held]]
"""The cells as they stand, each with what its outputs show."""


def shown(outputs: Iterable[Mapping[str, Any]]) -> Held:
    """Read a cell's outputs: a turn that broke off carries those that it did not erase."""
    turns: dict[int, Turn] = {}
    broken: dict[int, Turn] = {}
    records = [output.get("metadata", {}).get("mixroute", {}) for output in outputs]
    for place, record in enumerate(record for record in records if record.get("kind") == "turn"):
        if record["status"] == "complete":
            turns[place] = _turn(record)
            continue
        turns |= {int(earlier): _turn(kept) for earlier, kept in record.get("earlier", {}).items()}
        broken = {place: _turn(record)} if record["messages"][-1]["role"] == "assistant" else {}
    return Held(turns, broken)


def words(turns: Iterable[Turn], thread: str) -> Messages:
    """Return what one thread's turns say."""
    return tuple(message for turn in turns if turn.thread == thread for message in turn.messages)


def _turn(record: Mapping[str, Any]) -> Turn:
    return Turn(record["thread"], tuple((message["role"], message["content"]) for message in record["messages"]))


class Reference:
    """What a kernel knows of one notebook."""

    def __init__(self) -> None:
        self.held: dict[str, Held] = {}  # in the order in which the cells first ran, or were first seen with turns
        self._seen: set[Turn] = set()
        self._order: list[str] = []
        self._listed: set[str] = set()  # cells that were in the document once: missing later, they are deleted
        self._has_page = False

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

    def above(self, cell: str, thread: str) -> Messages:
        """Return the messages of all turns that stand above a cell."""
        cells = [other for other in self._order if other in self.held]
        cells += [other for other in self.held if other not in self._listed]
        if cell in self._order:
            cells = self._order[: self._order.index(cell)]
        elif cell in cells:
            cells = cells[: cells.index(cell)]
        held = [self.held[above] for above in cells if above in self.held]
        return words((turn for cell in held for _, turn in sorted(cell.turns.items())), thread)

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
            so_far = before.so_far(ask.thread) if ask.goes_on else ()
            exchange = (*so_far, ("user", ask.words))
            above = () if ask.fresh else (*self.above(cell, ask.thread), *words(here.values(), ask.thread))
            requests.append((*above, *exchange))
            turn = Turn(ask.thread, (*exchange, ("assistant", reply.words)))
            if not reply.whole:
                here |= {later: left for later, left in before.turns.items() if later >= place}
                broken = {place: turn} if reply.words else {}
                break
            here[place] = turn
        self.held[cell] = Held(here, broken)
        self._seen |= self.held[cell].all
        return requests
