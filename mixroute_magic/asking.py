"""``%%chat``: from its options and its body to one turn that is asked, replayed, or only shown."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mixroute_magic.chat import Plan, Settings, ask
from mixroute_magic.conversation.replay import replay
from mixroute_magic.errors import BadRequestError, ReplayError, TemplateError
from mixroute_magic.gateway.lengths import TOO_LONG
from mixroute_magic.lengths import Limit, too_long
from mixroute_magic.prompt.templates import render
from mixroute_magic.tables import counted
from mixroute_magic.usage.estimate import estimate_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from mixroute_magic.chat import Answer
    from mixroute_magic.config import MixRoute
    from mixroute_magic.conversation.memory import Notebook
    from mixroute_magic.conversation.turn import Turn
    from mixroute_magic.display.preview import Preview
    from mixroute_magic.options import ChatOptions, ModelOptions
    from mixroute_magic.session import Session
    from mixroute_magic.wire import Chunk, Request

__all__ = ["chat", "given", "left_out", "merged", "settings", "without_demo_turns"]


def chat(session: Session, options: ChatOptions, body: str) -> Preview | None:
    """Ask, and leave the answer in the cell; with ``--dry-run`` return what would have been sent."""
    session.asks()
    notebook = session.notebook()
    mode = options.replay or session.replay_mode()
    plan = _plan(session, notebook, options, _filled(body, session), offline=mode == "only")
    plan = plan if mode == "off" else _with_record(plan, session, notebook)
    _check_secrecy(plan, session)
    if options.dry_run:
        notebook.announced()
        return _preview(plan)
    if mode == "only" and plan.recorded is None:
        raise _not_recorded(plan)
    answer = _replayed(plan.recorded, session) if plan.recorded else _asked(plan, session)
    view = session.view([plan.settings.model], plan.turn)
    notebook.announced()
    try:
        reply = ask(
            plan,
            answer=answer,
            notebook=notebook,
            ledger=session.ledger,
            view=view,
            redact=session.credentials.without_key,
        )
    except BadRequestError as error:
        if error.code != TOO_LONG:
            raise
        limit = Limit.learned(plan, error)
        if limit is not None:
            session.limits[plan.gateway, plan.settings.model] = limit
        raise too_long(plan, limit, error) from None
    if options.output:
        session.shell.user_ns[options.output] = reply
    return None


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


def _with_record(plan: Plan, session: Session, notebook: Notebook) -> Plan:
    """Add the recorded turn of an unchanged request, where there is one."""
    for same in _as_asked_before(plan):
        recorded = session.recorded(notebook, plan.run, same.request().fingerprint(plan.gateway))
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


def _replayed(recorded: Turn, session: Session) -> Answer:
    def answer(_request: Request, _on_retry: Callable[[str, float], None]) -> Generator[Chunk]:
        return replay(recorded, paced=session.attended())

    return answer


def _asked(plan: Plan, session: Session) -> Answer:
    """Return the gateway, once it is sure that the request can be sent."""
    client = session.client()
    client.check_key()
    limit = session.limits.get((plan.gateway, plan.settings.model))
    if limit is not None:
        limit.check(plan)
    return client.send


def _filled(body: str, session: Session) -> str:
    prompt = render(body, session.shell.user_ns)
    if not prompt.strip():
        raise TemplateError("The question is empty once its {{ … }} are filled; nothing was sent.")
    return prompt


def _preview(plan: Plan) -> Preview:
    from mixroute_magic.display.preview import Preview

    request = plan.request()
    messages, earlier = counted(len(request.messages), "message"), counted(len(plan.above), "earlier turn")
    action = "It would be replayed" if plan.recorded else "It would be"
    sentence = (
        f"Nothing was sent. {action} {messages} ({earlier}) to {request.model} at {plan.gateway}, "
        f"about {estimate_tokens(request.messages):,} tokens."
    )
    return Preview(" · ".join([sentence, *plan.notes]), request)
