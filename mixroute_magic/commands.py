"""What each magic does, once its line is read."""

from __future__ import annotations

import getpass
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any

from mixroute_magic.chat import DEMO, Plan, Settings, ask
from mixroute_magic.errors import AuthenticationError, TemplateError
from mixroute_magic.gateway.credentials import KEY_VARIABLE
from mixroute_magic.prompt.templates import render
from mixroute_magic.tables import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mixroute_magic.config import MixRoute
    from mixroute_magic.conversation.turn import Turn
    from mixroute_magic.display.preview import Preview
    from mixroute_magic.gateway.client import Client
    from mixroute_magic.options import ChatOptions, ModelOptions, SetupOptions, ThreadOptions
    from mixroute_magic.session import Notebook, Session
    from mixroute_magic.usage.report import UsageReport

__all__ = ["chat", "model", "settings", "setup", "thread", "usage"]


def chat(session: Session, options: ChatOptions, body: str) -> Preview | None:
    """Ask, and leave the answer in the cell; with ``--dry-run`` return what would have been sent."""
    notebook, client = session.notebook(), session.client()
    plan = _plan(session, notebook, client, options, _filled(body, session))
    if session.credentials.is_in("\n".join(message.text for message in plan.request().messages)):
        raise TemplateError("The message contains your API key; nothing was sent.", "Take it out, run the cell again.")
    if options.dry_run:
        return _preview(plan)
    client.check_key()
    reply = ask(
        plan,
        client=client,
        conversation=notebook.conversation,
        ledger=session.ledger,
        view=session.view(plan.settings.model),
        notebook=str(notebook.path) if notebook.path else None,
    )
    if options.output:
        session.shell.user_ns[options.output] = reply
    return None


def model(session: Session, options: ModelOptions, system: str | None = None) -> Table:
    """Choose the model and how to ask it, for this notebook; or show what is chosen, or what there is."""
    if options.listing is not None:
        return _models(session, options.listing)
    notebook = session.notebook()
    if options.reset:
        notebook.chosen.clear()
    given = _given(options) | ({"model": options.name} if options.name else {})
    if system is not None:
        given["system"] = system.strip()
    notebook.chosen = _merged(notebook.chosen, given)
    return _settings_table(settings(session.config, notebook.chosen))


def thread(session: Session, options: ThreadOptions) -> Table:
    """Show what the next cell would send, list the threads, switch, or clear."""
    notebook = session.notebook()
    conversation = notebook.conversation
    if options.listing:
        return _thread_list(notebook.thread, conversation.threads())
    name = options.name or notebook.thread
    if options.clear:
        forgotten = conversation.clear(name)
        return Table(caption=f"Thread {name}: {_turns(forgotten)} forgotten. The outputs in the notebook stay.")
    notebook.thread = name
    above = conversation.above(session.run(), name)
    sent = _without_demo_turns(session, session.client(), above)
    notes = [*notebook.announcement(), *_left_out(above, sent)]
    return _thread_table(name, sent, settings(session.config, notebook.chosen).system, notes)


def usage(session: Session) -> UsageReport:
    """Return the tokens of this session, by model."""
    from mixroute_magic.usage.report import UsageReport

    return UsageReport(session.ledger.totals())


def setup(session: Session, options: SetupOptions) -> Table:
    """Show the set-up, keep or forget a key, or start the offline demo gateway."""
    actions = {"status": _status, "login": _login, "logout": _logout, "demo": _demo}
    return actions[options.action](session)


def settings(config: MixRoute, *given: dict[str, Any]) -> Settings:
    """Return how to ask: the configuration, then what is given, each layer stronger than the one before."""
    configured = {
        "model": config.current("model"),
        "system": config.system or None,
        "temperature": None if config.temperature is None else config.number("temperature", most=2),
        "max_tokens": None if config.max_tokens is None else int(config.number("max_tokens", least=1, whole=True)),
    }
    return Settings(**_merged(configured, *given))


def _given(options: ChatOptions | ModelOptions) -> dict[str, Any]:
    names = ("model", "system", "temperature", "max_tokens", "params")
    return {name: value for name in names if (value := getattr(options, name, None)) not in (None, {})}


def _merged(*layers: dict[str, Any]) -> dict[str, Any]:
    """Return the values of the last layer that has them; ``params`` of all layers, each field by itself."""
    merged: dict[str, Any] = {}
    for layer in layers:
        params = merged.get("params", {}) | layer.get("params", {})
        merged |= layer | {"params": params}
    return merged


def _plan(session: Session, notebook: Notebook, client: Client, options: ChatOptions, prompt: str) -> Plan:
    run = session.run()
    name = options.thread or notebook.thread
    above = [] if options.fresh else notebook.conversation.above(run, name)
    sent = _without_demo_turns(session, client, above)
    notes = [*notebook.announcement(), *_left_out(above, sent)]
    if sent and run.cell_id is None:
        notes.append("history in order of execution")
    return Plan(
        run=run,
        thread=name,
        gateway=DEMO if session.demo_base_url() else client.host,
        settings=settings(session.config, notebook.chosen, _given(options)),
        prompt=prompt,
        above=sent,
        own_system=options.system is not None,
        notes=notes,
    )


def _without_demo_turns(session: Session, client: Client, above: list[Turn]) -> list[Turn]:
    """Leave out what the offline demo said, unless it is the demo that is asked."""
    if session.demo_base_url() or not any(turn.demo for turn in above) or client.is_demo():
        return above
    return [turn for turn in above if not turn.demo]


def _left_out(above: list[Turn], sent: list[Turn]) -> list[str]:
    return [f"{_turns(len(above) - len(sent))} of the offline demo not sent"] if len(sent) < len(above) else []


def _filled(body: str, session: Session) -> str:
    prompt = render(body, session.shell.user_ns)
    if not prompt.strip():
        raise TemplateError("The question is empty once its {{ … }} are filled; nothing was sent.")
    return prompt


def _preview(plan: Plan) -> Preview:
    from mixroute_magic.display.preview import Preview
    from mixroute_magic.usage.estimate import estimate_tokens

    request = plan.request()
    messages, earlier = _count(len(request.messages), "message"), _count(len(plan.above), "earlier turn")
    sentence = (
        f"Nothing was sent. It would be {messages} ({earlier}) to {request.model} at {plan.gateway}, "
        f"about {estimate_tokens(request.messages):,} tokens."
    )
    return Preview(" · ".join([sentence, *plan.notes]), request)


def _models(session: Session, pattern: str) -> Table:
    client = session.client()
    offered = client.models()
    found = [entry for entry in offered if fnmatch(entry.id.lower(), f"*{pattern.lower()}*")]
    if not offered:
        return Table(caption=f"{client.host} offers this key no models.")
    if not found:
        return Table(caption=f"None of the {len(offered)} models at {client.host} matches {pattern!r}.")
    caption = (
        f"{len(found)} of {len(offered)} models at {client.host}"
        if pattern
        else f"{_count(len(found), 'model')} at {client.host}"
    )
    return Table(caption=f"{caption}.", header=["model", "from"], rows=[[entry.id, entry.owned_by] for entry in found])


def _settings_table(chosen: Settings) -> Table:
    unset = "not sent: the model's own default"
    rows = [
        ["model", chosen.model],
        ["system prompt", chosen.system or "none"],
        ["temperature", unset if chosen.temperature is None else f"{chosen.temperature:g}"],
        ["max tokens", unset if chosen.max_tokens is None else f"{chosen.max_tokens:,}"],
        *([name, str(value)] for name, value in chosen.params.items()),
    ]
    return Table(caption="How this notebook asks.", rows=rows)


def _thread_list(current: str, counts: dict[str, int]) -> Table:
    rows = [[name, str(count), "in use" if name == current else ""] for name, count in ({current: 0} | counts).items()]
    header = ["thread", "turns", ""]
    return Table(caption="The conversations of this notebook.", header=header, rows=rows, numbers=frozenset({1}))


def _thread_table(name: str, above: Sequence[Turn], system: str | None, notes: list[str]) -> Table:
    """Show the messages that a chat cell here would send before its own."""
    rows = [["", "system", _first_words(system), "", ""]] if system else []
    for number, turn in enumerate(above, start=1):
        for message in turn.exchange:
            by_model = ["", ""] if message.role == "user" else [turn.model, _number(turn.usage.output_tokens)]
            rows.append([str(number), message.role, _first_words(message.text), *by_model])
    if not rows:
        return Table(
            caption=f"Thread {name}: nothing stands above this cell. The next question starts afresh.", notes=notes
        )
    return Table(
        caption=f"Thread {name}: what a chat cell here sends before its own words.",
        header=["turn", "role", "first words", "model", "tokens"],
        rows=rows,
        notes=notes,
        numbers=frozenset({4}),
    )


def _first_words(text: str, length: int = 60) -> str:
    words = " ".join(text.split())
    return words if len(words) <= length else words[: length - 1] + "…"


def _number(count: int | None) -> str:
    return "unknown" if count is None else f"{count:,}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _turns(number: int) -> str:
    return _count(number, "turn")


def _status(session: Session) -> Table:
    demo = session.demo_base_url()
    source = session.credentials.source()
    notebook = session.notebook()
    rows = [
        ["gateway", f"the offline demo ({demo}): no model is called" if demo else session.client().base_url],
        ["API key", "not needed by the demo" if demo else f"from {source}" if source else "none yet: %mixroute login"],
        ["model", settings(session.config, notebook.chosen).model],
        ["notebook", notebook.path.name if notebook.path else "not known to the kernel"],
        ["thread", f"{notebook.thread}, {_turns(notebook.conversation.threads().get(notebook.thread, 0))}"],
    ]
    return Table(caption="How mixroute-magic is set up.", rows=rows, notes=notebook.announcement())


def _login(session: Session) -> Table:
    source = session.credentials.source()
    pasted = _asked_for_key(source)
    if pasted.strip() or source is None:
        where = f"The key is kept in {session.credentials.login(pasted)}."
    else:
        where = f"The key comes from {source}."
    session.use_demo(wanted=False)
    notes = [f"{KEY_VARIABLE} is set, and is used first."] if pasted.strip() and source == KEY_VARIABLE else []
    return Table(caption=f"{where} Chat cells now ask {session.client().host}.", notes=notes)


def _asked_for_key(source: str | None) -> str:
    kept = f"; Enter keeps the one from {source}" if source else ""
    try:
        return getpass.getpass(f"MixRoute API key (not shown{kept}): ")
    except (EOFError, NotImplementedError):
        if source:
            return ""
        raise AuthenticationError("Nobody can be asked for a key here.", "Set MIXROUTE_API_KEY instead.") from None


def _logout(session: Session) -> Table:
    session.credentials.logout()
    source = session.credentials.source()
    if source:
        return Table(caption=f"There is still a key in {source}, which only you can take away.")
    return Table(caption="The key is forgotten.")


def _demo(session: Session) -> Table:
    session.use_demo(wanted=True)
    return Table(
        caption="The offline demo gateway answers from now on: no key, no network, no model.",
        notes=["Leave it with %mixroute login."],
    )
