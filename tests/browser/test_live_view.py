"""The live view in JupyterLab: text that grows, and the Markdown that stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nbformat
from kernels import FEED

if TYPE_CHECKING:
    from conftest import Lab

SETUP = f"""{FEED}
import pathlib
def wait_for(name):
    while not pathlib.Path(name).exists():
        time.sleep(0.02)
"""
FINISH = """
view.finish(Ending(reply=builder.reply(1.2), status="complete", metadata={"version": 1}))
"""
TEXT_LENGTH = "() => document.querySelector('.mr-answer')?.textContent.length ?? 0"


def notebook(*cells: str) -> nbformat.NotebookNode:
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])


def test_text_grows_in_the_page_and_ends_as_markdown(lab: Lab) -> None:
    answer = "\n".join(f"show(text='Paragraph {number} *here*.\\n\\n')\nwait_for('go{number}')" for number in range(3))
    page = lab.open(notebook(f"{SETUP}wait_for('go')\n{answer}\n{FINISH}"), "grow.ipynb")
    page.start()
    status = page.page.locator(".mr-clock")
    status.get_by_text("glm-5 · waiting").wait_for()
    (page.path.parent / "go").touch()
    lengths = [0]
    for number in range(3):
        page.page.wait_for_function(f"({TEXT_LENGTH})() > {lengths[-1]}")
        lengths.append(page.page.evaluate(TEXT_LENGTH))
        assert not page.page.evaluate("window.ran")
        (page.path.parent / f"go{number}").touch()
    page.wait()
    page.page.locator(".jp-RenderedMarkdown em", has_text="tokens unknown").wait_for()
    assert page.page.locator(".mr-reply").count() == 0
    assert lengths == sorted(set(lengths))
    (output,) = page.save().cells[0].outputs
    assert output.metadata["mixroute"] == {"version": 1}
    assert output.data["text/plain"].startswith("Paragraph 0 *here*.")


def test_each_state_has_its_words(lab: Lab) -> None:
    states = "view.retrying('the gateway is busy', 30.0)\nwait_for('b')\nshow(reasoning='one two')\nwait_for('c')\n"
    states += "view.doing('running weather')\nwait_for('d')\nshow(text='Hello')\nwait_for('e')\n"
    page = lab.open(notebook(f"{SETUP}{states}{FINISH}"), "states.ipynb")
    page.start()
    status, spoken = page.page.locator(".mr-clock"), page.page.get_by_role("status").locator(":scope.mr-phase")
    for words, phase, go_on in [
        ("the gateway is busy · again in", "retrying", "b"),
        ("glm-5 · thinking", "thinking", "c"),
        ("glm-5 · running weather", "running weather", "d"),
        ("· ≈ 1 tokens", "answering", "e"),
    ]:
        status.get_by_text(words).wait_for()
        assert spoken.text_content() == f"glm-5 is {phase}"
        (page.path.parent / go_on).touch()
    page.wait()
    page.page.locator(".jp-OutputArea details summary", has_text="Reasoning (2 words)").wait_for()
