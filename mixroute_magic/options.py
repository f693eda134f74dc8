"""What each magic takes: its options as a frozen dataclass, read by one tokeniser.

The dataclasses are the table. A field tells its flags, the name of its value, what it is for and how it is read; the
parser and the help that ``%chat?`` shows are made from that.
"""

from __future__ import annotations

import json
import keyword
import re
import unicodedata
from contextlib import suppress
from dataclasses import MISSING, Field, dataclass, field, fields
from textwrap import indent
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = [
    "ChatOptions",
    "ModelOptions",
    "OptionError",
    "SetupOptions",
    "ThreadOptions",
    "UsageOptions",
    "help_text",
    "parse_chat_cell",
    "parse_chat_line",
    "parse_model",
    "parse_setup",
    "parse_thread",
    "parse_usage",
    "refuse_empty",
    "refuse_key",
]


class OptionError(Exception):
    """A magic's line cannot be read; the message is one line that says what to do."""


# How a value is read. A ValueError's text ends the line that the user sees.


def _temperature(word: str) -> float:
    with suppress(ValueError):
        if 0 <= (number := float(word)) <= 2:  # noqa: PLR2004 - the range that the API documents
            return number
    raise ValueError("a number from 0 to 2 is needed")


def _token_count(word: str) -> int:
    if not re.fullmatch(r"0*[1-9][0-9]*", word):
        raise ValueError("a whole number of at least 1 is needed")
    return int(word)


def _model_name(word: str) -> str:
    if not word.strip():
        raise ValueError("a model's name is needed (%model --list shows them)")
    return word


def _param(word: str) -> tuple[str, Any]:
    key, equals, value = word.partition("=")
    if not (key and equals):
        raise ValueError("write KEY=VALUE, as in top_p=0.9")
    if key in {"messages", "model"}:
        raise ValueError(f"{key} is no parameter: the cells make the messages, and the model has its own option")
    try:
        return key, json.loads(value, parse_constant=str)  # NaN is not JSON: it stays text
    except ValueError:
        return key, value


def _thread_name(word: str) -> str:
    name = unicodedata.normalize("NFC", word)
    if not re.match(r"[^-]", name) or any(c not in "-_." and unicodedata.category(c)[0] not in "LMN" for c in name):
        raise ValueError("a thread's name is made of letters, digits, - _ and .")
    return name


def _variable(word: str) -> str:
    name = unicodedata.normalize("NFKC", word)  # as Python reads identifiers
    if not name.isidentifier() or keyword.iskeyword(name):
        raise ValueError("the name of a Python variable is needed")
    return name


def _action(word: str) -> str:
    actions = ("status", "login", "logout", "demo")
    if word not in actions:
        raise ValueError(_did_you_mean(word, actions) or f"one of {', '.join(actions)} is needed")
    return word


def _option(*flags: str, about: str, value: str = "", read: Callable[[str], Any] = str, default: Any = None) -> Any:
    """Declare an option: without flags it is a word on its own, without a value a switch, in brackets optional."""
    kept: dict[str, Any] = {"default_factory": default} if default is dict else {"default": default}
    metadata = {"flags": flags, "value": value, "about": about, "read": read if value else bool}
    return field(**kept, metadata=metadata)


# What each magic takes. Nobody compares options, and writing __eq__ would cost a fifth of this module's import.


class _Options:
    """One magic: what it does, how it is written, two examples. Its options are the fields of its subclasses."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    magic: ClassVar[str]
    about: ClassVar[str]
    usage: ClassVar[tuple[str, ...]]
    examples: ClassVar[tuple[str, ...]]


@dataclass(frozen=True, eq=False)
class _RequestOptions(_Options):
    """What every request can be given."""

    system: str | None = _option("-s", "--system", value="TEXT", about="system prompt")
    temperature: float | None = _option(
        "-t", "--temperature", value="X", read=_temperature, about="from 0 (steady) to 2 (surprising)"
    )
    max_tokens: int | None = _option("--max-tokens", value="N", read=_token_count, about="longest answer, in tokens")
    params: Mapping[str, Any] = _option(
        "-p", "--param", value="KEY=VALUE", read=_param, default=dict, about="any other request field; repeatable"
    )


@dataclass(frozen=True, eq=False)
class ChatOptions(_RequestOptions):
    """Options of ``%%chat`` and ``%chat``; they hold for one message."""

    magic = "chat"
    about = "Ask a model: the answer streams below, and the chat cells above are what it remembers."
    usage = ("%%chat [options]        with the question on the lines below", "%chat [options] [--] question")
    examples = ("%chat -t 0 what's a monad?", '%%chat -m gpt-4o -s "Answer in one sentence."\nWhat is {{ df.shape }}?')

    model: str | None = _option("-m", "--model", value="NAME", read=_model_name, about="this message's model")
    thread: str | None = _option("--thread", value="NAME", read=_thread_name, about="use another conversation")
    fresh: bool = _option("--fresh", default=False, about="send without the earlier turns")
    output: str | None = _option("-o", "--output", value="NAME", read=_variable, about="put the reply in a variable")
    dry_run: bool = _option("--dry-run", default=False, about="send nothing: show what would be sent")


@dataclass(frozen=True, eq=False)
class ModelOptions(_RequestOptions):
    """Options of ``%model`` and ``%%model``; ``listing`` is a pattern, empty for all models."""

    magic = "model"
    about = "Show, pick and set up the model of this notebook."
    usage = ("%model [NAME] [options]", "%%model [NAME] [options]        with the system prompt on the lines below")
    examples = ("%model gpt-4o -t 0.2", "%model --list claude")

    name: str | None = _option(value="NAME", read=_model_name, about="the model to use from now on")
    listing: str | None = _option("--list", value="[PATTERN]", about="ask the gateway for its models")
    reset: bool = _option("--reset", default=False, about="back to the defaults")


@dataclass(frozen=True, eq=False)
class ThreadOptions(_Options):
    """Options of ``%thread``."""

    magic = "thread"
    about = "Show what the next chat cell would send, or switch to another conversation of this notebook."
    usage = ("%thread [NAME] [options]",)
    examples = ("%thread draft", "%thread --clear")

    name: str | None = _option(value="NAME", read=_thread_name, about="the conversation to go on with")
    clear: bool = _option("--clear", default=False, about="forget its turns")
    listing: bool = _option("--list", default=False, about="list the conversations")


@dataclass(frozen=True, eq=False)
class UsageOptions(_Options):
    """Options of ``%usage``: none."""

    magic = "usage"
    about = "Show the tokens that this session has spent, by model and in total."
    usage = ("%usage",)
    examples = ("%usage", "report = %usage")


@dataclass(frozen=True, eq=False)
class SetupOptions(_Options):
    """Options of ``%mixroute``; ``action`` is ``status``, ``login``, ``logout`` or ``demo``."""

    magic = "mixroute"
    about = "Set up the connection to the gateway."
    usage = ("%mixroute [status | login | logout | demo]",)
    examples = ("%mixroute login", "%mixroute demo")

    action: str = _option(
        value="ACTION", read=_action, default="status", about="show what is set, store or forget a key, go offline"
    )


# Reading a line.

Taken = TypeVar("Taken", bound=_Options)

# Patterns stay text until a line is read: compiling them would make loading a third dearer.

# A number may be a value or a question: only a letter or a second dash makes a flag.
_FLAG = r"-[-A-Za-z]"

# Also glued to a short option, so that no error message repeats it.
_KEY = r"(?<![A-Za-z0-9])(?:-[A-Za-z])?sk-[A-Za-z0-9_-]{16,}"

_PIECE = r"""'(?P<single>[^']*)'|"(?P<double>(?:\\.|[^"\\])*)"|\\(?P<escaped>.)|(?P<plain>[^\s'"\\]+|\\\Z)"""


def parse_chat_line(line: str) -> tuple[ChatOptions, str]:
    """Read ``%chat``'s line: its options, and the question as it was typed."""
    options, question = _read(ChatOptions, line)
    refuse_empty(question)
    return options, question


def parse_chat_cell(line: str) -> ChatOptions:
    """Read ``%%chat``'s line, where nothing comes after the options."""
    options, words = _read(ChatOptions, line)
    if words:
        raise OptionError(f"{_short(words)} is no option: put the question on the lines below %%chat")
    return options


def parse_model(line: str) -> ModelOptions:
    """Read ``%model``'s or ``%%model``'s line."""
    return _read_all(ModelOptions, line)


def parse_thread(line: str) -> ThreadOptions:
    """Read ``%thread``'s line."""
    return _read_all(ThreadOptions, line)


def parse_usage(line: str) -> UsageOptions:
    """Read ``%usage``'s line."""
    return _read_all(UsageOptions, line)


def parse_setup(line: str) -> SetupOptions:
    """Read ``%mixroute``'s line."""
    return _read_all(SetupOptions, line)


def refuse_empty(question: str) -> None:
    """Raise `OptionError` when there is nothing to ask."""
    if not question.strip():
        raise OptionError("nothing to ask: write %chat and a question, or %%chat with the question on the lines below")


def refuse_key(text: str) -> None:
    """Raise `OptionError`, without repeating it, when a text holds an API key."""
    if re.search(_KEY, text):
        raise OptionError("this holds an API key, which the notebook would keep: delete it and use %mixroute login")


def _read_all(kind: type[Taken], line: str) -> Taken:
    options, words = _read(kind, line)
    if words:
        raise OptionError(f"%{kind.magic} does not take {_short(words)} (%{kind.magic}? shows what it takes)")
    return options


def _read(kind: type[Taken], line: str) -> tuple[Taken, str]:
    """Read options, and as many words as ``kind`` has names for; return them and the rest as it stands."""
    refuse_key(line)
    by_flag = {flag: option for option in fields(kind) for flag in option.metadata["flags"]}
    words = [option for option in fields(kind) if not option.metadata["flags"]]
    values: dict[str, Any] = {}
    rest = line.lstrip()
    while rest:
        if re.match(_FLAG, rest):
            word, rest = _first_word(rest)
            if word == "--":
                break
            flag = word.partition("=")[0]
            if flag not in by_flag:
                hint = _did_you_mean(flag, by_flag)
                raise OptionError(f"no option {flag}{hint and ': ' + hint} (%{kind.magic}? shows all)")
            value, rest = _value(by_flag[flag], word, rest)
            _keep(values, by_flag[flag], flag, value)
        elif words:
            value, rest = _first_word(rest)
            _keep(values, words.pop(), f"%{kind.magic}", value)
        else:
            break
    return kind(**values), rest


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
    if rest and not re.match(_FLAG, rest):
        return _first_word(rest)
    if wanted.startswith("["):
        return "", rest
    raise OptionError(f"{flag} needs a value: {flag} {wanted}")


def _keep(values: dict[str, Any], option: Field[Any], flag: str, word: str) -> None:
    try:
        value = option.metadata["read"](word)
    except ValueError as error:
        raise OptionError(f"{flag} {_short(word)}: {error}") from None
    name = option.name
    if option.default_factory is not MISSING:
        name, value = value
        flag, values = f"{flag} {name}", values.setdefault(option.name, {})
    if name in values:
        raise OptionError(f"{flag} is given twice: give it once")
    values[name] = value


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(word, known, n=1, cutoff=0.55)
    return f"did you mean {near[0]}?" if near else ""


def _short(text: str) -> str:
    first = text.partition("\n")[0]
    return f"{first[:40]}…" if text != first[:40] else text


# The help that ``%chat?`` shows.


def help_text(magic: str) -> str:
    """Return a magic's help: what it does, how it is written, all options, two examples."""
    kinds = (ChatOptions, ModelOptions, ThreadOptions, UsageOptions, SetupOptions)
    kind = next(kind for kind in kinds if kind.magic == magic)
    rows = [(_label(option), option.metadata["about"]) for option in fields(kind)]
    width = max((len(label) for label, _ in rows), default=0)
    options = "\n".join(f"{label:{width}}  {about}" for label, about in rows)
    parts = {"Usage": "\n".join(kind.usage), "Options": options, "Examples": "\n\n".join(kind.examples)}
    shown = [f"{title}:\n{indent(text, '    ')}" for title, text in parts.items() if text]
    return "\n\n".join([kind.about, *shown])


def _label(option: Field[Any]) -> str:
    return f"{', '.join(option.metadata['flags'])} {option.metadata['value']}".strip()
