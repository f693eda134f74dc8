"""Where a cell runs: its id, its notebook's path, and the notebook as it was last saved."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixroute_magic.conversation.model import Run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["SavedCell", "SavedNotebook", "current_run", "execute_request", "notebook_path"]


def execute_request(shell: InteractiveShell) -> Mapping[str, Any] | None:
    """Return the message by which the front end asked for this execution; ``None`` in a terminal."""
    get_parent = getattr(shell, "get_parent", None)
    return get_parent() if get_parent is not None else None


def current_run(request: Mapping[str, Any] | None, execution_count: int) -> Run:
    """Return the execution that is going on: JupyterLab, Notebook 7 and VS Code name its cell, others do not."""
    if request is None:
        return Run(str(execution_count))
    cell_id = request.get("metadata", {}).get("cellId")
    return Run(str(request["header"]["msg_id"]), cell_id if isinstance(cell_id, str) and cell_id else None)


def notebook_path(shell: InteractiveShell) -> Path | None:
    """Return the notebook's path as the front end gave it at the kernel's start; ``None`` where it gave none.

    Jupyter Server sets ``JPY_SESSION_NAME``; VS Code puts a variable into the namespace.
    """
    name = shell.user_ns.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME")
    return Path(name) if isinstance(name, str) and name.endswith(".ipynb") else None


@dataclass(frozen=True, slots=True)
class SavedCell:
    """A cell of the saved notebook: its id and this package's records in its outputs."""

    id: str
    records: tuple[Any, ...]


class SavedNotebook:
    """The notebook as saved, read again only when the file has changed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp: tuple[int, int] | None = None
        self._cells: tuple[SavedCell, ...] = ()

    def cells(self) -> tuple[SavedCell, ...]:
        """Return the cells in document order, as they could last be read: a file that was moved deletes no cell."""
        with suppress(OSError):
            status = self.path.stat()
            stamp = (status.st_mtime_ns, status.st_size)
            if stamp != self._stamp:
                cells = _read(self.path)
                self._cells = self._cells if cells is None else cells
                self._stamp = stamp
        return self._cells


def _read(path: Path) -> tuple[SavedCell, ...] | None:
    """Read a notebook of format 4, the only one with cell ids, as the JSON that it is; ``None`` where it is none.

    Not with nbformat: beside JupyterLab its import alone takes 1.5 to 2 seconds (of jsonschema's grammars), and what is
    read here needs no validation, since every record is checked when it becomes a turn.
    """
    try:
        notebook = json.loads(path.read_bytes())
        return tuple(SavedCell(cell["id"], _records(cell)) for cell in notebook["cells"] if "id" in cell)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None  # half written, or no notebook: the next save will be read


def _records(cell: Mapping[str, Any]) -> tuple[Any, ...]:
    metadata = (output.get("metadata", {}) for output in cell.get("outputs", []))
    return tuple(data["mixroute"] for data in metadata if "mixroute" in data)
