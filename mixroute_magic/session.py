"""The object graph of one shell, made as far as it is used, and kept by ``%reload_ext``."""

from __future__ import annotations

import os
import sys
import uuid
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mixroute_magic.conversation.model import Conversation
from mixroute_magic.conversation.notebook import SavedNotebook, current_run, execute_request, notebook_path
from mixroute_magic.conversation.turn import Turn
from mixroute_magic.gateway.credentials import Credentials

if TYPE_CHECKING:
    from pathlib import Path

    from IPython.core.interactiveshell import InteractiveShell

    from mixroute_magic.config import MixRoute
    from mixroute_magic.conversation.model import Run
    from mixroute_magic.conversation.notebook import SavedCell
    from mixroute_magic.demo.server import DemoGateway
    from mixroute_magic.display.views import ReplyView
    from mixroute_magic.gateway.client import Client
    from mixroute_magic.usage.ledger import Ledger

__all__ = ["Notebook", "Session"]


@dataclass(slots=True)
class Notebook:
    """One notebook of this kernel: its conversation, the thread in use, and what ``%model`` chose."""

    path: Path | None
    conversation: Conversation = field(default_factory=Conversation)
    thread: str = "main"
    chosen: dict[str, Any] = field(default_factory=dict)
    restored: int = 0
    _saved: SavedNotebook | None = field(default=None, init=False)
    _cells: tuple[SavedCell, ...] = field(default=(), init=False)

    def refresh(self) -> None:
        """Take in the document as it was last saved: the first time its turns, later its order."""
        if self.path is None:
            return
        self._saved = self._saved or SavedNotebook(self.path)
        cells, known = self._saved.cells(), self._cells
        if cells is known:
            return
        self._cells = cells
        self.conversation.arrange([cell.id for cell in cells])
        if not known:
            self.restored = sum(self.conversation.restore(cell.id, _turns(cell)) for cell in cells)

    def announcement(self) -> list[str]:
        """Say once how many turns came back from the file."""
        restored, self.restored = self.restored, 0
        if not restored or self.path is None:
            return []
        return [f"{restored} earlier turn{'s' if restored > 1 else ''} restored from {self.path.name}"]


class Session:
    """All that the magics of one shell share; its life is the kernel's."""

    def __init__(self, shell: InteractiveShell, config: MixRoute) -> None:
        self.id = uuid.uuid4().hex
        self.shell = shell
        self.config = config
        self.credentials = Credentials()
        self._notebooks: dict[Path | None, Notebook] = {}
        self._client: Client | None = None
        self._client_made_for: dict[str, Any] = {}
        self._demo: DemoGateway | None = None
        self._demo_wanted: bool | None = None

    @cached_property
    def ledger(self) -> Ledger:
        """Where the tokens of this kernel are recorded."""
        from mixroute_magic.usage.ledger import Ledger

        return Ledger(self.config.current("ledger_url") or None, session=self.id, warn=_warn)

    def run(self) -> Run:
        """Return the execution that is going on."""
        return current_run(execute_request(self.shell), self.shell.execution_count)

    def notebook(self) -> Notebook:
        """Return the notebook that the running cell belongs to, as it stands now."""
        # A notebook run from a notebook (nbconvert, papermill) inherits the other's path, but names no cells.
        path = notebook_path(self.shell) if self.run().cell_id else None
        notebook = self._notebooks.setdefault(path, Notebook(path))
        notebook.refresh()
        return notebook

    def client(self) -> Client:
        """Return the client for the gateway as it is configured now."""
        from mixroute_magic.gateway.client import Client

        config, demo = self.config, self.demo_base_url()
        limits = {
            "timeout": config.number("timeout", least=0.1),
            "retries": int(config.number("retries", most=10, whole=True)),
            "allow_http": config.allow_http,
        }
        made_for: dict[str, Any] = {"base_url": demo or config.current("base_url"), **limits}
        if self._client is None or made_for != self._client_made_for:
            self.close_client()
            self._client = Client(**made_for, api_key="" if demo else self.credentials.key)
            self._client_made_for = made_for
        return self._client

    def view(self, model: str) -> ReplyView:
        """Open the view in which this front end can watch an answer."""
        from mixroute_magic.display.views import open_view

        return open_view(execute_request(self.shell), model)

    def use_demo(self, *, wanted: bool) -> None:
        """Use the offline demo gateway from now on, or the configured gateway again."""
        self._demo_wanted = wanted

    def demo_base_url(self) -> str | None:
        """Return the address of the offline demo gateway while it is in use; ``MIXROUTE_DEMO=1`` asks for it, too."""
        wanted = self._demo_wanted
        if wanted is None:
            wanted = os.environ.get("MIXROUTE_DEMO", "").lower() not in {"", "0", "false", "no", "off"}
        if not wanted:
            return None
        if self._demo is None:
            from mixroute_magic.demo import DemoGateway

            self._demo = DemoGateway.start()
        return self._demo.base_url

    def close_client(self) -> None:
        """Close the kept connections; the next request opens them again."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def close(self) -> None:
        """Let go of connections, files and the demo gateway's port; what was said and chosen stays."""
        self.close_client()
        self.ledger.close()
        if self._demo is not None:
            self._demo.stop()
            self._demo = None


def _warn(text: str) -> None:
    """Tell the user something that costs no answer."""
    sys.stderr.write(f"{text}\n")


def _turns(cell: SavedCell) -> list[Turn]:
    return [turn for record in cell.records if (turn := Turn.from_metadata(record)) is not None]
