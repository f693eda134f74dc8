"""What goes out: a completion, whole or as the chunks of a stream."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from .protocol import Calling, Ending, ToolCall, count_tokens, encode, first_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .request import ChatRequest

__all__ = ["Completion"]

AS_OPENAI = Calling()
IMAGE_TOKENS = 85  # what OpenAI counts for an image in low detail
# A delta is a few letters with the space before them, or two Chinese characters.
DELTA = re.compile(r"\s*(?:[\u2e80-\uffff]{1,2}|[^\s\u2e80-\uffff]{1,8})|\s+")


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
    calls: tuple[ToolCall, ...] = ()
    calling: Calling = AS_OPENAI
    created: int = field(default_factory=lambda: int(time.time()))

    @classmethod
    def of(
        cls,
        request: ChatRequest,
        request_id: str,
        text: str,
        reasoning: str,
        ending: Ending,
        *,
        reasoning_shown: bool,
        calls: Sequence[ToolCall] = (),
        calling: Calling = AS_OPENAI,
    ) -> Completion:
        """Cut a text, or calls, to the request's token limit, of which reasoning takes its part first."""
        text = text[: int(len(text) * ending.share)]
        kept = _shares(calls, ending.share * calling.share)
        if (limit := request.token_limit) is not None:
            full = reasoning, text, kept
            reasoning = first_tokens(reasoning, limit)
            text = first_tokens(text, limit - count_tokens(reasoning))
            kept = _first_calls(kept, limit - count_tokens(reasoning) - count_tokens(text))
            ending = ending if full == (reasoning, text, kept) else Ending(finish_reason="length")
        return cls(
            request_id=request_id,
            model=request.model,
            prompt_tokens=_prompt_tokens(request),
            text=text,
            reasoning=reasoning if reasoning_shown else "",
            hidden=0 if reasoning_shown else count_tokens(reasoning),
            ending=ending,
            calls=kept,
            calling=calling,
        )

    @property
    def finish_reason(self) -> str | None:
        """What ends it; where it stops for its calls, the calling says so."""
        stops = self.calls and self.ending.finish_reason == "stop"
        return self.calling.finish_reason if stops else self.ending.finish_reason

    def usage(self) -> dict[str, Any]:
        """Return the tokens in the wire's form; reasoning is part of the completion's."""
        reasoning = self.hidden + count_tokens(self.reasoning)
        completion = reasoning + count_tokens(self.text) + sum(call.tokens for call in self.calls)
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": completion,
            "total_tokens": self.prompt_tokens + completion,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": reasoning},
        }

    def to_wire(self) -> dict[str, Any]:
        """Return the whole completion."""
        message: dict[str, Any] = {"role": "assistant", "content": None if self.calls else self.text}
        if self.reasoning:
            message["reasoning_content"] = self.reasoning
        if self.calls:
            message["tool_calls"] = [self._call(call, call.arguments) for call in self.calls]
        choice = {"index": 0, "message": message, "finish_reason": self.finish_reason}
        return {**self._head("chat.completion"), "choices": [choice], "usage": self.usage()}

    def deltas(self) -> Iterator[dict[str, Any]]:
        """Yield the role, then the reasoning that is shown, then the text or the calls, a word or less at a time."""
        yield {"role": "assistant", "content": None if self.calls else ""}
        for piece in DELTA.findall(self.reasoning):
            yield {"reasoning_content": piece}
        for piece in DELTA.findall(self.text):
            yield {"content": piece}
        for number, call in enumerate(self.calls):
            for part in self._call_deltas(call):
                index = {} if self.calling.index == "none" else {"index": number if self.calling.index == "each" else 0}
                yield {"tool_calls": [{**index, **part}]}

    @staticmethod
    def size(delta: Mapping[str, Any]) -> int:
        """Return how many bytes of text a delta brings: the calls' arguments are text, too."""
        texts = [delta.get("content"), delta.get("reasoning_content")]
        texts += [str(call["function"]["arguments"]) for call in delta.get("tool_calls", ())]
        return sum(len(encode(text)) for text in texts if text)

    def chunk(self, delta: Mapping[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        """Return one chunk of the stream."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return {**self._head("chat.completion.chunk"), "choices": [choice]}

    def usage_chunk(self) -> dict[str, Any]:
        """Return the chunk after the last: no choices, only the usage."""
        return {**self._head("chat.completion.chunk"), "choices": [], "usage": self.usage()}

    def _call_deltas(self, call: ToolCall) -> Iterator[dict[str, Any]]:
        """Yield id and name first, then the arguments; a call without an index comes whole, or nobody could join it."""
        if self.calling.index == "each" and not self.calling.as_object:
            yield self._call(call, "")
            for piece in DELTA.findall(call.arguments):
                yield {"function": {"arguments": piece}}
        else:
            yield self._call(call, call.arguments)

    def _call(self, call: ToolCall, arguments: str) -> dict[str, Any]:
        """Return a call in the wire's form."""
        whole = self.calling.as_object and self.finish_reason != "length"
        written = json.loads(arguments) if whole else arguments
        function = {"name": self.calling.name or call.name, "arguments": written}
        signed = {"extra_content": {"google": {"thought_signature": call.signature}}} if call.signature else {}
        return {"id": call.id, "type": "function", "function": function, **signed}

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": f"chatcmpl-{self.request_id}", "object": kind, "created": self.created, "model": self.model}


def _prompt_tokens(request: ChatRequest) -> int:
    """Count what came in: the text, the images, the calls, and the schemas of tools and answer."""
    offers = [request.params[name] for name in ("tools", "response_format") if name in request.params]
    offered = sum(count_tokens(json.dumps(offer, ensure_ascii=False)) for offer in offers)
    return offered + sum(
        count_tokens(message.content)
        + IMAGE_TOKENS * len(message.images)
        + sum(call.tokens for call in message.tool_calls)
        for message in request.messages
    )


def _shares(calls: Sequence[ToolCall], share: float) -> tuple[ToolCall, ...]:
    """Return the calls with the first part of their arguments; of no share, no call is left."""
    if not share:
        return ()
    return tuple(replace(call, arguments=call.arguments[: int(len(call.arguments) * share)]) for call in calls)


def _first_calls(calls: Sequence[ToolCall], limit: int) -> tuple[ToolCall, ...]:
    """Return the calls that begin within a number of tokens, the last one cut."""
    kept = []
    for call in calls:
        limit -= count_tokens(call.name)
        if limit <= 0:
            break
        kept.append(replace(call, arguments=first_tokens(call.arguments, limit)))
        limit -= count_tokens(call.arguments)
    return tuple(kept)
