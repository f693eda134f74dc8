"""A turn, one question and its answer, and its record in an output's metadata. Pure, no input or output."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import takewhile
from typing import Any

from mixroute_magic.conversation.messages import clean_json, clean_text, read_messages
from mixroute_magic.option_values import MOST_MODELS, is_thread_name
from mixroute_magic.schemas import is_repair
from mixroute_magic.wire import Message, Usage

__all__ = [
    "COMPLETE",
    "FAILED",
    "INTERRUPTED",
    "VERSION",
    "Turn",
    "answer_to",
    "complete",
    "contexts",
    "labels",
    "read_places",
]

COMPLETE, INTERRUPTED, FAILED = "complete", "interrupted", "failed"

VERSION = 1
"""Of the records that this package writes."""

_TEXTS = ("served_model", "finish_reason", "request_hash", "request_id", "created", "context")
_LONGEST = 1e9  # seconds
_MOST_LINES = 5  # of an error


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One question and its answer. Its fields are those of the record in the output's metadata; times in seconds.

    Five of them are left out of a record where they say nothing: ``reasoning``; ``also_in``, the threads besides its
    own that it stands in; ``earlier``, the complete turns that a failed one did not erase, by place in their cell;
    ``alternatives``, the answers that several models gave side by side, of which the turn carries the kept one; and,
    of these, ``error``: the lines that say why one failed.
    ``context`` is a digest of the messages that stood above when it was asked, ``None`` where it was asked without.
    """

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
    context: str | None = None
    created: str | None = None
    seconds: float | None = None
    first_token_seconds: float | None = None
    demo: bool = False
    replayed: bool = False
    also_in: tuple[str, ...] = ()
    earlier: Mapping[int, Turn] = field(default_factory=dict)
    alternatives: tuple[Turn, ...] = ()
    error: tuple[str, ...] = ()

    @property
    def kept(self) -> int | None:
        """The place among its alternatives of the one that it carries; ``None`` where there is none."""
        mine = _answer(self)
        return next((place for place, answer in enumerate(self.alternatives) if _answer(answer) == mine), None)

    @property
    def names(self) -> list[str]:
        """What its alternatives are called."""
        return labels([answer.model for answer in self.alternatives])

    def keeping(self, place: int, turn: str) -> Turn:
        """Return it as a turn with another id that carries another one of its alternatives."""
        return replace(
            self.alternatives[place],
            turn=turn,
            thread=self.thread,
            context=self.context,
            also_in=self.also_in,
            alternatives=self.alternatives,
        )

    @property
    def exchange(self) -> tuple[Message, ...]:
        """What later requests carry of it: its messages without a system prompt that was for this turn alone."""
        return tuple(message for message in self.messages if message.role != "system")

    @property
    def questions(self) -> list[Message]:
        """What the user asked in it: more than one where its cell went on from an answer."""
        return [message for message in self.messages if _is_question(message)]

    @property
    def question(self) -> str:
        """The words that it answers."""
        return next((message.text for message in reversed(self.questions)), "")

    @property
    def before_question(self) -> tuple[Message, ...]:
        """Its exchange before the question that it answers."""
        return self.exchange[: self._place_of_question]

    @property
    def answered(self) -> bool:
        """Whether any words of an answer came."""
        return self.messages[-1].role == "assistant" and not self.messages[-1].tool_calls

    @property
    def before_answer(self) -> tuple[Message, ...]:
        """Its exchange without the answer."""
        return self.exchange[:-1] if self.answered else self.exchange

    @property
    def shared(self) -> int:
        """How many messages its alternatives have in common: what they were asked."""
        together = zip(*(answer.exchange for answer in self.alternatives), strict=False)
        return sum(1 for _ in takewhile(lambda said: said.count(said[0]) == len(said), together))

    @property
    def steps(self) -> tuple[Message, ...]:
        """What was called, or asked back, between the question and the answer."""
        return self.before_answer[self._place_of_question + 1 :]

    @property
    def _place_of_question(self) -> int:
        places = [place for place, message in enumerate(self.exchange) if _is_question(message)]
        return next(iter(places[::-1]), 0)

    def age(self) -> float:
        """Return how many seconds ago it began, to the second; 0 where that is not known."""
        with suppress(ValueError, TypeError):
            return max(0.0, (datetime.now(UTC) - datetime.fromisoformat(self.created or "")).total_seconds())
        return 0.0

    def repeats(self, former: Turn | None) -> bool:
        """Say whether it only repeats another one, as a replay does."""
        return former is not None and self.replayed and self.messages == former.messages

    def to_metadata(self) -> dict[str, Any]:
        """Return the record that goes into the output's metadata, under the key ``mixroute``."""
        record = {name: getattr(self, name) for name in self.__slots__}
        record["params"] = dict(self.params)
        record["messages"] = [message.to_wire() for message in self.messages]
        record["usage"] = self.usage.to_json()
        record["also_in"] = list(self.also_in)
        record["earlier"] = {str(place): turn.to_metadata() for place, turn in self.earlier.items()}
        record["alternatives"] = [answer.to_metadata() for answer in self.alternatives]
        record["error"] = list(self.error)
        for name in ("reasoning", "also_in", "earlier", "alternatives", "error"):
            if not record[name]:
                del record[name]
        return {"version": VERSION, "kind": "turn", **record}

    @classmethod
    def from_metadata(cls, record: Any) -> Turn | None:
        """Read a record, which anybody may have written; ``None`` where it is no turn of this version."""
        if not isinstance(record, Mapping) or record.get("kind") != "turn" or record.get("version") != VERSION:
            return None
        needed = {name: _text(record.get(name)) for name in ("turn", "thread", "status", "model")}
        messages = read_messages(record.get("messages"))
        if not messages or not all(needed.values()) or not is_thread_name(str(needed["thread"])):
            return None
        known: dict[str, Any] = {
            **needed,
            **{name: _text(record.get(name)) for name in _TEXTS},
            **{name: _number(record.get(name)) for name in ("seconds", "first_token_seconds")},
            **{name: record.get(name) is True for name in ("demo", "replayed")},
        }
        also_in, error = record.get("also_in"), record.get("error")
        turn = cls(
            **known,
            messages=messages,
            params=clean_json(record.get("params")),
            usage=Usage.from_json(record.get("usage")),
            reasoning=_text(record.get("reasoning")) or "",
            also_in=tuple(name for name in also_in if _is_thread(name)) if isinstance(also_in, list) else (),
            earlier=read_places(record.get("earlier")),
            error=tuple(filter(None, map(_text, error[:_MOST_LINES]))) if isinstance(error, list) else (),
        )
        turn = replace(turn, alternatives=_read_alternatives(record.get("alternatives"), turn))
        return turn if turn.kept is not None else replace(turn, alternatives=())


def _is_question(message: Message) -> bool:
    return message.role == "user" and not is_repair(message.text)


def labels(models: Sequence[str]) -> list[str]:
    """Return what models side by side are called: by their names, and where one is there twice, by number, too."""
    if len(set(models)) == len(models):
        return list(models)
    return [f"{number} · {model}" for number, model in enumerate(models, start=1)]


def answer_to(turns: Iterable[Turn], request_hash: str, besides: Collection[str] = ()) -> Turn | None:
    """Return the first complete answer to this very request, ``besides`` those with these ids."""
    answers = (answer for turn in turns for answer in turn.alternatives or (turn,))
    same = (answer for answer in answers if answer.request_hash == request_hash and answer.status == COMPLETE)
    return next((answer for answer in same if answer.turn not in besides), None)


def read_places(data: Any) -> dict[int, Turn]:
    """Read complete turns by their place in a cell; they themselves have no earlier ones."""
    if not isinstance(data, Mapping):
        return {}
    places = {place: record for place, record in data.items() if re.fullmatch("[0-9]{1,6}", str(place))}
    plain = {int(place): dict(record, earlier=None) for place, record in places.items() if isinstance(record, Mapping)}
    read = {place: Turn.from_metadata(record) for place, record in sorted(plain.items())}
    return {place: turn for place, turn in read.items() if turn is not None and turn.status == COMPLETE}


def complete(turns: Mapping[int, Turn]) -> dict[int, Turn]:
    """Return what a cell contributes to its thread, by place: complete turns, and those that failed ones left alive."""
    kept: dict[int, Turn] = {}
    for place, turn in turns.items():
        if next(reversed(kept), -1) >= place:
            kept = {earlier: left for earlier, left in kept.items() if earlier < place}
        kept |= {place: turn} if turn.status == COMPLETE else dict(sorted(turn.earlier.items()))
    return kept


def contexts(turns: Iterable[Turn]) -> Iterator[str]:
    """Yield the digest of what stands above each turn, and at last of what stands above the next one."""
    running = hashlib.blake2b(digest_size=8)
    yield running.hexdigest()
    for turn in turns:
        said = [message.to_wire() for message in turn.exchange]
        running.update(json.dumps(said, sort_keys=True).encode())
        yield running.hexdigest()


def _read_alternatives(data: Any, turn: Turn) -> tuple[Turn, ...]:
    """Read the answers that were given side by side, as far as they are answers to what this turn asked."""
    records = data[:MOST_MODELS] if isinstance(data, list) else []
    plain = [dict(record, earlier=None, alternatives=None) for record in records if isinstance(record, Mapping)]
    read = [answer for answer in map(Turn.from_metadata, plain) if answer is not None]
    return tuple(answer for answer in read if _opening(answer) == _opening(turn))


def _opening(turn: Turn) -> tuple[Message, ...]:
    """Return what a turn begins with, before anything was answered."""
    return tuple(takewhile(lambda message: message.role != "assistant", turn.messages))


def _answer(turn: Turn) -> tuple[Any, ...]:
    return turn.model, turn.status, turn.messages, turn.seconds


def _is_thread(name: Any) -> bool:
    return isinstance(name, str) and is_thread_name(name)


def _text(value: Any) -> str | None:
    return clean_text(value) if isinstance(value, str) else None


def _number(value: Any) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if abs(value) < _LONGEST else None  # NaN compares false
