"""CPU of the notebook's memory: to restore 1,000 turns (20 MB), and what it adds to each chat cell after that.

Run by hand: ``.venv/bin/python tests/benchmarks/memory_cpu.py``. Each task runs in fresh processes, in turns with
``json.loads`` of the same file, or of one with a hundredth of its turns, so that only the ratio counts and not the
machine.
"""

from __future__ import annotations

import json
import os
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
    from mixroute_magic.conversation.turn import Turn
    from mixroute_magic.plan import Plan

    Task = Callable[[], Any]

TURNS = 1_000
ROUNDS = 5
LONG_ENOUGH = 0.5  # seconds of CPU in which a task is repeated
NEW = "new-cell"  # it stands at the end of the page, and was not saved yet
SECTION = """## {number}. What changes when $n$ grows to {size:,}

A batch of **{size:,}** rows is read at once — the rest waits. Two things follow from that:

- the first pass needs `O(n log n)` steps, about {size:,} × {number} comparisons;
- the second one only looks at what is left, see [the manual](https://example.org/manual#{number}).

```python
def step_{number}(rows: list[float], limit: int = {size}) -> list[float]:
    return sorted(row * {number} for row in rows[:limit] if row > 0)
```

"""


def write_notebooks(folder: Path) -> tuple[Path, Path]:
    """Write a notebook of 1,000 turns, and one with a hundredth of them."""
    whole, part = folder / "whole.ipynb", folder / "part.ipynb"
    _write_notebook(whole, TURNS)
    _write_notebook(part, TURNS // 100)
    return whole, part


def _write_notebook(path: Path, turns: int) -> None:
    """Write a text cell and a chat cell for each turn, as JupyterLab saves them."""
    import nbformat

    cells = []
    for number in range(turns):
        chat = nbformat.v4.new_code_cell(f"%%chat\n{question(number)}", id=f"chat-{number}", execution_count=number + 1)
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


def parsing(path: Path) -> Task:
    return lambda: json.loads(path.read_bytes())


def reading(path: Path) -> Task:
    import nbformat

    nbformat.validate(nbformat.v4.new_notebook())  # the first time imports what it validates with
    return lambda: nbformat.read(path, as_version=4)


def restoring(path: Path) -> Task:
    from mixroute_magic.conversation.memory import Notebook
    from mixroute_magic.conversation.model import Run

    return lambda: Notebook(path).refresh(None, Run("1", NEW), "")


def cell(path: Path, cell_id: str = NEW) -> Task:
    """Return what a chat cell does first, in the shell of a kernel; its page does not tell, the file is unchanged."""
    from ipykernel.zmqshell import ZMQInteractiveShell

    from mixroute_magic.config import MixRoute
    from mixroute_magic.session import Session

    os.environ["JPY_SESSION_NAME"] = str(path)
    shell = ZMQInteractiveShell.instance()
    header, content = {"msg_id": "1", "session": "page"}, {"code": "%%chat\nWhy?"}
    shell.set_parent({"header": header, "metadata": {"cellId": cell_id}, "content": content})
    session = Session(shell, MixRoute())
    return with_all_turns(lambda: session.notebook().conversation.above(session.run(), "main"))


def cell_in_vs_code(path: Path) -> Task:
    return cell(path, f"vscode-notebook-cell:{path}#W0sZmlsZQ%3D%3D")


def cell_on_a_page(path: Path) -> Task:
    """Return the same with a page that has told its 2,000 cells; a page needs a kernel, so this is without a shell."""
    from mixroute_magic.conversation.model import Run
    from mixroute_magic.conversation.page import Page, PageCell
    from mixroute_magic.conversation.saved import SavedNotebook

    notebook, run = restored(path), Run("1", NEW)
    saved = (PageCell(cell.id, cell.turns) for cell in SavedNotebook(path).cells())
    page = Page(path.name, (*saved, PageCell(NEW, ())))

    def above() -> list[Turn]:
        notebook.refresh(page, run, "")
        return notebook.conversation.above(run, "main")

    return with_all_turns(above)


def with_all_turns(above: Callable[[], list[Turn]]) -> Task:
    assert len(above()) == TURNS
    return above


def restored(path: Path) -> Notebook:
    from mixroute_magic.conversation.memory import Notebook
    from mixroute_magic.conversation.model import Run

    notebook = Notebook(path)
    notebook.refresh(None, Run("1", NEW), "")
    return notebook


def listing(path: Path) -> Task:
    from mixroute_magic.conversation.model import Run

    conversation = restored(path).conversation
    return lambda: conversation.lines(Run("1", NEW), "main")


def completing(path: Path) -> Task:
    from mixroute_magic.conversation.turn import complete

    cells = [{0: turn} for turn in restored(path).conversation.thread("main")]
    return lambda: list(map(complete, cells))


def plan(path: Path) -> Plan:
    from mixroute_magic.conversation.model import Run
    from mixroute_magic.plan import Plan, Settings

    above = restored(path).conversation.thread("main")
    return Plan(run=Run("1"), thread="main", gateway="x", settings=Settings(model="glm-5"), prompt="Why?", above=above)


def requesting(path: Path) -> Task:
    return plan(path).request


def fingerprinting(path: Path) -> Task:
    request = plan(path).request()
    return lambda: request.fingerprint("x")


def digesting(path: Path) -> Task:
    return plan(path).context


WHOLE = {"nbformat.read": reading, "restore": restoring}
CELLS = {"cell": cell, "cell on a page": cell_on_a_page, "cell in VS Code": cell_in_vs_code}
OTHERS = {
    "Plan.request": requesting,
    "Request.fingerprint": fingerprinting,
    "Plan.context": digesting,
    "lines of %thread": listing,
    "complete, of each cell": completing,
}
TASKS = {"json.loads": parsing} | WHOLE | CELLS | OTHERS


def time_of(task: Task) -> float:
    """Return the least CPU seconds of a task."""
    taken = []
    end = time.process_time() + LONG_ENOUGH
    while (begun := time.process_time()) < end:
        task()
        taken.append(time.process_time() - begun)
    return min(taken)


def bytes_kept(path: Path) -> int:
    """Return how much memory a restored notebook takes, for each turn."""
    restored(path)  # what was imported is not counted
    tracemalloc.start()
    notebook = restored(path)
    taken, _ = tracemalloc.get_traced_memory()
    return taken // len(notebook.conversation.thread("main"))


def measure(task: str, path: Path) -> float:
    """Return the CPU seconds of a task in a fresh process (of ``memory`` the bytes); imports are not counted."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    own = {"IPYTHONDIR": str(path.parent), "JUPYTER_DATA_DIR": str(path.parent)}
    command = [sys.executable, __file__, task, str(path)]
    return float(subprocess.run(command, env=inherited | own, capture_output=True, text=True, check=True).stdout)


def ratio(task: str, path: Path, parsed: Path, rounds: int = ROUNDS) -> float:
    """Return the least ratio of a pair, a task and ``json.loads`` of a file: what disturbs one side is not the code."""
    return min(measure(task, path) / measure("json.loads", parsed) for _ in range(rounds))


def main(task: str = "", path: str = "") -> None:
    if task == "memory":
        print(bytes_kept(Path(path)))
    elif task:
        print(time_of(TASKS[task](Path(path))))
    else:
        with tempfile.TemporaryDirectory() as folder:
            show(*write_notebooks(Path(folder)))


def show(whole: Path, part: Path) -> None:
    print(f"A notebook of {TURNS:,} turns, {whole.stat().st_size / 1e6:.1f} MB\n")
    for name in WHOLE:
        print(f"{name:<24}{ratio(name, whole, whole):8.2f} times json.loads of the file")
    for name in CELLS:
        print(f"{name:<24}{ratio(name, whole, part):8.2f} times json.loads of 1 % of it")
    for name in ("json.loads", *OTHERS):
        print(f"{name:<24}{measure(name, whole) * 1e3:8.2f} ms")
    print(f"{'memory of a turn':<24}{measure('memory', whole) / 1e3:8.2f} kB")


if __name__ == "__main__":
    main(*sys.argv[1:])
