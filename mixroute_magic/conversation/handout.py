"""A thread as a Markdown file that is read, not run. Pure, no input or output.

Every turn is a section, numbered, with its question in a quotation and its answer below. Whatever is in them stays
there: a quotation marks each of its lines, and an answer is left no heading above the third level and no open fence.
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from mixroute_magic.parts import described
from mixroute_magic.tables import counted, markdown_text
from mixroute_magic.wire import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from mixroute_magic.conversation.turn import Turn

__all__ = ["handout", "opening"]

_DAY = re.compile(r"\d{4}-\d\d-\d\d(?=T)", re.ASCII)

# How CommonMark's blocks begin and end; a line indented by four or more is none of these, or stands in a list.
_FENCE = re.compile(r"( {0,3})(`{3,}(?=[^`]*$)|~{3,})")
_HEADING = re.compile(r"^([\s>*+.)\d-]*)(#{1,6})(?=\s|$)")  # also in items and quotations
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_TITLE = re.compile(r"[^\W\d_]")
_LOWERED, _LOWEST = 2, 6


def handout(
    turns: Sequence[Turn], *, thread: str, notebook: str | None, bundle: Callable[[Turn], Mapping[str, str]]
) -> str:
    """Return the turns as a Markdown document; ``bundle`` makes harmless what they say."""
    parts = [opening(turns, thread, notebook)]
    for number, turn in enumerate(turns, start=1):
        parts += [f"## {number}", *_section(turn, bundle)]
    return "\n\n".join(parts)


def opening(turns: Sequence[Turn], thread: str, notebook: str | None) -> str:
    """Return the title, and a line that tells when, with which models, and how much was said."""
    names = [Path(notebook).stem if notebook else "", thread if thread != "main" or not notebook else ""]
    days = sorted(found[0] for turn in turns if (found := _DAY.match(turn.created or "")))
    told = [
        " – ".join(dict.fromkeys([days[0], days[-1]])) if days else "",
        ", ".join(dict.fromkeys(turn.model for turn in turns)),
        counted(len(turns), "turn"),
    ]
    title, origin = (markdown_text(" · ".join(filter(None, texts))) for texts in (names, told))
    return f"# {title}\n\n*{origin}*"


def _section(turn: Turn, bundle: Callable[[Turn], Mapping[str, str]]) -> list[str]:
    """Return the messages of a turn in their order, and the line about them."""
    parts, footer = [], ""
    for place, message in enumerate(turn.messages):
        results = takewhile(lambda said: said.role == "tool", turn.messages[place + 1 :])
        calls = (message, *results) if message.tool_calls else ()
        text, footer = _harmless(calls or (Message("assistant", described(message)),), turn, bundle)
        if message.role == "assistant":
            parts.append("\n".join(_contained(text)))
        elif message.role != "tool":  # whose text stands with the call
            label = ["*System prompt*", ""] if message.role == "system" else []
            parts.append(_quoted([*label, *_contained(text, line_break="  ")]))
    return [part for part in (*parts, footer) if part]


def _harmless(said: Sequence[Message], turn: Turn, bundle: Callable[[Turn], Mapping[str, str]]) -> tuple[str, str]:
    """Return what was said as the output of this turn would show it, and the line below it."""
    shown = bundle(replace(turn, messages=(Message("user", ""), *said), reasoning="", alternatives=()))["text/markdown"]
    harmless, _, footer = shown.rpartition("\n\n")
    return harmless, footer


def _quoted(lines: Iterable[str]) -> str:
    return "\n".join(f"> {line}" if line.strip() else ">" for line in lines)


def _contained(markdown: str, line_break: str = "") -> list[str]:
    """Return lines whose headings are below those of the handout, and that leave no fence open.

    ``line_break`` is put at the end of each line that is not code: people who ask break lines where they mean it.
    """
    lines: list[str] = []
    fence = ""
    for line in markdown.split("\n"):
        if fence and _leaves(line, fence):  # an item of a list has ended, and the fence in it
            lines.append(fence)
            fence = ""
        if fence:
            lines.append(line)
            fence = "" if _closes(line, fence) else fence
        elif opened := _FENCE.match(line):
            lines.append(line)
            fence = opened[0]
        else:
            lines += _prose(line, lines, line_break)
    return [*lines, fence] if fence else lines


def _prose(line: str, above: list[str], line_break: str) -> list[str]:
    """Return a line that makes no heading of the handout's levels, itself or, by underlining, of the line above.

    A short title that is underlined becomes a heading of a lower level instead.
    """
    underline = _UNDERLINE.match(line)
    if not underline or not above or not above[-1].strip(" \t"):
        return [_HEADING.sub(_lowered, line) + (line_break if line.strip() else "")]
    alone = not above[-2:-1] or not above[-2].strip(" \t")
    if not alone or not _TITLE.match(above[-1]):
        return ["", line]
    above[-1] = f"{'###' if underline[1][0] == '=' else '####'} {above[-1]}"
    return []


def _lowered(found: re.Match[str]) -> str:
    return found[1] + "#" * min(len(found[2]) + _LOWERED, _LOWEST)


def _leaves(line: str, fence: str) -> bool:
    spaces = line.expandtabs(4)
    return bool(spaces.strip(" ")) and len(spaces) - len(spaces.lstrip(" ")) < len(fence) - len(fence.lstrip(" "))


def _closes(line: str, fence: str) -> bool:
    mark, written = fence.strip(" "), line.strip(" \t")
    indented_code = line.expandtabs(4).startswith("    ")
    return not indented_code and written.startswith(mark) and not written.strip(mark[0])
