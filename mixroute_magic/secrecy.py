"""A key in a text: found in every way in which it is commonly written, taken out, also of a text that comes in pieces.

Somebody who wants to hide a key can always do so; this is about what repeats it without meaning to: gateways that quote
it, URLs, JSON within JSON, an ``Authorization`` header in base64, a text that was cut in its middle.
"""

from __future__ import annotations

import base64
import json
import re
from functools import cached_property, wraps
from html import escape
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Filter", "Secret", "unseen", "without_any_key"]

P = ParamSpec("P")
T = TypeVar("T")

_HIDDEN = "sk-…"
_SHORTEST = 8  # characters: what a local server takes for a key, such as "demo", is a word like others
_PART = 16  # characters: keys of one provider begin alike, as in "sk-ant-api03-"
_BEGUN = 3  # characters that may be the beginning of the key: fewer are in too many words to wait for what follows

# A gateway may quote a key that is not ours, whole or masked ("sk-Qq***", "sk-Qq...").
_ANY_KEY = r"(?<![A-Za-z0-9])[sS][kK]-(?:[\w*-]{6,}|[\w-]{0,12}(?:\*{2,}|\.{2,}|…|•+)[\w*-]*)"


def without_any_key(text: str) -> str:
    """Return a text without what looks like a key, whosoever it is."""
    return re.sub(_ANY_KEY, _HIDDEN, text)


def unseen(work: Callable[P, T]) -> Callable[P, T]:
    """Let no error tell where in some work it came, as ``%xmode Verbose`` shows what variables hold there: keys."""

    @wraps(work)
    def shielded(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return work(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001 - Ctrl-C, or what a signal's handler raises
            raise error.with_traceback(None) from error.__cause__

    return shielded


class Secret:
    """Keys that must not be seen, as they may stand in a text; none of fewer than eight characters is one.

    A third of a key, 16 characters at least, is as good as the whole: a text may have been cut in its middle.
    """

    def __init__(self, *keys: str) -> None:
        self._given = keys
        self._keys = tuple(key for key in keys if len(key) >= _SHORTEST)

    @cached_property
    def _forms(self) -> dict[str, list[tuple[str, str, str]]]:
        """How the keys may be written, in small letters: whole, their first part, their last; by what all such have."""
        found: dict[str, dict[str, tuple[str, str, str]]] = {}
        for key in self._keys:
            part = max(_PART, len(key) // 3)
            for form in map(str.lower, _written(key)):
                some = min(len(form), part * len(form) // len(key))
                found.setdefault(_mark(form), {})[form] = form, form[:some], form[-some:]
        return {mark: list(forms.values()) for mark, forms in found.items()}

    @cached_property
    def _longest(self) -> int:
        return max((len(form) for forms in self._forms.values() for form, _, _ in forms), default=0)

    @cached_property
    def _begun(self) -> dict[str, list[str]]:
        """The ways to write the keys, by their first characters."""
        whole = [form for forms in self._forms.values() for form, _, _ in forms]
        return {start: [form for form in whole if form.startswith(start)] for start in {f[:_BEGUN] for f in whole}}

    @cached_property
    def _starts(self) -> tuple[str, ...]:
        """What stands in a text in which a key begins: its first characters, or the mark of an escape."""
        return (*{form[:_BEGUN] for form, _, _ in self._forms.get("", ())}, *filter(None, self._forms))

    def made_of(self, *keys: str) -> Secret:
        """Return the secret of these keys, itself where it is that."""
        return self if keys == self._given else Secret(*keys)

    @unseen
    def is_in(self, text: str) -> bool:
        """Say whether a text gives a key away."""
        return bool(self._places(_lower(text)))

    @unseen
    def hidden(self, text: str, since: int = 0) -> str:
        """Return a text, from its character ``since`` on, without the keys."""
        parts, end = [], since
        for first, last in self._places(_lower(text)):
            if last > end:
                parts += [text[end:first], _HIDDEN[max(0, end - first) :] if first < end else _HIDDEN]
                end = last
        return "".join([*parts, text[end:]])

    @unseen
    def may_be_in(self, text: str) -> bool:
        """Say whether the first characters of a key stand in a text; without them it has none that is not cut."""
        lower = text.lower()
        for start in self._starts:  # noqa: SIM110 - takes a third of the time of `any`
            if start in lower:
                return True
        return False

    @unseen
    def begins(self, text: str) -> int:
        """Return where at the end of a text a key may have begun; its length, where none has."""
        end = _lower(text[-self._longest :]) if self._keys else ""
        found = [
            place
            for start, forms in self._begun.items()
            if start in end
            for place in _all(start, end)
            if any(form.startswith(end[place:]) for form in forms)
        ]
        return len(text) - len(end) + min(found, default=len(end))

    def _places(self, text: str) -> list[tuple[int, int]]:
        """Return from where to where parts of keys stand in a text of small letters."""
        found = []
        for mark, forms in self._forms.items():
            for form, first, last in forms if mark in text else ():
                if first in text:
                    begun = _all(first, text)
                    found += [(place, place + _same(form, text[place : place + len(form)])) for place in begun]
                if last in text:
                    ends = [place + len(last) for place in _all(last, text)]
                    found += [(end - _same(form[::-1], text[max(0, end - len(form)) : end][::-1]), end) for end in ends]
        return sorted(found)

    def __bool__(self) -> bool:
        return bool(self._keys)

    def __repr__(self) -> str:
        return "Secret(…)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not written to files")


class Filter:
    """Takes keys out of a text that comes in pieces: what may be the beginning of one waits for what follows."""

    def __init__(self, secret: Secret) -> None:
        self._secret = secret
        self._before = self._held = ""

    def add(self, piece: str) -> str:
        """Return what can be shown, now that this has come, too."""
        known = f"{self._before}{self._held}{piece}"
        out = len(self._before)  # these characters are shown already: too few to wait
        if not self._secret.may_be_in(known):  # nearly always, and thousands of times in an answer
            self._before, held, self._held = known[1 - _BEGUN :], self._held, ""
            return held + piece
        end = max(out, self._secret.begins(known))
        self._held = known[end:]
        self._before = known[:end][1 - _BEGUN :]
        return self._secret.hidden(known[:end], out)

    def end(self) -> str:
        """Return what has been waiting, when nothing more comes."""
        known, out = self._before + self._held, len(self._before)
        self._held = ""
        return self._secret.hidden(known, out)


def _written(key: str) -> Iterator[str]:
    """Yield the ways to write a key: as it is, escaped in part or whole, in hexadecimal digits, in base64."""
    yield key
    yield quote(key, safe="", errors="surrogatepass")  # the environment may hold any bytes
    yield json.dumps(key)[1:-1]
    yield repr(key)[1:-1]
    yield escape(key)
    for write in _ESCAPED:
        yield "".join(c if c.isalnum() else write(c) for c in key)
        yield "".join(map(write, key))
    data = key.encode("utf-8", "surrogatepass")
    yield data.hex()
    for place in range(3):  # in the three bytes that become four characters
        coded = base64.b64encode(bytes(place) + data).decode()[(0, 2, 3)[place] :]
        whole = coded[: len(coded) - (0, 3, 2)[(place + len(data)) % 3]]  # the last characters depend on what follows
        yield whole
        yield whole.translate({ord("+"): "-", ord("/"): "_"})


_ESCAPED: tuple[Callable[[str], str], ...] = (
    lambda c: f"%{ord(c):02x}",
    lambda c: f"\\u{ord(c):04x}",
    lambda c: f"\\x{ord(c):02x}",
    lambda c: f"\\{c}",
    lambda c: f"&#{ord(c)};",
    lambda c: f"&#x{ord(c):x};",
)


def _mark(form: str) -> str:
    """Return what stands in every text in which a key is escaped like this; nothing where it is not escaped."""
    return next((mark for mark in ("%", "\\", "&") if mark in form), "")


def _lower(text: str) -> str:
    """Return a text in small letters, of the same length."""
    lower = text.lower()
    return lower if len(lower) == len(text) else "".join(map(_lower_one, text))


def _lower_one(character: str) -> Any:
    return character.lower()[:1]


def _all(part: str, text: str) -> Iterator[int]:
    place = text.find(part)
    while place >= 0:
        yield place
        place = text.find(part, place + 1)


def _same(one: str, other: str) -> int:
    """Return how many characters are the same from the beginning."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (left, right) in pairs if left != right), min(len(one), len(other)))
