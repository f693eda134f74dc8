"""Markdown that grows: what is finished becomes HTML once, the rest stays source text."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mixroute_magic.display.markdown import block_tokens, is_closed, parser
from mixroute_magic.outside import without_controls

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it.token import Token

__all__ = ["Blocks", "Frame"]

_ENDED_BY_BLANK_LINE = frozenset({"paragraph_open", "table_open", "blockquote_open", "heading_open", "hr"})
_CODE_LINES = 40  # of an open block of code, after which its lines are closed as they come
_ENDLESS = "~" * 1000  # begins a block of code that no line ends
_IN_AN_ITEM = 2  # the level of what stands in the items of a list
_FIRST_TAG = re.compile(r"<(pre|ul|ol)\b")


@dataclass(frozen=True, slots=True)
class Frame:
    """What changed in a streamed answer since the last look.

    ``text`` is appended to the source, and ``html`` to what was closed of it: the first ``closed`` characters (UTF-16,
    as a page counts) of what had been open. ``code`` tells that what is open now goes on with a block of code.
    """

    text: str = ""
    html: str = ""
    closed: int = 0
    code: bool = False

    def __add__(self, other: Frame) -> Frame:
        return Frame(self.text + other.text, self.html + other.html, self.closed + other.closed, other.code)


class Blocks:
    """Markdown that grows: each block becomes HTML once, when nothing that follows can change it.

    The rest stays source text. A long list is closed item by item, and a long block of code in blocks of lines: these
    parts are marked (``mr-on``), so that a page can join them. Only whole lines are parsed, since half a line may turn
    into anything, and a long open block is looked at again only after it has grown by an eighth, which keeps the cost
    linear. ``plain`` text is not Markdown: all of it is one block of code.
    """

    def __init__(self, *, plain: bool = False) -> None:
        self._open = ""
        self._unsent = 0
        self._new_line = False
        self._look_at = 0
        self._env: dict[str, Any] = {}
        self._plain = plain
        self._inserted = Frame()  # what was closed since the last look for something to be put below it
        self._fence = _ENDLESS if plain else ""  # what began the open block of code, of which lines were closed
        self._goes_on = False  # whether what is open begins within a list or a block of code
        self._loose = False  # whether the items of that list are paragraphs
        self._number = 1  # of the first open item, since whoever writes may count 1, 1, 1

    def add(self, text: str) -> None:
        """Append the next piece of the answer."""
        piece = without_controls(text)
        self._open += piece
        self._unsent += len(piece)
        self._new_line = self._new_line or "\n" in piece

    def insert(self, html: str) -> None:
        """Put a block of HTML below what has come so far, of which nothing stays open."""
        self.add("\n" if self._plain else "\n\n")  # whoever copies the source finds what follows apart
        frame = self.take(ended=True)
        self._inserted = replace(frame, html=frame.html + html)
        self._fence = _ENDLESS if self._plain else ""

    def take(self, *, ended: bool = False) -> Frame:
        """Return what has changed since the last call; where the answer has ended, nothing stays open."""
        before, self._inserted = self._inserted, Frame()
        return before + self._changed(ended=ended)

    def _changed(self, *, ended: bool) -> Frame:
        text = self._open[len(self._open) - self._unsent :]
        self._unsent = 0
        if not ended and not (self._new_line and len(self._open) >= self._look_at):
            return Frame(text, code=bool(self._fence))
        before = self._open
        html = self._close(ended=ended)
        closed = before[: len(before) - len(self._open)]
        return Frame(text, html, len(closed.encode("utf-16-le", "surrogatepass")) // 2, bool(self._fence))

    def _close(self, *, ended: bool) -> str:
        """Render what is finished, and keep the rest open."""
        lines = self._open.split("\n")
        fence = [self._fence] if self._fence else []
        if ended:
            self._open = ""
            return self._rendered([*fence, *lines], len(fence) + len(lines))
        whole = [*fence, *lines[:-1]]  # the last line may still grow
        html, done = self._closed(whole)
        while done and done < len(whole) and not whole[done].strip() and not self._fence:
            done += 1  # blank lines belong to no block
        self._open = "\n".join(lines[done - len(fence) :]) if done else self._open
        self._look_at = len(self._open) * 9 // 8
        self._new_line = False
        return html

    def _closed(self, lines: Sequence[str]) -> tuple[str, int]:
        """Return the HTML of the finished lines, and how many these are."""
        tokens = block_tokens("\n".join([*lines, ""]))
        blocks = [token for token in tokens if token.level == 0 and token.map]
        if not blocks:
            return "", 0
        last = blocks[-1]
        start, end = last.map or (0, 0)
        if _is_finished(last, lines):
            return self._rendered(lines, end), end
        if last.type == "fence" and end - start > _CODE_LINES:
            html = self._rendered(lines, len(lines))
            self._fence, self._goes_on = lines[start], True
            return html, len(lines)
        if last.type in {"bullet_list_open", "ordered_list_open"}:
            return self._closed_items(lines, tokens, start)
        return self._rendered(lines, start), start

    def _closed_items(self, lines: Sequence[str], tokens: Sequence[Token], start: int) -> tuple[str, int]:
        """Close all items of the open list but the last one, with what stands above the list."""
        within = [token for token in tokens if token.map and token.map[0] >= start]
        items = [token.map[0] for token in within if token.type == "list_item_open" and token.level == 1 and token.map]
        html = self._rendered(lines, start)
        own = [token for token in within if token.type == "paragraph_open" and token.level == _IN_AN_ITEM]
        loose = self._loose or any(not token.hidden for token in own)
        self._loose = loose
        if items[-1] == start:
            return html, start
        number = self._number if self._goes_on else int(within[0].attrs.get("start", 1))
        html += self._rendered(lines, items[-1], start)
        self._goes_on, self._loose, self._number = True, loose, number + len(items) - 1
        return html, items[-1]

    def _rendered(self, lines: Sequence[str], end: int, start: int = 0) -> str:
        """Return lines as HTML; what goes on with the part above it is marked, and what ends here is ended."""
        if end == start:
            return ""
        tokens = parser().parse("\n".join([*lines[start:end], ""]), self._env)
        if self._loose:
            _show_paragraphs(tokens)
        if self._goes_on and tokens[0].type == "ordered_list_open":
            tokens[0].attrSet("start", str(self._number))
        html = parser().renderer.render(tokens, parser().options, self._env)
        html = _FIRST_TAG.sub(r'<\1 class="mr-on"', html, count=1) if self._goes_on else html
        self._fence, self._goes_on, self._loose = "", False, False
        return html


def _show_paragraphs(tokens: Sequence[Token]) -> None:
    """Let the items of the first list be paragraphs, as blank lines in another part of it have made them."""
    for token in tokens:
        token.hidden = token.hidden and token.level != _IN_AN_ITEM
        if token.level == 0 and token.nesting == -1:
            break


def _is_finished(block: Token, lines: Sequence[str]) -> bool:
    """Say whether nothing that follows can belong to a top-level block any more."""
    start, end = block.map or (0, 0)
    if block.type == "fence" and is_closed(lines[start:end], block.markup):
        return True
    return end < len(lines) and block.type in _ENDED_BY_BLANK_LINE
