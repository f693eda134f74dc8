"""How much of a value stands in a prompt: the limit of each kind, and how the rest is told."""

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
"""Of a DataFrame or a Series: as in pandas' own display, one that is too long shows fewer rows than one that fits."""
CELL_CHARACTERS = 500
"""Of one cell of a DataFrame."""
ARRAY_VALUES, ARRAY_HEAD = 1_000, 20
"""Values of an array that is shown whole; of a larger one this many along each of its last two axes."""
FRAMES = 12
"""Of a traceback."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A value as it stands in a prompt.

    ``notice`` tells people how it was shortened, without a subject (``shortened to 20 of 1,000 rows``); it is empty
    where the text is whole. A shortened text says so itself, too, for the model.
    """

    text: str
    notice: str = ""


def cut(text: str, most: int = CHARACTERS) -> Shown:
    """Return a text, or the first ``most`` characters of it; no more than that is copied."""
    if len(text) <= most:
        return Shown(str(text))
    what = counts(most, len(text), "characters")
    return Shown(f"{text[:most]}\n(… the first {what})", f"shortened to {what}")


def counts(some: int, everything: int, noun: str) -> str:
    """Return how much there is of how much: ``20 of 1,000 rows``."""
    return f"{some:,} of {everything:,} {noun}"
