"""The answer where it must be JSON: one document that fits the schema, made from the schema and the question."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from . import models
from .question import is_chinese, names_in, numbers_in
from .schema_checks import is_sound
from .schemas import Filler

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .protocol import Message
    from .request import ChatRequest

__all__ = ["answer", "is_wanted"]

WRONG = "wrong_"
NOTICE = {True: "離線示範：沒有呼叫任何模型。", False: "Offline demo: no model was called."}


def is_wanted(request: ChatRequest) -> bool:
    """Tell whether the answer must be JSON: by ``response_format``, or by a JSON schema in the system prompt."""
    systems = [message for message in request.messages if message.role == "system"]
    return request.answer_schema is not None or _schema_in(systems) is not None


def answer(request: ChatRequest) -> str:
    """Return the document; without a schema, in the request or in the messages, it says that this is a demo."""
    schema = request.answer_schema or _schema_in(request.messages)
    text = _question(request.messages)
    document: Any = {"demo": NOTICE[is_chinese(text)], "question": text}
    if schema:
        document = Filler(schema, names_in(text), numbers_in(text), text).value(schema)
    if request.model == models.WRONG_SCHEMA and not _was_wrong(request.messages):
        document = _made_wrong(document)
    return json.dumps(document, ensure_ascii=False, indent=2)


def _question(messages: Sequence[Message]) -> str:
    """Return the last user message that is not about a wrong answer."""
    wrong = [number for number, message in enumerate(messages) if _is_wrong(message)]
    asked = messages[: max(wrong)] if wrong and _was_wrong(messages) else messages
    text = next((message.content for message in reversed(asked) if message.role == "user"), "")
    return text.partition("{")[0]


def _was_wrong(messages: Sequence[Message]) -> bool:
    """Tell whether the wrong answer has been given, and something said of it since."""
    answers = [message for message in messages if message.role == "assistant"]
    return bool(answers) and _is_wrong(answers[-1]) and messages[-1].role == "user"


def _is_wrong(message: Message) -> bool:
    return message.role == "assistant" and f'"{WRONG}' in message.content


def _made_wrong(document: Any) -> dict[str, Any]:
    """Rename the first field: what the schema asks for is missing."""
    fields = dict(document) if isinstance(document, dict) else {"answer": document}
    first = next(iter(fields), "field")
    return {f"{WRONG}{first}": fields.pop(first, None), **fields}


def _schema_in(messages: Sequence[Message]) -> Mapping[str, Any] | None:
    """Return the last JSON schema that the system or the user wrote down, as clients do for models without formats."""
    decoder = json.JSONDecoder()
    for message in reversed(messages):
        start = message.content.find("{") if message.role in {"system", "user"} else -1
        while start >= 0:
            try:
                found, end = decoder.raw_decode(message.content, start)
            except (ValueError, RecursionError):
                found, end = None, start + 1
            if isinstance(found, dict) and found.keys() & {"properties", "$ref"} and is_sound(found):
                return found
            start = message.content.find("{", end)
    return None
