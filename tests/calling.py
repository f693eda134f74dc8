"""Answers that call tools, as bytes on the wire; and what OpenAI's own types say of the requests that follow."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import jsonschema
from scripted import DONE, USAGE, answer, event

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scripted import Piece

__all__ = ["asking", "call", "check", "finish", "part", "parts", "results", "steps"]


def part(arguments: Any = None, **said: Any) -> dict[str, Any]:
    """Return a piece of a call as a delta has it: ``name`` and arguments are its function's, nothing else is added."""
    function = {"name": said.pop("name")} if "name" in said else {}
    return {**said, "function": function if arguments is None else {**function, "arguments": arguments}}


def parts(*pieces: Any, **choice: Any) -> bytes:
    """Return the event that brings these pieces."""
    return event({"model": "served", "choices": [{"index": 0, "delta": {"tool_calls": list(pieces)}, **choice}]})


def finish(reason: str | None = "tool_calls") -> bytes:
    return event({"model": "served", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})


def asking(*pieces: dict[str, Any], reason: str | None = "tool_calls") -> list[Piece]:
    """Return the reply that streams these pieces, an event each."""
    return answer(*map(parts, pieces), finish(reason), USAGE, DONE)


def call(call_id: str, name: str, arguments: str = "{}", **more: Any) -> dict[str, Any]:
    """Return a call as it stands in a message."""
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}, **more}


def steps(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what a request carries after its last question."""
    messages: list[dict[str, Any]] = body["messages"]
    last = max(place for place, message in enumerate(messages) if message["role"] == "user")
    return messages[last + 1 :]


def results(body: Mapping[str, Any]) -> list[str]:
    """Return the results among them."""
    return [message["content"] for message in steps(body) if message["role"] == "tool"]


def check(bodies: Sequence[Mapping[str, Any]]) -> None:
    """Fail unless OpenAI's types take these requests, and each call in them is answered once, directly below it."""
    for body in bodies:
        errors = [f"{error.json_path}: {error.message}" for error in _requests().iter_errors(body)]
        assert not errors, errors
        waiting: list[str] = []
        for message in body["messages"]:
            if message["role"] == "tool":
                waiting.remove(message["tool_call_id"])
                continue
            assert not waiting, message
            waiting = [item["id"] for item in message.get("tool_calls", ())]
            assert len(set(waiting)) == len(waiting)
        assert not waiting, body


@functools.cache
def _requests() -> jsonschema.Draft202012Validator:
    """Return what checks streamed requests: the types of OpenAI's own client, as a JSON Schema."""
    from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming
    from pydantic import TypeAdapter

    return jsonschema.Draft202012Validator(TypeAdapter(CompletionCreateParamsStreaming).json_schema())
