"""Answers while they stream, as a widget; nothing of it stays when the cell has ended."""

from __future__ import annotations

import contextvars
import queue
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from mixroute_magic.display.blocks import Blocks
from mixroute_magic.outside import without_controls

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["LiveStream"]

_STATIC = Path(__file__).parent / "static"
_SLOW_FRAME, _FAST_FRAME = 0.1, 0.04
_FAST_TEXT = 3000  # characters a second, above which a reader sees the steps of slow frames


class _ReplyWidget(anywidget.AnyWidget):  # type: ignore[misc]  # anywidget's base is Any to mypy
    # As text: anywidget watches files, and what watches for a widget keeps it for the kernel's life.
    _esm = (_STATIC / "reply.js").read_text(encoding="utf-8")
    _css = (_STATIC / "reply.css").read_text(encoding="utf-8")
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)


class LiveStream:
    """Sends what has arrived to the page, a frame at a time and never a message per delta.

    A thread of its own sends the frames, so that no text waits for the next chunk. The cell's thread only puts news
    on a queue, which an interrupt cannot leave half done. Each of the models has a column.
    """

    def __init__(self, models: Sequence[str], *, plain: bool) -> None:
        self._widget = _ReplyWidget(names=list(map(without_controls, models)))
        self._columns = [_Column(plain=plain) for _ in models]
        self._news: queue.SimpleQueue[tuple[int, Mapping[str, Any]]] = queue.SimpleQueue()
        self._ended = threading.Event()
        # In a copy of the cell's context messages keep the cell as their parent.
        context = contextvars.copy_context()
        self._thread = threading.Thread(
            target=context.run, args=(self._send_frames,), name="mixroute-view", daemon=True
        )

    def start(self) -> None:
        """Begin to send frames."""
        self._thread.start()

    @property
    def bundle(self) -> dict[str, Any]:
        """What to display: the widget, and words for front ends without widgets."""
        view = {"version_major": 2, "version_minor": 0, "model_id": self._widget.model_id}
        return {
            "application/vnd.jupyter.widget-view+json": view,
            "text/plain": f"Waiting for {', '.join(self._widget.names)} …",
        }

    def add(self, text: str, reasoning: str, column: int) -> None:
        """Show more of an answer, of the reasoning before it, or both."""
        if text or reasoning:
            self._news.put((column, {"text": text, "reasoning": reasoning}))

    def insert(self, html: str, column: int) -> None:
        """Show something below what an answer has said so far; it goes on below that."""
        if html:
            self._news.put((column, {"insert": html}))

    def tell(self, news: Mapping[str, Any], column: int) -> None:
        """Show that a request is sent again, that a tool runs, or that one of several replies has ended."""
        self._news.put((column, news))

    def end(self) -> None:
        """Send what is still pending, and let the thread go."""
        self._ended.set()
        self._news.put((0, {}))
        if self._thread.ident is not None:  # an interrupt may have come before the start
            self._thread.join()

    def close(self) -> None:
        """Remove the widget from the page, and its layout, which does not go with it."""
        layout = self._widget.layout
        self._widget.close()
        layout.close()

    def _send_frames(self) -> None:
        frame = _SLOW_FRAME
        # The final output carries the whole answer: a frame that could not be sent costs no text.
        with suppress(Exception):
            while not (self._ended.is_set() and self._news.empty()):
                size = self._send_frame()
                frame = _FAST_FRAME if size > _FAST_TEXT * frame else _SLOW_FRAME
                self._ended.wait(frame)

    def _send_frame(self) -> int:
        """Wait for something to show, send all there is as one message, and return its length in characters."""
        self._take(*self._news.get())
        with suppress(queue.Empty):
            while True:
                self._take(*self._news.get_nowait())
        changed = ((number, column.change()) for number, column in enumerate(self._columns))
        changes = [{"column": number, **change} for number, change in changed if change]
        if changes:
            self._widget.send({"changes": changes})
        return sum(len(change.get("text", "")) + len(change.get("reasoning", "")) for change in changes)

    def _take(self, column: int, news: Mapping[str, Any]) -> None:
        self._columns[column].take(news)


class _Column:
    """What one reply has to show, and has not shown yet."""

    def __init__(self, *, plain: bool) -> None:
        self._blocks = Blocks(plain=plain)
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._told: dict[str, Any] = {}

    def take(self, news: Mapping[str, Any]) -> None:
        """Take in more text or reasoning, or what else is told."""
        told = dict(news)
        if inserted := told.pop("insert", ""):
            self._blocks.add("".join(self._text))
            self._blocks.insert(inserted)
            self._text = []
        self._text.append(told.pop("text", ""))
        self._reasoning.append(without_controls(told.pop("reasoning", "")))
        self._told |= told

    def change(self) -> dict[str, Any]:
        """Return what has come since the last time; nothing of what is empty, as framing is most of a slow stream."""
        self._blocks.add("".join(self._text))
        frame = self._blocks.take(ended="ended" in self._told)
        found = {"text": frame.text, "html": frame.html, "closed": frame.closed, "reasoning": "".join(self._reasoning)}
        change = {name: value for name, value in (found | self._told).items() if value}
        self._text, self._reasoning, self._told = [], [], {}
        return change | {"code": True} if change and frame.code else change
