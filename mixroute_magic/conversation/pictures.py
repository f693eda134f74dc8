"""The images of a notebook: those that its cells showed, and those that went with questions, found again by their hash.

A record holds an image by reference only. Its bytes stand in the notebook once, as an output like any other.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections import OrderedDict, deque
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from mixroute_magic.parts import MEDIA_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mixroute_magic.parts import ImageRef

__all__ = ["Displayed", "Pictures", "saved_images"]

_MOST_KEPT = 64_000_000  # bytes: of what went with questions, and again of what cells showed (as base64)
_MOST_SHOWN = 50  # images of one cell


@dataclass(frozen=True)
class _Shown:
    """An image as an output carries it; ``name`` is the display id, where it has one."""

    media_type: str
    encoded: str
    name: str = ""

    @property
    def data(self) -> bytes:
        """The file itself; empty where the base64 is none."""
        with suppress(ValueError):
            return base64.b64decode(self.encoded)
        return b""

    @cached_property
    def sha256(self) -> str:
        """Its hash."""
        return hashlib.sha256(self.data).hexdigest()


class Displayed:
    """The images that cells have shown in this kernel's life, heard as the kernel publishes them.

    ipykernel lets a hook hear what is displayed (`ZMQDisplayPublisher.register_hook`) and, in its newer versions, what
    a cell returns (`ZMQShellDisplayHook.register_hook`); other shells show no images.
    """

    def __init__(self) -> None:
        self._running: dict[str, deque[_Shown]] = {}  # by the request to execute a cell
        self._cells: dict[str, tuple[int | None, tuple[_Shown, ...]]] = {}  # with their numbers, last run last

    def listen(self, *publishers: Any) -> None:
        """Hear what is published, as far as a shell lets it be heard."""
        for publisher in publishers:
            if hasattr(publisher, "register_hook"):
                publisher.register_hook(self.hear)

    def leave(self, *publishers: Any) -> None:
        """Hear no more."""
        for publisher in publishers:
            if hasattr(publisher, "unregister_hook"):
                publisher.unregister_hook(self.hear)

    def hear(self, message: Any) -> Any:
        """Take in what a cell shows, and let it pass: whatever it is, nobody's output may be lost here."""
        with suppress(Exception):
            asked = message["parent_header"]
            if asked["msg_type"] == "execute_request":  # and not a widget's
                self._hear(asked["msg_id"], message["msg_type"], message["content"])
        return message

    def _hear(self, request: str, kind: str, content: Mapping[str, Any]) -> None:
        shown = self._running.setdefault(request, deque(maxlen=_MOST_SHOWN))
        if kind == "clear_output":
            shown.clear()
            return
        name = content.get("transient", {}).get("display_id") or ""
        images = _images_of(content["data"], name)
        if kind == "update_display_data":
            kept = [images[0] if images and one.name == name else one for one in shown]
            shown.clear()
            shown.extend(kept)
        else:
            shown.extend(images)

    def ended(self, cell: str | None, number: int | None) -> None:
        """Take in that a cell has run: what it showed before stands there no more."""
        key = cell or f"execution {number}"
        shown = tuple(one for images in self._running.values() for one in images)
        self._running.clear()
        self._cells.pop(key, None)
        self._cells[key] = (number, shown)
        while len(self._cells) > 1 and self._size() > _MOST_KEPT:
            del self._cells[next(iter(self._cells))]

    def last(self, number: int) -> bytes | None:
        """Return the last image below the cell that ran with this number."""
        shown = next((shown for known, shown in self._cells.values() if known == number and shown), None)
        return shown[-1].data if shown else None

    def find(self, sha256: str) -> bytes | None:
        """Return an image that was shown, by its hash."""
        return next((one.data for _, shown in self._cells.values() for one in shown if one.sha256 == sha256), None)

    def stands(self, sha256: str, besides: str | None) -> bool:
        """Say whether an image stands below a cell already: ``besides`` the one that runs, unless in this very run."""
        cells = [shown for cell, (_, shown) in self._cells.items() if cell != besides]
        return any(one.sha256 == sha256 for shown in (*cells, *self._running.values()) for one in shown)

    def _size(self) -> int:
        return sum(len(one.encoded) for _, shown in self._cells.values() for one in shown)


class Pictures:
    """The images that went with questions, in memory as far as they fit, and wherever else their bytes are.

    ``displayed`` are those that cells have shown.
    """

    def __init__(self, displayed: Displayed) -> None:
        self.displayed = displayed
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()  # several models are asked from several threads

    def keep(self, data: bytes) -> None:
        """Remember an image; the oldest are forgotten where there are too many."""
        with self._lock:
            self._kept[hashlib.sha256(data).hexdigest()] = data
            while len(self._kept) > 1 and sum(map(len, self._kept.values())) > _MOST_KEPT:
                self._kept.popitem(last=False)

    def find(self, image: ImageRef, notebook: Path | None, read: Callable[[str], bytes | None]) -> bytes | None:
        """Return the bytes of an image, or ``None`` where they are nowhere any more.

        Parameters
        ----------
        image
            The reference, which anybody may have written: only bytes with its hash are returned.
        notebook
            The notebook's file, whose outputs are searched last.
        read
            Returns the image in a file, by its path relative to the notebook, as it would be sent now.
        """
        if not image.sha256:
            return None
        with self._lock:
            kept = self._kept.get(image.sha256)
        if kept is not None:
            return kept
        places: tuple[Callable[[], bytes | None], ...] = (
            lambda: self.displayed.find(image.sha256),
            lambda: _in_file(image, read),
            lambda: saved_images(notebook).get(image.sha256),
        )
        found = next((data for place in places if (data := place()) is not None), None)
        if found is not None:
            self.keep(found)
        return found

    def of_cell(self, number: int, notebook: Path | None) -> bytes | None:
        """Return the last image that a cell showed: in this kernel's life, or in the ``notebook`` as last saved."""
        shown = self.displayed.last(number)
        return shown or next((one.data for known, one in reversed([*_saved(notebook)]) if known == number), None)


def saved_images(notebook: Path | None) -> dict[str, bytes]:
    """Return the images in the outputs of a saved notebook, by their hash."""
    return {image.sha256: image.data for _, image in _saved(notebook)}


def _in_file(image: ImageRef, read: Callable[[str], bytes | None]) -> bytes | None:
    """Read a file once more, if it lies beside the notebook or below: no record makes us open any other."""
    path = PurePath(image.source)
    if path.anchor or ".." in path.parts or "://" in image.source or image.source.startswith("~"):
        return None
    data = read(image.source)
    return data if data and hashlib.sha256(data).hexdigest() == image.sha256 else None


def _saved(notebook: Path | None) -> Iterator[tuple[Any, _Shown]]:
    """Yield the images in the outputs of a saved notebook, each with the number of its cell."""
    if notebook is None:
        return
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):  # moved, or half written
        for cell in json.loads(notebook.read_bytes())["cells"]:
            for output in cell.get("outputs", ()):
                for image in _images_of(output.get("data", {})):
                    yield cell.get("execution_count"), image


def _images_of(data: Mapping[str, Any], name: str = "") -> list[_Shown]:
    """Return the image of an output, in the form that front ends prefer."""
    found = [(kind, _base64(data[kind])) for kind in MEDIA_TYPES if kind in data]
    return [_Shown(kind, encoded, name) for kind, encoded in found[:1] if encoded]


def _base64(data: Any) -> str:
    """Return base64, which is a list of lines in some files, and no base64 yet where a kernel has just made it."""
    if isinstance(data, bytes):
        return base64.b64encode(data).decode()
    return "".join(map(str, data)) if isinstance(data, str | list) else ""
