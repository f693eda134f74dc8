"""The views of a reply, or of several side by side, while they come.

Each view is shown the chunks as they come and is finished exactly once, whatever happened. Which one it is depends on
who looks: a page, a front end that only keeps the final output, or a terminal.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Protocol

from mixroute_magic.display.exchange import to_html
from mixroute_magic.display.output import bundle, footer, leave
from mixroute_magic.outside import without_controls

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mixroute_magic.display.output import Ending
    from mixroute_magic.wire import Chunk, Message

__all__ = ["ReplyView", "open_view"]


class ReplyView(Protocol):
    """What shows replies to a person: one, or one a column, each from the model at that place."""

    def start(self) -> None:
        """Show that answers are waited for."""

    def retrying(self, why: str, seconds: float, column: int = 0) -> None:
        """Tell that a failed request will be sent again in so many seconds."""

    def doing(self, what: str, column: int = 0) -> None:
        """Tell what goes on in the notebook before the answer can go on: a tool runs, the user is asked."""

    def between(self, steps: Sequence[Message], column: int = 0) -> None:
        """Show what followed an answer, whose words have been shown, before the next one: calls and their results."""

    def show(self, chunk: Chunk, column: int = 0) -> None:
        """Show what one more chunk adds."""

    def ended(self, ending: Ending, column: int = 0) -> None:
        """Show how one of several replies ended, while the others go on."""

    def finish(self, ending: Ending) -> None:
        """Leave the final output; called exactly once."""


def open_view(
    models: Sequence[str], output_id: str, *, terminal: bool, attended: bool, plain: bool = False
) -> ReplyView:
    """Return the view in which whoever runs the cell can wait for ``models``; nothing is shown yet.

    By ``output_id`` a later cell can change the output that stays (`show_again`). A ``plain`` answer is not drawn as
    Markdown while it comes.
    """
    if terminal:
        from mixroute_magic.display.terminal import view_in_terminal

        return view_in_terminal(models, plain=plain)
    return LiveView(models, output_id, plain=plain) if attended else StaticView(output_id)


class LiveView:
    """Streams into a widget, and puts the final output in its place."""

    def __init__(self, models: Sequence[str], output_id: str, *, plain: bool) -> None:
        from IPython.display import DisplayHandle

        from mixroute_magic.display.live import LiveStream

        self._stream = LiveStream(models, plain=plain)
        self._handle = DisplayHandle(output_id)
        self._leave = self._handle.display

    def start(self) -> None:
        """Put the widget under the cell."""
        self._handle.display(self._stream.bundle, raw=True)
        self._leave = self._handle.update
        self._stream.start()

    def retrying(self, why: str, seconds: float, column: int = 0) -> None:
        """Count down to the next attempt."""
        self._stream.tell({"retry": why, "seconds": seconds}, column)

    def doing(self, what: str, column: int = 0) -> None:
        """Name it, and count its seconds."""
        self._stream.tell({"doing": what}, column)

    def between(self, steps: Sequence[Message], column: int = 0) -> None:
        """Close what has been said, and put the calls below it."""
        self._stream.insert(to_html(steps), column)

    def show(self, chunk: Chunk, column: int = 0) -> None:
        """Add to the text that grows on the page."""
        self._stream.add(chunk.text, chunk.reasoning, column)

    def ended(self, ending: Ending, column: int = 0) -> None:
        """Say in a column how its reply ended."""
        error = "\n".join(map(without_controls, ending.error))
        self._stream.tell({"ended": ending.status, "footer": footer(ending), "error": error}, column)

    def finish(self, ending: Ending) -> None:
        """Replace the widget by the final output, even where a second interrupt cuts the last frame short."""
        with closing(self._stream):
            try:
                self._stream.end()
            finally:
                self._leave(bundle(ending), raw=True, metadata={"mixroute": dict(ending.metadata)})


class StaticView:
    """Shows nothing until the reply is there: for executors without a page, such as nbclient."""

    def __init__(self, output_id: str) -> None:
        self._output_id = output_id

    def start(self) -> None:
        """Nobody is looking."""

    def retrying(self, why: str, seconds: float, column: int = 0) -> None:
        """Nobody is looking."""

    def doing(self, what: str, column: int = 0) -> None:
        """Nobody is looking."""

    def between(self, steps: Sequence[Message], column: int = 0) -> None:
        """Nobody is looking."""

    def show(self, chunk: Chunk, column: int = 0) -> None:
        """Nobody is looking."""

    def ended(self, ending: Ending, column: int = 0) -> None:
        """Nobody is looking."""

    def finish(self, ending: Ending) -> None:
        """Leave the same output that a page gets."""
        leave(self._output_id, bundle(ending), ending.metadata)
