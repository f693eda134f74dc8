"""CPU of the notebook's memory: to restore 1,000 turns (20 MB), and what each chat cell then adds.

Run by hand: ``.venv/bin/python tests/benchmarks/memory_cpu.py``. Each task runs in fresh processes, in turns with
``json.loads`` of the same file (or of one with a hundredth of its turns), so that only the ratio counts and not the
machine.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from mixroute_magic.conversation.memory import Notebook
    from mixroute_magic.session import Session

TURNS = 1_000
ROUNDS = 5
ONCE, OFTEN = 1, 101  # a file is read once in a process, as a new kernel does; a cell is one of many
NEW = "cell-new"  # a cell at the end of the page, not saved yet
SECTION = """## {number}. What changes when $n$ grows to {size:,}

A batch of **{size:,}** rows is read at once — the rest waits. Two things follow from that:

- the first pass needs `O(n log n)` steps, about {size:,} × {number} comparisons;
- the second one only looks at what is left, see [the manual](https://example.org/manual#{number}).

```python
def step_{number}(rows: list[float], limit: int = {size}) -> list[float]:
    return sorted(row * {number} for row in rows[:limit] if row > 0)
```

"""


def write_notebook(path: Path, turns: int) -> None:
    """Write a notebook with a text cell and a chat cell for each turn, as JupyterLab saves it."""
    import nbformat

    cells = []
    for number in range(turns):
        chat = nbformat.v4.new_code_cell(f"%%chat\n{question(number)}", id=f"cell-{number}", execution_count=number + 1)
        chat.outputs.append(nbformat.from_dict(output(number)))
        cells += [nbformat.v4.new_markdown_cell(f"## Part {number}", id=f"text-{number}"), chat]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)


def question(number: int) -> str:
    return f"How does step {number} follow from the one before? {'Please give an example in Python. ' * 5}"


def output(number: int) -> dict[str, Any]:
    """Return the output of one turn: an answer of about 6.5 kB, shown twice, and once more in the turn's record."""
    from mixroute_magic.conversation.turn import COMPLETE, Turn
    from mixroute_magic.wire import Message, Usage

    answer = "".join(SECTION.format(number=number + part, size=1_000 * (number + 1)) for part in range(11))
    turn = Turn(
        turn=f"{number:032x}",
        thread="main",
        status=COMPLETE,
        model="glm-5",
        served_model="glm-5",
        params={"temperature": 0.7},
        messages=(Message("user", question(number)), Message("assistant", answer)),
        usage=Usage(1_700 * number, 1_650, None, None, "reported"),
        finish_reason="stop",
        request_hash=f"{number:064x}",
        request_id=f"req-{number:024x}",
        context=f"{number:016x}",
        created="2026-11-22T03:00:00Z",
        seconds=21.4,
        first_token_seconds=0.62,
    )
    footer = f"glm-5 · {1_700 * number:,} → 1,650 tokens · 21.4 s · stop"
    return {
        "output_type": "display_data",
        "data": {"text/markdown": f"{answer}*{footer}*", "text/plain": f"{answer}{footer}"},
        "metadata": {"mixroute": turn.to_metadata()},
    }


def prepare_json(path: Path) -> Callable[[], Any]:
    return lambda: json.loads(path.read_bytes())


def prepare_nbformat(path: Path) -> Callable[[], Any]:
    import nbformat

    nbformat.validate(nbformat.v4.new_notebook())  # the first time imports what it validates with
    return lambda: nbformat.read(path, as_version=4)


def prepare_restore(path: Path) -> Callable[[], Any]:
    from mixroute_magic.conversation.memory import Notebook
    from mixroute_magic.conversation.model import Run

    return lambda: Notebook(path).refresh(None, Run("1", NEW), "")


def prepare_cell(path: Path) -> Callable[[], Any]:
    """A chat cell whose page does not tell: the file is looked at, and has not changed."""
    session = open_session(path)
    return lambda: session.notebook().conversation.above(session.run(), "main")


def prepare_cell_on_page(path: Path) -> Callable[[], Any]:
    """A chat cell whose page has told its cells before."""
    from mixroute_magic.conversation.model import Run
    from mixroute_magic.conversation.page import Page, PageCell
    from mixroute_magic.conversation.saved import SavedNotebook

    notebook, run = restored(path), Run("1", NEW)
    page = Page(path.name, (*(PageCell(cell.id, cell.turns) for cell in SavedNotebook(path).cells()), PageCell(NEW, ())))

    def ask() -> None:
        notebook.refresh(page, run, "")
        assert len(notebook.conversation.above(run, "main")) == TURNS

    return ask


PREPARATIONS = {
    "json.loads": prepare_json,
    "nbformat.read": prepare_nbformat,
    "restore": prepare_restore,
    "cell": prepare_cell,
    "cell on a page": prepare_cell_on_page,
}


def open_session(path: Path) -> Session:
    """Return the session of a kernel's shell in which a cell of this notebook runs."""
    from ipykernel.zmqshell import ZMQInteractiveShell

    from mixroute_magic.config import MixRoute
    from mixroute_magic.session import Session

    os.environ["JPY_SESSION_NAME"] = str(path)
    shell = ZMQInteractiveShell.instance()
    header, content = {"msg_id": "1", "session": "page"}, {"code": "%%chat\nWhy?"}
    shell.set_parent({"header": header, "metadata": {"cellId": NEW}, "content": content})
    return Session(shell, MixRoute())


def restored(path: Path) -> Notebook:
    from mixroute_magic.conversation.memory import Notebook
    from mixroute_magic.conversation.model import Run

    notebook = Notebook(path)
    notebook.refresh(None, Run("0", NEW), "")
    return notebook


def time_of(task: Callable[[], Any], repeat: int = OFTEN) -> float:
    """Return the median CPU seconds of a task."""
    taken = []
    for _ in range(repeat):
        begun = time.process_time()
        task()
        taken.append(time.process_time() - begun)
    return statistics.median(taken)


def measure(task: str, path: Path, repeat: int) -> float:
    """Return the CPU seconds of a task in a fresh process; imports are not counted."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    own = {"IPYTHONDIR": str(path.parent), "JUPYTER_DATA_DIR": str(path.parent)}
    command = [sys.executable, __file__, task, str(path), str(repeat)]
    ran = subprocess.run(command, env=inherited | own, capture_output=True, text=True, check=True)
    return float(ran.stdout)


def ratios(folder: Path, rounds: int = ROUNDS) -> dict[str, float]:
    """Return the median of each task's CPU over that of ``json.loads``, pair by pair.

    Reading is compared with ``json.loads`` of the same file, a cell with that of a hundredth of it.
    """
    whole, part = folder / "whole.ipynb", folder / "part.ipynb"
    write_notebook(whole, TURNS)
    write_notebook(part, TURNS // 100)
    pairs = {"nbformat.read": (whole, ONCE), "restore": (whole, ONCE), "cell": (part, OFTEN), "cell on a page": (part, OFTEN)}
    return {
        task: statistics.median(
            measure(task, whole, repeat) / measure("json.loads", path, repeat) for _ in range(rounds)
        )
        for task, (path, repeat) in pairs.items()
    }
def main(task: str = "", path: str = "", repeat: str = "1") -> None:
    if task:
        print(time_of(PREPARATIONS[task](Path(path)), int(repeat)))
        return
    with tempfile.TemporaryDirectory() as folder:
        for name, r in ratios(Path(folder)).items():
            print(name, round(r, 3))
        w = Path(folder) / "whole.ipynb"
        print(w.stat().st_size, measure("json.loads", w, 1), measure("json.loads", w.with_name("part.ipynb"), OFTEN), measure("cell", w, OFTEN), measure("cell on a page", w, OFTEN), measure("restore", w, 1))


if __name__ == "__main__":
    main(*sys.argv[1:])
