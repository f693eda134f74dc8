"""The answer while it streams, as a widget; nothing of it stays when the cell has ended."""

from __future__ import annotations

import contextvars
import queue
import threading
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from mixroute_magic.display.markdown import Blocks

__all__ = ["LiveStream"]

_STATIC = Path(__file__).parent / "static"
_SLOW_FRAME, _FAST_FRAME = 0.1, 0.04
_FAST_TEXT = 3000  # characters a second, above which a reader sees the steps of slow frames


class _ReplyWidget(anywidget.AnyWidget):  # type: ignore[misc]  # anywidget's base is Any to mypy
    _esm = _STATIC / "reply.js"
    _css = _STATIC / "reply.css"
    model_name = traitlets.Unicode().tag(sync=True)


class LiveStream:
    """Sends what has arrived to the page, a frame at a time and never a message per delta.

    A thread of its own sends the frames, so that no text waits for the next chunk. The cell's thread only puts pieces
    on a queue, which an interrupt cannot leave half done.
    """

    def __init__(self, model: str) -> None:
        self._widget = _ReplyWidget(model_name=model)
        self._pieces: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
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
            "text/plain": f"Waiting for {self._widget.model_name} …",
        }

    def retrying(self, why: str, seconds: float) -> None:
        """Tell that a failed request will be sent again in so many seconds."""
        self._widget.send({"retry": why, "seconds": seconds})

    def add(self, text: str, reasoning: str) -> None:
        """Show more of the answer, of the reasoning before it, or both."""
        if text or reasoning:
            self._pieces.put((text, reasoning))

    def end(self) -> None:
        """Send what is still pending, and let the thread go."""
        self._ended.set()
        self._pieces.put(("", ""))
        if self._thread.ident is not None:  # an interrupt may have come before the start
            self._thread.join()

    def close(self) -> None:
        """Remove the widget from the page, and its layout, which does not go with it."""
        layout = self._widget.layout
        self._widget.close()
        layout.close()

    def _send_frames(self) -> None:
        blocks = Blocks()
        frame = _SLOW_FRAME
        # The final output carries the whole answer: a frame that could not be sent costs no text.
        with suppress(Exception):
            while not (self._ended.is_set() and self._pieces.empty()):
                size = self._send_frame(blocks)
                frame = _FAST_FRAME if size > _FAST_TEXT * frame else _SLOW_FRAME
                self._ended.wait(frame)

    def _send_frame(self, blocks: Blocks) -> int:
        """Wait for something to show, send all there is as one message, and return its length."""
        pieces = [self._pieces.get()]
        with suppress(queue.Empty):
            while True:
                pieces.append(self._pieces.get_nowait())
        text, reasoning = ("".join(parts) for parts in zip(*pieces, strict=True))
        blocks.add(text)
        change = asdict(blocks.take()) | {"reasoning": reasoning}
        if any(change.values()):
            self._widget.send(change)
        return len(text) + len(reasoning)
