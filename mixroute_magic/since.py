"""Reads a moment of the past as people write it: ``7d``, ``12h``, ``2026-11-01``."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

__all__ = ["read_since"]

_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


def read_since(word: str, now: datetime | None = None) -> datetime:
    """Return the moment in UTC; a date without a time is its midnight, and both are local unless they say otherwise.

    Raises
    ------
    ValueError
        If it is none, or lies in the future, where nothing is recorded yet.
    """
    now = now or datetime.now(UTC)
    try:
        ago = re.fullmatch(r"([0-9]+)([hdw])", word, re.ASCII)
        moment = now - timedelta(**{_UNITS[ago[2]]: int(ago[1])}) if ago else _date(word)
    except (ValueError, OverflowError, OSError):
        raise ValueError("write 12h, 7d, 2w, 2026-11-01 or 2026-11-01T08:00") from None
    if moment > now:
        raise ValueError("that moment is still to come")
    return moment


def _date(word: str) -> datetime:
    if not re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", word):  # other forms of ISO 8601, such as 20261101, look like counts
        raise ValueError
    return datetime.fromisoformat(word).astimezone(UTC)
