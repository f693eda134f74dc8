"""What the magics answer with: small tables as HTML, Markdown and text, drawn from the same strings."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from mixroute_magic.outside import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Table", "counted", "markdown_text"]

_SHORT = 45  # characters


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table that shows itself in a notebook, in a terminal and on GitHub.

    ``numbers`` are the columns set flush right; the first column names its row. Without a header the table is a list
    of names and values. ``notes`` stand below; ``caption`` alone is a sentence. ``record`` stays in the output's
    metadata, from where a restarted kernel reads it back.
    """

    caption: str
    header: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    notes: Sequence[str] = ()
    numbers: frozenset[int] = frozenset()
    record: Mapping[str, Any] | None = None

    def __repr__(self) -> str:
        table = [[_one_line(cell) for cell in row] for row in [*([self.header] if self.header else []), *self.rows]]
        widths = [max(map(_width, column)) for column in zip(*table, strict=True)]
        if self.header:
            table.insert(1, ["─" * width for width in widths])
        lines = "\n".join(self._text_row(row, widths) for row in table)
        return "\n\n".join(filter(None, [_one_line(self.caption), lines, "\n".join(map(_one_line, self.notes))]))

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, str], dict[str, Any]]:
        data = {"text/plain": repr(self), "text/markdown": self.to_markdown(), "text/html": self.to_html()}
        return data, {"mixroute": dict(self.record)} if self.record else {}

    def to_markdown(self, written: Callable[[str], str] | None = None) -> str:
        """Return the table as GitHub's Markdown, its texts ``written`` so that they mean nothing."""
        written = written or markdown_text
        parts = [written(self.caption)]
        if self.rows:
            header = list(self.header) or [""] * len(self.rows[0])
            rule = ["--:" if column in self.numbers else ":--" for column in range(len(header))]
            rows = [[written(cell) for cell in row] for row in (header, *self.rows)]
            parts.append("\n".join(f"| {' | '.join(row)} |" for row in (rows[0], rule, *rows[1:])))
        return "\n\n".join([*parts, *map(written, self.notes)])

    def to_html(self) -> str:
        """Return the table as HTML that takes the front end's own style."""
        if not self.rows:
            return "".join(f"<p>{escape(_one_line(text))}</p>" for text in (self.caption, *self.notes))
        head = "".join(self._cell("th", "col", column, text) for column, text in enumerate(self.header))
        body = "".join(f"<tr>{self._html_row(row)}</tr>" for row in self.rows)
        table = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>" if head else f"<tbody>{body}</tbody>"
        wrap = "normal" if len(self.caption) > _SHORT else "nowrap"  # a narrow table would break a short one, too
        caption = f'<caption style="text-align: left; white-space: {wrap}">{escape(_one_line(self.caption))}</caption>'
        return f"<table>{caption}{table}</table>" + "".join(
            f"<p><small>{escape(_one_line(note))}</small></p>" for note in self.notes
        )

    def _text_row(self, row: Sequence[str], widths: Sequence[int]) -> str:
        cells = []
        for column, (text, width) in enumerate(zip(row, widths, strict=True)):
            space = " " * (width - _width(text))
            cells.append(space + text if column in self.numbers else text + space)
        return "  ".join(cells).rstrip()

    def _html_row(self, row: Sequence[str]) -> str:
        first, *others = row
        return self._cell("th", "row", 0, first) + "".join(
            self._cell("td", "", column, text) for column, text in enumerate(others, start=1)
        )

    def _cell(self, tag: str, scope: str, column: int, text: str) -> str:
        attribute = f' scope="{scope}"' if scope else ""
        align = "right" if column in self.numbers else "left"
        return f'<{tag}{attribute} style="text-align: {align}">{escape(_one_line(text))}</{tag}>'


def counted(number: int, noun: str) -> str:
    """Return a number and what it counts, in the plural where there is not just one."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def markdown_text(text: str) -> str:
    """Return text so that Markdown shows it as it is: no markup, no HTML, no formula, one line."""
    return re.sub(r"([\\`*_\[\]|~$])", r"\\\1", escape(visible(" ".join(text.split())), quote=False))


def _one_line(text: str) -> str:
    """Return text on one line, with nothing in it that would move a terminal's cursor or is not seen."""
    return visible(re.sub(r"[\t\n\r\f\v]", " ", text))


def _width(text: str) -> int:
    """Return how many columns text takes in a terminal: Chinese characters take two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)
