"""The views of one reply, and the output that stays in the notebook.

Each view is shown the chunks as they come and is finished exactly once, whatever happened. Which one it is depends on
who looks: a page, a front end that only keeps the final output, or a terminal.
"""

from __future__ import annotations

import re
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any, Protocol

from mixroute_magic.display.markdown import as_html, make_safe, without_controls

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mixroute_magic.wire import Chunk, Reply, Usage

__all__ = ["LiveView", "ReplyView", "StaticView", "TextView", "open_view"]


# Chinese and Japanese write no spaces between words: each character counts as one.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\s\u3040-\u30ff\u3400-\u9fff]+")


class ReplyView(Protocol):
    """What shows one reply to a person."""

    def start(self) -> None:
        """Show that the answer is waited for."""

    def retrying(self, why: str, seconds: float) -> None:
        """Tell that a failed request will be sent again in so many seconds."""

    def show(self, chunk: Chunk) -> None:
        """Show what one more chunk adds."""

    def finish(self, reply: Reply, *, status: str, notes: Sequence[str], metadata: Mapping[str, Any]) -> None:
        """Leave the final output; ``status`` is ``complete``, ``interrupted`` or ``failed``. Called exactly once."""


def open_view(request: Mapping[str, Any] | None, model: str) -> ReplyView:
    """Return the view in which whoever sent the execute request can wait for ``model``; nothing is shown yet."""
    if request is None:
        return TextView()
    # nbclient and papermill take no input and name no cell: there is no page to stream to.
    attended = request.get("content", {}).get("allow_stdin") and request.get("metadata", {}).get("cellId")
    return LiveView(model) if attended else StaticView()


class LiveView:
    """Streams into a widget, and puts the final output in its place."""

    def __init__(self, model: str) -> None:
        from IPython.display import DisplayHandle

        from mixroute_magic.display.live import LiveStream

        self._stream = LiveStream(model)
        self._handle = DisplayHandle()
        self._leave = self._handle.display

    def start(self) -> None:
        """Put the widget under the cell."""
        self._handle.display(self._stream.bundle, raw=True)
        self._leave = self._handle.update
        self._stream.start()

    def retrying(self, why: str, seconds: float) -> None:
        """Count down to the next attempt."""
        self._stream.retrying(why, seconds)

    def show(self, chunk: Chunk) -> None:
        """Add to the text that grows on the page."""
        self._stream.add(chunk.text, chunk.reasoning)

    def finish(self, reply: Reply, *, status: str, notes: Sequence[str], metadata: Mapping[str, Any]) -> None:
        """Replace the widget by the final output, even where a second interrupt cuts the last frame short."""
        with closing(self._stream):
            try:
                self._stream.end()
            finally:
                self._leave(_bundle(reply, status, notes), raw=True, metadata={"mixroute": dict(metadata)})


class StaticView:
    """Shows nothing until the reply is there: for executors without a page, such as nbclient."""

    def start(self) -> None:
        """Nobody is looking."""

    def retrying(self, why: str, seconds: float) -> None:
        """Nobody is looking."""

    def show(self, chunk: Chunk) -> None:
        """Nobody is looking."""

    def finish(self, reply: Reply, *, status: str, notes: Sequence[str], metadata: Mapping[str, Any]) -> None:
        """Leave the same output that a page gets."""
        from IPython.display import display

        display(_bundle(reply, status, notes), raw=True, metadata={"mixroute": dict(metadata)})


class TextView:
    """Streams plain text to a terminal."""

    def __init__(self) -> None:
        self._thinking = False

    def start(self) -> None:
        """Wait without a word: a terminal's line stays when it is no longer true."""

    def retrying(self, why: str, seconds: float) -> None:
        """Tell that the question is asked again."""
        self._write(f"{without_controls(why)}; trying again in {max(1, round(seconds))} s\n")

    def show(self, chunk: Chunk) -> None:
        """Write the text at once; reasoning dimmed, or as one word where the output is not a terminal."""
        if chunk.reasoning:
            self._think(without_controls(chunk.reasoning))
        if chunk.text:
            self._write(("\n\n" if self._thinking else "") + without_controls(chunk.text))
            self._thinking = False

    def finish(self, reply: Reply, *, status: str, notes: Sequence[str], metadata: Mapping[str, Any]) -> None:  # noqa: ARG002 - a terminal keeps no metadata
        """Close with the footer line."""
        self._write(("\n\n" if reply.text or self._thinking else "") + footer(reply, status, notes) + "\n")

    def _think(self, reasoning: str) -> None:
        if sys.stdout.isatty():
            self._write(f"\x1b[2m{reasoning}\x1b[0m")
        elif not self._thinking:
            self._write("thinking …")
        self._thinking = True

    @staticmethod
    def _write(text: str) -> None:
        encoding = sys.stdout.encoding or "utf-8"
        sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
        sys.stdout.flush()


def footer(reply: Reply, status: str, notes: Sequence[str]) -> str:
    """Return the last line of a reply: model, tokens, seconds, how it ended, notes."""
    seconds = "" if reply.seconds is None else f"{reply.seconds:.1f} s"
    ended = "" if status == "complete" else status
    parts = [reply.model, _tokens(reply.usage), seconds, reply.finish_reason or "", ended, *notes]
    return " · ".join(" ".join(without_controls(part).split()) for part in parts if part)


def _tokens(usage: Usage) -> str:
    if usage.input_tokens is None and usage.output_tokens is None:
        return "tokens unknown"
    read, written = ("?" if count is None else f"{count:,}" for count in (usage.input_tokens, usage.output_tokens))
    return f"{read} → {written} tokens"


def _bundle(reply: Reply, status: str, notes: Sequence[str]) -> dict[str, str]:
    """Return the final output: Markdown for pages, plain text for everything else."""
    last = footer(reply, status, notes)
    markdown = [_folded(reply.reasoning), make_safe(reply.text).rstrip(), f"*{as_html(last)}*"]
    plain = [without_controls(reply.text).rstrip(), last]
    return {
        "text/markdown": "\n\n".join(part for part in markdown if part),
        "text/plain": "\n\n".join(part for part in plain if part),
    }


def _folded(reasoning: str) -> str:
    """Return the reasoning as a folded paragraph on one line, out of which no text in it can break."""
    reasoning = without_controls(reasoning).strip()
    if not reasoning:
        return ""
    summary = f"<summary>Reasoning ({len(_WORD.findall(reasoning)):,} words)</summary>"
    return f"<details>{summary}<p>{as_html(reasoning)}</p></details>"
