"""Where a cell runs: its id, and the path of its notebook."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from mixroute_magic.conversation.model import Run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from IPython.core.interactiveshell import InteractiveShell

__all__ = [
    "attended",
    "cell_id",
    "client_id",
    "current_run",
    "execute_request",
    "notebook_path",
    "on_console",
    "server_root",
]

_VS_CODE = "vscode-notebook-cell"


def execute_request(shell: InteractiveShell) -> Mapping[str, Any] | None:
    """Return the message by which the front end asked for this execution; ``None`` in a terminal."""
    get_parent = getattr(shell, "get_parent", None)
    return get_parent() if get_parent is not None else None


def cell_id(request: Mapping[str, Any] | None) -> str | None:
    """Return the id of the running cell: JupyterLab, Notebook 7 and VS Code name it, others do not."""
    named = (request or {}).get("metadata", {}).get("cellId")
    return named if isinstance(named, str) and named else None


def client_id(request: Mapping[str, Any] | None) -> str:
    """Return the id of the connection over which the front end asked: each page has its own."""
    return str((request or {}).get("header", {}).get("session", ""))


def attended(request: Mapping[str, Any] | None) -> bool:
    """Say whether a page shows the running cell: nbclient and papermill take no input and name no cell."""
    return bool(cell_id(request) and (request or {}).get("content", {}).get("allow_stdin"))


def on_console(request: Mapping[str, Any] | None) -> bool:
    """Say whether the cell was typed at a prompt, where text is all that is shown: a terminal, or a kernel's console.

    A notebook is no console, even where its front end names no cell: its server tells the kernel the path.
    """
    if request is None:
        return True
    typed = request.get("content", {}).get("allow_stdin") and not cell_id(request)
    return bool(typed) and not os.environ.get("JPY_SESSION_NAME")


def current_run(request: Mapping[str, Any] | None, number: int) -> Run:
    """Return the execution that is going on.

    Its number is that of its prompt: while a cell runs, a shell's ``execution_count`` is the next one's in IPython 9.
    """
    if request is None:
        return Run(str(number), number=number)
    return Run(str(request["header"]["msg_id"]), cell_id(request), number)


def notebook_path(shell: InteractiveShell, cell: str | None) -> Path | None:
    """Return the notebook's path as the front end gave it at the kernel's start; ``None`` where it gave none.

    VS Code names a cell by a URI with the path in it, and puts a variable into the namespace; Jupyter Server sets
    ``JPY_SESSION_NAME``.
    """
    if cell and cell.startswith(_VS_CODE):
        path = unquote(urlsplit(cell).path)
        return Path(path[1:] if path[2:3] == ":" else path)  # /c:/talk.ipynb on Windows
    name = shell.user_ns.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME")
    return Path(name) if isinstance(name, str) and name.endswith(".ipynb") else None


def server_root(page_path: str, started_as: Path | None) -> Path | None:
    """Return the folder that a page's paths are relative to, which the kernel is not told.

    It is above the notebook with which the kernel was started: that is this page's, unless it was renamed or another
    one is open on the same kernel; then the nearest folder that has the page's file.
    """
    if started_as is None:
        return None
    relative = PurePosixPath(page_path)
    if started_as.parts[-len(relative.parts) :] == relative.parts:
        return started_as.parents[len(relative.parts) - 1]
    return next((folder for folder in started_as.parents if (folder / relative).is_file()), None)
