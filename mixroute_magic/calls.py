"""Calls of tools, as models ask for them: whole, or in pieces over a stream.

Gateways number the pieces wrongly, or not at all, name a call in each of its pieces or only in the first, and send
arguments as text, as an object, or not at all (CONTRIBUTING.md, "What the wire looks like").
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mixroute_magic.outside import load_json, whole_characters

__all__ = ["CallPiece", "CallsBuilder", "ToolCall"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """What a model wants to be called: a tool's name, and its arguments in JSON, as the model wrote them.

    ``extra`` is what else came with it and has to go back, such as Gemini's ``extra_content`` with its signature.
    """

    id: str
    name: str
    arguments: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_wire(cls, data: Any) -> ToolCall | None:
        """Read a call that stands in a message; ``None`` where it is none."""
        function = data.get("function") if isinstance(data, Mapping) else None
        if not isinstance(function, Mapping) or not all(
            isinstance(text, str) for text in (data.get("id"), function.get("name"), function.get("arguments"))
        ):
            return None
        extra = {name: value for name, value in data.items() if name not in _OWN_FIELDS}
        return cls(data["id"], function["name"], function["arguments"], extra)

    def to_wire(self) -> dict[str, Any]:
        """Return the call as it stands in the assistant's message."""
        function = {"name": self.name, "arguments": self.arguments}
        return {"id": self.id, "type": "function", "function": function, **self.extra}

    def cleaned(self, clean: Callable[[str], str]) -> ToolCall:
        """Return the call without what must not be kept."""
        extra = json.loads(clean(json.dumps(self.extra))) if self.extra else self.extra
        return ToolCall(clean(self.id), clean(self.name), clean(self.arguments), extra)


@dataclass(frozen=True, slots=True)
class CallPiece:
    """What one event of a stream adds to a call; ``index`` is ``None`` where the gateway does not number them."""

    index: int | None = None
    id: str = ""
    name: str = ""
    arguments: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def list_from_wire(cls, delta: Mapping[str, Any]) -> tuple[CallPiece, ...]:
        """Read the pieces in a delta, or in a whole message; also in the form before there were tools."""
        found = delta.get("tool_calls") or []
        pieces = found if isinstance(found, list) else [found]
        if not pieces and isinstance(delta.get("function_call"), Mapping):
            pieces = [{"index": 0, "function": delta["function_call"]}]
        return tuple(cls._from_wire(piece) for piece in pieces if isinstance(piece, Mapping))

    @classmethod
    def _from_wire(cls, data: Mapping[str, Any]) -> CallPiece:
        function = data.get("function")
        function = function if isinstance(function, Mapping) else {}
        index = data.get("index")
        return cls(
            index=index if isinstance(index, int) and not isinstance(index, bool) else None,
            id=_text(data.get("id")),
            name=_text(function.get("name")),
            arguments=_arguments(function.get("arguments")),
            extra=_extra({name: value for name, value in data.items() if name not in _OWN_FIELDS}),
        )


_OWN_FIELDS = frozenset({"id", "type", "function", "index"})


_LONGEST_NAME = 256  # characters after which no more are taken: no tool has such a name
_LONGEST_TOLD_AGAIN = 100_000  # characters: where a call has more arguments, nothing but an id begins another


class _Call:
    """A call as it grows; whatever a gateway makes of it, in steps that do not get longer."""

    def __init__(self, piece: CallPiece) -> None:
        self.index, self.id, self.name = piece.index, piece.id, piece.name
        self.extra = dict(piece.extra)
        self._arguments = [piece.arguments]
        self._length = len(piece.arguments)

    @property
    def arguments(self) -> str:
        """As much of them as has come."""
        self._arguments = ["".join(self._arguments)]
        return self._arguments[0]

    def add(self, piece: CallPiece) -> None:
        """Take in one more piece."""
        self.id = self.id or piece.id
        if piece.name != self.name and len(self.name) < _LONGEST_NAME:
            self.name += piece.name
        self.extra.update(piece.extra)
        self._arguments.append(piece.arguments)
        self._length += len(piece.arguments)

    def ends_before(self, piece: CallPiece) -> bool:
        """Say whether a piece that seems to go on with it begins another: some number all calls alike, or none."""
        if piece.id and self.id and piece.id != self.id:
            return True
        if not piece.name or not self.name:
            return False
        if piece.index is None and piece.name != self.name:
            return True
        if not piece.arguments.strip() or self._length > _LONGEST_TOLD_AGAIN:  # a last piece may be named, and empty
            return False
        return self._arguments[-1].rstrip().endswith(("}", '"')) and _is_whole(self.arguments)


class CallsBuilder:
    """Puts calls together from the pieces of a stream, at any moment."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._last: dict[tuple[int | None, str], int] = {}  # the last place of an index, an id, both, or anything
        self._made_ids: dict[int, str] = {}  # apart, since the call's own may still come

    def add(self, piece: CallPiece) -> None:
        """Take in one more piece: of the call that it belongs to, or of a new one."""
        place = self._place(piece)
        if place is None:
            place = len(self._calls)
            self._calls.append(_Call(piece))
        else:
            self._calls[place].add(piece)
        call = self._calls[place]
        for key in ((index, name) for index in (None, call.index) for name in ("", call.id)):
            self._last[key] = max(place, self._last.get(key, 0))

    def calls(self) -> tuple[ToolCall, ...]:
        """Return the calls so far; one without an id of its own gets one, as each result has to name its call."""
        calls: dict[str, ToolCall] = {}
        for place, call in enumerate(self._calls):
            own, name, arguments = map(whole_characters, (call.id, call.name, call.arguments))
            known = calls.get(own)
            if known is not None and (known.name, known.arguments) == (name, arguments):
                continue  # the same call, told again as a whole
            own = own if known is None else ""
            call_id = own or self._made_ids.setdefault(place, f"call_{uuid.uuid4().hex[:16]}")
            calls[call_id] = ToolCall(call_id, name, arguments, dict(call.extra))
        return tuple(calls.values())

    def _place(self, piece: CallPiece) -> int | None:
        """Return the place of the call that a piece goes on with; ``None`` where it begins another one."""
        place = self._last.get((piece.index, piece.id), self._last.get((piece.index, "")))
        return None if place is None or self._calls[place].ends_before(piece) else place


def _is_whole(arguments: str) -> bool:
    try:
        load_json(arguments)
    except ValueError:
        return False
    return True


def _arguments(value: Any) -> str:
    """Return arguments as JSON text: some gateways send the object itself, or nothing where there are none."""
    if isinstance(value, str):
        return value
    return "" if value in (None, {}) else json.dumps(value, ensure_ascii=False)  # after which the text may follow


def _extra(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what else came with a call as it can go back; nothing of it where it holds NaN."""
    told = {name: value for name, value in data.items() if value is not None}
    try:
        clean: dict[str, Any] = json.loads(whole_characters(json.dumps(told, ensure_ascii=False, allow_nan=False)))
    except ValueError:
        return {}
    return clean


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
