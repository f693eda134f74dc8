"""What comes in: a chat-completions request, read and checked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .history import read_messages
from .offers import choose, read_answer_schema, read_tools
from .protocol import Message, Refusal, RefusedError, Tool, ToolCall
from .refusals import bad_request

__all__ = ["ChatRequest"]

MAX_TEMPERATURE = 2


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What a client asks; ``params`` is what else the body sets, as it came.

    ``tools`` are those that may be called, and with ``must_call``, one of them has to be. ``answer_schema`` is the JSON
    schema of the answer, empty for any JSON object, and None for text.
    """

    model: str
    messages: tuple[Message, ...]
    params: Mapping[str, Any]
    stream: bool
    tools: tuple[Tool, ...] = ()
    must_call: bool = False
    answer_schema: Mapping[str, Any] | None = None

    @classmethod
    def from_wire(cls, body: bytes) -> ChatRequest:
        """Read a request body, or raise `RefusedError` with status 400."""
        data = _json_object(body)
        model, items, stream = data.pop("model", None), data.pop("messages", None), data.pop("stream", False)
        if not isinstance(model, str) or not model:
            raise bad_request("model name not specified, model name cannot be empty", "model")
        if not isinstance(items, list) or not items:
            raise bad_request("field messages is required", "messages")
        _check_params(data)
        messages = read_messages(items)
        tools, must_call = choose(read_tools(data), data.get("tool_choice"))
        schema = read_answer_schema(data.get("response_format"), messages)
        return cls(model, messages, data, stream is True, tools, must_call, schema)

    @property
    def token_limit(self) -> int | None:
        """How many tokens the completion may have, if the client said so."""
        limit: int | None = self.params.get("max_completion_tokens") or self.params.get("max_tokens")
        return limit

    @property
    def wants_usage(self) -> bool:
        """Whether the stream ends with the usage: as in new-api, unless it is declined."""
        options = self.params.get("stream_options")
        return not isinstance(options, Mapping) or options.get("include_usage") is not False

    @property
    def thinks(self) -> bool:
        """Whether a reasoning model may think: GLM, Kimi and Doubao take ``{"thinking": {"type": "disabled"}}``."""
        thinking = self.params.get("thinking")
        return not isinstance(thinking, Mapping) or thinking.get("type") != "disabled"

    @property
    def question(self) -> str:
        """The last user message."""
        return next((message.content for message in reversed(self.messages) if message.role == "user"), "")

    @property
    def turn(self) -> tuple[Message, ...]:
        """What came after the last user message: the calls of this question, and their results."""
        users = [number for number, message in enumerate(self.messages) if message.role == "user"]
        return self.messages[max(users, default=-1) + 1 :]

    @property
    def results(self) -> tuple[tuple[ToolCall, str], ...]:
        """The calls of this question with what came of each."""
        calls = {call.id: call for message in self.turn for call in message.tool_calls}
        return tuple((calls[item.tool_call_id], item.content) for item in self.turn if item.role == "tool")


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise RefusedError(Refusal(400, "the request body is not valid JSON", "bad_request_body")) from None
    if not isinstance(data, dict):
        raise RefusedError(Refusal(400, "the request body is not a JSON object", "bad_request_body"))
    return {name: value for name, value in data.items() if value is not None}


def _check_params(params: Mapping[str, Any]) -> None:
    for name in ("max_tokens", "max_completion_tokens"):
        limit = params.get(name, 1)
        if type(limit) is not int or limit < 1:
            raise bad_request(f"{name} must be a positive integer", name)
    temperature = params.get("temperature", 1)
    if type(temperature) not in (int, float) or not 0 <= temperature <= MAX_TEMPERATURE:
        raise bad_request(f"temperature must be a number from 0 to {MAX_TEMPERATURE}", "temperature")
