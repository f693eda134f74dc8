"""Kernels that ask for a long time: nothing is lost, and nothing grows.

Run by hand: ``.venv/bin/python tests/benchmarks/soak.py``, about a minute; the long one is
``.venv/bin/python tests/benchmarks/soak.py --kernels 32 --minutes 5 --turns 2000``. First so many real kernels stream
at once from one demo gateway and write to one ledger; then one kernel asks so many turns, over cells that are run again
and again (``--cells``), each with the cells above it.

Every answer is compared with what the gateway says to the same messages without a stream, and the ledger's rows are
counted. A kernel's memory, open descriptors, threads, widgets and Python objects are looked at after a first tenth of
its turns, which warms it up, and at the end. Linux only: it reads ``/proc``.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS))

from kernels import Kernel  # noqa: E402  # found by the path above

if TYPE_CHECKING:
    from collections.abc import Iterator

MODEL = "gpt-4o"
CELLS = 20
LOOKS = 10  # at a kernel, in the course of its turns
STARTING = 4  # kernels that start at the same time
PATIENCE = 900  # seconds until all have started

CENSUS = """
def _census():
    import contextlib, gc, os, sys, threading
    gc.collect()
    with open("/proc/self/statm") as statm:
        resident = int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    links = []
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # closed meanwhile
            links.append(os.readlink(f"/proc/self/fd/{number}"))
    # What ipykernel opened for a thread that has ended, it closes within ten seconds; IPython's history comes and goes.
    files = sum("anon_inode" not in link and "profile_default" not in link for link in links)
    objects = gc.get_objects()
    module = sys.modules.get("ipywidgets.widgets.widget")
    widgets = sum(issubclass(type(one), module.Widget) for one in objects) if module else 0  # closed ones, too
    return [resident, files, threading.active_count(), widgets, len(objects)]
"""


@dataclass(frozen=True)
class Look:
    """A kernel at one moment, after so many turns."""

    turns: int
    memory: int  # bytes
    descriptors: int
    threads: int
    widgets: int
    objects: int


@dataclass
class Asking:
    """A kernel whose cells are run again and again, each with the cells above it, and what came of it."""

    kernel: Kernel
    gateway: str
    cells: int
    turns: int = 0
    lost: list[str] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    said: dict[int, list[dict[str, str]]] = field(default_factory=dict)  # by cell

    def ask(self) -> None:
        """Run the next cell, and compare what its output says with what the gateway says to these messages."""
        cell = self.turns % self.cells
        self.turns += 1
        question = f"Turn {self.turns}: please explain 漢字 and $x^2$."
        ran = self.kernel.run(f"%%chat -m {MODEL}\n{question}", f"cell-{cell}")
        above = [message for earlier in range(cell) for message in self.said[earlier]]
        asked = {"role": "user", "content": question}
        expected = reference(self.gateway, [*above, asked])
        said = ran.metadata["messages"][-1]["content"] if ran.status == "ok" and ran.records else None
        if said != expected or ran.metadata["status"] != "complete":
            self.lost.append(f"turn {self.turns}: {ran.lines or said!r}")
        self.said[cell] = [asked, {"role": "assistant", "content": expected}]
        self.kernel.heard.clear()

    def look(self) -> Look:
        """Count what the kernel holds now."""
        self.looks.append(Look(self.turns, *json.loads(self.kernel.value("_census()"))))
        return self.looks[-1]


def reference(gateway: str, messages: list[dict[str, str]]) -> str:
    """Return the gateway's whole answer, read by none of our code."""
    body = json.dumps({"model": MODEL, "messages": messages}).encode()
    request = urllib.request.Request(f"{gateway}/chat/completions", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return str(json.load(response)["choices"][0]["message"]["content"])


@contextmanager
def demo_gateway(pace: float) -> Iterator[str]:
    """Run the demo gateway in a process of its own."""
    command = [sys.executable, "-u", "-m", "mixroute_magic.demo", "--pace", str(pace)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=TESTS.parent) as server:
        assert server.stdout is not None
        yield next(word for word in server.stdout.readline().split() if word.startswith("http"))
        server.terminate()


@contextmanager
def asking(home: Path, gateway: str, number: int, cells: int = CELLS) -> Iterator[Asking]:
    """Start a kernel for a notebook of its own; all notebooks of a home share their ledger."""
    with Kernel(home, gateway, home / f"soak-{number}.ipynb") as kernel:
        assert kernel.run(CENSUS).status == "ok"
        yield Asking(kernel, gateway, cells)


def rows(home: Path) -> Counter[str]:
    """Return how many requests the ledger has, by how they ended."""
    with closing(sqlite3.connect(home / "data" / "mixroute" / "ledger.sqlite")) as ledger:
        return Counter(dict(ledger.execute("SELECT status, count(*) FROM requests GROUP BY status")))


def stream_at_once(home: Path, kernels: int, minutes: float) -> list[Asking]:
    """Let so many kernels stream, each answer as slowly as a model's, until the time is over."""
    quick = demo_gateway(0)  # what is expected need not be waited for
    starting, ready = threading.Semaphore(STARTING), threading.Barrier(kernels)
    with demo_gateway(1) as gateway, quick as expected, ThreadPoolExecutor(kernels) as threads:

        def ask(number: int) -> Asking:
            with ExitStack() as stack:
                with starting:
                    one = stack.enter_context(asking(home, gateway, number))
                one.gateway = expected
                ready.wait(PATIENCE)
                end = time.monotonic() + 60 * minutes
                warm = time.monotonic() + 6 * minutes
                while time.monotonic() < end:
                    one.ask()
                    if not one.looks and time.monotonic() > warm:
                        one.look()
                one.look()
            return one

        return list(threads.map(ask, range(kernels)))


def ask_often(home: Path, turns: int, cells: int, looks: int = LOOKS) -> Asking:
    """Let one kernel ask so many turns, without a pause."""
    with demo_gateway(0) as gateway, asking(home, gateway, 0, cells) as one:
        while one.turns < turns:
            one.ask()
            if one.turns % max(1, turns // looks) == 0:
                one.look()
    return one


def show(what: str, asked: list[Asking], kept: Counter[str]) -> None:
    """Print what was lost, and what grew after the first look."""
    turns = sum(one.turns for one in asked)
    lost = [line for one in asked for line in one.lost]
    print(f"\n{what}\n")
    print(f"requests               {turns:,}")
    print(f"lost or wrong answers  {len(lost)}")
    print(f"lost rows              {turns - kept['complete']}   (the ledger has {dict(kept)})")
    for line in lost[:5]:
        print(f"    {line[:300]}")
    print("\n kernel  turns  memory, MB   grown, kB a 1,000 turns  descriptors  threads  widgets   objects")
    for number, one in enumerate(asked):
        first, last = one.looks[0], one.looks[-1]
        grown = (last.memory - first.memory) / 1e3 / max(1, last.turns - first.turns) * 1_000
        print(
            f"{number:>7}{last.turns:>7}{first.memory / 1e6:>6.1f} → {last.memory / 1e6:<5.1f}{grown:>20,.0f}"
            f"{f'{first.descriptors} → {last.descriptors}':>17}{f'{first.threads} → {last.threads}':>9}"
            f"{f'{first.widgets} → {last.widgets}':>9}{f'{first.objects:,} → {last.objects:,}':>20}"
        )


def show_looks(one: Asking) -> None:
    """Print how one kernel's figures went."""
    print("\n  turns  memory, MB  descriptors  threads  widgets   objects")
    for look in one.looks:
        print(
            f"{look.turns:>7}{look.memory / 1e6:>12.1f}{look.descriptors:>13}{look.threads:>9}"
            f"{look.widgets:>9}{look.objects:>10,}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kernels", type=int, default=4, help="that stream at once; 0 leaves this part out")
    parser.add_argument("--minutes", type=float, default=0.4)
    parser.add_argument("--turns", type=int, default=300, help="of one kernel; 0 leaves this part out")
    parser.add_argument("--cells", type=int, default=CELLS, help="over which these turns go, again and again")
    arguments: Any = parser.parse_args()
    if arguments.kernels:
        with tempfile.TemporaryDirectory() as folder:
            asked = stream_at_once(Path(folder), arguments.kernels, arguments.minutes)
            what = f"{arguments.kernels} kernels, streaming at once for {arguments.minutes:g} min"
            show(what, asked, rows(Path(folder)))
    if arguments.turns:
        with tempfile.TemporaryDirectory() as folder:
            one = ask_often(Path(folder), arguments.turns, arguments.cells)
            show(f"One kernel, {arguments.turns:,} turns over {arguments.cells} cells", [one], rows(Path(folder)))
            show_looks(one)


if __name__ == "__main__":
    main()
