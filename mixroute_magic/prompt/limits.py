"""How much of a value stands in a prompt: the limits of each kind, and the form in which the rest is told."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "ARRAY_HEAD",
    "ARRAY_VALUES",
    "CELL_CHARACTERS",
    "CHARACTERS",
    "COLUMNS",
    "FRAMES",
    "HEAD_ROWS",
    "NAMES",
    "ROWS",
    "TEXT_CHARACTERS",
    "Shown",
    "counts",
    "cut",
]

TEXT_CHARACTERS = 100_000
"""Of a string."""
CHARACTERS = 20_000
"""Of anything else: source code, the text of a list, a dict or another object, a traceback."""
ROWS, HEAD_ROWS, COLUMNS = 60, 20, 20
"""Of a DataFrame or a Series; like pandas' own display, a longer one shows fewer rows than one that still fits."""
CELL_CHARACTERS = 500
"""Of one cell of a DataFrame."""
ARRAY_VALUES, ARRAY_HEAD = 1_000, 10
"""Values that an array may have to be shown whole; else its first ones, along its last two axes."""
FRAMES = 12
"""Of a traceback."""
NAMES = 200
"""Public names of a module."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A value as it stands in a prompt.

    ``notice`` says for people how it was shortened, without a subject (``shortened to 20 of 1,000 rows``); it is empty
    where the text is whole. The text tells the model the same.
    """

    text: str
    notice: str = ""


def cut(text: str, most: int = CHARACTERS) -> Shown:
    """Return the beginning of a text, no longer than ``most`` characters; no more than that is copied."""
    if len(text) <= most:
        return Shown(str(text))
    what = counts(most, len(text), "characters")
    return Shown(f"{text[:most]}\n(… the first {what})", f"shortened to {what}")


def counts(some: int, everything: int, noun: str) -> str:
    """Return how much there is of how much: ``20 of 1,000 rows``."""
    return f"{some:,} of {everything:,} {noun}"
