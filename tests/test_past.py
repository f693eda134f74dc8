"""``{{ cell(3) }}``, ``{{ out(3) }}`` and ``{{ error }}``, in a real kernel that asks a scripted gateway."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest
from kernels import SHOWN_KEY, Kernel, Ran
from scripted import ScriptedGateway, scripted, whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Notebook:
    """A kernel with the extension, and what its chat cells send."""

    def __init__(self, home: Path, gateway: ScriptedGateway) -> None:
        self.kernel = Kernel(home, gateway.base_url)
        self._gateway = gateway
        self.run("%load_ext mixroute_magic")

    def run(self, code: str) -> int:
        """Run a cell, which may fail, and return its number."""
        number = self.kernel.run(code, uuid.uuid4().hex).reply["content"]["execution_count"]
        assert isinstance(number, int)
        return number

    def ask(self, prompt: str, options: str = "--fresh") -> Ran:
        """Run a chat cell."""
        return self.kernel.run(f"%%chat {options}\n{prompt}", uuid.uuid4().hex)

    def sent(self, prompt: str) -> str:
        """Return what a prompt is when it is sent."""
        ran = self.ask(prompt)
        assert ran.status == "ok", ran.lines
        return str(self._gateway.bodies[-1]["messages"][-1]["content"])

    def refused(self, prompt: str) -> list[str]:
        """Return what a chat cell says that sends nothing."""
        asked = len(self._gateway.bodies)
        ran = self.ask(prompt)
        assert (ran.status, len(self._gateway.bodies)) == ("error", asked)
        return ran.lines


@pytest.fixture(scope="module")
def gateway() -> Iterator[ScriptedGateway]:
    with scripted(whole("The **answer** {{ x }}.")) as made:
        yield made


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory, gateway: ScriptedGateway) -> Iterator[Notebook]:
    made = Notebook(tmp_path_factory.mktemp("kernel"), gateway)
    with made.kernel:
        yield made


def test_a_cell_is_what_was_typed_in_it(notebook: Notebook) -> None:
    number = notebook.run("%pwd\nx = '{{ y }}'  # a note\n")
    assert notebook.sent(f"See {{{{ cell({number}) }}}}!") == "See %pwd\nx = '{{ y }}'  # a note!"


def test_a_cell_that_is_not_there_is_told_with_those_that_are(notebook: Notebook) -> None:
    last = notebook.run("1")
    assert notebook.refused("{{ cell(99999) }}") == [
        "TemplateError: There is no cell [99999].",
        f"This kernel has run [1] to [{last + 1}].",
    ]
    assert notebook.refused("{{ out(-1) }}")[0] == "TemplateError: There is no cell [-1]."


def test_an_output_is_a_value_shown_by_the_same_rules(notebook: Notebook) -> None:
    number = notebook.run("import pandas; pandas.DataFrame({'n': range(100)})")
    prompt = notebook.sent(f"{{{{ out({number}).shape }}}} {{{{ out({number}) }}}}")
    assert prompt.startswith("(100, 1) |  | n |\n")
    assert prompt.endswith("(… the first 20 of 100 rows)")
    footer = notebook.ask(f"{{{{ out({number}) }}}}").text
    assert f"out({number}) shortened to 20 of 100 rows" in footer


def test_an_output_is_else_an_answer_or_what_was_printed(notebook: Notebook) -> None:
    printing = notebook.run("print('{{ a }}'); print(2)")
    chatting = notebook.run("%chat --fresh hello")
    assert notebook.sent(f"{{{{ out({printing}) }}}}") == "{{ a }}\n2\n"
    assert notebook.sent(f"{{{{ out({chatting}) }}}}") == "The **answer** {{ x }}."


def test_a_thread_tells_the_numbers_that_the_cells_show(notebook: Notebook) -> None:
    number = notebook.run("%chat --thread numbers counted")
    (row,) = [line for line in notebook.kernel.run("%thread numbers").text.splitlines() if "counted" in line]
    assert f"[{number}]" in row
    notebook.run("%thread main")


def test_a_cell_without_output_is_told_with_the_values_that_there_are(notebook: Notebook) -> None:
    number = notebook.run("x = 1")
    notebook.run("x")
    lines = notebook.refused(f"{{{{ out({number}) }}}}")
    assert lines[0] == f"TemplateError: Cell [{number}] left no value, no answer and no text."
    assert lines[1].startswith("There are values of [")
    assert f"[{number + 1}]" in lines[1]


def test_a_figure_in_an_output_is_attached_by_that_name(notebook: Notebook) -> None:
    number = notebook.run("from matplotlib.figure import Figure; Figure()")
    assert notebook.refused(f"{{{{ out({number}) }}}}")[1] == f"Attach it: --image out({number})."


def test_a_class_of_a_cell_becomes_its_source(notebook: Notebook) -> None:
    notebook.run("class Point: old = 1")
    notebook.run("class Point: syntax error")
    source = "@dataclass\nclass Point:\n    x: int  # pixels\n\n    def far(self): return self.x > 9"
    notebook.run(f"from dataclasses import dataclass\nclass Other: pass\n{source}\np = Point(1)")
    assert notebook.sent("{{ Point }}") == source
    assert notebook.sent("{{ p.far }}") == "def far(self): return self.x > 9"
    notebook.run("Made = type('Made', (), {'__doc__': 'Made up.'})")
    assert notebook.sent("{{ Made }}") == "Made()\n\nMade up."


def test_the_last_error_is_its_traceback_by_the_numbers_of_the_cells(notebook: Notebook) -> None:
    defined = notebook.run("def half(x):\n    return x / 0")
    failed = notebook.run("y = half(1)")
    assert notebook.sent("{{ error }}").splitlines() == [
        "Traceback (most recent call last):",
        f'  File "cell [{failed}]", line 1, in <module>',
        "    y = half(1)",
        "        ^^^^^^^",
        f'  File "cell [{defined}]", line 2, in half',
        "    return x / 0",
        "           ~~^~~",
        "ZeroDivisionError: division by zero",
    ]


def test_the_last_error_stays_the_codes_whatever_goes_wrong_with_a_chat(notebook: Notebook) -> None:
    notebook.run("int('mine')")
    for mistake in ("%chat {{ missing }}", "%chat --nothing x", "%nomagic", "%thread --undo --clear"):
        notebook.run(mistake)
    assert notebook.sent("{{ error }}").endswith("ValueError: invalid literal for int() with base 10: 'mine'")


def test_a_cell_that_python_cannot_read_is_an_error_too(notebook: Notebook) -> None:
    number = notebook.run("x = = 1")
    assert notebook.sent("{{ error }}").splitlines() == [
        f'  File "cell [{number}]", line 1',
        "    x = = 1",
        "        ^",
        "SyntaxError: invalid syntax",
    ]


def test_names_of_the_notebook_win(notebook: Notebook) -> None:
    notebook.run("error, cell, out = 'mine', len, max")
    assert notebook.sent("{{ error }} {{ cell('abc') }} {{ out(3, 4) }}") == "mine 3 4"
    notebook.run("del error, cell, out")


def test_the_key_in_a_value_sends_nothing_and_is_not_shown(notebook: Notebook) -> None:
    notebook.run(f"import os; os.environ['MIXROUTE_API_KEY'] = {SHOWN_KEY!r}")
    notebook.run("df = pandas.DataFrame({'k': [os.environ['MIXROUTE_API_KEY']]})")
    notebook.run("raise ValueError(df.k[0])")
    notebook.run("def fail(): raise ValueError(df.k[0])")
    for prompt in ("{{ df }}", "{{ error }}", "{{ df.to_dict() }}"):
        assert notebook.refused(prompt)[0] == "TemplateError: This cell contains your API key; nothing was sent."
    lines = notebook.refused("{{ fail() }}")
    assert lines[0].startswith("TemplateError: {{ fail() }} failed with ValueError: ")
    assert SHOWN_KEY not in "\n".join(lines)


def test_a_dry_run_shows_what_a_value_becomes_and_what_was_shortened(notebook: Notebook) -> None:
    notebook.run("numbers = list(range(9999))")
    ran = notebook.ask("{{ numbers }}", "--dry-run --fresh")
    sentence, request = ran.text.split("\n\n", 1)
    assert sentence.endswith(" tokens. · numbers shortened to 20,000 characters of a list of 9,999")
    assert "[0, 1, 2, 3," in request
    assert "(… the first 20,000 characters of a list of 9,999)" in request


def test_before_anything_has_failed_there_is_no_error(tmp_path: Path, gateway: ScriptedGateway) -> None:
    notebook = Notebook(tmp_path, gateway)
    with notebook.kernel:
        assert notebook.refused("{{ error }}")[0] == (
            "TemplateError: {{ error }}: nothing has failed in this notebook so far."
        )
        assert notebook.sent("{{ error | default('none') }}") == "none"
        assert notebook.refused("{{ out(1) }}")[1] == "No cell has left a value so far."
        notebook.run("%unload_ext mixroute_magic")
        notebook.run("1 / 0")
        notebook.run("%load_ext mixroute_magic")
        assert notebook.sent("{{ error }}").endswith("ZeroDivisionError: division by zero")
