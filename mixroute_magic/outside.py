"""What comes from outside: text that may hide or turn round what it says, and JSON that may be nested without end.

Answers, names that a gateway or a notebook tells, and records in downloaded notebooks are anybody's. Pure.
"""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["MOST_NESTED", "is_visible", "load_json", "name_of", "visible", "whole_characters", "without_controls"]

MOST_NESTED = 100
"""Levels of JSON that mean something; with more of it Python's own readers and writers fail, each at another depth."""

# Control characters but line feed and tab; and format characters that no script needs: those that turn the order of
# what is read round (Trojan Source, CVE-2021-42574), and those that hide between letters. Joiners and marks stay.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]")
# Printable, as Python has it, and not seen: Unicode's Default_Ignorable_Code_Point that are letters or marks.
_IGNORED = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_OF_WRITING = "\u00a0\u3000\u200c\u200d\ufe0e\ufe0f"  # spaces of ours, and what joins letters and emoji


def without_controls(text: str) -> str:
    r"""Return ``text`` without characters that act or hide: all control characters but ``\n`` and ``\t``, and a few."""
    return _CONTROLS.sub("", text)


def visible(text: str, *, also: str = _OF_WRITING) -> str:
    """Return ``text`` on one line, with what is not seen written as JSON does, but for what stands in ``also``."""
    return "".join(one if one in also or is_visible(one) else json.dumps(one)[1:-1] for one in text)


def is_visible(text: str) -> bool:
    """Say whether everything in a text is seen."""
    return text.isprintable() and not _IGNORED.search(text)


def whole_characters(text: str) -> str:
    """Join halves of characters that belong together, and put a replacement in the place of those that stay alone.

    JSON may hold such halves, which nothing can show, keep or send.
    """
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def name_of(value: Any) -> str:
    """Return a code, a type or an id as text: some gateways send numbers."""
    return str(value) if isinstance(value, str | int) else ""


def load_json(text: str | bytes) -> Any:
    """Return the value of JSON.

    Raises
    ------
    ValueError
        If it is none, or nested deeper than `MOST_NESTED`.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    brackets = (text.count("[") + text.count("{")) if isinstance(text, str) else (text.count(b"[") + text.count(b"{"))
    if brackets > MOST_NESTED and _is_deep(value):
        raise ValueError("it is nested too deeply")
    return value


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MOST_NESTED):
        inside = (inner for outer in level for inner in (outer.values() if isinstance(outer, dict) else outer))
        level = [inner for inner in inside if isinstance(inner, dict | list)]
        if not level:
            return False
    return True
