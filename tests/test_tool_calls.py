"""Calls of tools as gateways send them, rightly and wrongly: the right call or a clear error, no half conversation."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from calling import asking, call, check, finish, part, parts, results, steps
from hypothesis import given, settings
from hypothesis import strategies as st
from IPython.core.interactiveshell import InteractiveShell
from kernels import environment
from scripted import DONE, STOP, USAGE, Pause, Reset, answer, delta, event, reply, scripted, whole

from mixroute_magic import Client
from mixroute_magic import errors as e
from mixroute_magic.reply import ReplyBuilder
from mixroute_magic.wire import Chunk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scripted import Script

KEY = "sk-test-key-of-a-person"
TOOLS = """
import asyncio, sys
from dataclasses import dataclass
from typing import Annotated
import pandas
from pydantic import BeforeValidator

ran = []

def add(a: int, b: int = 1) -> int:
    "Add two numbers."
    ran.append((a, b))
    return a + b

def weather(city: str) -> str:
    ran.append(city)
    return f"{city}: 18 °C"

def ping():
    ran.append("ping")
    return "pong"

async def slowly(a: int) -> int:
    await asyncio.sleep(0.01)
    return a + 1

def fails(what: str):
    raise {"key": KeyError("x"), "exit": SystemExit(3), "cancelled": asyncio.CancelledError("no")}[what]

async def leaves():
    sys.exit("bye")

def prints():
    print("printed by the tool")

@dataclass
class Point:
    x: int

def gives(what: str):
    return {"frame": pandas.DataFrame({"a": [1, 2]}), "point": Point(2), "points": [Point(1)], "none": None,
            "long": "x" * 50_000, "text": "plain", "half": "\\ud83d", "true": True, "object": slice(1, 2)}[what]

def secret():
    return "the key is KEY"

def checks(value: Annotated[int, BeforeValidator(lambda _: {}["KEY"])]):
    raise AssertionError("it must not be called")

def tells():
    raise ValueError("KEY is no number")
"""


@dataclass(frozen=True)
class Called:
    """What comes of a reply: the calls as they go back, with "*" for an id of ours, and the results of the tools."""

    calls: list[dict[str, Any]]
    results: list[str]
    said: str | None = None
    ran: bool = True


@dataclass(frozen=True)
class Failed:
    """What comes of a reply that is no answer: an error, and nothing runs."""

    error: type[e.MixRouteError]
    says: str


Outcome = Called | Failed

ONE = '{"a": 2, "b": 3}'
ADDED = Called([call("c1", "add", ONE)], ["5"])
TWO = Called([call("c1", "add", ONE), call("c2", "weather", '{"city": "東京"}')], ["5", "東京: 18 °C"])
OURS = Called([call("*", "add", ONE)], ["5"])
OUR_TWO = Called([call("*", "add", ONE), call("*", "weather", '{"city": "東京"}')], ["5", "東京: 18 °C"])
CITY = '{"city": "東京"}'
NAMED_ONE = {"id": "c1", "type": "function", "name": "add"}
NAMED_TWO = {"id": "c2", "type": "function", "name": "weather"}
SIGNED = {"extra_content": {"google": {"thought_signature": "c2ln"}}}


def said_whole(message: dict[str, Any], reason: str | None = "tool_calls") -> bytes:
    """Return a reply that is no stream."""
    return reply(200, {"model": "served", "choices": [{"message": message, "finish_reason": reason}]})


def wrongly(arguments: str, told: str, sent: str = "{}", name: str = "add") -> tuple[Script, Outcome]:
    """Return a call with arguments that are not taken, and what the model is told."""
    outcome = Called([call("c1", name, sent)], [f"Error: {told}"], ran=False)
    return asking(part(arguments, **NAMED_ONE | {"name": name}, index=0)), outcome


STREAMS: dict[str, tuple[Script, Outcome]] = {
    # As OpenAI streams
    "a call in one piece": (asking(part(ONE, **NAMED_ONE, index=0)), ADDED),
    "arguments a character at a time": (
        asking(part("", **NAMED_ONE, index=0), *(part(letter, index=0) for letter in ONE)),
        ADDED,
    ),
    "the stream a byte at a time": (
        answer(*(bytes([byte]) for byte in parts(part(ONE, **NAMED_ONE, index=0)) + finish())),
        ADDED,
    ),
    "two calls, one after the other": (
        asking(
            part("", **NAMED_ONE, index=0),
            part(ONE, index=0),
            part("", **NAMED_TWO, index=1),
            part(CITY, index=1),
        ),
        TWO,
    ),
    "two calls, in turns": (
        asking(
            part(ONE[:4], **NAMED_ONE, index=0),
            part(CITY[:4], **NAMED_TWO, index=1),
            part(ONE[4:], index=0),
            part(CITY[4:], index=1),
        ),
        TWO,
    ),
    "two calls in one event": (
        answer(parts(part(ONE, **NAMED_ONE, index=0), part(CITY, **NAMED_TWO, index=1)), finish()),
        TWO,
    ),
    "indexes that begin at 1 and leave one out": (
        asking(part(ONE, **NAMED_ONE, index=1), part(CITY, **NAMED_TWO, index=3)),
        TWO,
    ),
    # Numbered wrongly, or not at all
    "no index, with ids": (asking(part(ONE, **NAMED_ONE), part(CITY, **NAMED_TWO)), TWO),
    "no index, with ids, in pieces": (
        asking(part(ONE[:4], **NAMED_ONE), part(ONE[4:]), part(CITY[:4], **NAMED_TWO), part(CITY[4:])),
        TWO,
    ),
    "no index, with ids on each piece, in turns": (
        asking(
            part(ONE[:4], **NAMED_ONE), part(CITY[:4], **NAMED_TWO), part(ONE[4:], id="c1"), part(CITY[4:], id="c2")
        ),
        TWO,
    ),
    "no index, no ids": (asking(part(ONE, name="add"), part(CITY, name="weather")), OUR_TWO),
    "no index, no ids, in pieces": (
        asking(part("", name="add"), part(ONE), part("", name="weather"), part(CITY)),
        OUR_TWO,
    ),
    "an index that is no number": (
        asking(part(ONE, **NAMED_ONE, index="0"), part(CITY, **NAMED_TWO, index=None)),
        TWO,
    ),
    "all index 0, with ids": (asking(part(ONE, **NAMED_ONE, index=0), part(CITY, **NAMED_TWO, index=0)), TWO),
    "all index 0, with ids, in pieces": (
        asking(
            part("", **NAMED_ONE, index=0),
            part(ONE, index=0),
            part("", **NAMED_TWO, index=0),
            part(CITY, index=0),
        ),
        TWO,
    ),
    "all index 0, with ids on each piece, in turns": (
        asking(
            part(ONE[:4], **NAMED_ONE, index=0),
            part(CITY[:4], **NAMED_TWO, index=0),
            part(ONE[4:], id="c1", index=0),
            part(CITY[4:], id="c2", index=0),
        ),
        TWO,
    ),
    "all index 0, no ids": (asking(part(ONE, name="add", index=0), part(CITY, name="weather", index=0)), OUR_TWO),
    "all index 0, no ids, the same tool twice": (
        asking(part(ONE, name="add", index=0), part('{"a": 1}', name="add", index=0)),
        Called([call("*", "add", ONE), call("*", "add", '{"a": 1}')], ["5", "2"]),
    ),
    # Ids and names
    "name and id on each piece": (
        asking(part(ONE[:4], **NAMED_ONE, index=0), part(ONE[4:], **NAMED_ONE, index=0)),
        ADDED,
    ),
    "name and id on each piece, the last one empty": (
        asking(part(ONE, **NAMED_ONE, index=0), part("", **NAMED_ONE, index=0)),
        ADDED,
    ),
    "name on each piece, without an id": (
        asking(part(ONE[:4], name="add", index=0), part(ONE[4:], name="add", index=0), part("", name="add", index=0)),
        OURS,
    ),
    "empty texts on the pieces that go on": (
        asking(part(ONE[:4], **NAMED_ONE, index=0), part(ONE[4:], index=0, id="", type="", name="")),
        ADDED,
    ),
    "null on the pieces that go on": (
        asking(part(ONE[:4], **NAMED_ONE, index=0), part(ONE[4:], index=0, id=None, type=None, name=None)),
        ADDED,
    ),
    "a name in two pieces": (asking(part("", index=0, id="c1", name="a"), part(ONE, index=0, name="dd")), ADDED),
    "the id after the name": (asking(part("", index=0, name="add"), part(ONE, index=0, id="c1")), ADDED),
    "no type": (asking(part(ONE, index=0, id="c1", name="add")), ADDED),
    "another type": (asking(part(ONE, **NAMED_ONE | {"type": "tool"}, index=0)), ADDED),
    "an id that is a number": (asking(part(ONE, **NAMED_ONE | {"id": 7}, index=0)), OURS),
    "two calls with one id": (
        asking(part(ONE, **NAMED_ONE, index=0), part(CITY, **NAMED_TWO | {"id": "c1"}, index=1)),
        Called([call("c1", "add", ONE), call("*", "weather", CITY)], TWO.results),
    ),
    "two calls with one id and index": (
        asking(part(ONE, **NAMED_ONE, index=0), part('{"a": 1}', **NAMED_ONE, index=0)),
        Called([call("c1", "add", ONE), call("*", "add", '{"a": 1}')], ["5", "2"]),
    ),
    "a call told twice": (asking(part(ONE, **NAMED_ONE, index=0), part(ONE, **NAMED_ONE, index=0)), ADDED),
    # Arguments
    "arguments as an object": (asking(part({"a": 2, "b": 3}, **NAMED_ONE, index=0)), ADDED),
    "arguments as an object in two calls without an index": (
        asking(part({"a": 2, "b": 3}, **NAMED_ONE), part({"city": "東京"}, **NAMED_TWO)),
        TWO,
    ),
    "arguments null": (
        asking({"index": 0, "id": "c1", "function": {"name": "ping", "arguments": None}}),
        Called([call("c1", "ping")], ["pong"]),
    ),
    "no arguments": (asking(part(index=0, id="c1", name="ping")), Called([call("c1", "ping")], ["pong"])),
    "empty arguments": (asking(part("", index=0, id="c1", name="ping")), Called([call("c1", "ping")], ["pong"])),
    "blank arguments": (asking(part("\n", index=0, id="c1", name="ping")), Called([call("c1", "ping")], ["pong"])),
    "the word null": (asking(part("null", index=0, id="c1", name="ping")), Called([call("c1", "ping")], ["pong"])),
    "an empty object, then the arguments": (
        asking(part({}, **NAMED_ONE, index=0), part(ONE, index=0)),
        ADDED,
    ),
    "JSON written twice over": (asking(part(json.dumps(ONE), **NAMED_ONE, index=0)), ADDED),
    "half an emoji": (
        asking(part('{"city": "a\\ud83d"}', **NAMED_TWO, index=0)),
        Called([call("c2", "weather", '{"city": "a\\ud83d"}')], ["a?: 18 °C"]),
    ),
    "no JSON": wrongly("{'a': 2}", "the arguments are no JSON. You wrote: {'a': 2}"),
    "half of the JSON": wrongly('{"a": 2', 'the arguments are no JSON. You wrote: {"a": 2'),
    "two JSONs": wrongly("{}{}", "the arguments are no JSON. You wrote: {}{}"),
    "an array": wrongly("[2, 3]", "the arguments are no JSON object. You wrote: [2, 3]"),
    "brackets without an end": wrongly("[" * 100_000, f"the arguments are no JSON. You wrote: {'[' * 200}"),
    "a wrong type": wrongly(
        '{"a": "two"}',
        'a: Input should be a valid integer, unable to parse string as an integer. You wrote: {"a": "two"}',
        sent='{"a": "two"}',
    ),
    "an argument too few and one too many": wrongly(
        '{"c": 1}',
        'a: Field required; c: Extra inputs are not permitted. You wrote: {"c": 1}',
        sent='{"c": 1}',
    ),
    # Names
    "an unknown tool": wrongly("{}", "there is no tool nope; there are: add, weather, ping", name="nope"),
    "an empty name": (
        asking(part("{}", index=0, id="c1", name="")),
        Called([call("c1", "unnamed")], ["Error: there is no tool ; there are: add, weather, ping"], ran=False),
    ),
    "a name with a dot and a space": (
        asking(part(ONE, index=0, id="c1", name="functions.add now")),
        Called(
            [call("c1", "functions_add_now", ONE)],
            ["Error: there is no tool functions.add now; there are: add, weather, ping"],
            ran=False,
        ),
    ),
    "a name of a thousand letters": (
        asking(part(ONE, index=0, id="c1", name="x" * 1000)),
        Called(
            [call("c1", "x" * 64, ONE)],
            [f"Error: there is no tool {'x' * 1000}; there are: add, weather, ping"],
            ran=False,
        ),
    ),
    # What comes with calls
    "a signature": (asking(part(ONE, **NAMED_ONE, **SIGNED, index=0)), Called([call("c1", "add", ONE)], ["5"])),
    "text before": (
        answer(delta("Let me "), delta("add."), parts(part(ONE, **NAMED_ONE, index=0)), finish()),
        Called(ADDED.calls, ["5"], said="Let me add."),
    ),
    "reasoning before": (
        answer(
            event({"choices": [{"delta": {"reasoning_content": "Hm."}}]}),
            parts(part(ONE, **NAMED_ONE, index=0)),
            finish(),
        ),
        ADDED,
    ),
    "usage between": (
        answer(parts(part(ONE[:4], **NAMED_ONE, index=0)), USAGE, parts(part(ONE[4:], index=0)), finish(), USAGE, DONE),
        ADDED,
    ),
    "odd things for calls": (
        answer(
            parts(None, 3, "x", [], {"index": 0, "function": None}, part(ONE, **NAMED_ONE, index=0)),
            event({"choices": [{"delta": {"tool_calls": None, "function_call": None}}]}),
            event({"choices": [{"delta": {"tool_calls": 5}}]}),
            finish(),
        ),
        ADDED,
    ),
    "one call that is no list": (
        answer(event({"choices": [{"delta": {"tool_calls": part(ONE, **NAMED_ONE)}}]}), finish()),
        ADDED,
    ),
    "calls of a second choice": (
        answer(
            parts(part(ONE, **NAMED_ONE, index=0)),
            event({"choices": [{"index": 1, "delta": {"tool_calls": [part(CITY, **NAMED_TWO, index=0)]}}]}),
            finish(),
        ),
        ADDED,
    ),
    # Finish reasons
    "finish reason stop": (asking(part(ONE, **NAMED_ONE, index=0), reason="stop"), ADDED),
    "finish reason function_call": (asking(part(ONE, **NAMED_ONE, index=0), reason="function_call"), ADDED),
    "finish reason with the calls": (
        answer(parts(part(ONE, **NAMED_ONE, index=0), finish_reason="tool_calls"), DONE),
        ADDED,
    ),
    "no finish reason": (asking(part(ONE, **NAMED_ONE, index=0), reason=None), Failed(e.StreamError, "ended early")),
    "an empty finish reason": (
        asking(part(ONE, **NAMED_ONE, index=0), reason=""),
        Failed(e.StreamError, "ended early"),
    ),
    "cut at the token limit": (
        asking(part(ONE[:7], **NAMED_ONE, index=0), reason="length"),
        Failed(e.StreamError, "cut at the token limit, in a call of a tool. Raise --max-tokens."),
    ),
    "a broken connection": (
        answer(parts(part(ONE, **NAMED_ONE, index=0)), Pause(0.01), Reset()),
        Failed(e.APIConnectionError, "connection"),
    ),
    "an error in the middle": (
        answer(parts(part(ONE, **NAMED_ONE, index=0)), event({"error": {"message": "upstream died"}})),
        Failed(e.MixRouteError, "upstream died"),
    ),
    # Other forms
    "before there were tools": (
        answer(
            event({"choices": [{"delta": {"function_call": {"name": "add", "arguments": ONE[:4]}}}]}),
            event({"choices": [{"delta": {"function_call": {"arguments": ONE[4:]}}}]}),
            finish("function_call"),
        ),
        OURS,
    ),
    "a whole reply instead of a stream": (
        said_whole({"content": None, "tool_calls": [call("c1", "add", ONE), call("c2", "weather", CITY)]}),
        TWO,
    ),
    "a whole reply, arguments as objects, no ids, no finish reason": (
        said_whole(
            {
                "tool_calls": [
                    part({"a": 2, "b": 3}, name="add", type="function"),
                    part({"city": "東京"}, name="weather", type="function"),
                ]
            },
            reason=None,
        ),
        OUR_TWO,
    ),
    # Too many
    "sixty calls at once": (
        asking(*(part(ONE, **NAMED_ONE | {"id": f"c{number}"}, index=number) for number in range(60))),
        Failed(e.ToolError, "called tools 60 times in 1 round and gave no answer; no more run."),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def inner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InteractiveShell]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_DATA_DIR", str(tmp_path_factory.mktemp("data")))
        patch.setenv("MIXROUTE_API_KEY", KEY)
        made = InteractiveShell(colors="nocolor")
        made.run_line_magic("load_ext", "mixroute_magic")
        made.run_cell(TOOLS.replace("KEY", KEY)).raise_error()
        yield made
        made.run_line_magic("unload_ext", "mixroute_magic")
        made.history_manager.end_session()


class Shell:
    """A shell in which the tools are defined, with a new conversation."""

    def __init__(self, inner: InteractiveShell, thread: str) -> None:
        self._inner = inner
        self._thread = thread
        inner.user_ns["ran"].clear()

    def chat(self, question: str, options: str = "--tool add --tool weather --tool ping --yes") -> Any:
        """Ask, and return the reply."""
        result = self._inner.run_cell(f"%%chat {options} --thread {self._thread} -o reply\n{question}")
        error = result.error_before_exec or result.error_in_exec
        if error is not None:
            raise error
        return self._inner.user_ns["reply"]

    def ask_at(self, base_url: str) -> None:
        self._inner.run_cell(f"%config MixRoute.base_url = {base_url!r}").raise_error()

    @property
    def ran(self) -> list[Any]:
        return list(self._inner.user_ns["ran"])


@pytest.fixture
def shell(inner: InteractiveShell, request: pytest.FixtureRequest) -> Shell:
    return Shell(inner, f"t{abs(hash(request.node.name))}")


def without_our_ids(calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**item, "id": "*"} if item["id"].startswith("call_") else item for item in calls]


@pytest.mark.parametrize(("stream", "outcome"), STREAMS.values(), ids=STREAMS.keys())
def test_a_call_is_right_or_the_error_clear_and_the_conversation_goes_on(
    shell: Shell, stream: Script, outcome: Outcome
) -> None:
    final = [whole("Done.")] if isinstance(outcome, Called) else []
    with scripted(stream, *final, whole("Next.")) as gateway:
        shell.ask_at(gateway.base_url)
        if isinstance(outcome, Failed):
            with pytest.raises(outcome.error) as failed:
                shell.chat("First?")
            assert outcome.says in " ".join(failed.value.lines())
            assert len(failed.value.lines()) <= 3
            assert shell.ran == []
        else:
            assert shell.chat("First?").text == "Done."
        assert shell.chat("Second?", "").text == "Next."
    check(gateway.bodies)
    *_, last = gateway.bodies
    if isinstance(outcome, Called):
        said, *told = steps(gateway.bodies[1])
        assert without_our_ids(said["tool_calls"]) == outcome.calls
        assert said["content"] == outcome.said
        assert results(gateway.bodies[1]) == outcome.results
        assert [message["tool_call_id"] for message in told] == [item["id"] for item in said["tool_calls"]]
        assert bool(shell.ran) is outcome.ran
        first = [{"role": "user", "content": "First?"}, said, *told, {"role": "assistant", "content": "Done."}]
    else:
        first = []
    assert last["messages"] == [*first, {"role": "user", "content": "Second?"}]
    assert "tools" not in last


def test_rounds_come_to_an_end(shell: Shell) -> None:
    again = asking(part('{"a": 1}', **NAMED_ONE, index=0))
    with scripted(*[again] * 11, whole("Next.")) as gateway:
        shell.ask_at(gateway.base_url)
        with pytest.raises(e.ToolError, match="called tools 11 times in 11 rounds and gave no answer"):
            shell.chat("First?")
        assert shell.ran == [(1, 1)] * 10
        shell.chat("Second?")
    check(gateway.bodies)
    assert len(gateway.bodies[10]["messages"]) == 21
    assert len(gateway.bodies[-1]["messages"]) == 1


@pytest.mark.parametrize("text", ["", "It is 5."])
def test_a_call_that_nobody_offered_does_not_run(shell: Shell, text: str) -> None:
    asked = answer(delta(text), parts(part(ONE, **NAMED_ONE, index=0)), finish())
    with scripted(asked, whole("Next.")) as gateway:
        shell.ask_at(gateway.base_url)
        if text:
            answered = shell.chat("First?", "")
            assert (answered.text, [item.name for item in answered.tool_calls]) == (text, ["add"])
        else:
            with pytest.raises(e.ToolError) as failed:
                shell.chat("First?", "")
            said, hint, _ = failed.value.lines()
            assert said == "ToolError: The model asked for the tool add, which was not offered."
            assert hint == "Offer it: --tool add."
        shell.chat("Second?", "")
    assert shell.ran == []
    kept = [{"role": "user", "content": "First?"}, {"role": "assistant", "content": text}] if text else []
    assert gateway.bodies[-1]["messages"] == [*kept, {"role": "user", "content": "Second?"}]


LONG = f"{'x' * 20_000}\n(… shortened to 20,000 of 50,000 characters)"
HAPPENINGS = {
    "an async tool": ("slowly", '{"a": 2}', "3"),
    "an exception": ("fails", '{"what": "key"}', "Error: KeyError: 'x'"),
    "an exit": ("fails", '{"what": "exit"}', "Error: SystemExit: 3"),
    "an exit of an async tool": ("leaves", "", "Error: SystemExit: bye"),
    "a cancellation": ("fails", '{"what": "cancelled"}', "Error: CancelledError: no"),
    "no result": ("prints", "", "null"),
    "a data frame": ("gives", '{"what": "frame"}', "|  | a |\n| --- | --- |\n| 0 | 1 |\n| 1 | 2 |"),
    "a dataclass": ("gives", '{"what": "point"}', '{"x":2}'),
    "a list of them": ("gives", '{"what": "points"}', '[{"x":1}]'),
    "text": ("gives", '{"what": "text"}', "plain"),
    "a truth": ("gives", '{"what": "true"}', "true"),
    "half a character": ("gives", '{"what": "half"}', "?"),
    "too much": ("gives", '{"what": "long"}', LONG),
    "an object": ("gives", '{"what": "object"}', "slice(1, 2, None)"),
    "the API key": ("secret", "", "Error: the result holds an API key, and was not sent"),
    "a check of arguments that tells the API key": (
        "checks",
        '{"value": 1}',
        "Error: the result holds an API key, and was not sent",
    ),
    "an exception with the API key": ("tells", "", "Error: the result holds an API key, and was not sent"),
}


@pytest.mark.parametrize(("name", "arguments", "told"), HAPPENINGS.values(), ids=HAPPENINGS.keys())
def test_whatever_a_tool_does_the_model_is_told(shell: Shell, name: str, arguments: str, told: str) -> None:
    with scripted(asking(part(arguments, index=0, id="c1", name=name)), whole("Done.")) as gateway:
        shell.ask_at(gateway.base_url)
        assert shell.chat("First?", f"--tool {name} --yes").text == "Done."
    check(gateway.bodies)
    assert results(gateway.bodies[1]) == [told]


SCRIPT = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance(colors="nocolor")
shell.run_line_magic("load_ext", "mixroute_magic")
shell.run_cell("def add(a: int, b: int) -> int:\\n    print('it ran')\\n    return a + b")
shell.run_cell("%%chat --tool add\\nFirst?")
"""


def test_a_script_in_which_nobody_can_answer_fails_at_the_question(tmp_path: Path) -> None:
    with scripted(asking(part(ONE, **NAMED_ONE, index=0)), whole("Next.")) as gateway:
        ran = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env=environment(tmp_path, gateway.base_url),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
        )
    assert "ToolError: add needs your consent, and nobody can be asked here" in ran.stdout
    assert "it ran" not in ran.stdout
    assert len(gateway.bodies) == 1


def test_what_a_tool_prints_is_seen(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    with scripted(asking(part("", index=0, id="c1", name="prints")), whole("Done.")) as gateway:
        shell.ask_at(gateway.base_url)
        shell.chat("First?", "--tool prints --yes")
    printed = capsys.readouterr().out
    assert printed.index("running prints …") < printed.index("printed by the tool") < printed.index("prints() → null")


def test_a_key_that_a_gateway_writes_into_a_call_is_neither_kept_nor_sent_back(shell: Shell) -> None:
    asked = asking(part(json.dumps({"city": KEY}), **NAMED_TWO, extra_content={"key": KEY}, index=0))
    with scripted(asked, whole("Done.")) as gateway:
        shell.ask_at(gateway.base_url)
        answered = shell.chat("First?")
    assert KEY not in f"{gateway.bodies} {answered.tool_calls}"
    assert results(gateway.bodies[1]) == ["sk-…: 18 °C"]


@pytest.mark.parametrize(
    ("model", "signed", "reasoned"),
    [("gemini-3-pro-preview", True, None), ("kimi-k2.5", False, "Hm."), ("gpt-4o", False, None)],
)
def test_what_came_with_a_call_goes_back_to_whoever_needs_it(
    shell: Shell, model: str, signed: bool, reasoned: str | None
) -> None:
    thought = event({"choices": [{"delta": {"reasoning_content": "Hm."}}]})
    asked = answer(thought, parts(part(ONE, **NAMED_ONE, **SIGNED, index=0)), finish())
    with scripted(asked, whole("Done."), whole("Next.")) as gateway:
        shell.ask_at(gateway.base_url)
        shell.chat("First?", f"-m {model} --tool add --yes")
        shell.chat("Second?", f"-m {model}")
    check(gateway.bodies)
    for body in gateway.bodies[1:]:
        said = next(message for message in body["messages"] if "tool_calls" in message)
        assert said["tool_calls"] == [call("c1", "add", ONE, **(SIGNED if signed else {}))]
        assert said.get("reasoning_content") == reasoned


def test_a_demanded_call_is_demanded_once(shell: Shell) -> None:
    with scripted(asking(part(ONE, **NAMED_ONE, index=0)), whole("Done.")) as gateway:
        shell.ask_at(gateway.base_url)
        shell.chat("First?", "--tool add --yes -p tool_choice=required -p parallel_tool_calls=false")
    check(gateway.bodies)
    assert [body.get("tool_choice") for body in gateway.bodies] == ["required", None]
    assert [body.get("parallel_tool_calls") for body in gateway.bodies] == [False, False]


# Any cut of a legal stream


@st.composite
def legal(draw: st.DrawFn) -> tuple[list[tuple[str, str, str]], list[dict[str, Any]]]:
    """Return parallel calls, and the pieces that they may come in: those of a call in order, named as gateways do."""
    values = st.dictionaries(st.text(max_size=5), st.text(max_size=9) | st.integers() | st.none(), max_size=3)
    names, in_ascii = st.sampled_from(["add", "weather", "get_weather"]), draw(st.booleans())
    calls = [
        (f"c{number}", draw(names), json.dumps(draw(values), ensure_ascii=in_ascii))
        for number in range(draw(st.integers(1, 4)))
    ]
    named, numbered, mixed = draw(st.booleans()), draw(st.booleans()), draw(st.booleans())
    queues = []
    for number, (call_id, name, arguments) in enumerate(calls):
        cuts = sorted(draw(st.sets(st.integers(0, len(arguments)), max_size=5)))
        texts = [arguments[start:end] for start, end in zip([0, *cuts], [*cuts, len(arguments)], strict=True)]
        index = {"index": number} if numbered else {}
        first, later = {"id": call_id, "type": "function", "name": name}, {"id": call_id, "name": name} if named else {}
        queues.append([part(text, **index, **(later if place else first)) for place, text in enumerate(texts)])
    pieces: list[dict[str, Any]] = []
    while any(queues):
        waiting = [queue for queue in queues if queue]
        # Who neither numbers nor names the pieces sends one call after the other.
        place = draw(st.integers(0, len(waiting) - 1)) if mixed and (numbered or named) else 0
        pieces.append(waiting[place].pop(0))
    return calls, pieces


@settings(max_examples=50, deadline=None)
@given(legal(), st.data())
def test_any_cut_of_a_stream_gives_the_same_calls_also_when_looked_at_on_the_way(
    stream: tuple[list[tuple[str, str, str]], list[dict[str, Any]]], data: st.DataObject
) -> None:
    calls, pieces = stream
    builder = ReplyBuilder("glm-5")
    for piece in pieces:
        builder.add(Chunk.from_wire({"choices": [{"delta": {"tool_calls": [piece]}}]}))
        if data.draw(st.booleans()):
            builder.reply()
    built = {(item.id, item.name, item.arguments) for item in builder.reply().tool_calls}
    assert built == set(calls)


@settings(max_examples=30, deadline=None)
@given(legal(), st.data())
def test_any_cut_of_its_bytes_does_so_too(
    stream: tuple[list[tuple[str, str, str]], list[dict[str, Any]]], data: st.DataObject
) -> None:
    calls, pieces = stream
    body = b"".join(map(parts, pieces)) + finish() + STOP
    cuts = sorted(data.draw(st.sets(st.integers(1, len(body) - 1), max_size=20)))
    packets = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    with scripted(answer(*packets)) as gateway, Client(gateway.base_url, KEY) as client:
        reply = client.chat([{"role": "user", "content": "?"}], model="glm-5")
    assert {(item.id, item.name, item.arguments) for item in reply.tool_calls} == set(calls)
