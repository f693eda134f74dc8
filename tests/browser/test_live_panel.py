"""The panel of ``%model`` in JupyterLab: chosen with the mouse and the keyboard, asked with, and restored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nbformat
from scripted import reply, scripted, whole

if TYPE_CHECKING:
    from conftest import Lab

MODELS = reply(200, {"data": [{"id": name} for name in ("claude-x", "deepseek-r1", "gpt-4o", "gpt-5", "llama-4")]})


# The kernel says what is offered for a series.
OFFERED = """(names) => {
  const field = [...document.querySelectorAll("input")].find(({ list }) => list);
  return [...(field?.list.options ?? [])].map(({ value }) => value).join() === names.join();
}"""


def test_a_model_and_a_temperature_chosen_in_the_panel_are_asked_with_also_after_a_restart(lab: Lab) -> None:
    with scripted(MODELS, whole("Hi.")) as gateway:
        load = f"%env MIXROUTE_BASE_URL={gateway.base_url}\n%env MIXROUTE_API_KEY=any\n%load_ext mixroute_magic"
        cells = [nbformat.v4.new_code_cell(source) for source in (load, "%model", "%chat hello")]
        opened = lab.open(nbformat.v4.new_notebook(cells=cells), "panel.ipynb")
        page = opened.page
        opened.do(("at", 0), "notebook:run-cell", ("at", 1), "notebook:run-cell")
        page.get_by_text("5 models at").wait_for()
        page.get_by_label("series").select_option("GPT")
        model = page.get_by_label("model", exact=True)
        page.wait_for_function(OFFERED, arg=["gpt-4o", "gpt-5"])
        model.fill("gpt-4o")
        model.press("Enter")
        table = page.locator(".jp-OutputArea table")
        table.get_by_text("gpt-4o").wait_for()
        page.get_by_label("temperature").fill("0.5")
        page.get_by_label("max tokens").click()  # leaving a field is enough
        table.get_by_text("0.5").wait_for()
        opened.do(("at", "hello"), "notebook:run-cell")
        assert (gateway.bodies[-1]["model"], gateway.bodies[-1]["temperature"]) == ("gpt-4o", 0.5)
        opened.save()
        opened.do(("restart", None), ("at", 0), "notebook:run-cell", ("at", "hello"), "notebook:run-cell")
        assert (gateway.bodies[-1]["model"], gateway.bodies[-1]["temperature"]) == ("gpt-4o", 0.5)
        opened.reload()
        assert "gpt-4o" in opened.output_texts()[1]
