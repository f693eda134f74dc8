"""Which tools the demo calls for a question, with which arguments, and what it says of their results."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from . import question
from .protocol import ToolCall
from .schemas import Filler, is_free_text

if TYPE_CHECKING:
    from .protocol import Tool
    from .request import ChatRequest

__all__ = ["calls_for", "result_lines"]

HARMLESS = re.compile(r"(?:[^\W_]|[ °%.,:;()+/…-])*")  # no Markdown is made of these
RESULT_LENGTH = 200
DEGREES = re.compile(r"temp|celsius|氣溫|溫度", re.IGNORECASE)


def calls_for(request: ChatRequest, *, signed: bool = False, again: bool = False) -> tuple[ToolCall, ...]:
    """Return the calls that the demo makes now: those that fit the question and were not made before.

    Parameters
    ----------
    request
        With ``tool_choice`` "required", or naming a tool, it gets a call whatever it asks and however often.
    signed
        The first call carries a signature, which has to come back.
    again
        There is always one more call.
    """
    wanted = _wanted(request, must_call=request.must_call or again)
    left = wanted[len(request.results) :]
    if request.must_call or again:
        left = left or wanted[:1]
    if request.params.get("parallel_tool_calls") is False:
        left = left[:1]
    first = 1 + sum(len(message.tool_calls) for message in request.messages)
    return tuple(
        ToolCall(f"call_demo_{number}", tool.name, arguments, "demo-signature" if signed and number == first else "")
        for number, (tool, arguments) in enumerate(left, first)
    )


def result_lines(request: ChatRequest) -> list[str]:
    """Return a line for each call of this question with what the tool returned, as `Paris: 18 °C`."""
    return [
        f"- {_harmless(_label(call))}: {_harmless(_result(content, _label(call)))}" for call, content in request.results
    ]


def _wanted(request: ChatRequest, *, must_call: bool) -> list[tuple[Tool, str]]:
    """Return tools with their arguments; a tool that takes one name is called for each that the question has."""
    text = request.question
    fitting = question.tools_for(text, request.tools) or list(request.tools[:1] if must_call else ())
    numbers = question.numbers_in(text)
    calls = []
    for tool in fitting:
        members = _members(tool)
        names = [name for name in question.names_in(text) if name.lower() not in members]
        for own in [[name] for name in names] if _takes_one_name(tool) and names else [names]:
            arguments = Filler(tool.parameters, own, numbers, text).arguments(text.strip() or "demo")
            calls.append((tool, json.dumps(arguments, ensure_ascii=False)))
    return calls


def _takes_one_name(tool: Tool) -> bool:
    filler = Filler(tool.parameters, (), (), "")
    texts = {
        name for name, schema in tool.parameters.get("properties", {}).items() if is_free_text(filler.resolved(schema))
    }
    return len(texts & set(tool.parameters.get("required", ())) or texts) == 1


def _members(tool: Tool) -> set[str]:
    """Return what a tool's parameters choose from, as Fahrenheit, which is no city."""
    schemas = tool.parameters.get("properties", {}).values()
    return {str(item).lower() for schema in schemas if isinstance(schema, dict) for item in schema.get("enum", ())}


def _label(call: ToolCall) -> str:
    """Return what a call was about: its first text, or the call itself."""
    arguments = _read(call.arguments)
    values = arguments.values() if isinstance(arguments, dict) else ()
    return next((value for value in values if isinstance(value, str)), f"{call.name}({call.arguments})")


def _result(content: str, label: str) -> str:
    """Return a result in words; of an object, each value but the one that the label says."""
    value = _read(content)
    if not isinstance(value, dict):
        return content
    degrees = "°F" if str(value.get("unit")).lower().startswith("f") else "°C"
    parts = [_part(key, item, degrees) for key, item in value.items() if item != label and key != "unit"]
    return ", ".join(parts) or content


def _part(key: str, value: Any, degrees: str) -> str:
    if DEGREES.search(key) and isinstance(value, (int, float)):
        return f"{value} {degrees}"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"{key} {text}"


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _harmless(text: str) -> str:
    """Return text that Markdown shows as it is; what could be markup, as inline code."""
    words = " ".join(text.split())
    shown = words if len(words) <= RESULT_LENGTH else words[:RESULT_LENGTH].rstrip() + "…"
    if shown and HARMLESS.fullmatch(shown):
        return shown
    return f"`{shown.replace('`', 'ˋ')}`" if shown else "–"
