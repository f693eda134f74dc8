"""The view of a reply on the screen of a terminal: Markdown, drawn block by block.

The only door to rich. What is finished is printed once and scrolls away like any output; only the block that still
grows stands in a region that is drawn anew, as source text. So nothing is on the screen twice, and nothing is lost.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import IO, TYPE_CHECKING, ClassVar, cast

from rich.console import Console, Group
from rich.live import Live
from rich.markdown import Heading, Markdown
from rich.segment import Segment, SegmentLines
from rich.text import Text

from mixroute_magic.display.formats import is_plain, note, to_plain
from mixroute_magic.display.markdown import block_tokens, parser
from mixroute_magic.display.output import footer, reasoning_line
from mixroute_magic.display.terminal import doing, steps_in_lines, told_again, write
from mixroute_magic.outside import without_controls

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import ConsoleOptions, RenderableType, RenderResult

    from mixroute_magic.display.output import Ending
    from mixroute_magic.wire import Chunk, Message

__all__ = ["ScreenView"]

_FRAME = 0.1  # seconds
_PIECES = 4096
_THOUGHTS = 6  # lines of reasoning that are seen at a time
_CODE_COLOURS = "ansi_dark"  # those of the terminal itself, which fit its background


class ScreenView:
    """Prints each block of the answer when it is closed; of several answers, each when it has ended."""

    def __init__(self, models: Sequence[str], *, plain: bool) -> None:
        self._models = list(map(without_controls, models))
        self._whole = plain or len(models) > 1  # then nothing is printed before the end
        self._waiting = dict(enumerate(self._models))
        self._since = time.monotonic()
        self._open = _Growing()
        self._look_at = 0
        self._reasoning = _Growing()
        self._begun = False
        self._printed = False
        self._console = Console(
            file=cast("IO[str]", _Output()), force_terminal=True, force_jupyter=False, highlight=False, emoji=False
        )
        self._region = Live(
            console=self._console,
            get_renderable=self._growing,
            transient=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._writing = threading.Lock()
        self._ended = threading.Event()
        self._drawing = threading.Thread(target=self._draw, name="mixroute-screen", daemon=True)

    def start(self) -> None:
        """Show that answers are waited for, and for how long."""
        self._since = time.monotonic()
        self._region.start()
        self._drawing.start()

    def retrying(self, why: str, seconds: float, column: int = 0) -> None:
        """Tell that the question is asked again."""
        self._print(Text(told_again(self._models, why, seconds, column), "dim"))

    def doing(self, what: str, column: int = 0) -> None:
        """Tell what goes on, and leave the screen to it: a tool may print, and the user be asked."""
        self._end_part()
        self._print(Text(doing(self._models, what, column), "dim"))
        with self._writing:
            self._region.stop()

    def between(self, steps: Sequence[Message], column: int = 0) -> None:  # noqa: ARG002 - as in show
        """Print a line for each call, and take the screen again."""
        self._end_part()
        if len(self._models) == 1:
            self._print(Text("\n".join(steps_in_lines(steps)), "dim"))
        with self._writing:
            self._region.start()

    def show(self, chunk: Chunk, column: int = 0) -> None:  # noqa: ARG002 - several are not printed before they end
        """Let the text grow, and print what of it is finished."""
        if len(self._models) > 1:
            return
        self._reasoning.add(without_controls(chunk.reasoning))
        if chunk.text and not self._begun:
            self._begin()
        text = without_controls(chunk.text)
        self._open.add(text)
        if "\n" in text and not self._whole:
            self._close()

    def ended(self, ending: Ending, column: int = 0) -> None:
        """Print one of several answers, under its model's name."""
        self._waiting.pop(column, None)
        self._print(Text(f"── {self._models[column]} ──", "bold"))
        self._print_reasoning(ending.reply.reasoning)
        self._print(_answer(ending.reply.text, ending.form))
        self._print(Text(without_controls("\n".join(ending.error))))
        self._print(Text(footer(ending), "dim"))

    def finish(self, ending: Ending) -> None:
        """Print what is still open, and the footer."""
        self._ended.set()
        if self._drawing.ident is not None:  # an interrupt may have come before the start
            self._drawing.join()
        self._region.stop()
        if len(self._models) == 1:
            if not self._begun:
                self._begin()
            self._print(_answer(str(self._open), ending.form))
        self._print(Text(footer(ending), "dim"))

    def _draw(self) -> None:
        """Draw the region again and again: rich's own thread may do so between a print's measuring and writing."""
        while not self._ended.wait(_FRAME):
            with self._writing:
                self._refresh()

    def _refresh(self) -> None:
        if self._region.is_started:  # while a tool has the screen it is not
            self._region.refresh()

    def _end_part(self) -> None:
        """Print what is open of an answer that others follow."""
        if len(self._models) == 1:
            self._print(_Drawn(str(self._open)))
            self._open, self._begun, self._reasoning = _Growing(), False, _Growing()

    def _begin(self) -> None:
        self._begun = True
        self._print_reasoning(str(self._reasoning))

    def _close(self) -> None:
        """Print all blocks but the last. Half a line may turn into anything; a long block is looked at less often."""
        if len(self._open) < self._look_at:
            return
        opened = str(self._open)
        whole_lines = opened[: opened.rindex("\n") + 1]
        starts = [token.map[0] for token in block_tokens(whole_lines) if token.level == 0 and token.map]
        if starts:
            lines = opened.split("\n")
            self._open = _Growing("\n".join(lines[starts[-1] :]))
            self._print(_Drawn("\n".join(lines[: starts[-1]])))
        self._look_at = len(self._open) * 9 // 8

    def _print_reasoning(self, reasoning: str) -> None:
        if reasoning.strip():
            self._print(Text(reasoning_line(reasoning), "dim"))

    def _print(self, part: Text | Markdown) -> None:
        """Print a part of the answer above the region, apart from what was printed before it."""
        if isinstance(part, Text):
            part.rstrip()
            shown: RenderableType | None = part or None
        else:
            lines = _without_edges(self._console.render_lines(part, pad=False))
            shown = SegmentLines(lines, new_lines=True) if lines else None
        if shown is not None:
            above = self._gap()
            with self._writing, self._console:  # what the region does not show any more goes in the same write
                self._refresh()
                # Text is wrapped by the terminal, so that it can be copied as it was written.
                self._console.print(*above, shown, sep="\n", soft_wrap=isinstance(part, Text))
            self._printed = True

    def _gap(self) -> list[Text]:
        """Return the blank line that goes between what was printed and what comes."""
        return [Text()] if self._printed else []

    def _growing(self) -> RenderableType:
        """Return what stands in the region."""
        if opened := str(self._open):
            return Group(*self._gap(), _Tail(opened))
        if not self._begun and (thoughts := str(self._reasoning)):
            return _Tail(thoughts, "dim", _THOUGHTS)
        waited = f" · waiting {time.monotonic() - self._since:.0f} s"
        return Text("" if self._begun else ", ".join(self._waiting.values()) + waited, "dim")


class _Growing:
    """A text that grows in pieces, at a cost that does not grow with it; another thread may read it meanwhile."""

    def __init__(self, text: str = "") -> None:
        self._pieces = [text]
        self._length = len(text)

    def add(self, piece: str) -> None:
        """Add what comes next."""
        self._pieces.append(piece)
        self._length += len(piece)
        if len(self._pieces) > _PIECES:
            self._pieces = [str(self)]

    def __len__(self) -> int:
        return self._length

    def __str__(self) -> str:
        return "".join(self._pieces)


class _Heading(Heading):
    """A heading at the left, where the text is."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self.text


class _Drawn(Markdown):
    """Markdown as our own parser reads it: HTML in it is text, and what defines links is shown, too."""

    elements: ClassVar = {**Markdown.elements, "heading_open": _Heading}

    def __init__(self, source: str) -> None:
        super().__init__("", code_theme=_CODE_COLOURS, hyperlinks=False)
        reader = parser()
        with reader.reset_rules():
            self.parsed = reader.disable("reference").parse(source)


class _Tail:
    """The last lines of a text, as many as there is room for."""

    def __init__(self, text: str, style: str = "", most: int = 10_000) -> None:
        self._text = text
        self._style = style
        self._most = most

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room = max(1, min(self._most, options.size.height - 2))
        last = Text(self._text[-room * options.max_width :], self._style)
        yield from last.wrap(console, options.max_width)[-room:]


class _Output:
    """Standard output, as far as rich uses it: it takes whatever its encoding can write."""

    encoding = property(lambda _: sys.stdout.encoding)
    write = staticmethod(write)

    def flush(self) -> None:
        """Nothing is kept back."""


def _answer(text: str, form: str) -> Text | Markdown:
    """Return an answer as it is printed in one of the forms."""
    if form == "json" and not note(text, form):
        return _Drawn(f"```json\n{to_plain(text, form)}\n```")
    return Text(to_plain(text, form)) if is_plain(form) else _Drawn(without_controls(text))


def _without_edges(lines: list[list[Segment]]) -> list[list[Segment]]:
    """Return lines without blank ones at both ends, which each kind of block has in its own number."""
    full = [number for number, line in enumerate(lines) if "".join(segment.text for segment in line).strip()]
    return lines[full[0] : full[-1] + 1] if full else []
