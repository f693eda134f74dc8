"""The ledger on a real PostgreSQL, which is stopped and started, and in which roles see their own rows only."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from benchmarks import ledger_processes
from kernels import Kernel
from ledgers import totals
from postgres import PASSWORD, Postgres
from scripted import DONE, STOP, USAGE, Until, answer, delta, scripted, whole
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError
from traitlets.config import Config

from mixroute_magic.config import MixRoute
from mixroute_magic.errors import BudgetError
from mixroute_magic.reply import Reply
from mixroute_magic.usage.budget import Budget
from mixroute_magic.usage.ledger import Ledger
from mixroute_magic.usage.rows import put_each
from mixroute_magic.usage.server import read_url, target_of
from mixroute_magic.usage.spool import BATCH, Spool
from mixroute_magic.wire import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ROOT = Path(__file__).parents[1]
ASKED: dict[str, Any] = {"model": "glm-5", "gateway": "console.mixroute.io", "thread": "main", "notebook": None}
REPLY = Reply("a secret answer", "glm-5", finish_reason="stop", usage=Usage(25, 100, None, 40, "reported"))
COUNTED = "SELECT status, count(*), sum(input_tokens), count(DISTINCT id) FROM requests GROUP BY status ORDER BY status"


class Person:
    """Somebody's ledger, and the warnings that they saw."""

    def __init__(self, url: str, session: str = "here", budgets: Callable[[], Sequence[Budget]] = tuple) -> None:
        self.warnings: list[str] = []
        self.ledger = Ledger(url, session=session, warn=self.warnings.append, budgets=budgets)

    def ask(self) -> None:
        self.ledger.finish(self.ledger.begin(**ASKED), status="complete", reply=REPLY)


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    monkeypatch.setenv("JUPYTERHUB_USER", "ada")
    return tmp_path / "jupyter"


@pytest.fixture
def database(postgres: Postgres) -> str:
    """The name of a test's own database."""
    return postgres.new_database()


@pytest.fixture
def person(postgres: Postgres, database: str, data_dir: Path) -> Iterator[Person]:
    del data_dir
    here = Person(postgres.url(database))
    yield here
    here.ledger.close()


@contextmanager
def stopped(postgres: Postgres) -> Iterator[None]:
    postgres.stop()
    try:
        yield
    finally:
        postgres.start()


def test_a_request_is_a_row_with_its_times_in_utc(person: Person, postgres: Postgres, database: str) -> None:
    before = time.time()
    entry = person.ledger.begin(**ASKED)
    columns = (
        'id, "user", status, extract(epoch FROM started), extract(epoch FROM finished), input_tokens, output_tokens'
    )
    [[name, user, status, started, *rest]] = postgres.run(f"SELECT {columns} FROM requests", database)
    assert (name, user, status, rest) == (entry, "ada", "unfinished", ["", "", ""])
    assert before - 0.001 <= float(started) <= time.time()

    person.ledger.finish(entry, status="complete", reply=REPLY)
    [[_, _, status, began, finished, *tokens]] = postgres.run(f"SELECT {columns} FROM requests", database)
    assert (status, began, tokens) == ("complete", started, ["25", "100"])
    assert float(started) <= float(finished) <= time.time()
    [sums] = totals(person.ledger)
    assert (sums.requests, sums.input_tokens.known, sums.cached_tokens.unknown) == (1, 25, 1)
    assert person.warnings == []


def test_more_tokens_than_a_column_holds_are_no_count(person: Person, postgres: Postgres, database: str) -> None:
    usage = Usage.from_wire({"prompt_tokens": 4_294_967_295, "completion_tokens": 2**30 - 1})
    reply = Reply("", "glm-5", usage=usage or Usage())
    person.ledger.finish(person.ledger.begin(**ASKED), status="complete", reply=reply)
    tokens = postgres.run("SELECT input_tokens, output_tokens FROM requests", database)
    assert tokens == [["", str(2**30 - 1)]]
    assert person.warnings == []


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_an_address_as_people_paste_it_will_do(postgres: Postgres, database: str, data_dir: Path, scheme: str) -> None:
    here = Person(postgres.url(database, scheme=scheme) + "\n")
    here.ask()
    assert postgres.run(COUNTED, database) == [["complete", "1", "25", "1"]]
    assert here.warnings == []
    here.ledger.close()


AT_ONCE = """
import multiprocessing, sys
import psycopg
from mixroute_magic.usage import rows
from mixroute_magic.errors import BudgetError
from mixroute_magic.usage.budget import Budget
from mixroute_magic.usage.ledger import Ledger

def work(number, go, warned):
    ledger = Ledger(sys.argv[1], session=f"kernel {number}", warn=warned.put)
    go.wait()
    ledger.finish(ledger.begin(model="glm-5", gateway="localhost", thread="main", notebook=None), status="complete")
    ledger.close()

fork = multiprocessing.get_context("fork")
go, warned = fork.Barrier(20), fork.SimpleQueue()
kernels = [fork.Process(target=work, args=(number, go, warned)) for number in range(20)]
for process in kernels: process.start()
for process in kernels: process.join()
while not warned.empty(): print(warned.get())
"""


def test_twenty_kernels_that_start_at_once_make_the_tables_once(
    postgres: Postgres, database: str, data_dir: Path
) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", AT_ONCE, postgres.url(database)], capture_output=True, text=True, check=True
    )
    assert ran.stdout + ran.stderr == ""
    assert postgres.run("SELECT status, count(DISTINCT session) FROM requests GROUP BY 1", database) == [
        ["complete", "20"]
    ]
    assert postgres.run("SELECT version, count(*) FROM mixroute_schema GROUP BY 1 ORDER BY 1", database) == [
        ["1", "1"],
        ["2", "1"],
    ]


def test_a_connection_lost_in_mid_request_costs_neither_answer_nor_row(
    person: Person, postgres: Postgres, database: str, data_dir: Path
) -> None:
    entry = person.ledger.begin(**ASKED)
    with stopped(postgres):
        person.ledger.finish(entry, status="complete", reply=REPLY)
        person.ask()
        [warning] = person.warnings
        assert (
            "The token ledger cannot be used (OperationalError: no server listens there): answers are not affected"
            in warning
        )
        assert PASSWORD not in warning
        assert (data_dir / "mixroute" / "ledger-unsent.sqlite").stat().st_mode & 0o777 == 0o600
    assert postgres.run(COUNTED, database) == [["unfinished", "1", "", "1"]]
    asked = 2
    while len(person.warnings) == 1:  # it pauses for as long as it took to be refused a connection, 20 times
        person.ask()
        asked += 1
    assert re.search(r"can be used again, and has got \d+ requests that waited on this machine", person.warnings[1])
    assert postgres.run(COUNTED, database) == [["complete", str(asked), str(25 * asked), str(asked)]]
    assert len(person.warnings) == 2


def test_what_waits_is_delivered_by_the_next_kernel_or_when_somebody_looks(
    postgres: Postgres, database: str, data_dir: Path
) -> None:
    here = Person(postgres.url(database))
    with stopped(postgres):
        entry = here.ledger.begin(**ASKED)  # the server was never reachable
        assert totals(here.ledger) == []
        assert len(here.warnings) == 2  # once, and whenever somebody looks
    [sums] = totals(here.ledger)
    assert sums.statuses == {"unfinished": 1}
    assert here.warnings[2:] == [
        "The token ledger can be used again, and has got 1 request that waited on this machine."
    ]

    with stopped(postgres):
        here.ledger.finish(entry, status="complete", reply=REPLY)
        here.ledger.begin(**ASKED)
    here.ledger.close()  # and nobody asks here again
    later = Person(postgres.url(database), session="later")
    later.ask()
    assert later.warnings == ["The token ledger can be used again, and has got 2 requests that waited on this machine."]
    assert postgres.run(COUNTED, database) == [["complete", "2", "50", "2"], ["unfinished", "1", "", "1"]]
    later.ledger.close()


def test_a_connection_that_the_server_has_closed_is_made_again(
    person: Person, postgres: Postgres, database: str
) -> None:
    entry = person.ledger.begin(**ASKED)
    with stopped(postgres):
        pass
    person.ledger.finish(entry, status="complete", reply=REPLY)
    assert postgres.run(COUNTED, database) == [["complete", "1", "25", "1"]]
    assert person.warnings == []


def test_a_locked_ledger_keeps_a_chat_waiting_for_seconds_and_then_not_again(
    person: Person, postgres: Postgres, database: str
) -> None:
    person.ask()
    locking = subprocess.Popen(
        ["psql", "-q", postgres.url(database, scheme="postgresql")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert locking.stdin is not None
    assert locking.stdout is not None
    locking.stdin.write("BEGIN; LOCK TABLE requests;\n\\echo locked\n")
    locking.stdin.flush()
    assert locking.stdout.readline() == "locked\n"
    entry = person.ledger.begin(**ASKED)
    [warning] = person.warnings
    assert "LockNotAvailable" in warning
    person.ledger.finish(entry, status="complete", reply=REPLY)  # does not wait again, else it would not be kept
    locking.communicate("ROLLBACK;\n")
    assert postgres.run(COUNTED, database) == [["complete", "1", "25", "1"]]
    [sums] = totals(person.ledger)
    assert (sums.statuses, sums.input_tokens.known) == ({"complete": 2}, 50)


def test_only_what_is_wrong_with_a_row_is_taken_for_a_refusal_of_it(
    postgres: Postgres, database: str, person: Person
) -> None:
    person.ask()
    fine = {"id": "1", "session": "here", "started": datetime.now(UTC), "status": "complete", "demo": False, **ASKED}
    odd = [fine | {"id": "2", "session": "x" * 65}, fine | {"id": "3", "notebook": "\udcfc"}]
    engine = create_engine(postgres.url(database))
    with engine.begin() as connection:
        assert put_each(connection, [*odd, fine]) == [fine]
    with engine.connect() as other, engine.connect() as connection:
        other.exec_driver_sql("LOCK TABLE requests")
        connection.exec_driver_sql("SET lock_timeout = '50ms'")
        with pytest.raises(OperationalError, match="LockNotAvailable"):  # each row would wait for it anew
            put_each(connection, [fine | {"id": "4"}, fine | {"id": "5"}])
    engine.dispose()


def test_more_than_is_delivered_at_once_follows_also_where_some_of_it_is_refused(
    postgres: Postgres, database: str, data_dir: Path
) -> None:
    url = postgres.url(database)
    spool = Spool(data_dir / "mixroute" / "ledger-unsent.sqlite", target_of(read_url(url)))
    row = {"id": "0", "session": "x" * 65, "started": datetime.now(UTC), "status": "complete", "demo": False, **ASKED}
    spool.keep(row)  # is refused
    spool.keep(row | {"id": "name", "session": "here"})
    with closing(sqlite3.connect(spool.path)) as db, db:
        copy = (
            "INSERT INTO rows (id, target, row) SELECT ?, target, replace(row, 'name', ?) FROM rows WHERE id = 'name'"
        )
        db.executemany(copy, [(name, name) for name in map(str, range(1, BATCH + 3))])
    here = Person(url)
    here.ask()  # delivers a batch before it begins, and the rest before it has ended
    assert postgres.run("SELECT count(*) FROM requests", database) == [[str(BATCH + 4)]]
    assert [re.search(r"\d+ requests", text)[0] for text in here.warnings] == [f"{BATCH - 1} requests", "4 requests"]
    here.ledger.close()


def test_a_server_that_is_stopped_and_started_while_many_write_loses_no_row_and_gets_none_twice(
    postgres: Postgres, database: str, data_dir: Path
) -> None:
    people = [Person(postgres.url(database), session=f"person {number}") for number in range(4)]
    asked = threading.Semaphore(0)
    enough = threading.Event()

    def work(here: Person) -> int:
        number = 0
        while not enough.is_set() or number < 30:
            here.ask()
            number += 1
            asked.release()
        return number

    with ThreadPoolExecutor(len(people)) as pool:
        working = [pool.submit(work, here) for here in people]
        for _ in range(2):
            for _ in range(40):
                asked.acquire()
            with stopped(postgres):
                for _ in range(20):
                    asked.acquire()
        enough.set()
        total = sum(work.result() for work in working)
    for here in people:
        totals(here.ledger)
        here.ledger.close()
    warnings = [text for here in people for text in here.warnings]
    assert postgres.run(COUNTED, database) == [["complete", str(total), str(25 * total), str(total)]], warnings
    assert any("waited on this machine" in text for text in warnings)


def test_the_page_shows_the_answer_whatever_becomes_of_the_server(
    postgres: Postgres, database: str, tmp_path: Path
) -> None:
    down = threading.Event()
    url = postgres.url(database, scheme="postgresql")
    with (
        scripted(answer(delta("half, "), Until(down), delta("whole"), STOP, USAGE, DONE), whole("again")) as gateway,
        Kernel(tmp_path, gateway.base_url, MIXROUTE_LEDGER_URL=url) as kernel,
    ):
        ran = kernel.send("%chat a question", "a").until_streamed("half, ")
        with stopped(postgres):
            down.set()
            ran.wait()
            looked = kernel.run("%usage")
        assert (ran.status, looked.status) == ("ok", "error")
        assert "The token ledger cannot be read." in looked.lines[0]
        assert looked.lines[1] == "Check the server and MIXROUTE_LEDGER_URL: the warning says what is wrong."
        assert "half, whole" in ran.markdown
        assert ran.text.count("answers are not affected") == looked.text.count("answers are not affected") == 1
        assert postgres.run(COUNTED, database) == [["unfinished", "1", "", "1"]]

        usage = kernel.run("%usage")
        assert "has got 1 request that waited on this machine" in usage.text
        assert "glm-5" in usage.markdown
        assert postgres.run(COUNTED, database) == [["complete", "1", "25", "1"]]
        again = kernel.run("%chat another question", "b")
        assert "again" in again.markdown
        assert postgres.run(COUNTED, database) == [["complete", "2", "50", "2"]]
        settings = kernel.run("%config MixRoute\n%mixroute status")
        seen = "".join(str(message["content"]) for message in kernel.heard)
        assert settings.status == "ok"
        assert PASSWORD not in seen


@pytest.fixture(scope="module")
def roles(postgres: Postgres) -> str:
    """A database whose tables its owner has made, and in which ada and bob are students, and grace teaches."""
    name = postgres.new_database()
    owner = Person(postgres.url(name))
    assert totals(owner.ledger) == owner.warnings == []
    owner.ledger.close()
    script = (ROOT / "docs" / "ledger-roles.sql").read_text()
    postgres.run(script, name)
    postgres.run(script, name)  # can be repeated
    for login, group in (("ada", "student"), ("bob", "student"), ("grace", "teacher")):
        postgres.run(f"CREATE ROLE {login} LOGIN PASSWORD '{PASSWORD}' IN ROLE mixroute_{group}")
    postgres.run(f"CREATE ROLE eve LOGIN PASSWORD '{PASSWORD}'")  # in neither group
    return name


def tables(url: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Make the tables, as the page tells an administrator to."""
    ours = {"MIXROUTE_LEDGER_URL": url, "PYTHONPATH": str(ROOT), "JUPYTER_DATA_DIR": str(home)}
    return subprocess.run(
        [sys.executable, "-m", "mixroute_magic.usage"],
        check=False,
        env=os.environ | ours,
        capture_output=True,
        text=True,
    )


def test_students_see_and_change_their_own_rows_only_and_a_teacher_sees_all(
    postgres: Postgres, roles: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ada", "bob", "grace"):
        monkeypatch.setenv("JUPYTERHUB_USER", name)
        here = Person(postgres.url(roles, name), session="the same")
        here.ask()
        entry = here.ledger.begin(**ASKED)
        [sums] = totals(here.ledger, "the same")
        assert sums.statuses == (
            {"complete": 3, "unfinished": 3} if name == "grace" else {"complete": 1, "unfinished": 1}
        )
        assert here.warnings == []
        here.ledger.close()

    assert postgres.run('SELECT DISTINCT "user" FROM requests', roles, "ada") == [["ada"]]
    assert postgres.run('SELECT "user" FROM requests GROUP BY 1 ORDER BY 1', roles, "grace") == [
        ["ada"],
        ["bob"],
        ["grace"],
    ]
    before = postgres.run("TABLE requests ORDER BY id", roles)
    changed = [
        f"WITH changed AS (UPDATE requests SET input_tokens = 0 WHERE {which} RETURNING 1) SELECT count(*) FROM changed"
        for which in ("\"user\" <> 'ada'", "status = 'complete'", f"id = '{entry}'")
    ]
    assert [postgres.run(sql, roles, "ada") for sql in changed] == [[["0"]]] * 3
    columns = "id, session, thread, gateway, model, started, status, demo"
    values = "'{}', 's', 'main', 'g', 'm', now(), 'complete', false"
    refused = {
        "DELETE FROM requests": "permission denied",
        "TRUNCATE requests": "permission denied",
        "DROP TABLE requests": "must be owner",
        "ALTER TABLE requests DISABLE ROW LEVEL SECURITY": "must be owner",
        "CREATE TABLE mine (id text)": "permission denied",
        "DELETE FROM mixroute_schema": "permission denied",
        "SET ROLE bob": "permission denied",
        "SET ROLE mixroute_teacher": "permission denied",
        "UPDATE requests SET \"user\" = 'bob'": "row-level security",
        f"INSERT INTO requests ({columns}, \"user\") VALUES ({values.format(1)}, 'bob')": "row-level security",
        f"INSERT INTO requests ({columns}) VALUES ({values.format(2)})": "row-level security",
        f"INSERT INTO requests ({columns}, \"user\") VALUES ({values.format(entry)}, 'ada')": "duplicate key",
    }
    for sql, reason in refused.items():
        with pytest.raises(AssertionError, match=reason):
            postgres.run(sql, roles, "ada")
    for sql in ("TABLE requests", "TABLE mixroute_schema"):
        with pytest.raises(AssertionError, match="permission denied"):
            postgres.run(sql, roles, "eve")
    assert postgres.run("TABLE requests ORDER BY id", roles) == before


def test_who_claims_another_name_is_not_recorded_under_it(
    postgres: Postgres, roles: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTERHUB_USER", "bob")
    here = Person(postgres.url(roles, "ada"), session="claimed")
    here.ask()
    [warning] = here.warnings
    assert "InsufficientPrivilege" in warning
    monkeypatch.setenv("JUPYTERHUB_USER", "ada")
    later = Person(postgres.url(roles, "ada"), session="claimed")
    later.ask()  # what was refused stays where it is, and in nobody's way
    assert postgres.run("SELECT DISTINCT \"user\" FROM requests WHERE session = 'claimed'", roles) == [["ada"]]
    assert later.warnings == []
    for one in (here, later):
        one.ledger.close()


def test_who_may_not_make_tables_uses_those_that_the_owner_has_made(
    postgres: Postgres, roles: str, database: str, data_dir: Path
) -> None:
    early = Person(postgres.url(database, "ada"))
    early.ask()
    [warning] = early.warnings
    assert "InsufficientPrivilege" in warning
    made = tables(postgres.url(database), data_dir / "owner")
    assert (made.returncode, made.stdout, made.stderr) == (0, "The ledger's tables are there and up to date.\n", "")
    postgres.run((ROOT / "docs" / "ledger-roles.sql").read_text(), database)
    [sums] = totals(early.ledger)
    assert sums.statuses == {"complete": 1}
    early.ledger.close()


def test_tables_that_cannot_be_made_are_complained_about(postgres: Postgres, roles: str, tmp_path: Path) -> None:
    refused = tables(postgres.url("postgres", "eve"), tmp_path)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "InsufficientPrivilege" in refused.stderr
    assert PASSWORD not in refused.stderr


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (PASSWORD, f"{PASSWORD[:-1]}-@wrong", "OperationalError: the host is not known"),
        (PASSWORD, f"{PASSWORD}-wrong", "OperationalError: the user or the password is wrong"),
        ("/postgres", "/nosuch", "OperationalError: there is no such database"),
    ],
)
def test_whoever_makes_the_tables_is_told_what_is_wrong_with_the_address(
    postgres: Postgres, tmp_path: Path, before: str, after: str, reason: str
) -> None:
    refused = tables(postgres.url("postgres").replace(before, after), tmp_path)
    assert f"cannot be used ({reason})" in refused.stderr
    assert PASSWORD[:-1] not in refused.stderr


def test_making_the_tables_needs_an_address(tmp_path: Path) -> None:
    without = tables("", tmp_path)
    assert without.returncode == 1
    assert "Set MIXROUTE_LEDGER_URL" in without.stderr


def test_of_sixteen_requests_at_once_as_many_are_admitted_as_the_budget_has_room_for(
    postgres: Postgres, roles: str, data_dir: Path
) -> None:
    [[spent]] = postgres.run("SELECT coalesce(sum(input_tokens + output_tokens), 0) FROM requests", roles, "ada")
    # Under this default, who has waited for others would not see what they have added.
    postgres.run(f"ALTER DATABASE {roles} SET default_transaction_isolation = 'repeatable read'", roles)
    day = Budget(int(spent) + 10 * 1_000, "day")
    people = [
        Person(postgres.url(roles, "ada"), session=f"room {number}", budgets=lambda: [day]) for number in range(16)
    ]
    start = threading.Barrier(len(people))

    def ask(here: Person) -> bool:
        totals(here.ledger)  # opens it
        start.wait()
        try:
            here.ledger.begin(**ASKED, reserved_tokens=1_000)
        except BudgetError:
            return False
        return True

    with ThreadPoolExecutor(len(people)) as pool:
        assert sum(pool.map(ask, people)) == 10
    assert postgres.run("SELECT count(*) FROM requests WHERE session LIKE 'room %'", roles) == [["10"]]
    assert [here.warnings for here in people] == [[]] * 16
    for here in people:
        here.ledger.close()


def test_a_budget_is_not_got_around_by_a_server_that_is_down(postgres: Postgres, database: str, data_dir: Path) -> None:
    here = Person(postgres.url(database), budgets=lambda: [Budget(10_000, "day")])
    entry = here.ledger.begin(**ASKED, reserved_tokens=1_000)
    with stopped(postgres):
        here.ledger.finish(entry, status="complete", reply=REPLY)
        with pytest.raises(BudgetError, match="cannot be kept"):
            here.ledger.begin(**ASKED, reserved_tokens=1_000)
    here.ledger.finish(here.ledger.begin(**ASKED, reserved_tokens=1_000), status="complete", reply=REPLY)
    assert postgres.run(COUNTED, database) == [["complete", "2", "50", "2"]]
    here.ledger.close()


def test_many_processes_lose_nothing_also_where_they_are_killed(
    postgres: Postgres, database: str, data_dir: Path
) -> None:
    url = postgres.url(database)
    found = ledger_processes.run(url, processes=4, requests=25)
    assert found.statuses == {"complete": 100}
    assert found.tokens == tuple(
        4 * sum(ledger_processes.counts(number)[which] for number in range(25)) for which in (0, 1)
    )
    assert (found.begun, found.missing, found.warnings) == (100, 0, [])

    killed = ledger_processes.run(url, processes=4, requests=50, kill=True)
    assert (killed.missing, killed.warnings) == (0, [])
    assert set(killed.statuses) <= {"complete", "unfinished"}
    assert killed.statuses["unfinished"] <= 4  # what each was at
    assert killed.begun <= killed.statuses.total() < 200


def blocks(word: str) -> str:
    """Return the Python of the page "For a JupyterHub" in which a word stands."""
    page = (ROOT / "docs" / "jupyterhub.md").read_text()
    [block] = [block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if word in block]
    return block


def test_the_hook_on_the_page_gives_a_login_that_writes_its_own_rows(
    postgres: Postgres, roles: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEDGER_SECRET", "a secret of the hub's")
    monkeypatch.setenv("LEDGER_OWNER_URL", postgres.url(roles, scheme="postgresql"))
    monkeypatch.setenv("JUPYTERHUB_USER", "dora@example.org")
    c = Config()
    exec(blocks("make_login"), {"c": c})
    spawner = SimpleNamespace(user=SimpleNamespace(name="dora@example.org"), api_token="a token")
    for _ in range(2):  # a server is started again and again
        c.Spawner.pre_spawn_hook(spawner)
    environment = {name: value(spawner) if callable(value) else value for name, value in c.Spawner.environment.items()}
    assert environment["MIXROUTE_API_KEY"] == "a token"
    monkeypatch.setenv("MIXROUTE_DAILY_TOKEN_BUDGET", environment["MIXROUTE_DAILY_TOKEN_BUDGET"])
    assert MixRoute().budget("daily_token_budget") == (200_000, 200_000)
    there = f"127.0.0.1:{postgres.port}/{roles}"
    here = Person(environment["MIXROUTE_LEDGER_URL"].replace("db.example.org/usage", there), session="dora")
    here.ask()
    assert here.warnings == []
    assert postgres.run("SELECT \"user\" FROM requests WHERE session = 'dora'", roles) == [["dora@example.org"]]
    here.ledger.close()


def test_the_configuration_on_the_page_is_understood() -> None:
    c = Config()
    exec(blocks("InteractiveShellApp"), {"c": c})
    assert set(c.MixRoute) <= set(MixRoute.class_trait_names(config=True))
    assert MixRoute(config=c).base_url == "https://llm.example.org/v1"
