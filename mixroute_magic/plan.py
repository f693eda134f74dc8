"""What a chat cell is about to ask: one turn before it is sent."""

from __future__ import annotations

import uuid
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mixroute_magic.conversation.turn import contexts
from mixroute_magic.gateway.families import max_tokens_field
from mixroute_magic.wire import Message, Request

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mixroute_magic.conversation.model import Run
    from mixroute_magic.conversation.turn import Turn

__all__ = ["DEMO", "Plan", "Settings"]

DEMO = "demo"
"""The name of the offline demo gateway, wherever it listens."""


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
    no turn. ``form`` is how the answer is shown, ``notes`` are for the footer, ``turn`` will be the turn's id.
    """

    run: Run
    thread: str
    gateway: str
    settings: Settings
    prompt: str
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
        return Request(self.settings.model, messages, self.settings.fields())

    def added(self, answer: str) -> tuple[Message, ...]:
        """Return the messages that this turn adds to the conversation."""
        system = self._system() if self.own_system else ()
        said = (Message("assistant", answer),) if answer else ()
        return (*system, *self._continued(), self._question(), *said)

    def shown_before(self) -> tuple[Message, ...]:
        """Return the messages that the output shows above the answer: the cell has only its newest question."""
        return (*self._continued(), self._question()) if self.continued else ()

    def context(self) -> str | None:
        """Return the digest of what stands above, by which a turn is seen to be stale."""
        return None if self.fresh else deque(contexts(self.above), maxlen=1).pop()

    def _system(self) -> tuple[Message, ...]:
        return (Message("system", self.settings.system),) if self.settings.system else ()

    def _continued(self) -> tuple[Message, ...]:
        return tuple(message for turn in self.continued for message in turn.exchange)

    def _question(self) -> Message:
        return Message("user", self.prompt)
