"""What was said and done before an answer: earlier questions, calls of tools, and answers that did not fit."""

from __future__ import annotations

from dataclasses import replace
from itertools import takewhile
from typing import TYPE_CHECKING

from mixroute_magic.display.formats import as_json
from mixroute_magic.display.markdown import as_html, as_pre, make_safe, parser
from mixroute_magic.outside import load_json, visible, without_controls
from mixroute_magic.parts import described
from mixroute_magic.schemas import is_repair, problems_in

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mixroute_magic.calls import ToolCall
    from mixroute_magic.wire import Message

__all__ = ["call_line", "to_html", "to_markdown", "to_plain"]

_LONGEST = 60  # characters of arguments, or of a result, in the line that stands for a call
_ONE_LINE = "margin:0.5em 0;overflow:hidden;text-overflow:ellipsis;white-space:nowrap"


def to_markdown(messages: Sequence[Message]) -> list[str]:
    """Return messages as Markdown, a part each."""
    return _parts(messages, _quoted, _folded_call, _folded_answer)


def to_plain(messages: Sequence[Message]) -> list[str]:
    """Return messages as text, a part each."""
    return _parts(messages, lambda message: without_controls(described(message)), _call_and_result, _why_again)


def to_html(messages: Sequence[Message]) -> str:
    """Return messages as HTML; without the words of answers, which a view has shown as they came."""
    silent = [replace(message, content=None) if message.role == "assistant" else message for message in messages]
    parts = _parts(silent, lambda message: parser().render(_quoted(message)), _folded_call, _folded_answer)
    return "".join(parts)


def _parts(
    messages: Sequence[Message],
    said: Callable[[Message], str],
    called: Callable[[ToolCall, str], str],
    unfit: Callable[[str, str], str],
) -> list[str]:
    """Return each message as it is ``said``, each call with its result, each ``unfit`` answer with its problems."""
    parts: list[str] = []
    answer = ""
    for place, message in enumerate(messages):
        if message.role == "user" and is_repair(message.text):
            del parts[len(parts) - bool(answer) :]
            parts.append(unfit(answer, problems_in(message.text)))
        elif message.role != "tool" and described(message):
            parts.append(said(message))
        answer = message.text if message.role == "assistant" else ""
        below = takewhile(lambda said: said.role == "tool", messages[place + 1 :])  # a later round may use an id again
        results = {result.extra.get("tool_call_id"): result.text for result in below}
        parts += [called(call, results.get(call.id, "")) for call in message.tool_calls]
    return parts


def call_line(call: ToolCall, *, whole: bool = False) -> str:
    """Return a call as Python would write it, on one line; ``whole`` for whom it is to be allowed by."""
    try:
        given = load_json(call.arguments or "{}")
    except ValueError:
        given = None
    text = call.arguments
    if isinstance(given, dict) and all(map(str.isidentifier, given)):  # a name could play at being more arguments
        text = ", ".join(f"{name}={as_json(value)}" for name, value in given.items())
    return f"{visible(call.name)}({visible(text, also='') if whole else visible(_short(text))})"


def _call_and_result(call: ToolCall, result: str) -> str:
    return f"{call_line(call)} → {_short(result)}"


def _why_again(_answer: str, problems: str) -> str:
    return f"The answer did not fit, and was asked for again: {_short(problems.removeprefix('- '))}"


def _folded_call(call: ToolCall, result: str) -> str:
    name = f'<code style="white-space:nowrap">{as_html(call_line(call))}</code>'
    return _folded(f"{name} → {as_html(_short(result))}", _pretty(call.arguments), f"→ {_pretty(result)}")


def _folded_answer(answer: str, problems: str) -> str:
    return _folded(as_html(_why_again(answer, problems)), _pretty(answer), problems)


def _folded(line: str, *texts: str) -> str:
    """Return a line, which unfolds to texts, as one paragraph, out of which no text in it can break.

    The line stays one where a page keeps styles; GitHub, which does not, wraps it.
    """
    unfolded = "".join(map(as_pre, texts))
    return f'<details><summary style="{_ONE_LINE}">{line}</summary><blockquote>{unfolded}</blockquote></details>'


def _quoted(message: Message) -> str:
    """Return a message that was said before: an answer as it was shown, a question as a quotation.

    It is quoted first and made safe then, since no blank line keeps a quoted block of code from what stands above it.
    """
    text = without_controls(described(message)).rstrip()
    quoted = text if message.role == "assistant" else "\n".join(f"> {line}".rstrip() for line in text.split("\n"))
    return make_safe(quoted)


def _pretty(text: str) -> str:
    """Return JSON as it can be read, nothing of an empty object, and what is no JSON as it is."""
    try:
        value = load_json(text or "{}")
    except ValueError:
        return text
    return "" if value == {} else as_json(value, indent=2)


def _short(text: str) -> str:
    """Return a text on one line; where it is long, its beginning."""
    line = " ".join(without_controls(text).split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST].rstrip()} …"
