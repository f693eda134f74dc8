"""``%model``: how this notebook asks, chosen on the magic's line or in a panel below it."""

from __future__ import annotations

import contextvars
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from mixroute_magic.arguments import OptionError, read_value
from mixroute_magic.conversation.records import Setting, now
from mixroute_magic.display.output import show, show_again
from mixroute_magic.errors import MixRouteError, SettingError
from mixroute_magic.gateway.families import by_series
from mixroute_magic.options import ModelOptions
from mixroute_magic.settings import merged, settings
from mixroute_magic.tables import Table, counted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mixroute_magic.conversation.memory import Notebook
    from mixroute_magic.display.panel import ModelPanel
    from mixroute_magic.gateway.client import Client
    from mixroute_magic.session import Session

__all__ = ["choose", "open_panel", "settings_table"]


def choose(session: Session, notebook: Notebook, told: dict[str, Any], *, reset: bool = False) -> Setting:
    """Let a notebook ask so from now on, and return the record of it."""
    if session.credentials.is_in(f"{told}"):
        raise SettingError("This contains your API key; nothing was set.", "Take it out, and use %mixroute login.")
    notebook.choose(merged({} if reset else notebook.chosen, told))
    return Setting(created=now(), chosen=notebook.chosen)


def settings_table(
    session: Session, notebook: Notebook, record: Mapping[str, Any] | None, notes: Sequence[str] = ()
) -> Table:
    """Return how a notebook asks, with the record that goes into the output's metadata."""
    chosen, clean = settings(session.config, notebook.chosen), session.credentials.without_key
    unset = "not sent: the model's own default"
    rows = [
        ["model", clean(chosen.model)],
        ["system prompt", clean(chosen.system or "none")],
        ["temperature", unset if chosen.temperature is None else f"{chosen.temperature:g}"],
        ["max tokens", unset if chosen.max_tokens is None else f"{chosen.max_tokens:,}"],
        *([name, str(value)] for name, value in chosen.params.items()),
    ]
    return Table(caption="How this notebook asks.", rows=rows, notes=notes, record=record)


def open_panel(session: Session, table_id: str) -> None:
    """Show the panel below the table of settings, where a page can; the list of models comes when it comes."""
    if not session.attended():
        return
    from mixroute_magic.display.panel import ModelPanel

    panel = ModelPanel(_Choice(session, table_id))
    show(panel.bundle)
    # In a copy of the cell's context messages keep the cell as their parent.
    context, client = contextvars.copy_context(), session.new_client()
    keep = partial(session.catalogue.keep, session.gateway())
    asking = threading.Thread(
        target=context.run, args=(_offer, panel, client, keep), name="mixroute-models", daemon=True
    )
    asking.start()


def _offer(panel: ModelPanel, client: Client, keep: Callable[[list[str]], None]) -> None:
    """Ask the gateway for its models, and let the panel offer them."""
    try:
        client.check_key()
        names = [model.id for model in client.models()]
    except MixRouteError as error:
        panel.tell_of_list(f"No list of models, type a name. {error}")
        return
    finally:
        client.close()
    keep(names)
    panel.offer(by_series(names))
    panel.tell_of_list(f"{counted(len(names), 'model')} at {client.host}.")


class _Choice:
    """What the panel changes: it holds for the notebook, and is recorded in the cell, in which it was opened."""

    def __init__(self, session: Session, table_id: str) -> None:
        self._session = session
        self._table_id = table_id
        self._notebook = session.notebook()
        self._run = session.run()
        self._record: Setting | None = None

    def current(self) -> dict[str, str]:
        """Return what is set, as a person would type it; empty where nothing is sent."""
        chosen, clean = settings(self._session.config, self._notebook.chosen), self._session.credentials.without_key
        return {
            "model": clean(chosen.model),
            "temperature": "" if chosen.temperature is None else f"{chosen.temperature:g}",
            "max_tokens": "" if chosen.max_tokens is None else f"{chosen.max_tokens}",
            "system": clean(chosen.system or ""),
        }

    def change(self, name: str, text: str) -> str:
        """Set one thing as ``%model`` would, and return what is wrong with it; empty where nothing is."""
        try:
            unset = not text and name in {"temperature", "max_tokens"}
            value = None if unset else read_value(ModelOptions, "name" if name == "model" else name, text)
            self._set({name: value})
        except OptionError as error:
            return f"{error}; nothing was set."
        except MixRouteError as error:
            return str(error)
        return ""

    def is_secret(self, text: str) -> bool:
        """Say whether a key is in what somebody has typed."""
        return self._session.credentials.redact(text) != text

    def reset(self) -> str:
        """Go back to the configuration."""
        try:
            self._set({}, reset=True)
        except MixRouteError as error:
            return str(error)
        return ""

    def _set(self, told: dict[str, Any], *, reset: bool = False) -> None:
        record = choose(self._session, self._notebook, told, reset=reset)
        metadata = self._notebook.signed(self._run, record, instead_of=self._record)
        self._record = record
        shown, _ = settings_table(self._session, self._notebook, metadata)._repr_mimebundle_()
        show_again(self._table_id, shown, metadata or {})
