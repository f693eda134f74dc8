"""Turns that call tools, in a real kernel: the user's word, interrupts, replay, restarts, exports, and a terminal."""

from __future__ import annotations

import html
import json
import sqlite3
import sys
import threading
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from calling import asking, call, check, part, parts, results, steps
from kernels import Document, Kernel, environment
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from scripted import DONE, STOP, Script, ScriptedGateway, Until, answer, delta, forwarding, reply, scripted, whole
from terminals import Terminal

from mixroute_magic.conversation.turn import Turn
from mixroute_magic.demo import DemoGateway

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kernels import Ran

TOOLS = """
import asyncio, time
ran = []

def add(a: int, b: int = 1) -> int:
    "Add two numbers."
    ran.append((a, b))
    return a + b

def weather(city: str, unit: str = "celsius") -> dict:
    \"\"\"Get the current weather in a given location.

    Parameters
    ----------
    city
        The city, e.g. San Francisco, CA.
    unit
        celsius or fahrenheit
    \"\"\"
    return {"city": city, "temperature": {"Paris": 18, "Tokyo": 21, "巴黎": 18, "東京": 21}.get(city, 0), "unit": unit}

def sleeps():
    print("asleep")
    time.sleep(60)

async def waits():
    print("awaited")
    try:
        await asyncio.sleep(60)
    finally:
        ran.append("cleaned up")
"""
SEEN = "Run it? [y]es, [n]o, [a]lways add:"
QUESTION = f"{SEEN} "
ONE, TWO = '{"a": 2, "b": 3}', '{"a": 4, "b": 4}'
ASKS_ONE = asking(part(ONE, index=0, id="c1", name="add"))
ASKS_TWO = asking(part(ONE, index=0, id="c1", name="add"), part(TWO, index=1, id="c2", name="add"))
REFUSED = "Error: the user does not want this call; do without it"


def asks(name: str) -> Script:
    return asking(part("{}", index=0, id="c1", name=name))


class Desk:
    """A person at a notebook in which the tools are defined."""

    def __init__(self, kernel: Kernel, document: Document) -> None:
        self.kernel = kernel
        self.document = document
        self.begin()

    def begin(self) -> None:
        """Make the kernel take this document for its own, with nothing allowed for ever, and nothing run yet."""
        path = str(self.document.path)
        self.kernel.run(f"import os; os.environ['JPY_SESSION_NAME'] = {path!r}\n%config MixRoute.retries = 0")
        self.kernel.run(TOOLS)

    @contextmanager
    def behind(self, *scripts: Script, **by_model: list[Script]) -> Iterator[ScriptedGateway]:
        with scripted(*scripts, **by_model) as gateway:
            self.ask_at(gateway.base_url)
            yield gateway

    def ask_at(self, base_url: str) -> None:
        self.kernel.run(f"%config MixRoute.base_url = {base_url!r}")

    def send(self, cell: str, options: str, question: str = "First?") -> Ran:
        return self.kernel.send(f"%%chat {options}\n{question}", cell)

    def run(self, cell: str, source: str) -> Ran:
        ran = self.document.run(self.kernel, cell, source)
        assert ran.status == "ok", ran.lines
        return ran

    @property
    def ran(self) -> str:
        return self.kernel.value("ran")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with Kernel(tmp_path_factory.mktemp("kernel")) as kernel:
        yield kernel


@pytest.fixture
def desk(running: Kernel, tmp_path: Path) -> Desk:
    return Desk(running, Document(tmp_path / "talk.ipynb"))


def rows(home: Path) -> list[tuple[Any, ...]]:
    """Return status and tokens of each request in the ledger."""
    with closing(sqlite3.connect(home / "data" / "mixroute" / "ledger.sqlite")) as database:
        return database.execute("select status, input_tokens, output_tokens from requests order by started").fetchall()


class TestConsent:
    @pytest.mark.parametrize(
        ("typed", "told"),
        [
            (["y"], "5"),
            ([" YES "], "5"),
            (["好"], "5"),
            (["n"], REFUSED),
            (["否"], REFUSED),
            (["what?", "", "yes"], "5"),
            (["what?", "", "sure"], REFUSED),
        ],
    )
    def test_a_tool_runs_with_a_clear_word_only(self, desk: Desk, typed: list[str], told: str) -> None:
        with desk.behind(ASKS_ONE, whole("Done."), whole("Next.")) as gateway:
            ran = desk.send("first", "--tool add")
            for word in typed:
                assert ran.answer(word) == f"add(a=2, b=3)\n{QUESTION}"
            assert ran.wait().status == "ok"
            desk.kernel.run("%%chat\nSecond?", "second")
        check(gateway.bodies)
        assert results(gateway.bodies[1]) == [told]
        assert desk.ran == ("[(2, 3)]" if told == "5" else "[]")
        assert ran.text.startswith(f"add(a=2, b=3) → {told[:54]}")
        assert {frame["doing"] for frame in ran.frames if "doing" in frame} >= {"waiting for your word on add"}

    def test_each_of_several_calls_is_asked_about(self, desk: Desk) -> None:
        with desk.behind(ASKS_TWO, whole("Done.")) as gateway:
            ran = desk.send("first", "--tool add")
            assert ran.answer("n").startswith("add(a=2, b=3)\n")
            assert ran.answer("y").startswith("add(a=4, b=4)\n")
            assert ran.wait().status == "ok"
        assert results(gateway.bodies[1]) == [REFUSED, "8"]

    def test_always_holds_until_the_function_is_another(self, desk: Desk) -> None:
        with desk.behind(ASKS_TWO, whole("Done."), ASKS_ONE, whole("Done."), ASKS_ONE, whole("Done.")) as gateway:
            ran = desk.send("first", "--tool add")
            ran.answer("always")
            assert ran.wait().status == "ok"
            assert desk.kernel.run("%%chat --tool add\nSecond?", "second").status == "ok"
            desk.kernel.run("def add(a: int, b: int): return 'another'")
            ran = desk.send("third", "--tool add", "Third?")
            ran.answer("y")
            assert ran.wait().status == "ok"
        assert [results(gateway.bodies[place]) for place in (1, 3, 5)] == [["5", "8"], ["5"], ["another"]]

    def test_what_is_asked_shows_the_whole_call_and_no_control_characters(self, desk: Desk) -> None:
        text = "a" * 1990 + "\x1b[2J"
        asked = asking(part(json.dumps({"city": text}), index=0, id="c1", name="weather"))
        with desk.behind(asked, whole("Done.")):
            ran = desk.send("first", "--tool weather")
            prompt = ran.answer("n")
            ran.wait()
        assert "a" * 1990 in prompt
        assert "\x1b" not in prompt

    @pytest.mark.parametrize(
        ("arguments", "seen"),
        [
            ('{"city": "\u202eTaipei\u202c"}', r'weather(city="\u202eTaipei\u202c")'),
            ('{"city": "a \\ud800"}', r'weather(city="a \ud800")'),
            ('{"city": "two  spaces"}', 'weather(city="two  spaces")'),
            (json.dumps('{"city": "twice over"}'), 'weather(city="twice over")'),
        ],
        ids=ascii,
    )
    def test_what_is_asked_hides_and_turns_round_nothing(self, desk: Desk, arguments: str, seen: str) -> None:
        with desk.behind(asking(part(arguments, index=0, id="c1", name="weather")), whole("Done.")):
            desk.kernel.run("def weather(city): pass")
            ran = desk.send("first", "--tool weather")
            assert ran.answer("y").splitlines()[0] == seen
            assert ran.wait().status == "ok", ran.lines

    def test_a_name_that_plays_at_more_arguments_is_asked_about_as_the_model_wrote_it(self, desk: Desk) -> None:
        arguments = '{"a=1), say(b": 2}'
        with desk.behind(asking(part(arguments, index=0, id="c1", name="say")), whole("Done.")):
            desk.kernel.run("def say(**said): return said")
            ran = desk.send("first", "--tool say")
            assert ran.answer("n").startswith(f"say({arguments})\n")
            ran.wait()

    @pytest.mark.parametrize("models", ["", "-m glm-5 -m gpt-4o "])
    def test_where_nobody_can_be_asked_nothing_is_sent(self, desk: Desk, models: str) -> None:
        with desk.behind(ASKS_ONE, whole("Done.")) as gateway:
            ran = desk.kernel.run(f"%%chat {models}--tool add\nFirst?", "first", allow_stdin=False)
            assert gateway.asked == []
            assert ran.lines == [
                "ToolError: add needs your consent, and nobody can be asked here; it was not run.",
                "Let tools run without asking: --yes.",
            ]
            assert desk.kernel.run("%%chat --tool add --yes\nFirst?", "first", allow_stdin=False).status == "ok"
        assert desk.ran == "[(2, 3)]"

    def test_a_name_that_is_not_there_is_told_with_a_near_one(self, desk: Desk) -> None:
        with desk.behind(whole("Done.")) as gateway:
            ran = desk.kernel.run("%%chat --tool wether --yes\nFirst?", "first")
            far = desk.kernel.run("%%chat --tool qqqq --yes\nFirst?", "first")
            not_theirs = [desk.kernel.run(f"%%chat --tool {name} --yes\nFirst?", "first") for name in ("opem", "open")]
            choice = desk.kernel.run(
                """%%chat --tool add --yes -p 'tool_choice={"type": "function", "function": {"name": "b"}}'\nFirst?""",
                "first",
            )
            odd = desk.kernel.run(
                """%%chat --tool add --yes -p 'tool_choice={"function": {"name": {}}}'\nFirst?""", "first"
            )
        assert gateway.asked == []
        assert odd.lines[0] == "ToolError: tool_choice names {}, which is not offered; nothing was sent."
        assert ran.lines == [
            "ToolError: This notebook has no function wether; nothing was sent.",
            "Did you mean weather?",
        ]
        assert far.lines[1] == "Run the cell that defines qqqq first."
        assert all("first." in ran.lines[1] for ran in not_theirs), "IPython's own functions are nobody's tools"
        assert choice.lines == [
            "ToolError: tool_choice names b, which is not offered; nothing was sent.",
            "Add --tool b.",
        ]


def test_without_a_page_a_notebook_says_what_it_needs(tmp_path: Path) -> None:
    with scripted(ASKS_ONE, whole("Done.")) as gateway, pytest.MonkeyPatch.context() as patch:
        for name, value in environment(tmp_path, gateway.base_url).items():
            patch.setenv(name, value)
        sources = ["%load_ext mixroute_magic", TOOLS, "%%chat --tool add --yes\nFirst?", "%%chat --tool add\nSecond?"]
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
        with pytest.raises(CellExecutionError, match="add needs your consent"):
            NotebookClient(notebook, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert len(gateway.bodies) == 2
    (output,) = notebook.cells[2].outputs
    assert "add(a=2, b=3) → 5\n\nDone." in output.data["text/plain"]


class TestInterrupts:
    def test_while_a_word_is_waited_for(self, desk: Desk) -> None:
        asked = answer(delta("Let me add."), parts(part(ONE, index=0, id="c1", name="add")), STOP, DONE)
        with desk.behind(asked, whole("Next.")) as gateway:
            ran = desk.send("first", "--tool add")
            ran.asks()
            self._stopped(desk, ran, gateway)
        assert ran.text.startswith("Let me add.\n\n")
        assert desk.ran == "[]"

    @pytest.mark.parametrize(
        ("name", "prints", "left"), [("sleeps", "asleep", "[]"), ("waits", "awaited", "['cleaned up']")]
    )
    def test_while_a_tool_runs(self, desk: Desk, name: str, prints: str, left: str) -> None:
        with desk.behind(asks(name), whole("Next.")) as gateway:
            ran = desk.send("first", f"--tool {name} --yes")
            ran.until(lambda ran: prints in ran.text)
            self._stopped(desk, ran, gateway)
        assert desk.ran == left

    @staticmethod
    def _stopped(desk: Desk, ran: Ran, gateway: ScriptedGateway) -> None:
        before = time.monotonic()
        desk.kernel.interrupt()
        assert ran.wait().status == "error"
        assert time.monotonic() - before < 2  # mostly within a tenth; the rest is for a busy machine
        assert len(ran.lines) == 2
        assert ran.lines[0].startswith("Interrupted: ")
        assert ran.metadata["status"] == "interrupted"
        assert "tool_calls" not in str(ran.metadata["messages"])
        assert desk.kernel.run("%%chat\nSecond?", "second").status == "ok"
        assert gateway.bodies[-1]["messages"] == [{"role": "user", "content": "Second?"}]


class TestSideBySide:
    def test_each_model_has_its_own_calls_and_all_is_replayed(self, desk: Desk) -> None:
        scripts: dict[str, list[Script]] = {"one": [ASKS_ONE, whole("Five.")], "two": [ASKS_TWO, whole("Both.")]}
        with desk.behind(whole("Next."), **scripts) as gateway:
            ran = desk.run("first", "%%chat -m one -m two --tool add --yes\nFirst?")
            again = desk.run("first", "%%chat -m one -m two --tool add --yes --replay only\nFirst?")
            assert len(gateway.bodies) == 4
            desk.run("second", "%%chat\nSecond?")
        check(gateway.bodies)
        columns = [[one["messages"] for one in shown.metadata["alternatives"]] for shown in (ran, again)]
        assert columns[0] == columns[1]
        asked = [json.dumps(messages).count('"role": "tool"') for messages in columns[0]]
        assert asked == [1, 2]
        assert "add(a=4, b=4) → 8\n\nBoth." in again.text
        assert sorted(results(body) for body in gateway.bodies[:4]) == [[], [], ["5"], ["5", "8"]]
        assert gateway.bodies[-1]["messages"][:-1] == columns[0][0]

    def test_each_is_asked_about_and_one_that_fails_costs_the_other_nothing(self, desk: Desk) -> None:
        endless: list[Script] = [asking(part("", index=0, id="c1", name="add"), reason="length")]
        with desk.behind(whole("Next."), one=[ASKS_ONE, whole("Five.")], two=endless) as gateway:
            ran = desk.send("first", "-m one -m two --tool add")
            ran.answer("y")
            assert ran.wait().status == "ok"
        check(gateway.bodies)
        assert [one["status"] for one in ran.metadata["alternatives"]] == ["complete", "failed"]
        assert "cut at the token limit, in a call of a tool" in ran.text

    def test_an_interrupt_at_the_question_keeps_what_others_have_answered(self, desk: Desk) -> None:
        answered = threading.Event()
        with desk.behind(whole("Next."), one=[[Until(answered), *ASKS_ONE]], two=[whole("Here.")]) as gateway:
            ran = desk.send("first", "-m one -m two --tool add").until(lambda ran: _ended(ran, 1))
            answered.set()
            ran.asks()
            desk.kernel.interrupt()
            assert ran.wait().status == "error"
            desk.kernel.run("%%chat\nSecond?", "second")
        assert {one["status"] for one in ran.metadata["alternatives"]} == {"complete", "interrupted"}
        said = [{"role": "user", "content": "First?"}, {"role": "assistant", "content": "Here."}]
        assert gateway.bodies[-1]["messages"][:-1] == said


def _ended(ran: Ran, column: int) -> bool:
    return any("ended" in frame and frame["column"] == column for frame in ran.frames)


EXCHANGE = [
    {"role": "user", "content": "First?"},
    {"role": "assistant", "content": None, "tool_calls": [call("c1", "add", ONE), call("c2", "add", TWO)]},
    {"role": "tool", "content": "5", "tool_call_id": "c1"},
    {"role": "tool", "content": "8", "tool_call_id": "c2"},
    {"role": "assistant", "content": "Done."},
]


class TestRecords:
    def test_a_round_is_a_row_of_the_ledger(self, desk: Desk) -> None:
        with desk.behind(ASKS_TWO, whole("Done.")):
            ran = desk.run("first", "%%chat --tool add --yes\nFirst?")
        assert rows(desk.kernel.home)[-2:] == [("complete", 25, 100)] * 2
        assert (ran.metadata["usage"]["input_tokens"], ran.metadata["usage"]["output_tokens"]) == (50, 200)
        assert "served · 50 → 200 tokens" in ran.text

    def test_a_later_round_may_use_the_id_of_an_earlier_one_again(self, desk: Desk, tmp_path: Path) -> None:
        again = asking(part(TWO, index=0, id="c1", name="add"))
        with desk.behind(ASKS_ONE, again, whole("Done.")) as gateway:
            ran = desk.run("first", "%%chat --tool add --yes -p tool_choice=required\nFirst?")
            desk.run("second", f"%thread --export {tmp_path}/talk-export.md")
            desk.run("second", f"%thread --export {tmp_path}/talk-export.ipynb")
        check(gateway.bodies)
        assert ran.text.startswith("add(a=2, b=3) → 5\n\nadd(a=4, b=4) → 8\n\nDone.")
        text = html.unescape((tmp_path / "talk-export.md").read_text())
        assert text.index("add(a=2, b=3)</code> → 5") < text.index("add(a=4, b=4)</code> → 8")
        source = nbformat.read(tmp_path / "talk-export.ipynb", 4).cells[-1].source
        assert source == "%%chat -m glm-5 -p tool_choice=required --tool add\nFirst?"

    def test_results_that_are_too_long_say_nothing_of_later_questions(self, desk: Desk) -> None:
        words = "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens."
        refused = reply(400, {"error": {"message": words, "code": "context_length_exceeded"}})
        with desk.behind(asks("much"), refused, whole("fits")) as gateway:
            desk.kernel.run("def much(): return 'x' * 19_000")
            ran = desk.kernel.run("%%chat --tool much --yes\nFirst?", "first")
            assert ran.lines[1] == (
                "No earlier turns are sent: let the tools return less, shorten the question, "
                "or use a model that takes more."
            )
            desk.run("second", "%%chat\n" + "Second? " * 100)
        assert len(gateway.bodies) == 3

    def test_a_turn_is_replayed_without_the_tool_and_without_the_network(self, desk: Desk) -> None:
        with desk.behind(ASKS_TWO, whole("Done.")) as gateway:
            first = desk.run("first", "%%chat --tool add --yes\nFirst?")
        assert len(gateway.bodies) == 2
        desk.kernel.run("ran.clear()")
        again = desk.run("first", "%%chat --tool add --replay only\nFirst?")  # nobody listens there any more
        assert desk.ran == "[]"
        assert again.metadata["replayed"] is True
        assert first.metadata["messages"] == again.metadata["messages"] == EXCHANGE
        assert "add(a=4, b=4) → 8" in again.text
        other = desk.kernel.run("def add(a: str): pass\n")
        assert other.status == "ok"
        refused = desk.kernel.run("%%chat --tool add --replay only\nFirst?", "first")
        assert refused.reply["content"]["ename"] == "ReplayError"

    def test_after_a_restart_the_exchange_goes_back_verbatim(self, tmp_path: Path) -> None:
        signature = {"extra_content": {"google": {"thought_signature": "c2ln"}}}
        said = [part(ONE, index=0, id="c1", name="add", **signature), part(TWO, index=1, id="c2", name="add")]
        document = Document(tmp_path / "talk.ipynb")
        with Kernel(tmp_path, notebook=document.path) as kernel:
            desk = Desk(kernel, document)
            with desk.behind(asking(*said), whole("Done."), whole("Next."), whole("Next.")) as gateway:
                model = "-m gemini-3-flash-preview"
                desk.run("first", f"%%chat {model} --tool add --yes\nFirst?")
                desk.run("second", f"%%chat {model}\nSecond?")
                document.save()
                kernel.restart()
                desk.begin()
                desk.ask_at(gateway.base_url)
                ran = desk.run("second", f"%%chat {model}\nSecond?")
        check(gateway.bodies)
        before, after = gateway.bodies[-2:]
        assert before == after
        assert steps(gateway.bodies[1]) == before["messages"][1:4]
        assert before["messages"][1]["tool_calls"][0] == call("c1", "add", ONE, **signature)
        assert "2 earlier turns restored from talk.ipynb" in ran.text

    def test_a_thread_shows_exports_and_undoes_them(self, desk: Desk, tmp_path: Path) -> None:
        with desk.behind(ASKS_TWO, whole("Done."), whole("Without."), whole("Next.")) as gateway:
            desk.run("first", "%%chat --tool add --yes\nFirst?")
            shown = desk.run("second", "%thread").text
            assert [line for line in shown.splitlines() if "add(…), add(…)" in line]
            for end in ("md", "ipynb", "json"):
                desk.run("second", f"%thread --export {tmp_path}/talk-export.{end}")
            desk.run("first", "%%chat\nFirst?")
            undone = desk.run("second", "%thread --undo")
            assert "add(a=2, b=3) → 5" in undone.text
            desk.run("third", "%%chat\nNext?")
        assert gateway.bodies[-1]["messages"][:-1] == EXCHANGE
        text = html.unescape((tmp_path / "talk-export.md").read_text())
        assert text.count("<details>") == 2
        assert text.index("> First?") < text.index("add(a=2, b=3)") < text.index("Done.")
        exported = nbformat.read(tmp_path / "talk-export.ipynb", 4)
        assert exported.cells[-1].source == "%%chat -m glm-5 --tool add\nFirst?"
        assert exported.cells[-1].outputs[0].metadata.mixroute.messages == EXCHANGE
        assert json.loads((tmp_path / "talk-export.json").read_text())["turns"][0]["messages"] == EXCHANGE

    def test_an_export_is_imported_again(self, desk: Desk, tmp_path: Path) -> None:
        with desk.behind(ASKS_TWO, whole("Done."), whole("Next.")) as gateway:
            desk.run("first", "%%chat --tool add --yes\nFirst?")
            desk.run("second", f"%thread --export {tmp_path}/talk-export.json")
            desk.run("second", f"%thread other\n%thread --import {tmp_path}/talk-export.json")
            desk.run("third", "%%chat\nNext?")
        assert gateway.bodies[-1]["messages"][:-1] == EXCHANGE

    def test_a_failed_turn_with_calls_can_be_gone_on_from_and_is_not_sent_else(self, desk: Desk) -> None:
        broken = answer(delta("So it is "))
        with desk.behind(ASKS_TWO, broken, whole("Next."), whole("Eight.")) as gateway:
            failed = desk.kernel.run("%%chat --tool add --yes\nFirst?", "first")
            assert failed.status == "error"
            assert failed.metadata["messages"] == [*EXCHANGE[:-1], {"role": "assistant", "content": "So it is "}]
            desk.run("second", "%%chat\nSecond?")
            assert len(gateway.bodies[-1]["messages"]) == 1
            desk.run("first", "%%chat -c\nGo on")
        check(gateway.bodies)
        assert gateway.bodies[-1]["messages"][:-1] == failed.metadata["messages"]


def record(*messages: Any) -> dict[str, Any]:
    known = {"turn": "t", "thread": "main", "status": "complete", "model": "glm-5"}
    return {"version": 1, "kind": "turn", **known, "messages": list(messages)}


def result(call_id: Any = "c1", **more: Any) -> dict[str, Any]:
    return {"role": "tool", "content": "5", "tool_call_id": call_id, **more}


def calls(*items: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": None, "tool_calls": list(items), **more}


USER, FINAL = EXCHANGE[0], EXCHANGE[-1]
C1, C2 = call("c1", "add", ONE), call("c2", "add", TWO)
MANY = [call(f"c{number}", "add") for number in range(5_000)]
DEEP: Any = "x"
for _ in range(5_000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param([USER, calls(C1), FINAL], id="a call without a result"),
        pytest.param([USER, calls(C1, C2), result(), FINAL], id="one of two without"),
        pytest.param([USER, calls(C1), result(), result(), FINAL], id="two results"),
        pytest.param([USER, calls(C1, C1), result(), result(), FINAL], id="two calls with one id"),
        pytest.param([USER, result(), FINAL], id="a result without a call"),
        pytest.param([USER, calls(C1), FINAL, result()], id="a result too late"),
        pytest.param([USER, calls(C1), result("c2"), FINAL], id="a result of another"),
        pytest.param([USER, calls(C1), result(["c1"]), FINAL], id="an id that is no text"),
        pytest.param([USER, calls(C1), result(content=5), FINAL], id="a result that is no text"),
        pytest.param([USER, calls(C1), result(name="x"), FINAL], id="more in a result"),
        pytest.param([USER, calls(), FINAL], id="no calls"),
        pytest.param([USER, calls(C1, "x"), result(), FINAL], id="a call that is none"),
        pytest.param([USER, {**calls(), "tool_calls": C1}, result(), FINAL], id="calls that are no list"),
        pytest.param([USER, calls({**C1, "id": 5}), result(), FINAL], id="an id that is a number"),
        pytest.param(
            [USER, calls({**C1, "function": {"name": "add", "arguments": {}}}), result(), FINAL], id="an object"
        ),
        pytest.param([USER, calls(C1, reasoning_content=5), result(), FINAL], id="reasoning that is no text"),
        pytest.param([USER, calls(C1, content={"x": 1}), result(), FINAL], id="content that is an object"),
        pytest.param([USER, {**USER, "tool_calls": [C1]}, result(), FINAL], id="a user who calls"),
        pytest.param([calls(C1), result(), USER, FINAL], id="calls before any question"),
        pytest.param([USER, calls(*MANY), *(result(item["id"]) for item in MANY), FINAL], id="too many"),
        pytest.param([USER, calls({**C1, "extra_content": DEEP}), result(), FINAL], id="too deep"),
        pytest.param([USER, calls({**C1, "extra_content": float("nan")}), result(), FINAL], id="no JSON"),
    ],
)
def test_a_forged_record_of_calls_is_no_turn(messages: list[Any]) -> None:
    whole_one = Turn.from_metadata(record(*EXCHANGE))
    assert whole_one is not None
    assert [message.to_wire() for message in whole_one.messages] == EXCHANGE
    assert Turn.from_metadata(record(*messages)) is None


# The weather example of the API's documentation

WEATHER = {
    "en": ("What is the weather like in Paris and in Tokyo?", "Paris: 18 °C", "Tokyo: 21 °C"),
    "zh-Hant": ("巴黎和東京的天氣如何？", "巴黎: 18 °C", "東京: 21 °C"),
}


@pytest.fixture(scope="module")
def demo() -> Iterator[DemoGateway]:
    with DemoGateway.start(pace=0) as gateway:
        yield gateway


@pytest.mark.parametrize("model", ["gpt-4o", "gemini-3-pro-preview", "kimi-k2.5"])
@pytest.mark.parametrize("language", WEATHER)
def test_two_cities_are_two_calls_and_one_answer(desk: Desk, demo: DemoGateway, language: str, model: str) -> None:
    question, *said = WEATHER[language]
    with desk.behind(forwarding(demo.base_url)) as gateway:
        ran = desk.run("first", f"%%chat -m {model} --tool weather --yes\n{question}")
        again = desk.run("second", f"%%chat -m {model}\nThank you.")
    check(gateway.bodies)
    assert len(gateway.bodies) == 3
    called, first, second = steps(gateway.bodies[1])
    cities = [json.loads(item["function"]["arguments"])["city"] for item in called["tool_calls"]]
    assert cities == [line.partition(":")[0] for line in said]
    assert [json.loads(message["content"])["temperature"] for message in (first, second)] == [18, 21]
    final = ran.metadata["messages"][-1]["content"]
    assert all(line in final for line in said)
    assert ran.metadata["demo"] is True
    assert again.status == "ok"


class TestTerminal:
    def test_the_screen_is_left_to_the_question_and_nothing_is_there_twice(self, tmp_path: Path) -> None:
        first = answer(delta("Let me **add**.\n\nNow"), parts(part(ONE, index=0, id="c1", name="add")), STOP, DONE)
        loud = "def add(a: int, b: int) -> int: print('adding aloud'); return a + b\n"
        ipython = (sys.executable, "-m", "IPython", "--simple-prompt", "--no-banner", "--ext=mixroute_magic")
        with (
            scripted(first, whole("It is *five*.", "\n\nDone."), ASKS_ONE, whole("Next.")) as gateway,
            Terminal(*ipython, **environment(tmp_path, gateway.base_url)) as terminal,
        ):
            terminal.until("In [1]:").type(loud)
            terminal.until("In [2]:").type("%chat --tool add how much?\n")
            terminal.until(SEEN)
            time.sleep(0.3)  # a region that is still drawn would be drawn over the question now
            terminal.type("maybe\n")
            terminal.until(f"maybe\nadd(a=2, b=3)\n{SEEN}").type("y\n")
            text = terminal.until("In [3]:").text
            terminal.type("%chat --tool add once more\n")
            terminal.until(f"once more\nwaiting for your word on add …\nadd(a=2, b=3)\n{SEEN}")
            terminal.interrupt()
            after = terminal.until("In [4]:").text
            terminal.type("%chat and now?\n")
            terminal.until("In [5]:").type("exit\n")
            last = terminal.end().text
        answered = text.partition("how much?\n")[2].partition("\n\nserved · ≈ ")[0]
        assert answered == (
            "Let me add.\n\nNow\n\nwaiting for your word on add …\n"
            f"add(a=2, b=3)\n{QUESTION}maybe\nadd(a=2, b=3)\n{QUESTION}y\n"
            "\nrunning add …\nadding aloud\n\nadd(a=2, b=3) → 5\n\nIt is five.\n\nDone."
        )
        assert "Interrupted: the model asked for add, and had not answered yet." in after
        assert last.count("Next.") == 1
        check(gateway.bodies)

    def test_in_a_kernels_console_the_question_is_asked_too(self, tmp_path: Path) -> None:
        console = (sys.executable, "-m", "jupyter_console", "--simple-prompt", "--no-confirm-exit")
        with (
            scripted(ASKS_ONE, whole("Done.")) as gateway,
            Terminal(*console, columns=100, **environment(tmp_path, gateway.base_url)) as terminal,
        ):
            terminal.until("In [1]:").type("%load_ext mixroute_magic\n")
            terminal.until("In [2]:").type("def add(a: int, b: int) -> int: return a + b\n")
            terminal.until("In [3]:").type("%chat --tool add how much?\n")
            terminal.until(SEEN).type("y\n")
            text = terminal.until("In [4]:").text
        assert "add(a=2, b=3) → 5\n\nDone.\n" in text
        assert results(gateway.bodies[1]) == ["5"]
