from __future__ import annotations

import json
import os
import socket
import sqlite3
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from mixroute_magic.reply import Reply
from mixroute_magic.usage import spool as module
from mixroute_magic.usage.ledger import Ledger
from mixroute_magic.usage.rows import put_each
from mixroute_magic.usage.server import read_url, target_of
from mixroute_magic.usage.spool import Spool
from mixroute_magic.wire import Usage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ASKED: dict[str, Any] = {"model": "glm-5", "gateway": "localhost", "thread": "main", "notebook": None}
STARTED = datetime(2026, 11, 26, 7, 30, 0, 123456, tzinfo=UTC)


def row(number: int, **values: Any) -> dict[str, Any]:
    return {"id": f"row {number}", "started": STARTED, "status": "unfinished", "thread": "主題"} | values


class Server:
    """Takes the rows that it does not refuse."""

    def __init__(self, *refused: str) -> None:
        self.refused = set(refused)
        self.rows: list[dict[str, Any]] = []

    def take(self, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        taken = [row for row in rows if row["id"] not in self.refused]
        self.rows += taken
        return taken


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "mixroute" / "unsent.sqlite", "db.example.org/usage")


def test_rows_are_handed_over_as_they_were_kept_in_their_order_and_once(spool: Spool) -> None:
    kept = [row(2), row(1, finished=None), row(3, status="complete", finished=STARTED, input_tokens=25)]
    for one in kept:
        spool.keep(one)
    server = Server()
    assert spool.deliver(server.take) == 3
    assert server.rows == kept
    assert spool.deliver(server.take) == 0
    assert server.rows == kept


def test_a_row_is_kept_in_its_last_state(spool: Spool) -> None:
    spool.keep(row(1))
    spool.keep(row(1, status="complete"))
    server = Server()
    assert spool.deliver(server.take) == 1
    assert server.rows == [row(1, status="complete")]


def test_nothing_is_made_where_nothing_was_kept(spool: Spool) -> None:
    assert spool.deliver(Server().take) == 0
    assert not spool.path.parent.exists()


def test_the_file_is_its_owners_alone(spool: Spool) -> None:
    spool.keep(row(1))
    assert stat.S_IMODE(spool.path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(spool.path.stat().st_mode) == 0o600


def test_rows_wait_for_their_own_database(spool: Spool) -> None:
    spool.keep(row(1))
    elsewhere = Spool(spool.path, "db.example.org/another")
    assert elsewhere.deliver(Server().take) == 0
    assert spool.deliver(Server().take) == 1


def test_all_rows_stay_where_the_server_fails(spool: Spool) -> None:
    spool.keep(row(1))

    def fail(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        spool.deliver(fail)
    assert spool.deliver(lambda _rows: None) == 0
    with closing(sqlite3.connect(spool.path)) as db:
        assert db.execute("SELECT refused FROM rows").fetchall() == [(0,)]
    assert spool.deliver(Server().take) == 1


def test_a_request_that_ends_while_its_row_is_delivered_is_delivered_again(spool: Spool) -> None:
    spool.keep(row(1))

    def take(rows: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
        spool.keep(row(1, status="complete"))
        return rows

    assert spool.deliver(take) == 1
    server = Server()
    assert spool.deliver(server.take) == 1
    assert server.rows == [row(1, status="complete")]


def test_a_refused_row_stays_and_is_in_nobodys_way(spool: Spool) -> None:
    batch = module.BATCH
    spool.keep(row(0))
    with closing(sqlite3.connect(spool.path)) as db, db:  # at once, for the test's sake
        [text] = db.execute("SELECT row FROM rows").fetchone()
        rows = [(f"row {number}", text.replace("row 0", f"row {number}")) for number in range(1, batch)]
        db.executemany("INSERT INTO rows (id, target, row) SELECT ?, target, ? FROM rows WHERE id = 'row 0'", rows)
    spool.keep(row(batch))
    server = Server(*(f"row {number}" for number in range(batch)))
    assert spool.deliver(server.take) == 0
    assert spool.deliver(server.take) == 1
    assert server.rows == [row(batch)]
    server.refused.clear()
    assert spool.deliver(server.take) == batch


def fill(path: Path, rows: int) -> None:
    """Put copies of a row into the file, at once for the test's sake."""
    with closing(sqlite3.connect(path)) as db, db:
        copy = "INSERT INTO rows (id, target, row) SELECT ?, target, row FROM rows LIMIT 1"
        db.executemany(copy, [(f"copy {number}",) for number in range(rows)])


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("postgresql://ada@/usage?host=db1", "postgresql://ada@/usage?host=db2", False),
        ("postgresql://ada@db/usage", "postgresql://eve:x@db:5432/usage", True),
    ],
)
def test_what_waits_for_a_server_waits_for_it_however_it_is_written(one: str, other: str, same: bool) -> None:
    assert (target_of(read_url(one)) == target_of(read_url(other))) == same


def test_a_row_of_a_newer_version_waits_for_a_kernel_that_has_its_columns(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.sqlite", session="here", warn=print)
    entry = {"thread": "main", "gateway": "x", "model": "m", "started": datetime.now(UTC), "status": "complete"}
    known = entry | {"id": "a", "session": "s", "demo": False}
    newer = known | {"id": "b", "colour": "red"}
    assert ledger.read(lambda connection: put_each(connection, [newer, known])) == [known]
    ledger.close()


def test_the_file_does_not_grow_for_ever_and_the_oldest_are_given_up(spool: Spool) -> None:
    spool.keep(row(0))
    with closing(sqlite3.connect(spool.path)) as db, db:  # those between have been delivered
        copy = "INSERT INTO rows (rowid, id, target, row) SELECT ?, 'far', target, row FROM rows"
        db.execute(copy, (10 * module.MOST_ROWS,))
    for _ in range(2):
        assert spool.keep(row(1)) == 0
    fill(spool.path, module.MOST_ROWS - 3)
    assert spool.keep(row(1)) == 0
    assert spool.keep(row(2)) == 1
    with closing(sqlite3.connect(spool.path)) as db:
        assert db.execute("SELECT count(*) FROM rows").fetchone() == (module.MOST_ROWS,)
        assert db.execute("SELECT id FROM rows WHERE id LIKE 'row%'").fetchall() == [("row 1",), ("row 2",)]


def test_kernels_share_the_file(spool: Spool) -> None:
    server = Server()

    def work(number: int) -> int:
        here = Spool(spool.path, "db.example.org/usage")
        for place in range(5):
            here.keep(row(10 * number + place))
        return here.deliver(server.take)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    spool.deliver(server.take)
    assert {one["id"] for one in server.rows} == {
        f"row {10 * number + place}" for number in range(4) for place in range(5)
    }


# A ledger whose server is out of reach: what its person sees, and what is kept.


class Person:
    def __init__(self, url: str) -> None:
        self.warnings: list[str] = []
        self.ledger = Ledger(url, session="here", warn=self.warnings.append)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which rows wait."""
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path))
    return tmp_path / "mixroute" / "ledger-unsent.sqlite"


def waiting(path: Path) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(path)) as db:
        return [json.loads(text) for (text,) in db.execute("SELECT row FROM rows ORDER BY rowid")]


def test_a_server_that_does_not_answer_is_waited_for_once(kept: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        here = Person(f"postgresql://ada:sk-test@127.0.0.1:{silent.getsockname()[1]}/usage?connect_timeout=2")
        entry = here.ledger.begin(**ASKED)
        here.ledger.finish(entry, status="complete", reply=Reply("", "glm-5", usage=Usage(25, 100)))
        here.ledger.begin(**ASKED)
        silent.settimeout(0)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()
    [warning] = here.warnings
    assert "The token ledger cannot be used (ConnectionTimeout): answers are not affected. Requests wait" in warning
    first, second = waiting(kept)
    assert (first["id"], first["status"], first["input_tokens"]) == (entry, "complete", 25)
    assert second["status"] == "unfinished"
    assert "sk-test" not in kept.read_bytes().decode("latin-1") + warning


def test_a_driver_that_is_missing_is_named_and_rows_wait_for_it(tmp_path: Path) -> None:
    code = """
import sys
sys.modules["psycopg"] = None  # as where it is not installed
from mixroute_magic.usage.ledger import Ledger
from mixroute_magic.usage.rows import put_each
from mixroute_magic.usage.server import read_url, target_of
ledger = Ledger("postgresql://ada:sk-test@localhost/usage", session="here", warn=print)
print(ledger.begin(model="glm-5", gateway="localhost", thread="main", notebook=None) is not None)
"""
    environment = os.environ | {"JUPYTER_DATA_DIR": str(tmp_path)}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "pip install mixroute-magic[postgres]" in ran.stdout
    assert ran.stdout.endswith("\nTrue\n")
    assert "sk-test" not in ran.stdout
    assert len(waiting(tmp_path / "mixroute" / "ledger-unsent.sqlite")) == 1


def test_where_rows_cannot_wait_either_that_is_said(kept: Path) -> None:
    kept.parent.mkdir()
    kept.write_text("this was a database once")
    here = Person(f"postgresql://ada:sk-test@127.0.0.1:{closed_port()}/usage")
    assert here.ledger.begin(**ASKED) is None
    unread, out_of_reach, unwritten = here.warnings
    assert f"What waits for the token ledger in {kept} cannot be read (file is not a database)." in unread
    assert "(OperationalError: no server listens there)" in out_of_reach
    assert f"Requests cannot wait in {kept} (file is not a database): %usage will miss them." in unwritten


def test_whose_rows_are_given_up_is_told_once(kept: Path) -> None:
    here = Person(f"postgresql://ada@127.0.0.1:{closed_port()}/usage")
    here.ledger.begin(**ASKED)
    fill(kept, module.MOST_ROWS - 1)
    here.ledger.begin(**ASKED)
    here.ledger.begin(**ASKED)
    _, warning = here.warnings
    assert warning == f"10,000 requests wait in {kept}: the oldest are given up, %usage misses them."


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
