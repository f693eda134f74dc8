"""The examples in docstrings and in README.md are run as a newcomer would paste them."""

from __future__ import annotations

import doctest
import re
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import TYPE_CHECKING

import nbformat
import pytest

import mixroute_magic
from mixroute_magic.conversation.turn import COMPLETE, Turn
from mixroute_magic.demo import DemoGateway
from mixroute_magic.wire import Message, Usage

if TYPE_CHECKING:
    from collections.abc import Iterator

README = Path(__file__).parents[1] / "README.md"
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
MODULES = [module.name for module in walk_packages(mixroute_magic.__path__, "mixroute_magic.")]
EXAMPLES = {
    found.name: found
    for name in MODULES
    if not name.endswith("__main__")
    for found in doctest.DocTestFinder(exclude_empty=True).find(import_module(name))
    if found.examples
}
IN_README = re.findall(r"(?m)^```python\n(.*?)^```", README.read_text("utf-8"), re.DOTALL)


@pytest.fixture(autouse=True)
def _where_they_are_pasted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder with a notebook of two turns, and a gateway that answers without a key."""
    (tmp_path / "talk.ipynb").write_text(nbformat.writes(talk()), "utf-8")
    monkeypatch.chdir(tmp_path)
    with DemoGateway.start(pace=0) as gateway:
        monkeypatch.setenv("MIXROUTE_BASE_URL", gateway.base_url)
        yield


def talk() -> nbformat.NotebookNode:
    said = [("Who was Ada Lovelace?", "The first programmer.", 21), ("When did she live?", "1815 to 1852.", 12)]
    cells = []
    for number, (question, told, tokens) in enumerate(said):
        turn = Turn(
            turn=str(number),
            thread="main",
            status=COMPLETE,
            model="glm-5",
            messages=(Message("user", question), Message("assistant", told)),
            usage=Usage(input_tokens=9, output_tokens=tokens),
            reasoning="hm",
        )
        shown = nbformat.v4.new_output("display_data", {"text/plain": told}, metadata={"mixroute": turn.to_metadata()})
        cells.append(nbformat.v4.new_code_cell(f"%%chat\n{question}", outputs=[shown]))
    return nbformat.v4.new_notebook(cells=cells)


def run(example: doctest.DocTest) -> str:
    """Run an example; return what was not as it says."""
    said: list[str] = []
    doctest.DocTestRunner(optionflags=OPTIONS).run(example, out=said.append)
    return "".join(said)


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES.keys())
def test_an_example_of_a_docstring_does_what_it_says(example: doctest.DocTest) -> None:
    assert not run(example)


def test_what_python_users_call_has_an_example() -> None:
    client, conversation = "mixroute_magic.gateway.client.Client", "mixroute_magic.conversation.model.Conversation"
    assert {client, f"{client}.stream", f"{client}.chat", f"{client}.models", conversation} <= EXAMPLES.keys()


def test_a_wrong_example_would_be_seen() -> None:
    wrong = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, 0)
    assert "Expected:\n    3\nGot:\n    2\n" in run(wrong)


@pytest.mark.parametrize("source", IN_README)
def test_the_python_of_the_readme_runs(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(source, "README.md", "exec"), {})
    assert capsys.readouterr().out
