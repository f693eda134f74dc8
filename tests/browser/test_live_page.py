"""What the kernel knows of the page: every change by JupyterLab's own commands, saved or not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import nbformat
from conftest import READY

if TYPE_CHECKING:
    from conftest import Lab, NotebookPage

OPEN = """from mixroute_magic.conversation.page import LivePages
pages = LivePages(get_ipython(), lambda page: [])
pages.open()"""
# Four lines, so that a cursor can stand at the start of the third.
TURN = """bundle = {"text/plain": "An answer."}
records = [{"kind": "turn", "turn": "TURN"}, {"kind": "setting", "turn": "none"}]
for record in records:
    display(bundle, raw=True, metadata={"mixroute": record})"""
LOOK = """import json
request = get_ipython().get_parent()
page = pages.of(request)
cells = page and [[cell.id, *cell.turns] for cell in page.cells]
print(json.dumps([pages.path_of(request), cells]))"""
# Keeps the thread busy in which the kernel hears widgets. With ipykernel 7.4 that is a subshell, as soon as a widget
# has answered a message that came by that way.
BUSY = """import anywidget, time
script = "initialize({ model }) { window.makeBusy = (seconds) => model.send(seconds); model.send(0); }"
busy = anywidget.AnyWidget(_esm="export default { " + script + " }")
busy.on_msg(lambda widget, seconds, buffers: (widget.send("heard"), time.sleep(seconds)))"""
MAKE_BUSY = "() => { window.makeBusy(0); window.makeBusy(5); }"
# A number makes that cell the active one, a list holds the active cell's new source, a word is a command.
DO = """async (steps) => {
  const notebook = window.jupyterapp.shell.currentWidget.content;
  for (const step of steps) {
    if (Array.isArray(step)) notebook.activeCell.model.sharedModel.setSource(step[0]);
    else if (typeof step === "string") await window.jupyterapp.commands.execute(`notebook:${step}`);
    else {
      notebook.deselectAll();
      notebook.activeCellIndex = step;
    }
  }
  return notebook.activeCell.model.outputs.toJSON();
}"""
IDS = "() => window.jupyterapp.shell.currentWidget.content.widgets.map(cell => cell.model.id)"
CURSOR = """(line) => {
  const notebook = window.jupyterapp.shell.currentWidget.content;
  notebook.mode = "edit";
  notebook.activeCell.editor.setCursorPosition({ line, column: 0 });
}"""
# The next undo takes back what comes now, and nothing that was done shortly before.
NEW_UNDO = "() => window.jupyterapp.shell.currentWidget.content.model.sharedModel.clearUndoHistory()"
RENAME = "name => window.jupyterapp.shell.currentWidget.context.rename(name)"
RESTART = "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
OPEN_BESIDE = """async (path) => {
  const { id } = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  const beside = await window.jupyterapp.commands.execute("docmanager:open", { path, kernel: { id } });
  await beside.sessionContext.ready;
}"""
# Lets the widget be made again behind the cells' backs, and says whether that alone has changed the notebook.
MAKE_AGAIN = """async () => {
  const panel = window.jupyterapp.shell.currentWidget;
  await window.jupyterapp.commands.execute("docmanager:save");
  const told = new Promise((resolve) => {
    panel.sessionContext.session.kernel.anyMessage.connect((kernel, { msg, direction }) => {
      if (direction === "send" && msg.content.data?.content?.cells) resolve();
    });
  });
  await panel.sessionContext.session.kernel.requestExecute({ code: "pages.close(); pages.open()" }).done;
  await told;
  return panel.context.model.dirty;
}"""


def notebook(**sources: str) -> nbformat.NotebookNode:
    cells = [nbformat.v4.new_code_cell(source, id=name) for name, source in sources.items()]
    return nbformat.v4.new_notebook(cells=cells)


def do(opened: NotebookPage, *steps: int | str | list[str]) -> list[dict[str, Any]]:
    """Do steps without a pause between them, and return the outputs of the cell that is active then."""
    return opened.page.evaluate(DO, list(steps))


def look(opened: NotebookPage) -> tuple[str, list[list[str]]]:
    """Return the path and the cells of the page as the notebook's last cell sees them."""
    (printed,) = do(opened, len(opened.page.evaluate(IDS)) - 1, "run-cell")
    path, cells = json.loads(printed["text"])
    return path, cells


def first_look(opened: NotebookPage) -> tuple[str, list[list[str]]]:
    """Look until the page has made the widget and told for the first time."""
    looks = (look(opened) for _ in range(200))
    return next(seen for seen in looks if seen[0] is not None)


def test_every_edit_is_known_before_the_next_cell_runs(lab: Lab) -> None:
    turns = {name: TURN.replace("TURN", name[0].upper()) for name in ("ann", "ben", "cyd")}
    opened = lab.open(notebook(open=OPEN, **turns, look=LOOK), "edits.ipynb")
    do(opened, 0, "run-cell")
    path, (first, *_, last) = first_look(opened)
    assert (path, first, last) == ("edits.ipynb", ["open"], ["look"])

    do(opened, 1, "run-cell", 2, "run-cell", 3, "run-cell")
    (printed,) = do(opened, 1, "insert-cell-below", [LOOK], "run-cell")
    new = [opened.page.evaluate(IDS)[2]]
    ann, ben, cyd = ["ann", "A"], ["ben", "B"], ["cyd", "C"]
    assert json.loads(printed["text"])[1] == [first, ann, new, ben, cyd, last]
    do(opened, 2, "delete-cell")
    assert look(opened)[1] == [first, ann, ben, cyd, last]

    do(opened, 3, "move-cell-up", "move-cell-up")
    assert look(opened)[1] == [first, cyd, ann, ben, last]
    do(opened, 1, "move-cell-down")
    assert look(opened)[1] == [first, ann, cyd, ben, last]
    do(opened, 1, "cut-cell", 2, "paste-cell-below")
    assert look(opened)[1] == [first, cyd, ben, ann, last]

    opened.page.evaluate(NEW_UNDO)
    do(opened, 1, "delete-cell")
    assert look(opened)[1] == [first, ben, ann, last]
    do(opened, 1, "undo-cell-action")
    assert look(opened)[1] == [first, cyd, ben, ann, last]


def test_an_edit_is_known_even_while_the_kernel_is_busy_with_widgets(lab: Lab) -> None:
    opened = lab.open(notebook(busy=BUSY, open=OPEN, ann="", look=LOOK), "busy.ipynb")
    do(opened, 0, "run-cell")
    opened.page.wait_for_timeout(1000)  # the subshell begins to run
    do(opened, 1, "run-cell")
    first_look(opened)
    opened.page.evaluate(MAKE_BUSY)
    do(opened, 2, "delete-cell")
    assert look(opened)[1] == [["busy"], ["open"], ["look"]]


def test_of_copies_halves_and_merged_cells_it_is_known_which_show_a_turn(lab: Lab) -> None:
    opened = lab.open(notebook(open=OPEN, ann=TURN.replace("TURN", "A"), look=LOOK), "copies.ipynb")
    do(opened, 0, "run-cell", 1, "run-cell")
    first_look(opened)
    do(opened, 1, "duplicate-below")
    copy = opened.page.evaluate(IDS)[2]
    assert look(opened)[1] == [["open"], ["ann", "A"], [copy, "A"], ["look"]]

    do(opened, 1)
    opened.page.evaluate(CURSOR, 2)
    do(opened, "split-cell-at-cursor")
    upper = opened.page.evaluate(IDS)[1]
    assert look(opened)[1] == [["open"], [upper], ["ann", "A"], [copy, "A"], ["look"]], "the lower part stays the cell"

    do(opened, 1, "extend-marked-cells-below", "merge-cells")
    merged = opened.page.evaluate(IDS)[1]
    assert merged not in {upper, "ann", copy}
    assert look(opened)[1] == [["open"], [merged], [copy, "A"], ["look"]], "a merged cell is new, and shows nothing"


def test_the_page_is_known_again_after_rename_reload_and_restart(lab: Lab) -> None:
    opened = lab.open(notebook(open=OPEN, look=LOOK), "before.ipynb")
    do(opened, 0, "run-cell")
    assert first_look(opened) == ("before.ipynb", [["open"], ["look"]])
    assert opened.page.evaluate(MAKE_AGAIN) is False, "the widget made the notebook dirty"
    opened.page.evaluate(RENAME, "after.ipynb")
    assert look(opened)[0] == "after.ipynb"
    opened.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    opened.page.reload()
    opened.page.wait_for_function(READY)
    assert first_look(opened) == ("after.ipynb", [["open"], ["look"]])
    opened.page.evaluate(RESTART)
    do(opened, 0, "run-cell")
    assert first_look(opened) == ("after.ipynb", [["open"], ["look"]])
    opened.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    saved = nbformat.read(opened.path.with_name("after.ipynb"), as_version=4)
    assert saved.cells[0].outputs == []
    assert "widgets" not in saved.metadata


def test_notebooks_and_windows_on_one_kernel_are_told_apart(lab: Lab) -> None:
    opened = lab.open(notebook(open=OPEN, look=LOOK), "left.ipynb")
    do(opened, 0, "run-cell")
    first_look(opened)
    window = lab.open(notebook(open=OPEN, look=LOOK), "left.ipynb")
    assert first_look(window) == ("left.ipynb", [["open"], ["look"]])
    do(window, 0, "insert-cell-below")
    new = window.page.evaluate(IDS)[1]
    assert look(window)[1] == [["open"], [new], ["look"]]
    assert look(opened)[1] == [["open"], ["look"]]

    nbformat.write(notebook(look=LOOK), opened.path.with_name("right.ipynb"))
    opened.page.evaluate(OPEN_BESIDE, "right.ipynb")
    assert first_look(opened) == ("right.ipynb", None), "JupyterLab gives no widgets to it"
    assert look(window)[0] == "left.ipynb"
