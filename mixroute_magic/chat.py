"""One turn, the one path: ask, show, record. Everything it needs is passed in."""

from __future__ import annotations

import signal
import threading
import time
import uuid
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mixroute_magic.conversation.turn import COMPLETE, FAILED, INTERRUPTED, Turn
from mixroute_magic.errors import ChatInterrupted, MixRouteError
from mixroute_magic.gateway.families import max_tokens_field
from mixroute_magic.wire import Message, ReplyBuilder, Request

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mixroute_magic.conversation.model import Conversation, Run
    from mixroute_magic.display.views import ReplyView
    from mixroute_magic.gateway.client import Client
    from mixroute_magic.usage.ledger import Ledger
    from mixroute_magic.wire import Chunk, Reply

__all__ = ["DEMO", "Plan", "Settings", "ask"]

DEMO = "demo"
"""The name of the offline demo gateway, wherever it listens."""

_NOTICES = {
    "length": "cut at the token limit: raise --max-tokens",
    "content_filter": "stopped by a content filter",
    "sensitive": "stopped by a content filter",
    "refusal": "the model refused",
}


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

    ``above`` are the turns that stand above it. A system prompt belongs to the turn only where it was given for this
    message (``own_system``); the notebook's goes with every request and into no turn. ``notes`` are for the footer.
    """

    run: Run
    thread: str
    gateway: str
    settings: Settings
    prompt: str
    above: Sequence[Turn] = ()
    own_system: bool = False
    notes: Sequence[str] = ()

    def request(self) -> Request:
        """Return the request: the system prompt, what stands above, and the question."""
        earlier = (message for turn in self.above for message in turn.exchange)
        return Request(self.settings.model, (*self._system(), *earlier, self._question()), self.settings.fields())

    def added(self, answer: str) -> tuple[Message, ...]:
        """Return the messages that this turn adds to the conversation."""
        system = self._system() if self.own_system else ()
        return (*system, self._question(), *((Message("assistant", answer),) if answer else ()))

    def _system(self) -> tuple[Message, ...]:
        return (Message("system", self.settings.system),) if self.settings.system else ()

    def _question(self) -> Message:
        return Message("user", self.prompt)


def ask(
    plan: Plan, *, client: Client, conversation: Conversation, ledger: Ledger, view: ReplyView, notebook: str | None
) -> Reply:
    """Send one turn, show its answer as it comes, and leave a record of it, whatever happens.

    Raises
    ------
    MixRouteError
        As `Client.send`; with the text so far as ``partial``.
    ChatInterrupted
        If the user stopped it.
    """
    request = plan.request()
    taken = _Taken(ReplyBuilder(request.model, demo=plan.gateway == DEMO))
    place = conversation.begin(plan.run)
    entry: str | None = None
    failure: BaseException | None = None
    try:  # from here on the view is finished whatever happens: a locked ledger can be interrupted, too
        view.start()
        entry = ledger.begin(
            model=request.model,
            gateway=plan.gateway,
            thread=plan.thread,
            notebook=notebook,
            demo=plan.gateway == DEMO,
        )
        taken.start_clock()
        with closing(client.send(request, view.retrying)) as chunks:
            for chunk in chunks:
                taken.add(chunk)
                view.show(chunk)
    except KeyboardInterrupt as interrupt:
        failure = interrupt
        raise ChatInterrupted(taken.reply().text) from None
    except BaseException as error:
        failure = error
        if isinstance(error, MixRouteError):
            error.partial = taken.reply().text
            error.request_id = error.request_id or taken.reply().request_id
        raise
    finally:
        with _undisturbed():
            reply = taken.reply()
            turn = _turn(plan, request, reply, _status(failure), taken.created)
            conversation.record(plan.run, place, turn)
            ledger.finish(entry, status=turn.status, reply=reply, error=type(failure).__name__ if failure else None)
            view.finish(reply, status=turn.status, notes=_notes(plan, reply), metadata=turn.to_metadata())
    return reply


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let a second interrupt cut nothing short: the first has stopped the answer, what is left takes milliseconds."""
    if threading.current_thread() is not threading.main_thread():
        yield  # no interrupt comes here
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _Taken:
    """What has been taken in of one answer, and when."""

    def __init__(self, builder: ReplyBuilder) -> None:
        self.created = datetime.now(UTC)
        self._builder = builder
        self._started = time.monotonic()
        self._first: float | None = None

    def start_clock(self) -> None:
        """Count from now: what came before is not the gateway's time."""
        self._started = time.monotonic()

    def add(self, chunk: Chunk) -> None:
        if self._first is None and (chunk.text or chunk.reasoning):
            self._first = time.monotonic() - self._started
        self._builder.add(chunk)

    def reply(self) -> Reply:
        return self._builder.reply(time.monotonic() - self._started, self._first)


def _turn(plan: Plan, request: Request, reply: Reply, status: str, created: datetime) -> Turn:
    return Turn(
        turn=uuid.uuid4().hex,
        thread=plan.thread,
        status=status,
        model=request.model,
        served_model=reply.model,
        params=request.params,
        messages=plan.added(reply.text),
        reasoning=reply.reasoning,
        usage=reply.usage,
        finish_reason=reply.finish_reason,
        request_hash=request.fingerprint(DEMO if reply.demo else plan.gateway),
        request_id=reply.request_id,
        created=created.isoformat(timespec="seconds").replace("+00:00", "Z"),
        seconds=reply.seconds,
        first_token_seconds=reply.first_token_seconds,
        demo=reply.demo,
    )


def _notes(plan: Plan, reply: Reply) -> list[str]:
    notice = _NOTICES.get(reply.finish_reason or "")
    return [*([notice] if notice else []), *plan.notes]


def _status(failure: BaseException | None) -> str:
    if failure is None:
        return COMPLETE
    return INTERRUPTED if isinstance(failure, KeyboardInterrupt) else FAILED
