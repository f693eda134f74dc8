"""A turn as the source of the cell that asks it again. Pure, no input or output."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from mixroute_magic.arguments import OptionError
from mixroute_magic.options import ThreadOptions, parse, parse_chat
from mixroute_magic.parts import images_in

if TYPE_CHECKING:
    from mixroute_magic.conversation.turn import Turn
    from mixroute_magic.wire import Message

__all__ = ["chat_source", "load_source"]

_NEVER_ASKED = "# What was asked here could not be typed into a cell; the answer is below."

# What would not come through as it is: the template's braces and delimiters, prompts of Python and IPython, which
# IPython takes off pasted code, and characters that end a line for some reader, or are half of one. A brace before
# these goes with them: it would make three of the two that are put there.
_NOT_TYPED = re.compile(
    r"\{\{|^[^\S\n]*>>>|\A\s*\.\.\.|\A(?:(?:\[nav\]|\[ins\])? )?In \["
    r"|\{?[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufdd0-\ufdd3]",
    re.MULTILINE,
)
_ENDS_LINE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_PLAIN = re.compile(r"(?!(?:true|false|null)\Z)[A-Za-z][\w.-]*", re.ASCII)
_FLAGS = {"temperature": "-t", "max_tokens": "--max-tokens", "max_completion_tokens": "--max-tokens"}


def chat_source(turn: Turn) -> str:
    """Return the cell that asks a turn again, with the options that count; of a continued one, question by question."""
    options = _options(turn)
    asked = [(" ".join([*options, *_images(question)]), _typed(question.text)) for question in turn.questions]
    if not asked or not all(_reads(*question) for question in asked):
        return _NEVER_ASKED
    if len(asked) == 1 and not _ENDS_LINE.search(asked[0][0]):
        return "%%chat {}\n{}".format(*asked[0])
    return "\n".join(f"get_ipython().run_cell_magic('chat', {line!r}, {body!r})" for line, body in asked)


def load_source(thread: str) -> str:
    """Return the cell that loads the extension, and goes on with the thread if that can be said on a line."""
    with suppress(OptionError):
        if thread != "main" and parse(ThreadOptions, thread).name == thread:
            return f"%load_ext mixroute_magic\n%thread {thread}"
    return "%load_ext mixroute_magic"


def _options(turn: Turn) -> list[str]:
    systems = [f"-s {_word(message.text)}" for message in turn.messages if message.role == "system"]
    offered = _offered(turn.params)
    params = [_param(name, value) for name, value in turn.params.items() if "=" not in name and name not in offered]
    models = [f"-m {_word(answer.model)}" for answer in turn.alternatives or (turn,)]
    offers = [option for options in offered.values() for option in options if _reads(option)]
    others = (*models, *systems, *params)
    return [*(option for option in others if _reads(" ".join([option, *offers]))), *offers]  # some need a tool beside


def _images(question: Message) -> list[str]:
    options = (f"--image {_word(image.source or image.url)}" for image in images_in([question]))
    return [option for option in options if _reads(option)]


def _offered(params: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return, by field, the options that offer the same tools and ask for the same schema, by the names of these."""
    tools, form = params.get("tools", []), params.get("response_format")
    names = [_name_in(tool, "function") for tool in tools] if isinstance(tools, list) else []
    schema = _name_in(form, "json_schema")
    offered = {"tools": [f"--tool {_word(name)}" for name in names if name]}
    return offered | ({"response_format": [f"--schema {_word(schema)}"]} if schema else {})


def _name_in(data: Any, key: str) -> str:
    inner = data.get(key) if isinstance(data, Mapping) else None
    name = inner.get("name") if isinstance(inner, Mapping) else None
    return name if isinstance(name, str) else ""


def _param(name: str, value: Any) -> str:
    plain = isinstance(value, str) and _PLAIN.fullmatch(value)
    word = str(value) if plain else json.dumps(value, ensure_ascii=False)
    return f"{_FLAGS[name]} {word}" if name in _FLAGS else f"-p {_word(f'{name}={word}')}"


def _word(text: str) -> str:
    """Return a word of a magic's line, in quotes where it needs them."""
    if "'" in text and not re.search(r'["\\]', text):
        return f'"{text}"'
    quoted = shlex.quote(text)
    return f"'{text}'" if quoted == text and text.startswith("-") else quoted


def _typed(question: str) -> str:
    """Return what to type so that the template yields the question. The cell's last line break is not sent."""
    body = _NOT_TYPED.sub(lambda found: f"{{{{ {json.dumps(found[0])} }}}}", question)
    return f"{body}\n" if body.endswith("\n") else body


def _reads(line: str, body: str = "?") -> bool:
    """Say whether the magic would take it."""
    try:
        parse_chat(line, body)
    except OptionError:
        return False
    return True
