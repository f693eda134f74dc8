"""An answer outlives its page, and its kernel's death costs two seconds of it."""

from __future__ import annotations

import os
import signal
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING

import pytest
from conftest import APPS, READY
from scripted import DONE, STOP, USAGE, Pause, answer, delta, scripted, whole
from test_memory import asked, notebook, run_cells

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Lab, NotebookPage
    from scripted import Piece, ScriptedGateway

# A kernel that runs a cell does not say so to a page that comes later.
OPENED = """() => {
  const panel = window.jupyterapp?.shell.currentWidget;
  return panel?.context?.isReady && panel.sessionContext.session?.kernel;
}"""


def open_and_ask(lab: Lab, gateway: ScriptedGateway, name: str, app: str = "lab") -> tuple[NotebookPage, int]:
    """Open a notebook of two questions in cells 2 and 3, begin the first, and return the kernel's process, too."""
    cells = notebook(gateway, "%%chat\nfirst", "%%chat\nsecond", "print(os.getpid())")
    opened = lab.open(cells, name, app=app)
    run_cells(opened, 0, 1, 4)
    (printed,) = opened.outputs()[4]
    opened.save()
    opened.do(("at", 2))
    opened.start("notebook:run-cell")
    return opened, int(printed["text"])


@pytest.mark.parametrize("app", APPS)
def test_an_answer_whose_page_was_loaded_again_comes_into_its_cell(lab: Lab, app: str) -> None:
    pieces: SimpleQueue[Piece | None] = SimpleQueue()

    def dictated() -> Iterator[Piece]:
        yield from answer()
        while piece := pieces.get():
            yield piece

    with scripted(dictated(), whole("Well.")) as gateway:
        opened, _ = open_and_ask(lab, gateway, "reload.ipynb", app)
        pieces.put(delta("half of it"))
        opened.page.locator(".mr-answer", has_text="half of it").wait_for()
        opened.page.reload()
        opened.page.wait_for_function(OPENED)
        for piece in (delta(" and the rest"), STOP, USAGE, DONE, None):
            pieces.put(piece)
        opened.page.wait_for_function(READY)
        opened.page.locator(".jp-RenderedMarkdown", has_text="half of it and the rest").wait_for()
        (output,) = opened.save().cells[2].outputs
        assert output.data["text/plain"].startswith("half of it and the rest")
        record = output.metadata["mixroute"]
        assert record["status"] == "complete"
        assert record["messages"][-1] == {"role": "assistant", "content": "half of it and the rest"}
        run_cells(opened, 3)
        assert asked(gateway) == ["first", "half of it and the rest", "second"]


def test_an_answer_cut_off_by_a_kill_is_offered_and_carried_only_when_taken(lab: Lab) -> None:
    spoken = threading.Event()

    def speech() -> Iterator[Piece]:
        yield from answer()
        for number in range(20):  # for five seconds
            yield delta(f"word{number} ")
            yield Pause(0.25)
        spoken.set()
        yield Pause(60)

    with scripted(speech(), whole("Well."), whole("Further."), whole("Again.")) as gateway:
        opened, process = open_and_ask(lab, gateway, "kill.ipynb")
        assert spoken.wait(60)
        os.kill(process, signal.SIGKILL)
        opened.page.locator(".jp-Dialog .jp-mod-accept").click()
        opened.page.wait_for_function(READY)

        run_cells(opened, 0, 1, 3)
        assert asked(gateway) == ["second"]
        assert "1 answer cut off when the last kernel died: -c in its cell goes on" in "".join(opened.output_texts())

        opened.do(("at", 2), ("write", "%%chat -c\ngo on"), "notebook:run-cell")
        question, partial, further = asked(gateway)
        assert (question, further) == ("first", "go on")
        assert partial.startswith("word0 word1 word2")
        assert "word7" in partial, "three seconds before the kill"
        run_cells(opened, 3)
        assert asked(gateway) == ["first", partial, "go on", "Further.", "second"]
