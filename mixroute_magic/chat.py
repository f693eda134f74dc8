"""One turn, the one path: ask, show, record. Everything it needs is passed in."""

from __future__ import annotations

import signal
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mixroute_magic.conversation.turn import COMPLETE, FAILED, INTERRUPTED, Turn, contexts
from mixroute_magic.display.output import Ending, bundle
from mixroute_magic.errors import ChatInterrupted, MixRouteError
from mixroute_magic.gateway.families import max_tokens_field
from mixroute_magic.wire import Chunk, Message, Reply, ReplyBuilder, Request

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mixroute_magic.conversation.memory import Notebook
    from mixroute_magic.conversation.model import Run
    from mixroute_magic.display.views import ReplyView
    from mixroute_magic.usage.ledger import Ledger

__all__ = ["DEMO", "Plan", "Settings", "ask", "displayed"]

Answer = Callable[[Request, Callable[[str, float], None]], Generator[Chunk]]
"""Sends a request, tells why and in how many seconds it is sent again, and yields the chunks of the answer."""

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

    ``above`` are the turns that stand above it, none where it is asked ``fresh``; ``continued`` are the cell's own,
    where it goes on from these; ``recorded`` is what is shown again instead of asking. A system prompt belongs to
    the turn only where it was given for this message (``own_system``); the notebook's goes with every request and into
    no turn. ``notes`` are for the footer, ``turn`` will be the turn's id.
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


def ask(
    plan: Plan,
    *,
    answer: Answer,
    notebook: Notebook,
    ledger: Ledger,
    view: ReplyView,
    redact: Callable[[str], str],
) -> Reply:
    """Ask one turn, show its answer as it comes, and leave a record of it, whatever happens.

    ``answer`` sends a request and returns its chunks: `Client.send`, or the replay of a recorded turn. ``redact`` takes
    a key that a gateway repeats out of what is kept.

    Raises
    ------
    MixRouteError
        As `Client.send`; with the text so far as ``partial``.
    ChatInterrupted
        If the user stopped it.
    """
    request = plan.request()
    started = _started(plan, request)
    taken = _Taken(ReplyBuilder(request.model, demo=started.demo, clean=redact))
    place = notebook.conversation.begin(plan.run)
    entry: str | None = None
    failure: BaseException | None = None
    try:  # from here on the view is finished whatever happens: a locked ledger can be interrupted, too
        view.start()
        entry = _begin(plan, ledger, notebook, place, started)
        taken.start_clock()
        with closing(answer(request, view.retrying)) as chunks:
            for chunk in chunks:
                taken.add(chunk)
                view.show(chunk)
                notebook.write(plan.turn, lambda: _answered(started, plan, taken.reply(), INTERRUPTED))
    except BaseException as error:
        failure = error
        if isinstance(error, KeyboardInterrupt):
            raise ChatInterrupted(taken.reply().text) from None
        if isinstance(error, MixRouteError):
            error.partial = taken.reply().text
            error.request_id = error.request_id or taken.reply().request_id
        raise
    finally:
        with _undisturbed():
            reply = taken.reply()
            turn = _answered(started, plan, reply, _status(failure))
            turn, replaced = notebook.record(plan.run, place, turn)
            ledger.finish(entry, status=turn.status, reply=reply, error=type(failure).__name__ if failure else None)
            notes, before = _notes(plan, turn, replaced), plan.shown_before()
            view.finish(
                Ending(reply=reply, status=turn.status, notes=notes, before=before, metadata=turn.to_metadata())
            )
    return reply


def _reply_of(turn: Turn) -> Reply:
    """Return the reply of a turn, as it was when it was asked."""
    return Reply(
        text=turn.messages[-1].text if turn.answered else "",
        model=turn.served_model or turn.model,
        reasoning=turn.reasoning,
        finish_reason=turn.finish_reason,
        usage=turn.usage,
        request_id=turn.request_id,
        demo=turn.demo,
        seconds=turn.seconds,
        first_token_seconds=turn.first_token_seconds,
    )


def displayed(turn: Turn, notes: Sequence[str] = (), *, question: bool = False) -> dict[str, Any]:
    """Return the output of a turn as front ends keep it; ``question`` where its cell does not show that."""
    before = turn.exchange[:-1] if question or turn.exchange[2:] else ()
    ending = Ending(reply=_reply_of(turn), status=turn.status, notes=notes, before=before)
    return {"data": bundle(ending), "metadata": {"mixroute": turn.to_metadata()}}


def _begin(plan: Plan, ledger: Ledger, notebook: Notebook, place: int, turn: Turn) -> str | None:
    """Note that the turn starts; the ledger's entry is ``None`` where nothing is asked."""
    if plan.recorded is not None:
        return None
    notebook.begin(plan.run, place, turn)
    return ledger.begin(
        model=turn.model,
        gateway=plan.gateway,
        thread=plan.thread,
        notebook=str(notebook.path) if notebook.path else None,
        demo=plan.gateway == DEMO,
    )


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


def _started(plan: Plan, request: Request) -> Turn:
    """Return the turn as it is before anything came, so that what depends on all that stands above is made once."""
    return Turn(
        turn=plan.turn,
        thread=plan.thread,
        status=INTERRUPTED,
        model=request.model,
        params=request.params,
        messages=plan.added(""),
        request_hash=request.fingerprint(plan.gateway),
        context=plan.context(),
        created=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        demo=plan.gateway == DEMO,
        replayed=plan.recorded is not None,
    )


def _answered(started: Turn, plan: Plan, reply: Reply, status: str) -> Turn:
    """Return the turn with as much of the answer as there is."""
    unmarked = reply.demo and not started.demo  # the demo gateway under an address of its own
    return replace(
        started,
        status=status,
        messages=plan.added(reply.text),
        served_model=reply.model,
        reasoning=reply.reasoning,
        usage=reply.usage,
        finish_reason=reply.finish_reason,
        request_hash=plan.request().fingerprint(DEMO) if unmarked else started.request_hash,
        request_id=reply.request_id,
        seconds=reply.seconds,
        first_token_seconds=reply.first_token_seconds,
        demo=reply.demo,
    )


def _notes(plan: Plan, turn: Turn, replaced: int) -> list[str]:
    """Return what the footer says besides the figures."""
    notes = ["replayed"] if turn.replayed else []
    notes += [_NOTICES[turn.finish_reason]] if turn.finish_reason in _NOTICES else []
    if replaced and not plan.continued:
        what, them = ("an answer", "it") if replaced == 1 else (f"{replaced} answers", "them")
        notes.append(f"replaced {what}: %thread --undo brings {them} back")
    if turn.earlier:
        notes.append("the answer before this one stays in the conversation")
    return [*notes, *plan.notes]


def _status(failure: BaseException | None) -> str:
    if failure is None:
        return COMPLETE
    return INTERRUPTED if isinstance(failure, KeyboardInterrupt) else FAILED
