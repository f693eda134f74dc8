"""A model's answer, and how it is gathered from the chunks of a stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mixroute_magic.calls import CallsBuilder
from mixroute_magic.wire import Usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from mixroute_magic.calls import ToolCall
    from mixroute_magic.wire import Chunk

__all__ = ["Reply", "ReplyBuilder"]


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's answer; ``str`` of it is its text.

    Attributes
    ----------
    text, reasoning : str
        The answer, and what the model thought before, as far as it tells.
    model : str
        The one that the gateway says it served.
    tool_calls : tuple of ToolCall
        The tools that it asked for.
    parsed
        The answer as the schema has it that was asked for, else ``None``.
    finish_reason : str or None
        ``stop`` where the answer is whole, ``length`` where it was cut, ``tool_calls``, or a word of the provider's.
    usage : Usage
        Where several requests led to the answer it is the sum, and unknown where one of them is.
    request_id : str or None
        By which the gateway can find the last request.
    demo : bool
        Whether no model was asked.
    seconds, first_token_seconds : float or None
        How long it took, where that was measured: in a notebook.
    """

    text: str
    model: str
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    parsed: Any = None
    finish_reason: str | None = None
    usage: Usage = Usage()
    request_id: str | None = None
    demo: bool = False
    seconds: float | None = None
    first_token_seconds: float | None = None

    def __str__(self) -> str:
        return self.text


class ReplyBuilder:
    """Gathers chunks into a `Reply`, at any moment: also of a stream that broke.

    ``clean`` takes out of its words what must not be kept.
    """

    def __init__(self, model: str, *, demo: bool = False, clean: Callable[[str], str] = str) -> None:
        self._model = model
        self._clean = clean
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._calls = CallsBuilder()
        self._finish_reason: str | None = None
        self._usage = Usage()
        self._request_id: str | None = None
        self._demo = demo

    def add(self, chunk: Chunk) -> None:
        """Take in one more chunk; the last seen usage, model and finish reason win."""
        self._text.append(chunk.text)
        self._reasoning.append(chunk.reasoning)
        for piece in chunk.tool_calls:
            self._calls.add(piece)
        self._finish_reason = chunk.finish_reason or self._finish_reason
        self._usage = chunk.usage or self._usage
        self._model = chunk.model or self._model
        self._request_id = chunk.request_id or self._request_id
        self._demo = chunk.demo or self._demo

    def reply(self, seconds: float | None = None, first_token_seconds: float | None = None) -> Reply:
        """Return the reply so far, with the times that the caller took."""
        return Reply(
            text=self._clean("".join(self._text)),
            reasoning=self._clean("".join(self._reasoning)),
            tool_calls=tuple(call.cleaned(self._clean) for call in self._calls.calls()),
            model=self._clean(self._model),
            finish_reason=self._finish_reason and self._clean(self._finish_reason),
            usage=self._usage,
            request_id=self._request_id and self._clean(self._request_id),
            demo=self._demo,
            seconds=seconds,
            first_token_seconds=first_token_seconds,
        )
