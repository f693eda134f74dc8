"""Each fault that the protocol knows, in a real kernel: what the person, the record and the next question get of it."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from faults import ELSEWHERE, FAULTS, Player
from scripted import DONE, STOP, USAGE, Asked, Piece, Until, answer, delta, reply, scripted, whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from faulty import Fault

TESTS = Path(__file__).parent


@pytest.fixture(scope="module")
def player(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Player]:
    with Player(tmp_path_factory.mktemp("faults")) as player:
        yield player


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.number} {fault.title}")
def test_what_comes_of_a_fault_is_what_the_table_says(player: Player, fault: Fault) -> None:
    seen, expected = player.play(fault)
    assert seen == expected


def test_two_threads_that_ask_at_once_are_two_turns_in_order(player: Player) -> None:
    code = """
import threading
from urllib.request import urlopen
asking = [
    threading.Thread(target=get_ipython().run_line_magic, args=("chat", f"--thread both -m {word} {word}"))
    for word in ("first", "second")
]
asking[0].start()
urlopen("URL/models").close()  # returns when the first answer has begun
asking[1].start()
asking[1].join()
urlopen("URL/models").close()  # lets the first answer end
asking[0].join()
"""
    begun, may_end = threading.Event(), threading.Event()

    def first() -> Iterator[Piece]:
        yield from answer(delta("1, "))
        begun.set()
        yield from (Until(may_end), delta("first"), STOP, USAGE, DONE)

    def end(_: Asked) -> bytes:
        may_end.set()
        return reply(200)

    others = {"": [[Until(begun), reply(200)], end], "second": [whole("2, second")], "next": [whole("Next.")]}
    with scripted(first=[first()], **others) as gateway:
        player.kernel.run(f"%config MixRoute.base_url = {gateway.base_url!r}")
        ran = player.kernel.run(code.replace("URL", gateway.base_url), "both")
        player.kernel.run("%chat --thread both -m next Next?", "below")
    assert ran.status == "ok", ran.lines
    said = [[message["content"] for message in record["messages"]] for record in ran.records]
    assert sorted(said) == [["first", "1, first"], ["second", "2, second"]]
    sent = [message["content"] for message in gateway.bodies[-1]["messages"]]
    assert sent == ["first", "1, first", "second", "2, second", "Next?"]


def test_the_table_has_all_faults_of_the_protocol() -> None:
    shown_elsewhere = {int(number) for number in re.findall(r"^\d+", "\n".join(ELSEWHERE), re.MULTILINE)}
    assert {fault.number for fault in FAULTS} | shown_elsewhere == set(range(76))


@pytest.mark.parametrize("test", ELSEWHERE.values())
def test_what_the_table_leaves_to_other_tests_they_have(test: str) -> None:
    file, _, name = test.partition("::")
    assert re.search(rf"^ *def {name}\(", (TESTS / file).read_text(), re.MULTILINE)


def test_the_table_is_printed() -> None:
    command = [sys.executable, str(TESTS / "faults.py"), "64"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout
    assert re.search(r"64 +finish reason length +cut at the token limit: raise --max-tokens +1 +✓", ran.stdout)
