from __future__ import annotations

import platform
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from benchmarks import ledger_processes
from ledgers import totals

from mixroute_magic.errors import SettingError
from mixroute_magic.reply import Reply
from mixroute_magic.usage.ledger import Ledger
from mixroute_magic.usage.totals import COUNTS, TokenSum
from mixroute_magic.wire import Usage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ASKED: dict[str, Any] = {"model": "glm-5", "gateway": "console.mixroute.io", "thread": "main", "notebook": "a.ipynb"}
REPLY = Reply(
    text="a secret answer",
    reasoning="a secret thought",
    model="glm-5-0711",
    finish_reason="stop",
    usage=Usage(25, 100, None, 40, "reported"),
    request_id="req-1",
    seconds=1.5,
    first_token_seconds=0.5,
)

# A kernel in miniature: prints a line when it is ready, and works when it is told to.
OTHER_KERNEL = """
import sys
from mixroute_magic.usage.ledger import Ledger

ledger = Ledger(None, session=sys.argv[1], warn=lambda text: print("warned:", text, flush=True))
asked = {"model": "glm-5", "gateway": "localhost", "thread": "main", "notebook": None}
"""


class Recorder:
    """A session's ledger, and the warnings that its person saw."""

    def __init__(self, url: str | None, session: str = "here") -> None:
        self.warnings: list[str] = []
        self.ledger = Ledger(url, session=session, warn=self.warnings.append)


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    return tmp_path / "jupyter"


@pytest.fixture
def path(data_dir: Path) -> Path:
    return data_dir / "mixroute" / "ledger.sqlite"


@pytest.fixture
def recorder(path: Path) -> Iterator[Recorder]:
    del path  # the default one, in this test's own Jupyter data directory
    here = Recorder(None)
    yield here
    here.ledger.close()


def rows(path: Path) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute("SELECT * FROM requests ORDER BY started")]


def kernel(session: str, work: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", OTHER_KERNEL + work, session],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_request_is_a_row_from_its_start_and_complete_at_its_end(recorder: Recorder, path: Path) -> None:
    before = datetime.now(UTC).replace(tzinfo=None)
    entry = recorder.ledger.begin(**ASKED)
    (row,) = rows(path)
    assert row["id"] == entry
    assert {name: row[name] for name in ASKED} == ASKED
    assert (row["session"], row["status"], row["demo"], row["finished"]) == ("here", "unfinished", 0, None)

    recorder.ledger.finish(entry, status="complete", reply=REPLY)
    (row,) = rows(path)
    assert {name: row[name] for name in ASKED} == ASKED
    started, finished = (datetime.fromisoformat(row[name]) for name in ("started", "finished"))
    assert before <= started <= finished <= datetime.now(UTC).replace(tzinfo=None)
    told = {"status": "complete", "served_model": "glm-5-0711", "input_tokens": 25, "output_tokens": 100}
    told |= {"reasoning_tokens": 40, "source": "reported", "seconds": 1.5, "first_token_seconds": 0.5}
    told |= {"finish_reason": "stop", "request_id": "req-1", "error": None, "demo": 0}
    assert {name: row[name] for name in told} == told
    assert recorder.warnings == []


def test_unknown_counts_stay_null(recorder: Recorder, path: Path) -> None:
    recorder.ledger.finish(recorder.ledger.begin(**ASKED), status="failed", error="ServerError")
    recorder.ledger.finish(recorder.ledger.begin(**ASKED), status="complete", reply=Reply("", "glm-5"))
    failed, silent = rows(path)
    assert (failed["status"], failed["error"]) == ("failed", "ServerError")
    for row in failed, silent:
        assert {row[name] for name in COUNTS} == {None}
        assert row["source"] is None


def test_no_prompt_and_no_answer_is_stored(recorder: Recorder, path: Path) -> None:
    recorder.ledger.finish(recorder.ledger.begin(**ASKED), status="complete", reply=REPLY)
    recorder.ledger.close()
    assert b"req-1" in path.read_bytes()
    assert b"secret" not in path.read_bytes()


def test_totals_are_by_model_of_this_session_with_the_demo_apart(recorder: Recorder) -> None:
    ledger = recorder.ledger
    ledger.finish(ledger.begin(**ASKED), status="complete", reply=REPLY)
    ledger.finish(ledger.begin(**ASKED), status="complete", reply=REPLY)
    ledger.finish(ledger.begin(**ASKED), status="interrupted")
    ledger.finish(ledger.begin(**ASKED), status="complete", reply=Reply("", "glm-5", usage=Usage(7, 8), demo=True))
    ledger.begin(**ASKED | {"model": "deepseek-r1"})
    elsewhere = Recorder(None, session="elsewhere")
    elsewhere.ledger.finish(elsewhere.ledger.begin(**ASKED), status="complete", reply=REPLY)
    elsewhere.ledger.close()

    deepseek, glm, demo = totals(ledger)
    assert (deepseek.model, deepseek.requests, deepseek.statuses) == ("deepseek-r1", 1, Counter(unfinished=1))
    assert (glm.model, glm.demo, glm.requests) == ("glm-5", False, 3)
    assert glm.statuses == Counter(complete=2, interrupted=1)
    assert (glm.input_tokens, glm.output_tokens) == (TokenSum(50, unknown=1), TokenSum(200, unknown=1))
    assert (glm.cached_tokens, glm.reasoning_tokens) == (TokenSum(0, unknown=3), TokenSum(80, unknown=1))
    assert (demo.model, demo.demo, demo.input_tokens) == ("glm-5", True, TokenSum(7))


def test_a_session_without_requests_has_no_totals(recorder: Recorder) -> None:
    assert totals(recorder.ledger) == []
    assert recorder.warnings == []


def test_nothing_heavy_is_imported_and_nothing_opened_before_the_first_use(path: Path) -> None:
    work = "ledger.finish(None, status='failed'); ledger.close()\n"
    work += "print([name for name in ('sqlalchemy', 'jupyter_core') if name in sys.modules])"
    out, _ = kernel("idle", work).communicate()
    assert out == "[]\n"
    assert not path.exists()


def test_the_file_is_private_and_keeps_a_write_ahead_log(recorder: Recorder, path: Path) -> None:
    path.parent.mkdir(parents=True, mode=0o755)
    recorder.ledger.begin(**ASKED)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    for file in path, path.with_name("ledger.sqlite-wal"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_ledger_opens_what_an_earlier_kernel_wrote(recorder: Recorder, path: Path) -> None:
    recorder.ledger.begin(**ASKED)
    recorder.ledger.close()
    recorder.ledger.begin(**ASKED)
    later = Recorder(None, session="later")
    later.ledger.begin(**ASKED)
    later.ledger.close()
    assert [row["session"] for row in rows(path)] == ["here", "here", "later"]
    assert recorder.warnings == later.warnings == []


def test_any_database_url_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "shared.sqlite"
    here = Recorder(f"sqlite:///{path}")
    here.ledger.begin(**ASKED)
    assert len(rows(path)) == 1
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    here.ledger.close()


@pytest.mark.parametrize("url", [None, "sqlite://"])
def test_threads_share_a_ledger(data_dir: Path, url: str | None) -> None:
    del data_dir
    here = Recorder(url)

    def ask() -> None:
        for _ in range(10):
            here.ledger.finish(here.ledger.begin(**ASKED), status="complete", reply=REPLY)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (sums,) = totals(here.ledger)
    assert (sums.statuses, sums.input_tokens) == (Counter(complete=40), TokenSum(1000))
    assert here.warnings == []
    here.ledger.close()


def test_kernels_that_start_at_once_write_to_one_new_file(path: Path) -> None:
    work = """
print("ready", flush=True)
sys.stdin.readline()
for _ in range(25):
    ledger.finish(ledger.begin(**asked), status="complete")
ledger.close()
"""
    kernels = [kernel(f"kernel {number}", work) for number in range(3)]
    assert [first_line(process) for process in kernels] == ["ready"] * 3
    for process in kernels:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.communicate()[0] for process in kernels] == [""] * 3
    assert Counter(row["session"] for row in rows(path)) == {f"kernel {number}": 25 for number in range(3)}
    assert {row["status"] for row in rows(path)} == {"complete"}
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version FROM mixroute_schema").fetchall() == [(1,), (2,)]


OLD_LEDGER = """
CREATE TABLE mixroute_schema (version INTEGER NOT NULL PRIMARY KEY);
INSERT INTO mixroute_schema VALUES (1);
CREATE TABLE requests (
    id VARCHAR(36) NOT NULL PRIMARY KEY, session VARCHAR(64) NOT NULL, notebook TEXT, thread TEXT NOT NULL,
    gateway TEXT NOT NULL, model TEXT NOT NULL, served_model TEXT, started DATETIME NOT NULL, finished DATETIME,
    status VARCHAR(16) NOT NULL, input_tokens INTEGER, output_tokens INTEGER, cached_tokens INTEGER,
    reasoning_tokens INTEGER, source VARCHAR(16), seconds FLOAT, first_token_seconds FLOAT, finish_reason TEXT,
    request_id TEXT, error TEXT, demo BOOLEAN NOT NULL
);
CREATE INDEX ix_requests_session ON requests (session);
INSERT INTO requests (id, session, thread, gateway, model, started, status, input_tokens, output_tokens, demo)
VALUES ('old', 'here', 'main', 'localhost', 'glm-5', '2026-11-01 09:00:00.000000', 'complete', 5, 6, 0);
"""  # what the package wrote before there was a second migration
NEWER = """
INSERT INTO mixroute_schema VALUES (99);
ALTER TABLE requests ADD COLUMN colour TEXT DEFAULT 'blue' NOT NULL;
"""


def test_an_old_ledger_is_brought_up_to_date_and_a_newer_one_is_used_as_it_is(recorder: Recorder, path: Path) -> None:
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(OLD_LEDGER)
    recorder.ledger.finish(recorder.ledger.begin(**ASKED), status="complete", reply=REPLY)
    recorder.ledger.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(NEWER)
        indexes = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}
    assert {f"ix_requests_{name}" for name in ("session", "started", "user")} <= indexes
    recorder.ledger.finish(recorder.ledger.begin(**ASKED), status="complete", reply=REPLY)

    old, _, new = rows(path)
    unknown = dict.fromkeys(("user", "host", "cell", "turn", "reserved_tokens"))
    assert {name: old[name] for name in unknown} == unknown
    assert (old["round"], old["attempt"], old["replayed"], old["colour"]) == (1, 1, 0, "blue")
    assert (new["input_tokens"], new["colour"]) == (25, "blue")
    (sums,) = totals(recorder.ledger)
    assert (sums.requests, sums.input_tokens) == (3, TokenSum(55))
    assert recorder.warnings == []


def test_a_row_tells_who_asked_and_its_place_in_the_turn(
    recorder: Recorder, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ASKED | {"cell": "c1", "turn": "t1"}
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LOGNAME", "ada")
    recorder.ledger.begin(**asked)
    monkeypatch.setenv("JUPYTERHUB_USER", "grace")
    recorder.ledger.begin(**asked, number=2, replayed=True)
    first, second = rows(path)
    assert (first["user"], first["host"], first["cell"], first["turn"]) == ("ada", platform.node(), "c1", "t1")
    assert (first["round"], first["attempt"], first["replayed"]) == (1, 1, 0)
    assert (second["user"], second["round"], second["attempt"], second["replayed"]) == ("grace", 2, 1, 1)


def test_a_killed_kernel_leaves_an_unfinished_row(path: Path) -> None:
    process = kernel("killed", "print(ledger.begin(**asked), flush=True)\nsys.stdin.readline()")
    entry = first_line(process)
    process.kill()
    process.communicate()
    (row,) = rows(path)
    assert (row["id"], row["status"], row["finished"]) == (entry, "unfinished", None)


def test_many_processes_lose_nothing(path: Path) -> None:
    del path  # the default one
    found = ledger_processes.run(None, processes=4, requests=50)
    assert found.statuses == {"complete": 200}
    assert found.tokens == (4 * sum(10 + number for number in range(50)), 4 * sum(3 * number for number in range(50)))
    assert (found.begun, found.missing, found.warnings) == (200, 0, [])


def test_processes_killed_at_random_leave_every_request_finished_or_unfinished(path: Path) -> None:
    del path
    found = ledger_processes.run(None, processes=4, requests=50, kill=True)
    assert found.missing == 0
    assert set(found.statuses) <= {"complete", "unfinished"}
    assert found.statuses["unfinished"] <= 4  # what each was at
    assert found.begun <= found.statuses.total() < 200


@pytest.mark.parametrize("opened", [False, True])
def test_a_locked_ledger_warns_once_and_records_again_when_it_is_free(
    recorder: Recorder, path: Path, *, opened: bool
) -> None:
    ledger = recorder.ledger
    ledger.finish(ledger.begin(**ASKED), status="complete")
    if not opened:
        ledger.close()
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert ledger.begin(**ASKED) is None
        assert ledger.begin(**ASKED) is None
    (warning,) = recorder.warnings
    assert f"{path} cannot be used (database is locked): answers are not affected" in warning

    entry = ledger.begin(**ASKED)
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        ledger.finish(entry, status="complete")
    assert [row["status"] for row in rows(path)] == ["complete", "unfinished"]
    assert len(recorder.warnings) == 1


def test_a_corrupt_ledger_warns_and_a_new_one_is_made_where_it_was_moved_away(recorder: Recorder, path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"this was a database once " * 100)
    assert recorder.ledger.begin(**ASKED) is None
    assert totals(recorder.ledger) == []
    (warning,) = recorder.warnings
    assert "(file is not a database)" in warning
    path.rename(path.with_suffix(".damaged"))
    assert recorder.ledger.begin(**ASKED) == rows(path)[0]["id"]


def test_a_ledger_damaged_while_in_use_warns(recorder: Recorder, path: Path) -> None:
    entry = recorder.ledger.begin(**ASKED)
    with closing(sqlite3.connect(path)) as other:
        other.execute("DROP TABLE requests")
    recorder.ledger.finish(entry, status="complete", reply=REPLY)
    (warning,) = recorder.warnings
    assert "(no such table: requests)" in warning


def test_a_directory_that_cannot_be_made_warns(recorder: Recorder, data_dir: Path) -> None:
    data_dir.write_text("a file, not a directory")
    assert recorder.ledger.begin(**ASKED) is None
    (warning,) = recorder.warnings
    assert "Not a directory" in warning


def test_a_read_only_ledger_warns_and_can_still_be_read(tmp_path: Path) -> None:
    path = tmp_path / "shared.sqlite"
    here = Recorder(f"sqlite:///{path}")
    here.ledger.begin(**ASKED)
    here.ledger.close()
    reader = Recorder(f"sqlite:///file:{path}?mode=ro&uri=true")
    assert reader.ledger.begin(**ASKED) is None
    (warning,) = reader.warnings
    assert "(attempt to write a readonly database)" in warning
    assert [sums.requests for sums in totals(reader.ledger)] == [1]
    reader.ledger.close()


def test_a_full_disk_warns(path: Path) -> None:
    work = """
ledger.begin(**asked)
import resource
limits = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
print(ledger.begin(**asked), flush=True)
resource.setrlimit(resource.RLIMIT_FSIZE, limits)
"""
    out, _ = kernel("full", work).communicate()
    assert out.startswith("warned: The token ledger")
    assert out.endswith("\nNone\n")
    assert len(rows(path)) == 1


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "ArgumentError"),
        ("sk-test", "ArgumentError"),
        ("mysql+pymysql://ada:sk-test@localhost/usage", "ArgumentError"),
        ("postgresql+nosuchdriver://ada:sk-test@localhost/usage", "NoSuchModuleError"),
        ("postgresql://ada:sk-test@wor:sk-test@localhost/usage", "ValueError"),
    ],
)
def test_a_url_that_cannot_be_used_warns_without_showing_its_password(url: str, reason: str) -> None:
    here = Recorder(url)
    assert here.ledger.begin(**ASKED) is None
    assert totals(here.ledger) == []
    (warning,) = here.warnings
    assert f"The token ledger cannot be used ({reason}): answers are not affected" in warning
    assert warning.endswith("Set MIXROUTE_LEDGER_URL to a SQLite or PostgreSQL database.")
    with pytest.raises(SettingError) as refused:
        here.ledger.read(lambda _connection: True)
    assert refused.value.hint == "Set MIXROUTE_LEDGER_URL to a SQLite or PostgreSQL database and restart the kernel."
    assert "sk-test" not in warning


def test_a_name_that_is_no_text_is_recorded_all_the_same(recorder: Recorder, path: Path) -> None:
    entry = recorder.ledger.begin(**ASKED | {"notebook": "Pr\udcfcfung.ipynb"})  # as Python reads a name in Latin-1
    reply = Reply("", "glm-5\ud83d", finish_reason="st\0op", usage=Usage(25, 100, source="reported"))
    recorder.ledger.finish(entry, status="complete", reply=reply)
    (row,) = rows(path)
    told = row["notebook"], row["served_model"], row["finish_reason"], row["input_tokens"]
    assert told == ("Pr\ufffdfung.ipynb", "glm-5\ufffd", "st\ufffdop", 25)
    assert recorder.warnings == []


def test_an_interrupt_while_a_row_is_finished_loses_nothing(path: Path) -> None:
    work = """
from mixroute_magic.reply import Reply
from mixroute_magic.wire import Usage

entry = ledger.begin(**asked)
print("begun", flush=True)
sys.stdin.readline()
reply = Reply("", "glm-5", usage=Usage(25, 100, source="reported"))
try:
    print("finishing", flush=True)
    ledger.finish(entry, status="complete", reply=reply)
except KeyboardInterrupt:
    print("interrupted", flush=True)
sys.stdin.readline()
ledger.finish(entry, status="interrupted", reply=reply)
"""
    process = kernel("interrupted", work)
    assert process.stdin is not None
    assert first_line(process) == "begun"
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        process.stdin.write("go\n")
        process.stdin.flush()
        assert first_line(process) == "finishing"
        process.send_signal(signal.SIGINT)
        assert first_line(process) == "interrupted"
    process.communicate("go\n")
    (row,) = rows(path)
    assert (row["status"], row["input_tokens"], row["output_tokens"]) == ("interrupted", 25, 100)


def test_an_interrupt_is_not_swallowed_and_leaves_the_ledger_usable(recorder: Recorder, path: Path) -> None:
    recorder.ledger.begin(**ASKED)
    work = """
try:
    print("asking", flush=True)
    ledger.begin(**asked)
except KeyboardInterrupt:
    print("interrupted", flush=True)
sys.stdin.readline()
print("recorded" if ledger.begin(**asked) else "lost")
"""
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        process = kernel("interrupted", work)
        assert first_line(process) == "asking"
        process.send_signal(signal.SIGINT)
        assert first_line(process) == "interrupted"
    assert process.communicate("go\n")[0] == "recorded\n"
