"""The table of faults, each played to a real kernel's ``%%chat``: ``python tests/faults.py`` prints it.

The rows are in the modules whose names begin with ``faults_``; each is a `faulty.Fault`.
"""

from __future__ import annotations

import json
import re
import sqlite3
import sys
from contextlib import ExitStack, closing
from dataclasses import replace
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self

from faults_clients import CLIENTS
from faults_ends import ENDS
from faults_events import EVENTS
from faults_meanings import MEANINGS
from faults_network import NETWORKS
from faults_notebook import NOTEBOOK
from faults_replies import REPLIES
from faults_requests import REQUESTS
from faults_set_up import SET_UP
from faulty import OF_THE_KEY, QUESTION, SOON, Outcome, Stage
from kernels import KEY, Kernel

if TYPE_CHECKING:
    from collections.abc import Collection
    from types import TracebackType

    from faulty import Fault
    from kernels import Ran
    from scripted import Asked, ScriptedGateway

__all__ = ["ELSEWHERE", "FAULTS", "Player"]

FAULTS = sorted(
    (*SET_UP, *REQUESTS, *NETWORKS, *REPLIES, *ENDS, *EVENTS, *MEANINGS, *NOTEBOOK, *CLIENTS),
    key=lambda fault: fault.number or inf,
)

ELSEWHERE = {
    "39 HTML on a page": "test_kernel.py::test_one_output_stays_with_the_whole_record_of_the_turn",
    "69 stopped at any moment": "test_interrupts.py::test_at_random_moments",
    "70 two threads ask at once": "test_faults.py::test_two_threads_that_ask_at_once_are_two_turns_in_order",
    "70 a thread asks": "test_kernel.py::test_a_thread_may_ask",
    "73 Tab, and a gateway that fails": "test_completion.py::test_a_gateway_that_fails_is_not_asked_at_every_tab",
    "client a body without chunks is shown as it comes": (
        "test_kernel.py::test_text_reaches_the_page_before_the_gateway_has_said_the_rest"
    ),
    "client one connection for many questions": "test_client.py::test_one_connection_serves_many_questions",
    "client llm-katan": "test_katan.py::test_a_conversation_of_two_turns_is_streamed_and_counted_as_reported",
    "client fakellm": "test_fakellm.py::test_a_cell_gets_its_answer_from_two_calls",
}
"""What another test shows better."""

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_USUAL = {"environ": {}, "timeout": 10.0, "retries": 2, "config": ""}
_GATEWAY = "%config MixRoute.base_url = {!r}"
_SETTINGS = """
os.environ.clear()
key = our_environment["MIXROUTE_API_KEY"]  # which must stand in no cell
os.environ.update(our_environment | {{name: text.replace("(key)", key) for name, text in {environ!r}.items()}})
%config MixRoute.timeout = {timeout!r}
%config MixRoute.retries = {retries!r}
%config MixRoute.allow_http = False
{config}
"""
_SECONDS = re.compile(r" · \d+\.\d s(?= · |$)", re.MULTILINE)


class Player:
    """Plays faults to one kernel, each in a thread of its own; a context manager that ends it."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._ending = ExitStack()
        self._stage = self._ending.enter_context(Stage(home))
        self.kernel = self._ending.enter_context(Kernel(home, **dict.fromkeys(_PROXIES, "")))
        self.kernel.run("import os\nour_environment = dict(os.environ)")
        self._settings: dict[str, Any] = {}
        self._played = 0

    def play(self, fault: Fault) -> tuple[Outcome, Outcome]:
        """Return what came of a fault, and what should have come."""
        self._played += 1
        with self._stage.gateway(fault) as (gateway, filled):
            environ = {name: filled(value) for name, value in fault.environ.items()}
            settings = {"environ": environ, "timeout": fault.timeout, "retries": fault.retries, "config": fault.config}
            self._settle(filled(fault.base_url), settings)
            rows, knocks = len(self._ledger()), len(self._stage.knocks)
            ran = self._ask(fault, gateway)
            asked, ledger = list(gateway.asked), self._ledger()[rows:]
            history = self._history(fault, gateway)
        seen = _seen(ran, asked, ledger, history, knocks=len(self._stage.knocks) - knocks)
        expected = fault.expected(filled)
        return replace(seen, error=_shortened(seen.error, expected.error), wait=_waits(seen, expected)), expected

    def _settle(self, base_url: str, settings: dict[str, Any]) -> None:
        code = "" if settings == self._settings else _SETTINGS.format(**settings).replace(KEY, "(key)")
        assert self.kernel.run(code + _GATEWAY.format(base_url)).status == "ok"
        self._settings = settings

    def _ask(self, fault: Fault, gateway: ScriptedGateway) -> Ran:
        question = f"%%chat --thread t{self._played} -m {fault.model} {fault.options}\n{QUESTION}"
        ran = self.kernel.send(fault.cell or question, f"cell-{self._played}")
        if fault.stop:
            if fault.stop == "request":
                assert gateway.arrived.wait(30)
            elif fault.stop == "retry":
                ran.until(lambda ran: any("retry" in frame for frame in ran.frames))
            else:
                ran.until_streamed(fault.text)
            self.kernel.interrupt()
        return ran.wait()

    def _history(self, fault: Fault, gateway: ScriptedGateway) -> tuple[tuple[str, str], ...]:
        """Ask once more, of a healthy gateway, and return what was sent along."""
        if fault.base_url != "{url}" or self._settings != _USUAL:
            self._settle(gateway.base_url, _USUAL)
        ran = self.kernel.run(f"%%chat --thread t{self._played} -m next\nNext?", f"cell-{self._played}-next")
        assert ran.text.startswith("Next.\n\nserved · "), (ran.text, ran.lines)
        *above, question = gateway.bodies[-1]["messages"]
        assert question == {"role": "user", "content": "Next?"}
        return tuple((message["role"], message["content"]) for message in above)

    def _ledger(self) -> list[tuple[Any, ...]]:
        file = self._home / "data" / "mixroute" / "ledger.sqlite"
        if not file.exists():
            return []
        with closing(sqlite3.connect(file)) as database:
            query = "select status, input_tokens, output_tokens, error from requests order by rowid"
            return database.execute(query).fetchall()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.close()


def _seen(ran: Ran, asked: list[Asked], ledger: list[Any], history: Any, *, knocks: int) -> Outcome:
    records = ran.records
    waits = [frame.get("seconds", 0.0) for frame in ran.frames if "retry" in frame]
    return Outcome(
        status=ran.status,
        error=tuple(ran.lines),
        below=_SECONDS.sub("", ran.text),
        requests=len(asked) + knocks,
        paths=tuple(dict.fromkeys(request.line.split(" ")[1] for request in asked)),
        key_sent=all(request.headers.get("authorization") == OF_THE_KEY for request in asked),
        key_shown=KEY in json.dumps(ran.messages, default=str)
        or any(KEY.encode() in request.raw_body for request in asked),
        wait=round(waits[0], 1) if waits else None,
        turn=_told(records[0]) if records else None,
        ledger=ledger[-1] if ledger else None,
        history=history,
    )


def _told(record: dict[str, Any]) -> tuple[Any, ...]:
    usage = record["usage"]
    messages = tuple((message["role"], message["content"]) for message in record["messages"])
    tokens = usage["input_tokens"], usage["output_tokens"]
    return record["status"], record["finish_reason"], *tokens, messages, record.get("reasoning", "")


def _shortened(lines: tuple[str, ...], expected: tuple[str, ...]) -> tuple[str, ...]:
    """Return lines as they were expected where these say that they may go on."""
    fits = (
        line if not told.endswith("*") or not line.startswith(told[:-1]) else told
        for line, told in zip(lines, expected, strict=False)
    )
    return (*fits, *lines[len(expected) :])


def _waits(seen: Outcome, expected: Outcome) -> float | None:
    """Return the wait as it was expected where it was about so: who waits a second may wait another one by chance."""
    if seen.wait is None or expected.wait is None:
        return seen.wait
    least, most = (0.0, SOON) if expected.wait == SOON else (expected.wait, expected.wait + (expected.wait >= 1))
    return expected.wait if least <= seen.wait <= most else seen.wait


def main(numbers: Collection[str]) -> int:
    """Print the table, or the rows with these numbers, and return 1 where one is not green."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table("case", box=box.SIMPLE)
    table.add_column("what happens", no_wrap=True)
    table.add_column("what the person reads first", no_wrap=True, max_width=104)
    table.add_column("requests", justify="right")
    table.add_column()
    faults = [fault for fault in FAULTS if not numbers or str(fault.number) in numbers]
    red = []
    with TemporaryDirectory() as home, Player(Path(home)) as player:
        for fault in faults:
            seen, expected = player.play(fault)
            good = seen == expected
            line = " ".join((fault.line if good else f"{seen.error} {seen.below}")[:200].split())
            number = str(fault.number) if fault.number else "client"
            table.add_row(number, fault.title, line, str(seen.requests), "✓" if good else "✗")
            red += [] if good else [f"{number} {fault.title}\n  is     {seen}\n  wanted {expected}"]
    for what, test in ELSEWHERE.items():
        number, title = what.split(" ", 1)
        if not numbers or number in numbers:
            table.add_row(number, title, f"tests/{test}", "", "→")
    console = Console(width=200, highlight=False, markup=False)
    console.print(table)
    console.print(f"{len(faults) - len(red)} of {len(faults)} are green.", *red, sep="\n")
    return bool(red)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
