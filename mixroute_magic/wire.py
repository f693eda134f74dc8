"""The values that travel, and their JSON on the wire.

Foreign names (``prompt_tokens``, ``delta`` …) stop at this module. Reading never raises on odd shapes: what a
gateway may legally or habitually get wrong (protocol facts in CONTRIBUTING.md) becomes an empty or unknown value.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mixroute_magic.calls import CallPiece, ToolCall
from mixroute_magic.outside import name_of, whole_characters

__all__ = ["Chunk", "Message", "Model", "Request", "Usage"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation, kept as it is on the wire.

    ``content`` is mostly text, but may be a list of parts or ``None``; ``extra`` holds whatever else it came with, such
    as the calls of tools.
    """

    role: str
    content: Any
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The words of the message, without whatever else is in it."""
        return _text(self.content)

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tools that an assistant's message calls."""
        found = self.extra.get("tool_calls")
        read = map(ToolCall.from_wire, found if isinstance(found, Sequence) else ())
        return tuple(call for call in read if call is not None)

    def without(self, *names: str) -> Message:
        """Return the message without some of what it came with, in its calls too."""
        extra = {name: value for name, value in self.extra.items() if name not in names}
        if self.tool_calls:
            calls = (call.to_wire() for call in self.tool_calls)
            extra["tool_calls"] = [{name: value for name, value in call.items() if name not in names} for call in calls]
        return replace(self, extra=extra)

    @classmethod
    def from_wire(cls, data: Mapping[str, Any]) -> Message:
        """Read a message from the wire's JSON."""
        extra = {name: value for name, value in data.items() if name not in {"role", "content"}}
        return cls(str(data.get("role", "")), data.get("content"), extra)

    def to_wire(self) -> dict[str, Any]:
        """Return the wire's JSON."""
        return {"role": self.role, "content": self.content, **self.extra}


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one request; ``None`` is unknown, never zero.

    ``source`` says where they come from: ``reported``, ``estimated``, or ``replayed``.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    source: str | None = None

    def __add__(self, other: Usage) -> Usage:
        """Return the tokens of two requests; of what one of them does not tell, nothing is known."""
        pairs = {name: (getattr(self, name), getattr(other, name)) for name in self.__slots__ if name != "source"}
        counts = {name: None if None in pair else sum(pair) for name, pair in pairs.items()}
        sources = {self.source, other.source}
        mixed = "estimated" if sources == {"reported", "estimated"} else None
        return Usage(**counts, source=self.source if len(sources) == 1 else mixed)

    @classmethod
    def from_wire(cls, data: Any) -> Usage | None:
        """Read a gateway's usage in any of the dialects seen: OpenAI, DeepSeek, Kimi, Anthropic."""
        if not isinstance(data, Mapping):
            return None
        inputs = _mapping(data.get("prompt_tokens_details")) or _mapping(data.get("input_tokens_details"))
        outputs = _mapping(data.get("completion_tokens_details")) or _mapping(data.get("output_tokens_details"))
        usage = cls(
            input_tokens=_first_count(data.get("prompt_tokens"), data.get("input_tokens")),
            output_tokens=_first_count(data.get("completion_tokens"), data.get("output_tokens")),
            cached_tokens=_first_count(
                inputs.get("cached_tokens"), data.get("prompt_cache_hit_tokens"), data.get("cached_tokens")
            ),
            reasoning_tokens=_first_count(outputs.get("reasoning_tokens")),
        )
        return None if usage == cls() else replace(usage, source="reported")

    def to_json(self) -> dict[str, int | str | None]:
        """Return the form kept in a notebook's metadata."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, data: Any) -> Usage:
        """Read the form kept in a notebook's metadata."""
        known = _mapping(data)
        counts = {name: _count(known.get(name)) for name in cls.__slots__ if name != "source"}
        source = known.get("source")
        return cls(**counts, source=source if isinstance(source, str) else None)


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one event of a stream adds. ``usage`` replaces what was said before; it is never summed.

    The first chunk of a stream comes from the response's headers: ``request_id``, and ``demo`` where the offline
    demo gateway answers.
    """

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[CallPiece, ...] = ()
    finish_reason: str | None = None
    usage: Usage | None = None
    model: str | None = None
    request_id: str | None = None
    demo: bool = False

    @property
    def says_something(self) -> bool:
        """Whether it adds to the answer, and not only to what is known about it."""
        return bool(self.text or self.reasoning or self.tool_calls)

    @classmethod
    def from_wire(cls, data: Mapping[str, Any]) -> Chunk:
        """Read one chunk, or one whole completion, of the chat-completions dialects."""
        choice = _first_choice(data.get("choices"))
        delta = _mapping(choice.get("delta")) or _mapping(choice.get("message"))
        usage = data.get("usage") or choice.get("usage")
        model = data.get("model")
        reason = choice.get("finish_reason")
        return cls(
            text=_text(delta.get("content")) or _text(delta.get("refusal")),
            reasoning=_reasoning(delta),
            tool_calls=CallPiece.list_from_wire(delta) if len(delta) > 1 or "content" not in delta else (),
            finish_reason=reason if isinstance(reason, str) and reason else None,
            usage=Usage.from_wire(usage) if usage else None,
            model=model if isinstance(model, str) and model else None,
        )


@dataclass(frozen=True, slots=True)
class Request:
    """One question to the gateway; ``params`` holds only what the user set, in the wire's names."""

    model: str
    messages: tuple[Message, ...]
    params: Mapping[str, Any] = field(default_factory=dict)

    def to_wire(self) -> dict[str, Any]:
        """Return the request body."""
        messages = [message.to_wire() for message in self.messages]
        return {"model": self.model, "messages": messages, "stream": True, **self.params}

    def fingerprint(self, gateway: str) -> str:
        """Return a hash that is equal when gateway, model, messages and parameters are."""
        known = json.dumps([gateway, self.to_wire()], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(known.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Model:
    """A model that the gateway offers to this key."""

    id: str
    owned_by: str = ""

    @classmethod
    def list_from_wire(cls, data: Any) -> list[Model]:
        """Read ``GET /v1/models``: odd entries are left out, duplicates once, sorted by name."""
        entries = [_mapping(entry) for entry in data] if isinstance(data, list) else []
        found = {
            name: cls(name, whole_characters(_text(entry.get("owned_by"))))
            for entry in entries
            if (name := whole_characters(name_of(entry.get("id"))))
        }
        return sorted(found.values(), key=lambda model: model.id)

    def cleaned(self, clean: Callable[[str], str]) -> Model:
        """Return the model without what must not be seen."""
        return Model(clean(self.id), clean(self.owned_by))


def _reasoning(delta: Mapping[str, Any]) -> str:
    """Read reasoning from the first of its three places that has any: where it stands in several, it is the same."""
    told = delta.get("reasoning_content") or delta.get("reasoning")
    details = delta.get("reasoning_details")
    if told or not isinstance(details, list):
        return _text(told)
    return "".join(_text(_mapping(detail).get("text") or _mapping(detail).get("summary")) for detail in details)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}  # as JSON is read; a Mapping in general takes longer to tell


def _first_choice(choices: Any) -> Mapping[str, Any]:
    """Return choice 0: with ``n`` above 1 the others are never interleaved into it."""
    if not isinstance(choices, list):
        return {}
    return next((choice for choice in choices if isinstance(choice, dict) and not choice.get("index")), {})


def _text(value: Any) -> str:
    """Read text that may be a string, a list of parts, or something else altogether."""
    if isinstance(value, str):
        return value
    if value and isinstance(value, Sequence):
        texts = (part.get("text") for part in value if isinstance(part, Mapping))
        return "".join(text for text in texts if isinstance(text, str))
    return ""


def _count(value: Any) -> int | None:
    """Read a token count that may be a float or a numeric string; anything else is unknown."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        count = int(float(value))
    except (ValueError, OverflowError):
        return None
    return count if 0 <= count < _MOST_TOKENS else None


_MOST_TOKENS = 2**30  # what is more is no count; and two of these fit a database's integer of four bytes


def _first_count(*values: Any) -> int | None:
    return next((count for value in values if (count := _count(value)) is not None), None)
