"""The demo's side of the chat-completions protocol: requests read, completions and refusals written."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

__all__ = [
    "BYTES_PER_TOKEN",
    "ChatRequest",
    "Completion",
    "Ending",
    "Message",
    "Refusal",
    "RefusedError",
    "count_tokens",
    "encode",
    "first_tokens",
]

BYTES_PER_TOKEN = 4
MAX_TEMPERATURE = 2
ROLES = ("system", "user", "assistant")
# A delta is a few letters with the space before them, or two Chinese characters.
DELTA = re.compile(r"\s*(?:[\u2e80-\uffff]{1,2}|[^\s\u2e80-\uffff]{1,8})|\s+")


def encode(text: str) -> bytes:
    """Return UTF-8; half a surrogate pair, which JSON can carry and UTF-8 cannot, becomes ``?``."""
    return text.encode("utf-8", "replace")


def count_tokens(text: str) -> int:
    """Estimate the tokens of a text: one for every four bytes of UTF-8, rounded up; every model counts differently."""
    return -(-len(encode(text)) // BYTES_PER_TOKEN)


def first_tokens(text: str, limit: int) -> str:
    """Return the beginning of a text that takes at most ``limit`` tokens."""
    return encode(text)[: limit * BYTES_PER_TOKEN].decode("utf-8", "ignore")


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that is an error: in JSON, or where there is a ``page``, in HTML."""

    status: int
    message: str
    code: str = ""
    type: str = "mixroute_error"
    param: str = ""
    retry_after: int | None = None
    page: str = ""

    def to_wire(self, request_id: str) -> dict[str, Any]:
        """Return the error in the form that new-api gives it."""
        message = f"{self.message} (request id: {request_id})"
        return {"error": {"message": message, "type": self.type, "param": self.param, "code": self.code}}


class RefusedError(Exception):
    """Carries a `Refusal` to where the response is written."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class Message(NamedTuple):
    """One message as it was received."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What a client asks; ``params`` is what else the body sets, as it came."""

    model: str
    messages: tuple[Message, ...]
    params: Mapping[str, Any]
    stream: bool

    @classmethod
    def from_wire(cls, body: bytes) -> ChatRequest:
        """Read a request body, or raise `RefusedError` with status 400."""
        data = _json_object(body)
        model, messages, stream = data.pop("model", None), data.pop("messages", None), data.pop("stream", False)
        if not isinstance(model, str) or not model:
            raise _bad_request("model name not specified, model name cannot be empty", "model")
        if not isinstance(messages, list) or not messages:
            raise _bad_request("field messages is required", "messages")
        _check_params(data)
        return cls(model, tuple(_message(item) for item in messages), data, stream=stream is True)

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
    def question(self) -> str:
        """The last user message."""
        return next((content for role, content in reversed(self.messages) if role == "user"), "")


@dataclass(frozen=True, slots=True)
class Ending:
    """How a completion ends: after which share of its text, and with what.

    Without a ``finish_reason`` it breaks: with an ``error`` event, or else by a dropped connection.
    """

    share: float = 1.0
    finish_reason: str | None = "stop"
    error: Refusal | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """A completion, ready to be sent whole or in deltas; ``hidden`` counts reasoning that is billed but not shown."""

    request_id: str
    model: str
    prompt_tokens: int
    text: str
    reasoning: str
    hidden: int
    ending: Ending
    created: int = field(default_factory=lambda: int(time.time()))

    @classmethod
    def of(
        cls, request: ChatRequest, request_id: str, text: str, reasoning: str, ending: Ending, *, reasoning_shown: bool
    ) -> Completion:
        """Cut a text to the request's token limit, of which reasoning takes its part first."""
        text = text[: int(len(text) * ending.share)]
        if (limit := request.token_limit) is not None:
            full = reasoning, text
            reasoning = first_tokens(reasoning, limit)
            text = first_tokens(text, limit - count_tokens(reasoning))
            ending = ending if full == (reasoning, text) else Ending(finish_reason="length")
        return cls(
            request_id=request_id,
            model=request.model,
            prompt_tokens=sum(count_tokens(message.content) for message in request.messages),
            text=text,
            reasoning=reasoning if reasoning_shown else "",
            hidden=0 if reasoning_shown else count_tokens(reasoning),
            ending=ending,
        )

    def usage(self) -> dict[str, Any]:
        """Return the tokens in the wire's form; reasoning is part of the completion's."""
        reasoning = self.hidden + count_tokens(self.reasoning)
        completion = reasoning + count_tokens(self.text)
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": completion,
            "total_tokens": self.prompt_tokens + completion,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": reasoning},
        }

    def to_wire(self) -> dict[str, Any]:
        """Return the whole completion."""
        message = {"role": "assistant", "content": self.text}
        if self.reasoning:
            message["reasoning_content"] = self.reasoning
        choice = {"index": 0, "message": message, "finish_reason": self.ending.finish_reason}
        return {**self._head("chat.completion"), "choices": [choice], "usage": self.usage()}

    def deltas(self) -> Iterator[dict[str, str]]:
        """Yield the role, then the reasoning that is shown, then the text, a word or less at a time."""
        yield {"role": "assistant", "content": ""}
        for piece in DELTA.findall(self.reasoning):
            yield {"reasoning_content": piece}
        for piece in DELTA.findall(self.text):
            yield {"content": piece}

    def chunk(self, delta: Mapping[str, str], finish_reason: str | None = None) -> dict[str, Any]:
        """Return one chunk of the stream."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return {**self._head("chat.completion.chunk"), "choices": [choice]}

    def usage_chunk(self) -> dict[str, Any]:
        """Return the chunk after the last: no choices, only the usage."""
        return {**self._head("chat.completion.chunk"), "choices": [], "usage": self.usage()}

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": f"chatcmpl-{self.request_id}", "object": kind, "created": self.created, "model": self.model}


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise RefusedError(Refusal(400, "the request body is not valid JSON", "bad_request_body")) from None
    if not isinstance(data, dict):
        raise RefusedError(Refusal(400, "the request body is not a JSON object", "bad_request_body"))
    return {name: value for name, value in data.items() if value is not None}


def _message(item: Any) -> Message:
    if not isinstance(item, dict) or item.get("role") not in ROLES:
        raise _bad_request(f"each of messages must be an object with a role of {', '.join(ROLES)}", "messages")
    content = item.get("content")
    if isinstance(content, list):  # other clients send text in parts
        content = "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    if not isinstance(content, str):
        raise _bad_request("the content of a message must be text", "messages")
    return Message(item["role"], content)


def _check_params(params: Mapping[str, Any]) -> None:
    for name in ("max_tokens", "max_completion_tokens"):
        limit = params.get(name, 1)
        if type(limit) is not int or limit < 1:
            raise _bad_request(f"{name} must be a positive integer", name)
    temperature = params.get("temperature", 1)
    if type(temperature) not in (int, float) or not 0 <= temperature <= MAX_TEMPERATURE:
        raise _bad_request(f"temperature must be a number from 0 to {MAX_TEMPERATURE}", "temperature")


def _bad_request(message: str, param: str) -> RefusedError:
    return RefusedError(Refusal(400, message, "invalid_request", param=param))
