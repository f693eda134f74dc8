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
from mixroute_magic.errors import APIConnectionError, APIStatusError, HistoryError, MixRouteError
from mixroute_magic.plan import DEMO
from mixroute_magic.reply import ReplyBuilder
from mixroute_magic.usage.budget import ANSWER_TOKENS
from mixroute_magic.usage.estimate import estimate_answer, estimate_tokens
from mixroute_magic.wire import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mixroute_magic.conversation.memory import Notebook
    from mixroute_magic.plan import Plan
    from mixroute_magic.reply import Reply
    from mixroute_magic.usage.ledger import Ledger
    from mixroute_magic.wire import Chunk, Message, Request

__all__ = ["Asked"]

_MOST_TOKENS = 10**9  # what is more fits no column


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
        self._size = 0  # of the request, in tokens
        self._was_sent = False
        self._started = self._tried = time.monotonic()
        self._first: float | None = None
        self._seconds: float | None = None
        self._status = INTERRUPTED
        self.failure: BaseException | None = None
        self.ended = False
        self._entry: str | None = None

    def begin(self, ledger: Ledger, notebook: Notebook) -> None:
        """Let the ledger know that it is about to be sent, or replayed.

        Raises
        ------
        BudgetError
            If a budget does not let it be sent.
        """
        self._size = estimate_tokens(self.request.messages, self.request.params)
        self._entry = ledger.begin(
            model=self.request.model,
            gateway=self.plan.gateway,
            thread=self.plan.thread,
            notebook=str(notebook.path) if notebook.path else None,
            cell=self.plan.run.cell_id,
            turn=self.plan.turn,
            number=len(self._rounds) + 1,
            reserved_tokens=self._size + _longest_answer(self.request.params),
            demo=self.plan.gateway == DEMO,
            replayed=self.plan.recorded is not None,
        )

    def sent(self) -> None:
        """Count the seconds from here, and what it may cost."""
        self._was_sent = True
        self._started = self._tried = time.monotonic()
        self._first = None

    def again(self, error: Exception, seconds: float, ledger: Ledger) -> None:
        """Let the ledger know that it has failed and will be sent once more, in so many seconds."""
        self._entry = ledger.again(self._entry, error=type(error).__name__, seconds=seconds, free=self._was_free(error))
        self._tried = time.monotonic() + seconds

    def add(self, chunk: Chunk) -> None:
        """Take in more of the answer."""
        if self._first is None and chunk.says_something:
            self._first = time.monotonic() - self._started
        self._builder.add(chunk)

    def go_on(self, steps: Sequence[Message], ledger: Ledger) -> None:
        """Take in that these messages follow the answer that has come, itself first, and that they are sent next."""
        ledger.finish(self._entry, status=COMPLETE, reply=self._of_this_try(), error=None)
        self._entry = None
        self._rounds.append(self.round())
        self._was_sent = False
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

    @property
    def called(self) -> list[str]:
        """The tools that were asked for so far, each once."""
        calls = [call for message in self._steps for call in message.tool_calls]
        return list(dict.fromkeys(call.name for call in (*calls, *self._builder.reply().tool_calls)))

    def round(self) -> Reply:
        """Return as much of the answer to the last request as there is."""
        if self._seconds is None:
            return self._builder.reply(time.monotonic() - self._started, self._first)
        return self._counted(self._builder.reply(self._seconds, self._first))

    def reply(self) -> Reply:
        """Return as much of the answer as there is, with what all requests for it took together."""
        last = self.round()
        rounds = [*self._rounds, last] if self._was_sent or not self._rounds else self._rounds
        return replace(
            last,
            tool_calls=tuple(call for one in rounds for call in one.tool_calls),
            usage=functools.reduce(operator.add, (one.usage for one in rounds)),
            seconds=sum(one.seconds or 0 for one in rounds),
            first_token_seconds=rounds[0].first_token_seconds,
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
        free = not self._was_sent or self._is_waiting() or self._was_free(self.failure)
        ledger.finish(self._entry, status=self._status, reply=self._of_this_try(), error=error, free=free)
        self._entry = None

    def _counted(self, reply: Reply) -> Reply:
        """Return a reply with estimated tokens where there are words of it, and nobody has counted them."""
        usage = reply.usage
        if not _says_something(reply):
            return reply
        if usage.input_tokens is None and usage.output_tokens is None:
            return replace(reply, usage=Usage(self._size, estimate_answer(reply), source="estimated"))
        broken_off = self._status != COMPLETE and reply.finish_reason is None
        if broken_off and 2 * (usage.output_tokens or 0) < (output := estimate_answer(reply)):
            # What some gateways tell with the first word is no count of those that have come after it.
            return replace(reply, usage=replace(usage, output_tokens=output, source="estimated"))
        return reply

    def _of_this_try(self) -> Reply:
        """Return the reply to the request with the times of its last try, after those that failed."""
        reply, before = self.round(), self._tried - self._started
        first = reply.first_token_seconds
        return replace(
            reply,
            seconds=max(0.0, (reply.seconds or 0.0) - before),
            first_token_seconds=None if first is None else max(0.0, first - before),
        )

    def _is_waiting(self) -> bool:
        """Say whether it has ended before it was sent once more."""
        return self._seconds is not None and self._started + self._seconds < self._tried

    def _was_free(self, failure: BaseException | None) -> bool:
        """Say whether a try cannot have cost anything: a gateway that is silent may be at work."""
        if isinstance(failure, APIConnectionError):
            return failure.unsent
        return isinstance(failure, APIStatusError | HistoryError) and not _says_something(self.round())

    def _lines(self) -> tuple[str, ...]:
        """Return the lines that say why it failed, as they may be kept."""
        error = self.failure
        if error is None or self._status != FAILED:
            return ()
        lines = error.lines() if isinstance(error, MixRouteError) else [f"{type(error).__name__}: {error}"]
        return tuple(map(self._redact, lines))

    def _new_builder(self) -> ReplyBuilder:
        return ReplyBuilder(self.request.model, demo=self._before.demo, clean=self._redact)


def _says_something(reply: Reply) -> bool:
    return bool(reply.text or reply.reasoning or reply.tool_calls or reply.finish_reason)


def _longest_answer(params: Mapping[str, Any]) -> int:
    """Return how many tokens to reserve for an answer."""
    asked = [params.get(name) for name in ("max_completion_tokens", "max_tokens")]
    limit = next((limit for limit in asked if isinstance(limit, int) and limit > 0), ANSWER_TOKENS)
    return min(limit, _MOST_TOKENS)


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
