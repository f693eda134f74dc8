"""``%%chat``: from its options and its body to one turn that is asked, replayed, or only shown."""

from __future__ import annotations

import uuid
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from mixroute_magic import attaching, refusals
from mixroute_magic.chat import ask
from mixroute_magic.compare import Column, compare
from mixroute_magic.conversation.replay import replay
from mixroute_magic.conversation.turn import labels
from mixroute_magic.display.formats import code_in
from mixroute_magic.errors import BadRequestError, MixRouteError, ReplayError
from mixroute_magic.gateway.lengths import TOO_LONG
from mixroute_magic.gateway.stream import unechoed
from mixroute_magic.lengths import Limit, too_long
from mixroute_magic.offering import falling_back
from mixroute_magic.planning import Cell, plans
from mixroute_magic.tables import counted
from mixroute_magic.usage.estimate import estimate_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from mixroute_magic.asked import Asked
    from mixroute_magic.chat import Answer
    from mixroute_magic.conversation.turn import Turn
    from mixroute_magic.display.preview import Preview
    from mixroute_magic.gateway.client import Client
    from mixroute_magic.options import ChatOptions
    from mixroute_magic.plan import Plan
    from mixroute_magic.reply import Reply
    from mixroute_magic.session import Session
    from mixroute_magic.wire import Chunk, Request

__all__ = ["chat"]


def chat(session: Session, options: ChatOptions, body: str) -> Preview | None:
    """Ask, and leave the answer in the cell; with ``--dry-run`` return what would have been sent."""
    session.asks()
    cell = Cell.of(session, options)
    planned = plans(cell, body)
    if options.dry_run:
        cell.notebook.announced()
        return _preview(planned)
    reply = _ask(planned[0], cell) if len(planned) == 1 else _compare(planned, cell)
    if options.output:
        session.shell.user_ns[options.output] = reply
    if options.form == "code" and (code := _code(reply)):
        session.shell.set_next_input(code, replace=False)
    return None


def _ask(plan: Plan, cell: Cell) -> Reply:
    session = cell.session
    answer = _answer(plan, cell, None if plan.recorded else session.client())
    attaching.show(session, cell.notebook.path, plan.added())
    view = session.view([plan.settings.model], plan.turn, form=plan.form)
    cell.notebook.announced()
    reply = ask(
        plan,
        answer=answer,
        rounds=cell.offer.rounds(session),
        notebook=cell.notebook,
        ledger=session.ledger,
        view=view,
        redact=session.credentials.without_key,
        explain=lambda asked, error: _explained(asked, session, error),
    )
    return _parsed(reply, plan)


def _parsed(reply: Reply, plan: Plan) -> Reply:
    """Return a reply with the value of the notebook that it is, where it was to be one."""
    with suppress(ValueError):  # one of several may have failed
        return reply if plan.schema is None else replace(reply, parsed=plan.schema.parse(reply.text))
    return reply


def _code(reply: Reply | list[Reply]) -> str:
    """Return the code of an answer; of several, that of the first whole one with any."""
    replies = reply if isinstance(reply, list) else [reply]
    return next(filter(None, (code_in(one.text) for one in replies if one.finish_reason)), "")


def _compare(planned: Sequence[Plan], cell: Cell) -> list[Reply]:
    session = cell.session
    columns = [_column(plan, cell) for plan in planned]
    if all(column.refused for column in columns) and columns[0].refused:
        raise columns[0].refused
    attaching.show(session, cell.notebook.path, planned[0].added())
    turn = uuid.uuid4().hex
    view = session.view(labels([plan.settings.model for plan in planned]), turn, form=planned[0].form)
    cell.notebook.announced()
    replies = compare(
        columns,
        turn=turn,
        notebook=cell.notebook,
        ledger=session.ledger,
        view=view,
        redact=session.credentials.without_key,
        explain=lambda asked, error: _explained(asked, session, error),
    )
    return [_parsed(reply, plan) for reply, plan in zip(replies, planned, strict=True)]


def _column(plan: Plan, cell: Cell) -> Column:
    """Return how one of several models is asked; what speaks against it costs the others nothing."""
    client = None if plan.recorded or cell.mode == "only" else cell.session.new_client()
    column = Column(plan=plan, rounds=cell.offer.rounds(cell.session), client=client)
    try:
        return replace(column, answer=_answer(plan, cell, client))
    except MixRouteError as error:
        return replace(column, refused=error)


def _explained(asked: Asked, session: Session, error: MixRouteError) -> MixRouteError:
    """Return the error; if a conversation is too long, with what to do about it, and remember how long is too long."""
    if not isinstance(error, BadRequestError) or error.code != TOO_LONG:
        return error
    plan = asked.plan
    limit = Limit.learned(plan, error, asked.steps)
    if limit is not None:
        session.limits[plan.gateway, plan.settings.model] = limit
    return too_long(plan, limit, error, asked.steps)


def _not_recorded(plan: Plan) -> ReplayError:
    request = plan.request()
    messages = counted(len(request.messages), "message")
    return ReplayError(
        f"No answer is recorded for this request ({messages} to {request.model} at {plan.gateway}); nothing was sent.",
        "It was never asked with these words, options and turns above. To ask: --replay auto.",
    )


def _answer(plan: Plan, cell: Cell, client: Client | None) -> Answer:
    """Return the record, or else the gateway, once it is sure that the request can be sent."""
    session = cell.session
    if plan.recorded is not None:
        return _replayed(plan.recorded, session, paced=session.attended())
    if cell.mode == "only" or client is None:
        raise _not_recorded(plan)
    client.check_key()
    refusals.check(plan, cell.notebook.chosen, session.config)
    attaching.check(plan)
    limit = session.limits.get((plan.gateway, plan.settings.model))
    if limit is not None:
        limit.check(plan)
    cell.offer.check_consent(session)
    return falling_back(attaching.sending(session, cell.notebook.path, client.send), plan, session.schema_ways)


def _replayed(recorded: Turn, session: Session, *, paced: bool) -> Answer:
    def answer(_request: Request, _on_retry: Callable[[Exception, float], None]) -> Generator[Chunk]:
        return unechoed(replay(recorded, paced=paced), session.credentials.secret())

    return answer


def _preview(plans: Sequence[Plan]) -> Preview:
    from mixroute_magic.display.preview import Preview

    plan, requests = plans[0], [plan.request() for plan in plans]
    messages, earlier = counted(len(requests[0].messages), "message"), counted(len(plan.above), "earlier turn")
    replayed = sum(plan.recorded is not None for plan in plans)
    action = "It would be replayed" if replayed == len(plans) else "It would be"
    models = ", ".join(request.model for request in requests)
    tokens = estimate_tokens(requests[0].messages, requests[0].params)
    sentence = (
        f"Nothing was sent. {action} {messages} ({earlier}) to {models} at {plan.gateway}, "
        f"about {tokens:,} tokens{' each' if len(plans) > 1 else ''}."
    )
    some = [f"{replayed} of {len(plans)} would be replayed"] if 0 < replayed < len(plans) else []
    return Preview(" · ".join([sentence, *some, *plan.notes]), requests)
