"""What a chat cell is about to ask: one turn before it is sent."""

from __future__ import annotations

import json
import uuid
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from mixroute_magic.conversation.turn import contexts
from mixroute_magic.gateway.families import (
    keeps_signature,
    max_tokens_field,
    remembers_tools,
    response_formats,
    returns_reasoning,
)
from mixroute_magic.wire import Message, Request

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mixroute_magic.conversation.model import Run
    from mixroute_magic.conversation.turn import Turn
    from mixroute_magic.schemas import Schema

__all__ = ["DEMO", "IN_WORDS", "Plan", "Settings", "shaped"]

DEMO = "demo"
"""The name of the offline demo gateway, wherever it listens."""

IN_WORDS = "words"
"""The last way to ask for an answer of some shape, besides those of the request's ``response_format``."""

_OF_TOOLS = ("tool_choice", "parallel_tool_calls")  # which mean nothing, and are refused, where none are offered


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to ask: only what the user set is sent."""

    model: str
    system: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    params: Mapping[str, Any] = field(default_factory=dict)

    def fields(self) -> dict[str, Any]:
        """Return the request's fields, in the wire's names for this model."""
        known = {"temperature": self.temperature, max_tokens_field(self.model): self.max_tokens}
        return {name: value for name, value in known.items() if value is not None} | dict(self.params)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One turn before it is sent: all that a dry run shows.

    ``above`` are the turns that stand above it, none where it is asked ``fresh``; ``continued`` are the cell's own,
    where it goes on from these; ``recorded`` is what is shown again instead of asking. A system prompt belongs to
    the turn only where it was given for this message (``own_system``); the notebook's goes with every request and into
    no turn. ``images`` go with the question, ``offers`` are the request's fields for tools, and the
    answer has to fit the ``schema``. ``form`` is how it is shown, ``notes`` are for the footer, ``turn`` will be the
    turn's id.
    """

    run: Run
    thread: str
    gateway: str
    settings: Settings
    prompt: str
    images: Sequence[Mapping[str, Any]] = ()
    offers: Mapping[str, Any] = field(default_factory=dict)
    schema: Schema | None = None
    above: Sequence[Turn] = ()
    continued: Sequence[Turn] = ()
    fresh: bool = False
    own_system: bool = False
    recorded: Turn | None = None
    form: str = "markdown"
    notes: Sequence[str] = ()
    turn: str = field(default_factory=lambda: uuid.uuid4().hex)

    def request(self) -> Request:
        """Return the request: the system prompt, what stands above, and the question."""
        earlier = (message for turn in self.above for message in turn.exchange)
        messages = (*self._system(), *earlier, *self._continued(), self._question())
        fields = {**self.settings.fields(), **self.offers}
        if "tools" not in fields:
            fields = {name: value for name, value in fields.items() if name not in _OF_TOOLS} | self._remembered()
        request = Request(self.settings.model, tuple(map(self.sendable, messages)), fields)
        if self.schema is None:
            return request
        return shaped(request, self.schema, next(iter(response_formats(self.settings.model)), IN_WORDS))

    def sendable(self, message: Message) -> Message:
        """Return a message of the conversation as this model takes it: another may need more of it back, or less."""
        if not message.tool_calls:
            return message
        model = self.settings.model
        if not keeps_signature(model):
            message = message.without("extra_content")
        if not returns_reasoning(model):
            return message.without("reasoning_content")
        # A call that another model made has none, and no text is as good as none: a space is what LiteLLM sends, too.
        return replace(message, extra={"reasoning_content": " ", **message.extra})

    def added(self, *steps: Message, answer: str = "") -> tuple[Message, ...]:
        """Return the messages that this turn adds to the conversation, with the ``steps`` that led to its answer."""
        system = self._system() if self.own_system else ()
        said = (Message("assistant", answer),) if answer else ()
        return (*system, *self._continued(), self._question(), *steps, *said)

    def shown_before(self) -> tuple[Message, ...]:
        """Return the messages that the output shows above the answer: the cell has only its newest question."""
        return (*self._continued(), self._question()) if self.continued else ()

    def context(self) -> str | None:
        """Return the digest of what stands above, by which a turn is seen to be stale."""
        return None if self.fresh else deque(contexts(self.above), maxlen=1).pop()

    def _remembered(self) -> dict[str, Any]:
        """Return the tools that were called above, for models that have to be told of them again; not to be called."""
        called = [turn for turn in (*self.above, *self.continued) if any(step.tool_calls for step in turn.steps)]
        if not called or not remembers_tools(self.settings.model):
            return {}
        offered = [tools for turn in called if isinstance(tools := turn.params.get("tools"), list)]
        known = {json.dumps(tool): tool for tools in offered for tool in tools}
        return {"tools": list(known.values()), "tool_choice": "none"} if known else {}

    def _system(self) -> tuple[Message, ...]:
        return (Message("system", self.settings.system),) if self.settings.system else ()

    def _continued(self) -> tuple[Message, ...]:
        return tuple(message for turn in self.continued for message in turn.exchange)

    def _question(self) -> Message:
        words = {"type": "text", "text": self.prompt}
        return Message("user", [words, *map(dict, self.images)] if self.images else self.prompt)


def shaped(request: Request, schema: Schema, way: str) -> Request:
    """Return a request as it asks for an answer that fits a schema: by a field, in words, or both.

    ``json_object`` says nothing of the shape, and is refused where no message speaks of JSON (OpenAI's API reference).
    """
    params = {name: value for name, value in request.params.items() if name != "response_format"}
    if way == "json_schema":
        return replace(request, params=params | {"response_format": schema.response_format})
    if way == "json_object":
        params |= {"response_format": {"type": way}}
    system, rest = request.messages[:1], request.messages[1:]
    if not system or system[0].role != "system":
        system, rest = (), request.messages
    words = [message.text for message in system]
    if schema.instructions not in "".join(words):
        words.append(schema.instructions)
    return replace(request, messages=(Message("system", "\n\n".join(words)), *rest), params=params)
