"""``%%chat``: from its options and its body to one turn that is asked, replayed, or only shown."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mixroute_magic import refusals
from mixroute_magic.chat import ask
from mixroute_magic.compare import Column, compare
from mixroute_magic.conversation.replay import replay
from mixroute_magic.conversation.turn import labels
from mixroute_magic.display.formats import code_in
from mixroute_magic.errors import BadRequestError, MixRouteError, ReplayError, TemplateError
from mixroute_magic.gateway.lengths import TOO_LONG
from mixroute_magic.lengths import Limit, too_long
from mixroute_magic.plan import Plan, Settings
from mixroute_magic.prompt.templates import render
from mixroute_magic.tables import counted
from mixroute_magic.usage.estimate import estimate_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterator, Sequence

    from mixroute_magic.chat import Answer
    from mixroute_magic.config import MixRoute
    from mixroute_magic.conversation.memory import Notebook
    from mixroute_magic.conversation.turn import Turn
    from mixroute_magic.display.preview import Preview
    from mixroute_magic.gateway.client import Client
    from mixroute_magic.options import ChatOptions, ModelOptions
    from mixroute_magic.session import Session
    from mixroute_magic.wire import Chunk, Reply, Request

__all__ = ["chat", "given", "left_out", "merged", "settings", "without_demo_turns"]


def chat(session: Session, options: ChatOptions, body: str) -> Preview | None:
    """Ask, and leave the answer in the cell; with ``--dry-run`` return what would have been sent."""
    session.asks()
    notebook = session.notebook()
    mode = options.replay or session.replay_mode()
    plans = _plans(session, notebook, options, _filled(body, session), mode)
    for plan in plans:
        _check_secrecy(plan, session)
    if options.dry_run:
        notebook.announced()
        return _preview(plans)
    reply = _ask(*plans, session=session, notebook=notebook, mode=mode)
    if options.output:
        session.shell.user_ns[options.output] = reply
    if options.form == "code" and (code := _code(reply)):
        session.shell.set_next_input(code, replace=False)
    return None


def _ask(plan: Plan, *others: Plan, session: Session, notebook: Notebook, mode: str) -> Reply | list[Reply]:
    """Ask one model, or several side by side."""
    if others:
        return _compare([plan, *others], session, notebook, mode)
    client = None if plan.recorded else session.client()
    answer = _answer(plan, session, notebook, client, mode)
    view = session.view([plan.settings.model], plan.turn, form=plan.form)
    notebook.announced()
    try:
        return ask(
            plan,
            answer=answer,
            notebook=notebook,
            ledger=session.ledger,
            view=view,
            redact=session.credentials.without_key,
        )
    except BadRequestError as error:
        raise _explained(plan, session, error) from None


def _code(reply: Reply | list[Reply]) -> str:
    """Return the code of an answer; of several, that of the first whole one with any."""
    replies = reply if isinstance(reply, list) else [reply]
    return next(filter(None, (code_in(one.text) for one in replies if one.finish_reason)), "")


def _compare(plans: Sequence[Plan], session: Session, notebook: Notebook, mode: str) -> list[Reply]:
    columns = [_column(plan, session, notebook, mode) for plan in plans]
    if all(column.refused for column in columns) and columns[0].refused:
        raise columns[0].refused
    turn = uuid.uuid4().hex
    view = session.view(labels([plan.settings.model for plan in plans]), turn, form=plans[0].form)
    notebook.announced()
    return compare(
        columns,
        turn=turn,
        notebook=notebook,
        ledger=session.ledger,
        view=view,
        redact=session.credentials.without_key,
        explain=lambda plan, error: _explained(plan, session, error),
    )


def _column(plan: Plan, session: Session, notebook: Notebook, mode: str) -> Column:
    """Return how one of several models is asked; what speaks against it costs the others nothing."""
    client = None if plan.recorded or mode == "only" else session.new_client()
    try:
        return Column(plan=plan, answer=_answer(plan, session, notebook, client, mode), client=client)
    except MixRouteError as error:
        return Column(plan=plan, refused=error)


def _explained(plan: Plan, session: Session, error: MixRouteError) -> MixRouteError:
    """Return the error; if a conversation is too long, with what to do about it, and remember how long is too long."""
    if not isinstance(error, BadRequestError) or error.code != TOO_LONG:
        return error
    limit = Limit.learned(plan, error)
    if limit is not None:
        session.limits[plan.gateway, plan.settings.model] = limit
    return too_long(plan, limit, error)


def settings(config: MixRoute, *layers: dict[str, Any]) -> Settings:
    """Return how to ask: the configuration, then what is given, each layer stronger than the one before."""
    configured = {
        "model": config.current("model"),
        "system": config.system or None,
        "temperature": None if config.temperature is None else config.number("temperature", most=2),
        "max_tokens": None if config.max_tokens is None else int(config.number("max_tokens", least=1, whole=True)),
    }
    return Settings(**merged(configured, *layers))


def given(options: ChatOptions | ModelOptions) -> dict[str, Any]:
    """Return what the options say about how to ask."""
    names = ("model", "system", "temperature", "max_tokens", "params")
    return {name: value for name in names if (value := getattr(options, name, None)) not in (None, {})}


def merged(*layers: dict[str, Any]) -> dict[str, Any]:
    """Return the values of the last layer that has them; ``params`` of all layers, each field by itself."""
    values: dict[str, Any] = {}
    for layer in layers:
        params = values.get("params", {}) | layer.get("params", {})
        values |= layer | {"params": params}
    return values


def without_demo_turns(session: Session, turns: list[Turn], *, offline: bool = False) -> list[Turn]:
    """Leave out what the offline demo said, unless it is the demo that is asked; ``offline`` asks nobody."""
    if session.demo_is_wanted() or not any(turn.demo for turn in turns):
        return turns
    if not offline and session.client().is_demo():
        return turns
    return [turn for turn in turns if not turn.demo]


def left_out(above: Sequence[Turn], sent: Sequence[Turn]) -> list[str]:
    """Say that turns of the offline demo are not sent."""
    missing = len(above) - len(sent)
    return [f"{counted(missing, 'turn')} of the offline demo not sent"] if missing else []


def _plans(session: Session, notebook: Notebook, options: ChatOptions, prompt: str, mode: str) -> list[Plan]:
    """Return a plan for each model, with the recorded answer where it may be replayed; no record is used twice."""
    first = _plan(session, notebook, options, prompt, offline=mode == "only")
    plans = [first]
    if options.models:
        chosen = [
            settings(session.config, notebook.chosen, given(options) | {"model": name}) for name in options.models
        ]
        plans = [replace(first, settings=one, turn=uuid.uuid4().hex) for one in chosen]
    used: set[str] = set()
    for number, plan in enumerate(plans if mode != "off" else ()):
        plans[number] = _with_record(plan, session, notebook, used)
        used |= {recorded.turn} if (recorded := plans[number].recorded) else set()
    return plans


def _plan(session: Session, notebook: Notebook, options: ChatOptions, prompt: str, *, offline: bool) -> Plan:
    run = session.run()
    name = options.thread or notebook.thread
    own = notebook.conversation.own(run, name) if options.continued else []
    above = [] if options.fresh else notebook.conversation.above(run, name)
    sent, going_on = (without_demo_turns(session, turns, offline=offline) for turns in (above, own))
    notes = [*notebook.announcement(), *left_out([*above, *own], [*sent, *going_on])]
    if above and run.cell_id is None:
        notes.append("history in order of execution")
    if options.continued and not own:
        notes.append("-c: this cell had no answer yet")
    return Plan(
        run=run,
        thread=name,
        gateway=session.gateway(),
        settings=settings(session.config, notebook.chosen, given(options)),
        prompt=prompt,
        above=sent,
        continued=going_on,
        fresh=options.fresh,
        own_system=options.system is not None,
        form=options.form,
        notes=notes,
    )


def _check_secrecy(plan: Plan, session: Session) -> None:
    """Raise `TemplateError` if the key would be sent in a message, or anywhere but in its header."""
    key = session.credentials
    if key.is_in(plan.prompt) or key.is_in(f"{plan.settings} {plan.thread}"):
        raise TemplateError("This cell contains your API key; nothing was sent.", "Take it out, run the cell again.")
    if key.is_in("\n".join(message.text for turn in (*plan.above, *plan.continued) for message in turn.exchange)):
        hint = "Delete the cell that holds it, or ask without earlier turns: --fresh."
        raise TemplateError("An earlier turn contains your API key; nothing was sent.", hint)


def _with_record(plan: Plan, session: Session, notebook: Notebook, used: Collection[str]) -> Plan:
    """Add the recorded turn of an unchanged request, where there is one that is not used yet."""
    for same in _as_asked_before(plan):
        recorded = session.recorded(notebook, plan.run, same.request().fingerprint(plan.gateway), used)
        if recorded is not None:
            return replace(same, recorded=recorded)
    return plan


def _as_asked_before(plan: Plan) -> Iterator[Plan]:
    """Yield the plan; and where a cell goes on from its own last answer, as it was before it asked just this."""
    yield plan
    if plan.continued and plan.continued[-1].answered:
        *earlier, last = plan.continued
        *before, _, _ = last.exchange
        if last.question == plan.prompt:
            yield replace(plan, continued=[*earlier, *([replace(last, messages=tuple(before))] if before else [])])


def _not_recorded(plan: Plan) -> ReplayError:
    request = plan.request()
    messages = counted(len(request.messages), "message")
    return ReplayError(
        f"No answer is recorded for this request ({messages} to {request.model} at {plan.gateway}); nothing was sent.",
        "It was never asked with these words, options and turns above. To ask: --replay auto.",
    )


def _answer(plan: Plan, session: Session, notebook: Notebook, client: Client | None, mode: str) -> Answer:
    """Return the record, or else the gateway, once it is sure that the request can be sent."""
    if plan.recorded is not None:
        return _replayed(plan.recorded, paced=session.attended())
    if mode == "only" or client is None:
        raise _not_recorded(plan)
    client.check_key()
    refusals.check(plan, notebook.chosen, session.config)
    limit = session.limits.get((plan.gateway, plan.settings.model))
    if limit is not None:
        limit.check(plan)
    return client.send


def _replayed(recorded: Turn, *, paced: bool) -> Answer:
    def answer(_request: Request, _on_retry: Callable[[str, float], None]) -> Generator[Chunk]:
        return replay(recorded, paced=paced)

    return answer


def _filled(body: str, session: Session) -> str:
    prompt = render(body, session.shell.user_ns)
    if not prompt.strip():
        raise TemplateError("The question is empty once its {{ … }} are filled; nothing was sent.")
    return prompt


def _preview(plans: Sequence[Plan]) -> Preview:
    from mixroute_magic.display.preview import Preview

    plan, requests = plans[0], [plan.request() for plan in plans]
    messages, earlier = counted(len(requests[0].messages), "message"), counted(len(plan.above), "earlier turn")
    replayed = sum(plan.recorded is not None for plan in plans)
    action = "It would be replayed" if replayed == len(plans) else "It would be"
    models = ", ".join(request.model for request in requests)
    sentence = (
        f"Nothing was sent. {action} {messages} ({earlier}) to {models} at {plan.gateway}, "
        f"about {estimate_tokens(requests[0].messages):,} tokens{' each' if len(plans) > 1 else ''}."
    )
    some = [f"{replayed} of {len(plans)} would be replayed"] if 0 < replayed < len(plans) else []
    return Preview(" · ".join([sentence, *some, *plan.notes]), requests)
