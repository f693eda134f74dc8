"""The views of a reply, and of several, in a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from mixroute_magic.display.markdown import without_controls
from mixroute_magic.display.output import bundle, footer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mixroute_magic.display.output import Ending
    from mixroute_magic.wire import Chunk

__all__ = ["ColumnsView", "TextView"]


class TextView:
    """Streams plain text to a terminal."""

    def __init__(self) -> None:
        self._thinking = False

    def start(self) -> None:
        """Wait without a word: a terminal's line stays when it is no longer true."""

    def retrying(self, why: str, seconds: float, column: int = 0) -> None:  # noqa: ARG002 - there is one
        """Tell that the question is asked again."""
        _write(f"{without_controls(why)}; trying again in {max(1, round(seconds))} s\n")

    def show(self, chunk: Chunk, column: int = 0) -> None:  # noqa: ARG002 - there is one
        """Write the text at once; reasoning dimmed, or as one word where the output is not a terminal."""
        if chunk.reasoning:
            self._think(without_controls(chunk.reasoning))
        if chunk.text:
            _write(("\n\n" if self._thinking else "") + without_controls(chunk.text))
            self._thinking = False

    def ended(self, ending: Ending, column: int = 0) -> None:
        """Nothing is told before the others have ended."""

    def finish(self, ending: Ending) -> None:
        """Close with the footer line."""
        _write(("\n\n" if ending.reply.text or self._thinking else "") + footer(ending) + "\n")

    def _think(self, reasoning: str) -> None:
        if sys.stdout.isatty():
            _write(f"\x1b[2m{reasoning}\x1b[0m")
        elif not self._thinking:
            _write("thinking …")
        self._thinking = True


class ColumnsView:
    """Writes several answers one below the other, each when all of it is there: a terminal has one place to write."""

    def __init__(self, models: Sequence[str]) -> None:
        self._models = models

    def start(self) -> None:
        """Wait without a word."""

    def retrying(self, why: str, seconds: float, column: int = 0) -> None:
        """Tell which question is asked again."""
        told = without_controls(f"{self._models[column]}: {why}")
        _write(f"{told}; trying again in {max(1, round(seconds))} s\n")

    def show(self, chunk: Chunk, column: int = 0) -> None:
        """Wait for the rest."""

    def ended(self, ending: Ending, column: int = 0) -> None:
        """Write an answer under its model's name."""
        _write(f"── {without_controls(self._models[column])} ──\n\n{bundle(ending)['text/plain']}\n\n")

    def finish(self, ending: Ending) -> None:
        """Write those that were cut short, and the line about all of them."""
        _write(footer(ending) + "\n")


def _write(text: str) -> None:
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()
