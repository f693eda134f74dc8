"""What was said and done before an answer: earlier questions, calls of tools, and their results."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from mixroute_magic.display.markdown import as_html, as_pre, make_safe, parser, without_controls
from mixroute_magic.parts import described

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mixroute_magic.calls import ToolCall
    from mixroute_magic.wire import Message

__all__ = ["call_line", "to_html", "to_markdown", "to_plain"]

_LONGEST = 60  # characters of arguments, or of a result, in the line that stands for a call
_LONGEST_ASKED = 2_000  # of what a person is asked to allow


def to_markdown(messages: Sequence[Message]) -> list[str]:
    """Return messages as Markdown, a part each."""
    return _parts(messages, _quoted, _folded)


def to_plain(messages: Sequence[Message]) -> list[str]:
    """Return messages as text, a part each."""
    return _parts(messages, lambda message: without_controls(described(message)), _line)


def to_html(messages: Sequence[Message]) -> str:
    """Return messages as HTML; without the words of answers, which a view has shown as they came."""
    silent = [replace(message, content=None) if message.role == "assistant" else message for message in messages]
    return "".join(_parts(silent, lambda message: parser().render(_quoted(message)), _folded))


def _parts(
    messages: Sequence[Message], said: Callable[[Message], str], called: Callable[[ToolCall, str], str]
) -> list[str]:
    results = {str(message.extra.get("tool_call_id")): message.text for message in messages if message.role == "tool"}
    parts: list[str] = []
    for message in messages:
        parts += [said(message)] if message.role != "tool" and described(message) else []
        parts += [called(call, results.get(call.id, "")) for call in message.tool_calls]
    return parts


def call_line(call: ToolCall, *, whole: bool = False) -> str:
    """Return a call as Python would write it, on one line; ``whole`` for whom it is to be allowed by."""
    try:
        given = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        given = None
    text = call.arguments
    if isinstance(given, dict):
        text = ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in given.items())
    return f"{without_controls(call.name)}({_short(text, _LONGEST_ASKED if whole else _LONGEST)})"


def _line(call: ToolCall, result: str) -> str:
    return f"{call_line(call)} → {_short(result, _LONGEST)}"


def _folded(call: ToolCall, result: str) -> str:
    """Return a call and its result as a folded paragraph on one line, out of which no text in it can break."""
    summary = f"<summary><code>{as_html(call_line(call))}</code> → {as_html(_short(result, _LONGEST))}</summary>"
    return f"<details>{summary}{as_pre(_pretty(call.arguments))}{as_pre(result)}</details>"


def _quoted(message: Message) -> str:
    """Return a message that was said before: an answer as it was shown, a question as a quotation.

    It is quoted first and made safe then, since no blank line keeps a quoted block of code from what stands above it.
    """
    text = without_controls(described(message)).rstrip()
    quoted = text if message.role == "assistant" else "\n".join(f"> {line}".rstrip() for line in text.split("\n"))
    return make_safe(quoted)


def _pretty(arguments: str) -> str:
    try:
        return json.dumps(json.loads(arguments), ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        return arguments


def _short(text: str, longest: int) -> str:
    """Return a text on one line; where it is long, its beginning, and how much is missing."""
    line = " ".join(without_controls(text).split())
    return line if len(line) <= longest else f"{line[:longest].rstrip()} … ({len(line) - longest:,} more characters)"
