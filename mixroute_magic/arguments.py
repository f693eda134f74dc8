"""Reads a magic's line by its declared options: one tokeniser, with a shell's quoting.

A dataclass declares what a magic takes: each field tells its flags, the name of its value, what it is for and how it is
read. The parser and the help that ``%chat?`` shows are made from that.
"""

from __future__ import annotations

import re
from dataclasses import MISSING, Field, field, fields
from textwrap import indent
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = [
    "FLAG",
    "OptionError",
    "Options",
    "did_you_mean",
    "help_for",
    "option",
    "read",
    "read_value",
    "refuse_key",
    "short",
]


class OptionError(Exception):
    """A magic's line cannot be read; the message is one line that says what to do."""


class Options:
    """One magic: what it does, how it is written, two examples. Its options are the fields of its subclasses."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    magic: ClassVar[str]
    about: ClassVar[str]
    usage: ClassVar[tuple[str, ...]]
    examples: ClassVar[tuple[str, ...]]


def option(*flags: str, about: str, value: str = "", read: Callable[[str], Any] = str, default: Any = None) -> Any:
    """Declare an option: without flags it is a word on its own, without a value a switch, in brackets optional.

    One with ``()`` or ``dict`` as its default can be given several times.
    """
    kept: dict[str, Any] = {"default_factory": default} if default is dict else {"default": default}
    metadata = {"flags": flags, "value": value, "about": about, "read": read if value else bool}
    return field(**kept, metadata=metadata)


Taken = TypeVar("Taken", bound=Options)

# Patterns stay text until a line is read: compiling them would make loading a third dearer.

FLAG = r"-[-A-Za-z]"
"""How a flag begins: a number may be a value or a question, only a letter or a second dash makes a flag."""

# Also glued to a short option, so that no error message repeats it.
# With dashes in it, only a digit tells it from words such as sk-learn-compatible-estimators.
_KEY = r"(?<![A-Za-z0-9])(?:-[A-Za-z])?sk-(?:[A-Za-z0-9]{16}|(?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{16})"

_PIECE = r"""'(?P<single>[^']*)'|"(?P<double>(?:\\.|[^"\\])*)"|\\(?P<escaped>.)|(?P<plain>[^\s'"\\]+|\\\Z)"""


def read(kind: type[Taken], line: str) -> tuple[Taken, str]:
    """Read options, and as many words as ``kind`` has names for; return them and the rest as it stands."""
    refuse_key(line)
    by_flag = {flag: option for option in fields(kind) for flag in option.metadata["flags"]}
    words = [option for option in fields(kind) if not option.metadata["flags"]]
    values: dict[str, Any] = {}
    rest = line.lstrip()
    while rest:
        if re.match(FLAG, rest):
            word, rest = _first_word(rest)
            if word == "--":
                break
            flag = word.partition("=")[0]
            if flag not in by_flag:
                hint = did_you_mean(flag, by_flag)
                raise OptionError(f"no option {flag}{hint and ': ' + hint} (%{kind.magic}? shows all)")
            value, rest = _value(by_flag[flag], word, rest)
            _keep(values, by_flag[flag], flag, value)
        elif words:
            value, rest = _first_word(rest)
            _keep(values, words.pop(0), f"%{kind.magic}", value)
        else:
            break
    return kind(**values), rest


def read_value(kind: type[Options], name: str, text: str) -> Any:
    """Read the value of one option as it would be read on the magic's line."""
    refuse_key(text)
    (option,) = (option for option in fields(kind) if option.name == name)
    try:
        return option.metadata["read"](text)
    except ValueError as error:
        raise OptionError(f"{short(text)}: {error}") from None


def refuse_key(text: str, is_ours: Callable[[str], bool] = lambda _text: False) -> None:
    """Raise `OptionError`, without repeating it, when a text holds an API key, or the one that ``is_ours``."""
    if re.search(_KEY, text) or is_ours(text):
        raise OptionError("this holds an API key, which the notebook would keep: delete it and use %mixroute login")


def help_for(kind: type[Options]) -> str:
    """Return a magic's help: what it does, how it is written, all options, two examples."""
    rows = [(_label(option), option.metadata["about"]) for option in fields(kind)]
    width = max((len(label) for label, _ in rows), default=0)
    options = "\n".join(f"{label:{width}}  {about}" for label, about in rows)
    parts = {"Usage": "\n".join(kind.usage), "Options": options, "Examples": "\n\n".join(kind.examples)}
    shown = [f"{title}:\n{indent(text, '    ')}" for title, text in parts.items() if text]
    return "\n\n".join([kind.about, *shown])


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the question that names the nearest known word; empty where none is near."""
    from difflib import get_close_matches

    known = list(known)
    begun = [name for name in known if word and name.startswith(word)]
    near = begun or get_close_matches(word, known, n=1, cutoff=0.55)
    return f"did you mean {near[0]}?" if near else ""


def short(text: str) -> str:
    """Return as much of a text as fits into one line of an error."""
    first = text.partition("\n")[0]
    return f"{first[:40]}…" if text != first[:40] else text


def _first_word(line: str) -> tuple[str, str]:
    """Split off the first word, unquoted as a POSIX shell does."""
    word = ""
    while line and not line[0].isspace():
        piece = re.match(_PIECE, line, re.DOTALL)
        if not piece:
            raise OptionError(f"the quote {line[0]} is not closed: close it, or write \\{line[0]} for the character")
        text = piece[str(piece.lastgroup)]
        word += re.sub(r'\\([\\"$`])', r"\1", text) if piece.lastgroup == "double" else text
        line = line[piece.end() :]
    return word, line.lstrip()


def _value(option: Field[Any], word: str, rest: str) -> tuple[str, str]:
    """Find an option's value, behind its ``=`` or in the next word; return it and the rest of the line.

    A switch's value is its own flag.
    """
    flag, equals, value = word.partition("=")
    wanted = option.metadata["value"]
    if equals and not wanted:
        raise OptionError(f"{flag} takes no value")
    if not wanted:
        return flag, rest
    if equals:
        return value, rest
    if rest and not re.match(FLAG, rest):
        return _first_word(rest)
    if wanted.startswith("["):
        return "", rest
    raise OptionError(f"{flag} needs a value: {flag} {wanted}")


def _keep(values: dict[str, Any], option: Field[Any], flag: str, word: str) -> None:
    try:
        value = option.metadata["read"](word)
    except ValueError as error:
        raise OptionError(f"{flag} {short(word)}: {error}") from None
    name = option.name
    if option.default == ():
        values[name] = (*values.get(name, ()), value)
        return
    if option.default_factory is not MISSING:
        name, value = value
        flag, values = f"{flag} {name}", values.setdefault(option.name, {})
    if name in values:
        raise OptionError(f"{flag} is given twice: give it once")
    values[name] = value


def _label(option: Field[Any]) -> str:
    return f"{', '.join(option.metadata['flags'])} {option.metadata['value']}".strip()
