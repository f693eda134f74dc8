"""The messages of a record, which anybody may have written: read, checked, and cleaned."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from mixroute_magic.outside import load_json
from mixroute_magic.wire import Message

__all__ = ["clean_json", "clean_text", "read_messages"]

_PLAIN = 2  # fields of a message: its role, and its text
_MOST_PARTS = 100
_MOST_CALLS = 100
_FIELDS: dict[str, set[str]] = {
    "system": {"role", "content"},
    "user": {"role", "content"},
    "assistant": {"role", "content", "tool_calls", "reasoning_content"},
    "tool": {"role", "content", "tool_call_id"},
}


def read_messages(data: Any) -> tuple[Message, ...] | None:
    """Return the messages of a record, or ``None`` where they are not what this package writes.

    They begin with a question; and each call of a tool has its one result, before anything else is said, as gateways
    demand.
    """
    read = [_message(item) for item in data] if isinstance(data, list) else []
    messages = tuple(message for message in read if message is not None)
    exchange = [message for message in messages if message.role != "system"]
    if len(messages) < len(read) or not exchange or exchange[0].role != "user" or not _are_answered(messages):
        return None
    return messages


def clean_text(text: str) -> str:
    """Return text that can be encoded: JSON may hold half characters, which nothing can show or send."""
    return text.encode("utf-8", "replace").decode()


def clean_json(data: Any) -> dict[str, Any]:
    """Return an object as JSON can carry it; nothing of it where it holds NaN, or no end of brackets."""
    return _clean(data) if isinstance(data, Mapping) else {}


def _clean(data: Mapping[str, Any]) -> dict[str, Any]:
    try:
        clean: dict[str, Any] = load_json(clean_text(json.dumps(data, ensure_ascii=False, allow_nan=False)))
    except (ValueError, TypeError, RecursionError):
        return {}
    return clean


def _message(item: Any) -> Message | None:
    role = item.get("role") if isinstance(item, Mapping) else None
    if not isinstance(role, str) or set(item) - _FIELDS.get(role, set()):
        return None
    if isinstance(item.get("content"), str) and len(item) == _PLAIN:
        return Message(role, clean_text(item["content"])) if role != "tool" else None
    message = Message.from_wire(_clean(item))
    return message if _is_sound(message) else None


def _is_sound(message: Message) -> bool:
    """Say whether a message that is more than text is what its role can say."""
    content, extra = message.content, message.extra
    if message.role == "user" and isinstance(content, list):
        return 0 < len(content) <= _MOST_PARTS and all(map(_is_part, content))
    if message.role == "tool":
        return isinstance(content, str) and isinstance(extra.get("tool_call_id"), str)
    if "tool_calls" in extra and not _are_calls(message):
        return False
    if not isinstance(extra.get("reasoning_content", ""), str):
        return False
    return isinstance(content, str) or (content is None and "tool_calls" in extra)


def _are_calls(message: Message) -> bool:
    """Say whether what a message calls are calls, at least one, and each with an id of its own."""
    calls, ids = message.extra["tool_calls"], {call.id for call in message.tool_calls}
    return isinstance(calls, list) and 0 < len(calls) <= _MOST_CALLS and len(ids) == len(calls)


def _is_part(part: Any) -> bool:
    """Say whether a part is text, or an image by reference: its bytes are elsewhere."""
    if not isinstance(part, Mapping):
        return False
    if part.get("type") == "text":
        return set(part) == {"type", "text"} and isinstance(part["text"], str)
    return part.get("type") == "image" and all(isinstance(value, str | int) for value in part.values())


def _are_answered(messages: Sequence[Message]) -> bool:
    """Say whether each call has its result, directly below it and once."""
    waiting: list[str] = []
    for message in messages:
        if message.role == "tool":
            if message.extra["tool_call_id"] not in waiting:
                return False
            waiting.remove(message.extra["tool_call_id"])
        elif waiting:
            return False
        else:
            waiting = [call.id for call in message.tool_calls]
    return not waiting
