"""One turn, the one path: ask, show, record. Everything it needs is passed in."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mixroute_magic.asked import Asked
from mixroute_magic.conversation.turn import COMPLETE
from mixroute_magic.display.formats import note
from mixroute_magic.display.output import Ending, bundle
from mixroute_magic.errors import ChatInterrupted, MixRouteError
from mixroute_magic.interrupts import undisturbed
from mixroute_magic.reply import Reply
from mixroute_magic.wire import Chunk, Request

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mixroute_magic.conversation.memory import Notebook
    from mixroute_magic.conversation.turn import Turn
    from mixroute_magic.display.views import ReplyView
    from mixroute_magic.plan import Plan
    from mixroute_magic.rounds import Rounds
    from mixroute_magic.usage.ledger import Ledger
    from mixroute_magic.wire import Message

__all__ = [
    "Answer",
    "answer_notes",
    "ask",
    "cell_notes",
    "displayed",
    "ending_of",
]

Answer = Callable[[Request, Callable[[Exception, float], None]], Generator[Chunk]]
"""Sends a request, tells why and in how many seconds it is sent again, and yields the chunks of the answer."""

_NOTICES = {
    "length": "cut at the token limit: raise --max-tokens",
    "content_filter": "stopped by a content filter",
    "sensitive": "stopped by a content filter",
    "refusal": "the model refused",
}


def ask(
    plan: Plan,
    *,
    answer: Answer,
    rounds: Rounds,
    notebook: Notebook,
    ledger: Ledger,
    view: ReplyView,
    redact: Callable[[str], str],
    explain: Callable[[Asked, MixRouteError], MixRouteError],
) -> Reply:
    """Ask one turn, show its answer as it comes, and leave a record of it, whatever happens.

    ``answer`` sends a request and returns its chunks: `Client.send`, or the replay of a recorded turn. ``rounds`` says
    what has to follow before an answer stands. ``explain`` makes of a refused request an error that says what to do.

    Raises
    ------
    MixRouteError
        As `Client.send` and `Rounds.after`; with the text so far as ``partial``.
    BudgetError
        If a budget does not let it be sent, after which nothing is shown or recorded, either.
    ChatInterrupted
        If the user stopped it.
    """
    asked = Asked(plan, redact)
    place = None
    with ExitStack() as end:
        try:
            try:
                asked.begin(ledger, notebook)
                place = notebook.conversation.begin(plan.run)
                view.start()
                if plan.recorded is None:
                    notebook.begin(plan.run, place, asked.turn())
                _go_through(asked, answer, rounds, notebook=notebook, ledger=ledger, view=view)
                end.enter_context(undisturbed())  # while an interrupt is still caught below
                asked.end()
            except BaseException as error:
                end.enter_context(undisturbed())
                failure = explain(asked, error) if isinstance(error, MixRouteError) else error
                asked.end(failure)
                if isinstance(error, KeyboardInterrupt):
                    raise ChatInterrupted(asked.round().text, called=asked.called) from None
                if failure is not error:
                    raise failure from None
                raise
        finally:
            recorded = None if place is None else notebook.record(plan.run, place, asked.turn())
            asked.close(ledger)
            if recorded is not None:
                _leave(asked, *recorded, ledger=ledger, view=view)
    return asked.reply()


def _leave(asked: Asked, turn: Turn, replaced: int, *, ledger: Ledger, view: ReplyView) -> None:
    """Leave a turn in its cell as it is recorded."""
    plan = asked.plan
    notes = [*answer_notes(turn, plan.form), *asked.notes, *cell_notes(plan, turn, replaced), *ledger.notes()]
    metadata, before = turn.to_metadata(), (*plan.shown_before(), *asked.steps)
    ending = ending_of(turn, notes, form=plan.form, before=before, metadata=metadata)
    view.finish(replace(ending, error=()))  # IPython shows it below


def _go_through(
    asked: Asked, answer: Answer, rounds: Rounds, *, notebook: Notebook, ledger: Ledger, view: ReplyView
) -> None:
    """Send requests, of which the first has begun, until an answer stands."""
    view.between(asked.steps)  # of a recorded turn
    while True:
        _receive(asked, answer, notebook, ledger, view)
        recorded = asked.plan.recorded is not None
        steps = () if recorded else rounds.after(asked.round(), view.doing)
        if not steps:  # of a recorded turn they are recorded, too
            return
        asked.go_on(steps, ledger)
        view.between(steps)
        asked.begin(ledger, notebook)


def _receive(asked: Asked, answer: Answer, notebook: Notebook, ledger: Ledger, view: ReplyView) -> None:
    """Take in and show the answer to one request."""

    def retrying(error: Exception, seconds: float) -> None:
        asked.again(error, seconds, ledger)
        view.retrying(str(error).rstrip("."), seconds)

    asked.sent()
    with closing(answer(asked.request, retrying)) as chunks:
        for chunk in chunks:
            asked.add(chunk)
            view.show(chunk)
            notebook.write(asked.plan.turn, asked.turn)
    asked.received()


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
            replace(
                ending_of(answer, answer_notes(answer, form), form=form, before=answer.before_answer[turn.shared :]),
                name=name,
            )
            for name, answer in zip(turn.names, turn.alternatives, strict=True)
        ],
    )


def displayed(turn: Turn, notes: Sequence[str] = (), *, question: bool = False) -> dict[str, Any]:
    """Return the output of a turn as front ends keep it; ``question`` where its cell does not show that."""
    before = turn.exchange[: turn.shared] if turn.alternatives else turn.before_answer
    if not question and len(turn.questions) == 1:
        before = before[1:]
    form = "record" if "response_format" in turn.params else "markdown"
    shown = bundle(ending_of(turn, notes, form=form, before=before))
    return {"data": shown, "metadata": {"mixroute": turn.to_metadata()}}


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
