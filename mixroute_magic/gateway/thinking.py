"""Reasoning that stands in the text of an answer, told apart from it. Pure.

Some gateways put what a model thinks into its words: ``<think>``, the reasoning, ``</think>``, the answer. new-api does
it on some channels (its option ``thinking_to_content``), servers of open models do it where nobody set a parser. Only
an answer that begins so is meant: further down, tags are what the answer is about. Where the opening tag is missing,
because it was part of the prompt (the first DeepSeek R1), nothing tells reasoning from an answer until it has been
shown as one: it stays text, and so does its ``</think>``.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from mixroute_magic.errors import MixRouteError
from mixroute_magic.wire import Chunk

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = ["told_apart"]

# <think>: DeepSeek, Qwen, GLM, MiniMax, and new-api for all of them. <thinking>: Claude and others when prompted to;
# LiteLLM and Open WebUI read it, too. ◁think▷: Kimi. None has attributes.
_TAGS = {"<think>": "</think>", "<thinking>": "</thinking>", "◁think▷": "◁/think▷"}


_LINE_ENDS = "\r\n"
_MOST_WAITING = 200  # characters: some models fall into writing blank lines without end


def told_apart(chunks: Generator[Chunk]) -> Generator[Chunk]:
    """Pass chunks on, with the reasoning at the beginning of their text moved to where reasoning belongs.

    What may be a part of a tag, or of the line ends at its sides, waits for what follows; all else passes at once.
    Tags and these line ends are left out. Reasoning that nothing closes lasts to the end. Closing it closes ``chunks``.
    """
    answer = _Answer()
    with closing(chunks):
        try:
            for chunk in chunks:
                yield answer.read(chunk)
        except MixRouteError:
            yield answer.rest()
            raise
    if answer.waiting:
        yield answer.rest()


class _Answer:
    """An answer as it comes: each step reads one part of it, and returns what is reasoning and what is text."""

    def __init__(self) -> None:
        self.waiting = ""
        self._closing = ""  # the tag that ends the reasoning, as long as that lasts
        self._step: Callable[[str], tuple[str, str]] | None = self._before  # ``None`` where all that follows is text

    def read(self, chunk: Chunk) -> Chunk:
        """Take a chunk in, and return as much of it as can be told."""
        if self._step is None or not chunk.text:
            return chunk
        reasoning, text = self._step(self.waiting + chunk.text)
        return replace(chunk, text=text, reasoning=chunk.reasoning + reasoning)

    def rest(self) -> Chunk:
        """Return what waited in vain."""
        return Chunk(reasoning=self.waiting) if self._closing else Chunk(text=self.waiting)

    def _before(self, text: str) -> tuple[str, str]:
        words = text.lstrip()
        for tag, end in _TAGS.items():
            if words.startswith(tag):
                self._closing, self._step = end, self._opened
                return self._opened(words.removeprefix(tag))
        if len(text) < _MOST_WAITING and any(tag.startswith(words) for tag in _TAGS):
            self.waiting = text
            return "", ""
        self.waiting, self._step = "", None
        return "", text

    def _opened(self, text: str) -> tuple[str, str]:
        thoughts = text.lstrip(_LINE_ENDS)
        if thoughts:
            self._step = self._inside
        return self._inside(thoughts)

    def _inside(self, text: str) -> tuple[str, str]:
        thoughts, closed, answer = text.partition(self._closing)
        if closed:
            self.waiting, self._closing, self._step = "", "", self._after
            return thoughts.rstrip(_LINE_ENDS), self._after(answer)[1]
        lengths = range(len(self._closing) - 1, 0, -1)
        begun = next((self._closing[:length] for length in lengths if text.endswith(self._closing[:length])), "")
        thoughts = text.removesuffix(begun)
        before = thoughts.rstrip(_LINE_ENDS)
        if len(thoughts) - len(before) < _MOST_WAITING:
            thoughts = before
        self.waiting = text.removeprefix(thoughts)
        return thoughts, ""

    def _after(self, text: str) -> tuple[str, str]:
        words = text.lstrip(_LINE_ENDS)
        if words:
            self._step = None
        return "", words
