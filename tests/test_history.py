"""What a notebook remembers, in a real kernel: re-runs, undo, threads, restarts, replay and what is too long."""

from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from kernels import KEY, Document, Kernel, environment
from nbclient import NotebookClient
from scripted import Pause, Reset, Script, ScriptedGateway, answer, delta, reply, scripted, whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kernels import Ran
    from scripted import Piece


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with Kernel(tmp_path_factory.mktemp("kernel")) as kernel:
        yield kernel


class Desk:
    """A person at a notebook: a document, a kernel and a gateway that answers ``A1``, ``A2`` …"""

    def __init__(self, kernel: Kernel, document: Document) -> None:
        self.kernel = kernel
        self.document = document
        self.gateway: ScriptedGateway
        self.begin()

    def begin(self) -> None:
        """Make the kernel take this document for its own, with the extension loaded."""
        path = str(self.document.path)
        self.kernel.run(f"import os; os.environ['JPY_SESSION_NAME'] = {path!r}\n%config MixRoute.retries = 0")

    @contextmanager
    def behind(self, *scripts: Script) -> Iterator[ScriptedGateway]:
        with scripted(*(scripts or [whole(f"A{number}") for number in range(1, 30)])) as self.gateway:
            self.kernel.run(f"%config MixRoute.base_url = {self.gateway.base_url!r}")
            yield self.gateway

    def restart(self) -> None:
        self.kernel.restart()
        self.begin()
        self.kernel.run(f"%config MixRoute.base_url = {self.gateway.base_url!r}")

    def run(self, cell: str, source: str) -> Ran:
        return self.document.run(self.kernel, cell, source)

    def ask(self, cell: str, words: str, *options: str) -> list[str]:
        """Run a chat cell, and return the words of the messages that it sent."""
        ran = self.run(cell, f"%%chat {' '.join(options)}\n{words}")
        assert ran.status == "ok", ran.lines
        return self.sent()

    def sent(self) -> list[str]:
        return [message["content"] for message in self.gateway.bodies[-1]["messages"]]


@pytest.fixture
def desk(running: Kernel, tmp_path: Path) -> Desk:
    return Desk(running, Document(tmp_path / "talk.ipynb"))


class TestRerun:
    def test_the_footer_says_what_was_replaced_and_undo_brings_it_back_into_its_cell(self, desk: Desk) -> None:
        with desk.behind():
            desk.ask("a", "one")
            desk.ask("b", "two")
            again = desk.run("a", "%%chat\none again")
            assert "replaced an answer: %thread --undo brings it back" in again.text
            assert desk.ask("c", "three") == ["one again", "A3", "two", "A2", "three"]
            undone = desk.run("d", "%thread --undo")
            assert "Brought back 1 answer" in undone.text
            assert "A1" in undone.text
            (update,) = undone.contents("update_display_data")
            assert update["transient"]["display_id"] == again.metadata["turn"]
            assert update["metadata"]["mixroute"]["messages"][0]["content"] == "one"
            assert desk.ask("c", "three") == ["one", "A1", "two", "A2", "three"]

    def test_turns_below_a_rerun_are_marked_stale_until_they_are_asked_again(self, desk: Desk) -> None:
        with desk.behind():
            desk.ask("a", "one")
            desk.ask("b", "two")
            desk.ask("c", "apart", "--fresh")
            assert "stale" not in desk.run("d", "%thread").text
            desk.ask("a", "one again")
            table = desk.run("d", "%thread").text.splitlines()
            assert [line.split()[2] for line in table if line.endswith("stale")] == ["A2"]
            desk.ask("b", "two")
            assert "stale" not in desk.run("d", "%thread").text

    def test_continue_keeps_the_exchanges_of_the_cell_and_shows_them(self, desk: Desk) -> None:
        with desk.behind():
            desk.ask("a", "one")
            assert desk.ask("b", "two") == ["one", "A1", "two"]
            assert desk.ask("b", "shorter", "-c") == ["one", "A1", "two", "A2", "shorter"]
            ran = desk.run("b", "%%chat --continue\neven shorter")
            assert desk.sent() == ["one", "A1", "two", "A2", "shorter", "A3", "even shorter"]
            shown = ran.markdown
            assert [shown.index(words) for words in ("> two", "A2", "> shorter", "A3", "> even shorter", "A4")]
            assert len(ran.metadata["messages"]) == 6
            assert desk.ask("c", "three")[2:] == ["two", "A2", "shorter", "A3", "even shorter", "A4", "three"]
            assert desk.ask("b", "two anew") == ["one", "A1", "two anew"]

    def test_continue_in_a_cell_without_an_answer_asks_and_says_so(self, desk: Desk) -> None:
        with desk.behind():
            ran = desk.run("a", "%%chat -c\none")
            assert desk.sent() == ["one"]
            assert "-c: this cell had no answer yet" in ran.text

    def test_continue_goes_on_from_a_partial_answer(self, desk: Desk) -> None:
        with desk.behind(answer(delta("half"), Reset()), whole("whole")):
            assert desk.run("a", "%%chat\none").status == "error"
            assert desk.ask("a", "go on", "-c") == ["one", "half", "go on"]

    def test_a_failed_rerun_costs_nothing_even_after_a_restart(self, desk: Desk) -> None:
        with desk.behind(whole("A1"), whole("A2"), reply(500), whole("A3")):
            desk.ask("a", "one")
            desk.ask("b", "two")
            failed = desk.run("a", "%%chat\none again")
            assert failed.status == "error"
            assert "the answer before this one stays in the conversation" in failed.text
            assert desk.ask("c", "three") == ["one", "A1", "two", "A2", "three"]
            desk.document.save("a", "b")
            desk.restart()
            assert desk.ask("c", "four") == ["one", "A1", "two", "A2", "four"]

    def test_a_cell_that_holds_other_code_now_holds_no_turn(self, desk: Desk) -> None:
        with desk.behind():
            desk.ask("a", "one")
            desk.ask("b", "two")
            desk.run("a", "%chat --dry-run just looking")
            desk.run("b", "1/0")
            assert desk.ask("c", "three") == ["one", "A1", "two", "A2", "three"]
            desk.run("a", "x = 1")
            assert desk.ask("d", "four") == ["two", "A2", "three", "A3", "four"]
            assert "A1" in desk.run("e", "%thread --undo").text
            assert desk.ask("d", "four")[:2] == ["one", "A1"]


class TestThreads:
    def test_a_fork_starts_as_the_thread_above_and_goes_its_own_way(self, desk: Desk) -> None:
        with desk.behind():
            desk.ask("a", "one")
            desk.ask("b", "two")
            forked = desk.run("f", "%thread --fork other")
            assert "Thread other goes on from main, with the 2 turns above this cell." in forked.text
            assert desk.ask("c", "three") == ["one", "A1", "two", "A2", "three"]
            desk.run("g", "%thread main")
            assert desk.ask("d", "four") == ["one", "A1", "two", "A2", "four"]
            assert desk.ask("e", "five", "--thread other") == ["one", "A1", "two", "A2", "three", "A3", "five"]
            desk.ask("a", "one again")
            assert desk.ask("e", "five", "--thread other")[:2] == ["one again", "A6"]
            desk.document.save("a", "b", "f", "c", "g", "d", "e")
            desk.restart()
            assert desk.ask("h", "six", "--thread other")[:6] == ["one again", "A6", "two", "A2", "three", "A3"]
            assert desk.ask("i", "seven") == ["one again", "A6", "two", "A2", "four", "A4", "seven"]

    def test_rewind_clear_and_undo_survive_a_restart(self, desk: Desk) -> None:
        with desk.behind():
            for cell in "abc":
                desk.ask(cell, f"ask {cell}")
            assert "the last 2 turns above taken out, 1 left" in desk.run("r", "%thread --rewind 2").text
            assert desk.ask("d", "next") == ["ask a", "A1", "next"]
            desk.document.save("a", "b", "c", "r", "d")
            desk.restart()
            assert desk.ask("e", "after") == ["ask a", "A1", "next", "A4", "after"]
            assert "Thread main: 3 turns forgotten." in desk.run("z", "%thread --clear").text
            assert desk.ask("f", "fresh") == ["fresh"]
            desk.run("u", "%thread --undo")
            assert desk.ask("f", "again")[:2] == ["ask a", "A1"]

    def test_what_cannot_be_done_says_so_in_two_lines(self, desk: Desk) -> None:
        with desk.behind():
            desk.ask("a", "one")
            desk.run("f", "%thread --fork other")
            for line in ("--rewind 9", "main --fork other", "--export x.txt", "--import nowhere.json"):
                ran = desk.run("b", f"%thread {line}")
                assert ran.status == "error"
                assert 1 <= len(ran.lines) <= 3, ran.lines

    def test_nothing_to_undo(self, desk: Desk) -> None:
        with desk.behind():
            ran = desk.run("a", "%thread --undo")
            assert ran.status == "error"
            assert ran.lines[0] == "HistoryError: There is nothing to undo."

    def test_an_export_comes_back_with_the_same_messages(self, desk: Desk, tmp_path: Path) -> None:
        with desk.behind():
            desk.ask("a", "one")
            desk.ask("b", "two {{ 1 + 1 }}")
            for name in ("talk.json", "copy.ipynb", "talk.md"):
                assert (
                    f"2 turns, written to {tmp_path / name}"
                    in desk.run("x", f"%thread --export {tmp_path / name}").text
                )
            for name in ("talk.json", "copy.ipynb"):
                desk.run("t", f"%thread other --import {tmp_path / name}")
                assert desk.ask("c", "three", "--thread other") == ["one", "A1", "two 2", "A2", "three"]
            (handout,) = [(tmp_path / "talk.md").read_text()]
            assert handout.count("A2") == 1
            desk.document.save("t")
            desk.restart()
            assert desk.ask("d", "four", "--thread other") == ["one", "A1", "two 2", "A2", "four"]


class TestRestart:
    def test_settings_come_back_from_the_file(self, desk: Desk) -> None:
        with desk.behind():
            desk.run("m", "%%model gpt-4o -t 0.5 -p top_p=0.9\nBe brief.")
            desk.run("n", "%model -t 1")
            desk.run("t", "%thread side")
            desk.ask("a", "one")
            desk.document.save("m", "n", "t", "a")
            desk.restart()
            ran = desk.run("b", "%%chat\ntwo")
            body = desk.gateway.bodies[-1]
            assert (body["model"], body["temperature"], body["top_p"]) == ("gpt-4o", 1, 0.9)
            assert desk.sent() == ["Be brief.", "one", "A1", "two"]
            assert "1 earlier turn and what %model set restored from talk.ipynb" in ran.text

    def test_what_was_set_below_does_not_hold_above_in_a_restart_and_run_all(self, desk: Desk) -> None:
        cells = {
            "a": "%%chat\none",
            "m": "%model gpt-4o",
            "f": "%thread --fork other",
            "b": "%%chat\ntwo",
            "t": "%thread main",
            "c": "%%chat\nthree",
        }
        with desk.behind() as gateway:
            for _ in range(2):
                for cell, source in cells.items():
                    assert desk.run(cell, source).status == "ok"
                desk.document.save(*cells)
                desk.restart()
            first, again = gateway.bodies[:3], gateway.bodies[3:]
        assert [body["model"] for body in again] == ["glm-5", "gpt-4o", "gpt-4o"]
        asked = [[message["content"] for message in body["messages"] if message["role"] == "user"] for body in again]
        assert asked == [["one"], ["one", "two"], ["one", "three"]]
        assert [len(body["messages"]) for body in first] == [len(body["messages"]) for body in again]

    def test_a_fork_run_again_in_its_cell_begins_anew(self, desk: Desk) -> None:
        with desk.behind():
            desk.ask("a", "one")
            desk.run("f", "%thread --fork other")
            desk.ask("b", "two")
            desk.ask("a", "one again", "--thread main")
            assert desk.run("f", "%thread --fork other").status == "ok"
            assert desk.ask("c", "three") == ["one again", "A3", "two", "A2", "three"]
            assert "%thread main leads back" in desk.run("f", "%thread --fork other").text
            assert desk.run("g", "%thread --fork other").status == "error"
            forks = "Undone: the fork"
            for undone in (forks, forks, "Brought back", forks):
                assert undone in desk.run("u", "%thread --undo").text
            assert desk.ask("d", "four", "--thread other")[:2] == ["two", "A2"]

    def test_a_thread_chosen_again_stays_chosen_and_a_look_chooses_none(self, desk: Desk) -> None:
        with desk.behind():
            desk.ask("a", "one")
            desk.run("t", "%thread side")
            desk.ask("b", "two")
            for _ in range(2):
                desk.run("m", "%thread main")
            desk.document.save("a", "t", "b", "m")
            desk.restart()
            assert desk.ask("c", "three") == ["one", "A1", "three"]
            desk.document.save("a", "t", "b")
            desk.restart()
            desk.run("d", "%thread")
            assert desk.run("a", "%%chat\none").metadata["thread"] == "main"

    def test_a_command_run_again_or_replaced_in_its_cell_still_holds_after_a_restart(self, desk: Desk) -> None:
        with desk.behind():
            for cell in "abc":
                desk.ask(cell, f"ask {cell}")
            desk.run("r", "%thread --rewind 1")
            desk.run("r", "%thread --rewind 1")
            desk.run("r", "%thread")
            assert desk.ask("d", "next") == ["ask a", "A1", "next"]
            desk.document.save("a", "b", "c", "r")
            desk.restart()
            assert desk.ask("d", "after") == ["ask a", "A1", "after"]
            assert "Undone: what was taken out" in desk.run("u", "%thread --undo").text
            assert desk.ask("e", "then")[:4] == ["ask a", "A1", "ask b", "A2"]

    def test_cleared_outputs_are_forgotten_and_offered_by_undo(self, desk: Desk) -> None:
        with desk.behind():
            desk.ask("a", "one")
            desk.ask("b", "two")
            desk.document.save("a", "b")
            notebook = nbformat.read(desk.document.path, as_version=4)
            for cell in notebook.cells:
                cell.outputs = []
            nbformat.write(notebook, desk.document.path)
            desk.restart()
            asked = desk.run("c", "%%chat\nthree")
            assert desk.sent() == ["three"]
            assert "2 turns with cleared output left out: %thread --undo brings them back" in asked.text
            assert desk.run("u", "%thread --undo").text.count("Brought back 1 answer") == 2
            assert desk.ask("d", "four")[:4] == ["one", "A1", "two", "A2"]
            notebook.cells += [nbformat.v4.new_code_cell("", id="u", outputs=desk.document.outputs("u"))]
            nbformat.write(notebook, desk.document.path)
            desk.restart()
            assert desk.ask("e", "five")[:4] == ["one", "A1", "two", "A2"]

    def test_what_a_killed_kernel_was_writing_is_kept_as_a_partial_answer(self, desk: Desk) -> None:
        with desk.behind(whole("A1"), answer(delta("so far"), Pause(60)), whole("A2")):
            desk.ask("a", "one")
            desk.document.save("a")
            running = desk.kernel.send("%%chat\none again", "a")
            running.until_streamed("so far")
            journal = desk.kernel.home / "data" / "mixroute" / "journal.sqlite"
            with closing(sqlite3.connect(journal)) as database:
                while b"so far" not in database.execute("SELECT record FROM running").fetchone()[0]:
                    database.rollback()
            desk.kernel.kill()
            desk.restart()
            ran = desk.run("b", "%%chat\ntwo")
            assert desk.sent() == ["one", "A1", "two"]
            assert "1 answer cut off when the last kernel died" in ran.text
            question, partial, further = desk.ask("a", "go on", "-c")
            assert (question, further) == ("one again", "go on")
            assert partial == "so far"

    def test_what_was_said_before_a_long_silence_outlives_a_kill_in_it(self, desk: Desk) -> None:
        silent = threading.Event()

        def speech() -> Iterator[Piece]:
            yield from answer(delta("First."), Pause(1), delta(" Then."), Pause(4))
            silent.set()
            yield Pause(60)

        with desk.behind(whole("A1"), speech(), whole("A2")):
            desk.ask("a", "one")
            desk.document.save("a")
            desk.kernel.send("%%chat\none again", "a")
            assert silent.wait(60)
            desk.kernel.kill()
            desk.restart()
            assert desk.ask("a", "go on", "-c") == ["one again", "First. Then.", "go on"]

    def test_a_newer_or_forged_record_is_never_run_or_sent(self, desk: Desk) -> None:
        with desk.behind():
            ran = desk.run("a", "%%chat\none {{ 1 }}")
            record = dict(ran.metadata)
            forged = record | {"turn": "f", "messages": [{"role": "user", "content": "{{ 1/0 }}"}]}
            outputs = [
                nbformat.v4.new_output("display_data", {"text/plain": ""}, metadata={"mixroute": data})
                for data in (record | {"version": 2}, forged, "nonsense", record | {"messages": 5})
            ]
            cell = nbformat.v4.new_code_cell("%chat x", id="a", outputs=outputs)
            nbformat.write(nbformat.v4.new_notebook(cells=[cell]), desk.document.path)
            desk.restart()
            ran = desk.run("b", "%%chat\ntwo")
            assert desk.sent() == ["{{ 1/0 }}", "two"]
            assert "1 earlier turn restored from talk.ipynb" in ran.text
            assert "1 turn of a newer mixroute-magic left out" in ran.text


class TestFrontEnds:
    def test_vs_codes_cells_are_found_in_the_file_by_their_answers_and_their_source(self, desk: Desk) -> None:
        uri = f"vscode-notebook-cell:{desk.document.path}#W%dsZmlsZQ%%3D%%3D"
        with desk.behind():
            for number, words in enumerate(("one", "two"), start=1):
                assert desk.kernel.run(f"%%chat\n{words}", uri % number).status == "ok"
            # The file has ids of its own, and the cells in another order.
            answered = {words: _by_hand(desk, words) for words in ("one", "two")}
            cells = [
                nbformat.v4.new_code_cell(f"%%chat\n{words}", id=f"file-{words}", outputs=[answered[words]])
                for words in ("two", "one")
            ]
            nbformat.write(nbformat.v4.new_notebook(cells=cells), desk.document.path)
            desk.kernel.run("%%chat\ntwo again", uri % 2)
            assert desk.sent() == ["two again"]
            desk.restart()
            desk.kernel.run("%%chat\none", uri % 7)  # VS Code counts anew: the source tells which cell it is
            assert desk.sent()[:1] == ["two"]
            assert desk.sent()[-1] == "one"
            assert len(desk.sent()) == 3

    def test_a_page_is_followed_where_the_kernel_is_told_no_path(self, desk: Desk) -> None:
        desk.kernel.run("del os.environ['JPY_SESSION_NAME']")
        with desk.behind():
            desk.kernel.run("%thread", "a")
            desk.kernel.report("far/away.ipynb", [("b", []), ("a", [])])
            for cell, words in (("a", "one"), ("b", "two")):
                desk.kernel.run(f"%%chat\n{words}", cell)
            assert desk.sent() == ["two"]
            desk.kernel.report("far/away.ipynb", [("a", []), ("b", [])])
            desk.kernel.run("%%chat\ntwo", "b")
            assert desk.sent() == ["one", "A1", "two"]
        desk.kernel.run("%reload_ext mixroute_magic")  # forgets the page

    def test_an_output_that_went_before_the_first_save_does_not_come_back_with_it(self, desk: Desk) -> None:
        with desk.behind():
            turn = desk.run("a", "%%chat\none").metadata["turn"]
            desk.restart()  # nothing was saved, so the kernel cannot know what the page shows
            desk.run("x", "%thread")
            desk.kernel.report("talk.ipynb", [("a", [turn]), ("copy", [turn]), ("b", [])])
            assert desk.run("copy", "%thread --rewind 1").status == "error"
            desk.document.save("a", "copy")  # the page, whose order is the same, tells nothing
            assert desk.ask("b", "two") == ["one", "A1", "two"]
        desk.kernel.run("%reload_ext mixroute_magic")  # forgets the page

    def test_history_in_order_of_execution_grows_with_every_run(self, desk: Desk) -> None:
        with desk.behind():
            desk.kernel.run("%config MixRoute.history = 'execution'")
            desk.ask("a", "one")
            assert desk.ask("a", "two") == ["one", "A1", "two"]
            desk.kernel.run("%config MixRoute.history = 'document'")

    def test_without_a_journal_nothing_is_kept_beside_the_notebook(self, desk: Desk) -> None:
        with desk.behind():
            desk.kernel.run("%config MixRoute.journal = False")
            desk.ask("a", "a very private question")
            desk.kernel.run("%config MixRoute.journal = True")
            kept = b"".join(path.read_bytes() for path in desk.kernel.home.glob("data/mixroute/journal*"))
            assert b"private question" not in kept
            desk.ask("b", "a question to keep")
            kept = b"".join(path.read_bytes() for path in desk.kernel.home.glob("data/mixroute/journal*"))
            assert b"question to keep" in kept


class TestSecrets:
    def test_a_key_that_the_gateway_repeats_is_kept_nowhere(self, desk: Desk, tmp_path: Path) -> None:
        with desk.behind(whole(f"You sent {KEY[:9]}", f"{KEY[9:]} to me"), whole("A2")):
            ran = desk.run("a", "%%chat\none")
            assert ran.metadata["messages"][1]["content"] == "You sent sk-… to me"
            assert KEY not in json.dumps(ran.outputs)
            assert desk.ask("b", "two") == ["one", "You sent sk-… to me", "two"]
            desk.run("x", f"%thread --export {tmp_path / 'talk.json'}")
            files = [*tmp_path.glob("*.json"), *desk.kernel.home.glob("data/mixroute/*")]
            assert len(files) >= 3
            assert all(KEY.encode() not in path.read_bytes() for path in files)

    @pytest.mark.parametrize("line", ["-p user=KEY", "-m KEY", "-s KEY", "-p 'stop=[\"KEY\"]'", "--thread KEY"])
    def test_a_key_anywhere_in_a_cell_is_not_sent(self, desk: Desk, line: str) -> None:
        with desk.behind() as gateway:
            ran = desk.run(
                "a",
                "import os; key = os.environ['MIXROUTE_API_KEY']\n"
                f"get_ipython().run_cell_magic('chat', {line!r}.replace('KEY', key), 'x')",
            )
            assert ran.status == "error"
            assert gateway.bodies == []
            told = desk.run("m", "get_ipython().run_line_magic('model', '-p user=' + key)")
            assert "delete it and use %mixroute login" in told.text


class TestTooLong:
    SAID = "This model's maximum context length is 20 tokens. However, your messages resulted in 5000 tokens."

    def test_the_error_says_how_many_turns_would_have_to_go_and_how(self, desk: Desk) -> None:
        message = self.SAID.replace("20", "8192").replace("5000", "9000")
        refused = reply(400, {"error": {"message": message, "code": "context_length_exceeded"}})
        words = "w" * 4000
        with desk.behind(*[whole(f"A{n}") for n in range(5)], refused, whole("fits")):
            for cell in "abcde":
                desk.ask(cell, words)
            ran = desk.run("f", "%%chat\nlast")
            assert ran.lines[0].startswith(
                "HistoryError: The conversation is too long for this model: This model's max"
            )
            assert "1 of the 5 turns above would have to go: in a cell above, %thread main --rewind 1" in ran.lines[1]
            asked = len(desk.gateway.bodies)
            ran = desk.run("f", "%%chat\nlast")
            assert ran.lines[0] == (
                "HistoryError: The conversation is too long for glm-5: about 9,000 tokens, and it takes 8,192; "
                "nothing was sent."
            )
            assert len(desk.gateway.bodies) == asked
            desk.run("r", "%thread main --rewind 1")
            assert len(desk.ask("f", "last")) == 9


class TestReplay:
    def test_an_unchanged_notebook_costs_nothing_and_a_changed_word_asks_again_from_there(self, desk: Desk) -> None:
        cells = {"a": "one", "b": "two", "c": "three"}
        with desk.behind() as gateway:
            for cell, words in cells.items():
                desk.ask(cell, words)
            desk.document.save(*cells)
            desk.restart()
            desk.kernel.run("%config MixRoute.replay = 'auto'")
            replayed = [desk.run(cell, f"%%chat\n{words}") for cell, words in cells.items()]
            assert len(gateway.bodies) == 3
            assert [ran.text.split("\n")[0] for ran in replayed] == ["A1", "A2", "A3"]
            assert replayed[0].metadata["replayed"] is True
            assert replayed[0].metadata["usage"]["input_tokens"] == 0
            assert "0 → 0 tokens" in replayed[0].text
            assert "replaced" not in replayed[0].text
            desk.run("b", "%%chat\ntwo, changed")
            assert desk.ask("c", "three") == ["one", "A1", "two, changed", "A4", "three"]
            assert len(gateway.bodies) == 5

    def test_a_continued_cell_is_replayed_as_it_was_asked(self, desk: Desk) -> None:
        with desk.behind() as gateway:
            desk.ask("a", "one")
            desk.ask("a", "more", "-c")
            ran = desk.run("a", "%%chat -c --replay auto\nmore")
            assert len(gateway.bodies) == 2
            words = [message["content"] for message in ran.metadata["messages"]]
            assert words == ["one", "A1", "more", "A2"]
            preview = desk.run("b", "%%chat --replay only --dry-run\nnever asked")
            assert preview.text.startswith("Nothing was sent. It would be 5 messages (1 earlier turn)")

    def test_only_opens_no_socket_and_says_where_nothing_is_recorded(self, desk: Desk) -> None:
        with desk.behind() as gateway:
            desk.ask("a", "one")
            address = gateway.base_url
        desk.kernel.run(f"%config MixRoute.base_url = {address!r}")  # nobody listens there any more
        assert desk.run("a", "%%chat --replay only\none").status == "ok"
        ran = desk.run("b", "%%chat --replay only\nnever asked")
        assert ran.lines[0].startswith("ReplayError: No answer is recorded for this request (3 messages to glm-5 at")
        assert desk.run("c", "%config MixRoute.replay = 'sometimes'\n%chat x").lines == [
            "SettingError: MixRoute.replay is 'sometimes', not off, auto or only.",
            "Set it: %config MixRoute.replay = …",
        ]
        desk.kernel.run("%config MixRoute.replay = 'off'")

    def test_without_a_page_the_notebooks_of_the_folder_are_the_record(self, tmp_path: Path) -> None:
        path = tmp_path / "class.ipynb"
        cells = [nbformat.v4.new_code_cell(source) for source in ("%load_ext mixroute_magic", "%chat one", "%chat two")]
        notebook = nbformat.v4.new_notebook(cells=cells)
        with scripted(whole("A1"), whole("A2")) as gateway:
            asked = _execute(notebook, tmp_path, gateway.base_url, "off")
            nbformat.write(asked, path)
            assert len(gateway.bodies) == 2
            address = gateway.base_url
        home = tmp_path / "another machine"
        home.mkdir()
        again = _execute(asked, tmp_path, address, "only", home)
        assert [_words(cell) for cell in again.cells[1:]] == ["A1", "A2"]


def _by_hand(desk: Desk, words: str) -> Any:
    """Return the output that a question has left, as a front end would have saved it."""
    contents = [message["content"] for message in desk.kernel.heard if message["msg_type"] == "update_display_data"]
    asked = [content for content in contents if content["metadata"]["mixroute"]["messages"][0]["content"] == words]
    return nbformat.v4.new_output("display_data", asked[-1]["data"], metadata=asked[-1]["metadata"])


def _execute(notebook: Any, folder: Path, base_url: str, replay: str, home: Path | None = None) -> Any:
    client = NotebookClient(
        nbformat.from_dict(notebook), kernel_name="python3", resources={"metadata": {"path": folder}}
    )
    client.execute(env=environment(home or folder, base_url, MIXROUTE_REPLAY=replay))
    return client.nb


def _words(cell: Any) -> str:
    return json.loads(json.dumps(cell.outputs[0].data["text/plain"])).split("\n")[0]
