"""Whatever comes, from a gateway or from a notebook, is read or refused: never another exception, never a hang.

A few examples of each in CI; ``FUZZ_EXAMPLES=5000 python -m pytest tests/test_fuzz.py`` for many. What was found, here
or by the coverage-guided run (``tests/benchmarks/fuzz_atheris.py``), stands as an example or a row of its own.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

import pytest
from fuzzing import CHUNKS, EXPORT, JSON, NOTEBOOK, RECORDS, check_answer, check_record, mutated, packed, read
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kernels import KEY
from scripted import DONE, ScriptedGateway, event, reply, scripted

from mixroute_magic import Client, Conversation, MixRouteError
from mixroute_magic.calls import CallPiece, CallsBuilder
from mixroute_magic.conversation.export import import_turns
from mixroute_magic.conversation.memory import Notebook
from mixroute_magic.conversation.model import Run
from mixroute_magic.conversation.saved import SavedNotebook
from mixroute_magic.errors import HistoryError
from mixroute_magic.gateway.faults import Refusal
from mixroute_magic.gateway.thinking import told_apart
from mixroute_magic.secrecy import Secret
from mixroute_magic.wire import Chunk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from hypothesis.strategies import DrawFn

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "40"))
fuzzed = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


def outcome(chunks: Iterable[Chunk]) -> tuple[list[Chunk], MixRouteError | None]:
    """Return the chunks that come, and the error that ends them."""
    came: list[Chunk] = []
    try:
        came.extend(chunks)
    except MixRouteError as error:
        return came, error
    return came, None


# How a stream is written

_WORDS = st.sampled_from(["a", "你", "😀", "\u2028", "\x85", "line\nline", "data: x", "<b>", " ", "{"]) | st.text(
    max_size=9
)
_LINE_ENDS = st.sampled_from(["\n", "\r\n", "\r"])
_NO_NEWLINE = st.sampled_from(["\r", "\r\n"])
_BETWEEN = st.sampled_from([": PING", ":", "event: message", "id: 1", "retry: 5", "other: x", "data", ""])


@st.composite
def legal(draw: DrawFn) -> tuple[list[bytes], list[str]]:
    """Return a stream in the pieces in which it arrives, written in any legal way, and the texts that it carries."""
    texts = draw(st.lists(_WORDS, min_size=1, max_size=5))
    payloads = [
        json.dumps({"choices": [{"delta": {"content": text}}]}, indent=draw(st.none() | st.just(1))) for text in texts
    ]
    payloads = [*payloads, json.dumps(CHUNKS[5]), *draw(st.sampled_from([[], ["[DONE]"]]))]
    lines: list[str] = []
    for payload in payloads:
        for line in draw(st.lists(_BETWEEN, max_size=3)):
            lines += (
                [line, ""] if line == "data" else [line]
            )  # an event without data is none, in an event's midst a line
        colon = draw(st.sampled_from(["data: ", "data:"]))
        lines += [colon + line for line in payload.split("\n")] + [""] * draw(st.integers(1, 3))
    if draw(st.booleans()):
        lines.pop()  # the last event without its blank line
    written = b"\xef\xbb\xbf" * draw(st.booleans())
    for line in lines:  # a carriage return and a newline after it would be one line end
        joins = not line and written.endswith(b"\r")
        written += (line + draw(_NO_NEWLINE if joins else _LINE_ENDS)).encode()
    cuts = sorted(draw(st.sets(st.integers(0, len(written)), max_size=12)))
    return [written[start:end] for start, end in zip([0, *cuts], [*cuts, len(written)], strict=True)], texts


@fuzzed
@given(legal())
def test_a_stream_reads_the_same_however_it_is_written_and_cut(stream: tuple[list[bytes], list[str]]) -> None:
    pieces, texts = stream
    plain = b"".join(event({"choices": [{"delta": {"content": text}}]}) for text in texts) + event(CHUNKS[5]) + DONE
    assert outcome(read(pieces))[0] == outcome(read([plain]))[0]
    assert "".join(chunk.text for chunk in outcome(read(pieces))[0]) == "".join(texts)


# Anything else

_FRAGMENTS = st.sampled_from(
    [
        *(
            b"data: ",
            b"data:",
            b"\n\n",
            b"\r",
            b"\n",
            b"{",
            b"}",
            b'"',
            b"[",
            b"]",
            b"[DONE]",
            b"null",
            b"NaN",
            b"\xff",
        ),
        *(
            b"\xf0\x9f",
            b"<html>",
            b'{"error": "x"}',
            b'{"detail": ',
            b"\xef\xbb\xbf",
            b"event: error",
            b"5\r\n",
            b"0\r\n\r\n",
        ),
        *map(event, CHUNKS),
    ]
)
BYTES = st.binary(max_size=200) | st.lists(_FRAGMENTS | st.binary(max_size=3), max_size=12).map(b"".join)


@pytest.fixture(scope="module")
def gateway() -> Iterator[ScriptedGateway]:
    with scripted(b"") as made:
        yield made


def asked(gateway: ScriptedGateway, response: bytes) -> tuple[list[Chunk], MixRouteError | None]:
    """Ask a gateway that answers so, over a socket."""
    gateway.scripts = [response]
    with Client(gateway.base_url, "sk-test-key", retries=0, timeout=30) as client:
        return outcome(client.stream([{"role": "user", "content": "x"}], model="m"))


_KINDS = st.sampled_from(["text/event-stream", "application/json", "text/html", "text/event-stream; charset=latin-1"])
_STATUS = st.sampled_from(
    [200, 200, 200, 201, 204, 206, 301, 400, 401, 402, 403, 404, 408, 413, 429, 500, 503, 524, 999]
)
_HEADERS = st.dictionaries(
    st.sampled_from(
        ["Content_Encoding", "Transfer_Encoding", "Retry_After", "Location", "x_request_id", "Content_Length"]
    ),
    st.sampled_from(
        ["gzip", "deflate", "chunked", "-1", "1e400", "nan", "Fri, 31 Dec 9999 23:59:59 -2359", "//[", "\xff"]
    )
    | st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=8),
    max_size=2,
)


@fuzzed
@given(BYTES, _KINDS, _STATUS, _HEADERS)
def test_any_bytes_are_an_answer_or_an_error(
    gateway: ScriptedGateway, body: bytes, kind: str, status: int, headers: dict[str, str]
) -> None:
    head, _, _ = reply(status, b"", kind).partition(b"\r\n\r\n")
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    lines = [line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length")]
    check_answer(*asked(gateway, b"\r\n".join(lines) + b"\r\n" + more.encode("latin-1") + b"\r\n" + body))


@fuzzed
@given(BYTES | st.tuples(st.sampled_from([b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 "]), BYTES).map(b"".join))
def test_any_bytes_instead_of_a_response_are_an_error(gateway: ScriptedGateway, response: bytes) -> None:
    check_answer(*asked(gateway, response))


@fuzzed
@given(st.lists(mutated(CHUNKS), min_size=1, max_size=3))
def test_any_value_in_any_field_of_a_chunk_is_read_or_refused(chunks: list[Any]) -> None:
    check_answer(*outcome(read([*(event(packed(chunk)) for chunk in chunks), event(CHUNKS[5])])))


@fuzzed
@given(
    mutated([*CHUNKS, {"error": "x"}, {"success": False, "message": "x"}, [CHUNKS[7]]]) | JSON,
    st.sampled_from([200, 400, 503]),
)
def test_any_value_in_a_whole_reply_is_read_or_refused(gateway: ScriptedGateway, body: Any, status: int) -> None:
    check_answer(*asked(gateway, reply(status, packed(body))))


# What a notebook holds


def loaded(value: Any) -> Any:
    """Return a value as it is read from a file."""
    try:
        return json.loads(packed(value))
    except (ValueError, RecursionError):  # which the readers of files expect
        return None


@fuzzed
@given(mutated(RECORDS) | JSON)
def test_any_record_is_a_turn_or_none(record: Any) -> None:
    check_record(loaded(record))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("notebooks")


@fuzzed
@given(mutated([NOTEBOOK, EXPORT]) | JSON)
def test_any_file_is_a_notebook_an_export_or_neither(folder: Path, content: Any) -> None:
    path = folder / "any.ipynb"
    path.write_bytes(packed(content))
    for cell in SavedNotebook(path).cells():
        assert isinstance(cell.source, str)
    notebook = Notebook(path)
    notebook.refresh(None, Run("1", "cell-1", 1), "x")
    notebook.conversation.messages()
    try:
        conversation, turns = Conversation.read(path), import_turns(path)
    except HistoryError:
        return
    assert len(turns) in conversation.threads().values()
    for turn in turns:
        check_record(turn.to_metadata())


# What was found


def in_field(name: str, value: Any) -> Any:
    """Return a chunk in which one field is this."""
    function = {"name": "add", "arguments": "{}"}
    return {
        "content": {"choices": [{"delta": {"content": value}}]},
        "reasoning": {"choices": [{"delta": {"reasoning_details": [{"text": value}]}}]},
        "arguments": {"choices": [{"delta": {"tool_calls": [{"function": {"name": "add", "arguments": value}}]}}]},
        "tool": {"choices": [{"delta": {"tool_calls": [{"function": {"name": value, "arguments": "{}"}}]}}]},
        "extra": {"choices": [{"delta": {"tool_calls": [{"function": function, "extra_content": value}]}}]},
        "model": {"model": value, "choices": [{"delta": {"content": "x"}}]},
        "finish reason": {"choices": [{"delta": {"content": "x"}, "finish_reason": value}]},
        "message": {"error": {"message": value}},
        "code": {"error": {"message": "x", "code": value}},
        "type": {"error": {"message": "x", "type": value}},
    }[name]


FIELDS = ["content", "reasoning", "arguments", "tool", "extra", "model", "finish reason", "message", "code", "type"]


@pytest.mark.parametrize("field", FIELDS)
def test_brackets_as_deep_as_python_just_reads_them_do_no_harm(field: str) -> None:
    for shape in ("list", "text", "object"):
        for depth in (*range(90, 110), *range(860, 1000, 10)):
            chunk = packed(in_field(field, f"@{shape}{depth}"))
            reply = check_answer(*outcome(read([event(chunk), event(CHUNKS[5])])))
            assert all(json.dumps(call.to_wire()) for call in reply.tool_calls)


@pytest.mark.parametrize("field", FIELDS)
def test_half_a_character_does_no_harm(field: str) -> None:
    reply = check_answer(*outcome(read([event(packed(in_field(field, "a\ud83d"))), event(CHUNKS[5])])))
    assert "\ud83d" not in str(reply)


def test_the_halves_of_a_character_meet_in_a_call_too() -> None:
    halves = [event({"choices": [{"delta": {"tool_calls": [{"function": {"arguments": "@"}}]}}]})] * 2
    pieces = [
        half.replace(b"@", part) for half, part in zip(halves, (rb"{\"a\": \"\ud83d", rb"\ude00\"}"), strict=True)
    ]
    (call,) = check_answer(*outcome(read([*pieces, event(CHUNKS[5])]))).tool_calls
    assert call.arguments == '{"a": "\U0001f600"}'


def blank_lines(before: str, count: int) -> None:
    list(told_apart(Chunk(text=text) for text in [before, *["\n"] * count]))


def calls(count: int, **piece: Any) -> None:
    builder = CallsBuilder()
    for number in range(count):
        builder.add(CallPiece(**{name: value(number) for name, value in piece.items()}))
    builder.calls()


def refused(body: bytes) -> None:
    Refusal.read(400, {}, body, "gateway.test").error()


def hidden(times: int) -> None:
    Secret().made_of(KEY).hidden(f"{KEY} " * times)


LONG: dict[str, tuple[int, Callable[[int], None]]] = {
    "blanks in a message": (2000, lambda size: refused(b'{"error": "a' + b" " * size + b'b"}')),
    "titles of a page": (2000, lambda size: refused(b"<html>" + b"<title>" * size)),
    "half a title": (4000, lambda size: refused(b"<html>" + b"<title" * size)),
    "blank lines before an answer": (1500, lambda size: blank_lines("", size)),
    "blank lines in the reasoning": (1500, lambda size: blank_lines("<think>x", size)),
    "calls with ids": (1000, lambda size: calls(size, id=str, name=lambda _: "f", arguments=lambda _: "{}")),
    "pieces of one call's name": (2000, lambda size: calls(size, index=lambda _: 0, name=lambda n: f"name {n}" * 20)),
    "a key again and again": (500, hidden),
    "pieces of one call": (2000, lambda size: calls(size, index=lambda _: 0, arguments=lambda _: "a word and another")),
}


@pytest.mark.parametrize(("size", "work"), LONG.values(), ids=LONG)
def test_what_is_longer_takes_longer_but_not_by_its_square(size: int, work: Callable[[int], None]) -> None:
    def seconds(length: int) -> float:
        began = time.thread_time()
        work(length)
        return time.thread_time() - began

    work(size)
    times = 16
    assert seconds(times * size) < times**1.5 * max(min(seconds(size) for _ in range(3)), 1e-4)
