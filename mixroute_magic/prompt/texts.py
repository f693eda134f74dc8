"""The text of a value as Python writes it, of which only as much is made as is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mixroute_magic.prompt.limits import CHARACTERS, Shown, cut

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["beginning", "written"]

_SLICED = (str, bytes, bytearray)
_BRACKETS: dict[type, tuple[str, str]] = {
    list: ("[", "]"),
    tuple: ("(", ")"),
    set: ("{", "}"),
    frozenset: ("frozenset({", "})"),
    dict: ("{", "}"),
}


def written(value: Any) -> Shown:
    """Return the text of a value that has no other form."""
    if type(value) not in _BRACKETS and not isinstance(value, bytes | bytearray):
        return cut(str(value))
    text = beginning(value, CHARACTERS + 1)
    if len(text) <= CHARACTERS:
        return Shown(text)
    what = f"{CHARACTERS:,} characters of a {type(value).__name__} of {len(value):,}"
    return Shown(f"{text[:CHARACTERS]}\n(… the first {what})", f"shortened to {what}")


def beginning(value: Any, most: int) -> str:
    """Return the first ``most`` characters of a value's text: the same as of ``str(value)``."""
    if isinstance(value, str):
        return str(value[:most])
    if type(value) not in _BRACKETS:
        return str(value[:most] if isinstance(value, bytes | bytearray) else value)[:most]
    parts: list[str] = []
    for part in _parts(value, most):
        parts.append(part)
        most -= len(part)
        if most <= 0:
            parts[-1] = part[: len(part) + most]
            break
    return "".join(parts)


def _parts(value: Any, most: int, around: tuple[int, ...] = ()) -> Iterator[str]:
    """Yield the ``repr`` of a value part by part; whoever has enough stops.

    ``around`` are the containers that it stands in: one that stands in itself is an ellipsis, as it is to Python.
    """
    kind = type(value)
    if kind in _SLICED:
        yield repr(value[:most])
    elif kind not in _BRACKETS or not value:
        yield repr(value)
    elif id(value) in around:
        yield "...".join(_BRACKETS[kind])
    else:
        opening, closing = _BRACKETS[kind]
        yield opening
        for place, item in enumerate(value):
            yield ", " if place else ""
            yield from _parts(item, most, (*around, id(value)))
            if kind is dict:
                yield ": "
                yield from _parts(value[item], most, (*around, id(value)))
        yield "," if kind is tuple and len(value) == 1 else ""
        yield closing
