"""The live document: which cells stand on the page now, in their order, and what the notebook is called.

A widget that shows nothing asks each page that is connected to this kernel to tell (``static/page.js``). Pages read
this from objects of JupyterLab that are no public interface, and one that cannot is silent.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from mixroute_magic.conversation.notebook import client_id, execute_request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["LivePages", "Page", "PageCell"]

_SCRIPT = Path(__file__).parent / "static" / "page.js"
_MOST_PAGES = 50  # a page that is loaded again is a new one; the one that told longest ago is forgotten
_MOST_IDS = 100_000
_LONGEST = 4096  # characters of a path, or of an id


@dataclass(frozen=True, slots=True)
class PageCell:
    """A cell on the page: its id, and the ids of the turns that its outputs show."""

    id: str
    turns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """A notebook as one page has it, saved or not; its path is relative to the server's root."""

    path: str
    cells: tuple[PageCell, ...]  # the code cells


class LivePages:
    """The pages that show this kernel's notebooks, each as it last told.

    A page is known by its connection to the kernel, whose id stands in all that it sends: in what it tells, and in its
    requests to execute a cell. One that is heard for the first time may have been loaded while a cell ran, and is sent
    what ``missed`` returns for it: outputs that it should show.
    """

    def __init__(self, shell: InteractiveShell, missed: Callable[[Page], Sequence[Mapping[str, Any]]]) -> None:
        self._shell = shell
        self._missed = missed
        self._widget: Any = None
        self._pages: dict[str, Page] = {}  # by client, as they last told
        self._paths: dict[str, str] = {}

    def open(self) -> None:
        """Ask the pages to tell, now and after every change of theirs; pages that load later are asked, too."""
        if self._widget is not None:
            return
        with suppress(Exception):  # without a widget the saved file tells
            self._widget = _asking_widget()
            self._widget.on_msg(self._hear)

    def of(self, request: Mapping[str, Any] | None) -> Page | None:
        """Return the page from which this request came, the same object while nothing has changed there."""
        return self._pages.get(client_id(request))

    def path_of(self, request: Mapping[str, Any] | None) -> str | None:
        """Return the path of the notebook from which this request came, also where its page cannot tell its cells.

        Of several notebooks in one window that share a kernel, JupyterLab lets only the first have widgets: this one
        tells the paths of the others.
        """
        return self._paths.get(client_id(request))

    def close(self) -> None:
        """Ask no more, and forget what was told."""
        widget, self._widget = self._widget, None
        self._pages.clear()
        self._paths.clear()
        if widget is not None:
            layout = widget.layout  # it does not go with its widget
            widget.close()
            layout.close()

    def _hear(self, _widget: Any, content: Any, _buffers: Any) -> None:
        """Keep what a page tells; nonsense is not heard."""
        page, others = _read_page(content), _read_others(content)
        if page is None or others is None:
            return
        client = client_id(execute_request(self._shell))  # the request being served is the page's message
        if client not in self._paths:
            self._widget.send({"client": client, "missed": list(self._missed(page))})
        self._paths |= {**others, client: page.path}
        known = self._pages.pop(client, page)
        self._pages[client] = known if known == page else page
        if len(self._pages) > _MOST_PAGES:
            del self._pages[next(iter(self._pages))]


def _asking_widget() -> Any:
    import anywidget
    from traitlets import Unicode

    class Asking(anywidget.AnyWidget):  # type: ignore[misc]
        _esm = _SCRIPT.read_text(encoding="utf-8")
        comm_id = Unicode().tag(sync=True)

    comm_id = uuid4().hex
    return Asking(model_id=comm_id, comm_id=comm_id)


def _read_page(content: Any) -> Page | None:
    """Read what a page tells: its path, and for each cell a list of the cell's id and the ids of its turns."""
    if not isinstance(content, dict) or not _is_text(content.get("path")):
        return None
    cells = content.get("cells")
    if not isinstance(cells, list) or not all(isinstance(cell, list) and cell for cell in cells):
        return None
    if sum(map(len, cells)) > _MOST_IDS or not all(_is_text(cell[0]) for cell in cells):
        return None
    # A strange record among the outputs is no turn, and no reason to hear nothing of the cells.
    return Page(content["path"], tuple(PageCell(cell, tuple(filter(_is_text, turns))) for cell, *turns in cells))


def _read_others(content: Any) -> dict[str, str] | None:
    """Read what a page tells of the other notebooks on this kernel: their paths, by client."""
    others = content.get("others", {}) if isinstance(content, dict) else None
    if not isinstance(others, dict) or len(others) > _MOST_PAGES:
        return None
    return others if all(map(_is_text, [*others, *others.values()])) else None


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _LONGEST
