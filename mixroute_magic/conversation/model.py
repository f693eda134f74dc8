"""The conversation: turns, the cells they belong to, and what stands above a cell. Pure, no input or output.

A turn belongs to a cell and to its place in that cell's run, so that two ``%chat`` in one cell are two turns, and a
re-run replaces its own turns and no others. Order is the saved document's; cells that were never saved follow in the
order of their first run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mixroute_magic.wire import Message, Usage

__all__ = ["COMPLETE", "FAILED", "INTERRUPTED", "Conversation", "Run", "Turn"]

COMPLETE, INTERRUPTED, FAILED = "complete", "interrupted", "failed"

_VERSION = 1
_TEXTS = ("served_model", "finish_reason", "request_hash", "request_id", "created")
_ROLES = ("system", "user", "assistant")


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One question and its answer. Its fields are those of the record in the output's metadata; times in seconds."""

    turn: str
    thread: str
    status: str
    model: str
    messages: tuple[Message, ...]
    served_model: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    usage: Usage = Usage()
    finish_reason: str | None = None
    reasoning: str = ""
    request_hash: str | None = None
    request_id: str | None = None
    created: str | None = None
    seconds: float | None = None
    first_token_seconds: float | None = None
    demo: bool = False

    @property
    def exchange(self) -> tuple[Message, ...]:
        """What later requests carry of it: its messages without a system prompt that was for this turn alone."""
        return tuple(message for message in self.messages if message.role != "system")

    def to_metadata(self) -> dict[str, Any]:
        """Return the record that goes into the output's metadata, under the key ``mixroute``."""
        record = {name: getattr(self, name) for name in self.__slots__ if name not in {"messages", "usage"}}
        if not self.reasoning:
            del record["reasoning"]
        messages = [message.to_wire() for message in self.messages]
        return {
            "version": _VERSION,
            "kind": "turn",
            **record,
            "params": dict(self.params),
            "replayed": False,
            "messages": messages,
            "usage": self.usage.to_json(),
        }

    @classmethod
    def from_metadata(cls, record: Any) -> Turn | None:
        """Read a record, which anybody may have written; ``None`` where it is no turn of this version."""
        if not isinstance(record, Mapping) or record.get("kind") != "turn" or record.get("version") != _VERSION:
            return None
        needed = {name: _text(record.get(name)) for name in ("turn", "thread", "status", "model")}
        messages = _read_messages(record.get("messages"))
        if messages is None or not all(needed.values()):
            return None
        known: dict[str, Any] = {
            **needed,
            **{name: _text(record.get(name)) for name in _TEXTS},
            **{name: _number(record.get(name)) for name in ("seconds", "first_token_seconds")},
        }
        params = record.get("params")
        return cls(
            **known,
            messages=messages,
            params=params if isinstance(params, Mapping) else {},
            usage=Usage.from_json(record.get("usage")),
            reasoning=_text(record.get("reasoning")) or "",
            demo=record.get("demo") is True,
        )


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


def _read_messages(data: Any) -> tuple[Message, ...] | None:
    """Return the messages of a record, or ``None`` where one of them is not what this package writes."""
    if not isinstance(data, list):
        return None
    return tuple(map(Message.from_wire, data)) if all(map(_is_message, data)) else None


def _is_message(item: Any) -> bool:
    if not isinstance(item, Mapping) or set(item) != {"role", "content"}:
        return False
    return item["role"] in _ROLES and isinstance(item["content"], str)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
