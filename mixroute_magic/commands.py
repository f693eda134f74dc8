"""What ``%model``, ``%usage`` and ``%mixroute`` do, once their line is read."""

from __future__ import annotations

import getpass
from dataclasses import replace
from fnmatch import fnmatch
from typing import TYPE_CHECKING

from mixroute_magic.choosing import choose, settings_table
from mixroute_magic.errors import AuthenticationError
from mixroute_magic.gateway.credentials import KEY_VARIABLE
from mixroute_magic.settings import given, settings
from mixroute_magic.tables import Table, counted

if TYPE_CHECKING:
    from mixroute_magic.options import ModelOptions, SetupOptions, UsageOptions
    from mixroute_magic.session import Session
    from mixroute_magic.usage.plot import UsagePlot
    from mixroute_magic.usage.report import UsageReport

__all__ = ["model", "setup", "usage"]


def model(session: Session, options: ModelOptions, system: str | None = None) -> Table:
    """Choose the model and how to ask it, for this notebook; or show what is chosen, or what there is."""
    if options.listing is not None:
        return _models(session, options.listing)
    notebook = session.notebook()
    told = given(options) | ({"model": options.name} if options.name else {})
    if system is not None:
        told["system"] = system.strip()
    record = choose(session, notebook, told, reset=options.reset) if options.reset or told else None
    news = notebook.announcement()
    notebook.announced()
    return settings_table(session, notebook, notebook.signed(session.run(), record), news)


def usage(session: Session, options: UsageOptions) -> tuple[UsageReport, UsagePlot | None]:
    """Return the tokens spent, and a figure or a file of them where these are wanted; set a budget before."""
    from mixroute_magic.usage.budget import set_budget
    from mixroute_magic.usage.export import Requests
    from mixroute_magic.usage.prices import read_prices
    from mixroute_magic.usage.query import Scope, summarise
    from mixroute_magic.usage.report import UsageReport

    if options.budget is not None:
        set_budget(session.config, options.budget)
    prices = read_prices(session.config.prices)
    scope = Scope(None if options.everything else session.id, options.since)
    requests = Requests(session.ledger.read, scope)
    by = options.by or "model"
    about = "all sessions in the ledger" if options.everything else "this session"
    about += f" since {options.since.astimezone():%Y-%m-%d %H:%M}" if options.since else ""
    parts = requests.reading(lambda connection: summarise(connection, by, scope))
    report = UsageReport(parts, by, about, prices, requests=requests)
    replayed = all(part.replayed for part in parts)  # also where there are none, which the table says
    figure = report.plot() if options.plot and not replayed else None
    notes = session.ledger.standing()
    notes += [f"{counted(report.to_csv(options.csv), 'request')} written to {options.csv}."] if options.csv else []
    notes += ["There is nothing to plot: no model was called."] if options.plot and parts and replayed else []
    return replace(report, notes=[*notes, *(figure.notes if figure else ())]), figure


def setup(session: Session, options: SetupOptions) -> Table:
    """Show the set-up, keep or forget a key, or start the offline demo gateway."""
    actions = {"status": _status, "login": _login, "logout": _logout, "demo": _demo}
    return actions[options.action](session)


def _models(session: Session, pattern: str) -> Table:
    client = session.client()
    offered = client.models()
    session.catalogue.keep(session.gateway(), (entry.id for entry in offered))
    found = [entry for entry in offered if fnmatch(entry.id.lower(), f"*{pattern.lower()}*")]
    if not offered:
        return Table(caption=f"{client.host} offers this key no models.")
    if not found:
        return Table(caption=f"None of the {len(offered)} models at {client.host} matches {pattern!r}.")
    caption = (
        f"{len(found)} of {len(offered)} models at {client.host}"
        if pattern
        else f"{counted(len(found), 'model')} at {client.host}"
    )
    return Table(caption=f"{caption}.", header=["model", "from"], rows=[[entry.id, entry.owned_by] for entry in found])


def _status(session: Session) -> Table:
    demo = session.demo_base_url()
    source = session.credentials.source()
    notebook = session.notebook()
    rows = [
        ["gateway", f"the offline demo ({demo}): no model is called" if demo else session.client().base_url],
        ["API key", "not needed by the demo" if demo else f"from {source}" if source else "none yet: %mixroute login"],
        ["model", session.credentials.without_key(settings(session.config, notebook.chosen).model)],
        ["notebook", notebook.path.name if notebook.path else "not known to the kernel"],
        ["thread", f"{notebook.thread}, {counted(notebook.conversation.threads().get(notebook.thread, 0), 'turn')}"],
    ]
    return Table(caption="How mixroute-magic is set up.", rows=rows)


def _login(session: Session) -> Table:
    source = session.credentials.source()
    pasted = _asked_for_key(source)
    if pasted.strip() or source is None:
        where = f"The key is kept in {session.credentials.login(pasted)}."
        session.catalogue.forget()
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
    session.catalogue.forget()
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
