"""Which of a cell's options set which field of a request, and which of them a refusal is about.

OpenAI and its followers name the field in ``error.param``. The others name it in their words only, as it is written on
the wire or in camel case, between any other words: then it is looked for there, whatever the language is.
"""

from __future__ import annotations

import re
from typing import Any

__all__ = ["advice", "option_of"]

_OPTIONS = {
    "temperature": "-t",
    "max_tokens": "--max-tokens",
    "max_completion_tokens": "--max-tokens",
    "tools": "--tool",
    "image_url": "--image",
}
_PARAMS = (
    *("top_p", "top_k", "frequency_penalty", "presence_penalty", "logit_bias", "logprobs", "top_logprobs"),
    *("response_format", "reasoning_effort", "tool_choice", "parallel_tool_calls", "stream_options", "service_tier"),
)
_EVERYDAY = ("n", "stop", "seed", "thinking", "tools", "stream")
"""Fields whose names are words as well: they count only where a message points at them."""

_FIELDS = {name.replace("_", ""): name for name in (*_OPTIONS, *_PARAMS, *_EVERYDAY)}
_POINTED_AT = re.compile(
    r"['\"`“]([A-Za-z_]+)['\"`”]|(?:parameter|argument|invalid):? ([A-Za-z_]+)"
    r"|([A-Za-z_]+) ?(?:parameter|参数|參數)|^([A-Za-z_]+):|: ([A-Za-z_]+)\.?$"
)
_FUNCTIONS = re.compile(r"function.?call", re.IGNORECASE)  # as DeepSeek says that a model takes no tools
_LONGEST_VALUE = 40


def option_of(field: str, value: Any = None) -> str:
    """Return the option that sets a request's field, as it is typed; with its value where that is short."""
    option = _OPTIONS.get(field)
    if isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, int | float):
        text = f"{value:g}"
    else:
        text = value if isinstance(value, str) and len(value) <= _LONGEST_VALUE else ""
    if not text:
        return option or f"-p {field}"
    return f"{option} {text}" if option else f"-p {field}={text}"


def advice(param: str, message: str) -> str | None:
    """Return what to do about a refused request, where the refusal names a field that an option sets."""
    options = list(dict.fromkeys(map(option_of, _blamed(param, message))))
    if not options:
        return None
    where = "" if options[0] in {"--tool", "--image"} else ", here or in %model"
    return f"Drop or change {' or '.join(options)}{where}; or ask another model: -m NAME."


def _blamed(param: str, message: str) -> list[str]:
    """Return the fields that a refusal names; what it says of ``messages`` is about no option."""
    head = re.split(r"[.\[]", param)[0]
    if head == "messages":
        return []
    if named := _known(head):
        return [named]
    plain = [field for word in re.findall(r"[A-Za-z_]+", message) if (field := _known(word)) not in _EVERYDAY]
    pointed_at = [_known(next(filter(None, found))) for found in _POINTED_AT.findall(message)]
    tools = "tools" if _FUNCTIONS.search(message) else ""
    return [field for field in (*plain, *pointed_at, tools) if field]


def _known(word: str) -> str:
    """Return the field that a word names, in snake or camel case."""
    return _FIELDS.get(word.replace("_", "").lower(), "")
