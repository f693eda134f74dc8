"""Amounts of tokens, as people write them: ``200k``, ``1.5M``, ``200_000``, ``none``."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["read_tokens"]

_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([km]?)", re.IGNORECASE)
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
    found = _AMOUNT.fullmatch(re.sub(r"(?<=\d)[_,](?=\d)", "", word))
    number = float(found[1]) * _TIMES[found[2].lower()] if found else -1.0
    if isinstance(value, bool) or not 0 <= number < _MOST or not number.is_integer():
        raise ValueError("a number of tokens is needed, such as 200k, 1.5M or 200_000, or none")
    return int(number)
