"""Several models side by side, in a real kernel: all at once, each for itself, and one that goes on."""

from __future__ import annotations

import re
import sqlite3
import threading
import time
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from kernels import Document, Kernel, until
from scripted import DONE, STOP, Pause, Reset, ScriptedGateway, Until, answer, delta, reply, scripted, whole

from mixroute_magic.arguments import OptionError
from mixroute_magic.conversation.turn import Turn
from mixroute_magic.options import ModelOptions, parse, parse_chat

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kernels import Ran


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with Kernel(tmp_path_factory.mktemp("kernel")) as kernel:
        yield kernel


class Desk:
    """A person at a notebook."""

    def __init__(self, kernel: Kernel, document: Document) -> None:
        self.kernel = kernel
        self.document = document

    def begin(self, gateway: ScriptedGateway) -> None:
        path = str(self.document.path)
        self.kernel.run(
            f"import os; os.environ['JPY_SESSION_NAME'] = {path!r}\n%config MixRoute.retries = 0\n"
            f"%config MixRoute.base_url = {gateway.base_url!r}"
        )

    def run(self, cell: str, source: str) -> Ran:
        return self.document.run(self.kernel, cell, source)

    def threads(self) -> str:
        """Name the threads of the kernel that read answers."""
        return self.kernel.value(
            "[t.name for t in __import__('threading').enumerate() if t.name.startswith('mixroute-answer')]"
        )


@pytest.fixture
def desk(running: Kernel, tmp_path: Path) -> Desk:
    return Desk(running, Document(tmp_path / "talk.ipynb"))


def said(gateway: ScriptedGateway) -> list[str]:
    """Return the words of the messages that were sent last."""
    return [message["content"] for message in gateway.bodies[-1]["messages"]]


def columns(ran: Ran) -> dict[int, str]:
    """Return what the live view shows of each answer so far."""
    shown: dict[int, str] = {}
    for change in ran.frames:
        shown[change["column"]] = shown.get(change["column"], "") + change.get("text", "")
    return shown


def statuses(ran: Ran) -> list[str]:
    return [answer["status"] for answer in ran.metadata["alternatives"]]


def rows(kernel: Kernel) -> list[tuple[str, str]]:
    """Return model and status of the requests in the ledger, oldest first."""
    (path,) = kernel.home.rglob("ledger.sqlite")
    with sqlite3.connect(path) as db:
        return db.execute("SELECT model, status FROM requests ORDER BY started").fetchall()


class TestOptions:
    def test_models_are_kept_in_their_order_and_may_be_named_twice(self) -> None:
        options, question = parse_chat("-m a --model b -m=a why?")
        assert (options.models, question) == (("a", "b", "a"), "why?")

    def test_more_than_eight_are_too_many(self) -> None:
        with pytest.raises(OptionError, match="-m is given 9 times: at most 8 models answer side by side"):
            parse_chat("-m a " * 9 + "why?")

    def test_the_notebook_has_one_model(self) -> None:
        with pytest.raises(OptionError):
            parse(ModelOptions, "a b")


class TestAnswers:
    def test_all_stream_at_the_same_time(self, desk: Desk) -> None:
        seen = threading.Event()
        scripts = {name: [answer(delta(f"{name}1"), Until(seen), delta(f"{name}2"), STOP, DONE)] for name in "abc"}
        with scripted(whole("x"), **scripts) as gateway:
            desk.begin(gateway)
            ran = desk.kernel.send("%%chat -m a -m b -m c\nhello", "all")
            ran.until(lambda ran: columns(ran) == {0: "a1", 1: "b1", 2: "c1"})
            seen.set()
            ran.wait()
            assert ran.status == "ok", ran.lines
            assert columns(ran) == {0: "a1a2", 1: "b1b2", 2: "c1c2"}
            assert [model["messages"] for model in gateway.bodies] == [[{"role": "user", "content": "hello"}]] * 3

    def test_the_first_goes_on_and_all_are_kept(self, desk: Desk) -> None:
        with scripted(whole("x"), a=[whole("A says")], b=[whole("B says")]) as gateway:
            desk.begin(gateway)
            ran = desk.run("a", "%%chat -m a -m b -t 0.5 -o replies\nhello")
            record = ran.metadata
            assert [alternative["messages"][-1]["content"] for alternative in record["alternatives"]] == [
                "A says",
                "B says",
            ]
            assert record["messages"] == record["alternatives"][0]["messages"]
            assert len({alternative["request_hash"] for alternative in record["alternatives"]}) == 2
            assert all("alternatives" not in alternative for alternative in record["alternatives"])
            assert {alternative["params"]["temperature"] for alternative in record["alternatives"]} == {0.5}
            assert "a goes on in the conversation: %thread --keep NAME chooses another" in ran.text
            assert "── b ──\n\nB says\n\nserved · 25 → 100 tokens" in ran.text
            assert ran.markdown.count("<td ") == ran.markdown.count("</td>") == 2
            assert desk.kernel.value("[(r.text, r.model, r.usage.output_tokens) for r in replies]") == str(
                [("A says", "served", 100), ("B says", "served", 100)]
            )
            desk.run("b", "%chat and now")
            assert said(gateway) == ["hello", "A says", "and now"]
            assert desk.threads() == "[]"

    @pytest.mark.parametrize("broken", [reply(401), reply(503), answer(delta("half"), Reset())])
    def test_one_that_fails_does_not_harm_the_others(self, desk: Desk, broken: Any) -> None:
        with scripted(whole("x"), bad=[broken], good=[whole("good"), whole("again")]) as gateway:
            desk.begin(gateway)
            before = rows(desk.kernel) if list(desk.kernel.home.rglob("ledger.sqlite")) else []
            ran = desk.run("a", "%%chat -m bad -m good -o replies\nhello")
            assert ran.status == "ok", ran.lines
            assert statuses(ran) == ["failed", "complete"]
            assert sorted(rows(desk.kernel)[len(before) :]) == [("bad", "failed"), ("good", "complete")]
            first, second = re.findall(r"── \w+ ──\n\n([^─]*)", ran.text)
            assert re.search(r"(Error: .*\n.+)", first), first
            assert "failed" in first
            assert "good goes on in the conversation" in second
            assert "--keep" not in second
            assert desk.kernel.value("[r.text for r in replies]") == str(["half" if "half" in first else "", "good"])
            failed = desk.run("k", "%thread --keep bad")
            assert failed.lines == ["HistoryError: bad did not answer to the end.", "Complete: good."]

    def test_if_all_fail_the_cell_fails_and_erases_nothing(self, desk: Desk) -> None:
        with scripted(
            whole("x"), a=[whole("A"), reply(401)], b=[whole("B"), answer(delta("half"), Reset())]
        ) as gateway:
            desk.begin(gateway)
            desk.run("a", "%%chat -m a -m b\nhello")
            ran = desk.run("a", "%%chat -m a -m b\nhello")
            assert ran.status == "error"
            assert ran.lines[0].startswith("AuthenticationError: None of the 2 models answered. a: ")
            assert statuses(ran) == ["failed", "failed"]
            assert "none of them goes on" in ran.text
            assert "half" in ran.text
            desk.run("b", "%chat next")
            assert said(gateway) == ["hello", "A", "next"]

    def test_what_cannot_be_sent_to_any_is_not_sent(self, desk: Desk) -> None:
        with scripted(whole("x")) as gateway:
            desk.begin(gateway)
            ran = desk.run("a", "%%chat -m a -m b --replay only\nhello")
            assert ran.status == "error"
            assert ran.lines[0].startswith("ReplayError: No answer is recorded for this request (1 message to a at ")
            assert gateway.asked == []

    def test_one_conversation_too_long_is_explained_in_its_column(self, desk: Desk) -> None:
        words = "This model's maximum context length is 100 tokens. However, your messages resulted in 200 tokens."
        refused = reply(400, {"error": {"message": words, "code": "context_length_exceeded"}})
        with scripted(whole("x"), small=[refused, whole("never")], large=[whole("large"), whole("again")]) as gateway:
            desk.begin(gateway)
            ran = desk.run("a", "%%chat -m small -m large\nhello")
            assert ran.status == "ok", ran.lines
            assert "HistoryError" in ran.text
            again = desk.run("b", "%%chat -m small -m large --fresh\n" + "hello " * 50)
            assert "The conversation is too long for small" in again.text
            assert [body["model"] for body in gateway.bodies[2:]] == ["large"]

    def test_eight_at_once_lose_nothing(self, desk: Desk) -> None:
        names = [f"m{number}" for number in range(8)]
        pieces = [f"{number} " for number in range(500)]
        with scripted(whole("x"), **{name: [whole(name, *pieces)] for name in names}) as gateway:
            desk.begin(gateway)
            ran = desk.run("a", f"%%chat {' '.join(f'-m {name}' for name in names)}\nhello")
            assert ran.status == "ok", ran.lines
            answers = [alternative["messages"][-1]["content"] for alternative in ran.metadata["alternatives"]]
            assert answers == [name + "".join(pieces) for name in names]
            assert columns(ran) == dict(enumerate(answers))

    def test_a_dry_run_shows_what_each_would_be_sent(self, desk: Desk) -> None:
        with scripted(whole("x")) as gateway:
            desk.begin(gateway)
            shown = desk.run("a", "%%chat --dry-run -m glm-5 -m o3 --max-tokens 9\nhello").text
            assert "to glm-5, o3 at" in shown
            assert '{"model": "glm-5", "stream": true, "max_tokens": 9}' in shown
            assert '{"model": "o3", "stream": true, "max_completion_tokens": 9}' in shown
            assert shown.count('"content": "hello"') == 1
            assert gateway.asked == []


SILENT = [Pause(60)]
PHASES = {
    "before the first byte": SILENT,
    "between two words": answer(delta("half"), Pause(60)),
    "before it asks again": reply(503, retry_after="15"),
}


class TestInterrupt:
    @pytest.mark.parametrize("phase", PHASES)
    def test_all_connections_are_closed_at_once(self, desk: Desk, phase: str) -> None:
        with scripted(whole("x"), a=[PHASES[phase]], b=[answer(delta("B"), Pause(60))]) as gateway:
            desk.begin(gateway)
            desk.kernel.run("%config MixRoute.retries = 2")
            ran = desk.kernel.send("%%chat -m a -m b\nhello", "stop")
            ran.until(lambda ran: columns(ran).get(1) == "B")
            until(lambda: len(gateway.asked) >= 2)
            if phase == "between two words":
                ran.until(lambda ran: columns(ran).get(0) == "half")
            elif phase == "before it asks again":
                ran.until(lambda ran: any("retry" in change for change in ran.frames))
            open_connections = 1 if phase == "before it asks again" else 2
            pressed = time.time()
            desk.kernel.interrupt()
            ran.wait()
            assert ran.status == "error"
            assert len(gateway.closed) == open_connections
            assert max(gateway.closed) - pressed < 5, "a loaded machine is slow, a connection left open takes a minute"
            assert statuses(ran) == ["interrupted", "interrupted"]
            assert ran.lines[0].startswith("Interrupted: the text so far is kept above")
            assert ran.metadata["alternatives"][1]["messages"][-1]["content"] == "B"
            assert len(gateway.bodies) == 2, "nothing is sent again"
            assert desk.threads() == "[]"
            assert [status for _, status in rows(desk.kernel)[-2:]] == ["interrupted", "interrupted"]

    def test_what_was_complete_stays_complete_and_goes_on(self, desk: Desk) -> None:
        with scripted(whole("x"), slow=[answer(delta("half"), Pause(60))], fast=[whole("all")]) as gateway:
            desk.begin(gateway)
            ran = desk.kernel.send("%%chat -m slow -m fast\nhello", "stop")
            ran.until(lambda ran: columns(ran).get(0) == "half")
            ran.until(lambda ran: any("ended" in change for change in ran.frames))
            desk.kernel.interrupt()
            ran.wait()
            assert ran.status == "error"
            assert ran.lines[0].startswith("Interrupted: fast had answered and goes on")
            assert statuses(ran) == ["interrupted", "complete"]
            desk.run("next", "%chat next")
            assert said(gateway)[:2] == ["hello", "all"]


class TestKeep:
    def test_another_answer_goes_on_until_it_is_undone(self, desk: Desk) -> None:
        with scripted(whole("next one"), a=[whole("A")], b=[whole("B")]) as gateway:
            desk.begin(gateway)
            asked = desk.run("a", "%%chat -m a -m b\nhello")
            desk.run("c", "%chat between")
            kept = desk.run("k", "%thread --keep b")
            assert kept.status == "ok", kept.lines
            assert "b goes on in the conversation now, instead of a." in kept.text
            assert "stale" in kept.text
            (update,) = kept.contents("update_display_data")
            assert update["transient"]["display_id"] == asked.metadata["turn"]
            (output,) = desk.document.outputs("a")
            assert "b goes on in the conversation" in output.data["text/plain"]
            assert output.metadata["mixroute"]["messages"][-1]["content"] == "B"
            assert "stale" in desk.run("t", "%thread").text
            desk.run("d", "%chat next")
            assert said(gateway)[:2] == ["hello", "B"]
            assert desk.run("k2", "%thread --keep 2").text == "b goes on in the conversation already."
            undone = desk.run("u", "%thread --undo")
            assert "Brought back 1 answer" in undone.text
            assert "a goes on in the conversation" in desk.document.outputs("a")[0].data["text/plain"]
            desk.run("d", "%chat next")
            assert said(gateway)[:2] == ["hello", "A"]

    def test_it_survives_a_restart_and_can_be_chosen_again(self, desk: Desk) -> None:
        with scripted(whole("next one"), a=[whole("A")], b=[whole("B")]) as gateway:
            desk.begin(gateway)
            desk.run("a", "%%chat -m a -m b\nhello")
            desk.run("k", "%thread --keep b")
            desk.document.save()
            desk.kernel.restart()
            desk.begin(gateway)
            desk.run("c", "%chat next")
            assert said(gateway) == ["hello", "B", "next"]
            assert desk.run("k2", "%thread --keep a").status == "ok"
            desk.run("c", "%chat next")
            assert said(gateway) == ["hello", "A", "next"]
            desk.document.save("a", "k", "k2")
            desk.kernel.restart()
            desk.begin(gateway)
            desk.run("d", "%chat once more")
            assert said(gateway) == ["hello", "A", "once more"]

    def test_a_name_that_does_not_tell_is_answered_with_those_that_do(self, desk: Desk) -> None:
        with scripted(whole("x"), a=[whole("A1"), whole("A2")], b=[whole("B")]) as gateway:
            desk.begin(gateway)
            desk.run("n", "%%chat\nalone")
            nothing = desk.run("k", "%thread --keep a")
            assert nothing.lines[0] == "HistoryError: No turn of thread main above this cell has several answers."
            ran = desk.run("a", "%%chat -m a -m a -m b\nhello")
            assert "1 · a goes on in the conversation: %thread --keep NUMBER chooses another" in ran.text
            assert desk.run("k", "%thread --keep c").lines == [
                "HistoryError: c is not among the answers.",
                "There are 1 · a, 2 · a, 3 · b.",
            ]
            assert desk.run("k", "%thread --keep a").lines == [
                "HistoryError: a answered 2 times.",
                "Say which by its column: %thread --keep 1 or 2.",
            ]
            assert desk.run("k", "%thread --keep served").status == "error"
            assert "2 · a goes on" in desk.run("k", "%thread --keep 2").text

    def test_a_fork_goes_with_it_and_the_same_cell_may_ask_on(self, desk: Desk) -> None:
        with scripted(whole("x"), a=[whole("A")], b=[whole("B")]) as gateway:
            desk.begin(gateway)
            desk.run("a", "%chat -m a -m b hello\n%thread --fork other\n%thread --keep b\n%chat and on")
            assert said(gateway) == ["hello", "B", "and on"]
            desk.run("c", "%chat --thread main next")
            assert said(gateway) == ["hello", "B", "next"]


class TestReplay:
    def test_each_finds_its_own_record_and_the_others_ask(self, desk: Desk) -> None:
        with scripted(whole("x"), a=[whole("A")], b=[whole("B")], c=[whole("C1"), whole("C2")]) as gateway:
            desk.begin(gateway)
            desk.run("a", "%%chat -m a -m b\nhello")
            ran = desk.run("a", "%%chat -m b -m c -m a -m c --replay auto\nhello")
            assert [body["model"] for body in gateway.bodies[2:]] == ["c", "c"]
            assert [one["replayed"] for one in ran.metadata["alternatives"]] == [True, False, True, False]
            assert [one["usage"]["output_tokens"] for one in ran.metadata["alternatives"]] == [0, 100, 0, 100]
            again = desk.run("a", "%%chat -m c -m c -m d --replay only\nhello")
            assert again.status == "ok", again.lines
            answers = [one["messages"][1:] for one in again.metadata["alternatives"]]
            assert sorted(said["content"] for said, *_ in answers[:2]) == ["C1", "C2"]
            assert answers[2] == []
            assert "ReplayError" in again.text
            assert len(gateway.bodies) == 4
            alone = desk.run("b", "%%chat -m b --replay only --fresh\nhello")
            assert alone.metadata["messages"][-1]["content"] == "B"

    def test_the_journal_remembers_all_of_them(self, desk: Desk) -> None:
        with scripted(whole("x"), a=[whole("A")], b=[whole("B")]) as gateway:
            desk.begin(gateway)
            desk.run("a", "%%chat -m a -m b\nhello journal")
            desk.kernel.restart()  # with nothing saved
            desk.begin(gateway)
            ran = desk.run("b", "%%chat -m b --replay only\nhello journal")
            assert ran.status == "ok", ran.lines
            assert ran.metadata["messages"][-1]["content"] == "B"

    def test_a_folder_without_a_page_finds_them_in_its_notebooks(self, desk: Desk) -> None:
        with scripted(whole("x"), a=[whole("A")], b=[whole("B")]) as gateway:
            desk.begin(gateway)
            desk.run("a", "%%chat -m a -m b\nhello folder")
            desk.document.save("a")
        from mixroute_magic.conversation.replay import Beside

        record = nbformat.read(desk.document.path, 4).cells[0].outputs[0].metadata["mixroute"]
        found = Beside(desk.document.path.parent).find(record["alternatives"][1]["request_hash"])
        assert found is not None
        assert found.messages[-1].text == "B"


class TestRecords:
    def test_an_export_keeps_the_alternatives(self, desk: Desk) -> None:
        folder = desk.document.path.parent
        with scripted(whole("x"), a=[whole("A")], b=[whole("B")]) as gateway:
            desk.begin(gateway)
            desk.run("a", "%%chat -m a -m b\nhello")
            for name in ("talk.json", "copy.ipynb", "talk.md"):
                assert desk.run("e", f"%thread --export {folder / name}").status == "ok"
            handout = (folder / "talk.md").read_text()
            assert "\nA\n" in handout
            assert "<table" not in handout
            copy = nbformat.read(folder / "copy.ipynb", 4)
            assert copy.cells[-1].source == "%%chat -m a -m b\nhello"
            for name in ("talk.json", "copy.ipynb"):
                desk.run("z", "%thread --clear")
                imported = desk.run("i", f"%thread --import {folder / name}")
                assert imported.status == "ok", imported.lines
                assert "b goes on" in desk.run("k", "%thread --keep b").text

    def test_a_strangers_alternatives_are_taken_only_as_answers_to_its_question(self, desk: Desk) -> None:
        with scripted(whole("x"), a=[whole("A")], b=[whole("B")]) as gateway:
            desk.begin(gateway)
            record = desk.run("a", "%%chat -m a -m b\nhello").metadata
        turn = Turn.from_metadata(record)
        assert turn is not None
        assert turn.to_metadata() == record
        first, second = record["alternatives"]
        other = second | {"messages": [{"role": "user", "content": "other"}, second["messages"][1]]}
        for forged in ([first, other], [first, 7, None, {}], [first, second | {"version": 2}]):
            read = Turn.from_metadata(record | {"alternatives": forged})
            assert read is not None
            assert [answer.model for answer in read.alternatives] == ["a"]
        for without_kept in ([second], [other], "nonsense", {"0": first}):
            read = Turn.from_metadata(record | {"alternatives": without_kept})
            assert read is not None
            assert read.alternatives == ()
        nested = Turn.from_metadata(record | {"alternatives": [first | {"alternatives": [first], "error": ["x", 5]}]})
        assert nested is not None
        assert (nested.alternatives[0].alternatives, nested.alternatives[0].error) == ((), ("x",))
