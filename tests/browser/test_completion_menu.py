"""Tab in JupyterLab: the menu shows the gateway's models, options, and the notebook's variables in templates."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
from scripted import PATIENCE, reply, scripted

if TYPE_CHECKING:
    from conftest import Lab, NotebookPage

MODELS = reply(200, {"data": [{"id": name} for name in ("claude-x", "deepseek-r1", "glm-5", "gpt-5")]})
SETUP = """%env MIXROUTE_BASE_URL={base_url}
%load_ext mixroute_magic
rainfall, ratios, raised = [1.5, 2.0], {{"a": 1}}, True
def rain_in(city): ..."""
CELL_SAYS = """says => window.jupyterapp.shell.currentWidget.content.activeCell.model.sharedModel.source === says"""
MENU = ".jp-Completer:not(.lm-mod-hidden)"


def _press_tab(opened: NotebookPage, source: str) -> list[str]:
    """Write a cell, press Tab at its end, and return what the menu lists.

    JupyterLab adds words of the cell itself, below what the kernel says.
    """
    page = opened.page
    page.keyboard.press("Escape")
    opened.do(("at", 1), ("write", source), ("cursor", source.count("\n")))
    page.keyboard.press("End")
    page.keyboard.press("Tab")
    page.wait_for_selector(MENU)
    return page.locator(f"{MENU} .jp-Completer-item .jp-Completer-match").all_text_contents()


def _picture(opened: NotebookPage, name: str) -> None:
    """Leave a picture for people, where they ask for it."""
    if folder := os.environ.get("SCREENSHOTS"):
        opened.screenshot(Path(folder) / f"{name}.png")


def test_the_menu_lists_models_options_and_variables_and_what_is_chosen_stands_in_the_cell(lab: Lab) -> None:
    with scripted(MODELS) as gateway:
        sources = (SETUP.format(base_url=gateway.base_url), "")
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
        opened = lab.open(notebook, "completion.ipynb")
        opened.do(("at", 0), "notebook:run-cell")
        end = time.monotonic() + PATIENCE
        while "claude-x" not in (models := _press_tab(opened, "%chat -m ")):  # the list comes when it comes
            assert time.monotonic() < end
        assert models[:4] == ["glm-5", "gpt-5", "claude-x", "deepseek-r1"]
        _picture(opened, "completion-models-light")
        assert len(gateway.asked) == 1

        assert _press_tab(opened, "%%chat -m glm-5\nIs {{ ra") == ["rain_in", "rainfall", "raised", "ratios"]
        _picture(opened, "completion-template-light")
        assert _press_tab(opened, "%%chat --t") == ["--temperature", "--thread", "--tool"]
        _picture(opened, "completion-options-light")

        opened.set_theme("JupyterLab Dark")
        assert "claude-x" in _press_tab(opened, "%model ")
        _picture(opened, "completion-models-dark")
        assert _press_tab(opened, "%chat is {{ ratios.") > ["clear", "copy"]
        _picture(opened, "completion-attributes-dark")
        assert _press_tab(opened, "%%chat -m glm-5\nIs {{ ra")[0] == "rain_in"
        _picture(opened, "completion-template-dark")
        opened.page.keyboard.press("ArrowDown")
        opened.page.keyboard.press("Enter")
        opened.page.wait_for_function(CELL_SAYS, arg="%%chat -m glm-5\nIs {{ rainfall")
