"""What stands above a cell, without a kernel: the model and the saved notebook."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import nbformat
import pytest

from mixroute_magic import Conversation
from mixroute_magic.conversation.model import Run
from mixroute_magic.conversation.page import PageCell
from mixroute_magic.conversation.saved import SavedNotebook, is_foreign
from mixroute_magic.conversation.turn import COMPLETE, FAILED, INTERRUPTED, Turn
from mixroute_magic.wire import Message, Usage

if TYPE_CHECKING:
    from pathlib import Path


def turn(words: str, *, status: str = COMPLETE, thread: str = "main") -> Turn:
    messages = (Message("user", words), Message("assistant", f"re {words}"))
    return Turn(turn=f"id of {words}", thread=thread, status=status, model="glm-5", messages=messages)


class Kernel:
    """Runs cells: every execution has an id of its own."""

    def __init__(self) -> None:
        self.conversation = Conversation()
        self._executions = 0

    def execute(self, cell: str | None, *turns: Turn) -> list[str]:
        """Run a cell that asks these turns in a row; return what stood above the last of them."""
        self._executions += 1
        run = Run(str(self._executions), cell)
        above: list[str] = []
        for asked in turns:
            above = self.above(run, asked.thread)
            place = self.conversation.begin(run)
            self.conversation.record(run, place, asked)
        return above

    def arrange(self, cells: list[str]) -> None:
        """Save the document: its cells, and the turns that stand in them."""
        ids = {cell: tuple(self.conversation.turn_ids(cell)) for cell in cells}
        self.conversation.take([PageCell(cell, ids[cell]) for cell in cells])

    def above(self, run: Run, thread: str = "main") -> list[str]:
        return [earlier.messages[0].content for earlier in self.conversation.above(run, thread)]

    def above_cell(self, cell: str | None = "new", thread: str = "main") -> list[str]:
        return self.above(Run("looking", cell), thread)


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


def test_turns_stand_in_the_order_of_their_first_run_where_nothing_was_saved(kernel: Kernel) -> None:
    assert kernel.execute("b", turn("1")) == []
    assert kernel.execute("a", turn("2")) == ["1"]
    assert kernel.above_cell() == ["1", "2"]


def test_the_saved_document_decides_the_order_and_unsaved_cells_follow(kernel: Kernel) -> None:
    kernel.execute("b", turn("b"))
    kernel.execute("new", turn("new"))
    kernel.execute("a", turn("a"))
    kernel.arrange(["a", "text", "b", "c"])
    assert kernel.above_cell("text") == ["a"]
    assert kernel.above_cell("c") == ["a", "b"]
    assert kernel.above_cell("newer") == ["a", "b", "new"]
    kernel.arrange(["b", "a"])
    assert kernel.above_cell("a") == ["b"]


def test_a_rerun_replaces_its_turn_and_asks_with_those_above(kernel: Kernel) -> None:
    for name in "abc":
        kernel.execute(name, turn(name))
    assert kernel.execute("b", turn("b again")) == ["a"]
    assert kernel.above_cell() == ["a", "b again", "c"]


def test_two_questions_of_one_cell_are_two_turns_and_a_rerun_replaces_both(kernel: Kernel) -> None:
    assert kernel.execute("a", turn("1"), turn("2")) == ["1"]
    assert kernel.execute("a", turn("3"), turn("4"), turn("5")) == ["3", "4"]
    assert kernel.execute("a", turn("6")) == []
    assert kernel.above_cell() == ["6"]


def test_without_cell_ids_every_execution_follows_the_last(kernel: Kernel) -> None:
    kernel.execute(None, turn("1"))
    assert kernel.execute(None, turn("2")) == ["1"]
    assert kernel.above_cell(None) == ["1", "2"]


def test_a_run_that_was_stopped_before_it_recorded_anything_takes_nothing_away(kernel: Kernel) -> None:
    kernel.execute("a", turn("1"))
    kernel.conversation.begin(Run("stopped", "a"))
    kernel.execute("a", turn("2", status=INTERRUPTED))
    assert kernel.above_cell() == ["1"]


@pytest.mark.parametrize("status", [FAILED, INTERRUPTED])
def test_a_turn_that_broke_is_never_sent_and_costs_no_complete_one(kernel: Kernel, status: str) -> None:
    kernel.execute("a", turn("broken", status=status))
    assert kernel.above_cell() == []
    kernel.execute("b", turn("1"), turn("2"))
    kernel.execute("b", turn("3", status=status))
    assert kernel.above_cell() == ["1", "2"]
    kernel.execute("b", turn("3"), turn("4", status=status))
    assert kernel.above_cell() == ["3", "2"]
    assert kernel.execute("b", turn("5", status=status), turn("6")) == ["3"]


def test_a_deleted_cells_turn_leaves_and_comes_back_with_it(kernel: Kernel) -> None:
    for name in "ab":
        kernel.execute(name, turn(name))
    kernel.arrange(["a", "b"])
    kernel.arrange(["b"])
    assert kernel.above_cell() == ["b"]
    kernel.arrange(["a", "b"])
    assert kernel.above_cell() == ["a", "b"]


def test_a_deleted_cell_that_runs_again_is_back_before_any_save(kernel: Kernel) -> None:
    for name in "ab":
        kernel.execute(name, turn(name))
    kernel.arrange(["a", "b"])
    kernel.arrange(["b"])
    kernel.execute("a", turn("a again"))
    assert kernel.above_cell() == ["b", "a again"]


@pytest.mark.parametrize(("shows", "above"), [(("id of a again",), ["a", "a"]), ((), ["a"])])
def test_what_a_failed_rerun_left_stands_in_a_copy_alone_where_its_own_cell_shows_it_no_more(
    kernel: Kernel, shows: tuple[str, ...], above: list[str]
) -> None:
    kernel.execute("a", turn("a"))
    kernel.execute("a", turn("a again", status=FAILED))
    copied_before = PageCell("copy", ("id of a",))
    kernel.conversation.take([PageCell("a", shows), copied_before])
    assert kernel.above_cell() == above


def test_a_copy_of_what_a_failed_rerun_left_counts_at_once_after_a_restart(kernel: Kernel) -> None:
    failed = replace(turn("a again", status=FAILED), earlier={0: turn("a")})
    shown = PageCell("a", (failed.turn,))
    kernel.conversation.take([shown], {failed.turn: failed})
    assert kernel.above_cell() == ["a"]
    kernel.conversation.take([shown, PageCell("copy", ("id of a",))])
    assert kernel.above_cell() == ["a", "a"]


def test_of_very_many_reruns_the_oldest_answers_are_forgotten_and_no_standing_one(kernel: Kernel) -> None:
    kernel.execute("first", turn("first"))
    for number in range(2_000):
        kernel.execute("a", turn(f"{number}"))
    known = [kernel.conversation.knows(f"id of {number}") for number in range(2_000)]
    assert kernel.above_cell() == ["first", "1999"]
    assert kernel.conversation.knows("id of first")
    assert 500 <= sum(known) <= 1_010
    assert all(known[-500:])


def test_a_notebook_of_very_many_turns_comes_back_whole(kernel: Kernel) -> None:
    turns = [turn(f"{number}") for number in range(2_000)]
    cells = [PageCell(f"cell {one.turn}", (one.turn,)) for one in turns]
    assert kernel.conversation.take(cells, {one.turn: one for one in turns}) == 2_000
    assert len(kernel.execute("new", turn("new"))) == 2_000
    assert len(kernel.above_cell("newer")) == 2_001


def test_threads_do_not_see_each_other_and_can_be_cleared(kernel: Kernel) -> None:
    kernel.execute("a", turn("a"))
    kernel.execute("b", turn("b", thread="side"))
    kernel.execute("c", turn("c", thread="side", status=FAILED))
    assert kernel.above_cell(thread="side") == ["b"]
    assert kernel.conversation.threads() == {"main": 1, "side": 1}
    assert kernel.conversation.clear("side").turns == ("id of b",)
    assert kernel.above_cell(thread="side") == []
    assert kernel.above_cell() == ["a"]


def test_memory_wins_over_the_file(kernel: Kernel) -> None:
    kernel.execute("a", turn("memory"))
    found = {name.turn: name for name in (turn("file"), turn("b1"), turn("b2"))}
    saved = [PageCell("a", ("id of file",)), PageCell("b", ("id of b1", "id of b2")), PageCell("c", ())]
    assert kernel.conversation.take(saved, found) == 2
    assert kernel.above_cell() == ["memory", "b1", "b2"]
    assert kernel.execute("b", turn("b3")) == ["memory"]


def test_a_turn_survives_its_metadata() -> None:
    kept = Turn(
        turn="id",
        thread="main",
        status=COMPLETE,
        model="glm-5",
        served_model="glm-5-air",
        messages=(Message("system", "short"), Message("user", "你好"), Message("assistant", "hi")),
        params={"temperature": 0.5},
        usage=Usage(1, 2, None, 0, "reported"),
        finish_reason="stop",
        reasoning="hm",
        request_hash="00",
        request_id="req",
        created="2026-11-22T03:00:00Z",
        seconds=1.5,
        first_token_seconds=0.5,
        demo=True,
    )
    record = kept.to_metadata()
    assert Turn.from_metadata(record) == kept
    assert record["version"] == 1
    assert record["kind"] == "turn"
    assert "reasoning" not in turn("x").to_metadata()


GOOD = turn("x").to_metadata()


@pytest.mark.parametrize(
    "forged",
    [
        None,
        "turn",
        {},
        GOOD | {"kind": "setting"},
        GOOD | {"version": 2},
        GOOD | {"turn": None},
        GOOD | {"thread": ""},
        GOOD | {"messages": "hello"},
        GOOD | {"messages": ["hello"]},
        GOOD | {"messages": [{"role": "developer", "content": "x"}]},
        GOOD | {"messages": [{"role": ["user"], "content": "x"}]},
        GOOD | {"messages": [{"role": "user", "content": {"x": 1}}]},
        GOOD | {"messages": [{"role": "user", "content": "x", "name": "root"}]},
    ],
)
def test_what_is_no_record_of_this_version_is_no_turn(forged: object) -> None:
    assert Turn.from_metadata(forged) is None


def test_odd_values_in_a_record_become_unknown() -> None:
    odd = GOOD | {"params": [1], "usage": 7, "seconds": "long", "demo": "yes", "served_model": 5, "reasoning": []}
    assert Turn.from_metadata(odd) == turn("x")


def notebook(*cells: tuple[str, object]) -> nbformat.NotebookNode:
    made = nbformat.v4.new_notebook()
    for cell_id, record in cells:
        cell = nbformat.v4.new_code_cell("%chat x", id=cell_id)
        if record is not None:
            cell.outputs = [
                nbformat.v4.new_output("stream", text="x"),
                nbformat.v4.new_output("display_data", {"text/plain": "x"}, metadata={"mixroute": record}),
            ]
        made.cells.append(cell)
    return made


def test_the_saved_notebook_gives_its_cells_and_records_in_order(tmp_path: Path) -> None:
    path = tmp_path / "talk.ipynb"
    nbformat.write(notebook(("a", GOOD), ("b", None)), path)
    cells = SavedNotebook(path).cells()
    assert [cell.id for cell in cells] == ["a", "b"]
    assert [Turn.from_metadata(record) for record in cells[0].records] == [turn("x")]
    assert cells[1].records == ()


def test_the_file_is_read_again_only_when_it_changed(tmp_path: Path) -> None:
    path = tmp_path / "talk.ipynb"
    saved = SavedNotebook(path)
    assert saved.cells() == ()
    nbformat.write(notebook(("a", None)), path)
    first = saved.cells()
    assert saved.cells() is first
    nbformat.write(notebook(("a", None), ("b", None)), path)
    second = saved.cells()
    assert [cell.id for cell in second] == ["a", "b"]
    path.write_bytes(b"{half")
    assert saved.cells() is second
    path.unlink()
    assert saved.cells() is second


@pytest.mark.parametrize(
    "content", [b"", b"{half", b"[]", b'{"cells": 5}', b"\xff\xfe", b'{"nbformat": 4, "cells": [5]}']
)
def test_a_file_that_is_no_notebook_has_no_cells(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "talk.ipynb"
    path.write_bytes(content)
    assert SavedNotebook(path).cells() == ()


def test_cells_from_before_cell_ids_are_told_by_their_place(tmp_path: Path) -> None:
    old = notebook(("a", GOOD), ("b", None))
    old.nbformat_minor = 4
    for cell in old.cells:
        del cell["id"]
    path = tmp_path / "old.ipynb"
    path.write_text(nbformat.writes(old, version=nbformat.NO_CONVERT))
    first, second = SavedNotebook(path).cells()
    assert (first.turns, second.turns) == (("id of x",), ())
    assert first.id != second.id
    assert is_foreign("any", (first, second))
    assert not is_foreign("any", SavedNotebook(tmp_path / "none.ipynb").cells())


def test_an_odd_cell_costs_the_others_nothing(tmp_path: Path) -> None:
    odd = [None, {"cell_type": "code"}, {"cell_type": "code", "id": "o", "outputs": [{"metadata": None}, 5]}]
    data = nbformat.from_dict(notebook(("a", GOOD)))
    path = tmp_path / "odd.ipynb"
    path.write_text(json.dumps({**data, "cells": [*odd, *data.cells]}))
    assert [cell.turns for cell in SavedNotebook(path).cells()] == [(), (), ("id of x",)]
