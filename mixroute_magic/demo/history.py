"""The messages of a request: read, and checked for what an API demands of their order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .images import read_image
from .protocol import Image, Message, ToolCall
from .refusals import bad_request, check_name, missing, object_at, text_at, unaccepted, wrong_type

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["read_messages"]

ROLES = ("system", "user", "assistant", "tool")


def read_messages(items: Sequence[Any]) -> tuple[Message, ...]:
    """Return the messages, or raise `RefusedError` with the status 400 that OpenAI's API gives."""
    messages = tuple(_message(item, f"messages[{number}]") for number, item in enumerate(items))
    _check_order(messages)
    return messages


def _message(item: Any, param: str) -> Message:
    if not isinstance(item, dict) or item.get("role") not in ROLES:
        raise bad_request(f"each of messages must be an object with a role of {', '.join(ROLES)}", "messages")
    role: str = item["role"]
    calls = _tool_calls(item["tool_calls"], f"{param}.tool_calls") if item.get("tool_calls") is not None else ()
    if calls and role != "assistant":
        raise unaccepted(f"'tool_calls' is not allowed in a message with role '{role}'.", f"{param}.tool_calls")
    content, images = _content(item.get("content"), role, param, may_miss=bool(calls))
    reasoning = item.get("reasoning_content")
    return Message(
        role,
        content,
        images,
        calls,
        text_at(item, "tool_call_id", f"{param}.tool_call_id") if role == "tool" else "",
        reasoning if isinstance(reasoning, str) else None,
    )


def _content(content: Any, role: str, param: str, *, may_miss: bool) -> tuple[str, tuple[Image, ...]]:
    if content is None and may_miss:
        return "", ()
    if isinstance(content, str):
        return content, ()
    if not isinstance(content, list):
        raise bad_request("the content of a message must be text", "messages")
    texts, images = [], []
    for number, part in enumerate(content):
        place = f"{param}.content[{number}]"
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "text":
            texts.append(text_at(part, "text", f"{place}.text"))
        elif kind != "image_url":
            message = f"Invalid value: '{kind}'. Supported values are: 'text' and 'image_url'."
            raise unaccepted(message, f"{place}.type", "invalid_value")
        elif role != "user":
            message = "Image URLs are only allowed for messages with role 'user', but this message with role "
            raise unaccepted(f"Invalid '{param}'. {message}'{role}' contains an image URL.", param, "invalid_value")
        else:
            where = f"{place}.image_url"
            images.append(read_image(text_at(object_at(part, "image_url", where), "url", f"{where}.url"), where))
    return "".join(texts), tuple(images)


def _tool_calls(items: Any, param: str) -> tuple[ToolCall, ...]:
    if not isinstance(items, list):
        raise wrong_type(param, "an array of objects", items)
    if not items:
        message = f"Invalid '{param}': empty array. Expected an array with minimum length 1, but got an empty array."
        raise unaccepted(message, param, "empty_array")
    return tuple(_tool_call(item, f"{param}[{number}]") for number, item in enumerate(items))


def _tool_call(item: Any, param: str) -> ToolCall:
    if not isinstance(item, dict):
        raise wrong_type(param, "an object", item)
    function = object_at(item, "function", f"{param}.function")
    name = text_at(function, "name", f"{param}.function.name")
    check_name(name, f"{param}.function.name")
    call_id = text_at(item, "id", f"{param}.id")
    if not call_id or item.get("type") != "function":
        raise missing(f"{param}.type" if call_id else f"{param}.id")
    return ToolCall(call_id, name, text_at(function, "arguments", f"{param}.function.arguments"), _signature(item))


def _signature(item: dict[str, Any]) -> str:
    """Return ``extra_content.google.thought_signature``, where Gemini expects its own back."""
    value: Any = item
    for key in ("extra_content", "google", "thought_signature"):
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""


def _check_order(messages: Sequence[Message]) -> None:
    """Each call is answered by a tool message right after it, and a tool message answers a call."""
    waiting: set[str] = set()
    asked_at = 0
    for number, message in enumerate(messages):
        if message.role == "tool":
            _check_answer(message, number, waiting, calls=messages[asked_at].tool_calls)
            waiting.discard(message.tool_call_id)
        elif waiting:
            raise _unanswered(waiting, number)
        else:
            asked_at, waiting = number, {call.id for call in message.tool_calls}
            if len(waiting) < len(message.tool_calls):
                raise unaccepted(f"Duplicate id in 'messages[{number}].tool_calls'.", f"messages.[{number}].tool_calls")
    if waiting:
        raise _unanswered(waiting, len(messages))


def _check_answer(message: Message, number: int, waiting: set[str], *, calls: Sequence[ToolCall]) -> None:
    if not calls:
        raise unaccepted(
            "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with "
            "'tool_calls'.",
            f"messages.[{number}].role",
        )
    if message.tool_call_id not in waiting:
        raise unaccepted(
            f"Invalid parameter: 'tool_call_id' of '{message.tool_call_id}' not found in 'tool_calls' of previous "
            "message.",
            f"messages.[{number}].tool_call_id",
        )


def _unanswered(waiting: set[str], number: int) -> Exception:
    return unaccepted(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
        f"The following tool_call_ids did not have response messages: {', '.join(sorted(waiting))}",
        f"messages.[{number}].role",
    )
