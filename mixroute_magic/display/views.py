"""The views of one reply, and the output that stays in the notebook.

Each view is shown the chunks as they come and is finished exactly once, whatever happened. Which one it is depends on
who looks: a page, a front end that only keeps the final output, or a terminal.
"""

from __future__ import annotations

import re
import sys
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from mixroute_magic.display.markdown import as_html, make_safe, without_controls

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mixroute_magic.wire import Chunk, Message, Reply, Usage

__all__ = [
    "Ending",
    "ReplyView",
    "Shown",
    "TextView",
    "bundle",
    "footer",
    "leave",
    "open_view",
    "show_again",
]


# Chinese and Japanese write no spaces between words: each character counts as one.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\s\u3040-\u30ff\u3400-\u9fff]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a reply ended: ``complete``, ``interrupted`` or ``failed``; shown below the messages ``before``."""

    reply: Reply
    status: str
    notes: Sequence[str] = ()
    before: Sequence[Message] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)


class ReplyView(Protocol):
    """What shows one reply to a person."""

    def start(self) -> None:
        """Show that the answer is waited for."""

    def retrying(self, why: str, seconds: float) -> None:
        """Tell that a failed request will be sent again in so many seconds."""

    def show(self, chunk: Chunk) -> None:
        """Show what one more chunk adds."""

    def finish(self, ending: Ending) -> None:
        """Leave the final output; called exactly once."""


def open_view(model: str, output_id: str, *, terminal: bool, attended: bool) -> ReplyView:
    """Return the view in which whoever runs the cell can wait for ``model``; nothing is shown yet.

    By ``output_id`` a later cell can change the output that stays (`show_again`).
    """
    if terminal:
        return TextView()
    return LiveView(model, output_id) if attended else StaticView(output_id)


@dataclass(frozen=True, repr=False)
class Shown:
    """Outputs of turns below a sentence, as one output with a record in its metadata."""

    sentence: str
    outputs: Sequence[Mapping[str, str]]
    record: Mapping[str, Any]

    def __repr__(self) -> str:
        return "\n\n".join([self.sentence, *(shown["text/plain"] for shown in self.outputs)])

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, str], dict[str, Any]]:
        markdown = "\n\n".join([as_html(self.sentence), *(shown["text/markdown"] for shown in self.outputs)])
        return {"text/plain": repr(self), "text/markdown": markdown}, {"mixroute": dict(self.record)}


def leave(output_id: str, shown: Mapping[str, str], metadata: Mapping[str, Any]) -> None:
    """Leave an output below the running cell."""
    from IPython.display import display

    display(dict(shown), raw=True, metadata={"mixroute": dict(metadata)}, display_id=output_id)


def show_again(output_id: str, shown: Mapping[str, str], metadata: Mapping[str, Any]) -> None:
    """Change the output of an earlier cell; without effect where its page was loaded again since."""
    from IPython.display import update_display

    update_display(dict(shown), display_id=output_id, raw=True, metadata={"mixroute": dict(metadata)})


class LiveView:
    """Streams into a widget, and puts the final output in its place."""

    def __init__(self, model: str, output_id: str) -> None:
        from IPython.display import DisplayHandle

        from mixroute_magic.display.live import LiveStream

        self._stream = LiveStream(model)
        self._handle = DisplayHandle(output_id)
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

    def retrying(self, why: str, seconds: float) -> None:
        """Nobody is looking."""

    def show(self, chunk: Chunk) -> None:
        """Nobody is looking."""

    def finish(self, ending: Ending) -> None:
        """Leave the same output that a page gets."""
        leave(self._output_id, bundle(ending), ending.metadata)


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

    def finish(self, ending: Ending) -> None:
        """Close with the footer line."""
        self._write(("\n\n" if ending.reply.text or self._thinking else "") + footer(ending) + "\n")

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


def footer(ending: Ending) -> str:
    """Return the last line of a reply: model, tokens, seconds, how it ended, notes."""
    reply = ending.reply
    seconds = "" if reply.seconds is None else f"{reply.seconds:.1f} s"
    ended = "" if ending.status == "complete" else ending.status
    parts = [reply.model, _tokens(reply.usage), seconds, reply.finish_reason or "", ended, *ending.notes]
    return " · ".join(" ".join(without_controls(part).split()) for part in parts if part)


def _tokens(usage: Usage) -> str:
    if usage.input_tokens is None and usage.output_tokens is None:
        return "tokens unknown"
    read, written = ("?" if count is None else f"{count:,}" for count in (usage.input_tokens, usage.output_tokens))
    return f"{read} → {written} tokens"


def bundle(ending: Ending) -> dict[str, str]:
    """Return the final output: Markdown for pages, plain text for everything else."""
    text, last = ending.reply.text, footer(ending)
    earlier = [_quoted(message) for message in ending.before]
    markdown = [*earlier, _folded(ending.reply.reasoning), make_safe(text).rstrip(), f"*{as_html(last)}*"]
    plain = [*(without_controls(message.text) for message in ending.before), without_controls(text).rstrip(), last]
    return {
        "text/markdown": "\n\n".join(part for part in markdown if part),
        "text/plain": "\n\n".join(part for part in plain if part),
    }


def _quoted(message: Message) -> str:
    """Return a message that was said before: an answer as it was shown, a question as a quotation."""
    text = make_safe(message.text).rstrip()
    return text if message.role == "assistant" else "\n".join(f"> {line}".rstrip() for line in text.split("\n"))


def _folded(reasoning: str) -> str:
    """Return the reasoning as a folded paragraph on one line, out of which no text in it can break."""
    reasoning = without_controls(reasoning).strip()
    if not reasoning:
        return ""
    summary = f"<summary>Reasoning ({len(_WORD.findall(reasoning)):,} words)</summary>"
    return f"<details>{summary}<p>{as_html(reasoning)}</p></details>"
