"""The magics in a real kernel, driven as a notebook's page drives it; the gateway keeps what it was asked."""

from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import closing, contextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from kernels import KEY, Document, Kernel, environment
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from scripted import DONE, STOP, USAGE, Pause, Piece, Script, ScriptedGateway, answer, delta, reply, scripted
from scripted import whole as whole_answer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONTRACT = {
    *("version", "kind", "turn", "thread", "status", "replayed", "demo", "model", "served_model", "params"),
    *("request_hash", "messages", "usage", "finish_reason", "request_id", "created", "seconds", "first_token_seconds"),
}
TYPED_KEY = "sk-test-key-typed"


def asked(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def said(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def system(text: str) -> dict[str, str]:
    return {"role": "system", "content": text}


def sent(gateway: ScriptedGateway) -> list[list[dict[str, str]]]:
    """Return the messages of each question that reached the gateway."""
    return [body["messages"] for body in gateway.bodies]


def refusal(message: str, code: str = "") -> dict[str, Any]:
    return {"error": {"message": message, "type": "mixroute_error", "param": "", "code": code}}


def dictated(pieces: SimpleQueue[Piece | None]) -> Iterator[Piece]:
    """Stream what a test puts into a queue, until it puts ``None``."""
    yield from answer()
    while piece := pieces.get():
        yield piece


def everything(kernel: Kernel) -> str:
    """Return all that the kernel ever sent."""
    assert kernel.heard
    return json.dumps(kernel.heard, default=str)


def ledger_file(home: Path) -> Path:
    return home / "data" / "mixroute" / "ledger.sqlite"


def ledger(home: Path) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(ledger_file(home))) as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute("select * from requests order by started")]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with Kernel(tmp_path_factory.mktemp("kernel")) as kernel:
        yield kernel


@pytest.fixture
def kernel(running: Kernel) -> Kernel:
    """A kernel that other tests have used, with an empty conversation; its cells are ``first`` and ``second``."""
    ran = running.run(
        "%thread main --clear\n%thread aside --clear\n%thread main\n%model --reset\n%reload_ext mixroute_magic"
    )
    assert ran.status == "ok"
    return running


@contextmanager
def behind(kernel: Kernel, *scripts: Script) -> Iterator[ScriptedGateway]:
    """Let a kernel ask a scripted gateway."""
    with scripted(*scripts) as gateway:
        kernel.run(f"%config MixRoute.base_url = {gateway.base_url!r}")
        yield gateway


@pytest.fixture
def document(tmp_path: Path) -> Document:
    return Document(tmp_path / "talk.ipynb")


class TestStreaming:
    def test_text_reaches_the_page_before_the_gateway_has_said_the_rest(self, kernel: Kernel) -> None:
        words: SimpleQueue[Piece | None] = SimpleQueue()
        with behind(kernel, dictated(words)):
            ran = kernel.send("%%chat\nHello", "first")
            for text, so_far in (("One", "One"), (" two", "One two"), (" three", "One two three")):
                words.put(delta(text))
                ran.until_streamed(so_far)
            for piece in (STOP, USAGE, DONE, None):
                words.put(piece)
            ran.wait()
        assert ran.status == "ok"
        assert ran.text.startswith("One two three\n\nserved · 25 → 100 tokens · ")
        assert ran.messages[-2]["msg_type"] == "comm_close"

    def test_one_output_stays_with_the_whole_record_of_the_turn(self, kernel: Kernel) -> None:
        question, reply_text = "Say <b>hi</b> *now* ", "<b>hi</b>\n\n你好"
        with behind(kernel, whole_answer("<b>hi</b>\n", "\n你好")):
            ran = kernel.run(f"%%chat -t 0.5\n{question}\n", "first")
        (output,) = ran.outputs
        assert set(output.data) == {"text/markdown", "text/plain"}
        assert "&lt;b>hi" in output.data["text/markdown"]
        assert set(ran.metadata) == CONTRACT | {"context"}
        assert ran.metadata["messages"] == [asked(question), said(reply_text)]
        assert ran.metadata["params"] == {"temperature": 0.5}
        assert ran.metadata["usage"]["input_tokens"] == 25
        assert (ran.metadata["status"], ran.metadata["thread"], ran.metadata["demo"]) == ("complete", "main", False)
        assert ran.contents("execute_result") == []

    def test_an_answer_leaves_no_widget_behind(self, kernel: Kernel) -> None:
        comms = "len(get_ipython().kernel.comm_manager.comms)"
        kernel.run("%thread", "first")  # makes the one that hears the page
        before = kernel.value(comms)
        with behind(kernel, whole_answer("a")):
            kernel.run("%%chat\nA", "first")
        assert kernel.value(comms) == before

    def test_the_cells_queued_below_a_failed_one_do_not_run(self, kernel: Kernel) -> None:
        with behind(kernel, reply(401), whole_answer("x")) as gateway:
            failing, queued = kernel.send("%%chat\nOne", "first"), kernel.send("%%chat\nTwo", "second")
            assert failing.wait().status == "error"
            assert queued.wait().status == "aborted"
        assert len(gateway.asked) == 1


class TestConversation:
    def test_a_rerun_replaces_its_turn_and_asks_with_the_turns_above(self, kernel: Kernel) -> None:
        scripts = [whole_answer(text) for text in ("a1", "b1", "a2", "b2")]
        with behind(kernel, *scripts) as gateway:
            for cell, question in (("first", "A"), ("second", "B"), ("first", "A again"), ("second", "B again")):
                assert kernel.run(f"%%chat\n{question}", cell).status == "ok"
        assert sent(gateway) == [
            [asked("A")],
            [asked("A"), said("a1"), asked("B")],
            [asked("A again")],
            [asked("A again"), said("a2"), asked("B again")],
        ]

    def test_it_comes_back_from_the_file_after_a_restart(self, tmp_path: Path, document: Document) -> None:
        scripts = [whole_answer(text) for text in ("a", "b", "c", "b2")]
        with scripted(*scripts) as gateway, Kernel(tmp_path, gateway.base_url, document.path) as kernel:
            document.run(kernel, "a", "%%chat\nA")
            document.run(kernel, "b", "%%chat\nB")
            document.save()
            kernel.restart()
            third = document.run(kernel, "c", "%%chat\nC")
            assert third.text.endswith(" · 2 earlier turns restored from talk.ipynb")
            document.save()
            kernel.restart()
            assert document.run(kernel, "b", "%%chat\nB again").text.endswith(
                " · 3 earlier turns restored from talk.ipynb"
            )
            assert "restored" not in document.run(kernel, "c", "%%chat\nC again").text
        assert sent(gateway)[2:] == [
            [asked("A"), said("a"), asked("B"), said("b"), asked("C")],
            [asked("A"), said("a"), asked("B again")],
            [asked("A"), said("a"), asked("B again"), said("b2"), asked("C again")],
        ]

    def test_a_notebook_run_from_inside_another_one_does_not_continue_it(
        self, tmp_path: Path, document: Document
    ) -> None:
        with scripted(whole_answer("a"), whole_answer("b")) as gateway:
            with Kernel(tmp_path, gateway.base_url, document.path) as kernel:
                document.run(kernel, "first", "%%chat\nA")
                document.save("first")
            with Kernel(tmp_path, gateway.base_url, document.path) as child:
                ran = child.run("%%chat\nB", allow_stdin=False)
        assert sent(gateway)[-1] == [asked("B")]
        assert "restored" not in ran.text

    def test_a_dry_run_right_after_a_restart_says_what_came_back(self, tmp_path: Path, document: Document) -> None:
        with scripted(whole_answer("a")) as gateway, Kernel(tmp_path, gateway.base_url, document.path) as kernel:
            document.run(kernel, "a", "%%chat\nA")
            document.save()
            kernel.restart()
            assert "1 earlier turn restored from talk.ipynb" in document.run(kernel, "b", "%%chat --dry-run\nB").text

    def test_a_failed_turn_in_the_file_is_not_announced_as_restored(self, tmp_path: Path, document: Document) -> None:
        with (
            scripted(whole_answer("a"), reply(400), whole_answer("c")) as gateway,
            Kernel(tmp_path, gateway.base_url, document.path) as kernel,
        ):
            document.run(kernel, "a", "%%chat\nA")
            document.run(kernel, "b", "%%chat\nB")
            document.save()
            kernel.restart()
            assert document.run(kernel, "c", "%%chat\nC").text.endswith(" · 1 earlier turn restored from talk.ipynb")
        assert sent(gateway)[-1] == [asked("A"), said("a"), asked("C")]

    def test_a_notebook_that_was_renamed_or_is_half_written_keeps_its_conversation(
        self, tmp_path: Path, document: Document
    ) -> None:
        scripts = [whole_answer(text) for text in "abcd"]
        with scripted(*scripts) as gateway, Kernel(tmp_path, gateway.base_url, document.path) as kernel:
            document.run(kernel, "a", "%%chat\nA")
            document.save()
            document.run(kernel, "b", "%%chat\nB")
            document.path.write_bytes(document.path.read_bytes()[:100])
            document.run(kernel, "c", "%%chat\nC")
            document.path.unlink()
            document.run(kernel, "d", "%%chat\nD")
        a, b, c = ([asked(text.upper()), said(text)] for text in "abc")
        assert sent(gateway)[2:] == [[*a, *b, asked("C")], [*a, *b, *c, asked("D")]]

    def test_cells_moved_or_deleted_in_the_saved_file_move_and_leave(self, tmp_path: Path, document: Document) -> None:
        scripts = [whole_answer(text) for text in "abcd"]
        with scripted(*scripts) as gateway, Kernel(tmp_path, gateway.base_url, document.path) as kernel:
            document.run(kernel, "a", "%%chat\nA")
            document.run(kernel, "b", "%%chat\nB")
            document.save("b", "a")
            document.run(kernel, "c", "%%chat\nC")
            document.save("a", "c")
            document.run(kernel, "d", "%%chat\nD")
        a, b, c = ([asked(text.upper()), said(text)] for text in "abc")
        assert sent(gateway)[2:] == [[*b, *a, asked("C")], [*a, *c, asked("D")]]

    def test_each_chat_of_a_cell_is_a_turn_in_a_loop_too(self, kernel: Kernel) -> None:
        scripts = [whole_answer(text) for text in ("a", "b", "c", "d")]
        with behind(kernel, *scripts) as gateway:
            ran = kernel.run('for word in ("A", "B"):\n    %chat {{ word }}\n%chat C?', "first")
            kernel.run("%chat D", "second")
        assert [record["messages"][0] for record in ran.records] == [asked("A"), asked("B"), asked("C?")]
        assert sent(gateway)[2] == [asked("A"), said("a"), asked("B"), said("b"), asked("C?")]
        assert sent(gateway)[3] == [*sent(gateway)[2], said("c"), asked("D")]

    def test_threads_do_not_hear_each_other(self, kernel: Kernel) -> None:
        with behind(kernel, *map(whole_answer, "abcd")) as gateway:
            kernel.run("%%chat --thread aside\nA", "first")
            kernel.run("%%chat\nB", "second")
            shown = kernel.run("%thread aside", "third").text
            kernel.run("%%chat\nC", "fourth")
        assert shown.startswith("Thread aside")
        assert "A" in shown
        assert sent(gateway) == [[asked("A")], [asked("B")], [asked("A"), said("a"), asked("C")]]

    def test_a_cleared_thread_is_forgotten(self, kernel: Kernel) -> None:
        with behind(kernel, *map(whole_answer, "ab")) as gateway:
            kernel.run("%%chat\nA", "first")
            assert kernel.run("%thread --clear").text.startswith("Thread main: 1 turn forgotten.")
            kernel.run("%%chat\nB", "second")
        assert sent(gateway)[1] == [asked("B")]

    def test_a_thread_may_ask(self, kernel: Kernel) -> None:
        code = """
import threading
asking = threading.Thread(target=get_ipython().run_line_magic, args=("chat", "A"))
asking.start()
asking.join()
"""
        with behind(kernel, *map(whole_answer, "ab")) as gateway:
            ran = kernel.run(code, "first")
            kernel.run("%chat B", "second")
        assert ran.metadata["messages"] == [asked("A"), said("a")]
        assert sent(gateway)[1] == [asked("A"), said("a"), asked("B")]


class TestOptions:
    def test_the_reply_is_put_in_a_variable(self, kernel: Kernel) -> None:
        with behind(kernel, whole_answer("Hel", "lo")):
            kernel.run("%%chat -o greeting\nHi", "first")
        assert (
            kernel.value("type(greeting).__name__, greeting.text, greeting.usage.output_tokens")
            == "('Reply', 'Hello', 100)"
        )

    def test_templates_are_filled_from_the_notebook(self, kernel: Kernel) -> None:
        with behind(kernel, whole_answer("a")) as gateway:
            kernel.run("name = 'Ada {{ x }}'")
            ran = kernel.run('%%chat\nHello {{ name }}, {"a": $1} {% if %}', "first")
        assert sent(gateway) == [[asked('Hello Ada {{ x }}, {"a": $1} {% if %}')]]
        assert ran.metadata["messages"][0] == sent(gateway)[0][0]

    @pytest.mark.parametrize(
        "cell", ["%%chat\nHello {{ no_such_name }}", "%%chat\n{{ 1 +", "%%chat --modle x\nHello", "%%chat\n"]
    )
    def test_what_cannot_be_read_is_sent_nowhere(self, kernel: Kernel, cell: str) -> None:
        with behind(kernel, whole_answer("a")) as gateway:
            ran = kernel.run(cell, "first")
        assert ran.status == "error"
        assert "Traceback" not in everything(kernel)
        assert gateway.asked == []
        assert ran.records == []

    def test_a_dry_run_sends_nothing_and_shows_all(self, kernel: Kernel) -> None:
        with behind(kernel, whole_answer("a")) as gateway:
            kernel.run("%%chat\nA", "first")
            ran = kernel.run("%%chat --dry-run -t 0\nB", "second")
        assert len(gateway.asked) == 1
        assert "Nothing was sent. It would be 3 messages (1 earlier turn) to glm-5" in ran.text
        assert '"temperature": 0' in ran.text
        assert ran.records == []

    def test_a_fresh_question_carries_nothing_and_is_remembered(self, kernel: Kernel) -> None:
        with behind(kernel, *map(whole_answer, "abc")) as gateway:
            kernel.run("%%chat\nA", "first")
            kernel.run("%chat --fresh B\n%chat C", "second")
        assert sent(gateway)[1:] == [[asked("B")], [asked("A"), said("a"), asked("B"), said("b"), asked("C")]]

    def test_the_system_prompt_goes_first_and_one_message_may_have_its_own(self, kernel: Kernel) -> None:
        with behind(kernel, *map(whole_answer, "abc")) as gateway:
            kernel.run("%%model\nBe short.\n")
            kernel.run("%%chat\nA", "first")
            ran = kernel.run("%chat -s 'Be long.' B\n%chat C", "second")
        a, b = ([asked(text.upper()), said(text)] for text in "ab")
        assert sent(gateway) == [
            [system("Be short."), asked("A")],
            [system("Be long."), *a, asked("B")],
            [system("Be short."), *a, *b, asked("C")],
        ]
        assert [len(record["messages"]) for record in ran.records] == [3, 2]

    def test_parameters_reach_the_wire_under_the_name_that_the_model_takes(self, kernel: Kernel) -> None:
        with behind(kernel, whole_answer("a")) as gateway:
            kernel.run("%model -p seed=3")
            kernel.run("%%chat --fresh --max-tokens 7 -t 0 -p stop='[\"x\"]'\nA", "first")
            kernel.run("%%chat --fresh -m o3-mini --max-tokens 7\nA", "first")
        first, second = ({name: body[name] for name in body.keys() - {"messages", "stream"}} for body in gateway.bodies)
        assert first == {"model": "glm-5", "max_tokens": 7, "temperature": 0, "seed": 3, "stop": ["x"]}
        assert second == {"model": "o3-mini", "max_completion_tokens": 7, "seed": 3}


class TestFailure:
    def test_an_error_is_an_object_for_code(self, kernel: Kernel) -> None:
        code = """
from mixroute_magic import MixRouteError
try:
    %chat A
except MixRouteError as error:
    caught = error
"""
        with behind(kernel, reply(403, refusal("no", "insufficient_user_quota"))):
            assert kernel.run(code, "first").status == "ok"
        told = kernel.value("caught.status, caught.code, caught.request_id, caught.partial")
        assert told == "(403, 'insufficient_user_quota', 'req-1', '')"

    def test_a_failed_rerun_leaves_the_answer_that_was_there(self, kernel: Kernel) -> None:
        with behind(kernel, whole_answer("a"), reply(400), whole_answer("b")) as gateway:
            kernel.run("%%chat\nA", "first")
            assert kernel.run("%%chat\nA again", "first").status == "error"
            kernel.run("%%chat\nB", "second")
        assert sent(gateway)[-1] == [asked("A"), said("a"), asked("B")]


class TestInterrupt:
    def test_in_the_middle_of_the_answer_it_keeps_what_came(self, kernel: Kernel, document: Document) -> None:
        words: SimpleQueue[Piece | None] = SimpleQueue()
        with behind(kernel, dictated(words), whole_answer("fine")) as gateway:
            ran = kernel.send("%%chat\nA", "first")
            words.put(delta("partial text"))
            words.put(Pause(60))
            ran.until_streamed("partial text")
            kernel.interrupt()
            assert ran.wait().status == "error"
            assert gateway.closed_by_client.wait(30)
            document.run(kernel, "second", "%%chat\nB")
        assert len(ran.lines) == 2
        assert ran.lines[0].startswith("Interrupted: the text so far is kept")
        assert ran.text.startswith("partial text\n\n")
        assert ran.metadata["status"] == "interrupted"
        assert ran.metadata["messages"] == [asked("A"), said("partial text")]
        assert sent(gateway)[-1] == [asked("B")]

    def test_before_the_first_byte_it_closes_the_connection(self, kernel: Kernel) -> None:
        arrived = threading.Event()

        def silence() -> Iterator[Piece]:
            arrived.set()
            yield Pause(60)

        with behind(kernel, silence(), whole_answer("fine")) as gateway:
            ran = kernel.send("%%chat\nA", "first")
            assert arrived.wait(30)
            kernel.interrupt()
            assert ran.wait().status == "error"
            assert gateway.closed_by_client.wait(30)
            kernel.run("%%chat\nB", "second")
        assert len(ran.lines) == 2
        assert ran.lines[0].startswith("Interrupted: nothing had arrived")
        assert (ran.metadata["status"], ran.metadata["messages"]) == ("interrupted", [asked("A")])
        assert sent(gateway)[-1] == [asked("B")]

    def test_while_a_retry_is_waited_for_nothing_more_is_asked(self, kernel: Kernel) -> None:
        with behind(kernel, reply(429, Retry_After="50")) as gateway:
            ran = kernel.send("%%chat\nA", "first").until(lambda ran: "retry" in str(ran.frames))
            kernel.interrupt()
            assert ran.wait().status == "error"
        assert len(ran.lines) == 2
        assert ran.metadata["status"] == "interrupted"
        assert len(gateway.asked) == 1

    def test_while_a_template_is_filled_nothing_is_asked(self, kernel: Kernel) -> None:
        kernel.run("import threading\ndef wait():\n    print('waiting')\n    threading.Event().wait()")
        with behind(kernel, whole_answer("a")) as gateway:
            ran = kernel.send("%%chat\n{{ wait() }}", "first").until(lambda ran: "waiting" in ran.text)
            kernel.interrupt()
            assert ran.wait().status == "error"
        assert len(ran.lines) == 2
        assert ran.lines[0].startswith("Interrupted: nothing had arrived")
        assert gateway.asked == []

    def test_a_second_one_does_not_cost_what_the_first_kept(self, tmp_path: Path) -> None:
        words: SimpleQueue[Piece | None] = SimpleQueue()
        with scripted(dictated(words)) as gateway, Kernel(tmp_path, gateway.base_url) as kernel:
            ran = kernel.send("%%chat\nA", "first")
            words.put(delta("partial text"))
            words.put(Pause(60))
            ran.until_streamed("partial text")
            with closing(sqlite3.connect(ledger_file(tmp_path), isolation_level=None)) as other:
                other.execute("begin exclusive")  # so that the end takes long enough to be interrupted
                kernel.interrupt()
                while not gateway.closed_by_client.wait(5):
                    kernel.interrupt()  # as a person would; that none gets lost is another test's matter
                kernel.interrupt()
            ran.wait()
        assert len(ran.lines) == 2
        assert ran.lines[0].startswith("Interrupted: the text so far is kept")
        assert ran.text.startswith("partial text\n\n")
        assert ledger(tmp_path)[0]["status"] == "interrupted"

    def test_while_a_locked_ledger_is_waited_for_nothing_is_asked(self, tmp_path: Path) -> None:
        database = tmp_path / "ledger.sqlite"
        listen = """
from sqlalchemy import Engine, event
event.listen(Engine, "connect", lambda *_: print("connected"))
"""
        with (
            scripted(whole_answer("a")) as gateway,
            Kernel(tmp_path, gateway.base_url, MIXROUTE_LEDGER_URL=f"sqlite:///{database}") as kernel,
            closing(sqlite3.connect(database, isolation_level=None)) as other,
        ):
            other.execute("begin exclusive")
            kernel.run(listen)
            ran = kernel.send("%%chat\nA", "first").until(lambda ran: "connected" in ran.text)
            kernel.interrupt()
            assert ran.wait().status == "error"
        assert len(ran.lines) == 2
        assert ran.records == []
        assert gateway.asked == []


class TestWithoutCellIds:
    def test_only_the_final_output_is_sent_and_the_footer_tells_the_order(self, kernel: Kernel) -> None:
        with behind(kernel, *map(whole_answer, "ab")) as gateway:
            kernel.run("%%chat\nA", allow_stdin=False)
            ran = kernel.run("%%chat\nB", allow_stdin=False)
        assert {message["msg_type"] for message in ran.messages} == {"status", "execute_input", "display_data"}
        assert ran.text.endswith(" · history in order of execution")
        assert sent(gateway)[1] == [asked("A"), said("a"), asked("B")]

    def test_an_executed_notebook_holds_the_conversation(self, tmp_path: Path) -> None:
        sources = ("%load_ext mixroute_magic", "%%chat\nA", "%chat B")
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
        with scripted(*map(whole_answer, "ab")) as gateway:
            NotebookClient(notebook, kernel_name="python3").execute(env=environment(tmp_path, gateway.base_url))
        outputs = [output for cell in notebook.cells for output in cell.outputs]
        assert [output.metadata.mixroute.messages[-1] for output in outputs] == [said("a"), said("b")]
        assert notebook.metadata.get("widgets") is None
        assert sent(gateway)[1] == [asked("A"), said("a"), asked("B")]

    def test_an_executed_notebook_stops_at_a_failed_chat(self, tmp_path: Path) -> None:
        sources = ("%load_ext mixroute_magic", "%%chat\nA", "print('not reached')")
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
        with scripted(reply(401)) as gateway, pytest.raises(CellExecutionError, match="did not accept the API key"):
            NotebookClient(notebook, kernel_name="python3").execute(env=environment(tmp_path, gateway.base_url))
        assert notebook.cells[2].outputs == []
        assert KEY not in nbformat.writes(notebook)


class TestSetup:
    def test_a_typed_key_is_used_never_shown_and_forgotten(self, tmp_path: Path) -> None:
        with (
            scripted(whole_answer("a")) as gateway,
            Kernel(tmp_path, gateway.base_url, MIXROUTE_API_KEY="") as kernel,
        ):
            assert "none yet" in kernel.run("%mixroute", "s").text
            login = kernel.send("%mixroute login", "l")
            login.answer(TYPED_KEY)
            assert "this kernel's memory" in login.wait().text
            assert "%mixroute login" in kernel.run("%mixroute status", "s").text
            kernel.run("%%chat\nA", "a")
            assert kernel.run("%mixroute logout", "l").text == "The key is forgotten."
            kernel.run("%%chat\nA", "a")
            assert TYPED_KEY not in everything(kernel)
        keys = [request.headers.get("authorization") for request in gateway.asked]
        assert keys == [f"Bearer {TYPED_KEY}", None]

    def test_nobody_can_type_a_key_where_nobody_is(self, kernel: Kernel) -> None:
        assert "The key comes from MIXROUTE_API_KEY." in kernel.run("%mixroute login", allow_stdin=False).text
        kernel.run("import os; del os.environ['MIXROUTE_API_KEY']")
        ran = kernel.run("%mixroute login", allow_stdin=False)
        assert ran.lines == [
            "AuthenticationError: Nobody can be asked for a key here.",
            "Set MIXROUTE_API_KEY instead.",
        ]

    def test_a_key_in_a_variable_is_not_sent_in_a_message(self, kernel: Kernel) -> None:
        with behind(kernel, whole_answer("a")) as gateway:
            ran = kernel.run("%%chat\n{{ __import__('os').environ['MIXROUTE_API_KEY'] }}", "first")
        assert ran.reply["content"]["ename"] == "TemplateError"
        assert gateway.asked == []
        assert KEY not in everything(kernel)

    def test_the_demo_needs_no_key_and_its_turns_reach_no_gateway(self, tmp_path: Path, document: Document) -> None:
        models = reply(200, {"data": []})
        with scripted(models, whole_answer("b"), models, whole_answer("c")) as gateway:
            demo = {"MIXROUTE_API_KEY": "", "MIXROUTE_DEMO": "1"}
            with Kernel(tmp_path, gateway.base_url, document.path, **demo) as kernel:
                ran = document.run(kernel, "a", "%%chat -m gpt-4o --max-tokens 20\nA")
                assert (ran.status, ran.metadata["demo"]) == ("ok", True)
                document.save()
                login = kernel.send("%mixroute login", "l")
                login.answer(TYPED_KEY)
                login.wait()
                assert " · 1 turn of the offline demo not sent" in kernel.run("%%chat\nB", "b").text
            with Kernel(tmp_path, gateway.base_url, document.path) as kernel:
                document.run(kernel, "c", "%%chat\nC")
        assert sent(gateway) == [[asked("B")], [asked("C")]]
        assert [row["demo"] for row in ledger(tmp_path)] == [1, 0, 0]


class TestLedger:
    def test_each_request_is_a_row_with_the_usage_that_was_reported(self, tmp_path: Path) -> None:
        with (
            scripted(whole_answer("a"), reply(401), answer(delta("b"), STOP)) as gateway,
            Kernel(tmp_path, gateway.base_url) as kernel,
        ):
            kernel.run("%%chat\nA", "a")
            kernel.run("%%chat\nB", "b")
            kernel.run("%%chat -m gpt-4o\nC", "c")
            report = kernel.run("%usage").text
        rows = [(row["model"], row["status"], row["input_tokens"], row["output_tokens"]) for row in ledger(tmp_path)]
        assert rows == [
            ("glm-5", "complete", 25, 100),
            ("glm-5", "failed", None, None),
            ("gpt-4o", "complete", 15, 1),
        ]
        assert "25" in report
        assert "100" in report

    def test_a_killed_kernel_leaves_an_unfinished_row(self, tmp_path: Path) -> None:
        words: SimpleQueue[Piece | None] = SimpleQueue()
        with scripted(dictated(words)) as gateway, Kernel(tmp_path, gateway.base_url) as kernel:
            words.put(delta("partial text"))
            kernel.send("%%chat\nA", "a").until_streamed("partial text")
            kernel.kill()
            words.put(None)
        (row,) = ledger(tmp_path)
        assert (row["status"], row["finished"], row["model"]) == ("unfinished", None, "glm-5")


class TestLoading:
    STATE = """
magics = get_ipython().magics_manager.magics

def ours(values):
    return sum("mixroute" in type(value).__module__ + getattr(value, "__module__", "") for value in values)

def state():
    shell = get_ipython()
    transformers = shell.input_transformers_cleanup
    return "chat" in magics["line"], "chat" in magics["cell"], ours(shell.configurables), ours(transformers)
"""

    def test_unloading_removes_everything_and_loading_brings_it_back(self, tmp_path: Path) -> None:
        with scripted(*map(whole_answer, "ab")) as gateway, Kernel(tmp_path, gateway.base_url) as kernel:
            kernel.run(self.STATE)
            loaded = kernel.value("state()")
            assert loaded == "(True, True, 2, 1)"
            kernel.run("%%chat\nA", "a")
            kernel.run("%load_ext mixroute_magic\nget_ipython().run_line_magic('reload_ext', 'mixroute_magic')")
            assert kernel.value("state()") == loaded
            kernel.run("%unload_ext mixroute_magic")
            assert kernel.value("state()") == "(False, False, 0, 0)"
            assert kernel.run("%%chat\nB", "b").status == "error"
            assert kernel.run("%load_ext mixroute_magic").text == ""
            assert kernel.value("state()") == loaded
            kernel.run("%%chat\nB", "b")
        assert sent(gateway)[1] == [asked("A"), said("a"), asked("B")]
