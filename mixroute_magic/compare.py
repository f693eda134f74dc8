"""Several models asked the same at the same time, side by side: one turn, of which one answer goes on.

Threads read the network, one each, and put what comes on a queue, and that is all they touch (``readers.py``): view,
conversation, journal and ledger are the main thread's.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mixroute_magic.asked import Asked
from mixroute_magic.chat import answer_notes, cell_notes, ending_of
from mixroute_magic.conversation.turn import COMPLETE
from mixroute_magic.errors import BudgetError, ChatInterrupted, MixRouteError
from mixroute_magic.interrupts import undisturbed
from mixroute_magic.readers import News, Readers, Retry
from mixroute_magic.wire import Chunk

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mixroute_magic.chat import Answer
    from mixroute_magic.conversation.memory import Notebook
    from mixroute_magic.conversation.turn import Turn
    from mixroute_magic.display.views import ReplyView
    from mixroute_magic.gateway.client import Client
    from mixroute_magic.plan import Plan
    from mixroute_magic.reply import Reply
    from mixroute_magic.rounds import Rounds
    from mixroute_magic.usage.ledger import Ledger

__all__ = ["Column", "compare"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One of the models: what it is asked and how, with a client of its own unless nothing has to be sent.

    One that cannot be asked has no ``answer``, and in ``refused`` the reason. ``rounds`` says what has to follow before
    an answer stands.
    """

    plan: Plan
    rounds: Rounds
    answer: Answer | None = None
    client: Client | None = None
    refused: MixRouteError | None = None


def compare(
    columns: Sequence[Column],
    *,
    turn: str,
    notebook: Notebook,
    ledger: Ledger,
    view: ReplyView,
    redact: Callable[[str], str],
    explain: Callable[[Asked, MixRouteError], MixRouteError],
) -> list[Reply]:
    """Ask all models, show their answers as they come, and leave a record of them as one turn with this id.

    Parameters
    ----------
    explain
        Makes of a refused request an error that says what to do.

    Raises
    ------
    MixRouteError
        If none of them answered: what went wrong with the first.
    BudgetError
        If a budget lets none of them be asked, after which nothing is shown or recorded, either.
    ChatInterrupted
        If the user stopped it.
    """
    comparison = _Comparison(
        columns, turn=turn, notebook=notebook, ledger=ledger, view=view, redact=redact, explain=explain
    )
    plan = columns[0].plan
    place = None
    with ExitStack() as end:
        try:
            try:
                comparison.begin()
                place = notebook.conversation.begin(plan.run)
                view.start()
                if any(column.plan.recorded is None for column in columns):
                    notebook.begin(plan.run, place, comparison.turn())
                comparison.run()
                end.enter_context(undisturbed())  # while an interrupt is still caught below
            except KeyboardInterrupt:
                end.enter_context(undisturbed())
                raise comparison.interrupted() from None
        finally:
            whole = comparison.end(place)
    if whole.status != COMPLETE:
        raise comparison.failure()
    return comparison.replies()


class _Comparison:
    """All that is known of the answers, for the main thread."""

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        turn: str,
        notebook: Notebook,
        ledger: Ledger,
        view: ReplyView,
        redact: Callable[[str], str],
        explain: Callable[[Asked, MixRouteError], MixRouteError],
    ) -> None:
        self._columns = columns
        self._asked = [Asked(column.plan, redact) for column in columns]
        self._readers = Readers()
        self._turn = turn
        self._notebook = notebook
        self._ledger = ledger
        self._view = view
        self._redact = redact
        self._explain = explain
        self._refused = {number: column.refused for number, column in enumerate(columns) if column.answer is None}

    def begin(self) -> None:
        """Let the ledger know of all requests, and raise if its budgets allow none of them."""
        for number, asked in enumerate(self._asked):
            if number not in self._refused:
                try:
                    asked.begin(self._ledger, self._notebook)
                except BudgetError as error:
                    self._refused[number] = error
        if len(self._refused) == len(self._asked):
            raise next(error for error in self._refused.values() if isinstance(error, BudgetError))

    def run(self) -> None:
        """Ask, and take in what comes until all have ended."""
        for number, (column, asked) in enumerate(zip(self._columns, self._asked, strict=True)):
            if column.answer is None or number in self._refused:
                self._end(number, self._refused[number])
                continue
            self._view.between(asked.steps, number)  # of a recorded turn
            asked.sent()
            self._readers.start(number, column.answer, column.client, asked.request)
        for number, news in self._readers.news():
            self._take(number, news)

    def end(self, place: int | None) -> Turn:
        """End what still goes on, close every row of the ledger, and leave the turn in its cell, if it had begun."""
        self._readers.stop()
        for number, asked in enumerate(self._asked):
            if not asked.ended and place is not None:
                self._end(number, KeyboardInterrupt())
            asked.close(self._ledger)
        if place is None:
            return self.turn()
        plan = self._columns[0].plan
        turn, replaced = self._notebook.record(plan.run, place, self.turn())
        notes, metadata = [*cell_notes(plan, turn, replaced), *self._ledger.notes()], turn.to_metadata()
        self._view.finish(ending_of(turn, notes, form=plan.form, before=plan.shown_before(), metadata=metadata))
        return turn

    def turn(self) -> Turn:
        """Return the turn as it stands, which carries the first complete answer, else the first that has any words."""
        turns = [asked.turn() for asked in self._asked]
        whole = [turn for turn in turns if turn.status == COMPLETE]
        kept = next(iter([*whole, *(turn for turn in turns if turn.answered), *turns]))
        return replace(kept, turn=self._turn, alternatives=tuple(turns), error=())

    def replies(self) -> list[Reply]:
        """Return all replies, also of those that failed."""
        return [asked.reply() for asked in self._asked]

    def interrupted(self) -> ChatInterrupted:
        """Return what to raise where the user stopped it."""
        turn = self.turn()
        kept = turn.names[turn.kept or 0] if turn.status == COMPLETE else ""
        called = list(dict.fromkeys(name for asked in self._asked for name in asked.called))
        return ChatInterrupted(turn.messages[-1].text if turn.answered else "", kept=kept, called=called)

    def failure(self) -> BaseException:
        """Return what to raise where none has answered: what went wrong with the first."""
        asked = self._asked[0]
        error = asked.failure
        if not isinstance(error, MixRouteError):
            return error or RuntimeError("no model was asked")
        error.args = (f"None of the {len(self._asked)} models answered. {asked.request.model}: {error}",)
        return error

    def _take(self, number: int, news: News) -> None:
        if isinstance(news, Chunk):
            self._asked[number].add(news)
            self._view.show(news, number)
            self._notebook.write(self._turn, self.turn)
        elif isinstance(news, Retry):
            self._asked[number].again(news.error, news.seconds, self._ledger)
            news.noted.set()
            self._view.retrying(str(news.error).rstrip("."), news.seconds, number)
        elif news.failure is None:
            self._received(number, news.at)
        else:
            self._end(number, news.failure)

    def _received(self, number: int, at: float) -> None:
        """Let what has to follow an answer follow it, in this thread: tools are called, and the user is asked."""
        column, asked = self._columns[number], self._asked[number]
        asked.received(at)
        if asked.plan.recorded is not None:  # what followed then is recorded, too
            self._end(number, None)
            return
        try:
            steps = column.rounds.after(asked.round(), lambda what: self._view.doing(what, number))
        except MixRouteError as error:
            self._end(number, error)
            return
        if not steps or column.answer is None:
            self._end(number, None)
            return
        asked.go_on(steps, self._ledger)
        self._view.between(steps, number)
        try:
            asked.begin(self._ledger, self._notebook)
        except BudgetError as error:
            self._end(number, error)
            return
        asked.sent()
        self._readers.start(number, column.answer, column.client, asked.request)

    def _end(self, number: int, failure: BaseException | None) -> None:
        asked = self._asked[number]
        if isinstance(failure, MixRouteError):
            failure = self._explain(asked, failure)
        asked.end(failure)
        asked.close(self._ledger)
        turn = asked.turn()
        form = asked.plan.form
        notes = [*answer_notes(turn, form), *asked.notes]
        self._view.ended(ending_of(turn, notes, form=form, before=asked.steps), number)
