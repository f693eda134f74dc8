"""The quickstart as a newcomer meets it: JupyterLab in a real browser, no key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat

if TYPE_CHECKING:
    from conftest import Lab

QUICKSTART = Path(__file__).parents[2] / "notebooks" / "quickstart.ipynb"
# Records how long the text of the live view is, whenever it grows.
WATCH = """() => {
  window.lengths = [];
  new MutationObserver(() => {
    const length = document.querySelector(".mr-answer")?.textContent.length ?? 0;
    if (length > (window.lengths.at(-1) ?? 0)) window.lengths.push(length);
  }).observe(document.body, { subtree: true, childList: true, characterData: true });
}"""


def test_the_quickstart_streams_is_saved_and_can_be_read_without_a_kernel(lab: Lab) -> None:
    notebook = nbformat.read(QUICKSTART, as_version=4)
    opened = lab.open(notebook, "quickstart.ipynb")
    opened.page.evaluate(WATCH)
    opened.start()
    opened.page.wait_for_function("window.lengths.length >= 3")
    assert not opened.page.evaluate("window.ran"), "the text grew only when all cells had ended"
    opened.wait()

    outputs = dict(zip([cell.id for cell in notebook.cells], opened.outputs(), strict=True))
    assert not [output for cell in outputs.values() for output in cell if output["output_type"] == "error"]
    answer = opened.page.locator(".jp-OutputArea", has_text="A piece of Python").first
    assert answer.locator("table").count() == 1
    assert answer.locator("pre code").count() == 1
    assert opened.page.locator(".mr-reply").count() == 0

    saved = opened.save()
    left = [output.metadata.get("mixroute") for cell in saved.cells for output in cell.get("outputs", [])]
    turns = [record for record in left if record and record.kind == "turn"]
    assert [turn["status"] for turn in turns] == ["complete"] * 6
    assert "widget-view" not in json.dumps(saved)
    assert "widgets" not in saved.metadata

    lab.close_pages(keep=False)
    again = lab.open(saved, "again.ipynb")
    again.page.evaluate("() => window.jupyterapp.serviceManager.sessions.shutdownAll()")
    texts = "\n".join(again.output_texts())
    assert "no model was called" in texts
    assert "glm-5 · " in texts


def test_a_hostile_answer_does_nothing_in_a_cell_that_its_user_ran(lab: Lab) -> None:
    sources = ["%load_ext mixroute_magic\n%mixroute demo", "%chat Show me hostile html"]
    opened = lab.open(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources]))
    opened.run_all()
    (turn,) = opened.outputs()[1]
    verbatim = turn["metadata"]["mixroute"]["messages"][-1]["content"]
    assert "<script>" in verbatim
    assert "onerror=" in verbatim
    shown = opened.page.locator(".jp-OutputArea").nth(1)
    shown.get_by_text("<script>").first.wait_for()
    assert shown.locator("script, img, [onerror], a[href^='javascript']").count() == 0
    assert opened.page.evaluate("window.__mixroute_pwned") is None
