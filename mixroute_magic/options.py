"""What each magic takes: its options, as a frozen dataclass. `arguments` says how they are read."""

from __future__ import annotations

import builtins
import json
import keyword
import re
import unicodedata
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

from mixroute_magic.amounts import read_tokens
from mixroute_magic.arguments import OptionError, Options, did_you_mean, option, read, refuse_key, short
from mixroute_magic.since import read_since

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

__all__ = [
    "ACTIONS",
    "BY",
    "FORMATS",
    "MOST_MODELS",
    "NO_PARAMS",
    "REPLAYS",
    "ChatOptions",
    "ModelOptions",
    "SetupOptions",
    "ThreadOptions",
    "UsageOptions",
    "is_thread_name",
    "parse",
    "parse_chat",
]


Taken = TypeVar("Taken", bound=Options)

MOST_MODELS = 8
"""How many models can be asked side by side."""

BY = ("model", "thread", "notebook", "session", "day", "user")
ACTIONS = ("status", "login", "logout", "demo")
FORMATS = ("markdown", "text", "code", "json")
REPLAYS = ("off", "auto", "only")

# How a value is read. A ValueError's text ends the line that the user sees.


def _temperature(word: str) -> float:
    with suppress(ValueError):
        if 0 <= (number := float(word)) <= 2:  # noqa: PLR2004 - the range that the API documents
            return number
    raise ValueError("a number from 0 to 2 is needed")


def _positive(word: str) -> int:
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
    if key in _OF_THE_CELLS:
        raise ValueError(f"{key} is no parameter: the cells make the messages, and the model has its own option")
    if key in _OWN_OPTION:
        raise ValueError(f"{key} has an option of its own: {_OWN_OPTION[key]}")
    try:
        return key, json.loads(value, parse_constant=str)  # NaN is not JSON: it stays text
    except ValueError:
        if value.startswith(("[", "{")):
            raise ValueError(f"this is not JSON; quote it whole, as in -p '{key}=[\"END\"]'") from None
        return key, value


_OF_THE_CELLS = ("messages", "model")
_OWN_OPTION = {
    "temperature": "-t",
    "max_tokens": "--max-tokens",
    "max_completion_tokens": "--max-tokens",
    "tools": "--tool",
}
NO_PARAMS = frozenset({*_OF_THE_CELLS, *_OWN_OPTION})
"""Fields of a request that ``-p`` does not set."""


def is_thread_name(name: str) -> bool:
    """Say whether a thread can have this name: letters, digits, - _ and ., so that it needs no quotes anywhere."""
    return bool(re.match(r"[^-]", name)) and all(c in "-_." or unicodedata.category(c)[0] in "LMN" for c in name)


def _thread_name(word: str) -> str:
    name = unicodedata.normalize("NFC", word)
    if not is_thread_name(name):
        raise ValueError("a thread's name is made of letters, digits, - _ and .")
    return name


def _variable(word: str) -> str:
    name = unicodedata.normalize("NFKC", word)  # as Python reads identifiers
    if not name.isidentifier() or keyword.iskeyword(name):
        raise ValueError("the name of a Python variable is needed")
    return name


def _own_variable(word: str) -> str:
    name = _variable(word)
    if name.startswith("__") or name in _TAKEN or hasattr(builtins, name):
        raise ValueError(
            f"{name} has a meaning already, which a reply in its place would take away: choose another name"
        )
    return name


_TAKEN = frozenset({"_", "In", "Out", "exit", "get_ipython", "quit"})  # without some of them no other cell runs


def _image(word: str) -> str:
    if not word.strip():
        raise ValueError("a path, a URL or a variable is needed")
    return word


def _replay(word: str) -> str:
    return _one_of(word, REPLAYS)


def _format(word: str) -> str:
    return _one_of(word, FORMATS)


def _by(word: str) -> str:
    return _one_of(word, BY)


def _csv(word: str) -> str:
    if word.lower().endswith(".parquet"):
        raise ValueError("--csv writes CSV; for Parquet: report = %usage, then report.to_parquet(…)")
    return _file(word)


def _one_of(word: str, known: tuple[str, ...]) -> str:
    if word not in known:
        raise ValueError(did_you_mean(word, known) or f"{', '.join(known[:-1])} or {known[-1]} is needed")
    return word


def _file(word: str) -> str:
    if not word.strip():
        raise ValueError("the name of a file is needed")
    return word


def _answer(word: str) -> str:
    if not word.strip():
        raise ValueError("the name of a model is needed, or the number of its column")
    return word


def _tokens(word: str) -> str:
    read_tokens(word)
    return word


def _action(word: str) -> str:
    if word not in ACTIONS:
        raise ValueError(did_you_mean(word, ACTIONS) or f"one of {', '.join(ACTIONS)} is needed")
    return word


# What each magic takes. Nobody compares options, and writing __eq__ would cost a fifth of this module's import.


@dataclass(frozen=True, eq=False)
class _RequestOptions(Options):
    """What every request can be given."""

    system: str | None = option("-s", "--system", value="TEXT", about="system prompt")
    temperature: float | None = option(
        "-t", "--temperature", value="X", read=_temperature, about="from 0 (steady) to 2 (surprising)"
    )
    max_tokens: int | None = option("--max-tokens", value="N", read=_positive, about="longest answer, in tokens")
    params: Mapping[str, Any] = option(
        "-p", "--param", value="KEY=VALUE", read=_param, default=dict, about="any other request field; repeatable"
    )


@dataclass(frozen=True, eq=False)
class ChatOptions(_RequestOptions):
    """Options of ``%%chat`` and ``%chat``; they hold for one message."""

    magic = "chat"
    about = "Ask a model: the answer streams below, and the chat cells above are what it remembers."
    usage = ("%%chat [options]        with the question on the lines below", "%chat [options] [--] question")
    examples = ("%chat -t 0 what's a monad?", '%%chat -m gpt-4o -s "Answer in one sentence."\nWhat is {{ df.shape }}?')

    models: tuple[str, ...] = option(
        "-m",
        "--model",
        value="NAME",
        read=_model_name,
        default=(),
        about="this message's model; several answer side by side",
    )
    thread: str | None = option("--thread", value="NAME", read=_thread_name, about="use another conversation")
    fresh: bool = option("--fresh", default=False, about="send without the earlier turns")
    continued: bool = option("-c", "--continue", default=False, about="a re-run goes on from this cell's last answer")
    tools: tuple[str, ...] = option(
        "--tool", value="NAME", read=_variable, default=(), about="offer a function of this notebook; repeatable"
    )
    yes: bool = option("--yes", default=False, about="run tool calls without asking")
    schema: str | None = option(
        "--schema", value="NAME", read=_variable, about="answer as this pydantic model, dataclass, TypedDict or dict"
    )
    images: tuple[str, ...] = option(
        "--image", value="REF", read=_image, default=(), about="attach a path, URL, variable or out(N); repeatable"
    )
    replay: str | None = option("--replay", value="HOW", read=_replay, about="off, auto (if unchanged) or only")
    form: str = option(
        "-f",
        "--format",
        value="HOW",
        read=_format,
        default="markdown",
        about="show it as markdown, text, json, or code",
    )
    output: str | None = option("-o", "--output", value="NAME", read=_own_variable, about="put the reply in a variable")
    dry_run: bool = option("--dry-run", default=False, about="send nothing: show what would be sent")


@dataclass(frozen=True, eq=False)
class ModelOptions(_RequestOptions):
    """Options of ``%model`` and ``%%model``; ``listing`` is a pattern, empty for all models."""

    magic = "model"
    about = "Show, pick and set up the model of this notebook."
    usage = ("%model [NAME] [options]", "%%model [NAME] [options]        with the system prompt on the lines below")
    examples = ("%model gpt-4o -t 0.2", "%model --list claude")

    name: str | None = option(value="NAME", read=_model_name, about="the model to use from now on")
    listing: str | None = option("--list", value="[PATTERN]", about="ask the gateway for its models")
    reset: bool = option("--reset", default=False, about="back to the defaults")


@dataclass(frozen=True, eq=False)
class ThreadOptions(Options):
    """Options of ``%thread``."""

    magic = "thread"
    about = "Show what the next chat cell would send, or switch to another conversation of this notebook."
    usage = ("%thread [NAME] [options]",)
    examples = ("%thread --fork other", "%thread --export handout.md")

    name: str | None = option(value="NAME", read=_thread_name, about="the conversation to go on with")
    listing: bool = option("--list", default=False, about="list the conversations")
    fork: str | None = option("--fork", value="NEW", read=_thread_name, about="go on in a copy, as it stands here")
    rewind: int | None = option("--rewind", value="N", read=_positive, about="take its last N turns above here out")
    keep: str | None = option("--keep", value="NAME", read=_answer, about="the side-by-side answer that goes on")
    clear: bool = option("--clear", default=False, about="forget all its turns, also those below")
    undo: bool = option("--undo", default=False, about="take back the last change")
    export: str | None = option("--export", value="FILE", read=_file, about="write it to a .md, .ipynb or .json file")
    imported: str | None = option("--import", value="FILE", read=_file, about="add the turns of a .json or .ipynb file")


@dataclass(frozen=True, eq=False)
class UsageOptions(Options):
    """Options of ``%usage``; ``budget`` is a number of tokens, or ``none``."""

    magic = "usage"
    about = "Show the tokens that this session (this kernel's life) has spent, and in total."
    usage = ("%usage [options]",)
    examples = ("%usage --all --by day --since 7d", "report = %usage --plot")

    by: str | None = option("--by", value="WHAT", read=_by, about="model, thread, notebook, session, day or user")
    everything: bool = option("--all", default=False, about="all sessions that the ledger knows")
    since: datetime | None = option("--since", value="WHEN", read=read_since, about="12h, 7d, 2w, or a local date")
    csv: str | None = option("--csv", value="FILE", read=_csv, about="write the requests to a file, a line for each")
    plot: bool = option("--plot", default=False, about="draw the tokens over time, by model")
    budget: str | None = option("--budget", value="TOKENS", read=_tokens, about="limit this session: 200k, 1.5M, none")


@dataclass(frozen=True, eq=False)
class SetupOptions(Options):
    """Options of ``%mixroute``; ``action`` is ``status``, ``login``, ``logout`` or ``demo``."""

    magic = "mixroute"
    about = "Set up the connection to the gateway."
    usage = ("%mixroute [status | login | logout | demo]",)
    examples = ("%mixroute login", "%mixroute demo")

    action: str = option(
        value="ACTION", read=_action, default="status", about="show what is set, store or forget a key, go offline"
    )


def parse(kind: type[Taken], line: str, cell: str = "") -> Taken:
    """Read the line of a magic that takes nothing behind its options; ``cell`` is the body, where it has one.

    Raises
    ------
    OptionError
        If the line cannot be read, or line or body hold an API key.
    """
    refuse_key(cell)
    options, words = read(kind, line)
    if words:
        raise OptionError(f"%{kind.magic} does not take {short(words)} (%{kind.magic}? shows what it takes)")
    given = [option for option in fields(kind) if getattr(options, option.name) not in (None, False, {})]
    if len(given) > 1 and any(option.name == "listing" for option in given):
        raise OptionError("--list only shows: give it alone")
    actions = [option.metadata["flags"][0] for option in given if option.metadata["flags"]]
    if kind is ThreadOptions and actions == ["--undo"] and len(given) > 1:
        raise OptionError("--undo takes back the last change of any thread: give it alone")
    if kind is ThreadOptions and len(actions) > 1:
        raise OptionError(f"{actions[0]} and {actions[1]} are two actions: give one of them")
    return options


def parse_chat(line: str, cell: str | None = None) -> tuple[ChatOptions, str]:
    """Read ``%chat``'s line, or ``%%chat``'s and its body: the options, and the question as it was typed.

    Raises
    ------
    OptionError
        If the line cannot be read, there is no question, or an API key is in it.
    """
    options, words = read(ChatOptions, line)
    if cell is not None and words:
        raise OptionError(f"{short(words)} is no option: put the question on the lines below %%chat")
    if len(options.models) > MOST_MODELS:
        raise OptionError(f"-m is given {len(options.models)} times: at most {MOST_MODELS} models answer side by side")
    if options.yes and not options.tools:
        raise OptionError("--yes lets tools run without asking: offer one with --tool NAME")
    if options.schema and "response_format" in options.params:
        raise OptionError("--schema and -p response_format say the same: give one of them")
    if "tool_choice" in options.params and not options.tools:
        raise OptionError("-p tool_choice chooses among tools: offer one with --tool NAME")
    question = words if cell is None else cell.removesuffix("\n")
    if not question.strip():
        raise OptionError("nothing to ask: write %chat and a question, or %%chat with the question on the lines below")
    refuse_key(question)
    return options, question
