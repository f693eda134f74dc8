"""How the words behind options are read: each function takes a word, as it was typed, and gives the option's value.

The text of a ``ValueError`` ends the line that the user sees.
"""

from __future__ import annotations

import builtins
import json
import keyword
import re
import unicodedata
from contextlib import suppress
from typing import Any

from mixroute_magic.amounts import read_tokens
from mixroute_magic.arguments import did_you_mean

__all__ = [
    "ACTIONS",
    "BY",
    "FORMATS",
    "MOST_MODELS",
    "NO_PARAMS",
    "REPLAYS",
    "action",
    "answer",
    "by",
    "csv",
    "file",
    "form",
    "image",
    "is_thread_name",
    "model_name",
    "own_variable",
    "param",
    "positive",
    "replay",
    "temperature",
    "thread_name",
    "tokens",
    "variable",
]

MOST_MODELS = 8
"""How many models can be asked side by side."""

BY = ("model", "thread", "notebook", "session", "day", "user")
ACTIONS = ("status", "login", "logout", "demo")
FORMATS = ("markdown", "text", "code", "json")
REPLAYS = ("off", "auto", "only")

_OF_THE_CELLS = ("messages", "model")
_OWN_OPTION = {
    "temperature": "-t",
    "max_tokens": "--max-tokens",
    "max_completion_tokens": "--max-tokens",
    "tools": "--tool",
}
NO_PARAMS = frozenset({*_OF_THE_CELLS, *_OWN_OPTION})
"""Fields of a request that ``-p`` does not set."""

_TAKEN = frozenset({"_", "In", "Out", "exit", "get_ipython", "quit"})  # without some of them no other cell runs


# Numbers


def temperature(word: str) -> float:
    """Read a number in the range that the API documents."""
    with suppress(ValueError):
        if 0 <= (number := float(word)) <= 2:  # noqa: PLR2004
            return number
    raise ValueError("a number from 0 to 2 is needed")


def positive(word: str) -> int:
    """Read how many."""
    if not re.fullmatch(r"0*[1-9][0-9]*", word):
        raise ValueError("a whole number of at least 1 is needed")
    return int(word)


def tokens(word: str) -> str:
    """Check an amount of tokens, as in ``200k``."""
    read_tokens(word)
    return word


# Names


def model_name(word: str) -> str:
    """Read the name of a model, which only the gateway can check."""
    return _some(word, "a model's name is needed (%model --list shows them)")


def answer(word: str) -> str:
    """Read which of the answers side by side is meant."""
    return _some(word, "the name of a model is needed, or the number of its column")


def image(word: str) -> str:
    """Read where an image is."""
    return _some(word, "a path, a URL or a variable is needed")


def file(word: str) -> str:
    """Read the name of a file."""
    return _some(word, "the name of a file is needed")


def csv(word: str) -> str:
    """Read the name of a file for comma-separated values."""
    if word.lower().endswith(".parquet"):
        raise ValueError("--csv writes CSV; for Parquet: report = %usage, then report.to_parquet(…)")
    return file(word)


def thread_name(word: str) -> str:
    """Read the name of a thread."""
    name = unicodedata.normalize("NFC", word)
    if not is_thread_name(name):
        raise ValueError("a thread's name is made of letters, digits, - _ and .")
    return name


def is_thread_name(name: str) -> bool:
    """Say whether a thread can have this name: letters, digits, - _ and ., so that it needs no quotes anywhere."""
    return bool(re.match(r"[^-]", name)) and all(c in "-_." or unicodedata.category(c)[0] in "LMN" for c in name)


def variable(word: str) -> str:
    """Read the name of a Python variable."""
    name = unicodedata.normalize("NFKC", word)  # as Python reads identifiers
    if not name.isidentifier() or keyword.iskeyword(name):
        raise ValueError("the name of a Python variable is needed")
    return name


def own_variable(word: str) -> str:
    """Read the name of a variable that may be set."""
    name = variable(word)
    if name.startswith("__") or name in _TAKEN or hasattr(builtins, name):
        raise ValueError(
            f"{name} has a meaning already, which a reply in its place would take away: choose another name"
        )
    return name


# One of several


def replay(word: str) -> str:
    """Read when a recorded answer is taken."""
    return _one_of(word, REPLAYS)


def form(word: str) -> str:
    """Read how an answer is shown."""
    return _one_of(word, FORMATS)


def by(word: str) -> str:
    """Read by what tokens are summed."""
    return _one_of(word, BY)


def action(word: str) -> str:
    """Read what ``%mixroute`` is to do."""
    return _one_of(word, ACTIONS)


# Any field of a request


def param(word: str) -> tuple[str, Any]:
    """Read ``KEY=VALUE``, with a value in JSON, or any other text."""
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


def _some(word: str, needed: str) -> str:
    if not word.strip():
        raise ValueError(needed)
    return word


def _one_of(word: str, known: tuple[str, ...]) -> str:
    if word not in known:
        raise ValueError(did_you_mean(word, known) or f"{', '.join(known[:-1])} or {known[-1]} is needed")
    return word
