"""Amounts of tokens, as people write them: ``200k``, ``1.5M``, ``200_000``, ``none``."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

__all__ = ["read_tokens", "typed_tokens"]

# A comma separates thousands, and nothing else: what half of Europe means by 1,5M is not 15M.
_AMOUNT = re.compile(r"(\d{1,3}(?:,\d{3})+|\d+(?:_\d+)*)(\.\d+)?\s*([km]?)", re.IGNORECASE)
_TIMES = {"": 1, "k": 1_000, "m": 1_000_000}
_MOST = 10**15  # what is more fits no database


def read_tokens(value: Any) -> int | None:
    """Return a number of tokens; ``None`` where it is ``none``, or nothing.

    Raises
    ------
    ValueError
        If it is no such number.
    """
    word = "" if value is None else str(value).strip()
    if word.lower() in {"", "none"}:
        return None
    found = _AMOUNT.fullmatch(word)
    number = Decimal(-1)
    if found:
        number = Decimal(found[1].replace(",", "") + (found[2] or "")) * _TIMES[found[3].lower()]
    if isinstance(value, bool) or not 0 <= number < _MOST or number % 1:
        raise ValueError("a number of tokens is needed, such as 200k, 1.5M or 200_000, or none")
    return int(number)


def typed_tokens(tokens: int) -> str:
    """Return at least so many tokens as a person would type them: two figures, such as ``12k`` or ``1.3M``."""
    unit = 10 ** max(0, len(str(tokens)) - 2)
    rounded = -(-tokens // unit) * unit
    letter = next((letter for letter in ("m", "k") if rounded >= _TIMES[letter]), "")
    return f"{Decimal(rounded) / _TIMES[letter]:f}{'M' if letter == 'm' else letter}"
