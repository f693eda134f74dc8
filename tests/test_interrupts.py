"""Stop, pressed at any moment: the cell ends at once and in lines for people, and nothing is left half done.

What other modules show is not repeated here: the middle of an answer, before its first byte, in back-off
(``test_kernel.py``), several models in each of these phases (``test_compare.py``).
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import sqlite3
import sys
import threading
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from answers import markdown
from calling import asking, part
from kernels import PATIENCE, Document, Kernel, until
from scripted import Pause, ScriptedGateway, answer, delta, scripted
from scripted import whole as whole_answer

from mixroute_magic.interrupts import heard

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kernels import Ran

PROMPT = 20  # seconds: it takes a tenth of one on a quiet machine, and what it does not end waits for a minute
SILENCE = Pause(60)
MOMENTS, MOMENTS_OF_TWO = 20, 6

WORDS = [f"w{number} " for number in range(40)]
FLOWING = answer(*(piece for word in WORDS for piece in (delta(word), Pause(0.005))), SILENCE)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with Kernel(tmp_path_factory.mktemp("kernel")) as kernel:
        yield kernel


@pytest.fixture
def kernel(running: Kernel, tmp_path: Path) -> Kernel:
    """The one kernel, with a notebook of its own for each test."""
    running.run(f"import os, threading; os.environ['JPY_SESSION_NAME'] = {str(tmp_path / 'talk.ipynb')!r}")
    return running


@contextmanager
def behind(kernel: Kernel, *scripts: Any, **by_model: Any) -> Iterator[ScriptedGateway]:
    with scripted(*scripts, **by_model) as gateway:
        kernel.run(f"%config MixRoute.base_url = {gateway.base_url!r}")
        yield gateway


def rows(kernel: Kernel) -> list[str]:
    """Return how the requests in the ledger ended, oldest first."""
    (path,) = kernel.home.rglob("ledger.sqlite")
    with closing(sqlite3.connect(path)) as db:
        return [status for (status,) in db.execute("SELECT status FROM requests ORDER BY started")]


def stopped(kernel: Kernel, ran: Ran) -> float:
    """Press Stop, and return the seconds to the cell's end, which has to be one for people."""
    pressed = time.monotonic()
    kernel.interrupt()
    ran.wait()
    seconds = time.monotonic() - pressed
    print(f"ended after {seconds:.2f} s")
    assert ran.status == "error"
    assert not [line for line in ran.lines if "mixroute_magic" in line], "a traceback of our insides"
    for record in ran.records:
        assert {answer["status"] for answer in record.get("alternatives", [record])} == {"interrupted"}
    return seconds


def goes_on(kernel: Kernel, *, base_url: str | None = None) -> None:
    """Ask in a cell below: the question that got no answer is not sent along, and nothing was left behind."""
    with behind(kernel, whole_answer("fine")) as gateway:
        ran = kernel.run("%%chat\nB", "below")
        if base_url:
            kernel.run(f"%config MixRoute.base_url = {base_url!r}")
    assert ran.status == "ok", ran.lines
    assert [body["messages"] for body in gateway.bodies] == [[{"role": "user", "content": "B"}]]
    left = "[t.name for t in threading.enumerate() if t.name.startswith('mixroute') and 'demo' not in t.name]"
    assert kernel.value(left) == "[]"
    assert "unfinished" not in rows(kernel)


def words_of(ran: Ran) -> str:
    """Return what came of the answer, as its record has it."""
    last = ran.metadata["messages"][-1]
    return str(last["content"]) if last["role"] == "assistant" else ""


def test_while_it_connects(kernel: Kernel) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, socket.create_connection(server.getsockname()):
        kernel.run(f"%config MixRoute.base_url = 'http://127.0.0.1:{server.getsockname()[1]}/v1'")
        ran = kernel.send("%%chat\nA", "first")
        process = psutil.Process(kernel.manager.provisioner.pid)
        until(lambda: any(found.status == psutil.CONN_SYN_SENT for found in process.net_connections()))
        assert stopped(kernel, ran) < PROMPT
    assert ran.lines == ["Interrupted: nothing had arrived yet.", "Run the cell again."]
    assert rows(kernel)[-1] == "interrupted"
    goes_on(kernel)


@pytest.mark.parametrize("where", ["at the question", "in the tool", "after the tool"])
def test_around_a_tool(kernel: Kernel, where: str) -> None:
    kernel.run("def add(a: int) -> int:\n    print('runs')\n    wait.wait(0 if a else None)\n    return a")
    kernel.run("wait = threading.Event()")
    call = part(json.dumps({"a": int(where == "after the tool")}), index=0, id="c", name="add")
    with behind(kernel, asking(call), [SILENCE]) as gateway:
        ran = kernel.send("%%chat --tool add\nA", "first")
        if where == "at the question":
            ran.asks()
        else:
            ran.answer("y")
            ran.until(lambda ran: "runs" in ran.text)
        if where == "after the tool":
            until(lambda: len(gateway.bodies) > 1)
        assert stopped(kernel, ran) < PROMPT
        if where == "after the tool":
            assert gateway.closed_by_client.wait(30)
    assert ran.lines == ["Interrupted: the model asked for add, and had not answered yet.", "Run the cell again."]
    said = [message["role"] for message in ran.metadata["messages"]]
    assert said == (["user", "assistant", "tool"] if where == "after the tool" else ["user"])
    assert rows(kernel)[-1] == "interrupted"
    goes_on(kernel)


def test_while_much_is_drawn(kernel: Kernel) -> None:
    text = markdown(400_000)
    pieces = [delta(text[start : start + 40]) for start in range(0, len(text), 40)]
    with behind(kernel, answer(*pieces, SILENCE)) as gateway:
        ran = kernel.send("%%chat\nA", "first").until(lambda ran: len(ran.frames) > 3)
        assert stopped(kernel, ran) < PROMPT
        assert gateway.closed_by_client.wait(30)
    assert text.startswith(words_of(ran))
    assert ran.markdown.startswith(words_of(ran)[:200].split("\n")[0])
    assert words_of(ran).startswith(ran.streamed)
    goes_on(kernel)


def test_while_the_journal_is_locked(kernel: Kernel) -> None:
    goes_on(kernel)  # it opens the journal
    (path,) = kernel.home.rglob("journal.sqlite")
    with closing(sqlite3.connect(path, isolation_level=None)) as other, behind(kernel, whole_answer("a")) as gateway:
        other.execute("begin immediate")
        ran = kernel.send("%%chat\nA", "first").until(lambda ran: ran.contents("display_data"))
        assert stopped(kernel, ran) < PROMPT
    assert ran.lines[0] == "Interrupted: nothing had arrived yet."
    assert gateway.asked == []
    goes_on(kernel)


def test_while_the_notebook_is_read_by_the_first_magic(tmp_path: Path) -> None:
    document = Document(tmp_path / "talk.ipynb")
    with scripted(whole_answer("a")) as gateway, Kernel(tmp_path, gateway.base_url, document.path) as kernel:
        document.run(kernel, "first", "%%chat\nA")
        document.save()
        saved = document.path.rename(tmp_path / "saved.ipynb")
        os.mkfifo(document.path)
        kernel.restart()
        ran = kernel.send("%%chat\nB", "second")
        until(lambda: _has_reader(document.path))
        stopped(kernel, ran)
        assert ran.lines == ["Interrupted: nothing had arrived yet.", "Run the cell again."]
        saved.replace(document.path)
        kernel.run("%%chat\nB", "second")
    assert [message["content"] for message in gateway.bodies[-1]["messages"]] == ["A", "a", "B"]


def _has_reader(path: Path) -> bool:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


def test_one_that_python_drops_is_raised_again(kernel: Kernel) -> None:
    """Where an object is disposed of, Python only prints what is raised: such a Stop was lost, and the cell went on."""
    kernel.run(
        "import signal\nclass Falls:\n    def __del__(self):\n        os.kill(os.getpid(), signal.SIGINT)\n"
        "        for _ in range(9):\n            pass\ndef drop() -> int:\n    Falls()\n    return 1"
    )
    with behind(kernel, asking(part("{}", index=0, id="c", name="drop")), [SILENCE]):
        ran = kernel.run("%%chat --tool drop --yes\nA", "first")
    assert ran.lines == ["Interrupted: the model asked for drop, and had not answered yet.", "Run the cell again."]
    assert "ignored" not in ran.text
    goes_on(kernel)


@pytest.mark.parametrize(("models", "moments"), [("", MOMENTS), ("-m a -m b", MOMENTS_OF_TWO)])
def test_at_random_moments(kernel: Kernel, models: str, moments: int) -> None:
    chance = random.Random(20261126)
    with behind(kernel, FLOWING) as gateway:
        whole = "".join(WORDS)
        ran = kernel.send(_once_begun(models), "first").until(_begun)
        began = time.monotonic()
        ran.until(lambda ran: whole in ran.streamed or ran.streamed.endswith(WORDS[-1]))
        flowing = time.monotonic() - began
        stopped(kernel, ran)
        slowest, heard = 0.0, 0
        for _ in range(moments):
            ran = kernel.send(_once_begun(models), "first").until(_begun)
            time.sleep(chance.uniform(0.005, flowing))
            slowest = max(slowest, stopped(kernel, ran))
            heard += len(ran.records)
            for record in ran.records:
                for answered in record.get("alternatives", [record]):
                    said = answered["messages"][1:]
                    assert whole.startswith(said[0]["content"] if said else "")
                    assert not said or said[0]["content"].strip() in ran.text
            goes_on(kernel, base_url=gateway.base_url)
        until(lambda: len(gateway.closed) == len(gateway.asked))
    assert slowest < PROMPT
    assert heard > moments / 2


def _once_begun(models: str) -> str:
    """Return a cell that tells when the kernel has come as far as its question."""
    return f"display('begun')\n%chat {models} A"


def _begun(ran: Ran) -> bool:
    return "begun" in ran.text


@pytest.mark.parametrize(("importer", "whole"), [("mixroute_magic.any", True), ("__main__", False)])
def test_a_library_is_imported_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, importer: str, *, whole: bool
) -> None:
    """One that was cut short, such as SQLAlchemy, could not be imported again in the kernel's life."""
    name = f"library_{whole}".lower()
    press = "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\n"
    (tmp_path / f"{name}.py").write_text(press + "for _ in range(9):\n    time.sleep(0.01)\nIMPORTED = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(KeyboardInterrupt), heard():
        exec(f"import {name}", {"__name__": importer})
        threading.Event().wait(PATIENCE)
    assert hasattr(sys.modules.get(name), "IMPORTED") is whole
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
