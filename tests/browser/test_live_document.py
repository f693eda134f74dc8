"""The notebook is the conversation: what a person does to it on the page, and what the gateway is asked after that."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
from scripted import Reset, ScriptedGateway, scripted, whole

if TYPE_CHECKING:
    from conftest import Lab, NotebookPage

QUICKSTART = Path(__file__).parents[2] / "notebooks" / "quickstart.ipynb"
KEY = "sk-test-key-browser"

# Whether the page has told the kernel its cells; asked over the page's own connection, and in no cell.
TOLD = """async () => {
  const { kernel } = window.jupyterapp.shell.currentWidget.sessionContext.session;
  const expression = "get_ipython().meta['mixroute_session'].pages.of(get_ipython().get_parent()) is not None";
  const asked = kernel.requestExecute({ code: "", silent: true, user_expressions: { told: expression } });
  return (await asked.done).content.user_expressions.told.data["text/plain"] === "True";
}"""
# In the first cell: from now on nothing is asked, and whatever tries to is refused. The kernel's own connections to
# the server are ZeroMQ's, which no audit hook sees.
OFFLINE = """%env MIXROUTE_REPLAY=only
import sys
attempts = []
def refuse(event, arguments):
    if event in {"socket.connect", "socket.getaddrinfo", "socket.bind"}:
        attempts.append(event)
        raise ConnectionRefusedError("the network is refused")
sys.addaudithook(refuse)"""
# In the last cell: how many attempts there were, and that one would have been seen.
ATTEMPTS = """import urllib.request
print(len(attempts))
try:
    urllib.request.urlopen("http://127.0.0.1:9")
except OSError as error:
    print(len(attempts), error.reason)"""

Deed = str | tuple[str, Any]
RELOAD, RESTART, UNDO_FROM_HERE = ("reload", None), ("restart", None), ("undoFrom", None)


@dataclass(frozen=True)
class Step:
    """What a person does, and the requests that follow: the words of their messages."""

    name: str
    done: list[Deed]
    asked: list[str]


def run(*questions: str) -> list[Deed]:
    """Run cells, one after the other, each found by its question."""
    return [deed for words in questions for deed in (("at", words), "notebook:run-cell")]


def insert(above: str, source: str) -> list[Deed]:
    """Insert a cell below another one, and run it at once: nothing was saved."""
    return [("at", above), "notebook:insert-cell-below", ("write", source), "notebook:run-cell"]


SCRIPT = [
    Step(
        "the first questions",
        run("load_ext", "environ", "one", "two", "three"),
        ["one", "one A1 two", "one A1 two A2 three", "one A1 two A2 three A3 end"],
    ),
    Step(
        "insert a cell in the middle",
        insert("one", "%%chat\nnew"),
        ["one A1 new", "one A1 new A5 two A2 three A3 end"],
    ),
    Step("run a cell in the middle again", run("two"), ["one A1 new A5 two", "one A1 new A5 two A7 three A3 end"]),
    Step("move a cell up", [("at", "three"), "notebook:move-cell-up"], ["one A1 new A5 three A3 two A7 end"]),
    Step(
        "cut a cell and paste it elsewhere",
        [("at", "one"), "notebook:cut-cell", ("at", "two"), "notebook:paste-cell-below"],
        ["new A5 three A3 two A7 one A1 end"],
    ),
    Step(
        "delete a cell",
        [UNDO_FROM_HERE, ("at", "three"), "notebook:delete-cell"],
        ["new A5 two A7 one A1 end"],
    ),
    Step("undo the deletion", ["notebook:undo-cell-action"], ["new A5 three A3 two A7 one A1 end"]),
    Step(
        "duplicate a cell",
        [("at", "new"), "notebook:duplicate-below"],
        ["new A5 new A5 three A3 two A7 one A1 end"],
    ),
    Step(
        "split a cell, of which the lower part keeps the output, and run the upper one",
        [("at", "three"), ("cursor", 1), "notebook:split-cell-at-cursor", *run("three")],
        ["new A5 new A5 three", "new A5 new A5 three A14 three A3 two A7 one A1 end"],
    ),
    Step(
        "ask twice in one cell",
        insert("one", "%chat four\n%chat five"),
        [
            "new A5 new A5 three A14 three A3 two A7 one A1 four",
            "new A5 new A5 three A14 three A3 two A7 one A1 four A16 five",
            "new A5 new A5 three A14 three A3 two A7 one A1 four A16 five A17 end",
        ],
    ),
    Step(
        "run other code in a cell that asked",
        [("at", "two"), ("write", "1 + 1"), "notebook:run-cell"],
        ["new A5 new A5 three A14 three A3 one A1 four A16 five A17 end"],
    ),
    Step(
        "save, load the page again beside the running kernel, and insert a cell",
        ["docmanager:save", RELOAD, *insert("one", "%%chat\nsix")],
        [
            "new A5 new A5 three A14 three A3 one A1 six",
            "new A5 new A5 three A14 three A3 one A1 six A20 four A16 five A17 end",
        ],
    ),
    Step(
        "save and restart the kernel",
        ["docmanager:save", RESTART, *run("load_ext", "environ")],
        ["new A5 new A5 three A14 three A3 one A1 six A20 four A16 five A17 end"],
    ),
    Step(
        "run a cell again, and rename the notebook before it is saved",
        [*run("one"), ("rename", "renamed.ipynb")],
        [
            "new A5 new A5 three A14 three A3 one",
            "new A5 new A5 three A14 three A3 one A23 six A20 four A16 five A17 end",
        ],
    ),
    Step(
        "run a cell again, and undo that",
        [*run("six"), *insert("five", "%thread --undo")],
        [
            "new A5 new A5 three A14 three A3 one A23 six",
            "new A5 new A5 three A14 three A3 one A23 six A20 four A16 five A17 end",
        ],
    ),
    Step(
        "clear all outputs",
        ["notebook:clear-all-cell-outputs"],
        ["new A5 new A5 three A14 three A3 one A23 six A20 four A16 five A17 end"],
    ),
]


def notebook(gateway: ScriptedGateway, *sources: str) -> nbformat.NotebookNode:
    load = f"%env MIXROUTE_BASE_URL={gateway.base_url}\n%load_ext mixroute_magic\n%config MixRoute.retries = 0"
    key = f"import os; os.environ['MIXROUTE_API_KEY'] = '-'.join({KEY.split('-')})"
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in (load, key, *sources)])


def asked(gateway: ScriptedGateway) -> list[str]:
    """Return each request as the words of its messages; the gateway's own begin with a capital letter."""
    requests = [body["messages"] for body in gateway.bodies]
    for message in (message for messages in requests for message in messages):
        assert message["role"] == ("assistant" if message["content"][0].isupper() else "user")
    return [" ".join(message["content"] for message in messages) for messages in requests]


def play(opened: NotebookPage, deeds: list[Deed]) -> None:
    """Do one thing after the other, of which one may be that the page is loaded again."""
    if RELOAD in deeds:
        place = deeds.index(RELOAD)
        opened.do(*deeds[:place])
        opened.reload()
        opened.page.wait_for_function(TOLD)  # a tenth of a second, in which the saved file is the order
        deeds = deeds[place + 1 :]
    opened.do(*deeds)


def test_after_each_of_sixteen_steps_what_stands_on_the_page_is_asked(lab: Lab) -> None:
    assert len(SCRIPT) == 16
    with scripted(*(whole(f"A{number}") for number in range(1, 40))) as gateway:
        sources = ("%%chat\none", "%%chat\ntwo", "%chat three\ntold = True", "%%chat\nend")
        opened = lab.open(notebook(gateway, *sources), "script.ipynb")
        before = 0
        for step in SCRIPT:
            play(opened, [*step.done, *run("end")])
            assert asked(gateway)[before:] == step.asked, step.name
            before += len(step.asked)


def test_a_run_all_with_the_gateway_cut_costs_no_earlier_answer(lab: Lab) -> None:
    questions = [f"%%chat\nq{number}" for number in range(1, 7)]
    first, again = ([whole(f"A{number}") for number in numbers] for numbers in (range(1, 7), range(7, 10)))
    with scripted(*first, *again, [Reset()], whole("A11"), whole("A12")) as gateway:
        opened = lab.open(notebook(gateway, *questions), "cut.ipynb")
        opened.run_all()
        opened.run_all()
        assert len(asked(gateway)) == 10, "the last two cells did not run"
        failed, *aborted = opened.outputs()[5:]
        assert failed[-1]["ename"] == "APIConnectionError"
        assert aborted == [[], []]

        opened.do(*insert("q6", "%%chat\nq7"))
        assert asked(gateway)[-1] == "q1 A7 q2 A8 q3 A9 q4 A4 q5 A5 q6 A6 q7"
        (undone,) = opened.do(*insert("q6", "%thread --undo"))
        assert "q3\n\nA3\n" in undone["data"]["text/plain"]
        assert opened.page.locator(".jp-OutputArea", has_text="brought back").first.text_content().startswith("A3")
        opened.do(*run("q7"))
        assert asked(gateway)[-1] == "q1 A7 q2 A8 q3 A3 q4 A4 q5 A5 q6 A6 q7"


def test_the_quickstart_runs_again_with_the_network_refused(lab: Lab) -> None:
    quickstart = nbformat.read(QUICKSTART, as_version=4)
    ends = [nbformat.v4.new_code_cell("", id=name) for name in ("first", "last")]
    quickstart.cells = [ends[0], *quickstart.cells, ends[1]]
    opened = lab.open(quickstart, "replayed.ipynb")
    opened.run_all()
    before = turns(opened)
    assert len(before) == 6
    last = len(quickstart.cells) - 1
    opened.do(("at", 0), ("write", OFFLINE), ("at", last), ("write", ATTEMPTS), "docmanager:save")
    opened.restart_and_run_all()

    outputs = opened.outputs()
    assert not [output for cell in outputs for output in cell if output["output_type"] == "error"]
    assert outputs[last][0]["text"].splitlines() == ["0", "1 the network is refused"]
    after = turns(opened)
    assert [turn["messages"] for turn in after] == [turn["messages"] for turn in before]
    assert all(turn["replayed"] and turn["usage"]["input_tokens"] == 0 for turn in after)
    assert sum(" · replayed" in text for text in opened.output_texts()) == len(after)


def turns(opened: NotebookPage) -> list[dict[str, Any]]:
    """Return the records of the turns that the page shows."""
    outputs = (output for cell in opened.outputs() for output in cell)
    records = (output.get("metadata", {}).get("mixroute", {}) for output in outputs)
    return [record for record in records if record.get("kind") == "turn"]
