"""What is fed to the readers at random, and what must hold of whatever they make of it.

Shared by the property tests and by the coverage-guided run (``tests/benchmarks/fuzz_atheris.py``).
"""

from __future__ import annotations

import copy
import io
import json
import re
from typing import TYPE_CHECKING, Any

import requests
from hypothesis import strategies as st
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse

from mixroute_magic.chat import displayed
from mixroute_magic.conversation.handout import handout
from mixroute_magic.conversation.messages import clean_text
from mixroute_magic.conversation.records import FORK, Edit, Setting, read_all
from mixroute_magic.conversation.source import chat_source
from mixroute_magic.conversation.turn import COMPLETE, FAILED, Turn, contexts
from mixroute_magic.gateway.stream import checked, read_events
from mixroute_magic.gateway.thinking import told_apart
from mixroute_magic.reply import Reply, ReplyBuilder
from mixroute_magic.wire import Chunk, Message, Usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hypothesis.strategies import DrawFn

    from mixroute_magic.errors import MixRouteError

__all__ = [
    "CHUNKS",
    "EXPORT",
    "JSON",
    "NOTEBOOK",
    "RECORDS",
    "check_answer",
    "check_record",
    "mutated",
    "packed",
    "read",
]

# Streams


class _Pieces(io.RawIOBase):
    """A body that arrives in these pieces."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)

    def readable(self) -> bool:
        return True

    def read1(self, _size: int = -1) -> bytes:
        return next((piece for piece in self._pieces if piece), b"")

    def read(self, _size: int = -1) -> bytes:
        return b"".join(self._pieces)


def read(pieces: Iterable[bytes]) -> Iterator[Chunk]:
    """Yield the chunks of a stream that arrives in these pieces, through urllib3 and requests as in life."""
    raw = HTTPResponse(_Pieces(pieces), headers={"content-type": "text/event-stream"}, preload_content=False)
    response = HTTPAdapter().build_response(requests.Request("POST", "http://gateway.test").prepare(), raw)
    return checked(told_apart(read_events(response, "gateway.test")))


def check_answer(chunks: Sequence[Chunk], error: MixRouteError | None) -> Reply:
    """Return the answer that these chunks are; fail unless all of it can be kept, sent, and written to a page."""
    builder = ReplyBuilder("asked")
    for chunk in chunks:
        builder.add(chunk)
    reply = builder.reply()
    calls = [text for call in reply.tool_calls for text in (call.id, call.name, call.arguments)]
    told = [reply.text, reply.reasoning, reply.model, reply.finish_reason or "", reply.request_id or "", *calls]
    for text in [*told, *(error.lines() if error else ())]:
        text.encode()
    message = Message("assistant", reply.text, {"tool_calls": [call.to_wire() for call in reply.tool_calls]})
    assert message.tool_calls == reply.tool_calls
    json.dumps(message.to_wire(), ensure_ascii=False).encode()
    return reply


CHUNKS: list[dict[str, Any]] = [
    {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "served", "choices": [choice], **more}
    for choice, more in [
        ({"index": 0, "delta": {"role": "assistant", "content": "你好 "}, "finish_reason": None}, {"usage": None}),
        (
            {
                "index": 0,
                "delta": {"reasoning_content": "hm", "reasoning": "hm", "reasoning_details": [{"text": "hm"}]},
            },
            {},
        ),
        ({"index": 0, "delta": {"content": [{"type": "text", "text": "parts"}], "refusal": "no"}}, {}),
        ({"index": 0, "message": {"content": "whole"}, "finish_reason": "stop"}, {}),
        (
            {
                "index": 0,
                "delta": {
                    "tool_calls": [
                        {
                            "index": 0,
                            "id": "call_1",
                            "type": "function",
                            "function": {"name": "add", "arguments": '{"a": 1'},
                            "extra_content": {"google": {"thought_signature": "sig"}},
                        },
                        {"index": 0, "function": {"arguments": "}"}},
                    ],
                    "function_call": {"name": "old", "arguments": "{}"},
                },
            },
            {},
        ),
        ({"index": 0, "delta": {}, "finish_reason": "stop"}, {}),
        (
            {"index": 0, "delta": {}, "usage": {"prompt_tokens": 1, "completion_tokens": 2}},
            {
                "usage": {
                    "prompt_tokens": 1,
                    "completion_tokens": "2",
                    "prompt_tokens_details": {"cached_tokens": 1.0},
                    "completion_tokens_details": {"reasoning_tokens": 1},
                }
            },
        ),
        (
            {"index": 0, "delta": {"content": "x"}},
            {"error": {"message": "no (request id: abc)", "type": "upstream_error", "param": "p", "code": 429}},
        ),
    ]
]
"""Chunks that together have every field that is read."""


# Records


_QUESTION = Message("user", "How much is 1 + 2?")
_CALL = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1, "b": 2}'}}
_PICTURE = {"type": "image", "name": "plot.png", "sha256": "0" * 64, "media_type": "image/png", "width": 2, "height": 2}
_CALLED = (Message("assistant", None, {"tool_calls": [_CALL]}), Message("tool", "3", {"tool_call_id": "call_1"}))


def _turn(number: int, *messages: Message, **fields: Any) -> Turn:
    known: dict[str, Any] = {"thread": "main", "status": COMPLETE, "model": "glm-5"} | fields
    return Turn(turn=f"t{number}", messages=messages, **known)


_PLAIN = _turn(
    1,
    Message("system", "Be brief."),
    _QUESTION,
    Message("assistant", "3"),
    params={"temperature": 0.5, "stop": ["x"]},
    usage=Usage(10, 2, 1, 0, "reported"),
    created="2026-11-26T07:00:00Z",
    reasoning="1 + 2",
    seconds=1.5,
    first_token_seconds=0.5,
    also_in=("side",),
    served_model="glm-5-air",
    finish_reason="stop",
    request_hash="ab" * 32,
    request_id="req-1",
    context="cd" * 8,
)
_TOOLS = _turn(2, _QUESTION, *_CALLED, Message("assistant", "It is 3."), params={"tools": [{"type": "function"}]})
_SHOWN = _turn(3, Message("user", [{"type": "text", "text": "What is this?"}, _PICTURE]), Message("assistant", "Red."))
_FAILED = _turn(4, _QUESTION, status=FAILED, error=("ServerError: no", "Again."), earlier={0: _PLAIN})
_ANSWERS = tuple(_turn(0, _QUESTION, Message("assistant", name), model=name) for name in "ab")
_COMPARED = _turn(5, _QUESTION, Message("assistant", "a"), model="a", alternatives=_ANSWERS)

RECORDS: list[dict[str, Any]] = [
    *(turn.to_metadata() for turn in (_PLAIN, _TOOLS, _SHOWN, _FAILED, _COMPARED)),
    Setting(created="1", chosen={"model": "m", "temperature": 1, "params": {"top_p": 1}}, thread="side").to_metadata(),
    Edit(id="e", created="2", action=FORK, thread="x", parent="main", turns=("t1",), restored={0: _PLAIN}).to_metadata()
    | {"before": [Setting(created="0", thread="a").to_metadata()]},
]
"""Valid records that together have every field that is read."""

_CELLS = [
    {
        "cell_type": "code",
        "id": f"cell-{number}",
        "source": ["%%chat\n", "hello"],
        "execution_count": number,
        "metadata": {},
        "outputs": [{"output_type": "display_data", "data": {}, "metadata": {"mixroute": record}}],
    }
    for number, record in enumerate(RECORDS)
]
NOTEBOOK = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": _CELLS}
EXPORT = {"mixroute_export": 1, "digest": "0", "thread": "main", "notebook": "a.ipynb", "turns": RECORDS[:5]}


def check_record(record: Any) -> None:
    """Read a record, and fail unless what comes of it can be shown, sent, exported, and read again as the same."""
    for entry in read_all(record):
        json.dumps(entry.to_metadata(), allow_nan=False).encode()
    turn = Turn.from_metadata(record)
    if turn is None:
        return
    again = json.loads(json.dumps(turn.to_metadata(), allow_nan=False))
    assert Turn.from_metadata(again) == turn
    shown = displayed(turn, question=True)["data"]
    assert turn.age() >= 0
    assert all(isinstance(digest, str) for digest in contexts([turn]))
    for text in (
        *shown.values(),
        chat_source(turn),
        clean_text(handout([turn], thread="main", notebook=None, bundle=lambda _: shown)),
    ):
        text.encode()
    json.dumps([message.to_wire() for message in turn.exchange], allow_nan=False, ensure_ascii=False).encode()


# Any JSON


_NAMES = sorted(
    {"choices", "data", "message", "msg", "detail", "success", "error", "text", "summary", "type", "image", "kind"}
    | {"user", "assistant", "tool", "system", "setting", "edit", "turn", "complete", "failed", "main", "before"}
    | {name for part in (*CHUNKS, *RECORDS) for name in part}
)
_DEEP = st.builds("@{}{}".format, st.sampled_from(["list", "text", "object"]), st.integers(1, 1200))
_NUMBERS = st.integers() | st.floats() | st.sampled_from([10**400, -(10**400), 1e308, 2**63, 0, 1, 200, 429, 599])
_TEXTS = (
    st.sampled_from(_NAMES) | st.text(st.characters(), max_size=6) | st.sampled_from(["\ud83d", "\ude00", "\ud800"])
)
_SCALARS = st.none() | st.booleans() | _NUMBERS | _TEXTS | _DEEP
JSON: st.SearchStrategy[Any] = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXTS, inner, max_size=4),
    max_leaves=8,
)
"""Any value of JSON as Python reads it: NaN, halves of characters, huge numbers, deep nesting (`packed`)."""

_BRACKETS = {"list": ("[", "]"), "text": ('[{"text": ', "}]"), "object": ('{"message": ', "}")}


def packed(value: Any) -> bytes:
    """Return the JSON of a value; what `JSON` says of depth becomes so many brackets."""

    def nested(found: re.Match[str]) -> str:
        opening, closing = _BRACKETS[found[1]]
        return opening * int(found[2]) + '"x"' + closing * int(found[2])

    return re.sub(r'"@(list|text|object)(\d+)"', nested, json.dumps(value)).encode()


@st.composite
def mutated(draw: DrawFn, values: Sequence[Any], *, most: int = 3) -> Any:
    """Return one of these values with some of its parts replaced, taken out, doubled, or under other names."""
    value = copy.deepcopy(draw(st.sampled_from(values)))
    for _ in range(draw(st.integers(1, most))):
        places = list(_places(value))
        if not places:
            break
        holder, key = draw(st.sampled_from(places))
        action = draw(st.sampled_from(["replace", "replace", "remove", "double", "rename"]))
        if action == "replace":
            holder[key] = draw(JSON)
        elif action == "double" and isinstance(holder, list):
            holder.append(copy.deepcopy(holder[key]))
        elif action == "rename" and isinstance(holder, dict):
            holder[draw(_TEXTS)] = holder.pop(key)
        else:
            del holder[key]
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield all parts of a value: the list or object that holds it, and where."""
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from _places(value[key])
