"""A kernel that asks again and again keeps nothing of it: the later turns against the earlier ones of the same run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from benchmarks import soak

if TYPE_CHECKING:
    from benchmarks.soak import Asking

TRACE = "import gc, tracemalloc; tracemalloc.start()"
TRACED = "(gc.collect(), tracemalloc.get_traced_memory()[0])[1]"


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Asking, list[int], int]:
    """A kernel that was looked at after 10 and 50 turns over five cells, its memory after 30 and 50, and its rows."""
    home = tmp_path_factory.mktemp("soak")
    memory = []
    with soak.demo_gateway(0) as gateway, soak.asking(home, gateway, 0, cells=5) as one:
        for _ in range(10):
            one.ask()
        one.look()
        one.kernel.run(TRACE)
        for turns in (30, 50):
            while one.turns < turns:
                one.ask()
            memory.append(int(one.kernel.value(TRACED)))
        one.look()
    return one, memory, soak.rows(home)["complete"]


def test_every_answer_is_whole_and_has_its_row(asked: tuple[Asking, list[int], int]) -> None:
    one, _, rows = asked
    assert one.lost == []
    assert rows == one.turns == 50


def test_a_turn_leaves_little_more_than_what_was_said(asked: tuple[Asking, list[int], int]) -> None:
    one, (earlier, later), _ = asked
    said = sum(len(json.dumps(messages)) for messages in one.said.values()) / one.cells
    assert (later - earlier) / 20 <= 12 * said


def test_no_descriptor_thread_or_widget_is_left(asked: tuple[Asking, list[int], int]) -> None:
    first, last = asked[0].looks
    assert (last.descriptors, last.threads, last.widgets) == (first.descriptors, first.threads, first.widgets)
