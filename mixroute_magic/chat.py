"""One turn, the one path: ask, show, record. Everything it needs is passed in."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mixroute_magic.conversation.turn import COMPLETE, FAILED, INTERRUPTED, Turn
from mixroute_magic.display.formats import note
from mixroute_magic.display.output import Ending, bundle
from mixroute_magic.errors import ChatInterrupted, MixRouteError
from mixroute_magic.plan import DEMO
from mixroute_magic.wire import Chunk, Message, Reply, ReplyBuilder, Request

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mixroute_magic.conversation.memory import Notebook
    from mixroute_magic.display.views import ReplyView
    from mixroute_magic.plan import Plan
    from mixroute_magic.usage.ledger import Ledger

__all__ = [
    "Answer",
    "Asked",
    "answer_notes",
    "ask",
    "cell_notes",
    "displayed",
    "ending_of",
    "undisturbed",
]

Answer = Callable[[Request, Callable[[str, float], None]], Generator[Chunk]]
"""Sends a request, tells why and in how many seconds it is sent again, and yields the chunks of the answer."""

_NOTICES = {
    "length": "cut at the token limit: raise --max-tokens",
    "content_filter": "stopped by a content filter",
    "sensitive": "stopped by a content filter",
    "refusal": "the model refused",
}


class Asked:
    """One request: what is asked, and what has come of it so far.

    ``redact`` takes a key that a gateway repeats out of what is kept.
    """

    def __init__(self, plan: Plan, redact: Callable[[str], str]) -> None:
        self.plan = plan
        self.request = plan.request()
        self._redact = redact
        self._before = _started(plan, self.request)
        self._builder = ReplyBuilder(self.request.model, demo=self._before.demo, clean=redact)
        self._started = time.monotonic()
        self._first: float | None = None
        self._seconds: float | None = None
        self._status = INTERRUPTED
        self.failure: BaseException | None = None
        self._entry: str | None = None

    def begin(self, ledger: Ledger, notebook: Notebook) -> None:
        """Let the ledger know that it is sent now, unless it is a replay, and count the seconds from here."""
        if self.plan.recorded is None:
            self._entry = ledger.begin(
                model=self.request.model,
                gateway=self.plan.gateway,
                thread=self.plan.thread,
                notebook=str(notebook.path) if notebook.path else None,
                demo=self.plan.gateway == DEMO,
            )
        self._started = time.monotonic()

    def add(self, chunk: Chunk) -> None:
        """Take in more of the answer."""
        if self._first is None and (chunk.text or chunk.reasoning):
            self._first = time.monotonic() - self._started
        self._builder.add(chunk)

    def end(self, failure: BaseException | None = None) -> None:
        """Take in that nothing more will come, and tell an error what had."""
        self._seconds = time.monotonic() - self._started
        self.failure = failure
        if failure is None:
            self._status = COMPLETE
        elif not isinstance(failure, KeyboardInterrupt):
            self._status = FAILED
        if isinstance(failure, MixRouteError):
            reply = self.reply()
            failure.partial = reply.text
            failure.request_id = failure.request_id or reply.request_id

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self._seconds is not None

    def reply(self) -> Reply:
        """Return as much of the answer as there is."""
        seconds = time.monotonic() - self._started if self._seconds is None else self._seconds
        return self._builder.reply(seconds, self._first)

    def turn(self) -> Turn:
        """Return the turn as it stands; it is an interrupted one until it has ended."""
        reply, before = self.reply(), self._before
        unmarked = reply.demo and not before.demo  # the demo gateway under an address of its own
        return replace(
            before,
            status=self._status,
            messages=self.plan.added(reply.text),
            served_model=reply.model,
            reasoning=reply.reasoning,
            usage=reply.usage,
            finish_reason=reply.finish_reason,
            request_hash=self.request.fingerprint(DEMO) if unmarked else before.request_hash,
            request_id=reply.request_id,
            seconds=reply.seconds,
            first_token_seconds=reply.first_token_seconds,
            demo=reply.demo,
            error=self._lines(),
        )

    def _lines(self) -> tuple[str, ...]:
        """Return the lines that say why it failed, as they may be kept."""
        error = self.failure
        if error is None or self._status != FAILED:
            return ()
        lines = error.lines() if isinstance(error, MixRouteError) else [f"{type(error).__name__}: {error}"]
        return tuple(map(self._redact, lines))

    def close(self, ledger: Ledger) -> None:
        """Let the ledger know how it ended; once is enough."""
        error = type(self.failure).__name__ if self.failure else None
        ledger.finish(self._entry, status=self._status, reply=self.reply(), error=error)
        self._entry = None


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

    ``answer`` sends a request and returns its chunks: `Client.send`, or the replay of a recorded turn.

    Raises
    ------
    MixRouteError
        As `Client.send`; with the text so far as ``partial``.
    ChatInterrupted
        If the user stopped it.
    """
    asked = Asked(plan, redact)
    place = notebook.conversation.begin(plan.run)
    try:  # from here on the view is finished whatever happens: a locked ledger can be interrupted, too
        view.start()
        if plan.recorded is None:
            notebook.begin(plan.run, place, asked.turn())
        asked.begin(ledger, notebook)
        with closing(answer(asked.request, view.retrying)) as chunks:
            for chunk in chunks:
                asked.add(chunk)
                view.show(chunk)
                notebook.write(plan.turn, asked.turn)
        asked.end()
    except BaseException as error:
        asked.end(error)
        if isinstance(error, KeyboardInterrupt):
            raise ChatInterrupted(asked.reply().text) from None
        raise
    finally:
        with undisturbed():
            turn, replaced = notebook.record(plan.run, place, asked.turn())
            asked.close(ledger)
            notes = [*answer_notes(turn, plan.form), *cell_notes(plan, turn, replaced)]
            metadata, before = turn.to_metadata(), plan.shown_before()
            ending = ending_of(turn, notes, form=plan.form, before=before, metadata=metadata)
            view.finish(replace(ending, error=()))  # IPython shows it below
    return asked.reply()


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


def ending_of(
    turn: Turn,
    notes: Sequence[str] = (),
    *,
    form: str = "markdown",
    before: Sequence[Message] = (),
    metadata: Mapping[str, Any] | None = None,
) -> Ending:
    """Return how a turn ended, for a view; of a compared one, how each of its answers did."""
    return Ending(
        reply=_reply_of(turn),
        status=turn.status,
        form=form,
        notes=[*(_choice(turn) if turn.alternatives else ()), *notes],
        before=before,
        metadata=metadata or {},
        error=turn.error,
        alternatives=[
            replace(ending_of(answer, answer_notes(answer, form), form=form), name=name)
            for name, answer in zip(turn.names, turn.alternatives, strict=True)
        ],
    )


def displayed(turn: Turn, notes: Sequence[str] = (), *, question: bool = False) -> dict[str, Any]:
    """Return the output of a turn as front ends keep it; ``question`` where its cell does not show that."""
    before = turn.exchange[:-1] if question or turn.exchange[2:] else ()
    return {"data": bundle(ending_of(turn, notes, before=before)), "metadata": {"mixroute": turn.to_metadata()}}


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let a second interrupt cut nothing short: the first has stopped the answer, what is left takes milliseconds."""
    if threading.current_thread() is not threading.main_thread():
        yield  # no interrupt comes here
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


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


def answer_notes(turn: Turn, form: str) -> list[str]:
    """Return what the footer of an answer says besides the figures."""
    notes = ["replayed"] if turn.replayed else []
    notes += [_NOTICES[turn.finish_reason]] if turn.finish_reason in _NOTICES else []
    lacking = note(_reply_of(turn).text, form) if turn.status == COMPLETE else ""
    return [*notes, lacking] if lacking else notes


def cell_notes(plan: Plan, turn: Turn, replaced: int) -> list[str]:
    """Return what there is to say of the cell as a whole."""
    notes = []
    if replaced and not plan.continued:
        what, them = ("an answer", "it") if replaced == 1 else (f"{replaced} answers", "them")
        notes.append(f"replaced {what}: %thread --undo brings {them} back")
    if turn.earlier:
        notes.append("the answer before this one stays in the conversation")
    return [*notes, *plan.notes]


def _choice(turn: Turn) -> list[str]:
    """Say which answer goes on, and how to choose another."""
    if turn.status != COMPLETE or turn.kept is None:
        return ["none of them goes on in the conversation"]
    names = turn.names
    said = f"{names[turn.kept]} goes on in the conversation"
    if sum(answer.status == COMPLETE for answer in turn.alternatives) == 1:
        return [said]
    what = "NAME" if names == [answer.model for answer in turn.alternatives] else "NUMBER"
    return [f"{said}: %thread --keep {what} chooses another"]
