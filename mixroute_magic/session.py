"""The object graph of one shell, made as far as it is used, and kept by ``%reload_ext``."""

from __future__ import annotations

import os
import sys
import uuid
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from mixroute_magic.catalogue import Catalogue
from mixroute_magic.chat import displayed
from mixroute_magic.conversation.memory import Notebook
from mixroute_magic.conversation.model import Run
from mixroute_magic.conversation.notebook import (
    attended,
    cell_id,
    client_id,
    current_run,
    execute_request,
    notebook_path,
    on_console,
    server_root,
)
from mixroute_magic.conversation.replay import Beside
from mixroute_magic.errors import SettingError
from mixroute_magic.gateway.credentials import Credentials
from mixroute_magic.plan import DEMO

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from IPython.core.interactiveshell import InteractiveShell

    from mixroute_magic.config import MixRoute
    from mixroute_magic.conversation.journal import Journal
    from mixroute_magic.conversation.page import LivePages, Page
    from mixroute_magic.conversation.pictures import Displayed, Pictures
    from mixroute_magic.conversation.turn import Turn
    from mixroute_magic.demo.server import DemoGateway
    from mixroute_magic.display.views import ReplyView
    from mixroute_magic.gateway.client import Client
    from mixroute_magic.lengths import Limit
    from mixroute_magic.usage.ledger import Ledger

__all__ = ["Session"]


class Session:
    """All that the magics of one shell share; its life is the kernel's."""

    def __init__(self, shell: InteractiveShell, config: MixRoute, displayed: Displayed | None = None) -> None:
        self._displayed = displayed
        self.id = uuid.uuid4().hex
        self.shell = shell
        self.config = config
        self.credentials = Credentials()
        self.catalogue = Catalogue()
        self.limits: dict[tuple[str, str], Limit] = {}  # of models at gateways, as these have told
        self.allowed_tools: dict[str, Any] = {}  # the functions that models may always call, by name
        self.schema_ways: dict[tuple[str, str], int] = {}  # to ask for a schema that models at gateways have refused
        self._notebooks: dict[Path | None, Notebook] = {}
        self._told: dict[str, Path | None] = {}  # the notebook's path, by the page that told it
        self._root: Path | None = None  # of the server, for the paths that pages tell
        self._by_client: dict[str, Notebook] = {}
        self._asked_in: str | None = None  # the id of the last run in which something was asked
        self._others: set[str] = set()  # cells that ran before the first magic, and therefore asked nothing
        self._journal: Journal | None = None
        self._client: Client | None = None
        self._client_made_for: dict[str, Any] = {}
        self._demo: DemoGateway | None = None
        self._demo_wanted: bool | None = None

    @cached_property
    def pages(self) -> LivePages:
        """The pages on which this kernel's notebooks are open."""
        from mixroute_magic.conversation.page import LivePages

        return LivePages(self.shell, self._missed)

    @cached_property
    def pictures(self) -> Pictures:
        """The images that went with questions, and those that cells have shown."""
        from mixroute_magic.conversation.pictures import Displayed, Pictures

        return Pictures(self._displayed or Displayed())

    @cached_property
    def _beside(self) -> Beside:
        return Beside(Path.cwd())

    @property
    def journal(self) -> Journal | None:
        """What remembers turns beside the notebook; ``None`` where `MixRoute.journal` is off."""
        if not self.config.journal:
            return None
        if self._journal is None:
            from mixroute_magic.conversation.journal import Journal

            self._journal = Journal(warn=_warn)
        return self._journal

    @cached_property
    def ledger(self) -> Ledger:
        """Where the tokens of this kernel are recorded."""
        from mixroute_magic.usage.budget import budgets
        from mixroute_magic.usage.ledger import Ledger

        return Ledger(self.config.ledger_address, session=self.id, warn=_warn, budgets=lambda: budgets(self.config))

    def run(self) -> Run:
        """Return the execution that is going on; with `MixRoute.history` "execution" it belongs to no cell."""
        run = current_run(execute_request(self.shell), self.shell.displayhook.prompt_count)
        in_order = self.config.choice("history", ("document", "execution")) == "execution"
        return Run(run.id, None, run.number) if in_order else run

    def notebook(self) -> Notebook:
        """Return the notebook that the running cell belongs to, as it stands now."""
        request = execute_request(self.shell)
        page = self._page(request)
        notebook = self._notebook_of(request)
        source = (request or {}).get("content", {}).get("code", "")
        notebook.refresh(page, self.run(), source)
        others, self._others = self._others, set()
        for cell in others:
            notebook.left(Run("", cell))
        return notebook

    def asks(self) -> None:
        """Note that the running cell asks something, so that it keeps its turns when it has ended."""
        self._asked_in = self.run().id

    def ended(self, *, ok: bool, before: set[str]) -> None:
        """Take in that a cell has run to its end; ``before`` are cells that did so before there was a session."""
        self._others |= before
        request = execute_request(self.shell)
        run = current_run(request, self.shell.displayhook.prompt_count)
        notebook = self._by_client.get(client_id(request))
        if run.cell_id is None or self.config.current("history") == "execution":
            return
        if notebook is not None and run.id == self._asked_in:
            if ok:
                notebook.ended(run)
        elif notebook is not None and ok:
            notebook.left(run)
        elif ok:
            self._others.add(run.cell_id)

    def known_notebook(self) -> Notebook | None:
        """Return the notebook from which something is asked as it is known already, for Tab."""
        return self._by_client.get(client_id(execute_request(self.shell)))

    def listen(self) -> None:
        """Let the page tell its cells before the first of them asks."""
        self._page(execute_request(self.shell))

    def attended(self) -> bool:
        """Say whether somebody looks at the running cell."""
        return attended(execute_request(self.shell))

    def can_ask(self) -> bool:
        """Say whether the user can be asked something while the cell runs."""
        request = execute_request(self.shell)
        return request is None or bool(request.get("content", {}).get("allow_stdin"))

    def _page(self, request: Mapping[str, Any] | None) -> Page | None:
        if not attended(request):
            return None
        self.pages.open()
        return self.pages.of(request)

    def _notebook_of(self, request: Mapping[str, Any] | None) -> Notebook:
        """Return the notebook by its page, which knows when it is renamed, else by what the kernel was started for."""
        # A notebook run from a notebook (nbconvert, papermill) inherits the other's path, but names no cells.
        started_as = notebook_path(self.shell, cell_id(request)) if cell_id(request) else None
        path, told = started_as, self.pages.path_of(request)
        if told is not None:
            self._root = self._root or server_root(told, started_as)
            path = self._root / told if self._root else started_as or Path(told)  # the page knows, the file may be far
            self._follow(client_id(request), path)
        notebook = self._by_client[client_id(request)] = self._notebooks.setdefault(path, Notebook(path))
        notebook.journal = self.journal if path is not None and path.is_absolute() else None
        return notebook

    def _follow(self, client: str, path: Path | None) -> None:
        """Take in under which path a page has its notebook; another one than before is a rename."""
        before = self._told.get(client)
        if path is not None and before is not None and before in self._notebooks and path not in self._notebooks:
            self._notebooks[path] = self._notebooks.pop(before)
            self._notebooks[path].renamed(path)
        self._told[client] = path

    def _missed(self, page: Page) -> list[dict[str, Any]]:
        """Return the outputs that a page should show and does not: it was loaded while their cells ran."""
        name = PurePosixPath(page.path).name
        notebooks = [notebook for path, notebook in self._notebooks.items() if path is not None and path.name == name]
        return [
            {"cell": cell, "turn": turn.turn, "seconds": seconds, "began": turn.age(), **displayed(turn)}
            for notebook in notebooks
            for cell, turn, seconds in notebook.missed(page)
        ]

    def client(self) -> Client:
        """Return the client for the gateway as it is configured now."""
        made_for = self._client_settings()
        if self._client is None or made_for != self._client_made_for:
            self.close_client()
            self._client = self.new_client()
            self._client_made_for = made_for
        return self._client

    def new_client(self) -> Client:
        """Return a client of its own for a thread, which can be cancelled without harm to others."""
        from mixroute_magic.gateway.client import Client

        return Client(**self._client_settings(), api_key="" if self.demo_is_wanted() else self.credentials.key)

    def _client_settings(self) -> dict[str, Any]:
        config = self.config
        return {
            "base_url": self.demo_base_url() or self._address(),
            "timeout": config.number("timeout", least=0.1),
            "retries": int(config.number("retries", most=10, whole=True)),
            "allow_http": config.allow_http,
        }

    def gateway(self) -> str:
        """Return the name of the gateway that would be asked; nothing is opened."""
        from mixroute_magic.gateway.address import host_of, read_base_url

        base_url = read_base_url(self._address(), allow_http=self.config.allow_http)
        return DEMO if self.demo_is_wanted() else host_of(base_url)

    def _address(self) -> str:
        """Return the gateway's address, which is shown, and goes to where the key must not."""
        address = self.config.current("base_url")
        if self.credentials.is_in(address):
            raise SettingError("The gateway's address holds your API key.", "Keep the key in MIXROUTE_API_KEY only.")
        return address

    def view(self, models: Sequence[str], output_id: str, *, form: str = "markdown") -> ReplyView:
        """Open the view in which this front end can watch the answers of these models come, in one of the forms."""
        from mixroute_magic.display.formats import is_plain
        from mixroute_magic.display.views import open_view

        terminal = on_console(execute_request(self.shell))
        return open_view(models, output_id, terminal=terminal, attended=self.attended(), plain=is_plain(form))

    def replay_mode(self) -> str:
        """Return whether unchanged requests are answered from their records: ``off``, ``auto`` or ``only``."""
        return self.config.choice("replay", ("off", "auto", "only"))

    def recorded(self, notebook: Notebook, run: Run, request_hash: str, besides: Collection[str] = ()) -> Turn | None:
        """Return an answer to just this request: from the notebook, the journal, or the folder's notebooks."""
        turn = notebook.conversation.recorded(run, request_hash, besides)
        if turn is None and self.journal is not None:
            turn = self.journal.find(request_hash, besides)
        if turn is None and notebook.path is None and execute_request(self.shell) is not None:
            turn = self._beside.find(request_hash, besides)
        return turn

    def use_demo(self, *, wanted: bool) -> None:
        """Use the offline demo gateway from now on, or the configured gateway again."""
        self._demo_wanted = wanted

    def demo_base_url(self) -> str | None:
        """Return the address of the offline demo gateway while it is in use, and start it if need be."""
        if not self.demo_is_wanted():
            return None
        if self._demo is None:
            from mixroute_magic.demo import DemoGateway

            self._demo = DemoGateway.start()
        return self._demo.base_url

    def demo_is_wanted(self) -> bool:
        """Say whether the offline demo gateway is in use; ``MIXROUTE_DEMO=1`` asks for it, too."""
        if self._demo_wanted is not None:
            return self._demo_wanted
        return os.environ.get("MIXROUTE_DEMO", "").lower() not in {"", "0", "false", "no", "off"}

    def close_client(self) -> None:
        """Close the kept connections; the next request opens them again."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def close(self) -> None:
        """Let go of connections, files and the demo gateway's port; what was said and chosen stays."""
        self.close_client()
        self.catalogue.forget()
        self.ledger.close()
        self.pages.close()
        if self._journal is not None:
            self._journal.close()
        if self._demo is not None:
            self._demo.stop()
            self._demo = None


def variables(shell: InteractiveShell) -> dict[str, Any]:
    """Return what a notebook's cells have named, as ``%who`` has it: without IPython's own ``open`` and ``exit``."""
    hidden = shell.user_ns_hidden
    return {name: value for name, value in shell.user_ns.copy().items() if value is not hidden.get(name, hidden)}


def _warn(text: str) -> None:
    """Tell the user something that costs no answer."""
    sys.stderr.write(f"{text}\n")
