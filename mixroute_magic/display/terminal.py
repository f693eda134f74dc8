"""The view of a reply where there is only text: a pipe, a kernel's console, a terminal that can do no more."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from mixroute_magic.display.exchange import to_plain
from mixroute_magic.display.output import bundle, footer
from mixroute_magic.outside import without_controls

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mixroute_magic.display.output import Ending
    from mixroute_magic.display.views import ReplyView
    from mixroute_magic.wire import Chunk, Message

__all__ = ["TextView", "doing", "steps_in_lines", "told_again", "view_in_terminal", "write"]


def view_in_terminal(models: Sequence[str], *, plain: bool) -> ReplyView:
    """Return the view that standard output can show."""
    if sys.stdout.isatty() and os.environ.get("TERM") not in {None, "", "dumb", "unknown"}:
        from mixroute_magic.display.screen import ScreenView

        return ScreenView(models, plain=plain)
    return TextView(models)


class TextView:
    """Streams plain text; of several replies each is written when it has ended."""

    def __init__(self, models: Sequence[str]) -> None:
        self._models = models
        self._thinking = self._said = False

    def start(self) -> None:
        """Wait without a word: what is written stays when it is no longer true."""

    def retrying(self, why: str, seconds: float, column: int = 0) -> None:
        """Tell that the question is asked again."""
        write(f"{told_again(self._models, why, seconds, column)}\n")

    def doing(self, what: str, column: int = 0) -> None:
        """Tell what goes on; apart from what was said."""
        self._apart()
        write(f"{doing(self._models, what, column)}\n")

    def between(self, steps: Sequence[Message], column: int = 0) -> None:  # noqa: ARG002 - as in show
        """Write a line for each call."""
        if len(self._models) == 1 and (lines := steps_in_lines(steps)):
            self._apart()
            write("\n".join(lines) + "\n\n")

    def show(self, chunk: Chunk, column: int = 0) -> None:  # noqa: ARG002 - several are not written before they end
        """Write the text at once, and reasoning as one word."""
        if len(self._models) > 1:
            return
        if chunk.reasoning and not self._thinking:
            write("thinking …")
            self._thinking = True
        if chunk.text:
            write(("\n\n" if self._thinking else "") + without_controls(chunk.text))
            self._thinking, self._said = False, True

    def _apart(self) -> None:
        """Leave a blank line below what was written of an answer."""
        if self._said or self._thinking:
            write("\n\n")
        self._said = self._thinking = False

    def ended(self, ending: Ending, column: int = 0) -> None:
        """Write one of several replies."""
        write(f"── {without_controls(self._models[column])} ──\n\n{bundle(ending)['text/plain']}\n\n")

    def finish(self, ending: Ending) -> None:
        """Close with the footer line."""
        begun = len(self._models) == 1 and (ending.reply.text or self._thinking)
        last = footer(ending)
        write(("\n\n" if begun else "") + (f"{last}\n" if last else ""))


def doing(models: Sequence[str], what: str, column: int) -> str:
    """Return the line that tells what goes on."""
    model = f"{models[column]}: " if len(models) > 1 else ""
    return without_controls(f"{model}{what} …")


def steps_in_lines(steps: Sequence[Message]) -> list[str]:
    """Return what followed an answer, without its words, which have been written."""
    silent = [replace(step, content=None) if step.role == "assistant" else step for step in steps]
    return to_plain(silent)


def told_again(models: Sequence[str], why: str, seconds: float, column: int) -> str:
    """Return the line that tells why, and when, a question is asked again."""
    model = f"{models[column]}: " if len(models) > 1 else ""
    when = f"trying again in {max(1, round(seconds))} s" if seconds else "asking again"
    return f"{without_controls(model + why)}; {when}"


def write(text: str) -> None:
    """Write to standard output what its encoding can."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
    if not hasattr(sys.stdout, "flush_interval"):  # a kernel's stream sends by itself, and not a message per word
        sys.stdout.flush()
