"""A question on its way: what was sent for it, and what has come of it."""

from __future__ import annotations

import functools
import operator
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mixroute_magic.conversation.turn import COMPLETE, FAILED, INTERRUPTED, Turn
from mixroute_magic.errors import MixRouteError
from mixroute_magic.plan import DEMO
from mixroute_magic.wire import ReplyBuilder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mixroute_magic.conversation.memory import Notebook
    from mixroute_magic.plan import Plan
    from mixroute_magic.usage.ledger import Ledger
    from mixroute_magic.wire import Chunk, Message, Reply, Request

__all__ = ["Asked"]


class Asked:
    """One question, what was sent for it so far, and what has come of it.

    More than one request may lead to its answer, each a round: an answer that calls tools is followed by their results.
    ``redact`` takes a key that a gateway repeats out of what is kept.
    """

    def __init__(self, plan: Plan, redact: Callable[[str], str]) -> None:
        self.plan = plan
        self.request = plan.request()
        self._redact = redact
        self._before = _started(plan, self.request)
        self._builder = self._new_builder()
        self._steps: tuple[Message, ...] = plan.recorded.steps if plan.recorded else ()
        self._rounds: list[Reply] = []  # those before the one that goes on
        self._started = time.monotonic()
        self._first: float | None = None
        self._seconds: float | None = None
        self._status = INTERRUPTED
        self.failure: BaseException | None = None
        self.ended = False
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
        if self._first is None and chunk.says_something:
            self._first = time.monotonic() - self._started
        self._builder.add(chunk)

    def go_on(self, steps: Sequence[Message], ledger: Ledger) -> None:
        """Take in that these messages follow the answer that has come, itself first, and that they are sent next."""
        self._rounds.append(self.round())
        ledger.finish(self._entry, status=COMPLETE, reply=self._rounds[-1], error=None)
        self._entry = None
        self._steps += tuple(steps)
        messages = (*self.request.messages, *map(self.plan.sendable, steps))
        self.request = replace(self.request, messages=messages, params=_no_longer_forced(self.request.params))
        self._builder = self._new_builder()
        self._seconds = None

    def received(self, at: float | None = None) -> None:
        """Take in that the answer to the request has come, ``at`` some moment of the monotonic clock, or now."""
        self._seconds = (time.monotonic() if at is None else at) - self._started

    def end(self, failure: BaseException | None = None) -> None:
        """Take in that nothing more will come, and tell an error what had."""
        if self._seconds is None:
            self.received()
        self.ended = True
        self.failure = failure
        if failure is None:
            self._status = COMPLETE
        elif not isinstance(failure, KeyboardInterrupt):
            self._status = FAILED
        if isinstance(failure, MixRouteError):
            reply = self.round()
            failure.partial = reply.text
            failure.request_id = failure.request_id or reply.request_id

    @property
    def steps(self) -> tuple[Message, ...]:
        """What was said between the question and the answer: calls of tools, and their results."""
        return self._steps

    @property
    def notes(self) -> list[str]:
        """What there is to say of an answer that called what it was not offered."""
        names = dict.fromkeys(call.name for call in self._builder.reply().tool_calls)
        return [f"it asked for {', '.join(names)}, which was not offered"] if names and not self.failure else []

    def round(self) -> Reply:
        """Return as much of the answer to the last request as there is."""
        seconds = time.monotonic() - self._started if self._seconds is None else self._seconds
        return self._builder.reply(seconds, self._first)

    def reply(self) -> Reply:
        """Return as much of the answer as there is, with what all requests for it took together."""
        last = self.round()
        rounds = [*self._rounds, last]
        return replace(
            last,
            tool_calls=tuple(call for one in rounds for call in one.tool_calls),
            usage=functools.reduce(operator.add, (one.usage for one in rounds)),
            seconds=sum(one.seconds or 0 for one in rounds),
        )

    def turn(self) -> Turn:
        """Return the turn as it stands; it is an interrupted one until it has ended."""
        reply, before = self.reply(), self._before
        unmarked = reply.demo and not before.demo  # the demo gateway under an address of its own
        return replace(
            before,
            status=self._status,
            messages=self.plan.added(*self._steps, answer=reply.text),
            served_model=reply.model,
            reasoning=reply.reasoning,
            usage=reply.usage,
            finish_reason=reply.finish_reason,
            request_hash=self.plan.request().fingerprint(DEMO) if unmarked else before.request_hash,
            request_id=reply.request_id,
            seconds=reply.seconds,
            first_token_seconds=reply.first_token_seconds,
            demo=reply.demo,
            error=self._lines(),
        )

    def close(self, ledger: Ledger) -> None:
        """Let the ledger know how it ended; once is enough."""
        error = type(self.failure).__name__ if self.failure else None
        ledger.finish(self._entry, status=self._status, reply=self.round(), error=error)
        self._entry = None

    def _lines(self) -> tuple[str, ...]:
        """Return the lines that say why it failed, as they may be kept."""
        error = self.failure
        if error is None or self._status != FAILED:
            return ()
        lines = error.lines() if isinstance(error, MixRouteError) else [f"{type(error).__name__}: {error}"]
        return tuple(map(self._redact, lines))

    def _new_builder(self) -> ReplyBuilder:
        return ReplyBuilder(self.request.model, demo=self._before.demo, clean=self._redact)


def _started(plan: Plan, request: Request) -> Turn:
    """Return the turn as it is before anything came, so that what depends on all that stands above is made once."""
    return Turn(
        turn=plan.turn,
        thread=plan.thread,
        status=INTERRUPTED,
        model=request.model,
        params=request.params,
        messages=plan.added(),
        request_hash=request.fingerprint(plan.gateway),
        context=plan.context(),
        created=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        demo=plan.gateway == DEMO,
        replayed=plan.recorded is not None,
    )


def _no_longer_forced(params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the parameters for after a call: a call that is demanded once more would be made for ever."""
    choice = params.get("tool_choice")
    forced = choice == "required" or (isinstance(choice, Mapping) and choice.get("type") == "function")
    return {name: value for name, value in params.items() if not (forced and name == "tool_choice")}
