"""What each magic takes: its options, as a frozen dataclass. `arguments` says how they are read."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

from mixroute_magic import option_values as values
from mixroute_magic.arguments import OptionError, Options, option, read, refuse_key, short
from mixroute_magic.option_values import MOST_MODELS
from mixroute_magic.since import read_since

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

__all__ = [
    "ChatOptions",
    "ModelOptions",
    "SetupOptions",
    "ThreadOptions",
    "UsageOptions",
    "parse",
    "parse_chat",
]

Taken = TypeVar("Taken", bound=Options)

# Nobody compares options, and writing __eq__ would cost a fifth of this module's import.


@dataclass(frozen=True, eq=False)
class _RequestOptions(Options):
    """What every request can be given."""

    system: str | None = option("-s", "--system", value="TEXT", about="system prompt")
    temperature: float | None = option(
        "-t", "--temperature", value="X", read=values.temperature, about="from 0 (steady) to 2 (surprising)"
    )
    max_tokens: int | None = option("--max-tokens", value="N", read=values.positive, about="longest answer, in tokens")
    params: Mapping[str, Any] = option(
        "-p", "--param", value="KEY=VALUE", read=values.param, default=dict, about="any other request field; repeatable"
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
        read=values.model_name,
        default=(),
        about="this message's model; several answer side by side",
    )
    thread: str | None = option("--thread", value="NAME", read=values.thread_name, about="use another conversation")
    fresh: bool = option("--fresh", default=False, about="send without the earlier turns")
    continued: bool = option("-c", "--continue", default=False, about="a re-run goes on from this cell's last answer")
    tools: tuple[str, ...] = option(
        "--tool", value="NAME", read=values.variable, default=(), about="offer a function of this notebook; repeatable"
    )
    yes: bool = option("--yes", default=False, about="run tool calls without asking")
    schema: str | None = option(
        "--schema",
        value="NAME",
        read=values.variable,
        about="answer as this pydantic model, dataclass, TypedDict or dict",
    )
    images: tuple[str, ...] = option(
        "--image",
        value="REF",
        read=values.image,
        default=(),
        about="attach a path, URL, variable or out(N); repeatable",
    )
    replay: str | None = option("--replay", value="HOW", read=values.replay, about="off, auto (if unchanged) or only")
    form: str = option(
        "-f",
        "--format",
        value="HOW",
        read=values.form,
        default="markdown",
        about="show it as markdown, text, json, or code",
    )
    output: str | None = option(
        "-o", "--output", value="NAME", read=values.own_variable, about="put the reply in a variable"
    )
    dry_run: bool = option("--dry-run", default=False, about="send nothing: show what would be sent")


@dataclass(frozen=True, eq=False)
class ModelOptions(_RequestOptions):
    """Options of ``%model`` and ``%%model``; ``listing`` is a pattern, empty for all models."""

    magic = "model"
    about = "Show, pick and set up the model of this notebook."
    usage = ("%model [NAME] [options]", "%%model [NAME] [options]        with the system prompt on the lines below")
    examples = ("%model gpt-4o -t 0.2", "%model --list claude")

    name: str | None = option(value="NAME", read=values.model_name, about="the model to use from now on")
    listing: str | None = option("--list", value="[PATTERN]", about="ask the gateway for its models")
    reset: bool = option("--reset", default=False, about="back to the defaults")


@dataclass(frozen=True, eq=False)
class ThreadOptions(Options):
    """Options of ``%thread``."""

    magic = "thread"
    about = "Show what the next chat cell would send, or switch to another conversation of this notebook."
    usage = ("%thread [NAME] [options]",)
    examples = ("%thread --fork other", "%thread --export handout.md")

    name: str | None = option(value="NAME", read=values.thread_name, about="the conversation to go on with")
    listing: bool = option("--list", default=False, about="list the conversations")
    fork: str | None = option(
        "--fork", value="NEW", read=values.thread_name, about="go on in a copy, as it stands here"
    )
    rewind: int | None = option(
        "--rewind", value="N", read=values.positive, about="take its last N turns above here out"
    )
    keep: str | None = option("--keep", value="NAME", read=values.answer, about="the side-by-side answer that goes on")
    clear: bool = option("--clear", default=False, about="forget all its turns, also those below")
    undo: bool = option("--undo", default=False, about="take back the last change")
    export: str | None = option(
        "--export", value="FILE", read=values.file, about="write it to a .md, .ipynb or .json file"
    )
    imported: str | None = option(
        "--import", value="FILE", read=values.file, about="add the turns of a .json or .ipynb file"
    )


@dataclass(frozen=True, eq=False)
class UsageOptions(Options):
    """Options of ``%usage``; ``budget`` is a number of tokens, or ``none``."""

    magic = "usage"
    about = "Show the tokens that this session (this kernel's life) has spent, and in total."
    usage = ("%usage [options]",)
    examples = ("%usage --all --by day --since 7d", "report = %usage --plot")

    by: str | None = option("--by", value="WHAT", read=values.by, about="model, thread, notebook, session, day or user")
    everything: bool = option("--all", default=False, about="all sessions that the ledger knows")
    since: datetime | None = option("--since", value="WHEN", read=read_since, about="12h, 7d, 2w, or a local date")
    csv: str | None = option(
        "--csv", value="FILE", read=values.csv, about="write the requests to a file, a line for each"
    )
    plot: bool = option("--plot", default=False, about="draw the tokens over time, by model")
    budget: str | None = option(
        "--budget", value="TOKENS", read=values.tokens, about="limit this session: 200k, 1.5M, none"
    )


@dataclass(frozen=True, eq=False)
class SetupOptions(Options):
    """Options of ``%mixroute``; ``action`` is ``status``, ``login``, ``logout`` or ``demo``."""

    magic = "mixroute"
    about = "Set up the connection to the gateway."
    usage = ("%mixroute [status | login | logout | demo]",)
    examples = ("%mixroute login", "%mixroute demo")

    action: str = option(
        value="ACTION",
        read=values.action,
        default="status",
        about="show what is set, store or forget a key, go offline",
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
