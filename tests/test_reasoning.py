"""Reasoning in all its places: told apart from the answer, shown folded, kept, counted, and not sent back."""

from __future__ import annotations

import threading
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from IPython.core.interactiveshell import InteractiveShell
from kernels import Kernel
from scripted import DONE, STOP, Reset, Until, answer, delta, event, reply, scripted, whole

from mixroute_magic import Client
from mixroute_magic import errors as e
from mixroute_magic.gateway.thinking import told_apart
from mixroute_magic.reply import ReplyBuilder
from mixroute_magic.wire import Chunk, Usage

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from pathlib import Path

HELLO = [{"role": "user", "content": "Hello"}]


def streamed(pieces: Sequence[str]) -> Generator[Chunk]:
    yield from (Chunk(piece) for piece in pieces)


def read(*pieces: str) -> tuple[str, str]:
    builder = ReplyBuilder("glm-5")
    for chunk in told_apart(streamed(pieces)):
        builder.add(chunk)
    return builder.reply().reasoning, builder.reply().text


ANSWERS = {
    "of DeepSeek": ("<think>\nIt is 2.\n\nYes.\n</think>\n\n**2**", ("It is 2.\n\nYes.", "**2**")),
    "of new-api": ("<think>\nhm\n</think>\n2", ("hm", "2")),
    "without line ends": ("<think>hm</think>2", ("hm", "2")),
    "with those of Windows": ("<think>\r\nhm\r\n</think>\r\n\r\n2", ("hm", "2")),
    "with the longer tag": ("<thinking>\nhm </think>\n</thinking>\n2", ("hm </think>", "2")),
    "of Kimi": ("◁think▷hm◁/think▷2", ("hm", "2")),
    "after white space": (" \n\t<think>hm</think>\n\n    2", ("hm", "    2")),
    "of a model that did not think": ("<think>\n\n</think>\n\n2", ("", "2")),
    "cut in its reasoning": ("<think>\nhm\n\nand </thi", ("hm\n\nand </thi", "")),
    "cut in the tag": (" <thi", ("", " <thi")),
    "of the tag alone": ("<think>", ("", "")),
    "about the tag": ("R1 writes <think>hm</think>.", ("", "R1 writes <think>hm</think>.")),
    "with code about it": ("`<think>` opens, `</think>` ends", ("", "`<think>` opens, `</think>` ends")),
    "of two blocks": ("<think>a</think>\n<think>b</think>", ("a", "<think>b</think>")),
    "with another tag": ("<thinker>hm</thinker>", ("", "<thinker>hm</thinker>")),
    "with attributes": ('<think for="me">hm</think>', ("", '<think for="me">hm</think>')),
    "that never opened it": ("Okay, 1 + 1.\n</think>\n\n2", ("", "Okay, 1 + 1.\n</think>\n\n2")),
    "of white space": (" \n ", ("", " \n ")),
    "that is plain": ("a < b", ("", "a < b")),
    "of HTML": ("<table>", ("", "<table>")),
}


@pytest.mark.parametrize(("said", "told"), ANSWERS.values(), ids=ANSWERS.keys())
def test_reasoning_at_the_beginning_of_an_answer_is_told_apart(said: str, told: tuple[str, str]) -> None:
    assert read(said) == told
    assert read(*said) == told  # a character a time


PIECES = st.sampled_from(
    ["<think>", "</think>", "<thinking>", "</thinking>", "◁think▷", "◁/think▷", "<", "</", "think", ">", "\n", " ", "a"]
)


@given(st.lists(PIECES, max_size=12).map("".join), st.lists(st.integers(0, 60), max_size=12))
@example("<think>\nhm\n</think>\n\n2", [3, 9, 15])
def test_no_cutting_of_a_stream_changes_what_is_told_and_nothing_is_lost(said: str, cuts: list[int]) -> None:
    ends = [0, *sorted(cuts), len(said)]
    reasoning, text = read(*(said[start:end] for start, end in pairwise(ends)))
    assert (reasoning, text) == read(said)
    if text == said:
        assert not reasoning
        return
    opening = next(tag for tag in ("<think>", "<thinking>", "◁think▷") if said.lstrip().startswith(tag))
    inner = said.lstrip().removeprefix(opening)
    thoughts, closed, rest = inner.partition(opening[0] + "/" + opening[1:])
    assert reasoning == (thoughts.strip("\n") if closed else thoughts.lstrip("\n"))
    assert text == rest.lstrip("\n")


def test_what_cannot_be_a_tag_passes_at_once() -> None:
    seen = [chunk.text for chunk in told_apart(streamed(["<", "b", ">", "</think>"]))]
    assert seen == ["", "<b", ">", "</think>"]
    seen = [chunk.reasoning for chunk in told_apart(streamed(["<think>", "a", " <", "b", "\n", "</think>"]))]
    assert seen == ["", "a", " ", "<b", "", ""]


def test_a_word_is_there_before_the_next_one_is_sent() -> None:
    arrived = threading.Event()
    script = answer(delta("<think>a"), Until(arrived), delta("b</think>c"), STOP)
    with scripted(script) as gateway, Client(gateway.base_url) as client:
        for chunk in client.stream(HELLO, model="glm-5"):
            if chunk.reasoning == "a":
                arrived.set()
                break
    assert arrived.is_set()


def test_what_else_a_chunk_carries_stays_with_it() -> None:
    usage = Usage(1, 2)
    chunks = (chunk for chunk in [Chunk("<thi", model="m"), Chunk("nk>a", "b", usage=usage, finish_reason="stop")])
    first, second, *rest = told_apart(chunks)
    assert (first, second, rest) == (
        Chunk(model="m"),
        Chunk(reasoning="ba", usage=usage, finish_reason="stop"),
        [],
    )


def test_a_stream_that_breaks_loses_nothing_that_waited() -> None:
    for said, told in (("<think>a\n</thi", ("a\n</thi", "")), ("<thi", ("", "<thi"))):
        with scripted(answer(delta(said), Reset())) as gateway, Client(gateway.base_url, retries=0) as client:
            builder = ReplyBuilder("glm-5")
            with pytest.raises(e.MixRouteError):
                for chunk in client.stream(HELLO, model="glm-5"):
                    builder.add(chunk)
        assert (builder.reply().reasoning, builder.reply().text) == told


def test_leaving_a_stream_closes_its_connection() -> None:
    script = answer(delta("<think>a"), Until(threading.Event()))
    with scripted(script) as gateway, Client(gateway.base_url) as client:
        chunks = client.stream(HELLO, model="glm-5")
        assert any(chunk.reasoning for chunk in chunks)
        chunks.close()
        assert gateway.closed_by_client.wait(10)


def test_a_whole_reply_is_read_like_a_stream() -> None:
    message = {"content": "<think>\nhm\n</think>\n\n2", "role": "assistant"}
    script = reply(200, {"choices": [{"message": message, "finish_reason": "stop"}]})
    with scripted(script) as gateway, Client(gateway.base_url) as client:
        told = client.chat(HELLO, model="glm-5")
    assert (told.reasoning, told.text) == ("hm", "2")


def reasons(**fields: object) -> bytes:
    return event({"choices": [{"delta": fields}]})


FIELDS = {
    "reasoning_content": reasons(reasoning_content="hm"),
    "reasoning": reasons(reasoning="hm"),
    "both": reasons(reasoning_content="hm", reasoning="hm"),
    "OpenRouter's list": reasons(reasoning_details=[{"type": "reasoning.text", "text": "h", "signature": None}, 7])
    + reasons(reasoning=None, reasoning_details=[{"type": "reasoning.summary", "summary": "m"}])
    + reasons(reasoning_details=[{"type": "reasoning.encrypted", "data": "gAAA"}])
    + reasons(reasoning_details="gAAA"),
    "both, and OpenRouter's list": reasons(
        reasoning="hm", reasoning_details=[{"type": "reasoning.text", "text": "hm"}]
    ),
}


@pytest.mark.parametrize("said", FIELDS.values(), ids=FIELDS.keys())
def test_a_field_of_reasoning_is_read_once(said: bytes) -> None:
    with scripted(answer(said, delta("2"), STOP, DONE)) as gateway, Client(gateway.base_url) as client:
        told = client.chat(HELLO, model="glm-5")
    assert (told.reasoning, told.text) == ("hm", "2")


@pytest.mark.parametrize(
    ("finish_reason", "hint"),
    [
        ("length", "All its tokens went into reasoning: raise --max-tokens."),
        ("stop", "Ask again, or another model with -m."),
    ],
)
@pytest.mark.parametrize("said", [delta("<think>hm"), reasons(reasoning_content="hm")], ids=["inline", "apart"])
def test_reasoning_without_an_answer_is_an_error_that_says_why(said: bytes, finish_reason: str, hint: str) -> None:
    script = answer(said, delta("", finish_reason=finish_reason))
    with scripted(script) as gateway, Client(gateway.base_url) as client, pytest.raises(e.StreamError) as caught:
        list(client.stream(HELLO, model="glm-5"))
    assert caught.value.hint == hint


KEY = "sk-test-key"


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("MIXROUTE_API_KEY", KEY)
    made = InteractiveShell(colors="nocolor")
    made.run_line_magic("load_ext", "mixroute_magic")
    yield made
    made.run_line_magic("unload_ext", "mixroute_magic")
    made.history_manager.end_session()


def run(shell: InteractiveShell, cell: str) -> None:
    shell.run_cell(cell).raise_error()


THOUGHTFUL = answer(
    *map(delta, ["<th", "ink>\n", "secret", " <thought>\n<", "/think>", "\n\nTw", "o."]),
    STOP,
    event(
        {
            "choices": [],
            "usage": {
                "prompt_tokens": 3,
                "completion_tokens": 9,
                "completion_tokens_details": {"reasoning_tokens": 5},
            },
        }
    ),
    DONE,
)


def test_inline_reasoning_is_kept_apart_and_not_sent_back(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with scripted(THOUGHTFUL, whole("Hi.")) as gateway:
        monkeypatch.setenv("MIXROUTE_BASE_URL", gateway.base_url)
        run(shell, "%chat -o told 1 + 1?")
        first = capsys.readouterr().out
        run(shell, "%chat and more?")
    told = shell.user_ns["told"]
    assert (told.text, told.reasoning, told.usage.reasoning_tokens) == ("Two.", "secret <thought>", 5)
    assert first.startswith("thinking …\n\nTwo.")
    assert "secret" not in first
    assert gateway.bodies[1]["messages"] == [
        {"role": "user", "content": "1 + 1?"},
        {"role": "assistant", "content": "Two."},
        {"role": "user", "content": "and more?"},
    ]


def test_inline_reasoning_is_left_folded_in_the_notebook_and_counted(tmp_path: Path) -> None:
    with scripted(THOUGHTFUL, whole("Hi.")) as gateway, Kernel(tmp_path, gateway.base_url) as kernel:
        ran = kernel.run("%%chat\n1 + 1?", "first")
        kernel.run("%%chat\nand more?", "second")
        counted = kernel.run("%usage").text
    turn = ran.metadata
    assert turn["reasoning"] == "secret <thought>"
    assert turn["messages"][-1] == {"role": "assistant", "content": "Two."}
    assert turn["usage"]["reasoning_tokens"] == 5
    folded = "<details><summary>Reasoning (2 words)</summary><p>secret &#60;thought&#62;</p></details>\n\nTwo."
    assert ran.markdown.startswith(folded)
    assert gateway.bodies[1]["messages"][1] == turn["messages"][-1]
    assert "≥ 5 (1 unknown)" in counted


PARAMS = {
    "text in JSON's quotes": ("""-p reasoning_effort='"low"'""", {"reasoning_effort": "low"}),
    "text": ("-p reasoning_effort=low", {"reasoning_effort": "low"}),
    "none is no null": ("-p reasoning_effort=none", {"reasoning_effort": "none"}),
    "an object": ("""-p thinking='{"type":"disabled"}'""", {"thinking": {"type": "disabled"}}),
    "an object, quoted whole": ("""-p 'thinking={"type": "enabled"}'""", {"thinking": {"type": "enabled"}}),
    "OpenRouter's": ("""-p reasoning='{"effort":"high"}'""", {"reasoning": {"effort": "high"}}),
    "Qwen's": ("-p enable_thinking=false", {"enable_thinking": False}),
    "two": ("-p reasoning_effort=low -p top_p=0.5", {"reasoning_effort": "low", "top_p": 0.5}),
}


@pytest.mark.parametrize(("options", "sent"), PARAMS.values(), ids=PARAMS.keys())
def test_parameters_of_reasoning_are_sent_as_they_are(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch, options: str, sent: dict[str, object]
) -> None:
    with scripted(whole("Hi.")) as gateway:
        monkeypatch.setenv("MIXROUTE_BASE_URL", gateway.base_url)
        run(shell, f"%chat {options} Hello")
    assert gateway.bodies == [{"model": "glm-5", "messages": HELLO, "stream": True, **sent}]
