"""What a session or a day may take, and what each request is in the ledger: in kernels, before a counting gateway."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from calling import asking, part
from kernels import Kernel
from scripted import (
    DONE,
    STOP,
    USAGE,
    Pause,
    Reset,
    ScriptedGateway,
    Until,
    answer,
    delta,
    event,
    reply,
    scripted,
    whole,
)
from traitlets.config import Config

from mixroute_magic.amounts import read_tokens, typed_tokens
from mixroute_magic.config import MixRoute
from mixroute_magic.errors import BudgetError, SettingError
from mixroute_magic.reply import Reply
from mixroute_magic.usage.budget import Budget, budgets, set_budget, today
from mixroute_magic.usage.budget import spent as spent_in_all
from mixroute_magic.usage.ledger import Ledger
from mixroute_magic.wire import Usage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ASKED: dict[str, Any] = {"model": "glm-5", "gateway": "localhost", "thread": "main", "notebook": None}
RESERVED = 1_006  # for the question "hello": two tokens, four for the message's frame, and an answer


@pytest.mark.parametrize(
    ("written", "tokens"),
    [
        *[("200k", 200_000), ("1.5M", 1_500_000), ("200_000", 200_000), ("1,000", 1_000), (5, 5), ("0", 0)],
        *[("none", None), ("1,000,000", 1_000_000), ("1,500k", 1_500_000), ("1,000.5k", 1_000_500)],
        *[("2.01M", 2_010_000), ("2.03k", 2_030), ("4.15M", 4_150_000)],
    ],
)
def test_amounts_are_read_as_people_write_them(written: Any, tokens: int | None) -> None:
    assert read_tokens(written) == tokens


@pytest.mark.parametrize(
    "written",
    ["many", "-5", "1.5", "2 bn", "1e3", True, "9" * 20, "1,5M", "1,50", "1,0000", "1000,000", ",5", "1_000,000"],
)
def test_what_is_no_amount_is_refused(written: Any) -> None:
    with pytest.raises(ValueError, match="such as 200k"):
        read_tokens(written)


@pytest.mark.parametrize(
    ("tokens", "typed"), [(7, "7"), (501, "510"), (2_000, "2k"), (12_001, "13k"), (999_000, "1M"), (1_234_567, "1.3M")]
)
def test_amounts_are_written_as_people_type_them(tokens: int, typed: str) -> None:
    assert typed_tokens(tokens) == typed


def test_the_day_begins_at_midnight_also_where_the_clocks_have_changed_since(monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.now(UTC)
    east = 12 - now.hour  # so that it is about noon
    day = (now + timedelta(hours=east)).replace(hour=0, minute=0, second=0, microsecond=0)
    changes = day.timetuple().tm_yday - 1
    monkeypatch.setenv("TZ", f"AAA{-east}BBB{-east - 1},{changes}/1,{(changes + 30) % 365}/1")  # today at one
    time.tzset()
    try:
        assert today() == day - timedelta(hours=east)
    finally:
        monkeypatch.undo()
        time.tzset()


class TestSettings:
    def test_nothing_is_limited_unless_it_is_set(self) -> None:
        assert budgets(MixRoute()) == []

    def test_an_administrators_limit_can_be_lowered_and_not_raised(self) -> None:
        config = MixRoute(config=Config(MixRoute={"token_budget": "200k"}))
        assert budgets(config) == [Budget(200_000, "session", most=200_000)]
        set_budget(config, "50k")
        assert budgets(config) == [Budget(50_000, "session", most=200_000)]
        where = "MIXROUTE_TOKEN_BUDGET or ipython_config.py"
        for more in "300k", "none":
            with pytest.raises(BudgetError) as refused:
                set_budget(config, more)
            assert refused.value.lines() == [
                f"BudgetError: 200,000 tokens are set in {where}: here a budget can be lowered, not raised.",
                "Nothing is changed; after a change there, restart the kernel.",
            ]
        assert budgets(config) == [Budget(50_000, "session", most=200_000)]
        config.token_budget = 10**9  # as %config does
        assert budgets(config) == [Budget(200_000, "session", most=200_000)]

    def test_of_the_environment_and_the_configuration_the_lower_one_holds(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MIXROUTE_TOKEN_BUDGET", "1k")
        monkeypatch.setenv("MIXROUTE_DAILY_TOKEN_BUDGET", "2k")
        config = MixRoute(config=Config(MixRoute={"token_budget": 5_000, "daily_token_budget": 500}))
        monkeypatch.setenv("MIXROUTE_TOKEN_BUDGET", "1M")  # as %env does
        assert budgets(config) == [Budget(1_000, "session", most=1_000), Budget(500, "day", most=500)]

    def test_a_limit_that_is_none_stops_everything(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MIXROUTE_TOKEN_BUDGET", "lots")
        config = MixRoute()
        config.token_budget = 5
        with pytest.raises(SettingError, match="MIXROUTE_TOKEN_BUDGET is 'lots': a number of tokens is needed") as told:
            budgets(config)
        assert told.value.hint == "Correct it, and restart the kernel."
        with pytest.raises(SettingError, match="is 'lots'"):
            set_budget(config, "7")
        assert config.token_budget == 5

    def test_it_is_told_which_of_the_places_holds_what_is_none(self) -> None:
        config = MixRoute(config=Config(MixRoute={"token_budget": "many"}))
        with pytest.raises(SettingError, match=r"MixRoute\.token_budget is 'many'") as told:
            budgets(config)
        assert told.value.hint == "Correct it in ipython_config.py, and restart the kernel."
        config = MixRoute()
        config.daily_token_budget = "few"
        with pytest.raises(SettingError, match=r"MixRoute\.daily_token_budget is 'few'") as told:
            budgets(config)
        assert told.value.hint == 'Set it: %config MixRoute.daily_token_budget = "200k".'


class Book:
    """A ledger with budgets, in a file of its own."""

    def __init__(self, path: Path, *limits: Budget, session: str = "here") -> None:
        self.path = path
        self.warnings: list[str] = []
        self.ledger = Ledger(
            f"sqlite:///{path}", session=session, warn=self.warnings.append, budgets=lambda: list(limits)
        )

    def rows(self) -> list[dict[str, Any]]:
        return rows(self.path)


def rows(path: Path) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute("SELECT * FROM requests ORDER BY started")]


class TestWhatCounts:
    def test_what_is_not_known_counts_as_its_reservation(self, tmp_path: Path) -> None:
        book = Book(tmp_path / "ledger.sqlite", Budget(1_000, "session"))
        known = Reply("", "glm-5", usage=Usage(100, 200, source="reported"))
        book.ledger.finish(book.ledger.begin(**ASKED, reserved_tokens=400), status="complete", reply=known)
        book.ledger.finish(book.ledger.begin(**ASKED, reserved_tokens=400), status="interrupted")
        book.ledger.finish(book.ledger.begin(**ASKED, reserved_tokens=300), status="failed", free=True)
        with pytest.raises(BudgetError) as refused:
            book.ledger.begin(**ASKED, reserved_tokens=301)
        left = "300 of this session's 1,000 tokens are left"
        assert refused.value.lines() == [
            f"BudgetError: {left}, and this request may take 301; nothing was sent.",
            "Raise it: %usage --budget 2k. Or ask for less: --max-tokens N, --fresh.",
        ]
        with pytest.raises(BudgetError) as refused:
            book.ledger.begin(**ASKED, reserved_tokens=50_000, number=2)
        assert refused.value.lines() == [
            f"BudgetError: {left}, and this request may take 50,000; it was not sent.",
            "Raise it: %usage --budget 51k. Or ask for less: --max-tokens N, --fresh.",
        ]
        assert book.ledger.begin(**ASKED, reserved_tokens=300)
        assert [row["reserved_tokens"] for row in book.rows()] == [None, 400, None, 300]
        assert book.warnings == []

    def test_a_retry_takes_over_what_was_reserved(self, tmp_path: Path) -> None:
        book = Book(tmp_path / "ledger.sqlite", Budget(1_000, "session"))
        entry = book.ledger.begin(**ASKED, reserved_tokens=1_000)
        entry = book.ledger.again(entry, error="RateLimitError", seconds=0.0, free=True)
        entry = book.ledger.again(entry, error="APIConnectionError", seconds=0.0, free=False)
        book.ledger.finish(entry, status="complete")
        told = [(row["attempt"], row["status"], row["error"], row["reserved_tokens"]) for row in book.rows()]
        assert told == [
            (1, "failed", "RateLimitError", None),
            (2, "failed", "APIConnectionError", 1_000),  # it may have cost something
            (3, "complete", None, 1_000),
        ]
        assert book.ledger.again(None, error="ServerError", seconds=0.0, free=True) is None

    def test_a_retry_that_cannot_be_recorded_leaves_its_row_to_the_one_before(self, tmp_path: Path) -> None:
        book = Book(tmp_path / "ledger.sqlite")
        entry = book.ledger.begin(**ASKED)
        with closing(sqlite3.connect(book.path)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert book.ledger.again(entry, error="ServerError", seconds=0.0, free=True) == entry
        book.ledger.finish(entry, status="complete")
        assert [(row["attempt"], row["status"]) for row in book.rows()] == [(1, "complete")]

    def test_demo_and_replays_are_free(self, tmp_path: Path) -> None:
        book = Book(tmp_path / "ledger.sqlite", Budget(10, "session"))
        demo = book.ledger.begin(**ASKED, reserved_tokens=1_000, demo=True)
        book.ledger.finish(demo, status="complete", reply=Reply("", "glm-5", usage=Usage(500, 500), demo=True))
        assert book.ledger.begin(**ASKED, reserved_tokens=1_000, replayed=True)
        assert book.ledger.begin(**ASKED, reserved_tokens=10)

    def test_a_day_is_of_one_user_in_all_sessions(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("JUPYTERHUB_USER", "ada")
        path, daily = tmp_path / "ledger.sqlite", Budget(1_000, "day", most=1_000)
        other = Book(path, daily, session="other")
        other.ledger.begin(**ASKED, reserved_tokens=300)
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE requests SET started = '2026-01-01 00:00:00.000000'")
        other.ledger.begin(**ASKED, reserved_tokens=600)
        book = Book(path, daily)
        with pytest.raises(BudgetError, match="400 of today's 1,000 tokens are left") as refused:
            book.ledger.begin(**ASKED, reserved_tokens=401)
        where = "MIXROUTE_DAILY_TOKEN_BUDGET or ipython_config.py"
        assert refused.value.hint.startswith(f"It is set in {where}; after a change there, restart the kernel. Or ask")
        monkeypatch.setenv("JUPYTERHUB_USER", "grace")
        assert book.ledger.begin(**ASKED, reserved_tokens=1_000)

    def test_who_has_set_a_day_for_themselves_is_told_how_to_raise_it(self) -> None:
        hint = Budget(1_000, "day").refusal(900, 200).hint
        assert hint.startswith('Raise it: %config MixRoute.daily_token_budget = "2k".')

    def test_nobody_is_told_to_raise_it_further_than_is_allowed(self) -> None:
        raised = Budget(100_000, "session", most=128_000).refusal(99_000, 2_000).hint
        assert raised.startswith("Raise it: %usage --budget 128000. ")
        raised = Budget(100_000, "day", most=500_000).refusal(99_000, 2_000).hint
        assert raised.startswith('Raise it: %config MixRoute.daily_token_budget = "200k". ')
        too_little = Budget(40_000, "session", most=50_000).refusal(39_000, 20_000).hint
        assert too_little.startswith("It is set in MIXROUTE_TOKEN_BUDGET or ipython_config.py;")

    def test_a_day_of_users_without_a_name_is_counted_too(self, tmp_path: Path) -> None:
        book = Book(tmp_path / "ledger.sqlite")
        book.ledger.begin(**ASKED, reserved_tokens=700)
        day = [Budget(1_000, "day")]
        nobodys = partial(spent_in_all, limits=day, session="here", user=None)
        assert book.ledger.read(nobodys) == [0]
        with closing(sqlite3.connect(book.path)) as connection, connection:
            connection.execute('UPDATE requests SET "user" = NULL')
        assert book.ledger.read(nobodys) == [700]

    def test_one_count_alone_settles_nothing(self, tmp_path: Path) -> None:
        book = Book(tmp_path / "ledger.sqlite")
        for output in 9_000, 5:
            half = Reply("", "glm-5", usage=Usage(None, output, source="reported"))
            book.ledger.finish(book.ledger.begin(**ASKED, reserved_tokens=1_000), status="complete", reply=half)
        assert [row["reserved_tokens"] for row in book.rows()] == [9_000, 1_000]

    def test_what_was_spent_before_is_no_news(self, tmp_path: Path) -> None:
        book = Book(tmp_path / "ledger.sqlite", Budget(1_000, "session"))
        book.ledger.finish(book.ledger.begin(**ASKED, reserved_tokens=900), status="complete")
        replayed = book.ledger.begin(**ASKED, replayed=True)
        with closing(sqlite3.connect(book.path)) as other:
            other.execute("BEGIN IMMEDIATE")
            book.ledger.finish(replayed, status="complete")
        assert book.ledger.notes() == []

    def test_most_of_it_is_told_once(self, tmp_path: Path) -> None:
        book = Book(tmp_path / "ledger.sqlite", Budget(1_000, "session"), Budget(10_000, "day"))
        book.ledger.finish(book.ledger.begin(**ASKED, reserved_tokens=799), status="complete")
        assert book.ledger.notes() == []
        book.ledger.finish(book.ledger.begin(**ASKED, reserved_tokens=1), status="complete")
        assert book.ledger.notes() == ["800 of this session's 1,000 tokens are spent"]
        assert book.ledger.notes() == []

    def test_a_budget_that_is_none_is_told_when_something_is_asked(self, tmp_path: Path) -> None:
        config = MixRoute(config=Config(MixRoute={"token_budget": "lots"}))
        ledger = Ledger(f"sqlite:///{tmp_path}/a", session="here", warn=print, budgets=lambda: budgets(config))
        with pytest.raises(SettingError):
            ledger.begin(**ASKED)
        ledger.finish(ledger.begin(**ASKED, replayed=True), status="complete")
        assert ledger.notes() == []

    def test_a_ledger_that_cannot_be_used_is_no_way_around_a_budget(self, tmp_path: Path) -> None:
        (tmp_path / "ledger.sqlite").write_bytes(b"this was a database once " * 100)
        book = Book(tmp_path / "ledger.sqlite", Budget(1_000, "session"))
        with pytest.raises(BudgetError, match="cannot be kept, because the ledger cannot be used") as refused:
            book.ledger.begin(**ASKED, reserved_tokens=1)
        assert refused.value.hint.endswith("or ask without a budget: %usage --budget none.")
        assert "(file is not a database)" in book.warnings[0]
        assert Book(tmp_path / "ledger.sqlite").ledger.begin(**ASKED) is None
        both = Book(tmp_path / "ledger.sqlite", Budget(1_000, "session"), Budget(1_000, "day"))
        with pytest.raises(BudgetError) as refused:
            both.ledger.begin(**ASKED, reserved_tokens=1)
        lines = "%usage --budget none and %config MixRoute.daily_token_budget = None."
        assert refused.value.hint.endswith(f"or ask without a budget: {lines}")
        fixed = Book(tmp_path / "ledger.sqlite", Budget(1_000, "day", most=1_000))
        with pytest.raises(BudgetError) as refused:
            fixed.ledger.begin(**ASKED, reserved_tokens=1)
        assert refused.value.hint == "Make it work again (the warning says why it does not)."


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with Kernel(tmp_path_factory.mktemp("kernel")) as kernel:
        yield kernel


def asked_at(kernel: Kernel, gateway: ScriptedGateway) -> None:
    kernel.run(f"%config MixRoute.base_url = {gateway.base_url!r}")


def last(kernel: Kernel, count: int) -> list[dict[str, Any]]:
    """Return the newest rows of the kernel's ledger."""
    return rows(kernel.home / "data" / "mixroute" / "ledger.sqlite")[-count:]


def spent(kernel: Kernel) -> int:
    return sum((row["input_tokens"] or 0) + (row["output_tokens"] or 0) for row in last(kernel, 99))


class TestInANotebook:
    def test_each_attempt_is_a_row_and_what_is_not_counted_is_estimated(self, kernel: Kernel) -> None:
        busy = reply(503, {"error": {"message": "busy"}}, retry_after="0")
        with scripted(busy, busy, answer(delta("Hello, you."), STOP, DONE)) as gateway:
            asked_at(kernel, gateway)
            ran = kernel.run("%%chat\nhello", "retried")
        assert [(row["attempt"], row["status"], row["error"]) for row in last(kernel, 3)] == [
            (1, "failed", "ServerError"),
            (2, "failed", "ServerError"),
            (3, "complete", None),
        ]
        *failed, row = last(kernel, 3)
        assert {name: row[name] for name in ("input_tokens", "output_tokens", "source", "reserved_tokens")} == {
            "input_tokens": 6,
            "output_tokens": 3,
            "source": "estimated",
            "reserved_tokens": None,
        }
        assert {(one["input_tokens"], one["reserved_tokens"]) for one in failed} == {(None, None)}
        assert len({one["turn"] for one in last(kernel, 3)} | {ran.metadata["turn"]}) == 1
        assert (row["cell"], row["round"], row["replayed"]) == ("retried", 1, 0)
        assert ran.metadata["usage"]["source"] == "estimated"
        assert "· ≈ 6 → 3 tokens ·" in ran.text

    def test_attempts_side_by_side_are_rows_too(self, kernel: Kernel) -> None:
        busy = reply(503, {"error": {"message": "busy"}}, retry_after="0")
        with scripted(whole("x"), a=[busy, whole("A")], b=[whole("B")]) as gateway:
            asked_at(kernel, gateway)
            kernel.run("%%chat -m a -m b\nhello", "both")
        told = sorted((row["model"], row["attempt"], row["status"]) for row in last(kernel, 3))
        assert told == [("a", 1, "failed"), ("a", 2, "complete"), ("b", 1, "complete")]

    def test_what_came_of_an_interrupted_answer_is_estimated(self, kernel: Kernel) -> None:
        with scripted(answer(delta("Some words of it"), Pause(60))) as gateway:
            asked_at(kernel, gateway)
            ran = kernel.send("%%chat --fresh\nhello", "stopped").until_streamed("Some words of it")
            kernel.interrupt()
            ran.wait()
        (row,) = last(kernel, 1)
        assert (row["status"], row["source"], row["output_tokens"]) == ("interrupted", "estimated", 4)
        assert "≈ 6 → 4 tokens" in ran.text

    def test_what_is_told_with_the_first_word_is_no_count_of_the_words_that_follow(self, kernel: Kernel) -> None:
        early = event({"choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": 1}})
        words = "Some words of it, " * 20
        with scripted(answer(early, delta(words), Pause(60)), answer(early, delta("Yes."), STOP, DONE)) as gateway:
            asked_at(kernel, gateway)
            ran = kernel.send("%%chat --fresh\nhello", "early").until_streamed(words)
            kernel.interrupt()
            ran.wait()
            kernel.run("%%chat --fresh\nhello", "early")
        stopped, whole_one = last(kernel, 2)
        assert (stopped["status"], stopped["source"], stopped["input_tokens"]) == ("interrupted", "estimated", 12)
        assert stopped["output_tokens"] > 50
        assert (whole_one["source"], whole_one["output_tokens"]) == ("reported", 1)

    def test_stop_before_it_is_sent_once_more_costs_nothing(self, kernel: Kernel) -> None:
        with scripted(reply(429, {"error": {"message": "slow down"}}, retry_after="50")) as gateway:
            asked_at(kernel, gateway)
            ran = kernel.send("%%chat --fresh --max-tokens 20000\nhello", "waiting")
            ran.until(lambda ran: any("retry" in change for change in ran.frames))
            kernel.interrupt()
            ran.wait()
            assert len(gateway.bodies) == 1
        told = last(kernel, 2)
        assert [(row["status"], row["reserved_tokens"]) for row in told] == [("failed", None), ("interrupted", None)]
        assert all(row["started"] <= row["finished"] for row in told)

    def test_a_replayed_turn_is_a_row_that_costs_nothing(self, kernel: Kernel) -> None:
        with scripted(whole("Again?")) as gateway:
            asked_at(kernel, gateway)
            kernel.run("%%chat --fresh\nhello again", "replayed")
            kernel.run("%%chat --fresh --replay auto\nhello again", "replayed")
            assert len(gateway.bodies) == 1
        real, replayed = last(kernel, 2)
        assert (real["replayed"], real["input_tokens"]) == (0, 25)
        told = replayed["replayed"], replayed["status"], replayed["source"], replayed["input_tokens"]
        assert told == (1, "complete", "replayed", 0)

    def test_a_budget_refuses_before_anything_is_sent_and_leaves_what_stood_there(self, kernel: Kernel) -> None:
        with scripted(whole("First.")) as gateway:
            asked_at(kernel, gateway)
            kernel.run("%%chat\nhello", "limited")
            kernel.run(f"%usage --budget {spent(kernel) + RESERVED}")
            assert kernel.run("%%chat --fresh\nhello", "limited").status == "ok"  # 125 tokens
            for magic in "%%chat --fresh", "%%chat --fresh -m a -m b":
                ran = kernel.run(f"{magic}\nhello", "limited")
                assert ran.status == "error"
                assert ran.lines[0].startswith(f"BudgetError: {RESERVED - 125:,} of this session's ")
                assert ran.lines[0].endswith("and this request may take 1,006; nothing was sent.")
                assert ran.records == []
            kernel.run("%usage --budget none")
            assert len(gateway.bodies) == 2
            assert "First." in kernel.run("%thread").text

    def test_side_by_side_what_the_budget_has_left_is_asked(self, kernel: Kernel) -> None:
        with scripted(whole("Hello.")) as gateway:
            asked_at(kernel, gateway)
            kernel.run(f"%usage --budget {spent(kernel) + RESERVED}")
            ran = kernel.run("%%chat --fresh -m a -m b\nhello", "two")
            kernel.run("%usage --budget none")
            assert len(gateway.bodies) == 1
        assert [answer["status"] for answer in ran.metadata["alternatives"]] == ["complete", "failed"]
        assert ran.metadata["alternatives"][1]["error"][0].startswith("BudgetError: 0 of this session's")

    def test_when_most_of_it_is_spent_the_footer_says_so_once(self, kernel: Kernel) -> None:
        with scripted(whole("Hello.")) as gateway:
            asked_at(kernel, gateway)
            kernel.run("%%chat --fresh\nhello", "much")
            kernel.run(f"%usage --budget {spent(kernel) + 2 * 125}")
            first, second = (kernel.run("%%chat --fresh --max-tokens 1\nhello", "much") for _ in range(2))
            kernel.run("%usage --budget none")
        limit = spent(kernel)
        assert f"{limit - 125:,} of this session's {limit:,} tokens are spent" in first.text
        assert second.status == "ok"
        assert "tokens are spent" not in second.text

    def test_a_later_round_that_is_refused_costs_and_hides_nothing(self, kernel: Kernel) -> None:
        kernel.run("def add(a: int) -> int:\n    return a")
        with scripted(asking(part('{"a": 1}', index=0, id="c", name="add")), whole("never")) as gateway:
            asked_at(kernel, gateway)
            kernel.run(
                f"%usage --budget {spent(kernel) + 1_100}"
            )  # 1,0xx for each of the rounds, 125 of which are taken
            ran = kernel.run("%%chat --fresh --tool add --yes\nhello", "rounds")
            kernel.run("%usage --budget none")
            assert len(gateway.bodies) == 1
        assert ran.lines[0].startswith("BudgetError: 975 of this session's")
        assert ran.lines[0].endswith("; it was not sent.")
        assert (ran.metadata["status"], ran.metadata["usage"]["input_tokens"]) == ("failed", 25)
        assert "25 → 100 tokens" in ran.text
        assert [(row["round"], row["status"]) for row in last(kernel, 1)] == [(1, "complete")]

    def test_stop_between_the_rows_of_two_models_leaves_none_unfinished(self, kernel: Kernel) -> None:
        kernel.run(
            "import os\nclass Stopping:\n    read = 0\n    def __str__(self):\n        self.read += 1\n"
            "        if self.read == 2:\n            os.kill(os.getpid(), 2)\n        return '1M'"
        )
        config = "get_ipython().magics_manager.registry['MixRouteMagics'].session.config"
        with scripted(whole("never")) as gateway:
            asked_at(kernel, gateway)
            kernel.run(f"{config}.token_budget = Stopping()")  # which each of the two requests reads
            ran = kernel.run("%%chat --fresh -m a -m b\nhello", "stopped between")
            kernel.run("%usage --budget none")
            assert gateway.bodies == []
        assert ran.lines[0] == "Interrupted: nothing had arrived yet."
        (row,) = last(kernel, 1)
        assert (row["model"], row["status"], row["reserved_tokens"]) == ("a", "interrupted", None)

    @pytest.mark.parametrize("amount", ["many", "-5"])
    def test_a_budget_that_is_none_is_refused(self, kernel: Kernel, amount: str) -> None:
        ran = kernel.run(f"%usage --budget {amount}")
        assert "a number of tokens is needed, such as 200k" in ran.text + "".join(ran.lines)


@pytest.mark.parametrize(("reached", "counts"), [(True, True), (False, False)], ids=["broken off", "never reached"])
def test_what_may_have_cost_something_goes_on_counting(tmp_path: Path, reached: bool, counts: bool) -> None:
    with scripted([reply(200, b"", "text/event-stream"), Reset()]) as gateway, Kernel(tmp_path) as kernel:
        kernel.run(f"%config MixRoute.base_url = {gateway.base_url if reached else 'http://127.0.0.1:9/v1'!r}")
        kernel.run("%config MixRoute.retries = 0")
        assert kernel.run("%chat hello").status == "error"
        (row,) = last(kernel, 1)
    assert (row["status"], row["error"]) == ("failed", "APIConnectionError")
    assert (row["reserved_tokens"] is not None) == counts


def test_sixteen_requests_at_once_against_a_budget_for_ten_are_ten(tmp_path: Path) -> None:
    ten = threading.Event()
    held = answer(Until(ten), delta("Hello."), STOP, USAGE, DONE)
    models = " ".join(f"-m m{number}" for number in range(8))
    limit = {"MIXROUTE_DAILY_TOKEN_BUDGET": str(10 * RESERVED), "JUPYTERHUB_USER": "ada"}
    with (
        scripted(held) as gateway,
        Kernel(tmp_path, gateway.base_url, **limit) as one,
        Kernel(tmp_path, gateway.base_url, **limit) as other,
    ):
        for kernel in one, other:
            kernel.run("%config MixRoute.daily_token_budget = 10**9")  # in vain
        ran = [kernel.send(f"%%chat {models}\nhello", "all") for kernel in (one, other)]
        end = time.monotonic() + 60
        while len(gateway.bodies) < 10 and time.monotonic() < end:
            time.sleep(0.02)  # each of them has reserved for all its models before it asks the first
        ten.set()
        for each in ran:
            each.wait()
        assert len(gateway.bodies) == 10
    told = [row["status"] for row in rows(tmp_path / "data" / "mixroute" / "ledger.sqlite")]
    assert told == ["complete"] * 10
    answers = [answer["status"] for each in ran for record in each.records for answer in record["alternatives"]]
    assert answers.count("complete") == 10
