"""What JupyterLab itself saves, restarts and stops: the conversation as the gateway sees it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import nbformat
from scripted import Pause, ScriptedGateway, answer, delta, scripted, whole

if TYPE_CHECKING:
    from conftest import Lab, NotebookPage

KEY = "sk-test-key-browser"
RESTART = "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
INTERRUPT = "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.interrupt()"


def notebook(gateway: ScriptedGateway, *questions: str) -> nbformat.NotebookNode:
    load = f"%env MIXROUTE_BASE_URL={gateway.base_url}\n%load_ext mixroute_magic"
    key = f"import os; os.environ['MIXROUTE_API_KEY'] = '-'.join({KEY.split('-')})"
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in (load, key, *questions)])


def asked(gateway: ScriptedGateway) -> list[str]:
    """Return the words of the last request."""
    return [message["content"] for message in gateway.bodies[-1]["messages"]]


def run_cells(opened: NotebookPage, *numbers: int) -> None:
    """Run single cells, as Shift+Enter does."""
    for number in numbers:
        opened.page.evaluate(
            """async (number) => {
              const notebook = window.jupyterapp.shell.currentWidget.content;
              notebook.deselectAll();
              notebook.activeCellIndex = number;
              await window.jupyterapp.commands.execute("notebook:run-cell");
            }""",
            number,
        )


def test_after_a_restart_the_third_question_carries_the_first_two_turns(lab: Lab) -> None:
    with scripted(whole("One."), whole("Two."), whole("Three."), whole("Two again.")) as gateway:
        opened = lab.open(notebook(gateway, "%%chat\nfirst", "%%chat\nsecond", "%%chat\nthird"), "memory.ipynb")
        run_cells(opened, 0, 1, 2, 3)
        assert asked(gateway) == ["first", "One.", "second"]
        saved = json.dumps(opened.save())
        opened.page.evaluate(RESTART)
        run_cells(opened, 0, 1, 4)
        assert asked(gateway) == ["first", "One.", "second", "Two.", "third"]
        assert "2 earlier turns restored from memory.ipynb" in opened.output_texts()[-1]
        run_cells(opened, 3)
        assert asked(gateway) == ["first", "One.", "second"]
        assert "Two again." in "".join(opened.output_texts())
    assert KEY not in saved
    assert KEY not in json.dumps(opened.save())


def test_stop_keeps_what_came_and_the_next_question_does_not_carry_it(lab: Lab) -> None:
    with scripted(answer(delta("half of "), delta("it"), Pause(60)), whole("Well.")) as gateway:
        opened = lab.open(notebook(gateway, "%%chat\nfirst", "%%chat\nsecond"), "stop.ipynb")
        run_cells(opened, 0, 1)
        opened.page.evaluate("() => { window.ran = false; }")
        opened.page.evaluate(
            """() => {
              window.jupyterapp.shell.currentWidget.content.activeCellIndex = 2;
              window.jupyterapp.commands.execute("notebook:run-cell").finally(() => { window.ran = true; });
            }"""
        )
        opened.page.locator(".mr-answer", has_text="half of it").wait_for()
        opened.page.evaluate(INTERRUPT)
        opened.wait()
        assert gateway.closed_by_client.wait(10)
        turn, error = opened.outputs()[2]
        assert turn["metadata"]["mixroute"]["status"] == "interrupted"
        assert turn["data"]["text/plain"].startswith("half of it")
        assert error["output_type"] == "error"
        assert len(error["traceback"]) == 2
        run_cells(opened, 3)
        assert asked(gateway) == ["second"]
        assert KEY not in json.dumps(opened.save())
