from __future__ import annotations

import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from contextlib import closing
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from mixroute_magic.conversation.journal import Journal, Kept
from mixroute_magic.conversation.turn import COMPLETE, FAILED, INTERRUPTED, Turn
from mixroute_magic.wire import Message, Usage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HERE, THERE = "/home/ada/a.ipynb", "/home/ada/b.ipynb"

# A kernel in miniature: prints a line when it is ready, and works when it is told to.
OTHER_KERNEL = """
import sys
from mixroute_magic.conversation.journal import Journal
from mixroute_magic.conversation.turn import Turn
from mixroute_magic.wire import Message

def turn(name, text, status="complete"):
    messages = (Message("user", "why?"), Message("assistant", text))
    return Turn(turn=name, thread="main", status=status, model="glm-5", messages=messages)

here = "/home/ada/a.ipynb"
journal = Journal(warn=lambda text: print("warned:", text, flush=True))
"""

BEGUN = """
journal.begin(here, "c1", 2, turn("t1", "", "interrupted"))
print("ready", flush=True)
sys.stdin.readline()
"""


class Keeper:
    """A kernel's journal, and the warnings that its person saw."""

    def __init__(self, path: Path | None = None, **options: Any) -> None:
        self.warnings: list[str] = []
        self.journal = Journal(path, warn=self.warnings.append, **options)


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    return tmp_path / "jupyter"


@pytest.fixture
def path(data_dir: Path) -> Path:
    return data_dir / "mixroute" / "journal.sqlite"


@pytest.fixture
def keeper(path: Path) -> Iterator[Keeper]:
    del path  # the default one, in this test's own Jupyter data directory
    here = Keeper()
    yield here
    here.journal.close()


@pytest.fixture
def journal(keeper: Keeper) -> Iterator[Journal]:
    yield keeper.journal
    assert keeper.warnings == []


def turn(name: str, answer: str = "because", status: str = COMPLETE, **fields: Any) -> Turn:
    messages = (Message("user", "why?"), Message("assistant", answer))
    return Turn(turn=name, thread="main", status=status, model="glm-5", messages=messages, **fields)


def kept(journal: Journal, notebook: str = HERE) -> list[tuple[str, int, str]]:
    return [(found.cell, found.place, found.turn.turn) for found in journal.turns(notebook)]


def query(path: Path, statement: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as other:
        found = other.execute(statement).fetchall()
        other.commit()
    return found


def kernel(work: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", OTHER_KERNEL + work, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: subprocess.Popen[str], line: str = "go") -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def test_a_kept_turn_comes_back_as_it_was(journal: Journal) -> None:
    params = {"temperature": 0.7, "stop": ["\n"]}
    rich = turn("t1", "因為 🙂", params=params, usage=Usage(25, 100), reasoning="hm", also_in=("b",), seconds=1.5)
    journal.end(HERE, "c1", 0, rich)
    journal.close()
    assert journal.turns(HERE) == [Kept("c1", 0, rich)]
    assert journal.turns(THERE) == []


def test_half_of_a_character_costs_no_turn(journal: Journal) -> None:
    journal.end(HERE, "c1", 0, turn("t1", "\ud83d", request_hash="h1"))
    assert journal.find("h1") == turn("t1", "?", request_hash="h1")


def test_a_turn_replaces_the_one_at_its_place_and_no_other(journal: Journal) -> None:
    for cell, place, name in [("c2", 1, "b"), ("c1", 0, "old"), ("c2", 0, "a"), ("c1", 0, "new")]:
        journal.end(HERE, cell, place, turn(name))
    journal.end(THERE, "c1", 0, turn("elsewhere"))
    assert kept(journal) == [("c1", 0, "new"), ("c2", 0, "a"), ("c2", 1, "b")]
    assert kept(journal, THERE) == [("c1", 0, "elsewhere")]


@pytest.mark.parametrize("status", [FAILED, INTERRUPTED])
def test_a_turn_that_is_not_complete_costs_no_earlier_one(journal: Journal, status: str) -> None:
    journal.end(HERE, "c1", 0, turn("good"))
    journal.end(HERE, "c1", 0, turn("bad", status=status))
    assert kept(journal) == [("c1", 0, "good")]


def test_a_cell_with_fewer_places_forgets_the_others(journal: Journal) -> None:
    for place in range(3):
        journal.end(HERE, "c1", place, turn(f"a{place}"))
        journal.end(HERE, "c2", place, turn(f"b{place}"))
    journal.trim(HERE, "c1", 1)
    journal.trim(HERE, "c2", 0)
    journal.trim(THERE, "c1", 0)
    assert kept(journal) == [("c1", 0, "a0")]


def test_records_that_are_no_turns_of_this_version_are_passed_over(journal: Journal, path: Path) -> None:
    for place in range(4):
        journal.end(HERE, "c1", place, turn(f"t{place}", request_hash="h1"))
    query(path, "UPDATE turns SET record = x'ff00' WHERE place = 3")
    query(path, 'UPDATE turns SET record = \'{"version": 99, "kind": "turn"}\' WHERE place = 2')
    query(path, f"UPDATE turns SET record = '{'[' * 100_000}' WHERE place = 1")
    assert kept(journal) == [("c1", 0, "t0")]
    found = journal.find("h1")
    assert found is not None
    assert found.turn == "t0"


def test_the_newest_turn_with_a_request_is_found_in_any_notebook(journal: Journal) -> None:
    journal.end(HERE, "c9", 0, turn("first", request_hash="h1"))
    journal.end(THERE, "c1", 0, turn("second", request_hash="h1"))
    journal.end(THERE, "c2", 0, turn("other", request_hash="h2"))
    journal.end(THERE, "c3", 0, turn("without"))
    assert journal.find("h1") == turn("second", request_hash="h1")
    assert journal.find("h3") is None
    journal.end(HERE, "c9", 0, turn("third", request_hash="h1"))
    assert journal.find("h1") == turn("third", request_hash="h1")


def test_a_renamed_notebook_keeps_its_turns_and_what_was_there_is_dropped(journal: Journal) -> None:
    journal.end(HERE, "c1", 0, turn("mine"))
    journal.end(THERE, "c1", 0, turn("another's"))
    journal.end(THERE, "c2", 0, turn("another's too"))
    journal.renamed(HERE, HERE)
    assert kept(journal) == [("c1", 0, "mine")]
    journal.renamed(HERE, THERE)
    assert kept(journal) == []
    assert kept(journal, THERE) == [("c1", 0, "mine")]


def test_what_a_killed_kernel_was_writing_is_told_once_with_its_text_of_two_seconds_ago(
    journal: Journal, path: Path
) -> None:
    work = """
journal.end(here, "c1", 2, turn("t0", "before"))
journal.begin(here, "c1", 2, turn("t1", "", "interrupted"))
for word in sys.stdin:
    journal.write("t1", lambda: turn("t1", word, "interrupted"))
    print("written", flush=True)
"""
    process = kernel(work)
    texts = {""}
    for word in ("first", "second", "third"):  # and then there is silence
        tell(process, word)
        assert first_line(process) == "written"
    while len(texts) == 1:
        ((record,),) = query(path, "SELECT record FROM running")
        texts.add(json.loads(record)["messages"][1]["content"])
    assert texts == {"", "third\n"}  # the words before the last one were not worth a write
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert journal.broken_off(THERE) == []
    last = turn("t1", "third\n", INTERRUPTED)
    assert journal.broken_off(HERE) == [Kept("c1", 2, last)]
    assert journal.broken_off(HERE) == []
    assert kept(journal) == [("c1", 2, "t0")]


def test_what_a_living_kernel_writes_is_its_own_until_it_dies(journal: Journal) -> None:
    journal.begin(HERE, "c9", 0, turn("own", "", INTERRUPTED))
    process = kernel(BEGUN)
    assert first_line(process) == "ready"
    assert journal.broken_off(HERE) == []
    journal.renamed(HERE, THERE)
    process.communicate("go\n")  # it leaves in order, and without having ended the turn
    assert [found.turn.turn for found in journal.broken_off(THERE)] == ["t1"]


@pytest.mark.skipif(not hasattr(os, "waitid"), reason="Windows keeps no dead process that nobody has waited for")
def test_a_killed_kernel_that_nobody_waits_for_is_dead_all_the_same(journal: Journal) -> None:
    process = kernel(BEGUN)
    assert first_line(process) == "ready"
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert [found.turn.turn for found in journal.broken_off(HERE)] == ["t1"]
    process.communicate()


def test_a_later_process_with_the_same_number_is_not_taken_for_the_dead_one(journal: Journal, path: Path) -> None:
    journal.begin(HERE, "c1", 0, turn("t1", "", INTERRUPTED))
    assert journal.broken_off(HERE) == []
    query(path, "UPDATE running SET birth = 'at another time'")
    assert [found.turn.turn for found in journal.broken_off(HERE)] == ["t1"]


@pytest.mark.parametrize("unseen", ["host = 'another host'", "birth = NULL"])
def test_a_process_that_cannot_be_seen_from_here_is_given_a_day(journal: Journal, path: Path, unseen: str) -> None:
    journal.begin(HERE, "c1", 0, turn("t1", "", INTERRUPTED))
    query(path, f"UPDATE running SET {unseen}, pid = 999999999, written = {time.time() - 80_000}")
    assert journal.broken_off(HERE) == []
    query(path, f"UPDATE running SET written = {time.time() - 90_000}")
    assert [found.turn.turn for found in journal.broken_off(HERE)] == ["t1"]


def test_an_ended_or_kept_turn_runs_no_more(journal: Journal, path: Path) -> None:
    for name in ("t1", "t2", "t3"):
        journal.begin(HERE, name, 0, turn(name, "", INTERRUPTED))
    journal.end(HERE, "c1", 0, turn("t1", "", FAILED))
    journal.write("t1", lambda: turn("t1", "too late"))
    journal.end(HERE, "t2", 0, turn("t2"))
    assert query(path, "SELECT turn FROM running") == [("t3",)]


def test_nothing_is_imported_and_nothing_opened_before_the_first_use(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)  # coverage itself imports sqlite3
    work = "journal.write('t1', lambda: turn('t1', '')); journal.close()\n"
    work += "print([name for name in ('sqlite3', 'jupyter_core') if name in sys.modules])"
    out, _ = kernel(work).communicate()
    assert out == "[]\n"
    assert not path.parent.exists()


def test_the_files_are_private_from_the_first_byte_and_have_a_write_ahead_log(path: Path) -> None:
    # Without a umask, whatever was not asked to be private would be open to all.
    work = """
import os, stat, sys
os.umask(0)
modes = set()
def look(event, arguments):
    for name in os.listdir(folder) if event == "sqlite3.connect" else ():
        modes.add(stat.S_IMODE(os.stat(os.path.join(folder, name)).st_mode))
folder = sys.argv[1]
sys.addaudithook(look)
journal.end(here, "c1", 0, turn("t1", "secret"))
print(sorted(modes), flush=True)
sys.stdin.readline()
"""
    process = kernel(work, str(path.parent))
    assert first_line(process) == str([0o600])
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {file.name for file in path.parent.iterdir()} == {path.name, f"{path.name}-wal", f"{path.name}-shm"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}
    process.communicate("go\n")


def test_a_directory_that_is_there_and_a_path_of_ones_own_are_respected(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    here = Keeper(tmp_path / "own.sqlite")
    here.journal.end(HERE, "c1", 0, turn("t1"))
    here.journal.close()
    assert query(tmp_path / "own.sqlite", "SELECT cell FROM turns") == [("c1",)]
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert here.warnings == []


def test_the_oldest_turns_go_where_the_limit_is_passed_and_the_file_shrinks(tmp_path: Path) -> None:
    path, limit = tmp_path / "journal.sqlite", 2**20
    here = Keeper(path, limit=limit)
    sizes = []
    for number in range(150):
        here.journal.end(HERE, f"{number:03}", 0, turn("t", "x" * 20_000))
        sizes.append(query(path, "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")[0][0])
    left = [found.cell for found in here.journal.turns(HERE)]
    assert left == [f"{number:03}" for number in range(150 - len(left), 150)]
    assert max(sizes) <= limit
    shrunk = [after for before, after in pairwise(sizes) if after < before]
    assert len(shrunk) > 5
    assert all(0.7 * limit < size <= 0.8 * limit for size in shrunk)
    here.journal.close()
    assert path.stat().st_size <= limit
    assert here.warnings == []


def test_running_turns_that_nobody_came_back_for_go_where_the_limit_is_passed(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    here = Keeper(path, limit=2**20)
    for name, days in [("recent", 29), ("forgotten", 31)]:
        here.journal.begin(HERE, "c1", 0, turn(name, "x" * 300_000, INTERRUPTED))
        query(path, f"UPDATE running SET written = {time.time() - days * 86_400} WHERE turn = '{name}'")
    for place in range(25):
        here.journal.end(HERE, "c1", place, turn("t", "x" * 20_000))
    here.journal.close()
    assert query(path, "SELECT turn FROM running") == [("recent",)]
    assert path.stat().st_size <= 2**20


def test_kernels_that_start_at_once_lose_no_row(path: Path) -> None:
    work = """
name = sys.argv[1]
print("ready", flush=True)
sys.stdin.readline()
for place in range(50):
    journal.begin(here, name, place, turn(f"{name} {place}", "", "interrupted"))
    journal.end(here, name, place, turn(f"{name} {place}", "because"))
journal.begin(here, name, 50, turn(f"{name} 50", "", "interrupted"))
journal.close()
"""
    kernels = [kernel(work, name) for name in ("one", "two", "three")]
    assert [first_line(process) for process in kernels] == ["ready"] * 3
    for process in kernels:
        tell(process)
    assert [process.communicate()[0] for process in kernels] == [""] * 3
    assert query(path, "SELECT cell, count(*) FROM turns GROUP BY cell ORDER BY cell") == [
        ("one", 50),
        ("three", 50),
        ("two", 50),
    ]
    assert query(path, "SELECT turn FROM running ORDER BY turn") == [("one 50",), ("three 50",), ("two 50",)]
    assert query(path, "PRAGMA auto_vacuum") == [(2,)]


def test_kernels_that_come_back_at_once_share_what_was_broken_off(path: Path, journal: Journal) -> None:
    work = "[journal.begin(here, 'c1', place, turn(str(place), '', 'interrupted')) for place in range(20)]"
    kernel(work).communicate()
    work = """
journal.turns(here)
print("ready", flush=True)
sys.stdin.readline()
print(*(kept.place for kept in journal.broken_off(here)))
"""
    kernels = [kernel(work) for _ in range(2)]
    assert [first_line(process) for process in kernels] == ["ready"] * 2
    for process in kernels:
        tell(process)
    told = " ".join(process.communicate()[0] for process in kernels).split()
    assert sorted(map(int, told)) == list(range(20))
    assert journal.broken_off(HERE) == []


@pytest.mark.parametrize("opened", [False, True])
def test_a_locked_journal_warns_once_keeps_nobody_waiting_and_works_again_when_it_is_free(
    keeper: Keeper, path: Path, *, opened: bool
) -> None:
    journal = keeper.journal
    journal.end(HERE, "c1", 0, turn("before"))
    if not opened:
        journal.close()
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        started = time.monotonic()
        journal.end(HERE, "c1", 0, turn("lost"))
        first = time.monotonic() - started
        journal.end(HERE, "c1", 0, turn("lost"))
        assert journal.broken_off(HERE) == []
        later = time.monotonic() - started - first
        assert kept(journal) == [("c1", 0, "before")]
    assert 0.5 < first < 5
    assert later < first
    (warning,) = keeper.warnings
    assert f"The journal {path} cannot be used (database is locked): answers are not affected" in warning
    journal.end(HERE, "c1", 0, turn("after"))
    assert kept(journal) == [("c1", 0, "after")]
    assert len(keeper.warnings) == 1


def test_a_corrupt_file_is_set_aside_and_a_new_one_begun(keeper: Keeper, path: Path) -> None:
    path.parent.mkdir(parents=True)
    rubbish = b"this was a database once " * 1000
    path.write_bytes(rubbish)
    keeper.journal.end(HERE, "c1", 0, turn("t1"))
    assert kept(keeper.journal) == [("c1", 0, "t1")]
    assert path.with_name("journal.sqlite.broken").read_bytes() == rubbish
    assert stat.S_IMODE(path.with_name("journal.sqlite.broken").stat().st_mode) == 0o600
    (warning,) = keeper.warnings
    assert f"The journal {path} was damaged (file is not a database) and is now journal.sqlite.broken" in warning


def test_a_file_damaged_while_two_kernels_have_it_open_is_set_aside_once(keeper: Keeper, path: Path) -> None:
    for place in range(20):
        keeper.journal.end(HERE, "c1", place, turn("t1", "x" * 20_000))
    keeper.journal.close()
    other = Keeper()
    for journal in (keeper.journal, other.journal):
        assert journal.find("h1") is None  # opened, and nothing of the turns read
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    assert [kept(journal) for journal in (keeper.journal, other.journal)] == [[], []]
    keeper.journal.end(HERE, "c1", 0, turn("new"))
    assert kept(other.journal) == [("c1", 0, "new")]
    other.journal.close()
    assert "was damaged (database disk image is malformed)" in keeper.warnings[0]
    whole = {f"journal.sqlite{broken}{part}" for broken in ("", ".broken") for part in ("", "-wal", "-shm")}
    assert {file.name for file in path.parent.iterdir()} <= whole
    assert path.with_name("journal.sqlite.broken-wal").exists()  # the other kernel's, and no part of the new file


def test_a_journal_deleted_while_in_use_is_begun_anew(journal: Journal, path: Path) -> None:
    journal.end(HERE, "c1", 0, turn("gone"))
    for file in path.parent.iterdir():
        file.unlink()
    journal.end(HERE, "c2", 0, turn("new"))
    assert query(path, "SELECT cell FROM turns") == [("c2",)]


def test_a_journal_of_a_newer_version_is_left_alone(keeper: Keeper, path: Path) -> None:
    path.parent.mkdir(parents=True)
    query(path, "CREATE TABLE turns (what TEXT)")
    query(path, "PRAGMA user_version = 99")
    before = path.read_bytes()
    keeper.journal.end(HERE, "c1", 0, turn("t1"))
    assert keeper.journal.turns(HERE) == keeper.journal.broken_off(HERE) == []
    assert keeper.journal.find("h1") is None
    assert path.read_bytes() == before
    (warning,) = keeper.warnings
    assert "cannot be used (a newer mixroute-magic wrote it): answers are not affected" in warning


def test_a_directory_that_cannot_be_made_warns_once_and_nothing_raises(keeper: Keeper, data_dir: Path) -> None:
    data_dir.write_text("a file, not a directory")
    journal = keeper.journal
    journal.begin(HERE, "c1", 0, turn("t1", "", INTERRUPTED))
    journal.write("t1", lambda: turn("t1"))
    journal.end(HERE, "c1", 0, turn("t1"))
    journal.trim(HERE, "c1", 0)
    journal.renamed(HERE, THERE)
    assert journal.turns(HERE) == journal.broken_off(HERE) == []
    assert journal.find("h1") is None
    journal.close()
    (warning,) = keeper.warnings
    assert "Not a directory" in warning


def test_a_full_disk_warns_and_what_was_kept_can_still_be_read(path: Path) -> None:
    work = """
journal.end(here, "c1", 0, turn("t1", "because"))
import resource
limits = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
journal.end(here, "c2", 0, turn("t2", "lost"))
resource.setrlimit(resource.RLIMIT_FSIZE, limits)
journal.end(here, "c3", 0, turn("t3", "because"))
journal.close()
"""
    out, _ = kernel(work).communicate()
    assert out.startswith("warned: The journal")
    assert out.count("\n") == 1
    assert query(path, "SELECT cell FROM turns ORDER BY cell") == [("c1",), ("c3",)]


def test_an_interrupt_is_not_swallowed_and_leaves_the_journal_usable(journal: Journal, path: Path) -> None:
    journal.end(HERE, "c1", 0, turn("t1"))
    work = """
try:
    print("asking", flush=True)
    journal.end(here, "c2", 0, turn("t2", "lost"))
except KeyboardInterrupt:
    print("interrupted", flush=True)
sys.stdin.readline()
journal.end(here, "c3", 0, turn("t3", "because"))
journal.close()
"""
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        process = kernel(work)
        assert first_line(process) == "asking"
        process.send_signal(signal.SIGINT)
        assert first_line(process) == "interrupted"
    assert process.communicate("go\n")[0] == ""
    assert kept(journal) == [("c1", 0, "t1"), ("c3", 0, "t3")]


def test_a_kernel_killed_at_any_moment_leaves_a_whole_journal(path: Path) -> None:
    work = """
print("ready", flush=True)
for number in range(100_000):
    journal.end(here, str(number % 7), 0, turn(str(number), "x" * 30_000))
    print(number, flush=True)
"""
    for rounds in range(1, 5):
        process = kernel(work)
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(rounds * 9)]
        process.kill()
        rest, _ = process.communicate()
        written = int((rest.split("\n")[:-1] or said)[-1])
        assert query(path, "PRAGMA integrity_check") == [("ok",)]
        here = Keeper()
        newest = max(int(found.turn.turn) for found in here.journal.turns(HERE))
        here.journal.close()
        assert newest >= written
        assert here.warnings == []
