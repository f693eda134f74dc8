"""A real kernel as a notebook's front end drives it, and the notebook that this front end saves."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import leaks
import nbformat
from jupyter_client.manager import KernelManager

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from jupyter_client.blocking.client import BlockingKernelClient

ROOT = Path(__file__).parents[1]
KEY = "sk-test-key-kernel"  # whoever writes it into a cell lets the whole run fail (`leaks`)
SHOWN_KEY = "sk-shown-key-kernel"  # of tests that have to write it into one
PATIENCE = 60  # seconds for a message that should come at once

FEED = """
import threading, time
from mixroute_magic.conversation.notebook import attended
from mixroute_magic.display.output import Ending
from mixroute_magic.display.views import open_view
from mixroute_magic.reply import Reply, ReplyBuilder
from mixroute_magic.wire import Chunk, Usage
view = open_view(["glm-5"], "output", terminal=False, attended=attended(get_ipython().get_parent()))
view.start()
builder = ReplyBuilder("glm-5")
def show(**parts):
    chunk = Chunk(**parts)
    builder.add(chunk)
    view.show(chunk)
"""
"""Opens a view in a cell, with no gateway behind it: `show` feeds it."""

Message = dict[str, Any]


def environment(home: Path, base_url: str = "", notebook: Path | None = None, **ours: str) -> dict[str, str]:
    """Return a kernel's environment: nothing of the person's own, a key, and no keyring to write one to."""
    theirs = ("MIXROUTE_", "JUPYTER", "JPY_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(theirs)}
    isolated = {
        "HOME": str(home),
        "IPYTHONDIR": str(home / "ipython"),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "PYTHONPATH": str(ROOT),
        "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
    }
    session = {"JPY_SESSION_NAME": str(notebook)} if notebook else {}
    return clean | isolated | session | {"MIXROUTE_BASE_URL": base_url, "MIXROUTE_API_KEY": KEY} | ours


def until(reached: Callable[[], object]) -> None:
    """Wait for what tells nobody when it happens."""
    deadline = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Ran:
    """One execution of a cell, as its front end sees it: growing until `wait` has returned."""

    def __init__(self, client: BlockingKernelClient, request: str, heard: list[Message]) -> None:
        self._client = client
        self._request = request
        self._heard = heard
        self.messages: list[Message] = []
        self.reply: Message = {}

    def until(self, reached: Callable[[Ran], bool]) -> Ran:
        """Read what the kernel publishes until something has been reached."""
        while not reached(self):
            message = self._client.get_iopub_msg(timeout=PATIENCE)
            self._heard.append(message)
            if message["parent_header"].get("msg_id") == self._request:
                self.messages.append(message)
        return self

    def until_streamed(self, text: str) -> Ran:
        """Read until the live view shows this text of the answer, and no more."""
        return self.until(lambda ran: ran.streamed == text)

    def wait(self) -> Ran:
        """Read to the end of the execution."""
        self.until(_idle)
        while self.reply.get("parent_header", {}).get("msg_id") != self._request:
            self.reply = self._client.get_shell_msg(timeout=PATIENCE)
            self._heard.append(self.reply)
        return self

    def asks(self) -> str:
        """Wait until the cell asks for something to be typed, and return its prompt."""
        message = self._client.get_stdin_msg(timeout=PATIENCE)
        self._heard.append(message)
        return str(message["content"]["prompt"])

    def answer(self, typed: str) -> str:
        """Type what the cell asks for, and return its prompt."""
        prompt = self.asks()
        self._client.input(typed)
        return prompt

    def contents(self, kind: str) -> list[dict[str, Any]]:
        """Return the contents of all messages of one type."""
        return [message["content"] for message in self.messages if message["msg_type"] == kind]

    @property
    def status(self) -> str:
        """``ok`` or ``error``."""
        return str(self.reply["content"]["status"])

    @property
    def outputs(self) -> list[nbformat.NotebookNode]:
        """The outputs as they stand below the cell now, updates applied."""
        return self.displayed()[0]

    def displayed(self) -> tuple[list[nbformat.NotebookNode], dict[str, nbformat.NotebookNode]]:
        """Return the outputs, and those of them that have a display id."""
        outputs: list[nbformat.NotebookNode] = []
        named: dict[str, nbformat.NotebookNode] = {}
        for message in self.messages:
            kind, content = message["msg_type"], message["content"]
            display_id = content.get("transient", {}).get("display_id")
            if kind == "update_display_data":
                if display_id in named:  # else it is another cell's
                    named[display_id].update(data=content["data"], metadata=content["metadata"])
            elif kind in {"display_data", "execute_result", "stream", "error"}:
                outputs.append(nbformat.v4.output_from_msg(message))
                named |= {display_id: outputs[-1]} if display_id else {}
        return outputs, named

    @property
    def frames(self) -> list[dict[str, Any]]:
        """What was sent to the live view: the changes of its columns."""
        data = [content["data"] for content in self.contents("comm_msg")]
        custom = [item["content"] for item in data if item.get("method") == "custom"]
        return [change for content in custom for change in content.get("changes", [])]

    @property
    def streamed(self) -> str:
        """The answer's text in the live view so far."""
        return "".join(frame.get("text", "") for frame in self.frames)

    @property
    def records(self) -> list[dict[str, Any]]:
        """The records of this package in the outputs' metadata."""
        metadata = [output.get("metadata", {}) for output in self.outputs]
        return [data["mixroute"] for data in metadata if "mixroute" in data]

    @property
    def metadata(self) -> dict[str, Any]:
        """The one record there is."""
        (record,) = self.records
        return record

    @property
    def markdown(self) -> str:
        """What a page shows, without streams and errors."""
        return "\n\n".join(output.data.get("text/markdown", "") for output in self.outputs if "data" in output)

    @property
    def text(self) -> str:
        """What a terminal would show, without errors."""
        texts = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in self.outputs]
        return "\n\n".join(text for text in texts if text)

    @property
    def lines(self) -> list[str]:
        """What the person reads of the error."""
        return [line for output in self.outputs if output.output_type == "error" for line in output.traceback]


def _idle(ran: Ran) -> bool:
    return ran.contents("status")[-1:] == [{"execution_state": "idle"}]


class Kernel:
    """A kernel with the extension loaded, and all that it said; a context manager that ends it.

    Parameters
    ----------
    home
        Where everything lies that kernels keep.
    base_url
        The gateway.
    notebook
        The notebook's path, where the front end tells it.
    log
        The file for what its process writes past its front end.
    ours
        More of the environment.
    """

    def __init__(
        self, home: Path, base_url: str = "", notebook: Path | None = None, *, log: Path | None = None, **ours: str
    ) -> None:
        self.home = home
        self.heard: list[Message] = []
        settings = environment(home, base_url, notebook, **ours)
        self._sockets = tempfile.TemporaryDirectory(prefix="kernel-")  # a socket's path has room for 100 characters
        # Not over TCP, where another test's server may take a port before the kernel does.
        self.manager = KernelManager(transport="ipc", ip=f"{self._sockets.name}/socket")
        with (log or Path(os.devnull)).open("ab") as file:
            past = {"stdout": file, "stderr": file} if log else {}
            self.manager.start_kernel(env=settings, cwd=str(home), **past)
        self._client = self.manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=PATIENCE)
        self.run("%load_ext mixroute_magic")

    def send(self, code: str, cell_id: str | None = None, *, allow_stdin: bool = True) -> Ran:
        """Send a cell as a front end does, which may name it."""
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": allow_stdin,
            "stop_on_error": True,
        }
        metadata = {"cellId": cell_id} if cell_id else {}
        message = self._client.session.msg("execute_request", content, metadata=metadata)
        self._client.shell_channel.send(message)
        return Ran(self._client, message["header"]["msg_id"], self.heard)

    def run(self, code: str, cell_id: str | None = None, *, allow_stdin: bool = True) -> Ran:
        """Run a cell to its end."""
        return self.send(code, cell_id, allow_stdin=allow_stdin).wait()

    def value(self, expression: str) -> str:
        """Return what an expression is in the kernel, as its ``str``."""
        ran = self.run(f"print(({expression}), end='')", allow_stdin=False)
        assert ran.status == "ok", ran.lines
        return ran.text

    def report(self, path: str, cells: list[tuple[str, list[str]]]) -> None:
        """Tell the kernel, as this client's page does, which cells stand in the notebook and the turns they show."""
        self.tell({"path": path, "cells": [[cell_id, *turns] for cell_id, turns in cells]})

    def tell(self, content: Any, client: str | None = None) -> None:
        """Send anything to the widget that asks the pages, perhaps as another client, and wait until it is heard."""
        opened = [message["content"] for message in self.heard if message["msg_type"] == "comm_open"]
        comm_ids = [
            item["comm_id"]
            for item in opened
            if "Tells the kernel the notebook" in item["data"]["state"].get("_esm", "")
        ]
        self.say(comm_ids[-1], {"method": "custom", "content": content}, client)

    def say(self, comm_id: str, data: dict[str, Any], client: str | None = None) -> Ran:
        """Send what a page says of a widget, and wait until it is heard; return what comes of it."""
        message = self._client.session.msg("comm_msg", {"comm_id": comm_id, "data": data})
        message["header"]["session"] = client or self._client.session.session
        self._client.shell_channel.send(message)
        return Ran(self._client, message["header"]["msg_id"], self.heard).until(_idle)

    def complete(self, code: str, cursor: int) -> list[str]:
        """Press Tab in a cell, and return what a front end would make of it by each of the completions."""
        self.heard.append(self._client.complete(code, cursor, reply=True, timeout=PATIENCE))
        reply = self.heard[-1]["content"]
        start, end = reply["cursor_start"], reply["cursor_end"]
        return [code[:start] + match + code[end:] for match in reply["matches"]]

    def interrupt(self) -> None:
        """Press Stop."""
        self.manager.interrupt_kernel()

    def restart(self) -> None:
        """Restart the kernel as the front end's menu does, and load the extension again."""
        self.manager.restart_kernel()
        self._client.wait_for_ready(timeout=PATIENCE)
        self.run("%load_ext mixroute_magic")

    def kill(self) -> None:
        """End it without a word, as the machine does when memory runs out."""
        self.manager.signal_kernel(signal.SIGKILL)

    def close(self) -> None:
        """End it, and let it write what it has to; the key must be in nothing that it said."""
        leaks.look(f"the kernel of {self.home}", leaks.written(self.heard))
        self._client.stop_channels()
        self.manager.shutdown_kernel()
        self._sockets.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Document:
    """A notebook in its front end: cells with ids and outputs, and a file that holds what was saved."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._cells: dict[str, nbformat.NotebookNode] = {}
        self._displays: dict[str, nbformat.NotebookNode] = {}

    def run(self, kernel: Kernel, cell_id: str, source: str) -> Ran:
        """Run a cell, and keep what comes of it below the cell."""
        ran = kernel.run(source, cell_id)
        outputs, named = ran.displayed()
        self._cells[cell_id] = nbformat.v4.new_code_cell(source, id=cell_id, outputs=outputs)
        self._displays |= named
        self.update(ran)
        return ran

    def update(self, ran: Ran) -> None:
        """Change the outputs that something that ran changes, also those of other cells."""
        for update in ran.contents("update_display_data"):
            changed = self._displays.get(update["transient"]["display_id"])
            if changed is not None:
                changed.update(data=update["data"], metadata=update["metadata"])

    def outputs(self, cell_id: str) -> list[nbformat.NotebookNode]:
        """Return what stands below a cell now."""
        return self._cells[cell_id].outputs

    def save(self, *cell_ids: str) -> None:
        """Save the cells in this order, and no others; without ids, all in the order of their first run."""
        cells = [self._cells[cell_id] for cell_id in cell_ids or self._cells]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), self.path)
