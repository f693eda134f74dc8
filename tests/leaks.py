"""Finds a key in what has left a kernel, however it is written; and what a whole run of tests leaked."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from scripted import Asked

MARK = "sk-test-key"
"""How the keys of the tests begin. One that a test has to show, as in a cell that is refused, begins in another way."""

FOUND: list[str] = []
"""What leaked in this run of tests, or this worker's part of it; `conftest` lets the run fail of it."""

_LARGEST = 20_000_000  # bytes of a file that is looked into: those of the tests have fewer


def _encoded(key: str) -> Iterator[str]:
    yield key
    yield from ("".join(form.format(ord(c)) for c in key) for form in ("%{:02x}", "\\u{:04x}", "\\x{:02x}", "&#{};"))
    yield from ("".join(c if c.isalnum() else form.format(ord(c)) for c in key) for form in ("%{:02x}", "\\u{:04x}"))
    yield key.encode().hex()
    for before in range(3):
        coded = base64.b64encode(bytes(before) + key.encode()).decode().rstrip("=")
        yield coded[(0, 2, 3)[before] : -1]


def forms(key: str, part: float = 1.0) -> set[bytes]:
    """Return what must stand nowhere, in small letters: of each encoding every piece of this part of its length."""
    found = set()
    for form in _encoded(key):
        length = round(part * len(form))
        found |= {form[place : place + length].lower().encode() for place in range(len(form) - length + 1)}
    return found


def leaked(known: Iterable[bytes], what: str, data: bytes) -> list[str]:
    """Return where one of the forms of a key stands in data, in a line each."""
    lower = data.lower()
    places = [(lower.find(form), form) for form in known if form in lower]
    return [f"{what}: …{data[max(0, place - 80) : place + len(form) + 20]!r}" for place, form in sorted(places)[:1]]


def outside_its_header(asked: Asked) -> bytes:
    """Return a request without the one header in which the key belongs."""
    headers = [f"{name}: {value}" for name, value in asked.headers.items() if name != "authorization"]
    return "\n".join([asked.line, *headers, ""]).encode() + asked.raw_body


def written(messages: Any) -> bytes:
    """Return messages of a kernel as they were sent, more or less."""
    return json.dumps(messages, default=repr, ensure_ascii=False).encode("utf-8", "backslashreplace")


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the files below a folder."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.stat().st_size < _LARGEST:
            yield str(path), path.read_bytes()


_MARKS = forms(MARK)


def look(what: str, data: bytes) -> None:
    """Keep in mind where a key of the tests stands."""
    FOUND.extend(leaked(_MARKS, what, data))


def look_in_files(folder: Path) -> None:
    """Keep in mind in which files below a folder a key of the tests stands."""
    for name, data in files(folder):
        look(name, data)
