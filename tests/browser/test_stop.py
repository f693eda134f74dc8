"""The button of the live view that stops an answer, in JupyterLab and in Notebook."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from conftest import APPS
from kernels import FEED
from scripted import Pause, answer, delta, scripted, whole
from test_live_view import notebook as cells
from test_memory import asked, notebook, run_cells

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Lab, NotebookPage
    from playwright.sync_api import Locator
    from scripted import ScriptedGateway

MOST_SECONDS = 0.5  # from the press of the button to the end of the request
ATTEMPTS = 3  # of which the best counts: other tests may be at work on this machine
HALF = answer(delta("half of "), delta("it"), Pause(60))
# Remembers when the button was pressed, by whatever means, before anything else hears of it.
WATCH = """() => addEventListener("click", ({ target }) => {
  if (target.textContent === "Stop") window.stopped = Date.now() / 1000;
}, { capture: true })"""
FOCUSED = "() => document.activeElement.textContent"
NO_KERNEL = """async () => {
  const { commands, shell } = window.jupyterapp;
  await shell.currentWidget.sessionContext.shutdown();
  await commands.execute("notebook:create-output-view");
}"""


def begin(opened: NotebookPage) -> Locator:
    """Run the cells that load the extension, begin the first question, and return its Stop button."""
    run_cells(opened, 0, 1)
    opened.page.evaluate(WATCH)
    opened.do(("at", 2))
    opened.start("notebook:run-cell")
    return opened.page.get_by_role("button", name="Stop", exact=True)


def press_by_keyboard(button: Locator) -> None:
    """Go to the button with Tab, as somebody without a mouse does, and press it."""
    page = button.page
    button.wait_for()
    for _ in range(50):
        if page.evaluate(FOCUSED) == "Stop":
            break
        page.keyboard.press("Tab")
    assert page.evaluate(FOCUSED) == "Stop"
    page.keyboard.press("Enter")


def seconds_to_stop(opened: NotebookPage, gateway: ScriptedGateway) -> float:
    """Return how long after the press the gateway saw the end of the request."""
    opened.wait()
    assert gateway.closed_by_client.wait(10)
    return gateway.closed[-1] - opened.page.evaluate("window.stopped")


def check_what_stays(opened: NotebookPage, gateway: ScriptedGateway, text: str) -> None:
    """See the partial answer in the file, and that the next question does not carry it."""
    turn, error = opened.save().cells[2].outputs
    assert turn.metadata["mixroute"]["status"] == "interrupted"
    assert turn.data["text/plain"].startswith(text)
    assert "interrupted" in turn.data["text/plain"]
    assert error.output_type == "error"
    run_cells(opened, 3)
    assert asked(gateway) == ["second"]


def stop_in_an_answer(lab: Lab, app: str) -> float:
    """Stop when text has come, see what stays of it, and return how long it took."""
    with scripted(HALF, whole("Well.")) as gateway:
        opened = lab.open(notebook(gateway, "%%chat\nfirst", "%%chat\nsecond"), "stop-button.ipynb", app=app)
        button = begin(opened)
        opened.page.locator(".mr-answer", has_text="half of it").wait_for()
        button.click()
        seconds = seconds_to_stop(opened, gateway)
        check_what_stays(opened, gateway, "half of it")
    return seconds


def stop_before_the_first_byte(lab: Lab, app: str) -> float:
    """Stop while the gateway is silent, see what stays of it, and return how long it took."""
    waiting = threading.Event()

    def silence() -> Iterator[Pause]:
        waiting.set()
        yield Pause(60)

    with scripted(silence(), whole("Well.")) as gateway:
        opened = lab.open(notebook(gateway, "%%chat\nfirst", "%%chat\nsecond"), "stop-silence.ipynb", app=app)
        button = begin(opened)
        assert waiting.wait(60)
        button.click()
        seconds = seconds_to_stop(opened, gateway)
        check_what_stays(opened, gateway, "")
    return seconds


@pytest.mark.parametrize("app", APPS)
@pytest.mark.parametrize("stop", [stop_in_an_answer, stop_before_the_first_byte])
def test_the_button_ends_the_request_at_once_and_keeps_what_came(
    lab: Lab, app: str, stop: Callable[[Lab, str], float]
) -> None:
    taken: list[float] = []
    while len(taken) < ATTEMPTS and min(taken, default=MOST_SECONDS) >= MOST_SECONDS:
        taken.append(stop(lab, app))
    print(f"{app}, {stop.__name__}: {min(taken):.3f} s")
    assert min(taken) < MOST_SECONDS


@pytest.mark.parametrize("app", APPS)
def test_the_button_is_reached_and_pressed_by_keyboard(lab: Lab, app: str) -> None:
    with scripted(HALF, whole("Well.")) as gateway:
        opened = lab.open(notebook(gateway, "%%chat\nfirst", "%%chat\nsecond"), "stop-key.ipynb", app=app)
        button = begin(opened)
        opened.page.locator(".mr-answer", has_text="half of it").wait_for()
        press_by_keyboard(button)
        seconds_to_stop(opened, gateway)
        check_what_stays(opened, gateway, "half of it")


def test_no_button_is_shown_where_there_is_no_kernel_to_stop(lab: Lab) -> None:
    opened = lab.open(cells(f"{FEED}show(text='left open')"), "no-kernel.ipynb")
    opened.run_all()
    buttons = opened.page.get_by_role("button", name="Stop", exact=True)
    views = opened.page.locator(".mr-answer", has_text="left open")
    buttons.wait_for()
    opened.page.evaluate(NO_KERNEL)
    views.nth(1).wait_for()
    assert (views.count(), buttons.count()) == (2, 1), "the view that was made without a kernel has none"
