"""Keeps ``%chat why?`` a question.

IPython reads any line that ends in ``?`` as a request for help, before a magic sees it. `keep_questions` runs before
that and writes such a line as the call that IPython would have made of it without the question mark.
"""

from __future__ import annotations

import re

__all__ = ["keep_questions"]

# Patterns stay text until a cell may hold a question: loading the extension should not pay for compiling them.

# How a line of IPython's own begins: perhaps indented, perhaps assigned to something.
_LEAD = r"""(?P<lead> [ \t]* (?: (?: "[^"\n]*" | '[^'\n]*' | [^\n=%"'\#] )+ =[ \t]* )? )"""

_QUESTION = _LEAD + r"%chat[ ] (?P<words> (?:[^\n]*\\\n)* [^\n]* \? ) [^\S\n]* (?=\n|\Z)"

# Any other line of IPython's: its quotes and brackets are not Python's.
_ESCAPED = _LEAD + r"[%!?,;/] (?:[^\n]*\\\n)* [^\n]*"

# What decides whether a new line starts a statement. A triple-quoted string may be open at the cell's end.
_PYTHON = r"""
    (?P<text> \"{3}(?:\\.|[^\\])*?(?:\"{3}|\Z) | '{3}(?:\\.|[^\\])*?(?:'{3}|\Z)
            | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*' | \#[^\n]* | \\\n )
    | (?P<open> [(\[{] ) | (?P<close> [)\]}] ) | (?P<newline> \n )
"""


def keep_questions(lines: list[str]) -> list[str]:
    """Return a cell's lines with every ``%chat words?`` made a call of the magic; an input transformer's shape.

    Help (``%chat?``, ``?%chat``), cell magics, and what only looks like a question inside a string or between
    brackets stay as they are.
    """
    cell = "".join(lines)
    if cell.startswith("%%") or "%chat " not in cell or "?" not in cell:
        return lines
    question_at = re.compile(_QUESTION, re.VERBOSE).match
    kept = []
    start = 0
    while start < len(cell):
        if question := question_at(cell, start):
            kept.append(question["lead"] + _call(question["words"]))
            start = question.end()
        end = _end_of_statement(cell, start)
        kept.append(cell[start:end])
        start = end
    return "".join(kept).splitlines(keepends=True)


def _call(words: str) -> str:
    words = words.replace("\\\n", " ")
    if not words.strip(" ?"):
        return f"%chat{words.strip()}"
    return f"get_ipython().run_line_magic('chat', {words!r})"


def _end_of_statement(cell: str, start: int) -> int:
    """Return where the next statement starts, by strings, brackets and backslashes.

    Python's own tokenizer is no help: what it makes of a line that is not Python differs from version to version.
    """
    if escaped := re.compile(_ESCAPED, re.VERBOSE).match(cell, start):
        start = escaped.end()
    depth = 0
    for piece in re.compile(_PYTHON, re.VERBOSE | re.DOTALL).finditer(cell, start):
        if piece.lastgroup == "open":
            depth += 1
        elif piece.lastgroup == "close":
            depth = max(depth - 1, 0)
        elif piece.lastgroup == "newline" and depth == 0:
            return piece.end()
    return len(cell)
