"""What Tab offers where our magics are, in a real shell and in a real kernel; elsewhere IPython's own is left alone."""

from __future__ import annotations

import threading
import time
from dataclasses import fields, make_dataclass
from typing import TYPE_CHECKING, TypedDict

import matplotlib.figure
import pandas as pd
import PIL.Image
import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from kernels import Kernel
from pydantic import BaseModel
from scripted import Until, reply, scripted, whole

from mixroute_magic.demo import MODELS
from mixroute_magic.options import ChatOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from scripted import ScriptedGateway

OFFERED = ["claude-x", "deepseek-r1", "glm-5", "gpt-5", "odd one", "vendor/glm-5:free"]
LIST = reply(200, {"data": [{"id": name} for name in (*OFFERED, "evil\nimport os")]})
SIDES = {name: [whole("Hi.")] for name in ("glm-5", "left", "right")}
FILES = ("draft.md", "main.py", "--thread.txt", "my notes.ipynb", "chart.PNG", "data.json", ".hidden.md")


class Weather(BaseModel):
    city: str


class Film(TypedDict):
    title: str


Point = make_dataclass("Point", ["x", "y"])


BOTH = pytest.mark.parametrize("bare", [True, False], ids=["jedi", "no jedi"], indirect=True)


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder with files that compete with the names."""
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / ".data"))
    monkeypatch.chdir(tmp_path)
    for name in FILES:
        (tmp_path / name).touch()
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "plot.jpg").touch()


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedGateway]:
    with scripted(LIST, **SIDES) as made:
        monkeypatch.setenv("MIXROUTE_BASE_URL", made.base_url)
        yield made


@pytest.fixture
def bare(request: pytest.FixtureRequest) -> Iterator[InteractiveShell]:
    """A shell without us, where names and keywords compete with ours."""
    made = InteractiveShell(colors="nocolor")
    made.Completer.use_jedi = getattr(request, "param", True)
    made.user_ns.update(drama=1, mainland=2, drawn=["x"], _hidden=3)
    yield made
    made.history_manager.end_session()


@pytest.fixture
def shell(bare: InteractiveShell, gateway: ScriptedGateway) -> Iterator[InteractiveShell]:
    bare.run_line_magic("load_ext", "mixroute_magic")
    yield bare
    bare.run_line_magic("unload_ext", "mixroute_magic")


@pytest.fixture
def threads(shell: InteractiveShell) -> InteractiveShell:
    for name in ("main", "draft", "draft-2.b", "論文", "論點"):
        shell.run_cell(f"%chat --thread {name} Hello").raise_error()
    return shell


def tab(shell: InteractiveShell, cell: str) -> list[str]:
    """Press Tab at the last bar, and return the cell as each of the completions makes it."""
    offset = cell.rindex("|")
    text = cell[:offset] + cell[offset + 1 :]
    with provisionalcompleter():
        found = list(shell.Completer.completions(text, offset))
    return [text[: made.start] + made.text + text[made.end :] for made in found]


def offered(shell: InteractiveShell, before: str, after: str = "") -> list[str]:
    """Press Tab behind some text, and return what would be put there."""
    made = tab(shell, f"{before}|{after}")
    assert all(cell.startswith(before) for cell in made)
    return [cell[len(before) :].removesuffix(after) for cell in made]


def listed(shell: InteractiveShell, before: str, after: str = "") -> list[str]:
    """Press Tab, and once more when the gateway has answered, as it may take longer than Tab waits."""
    offered(shell, before, after)
    _wait(lambda: not any(thread.name == "mixroute-catalogue" for thread in threading.enumerate()))
    return offered(shell, before, after)


def test_a_threads_name_is_completed_and_nothing_else_is_offered(threads: InteractiveShell) -> None:
    cases = {
        "%chat --thread dr|": ["%chat --thread draft", "%chat --thread draft-2.b"],
        "%chat --thread draft-|": ["%chat --thread draft-2.b"],
        "%chat --thread=m|": ["%chat --thread=main"],
        "%chat --thread 論|": ["%chat --thread 論文", "%chat --thread 論點"],
        "%chat --thread=論|": ["%chat --thread=論文", "%chat --thread=論點"],
        "%chat --thread   m|": ["%chat --thread   main"],
        "%chat --thread m|   --fresh why?": ["%chat --thread main   --fresh why?"],
        "%chat --thread 論文|\u3000": ["%chat --thread 論文\u3000"],
        '%chat -s "two words, it\'s so" -t 0 --thread m|': ['%chat -s "two words, it\'s so" -t 0 --thread main'],
        "%chat -s '--fork x' -p top_p=1 --fresh --thread m|": ["%chat -s '--fork x' -p top_p=1 --fresh --thread main"],
        "%chat --system=short\\ one --thread m|": ["%chat --system=short\\ one --thread main"],
        '%chat --thread "m|"': ['%chat --thread "main"'],
        "%chat --thread='m|": ["%chat --thread='main"],
        "%%chat --thread m|\nmain or drama?": ["%%chat --thread main\nmain or drama?"],
        "\n  %%chat --thread m|\n  body": ["\n  %%chat --thread main\n  body"],
        "if drama:\n    %chat --thread m|\nx = 1": ["if drama:\n    %chat --thread main\nx = 1"],
        "%%time\n%chat --thread m|": ["%%time\n%chat --thread main"],
        "%thread m|": ["%thread main"],
        "%thread 論點|": ["%thread 論點"],
        "%thread --fork new m|": ["%thread --fork new main"],
        "%thread --fork=new m|": ["%thread --fork=new main"],
        "%thread |": [f"%thread {name}" for name in ("main", "draft", "draft-2.b", "論文", "論點")],
    }
    assert {cell: tab(threads, cell) for cell in cases} == cases


@pytest.mark.parametrize(
    ("cell", "completed"),
    [
        ("%chat --thr|", ["%chat --thread"]),
        ("%%chat --max|", ["%%chat --max-tokens"]),
        ("%%chat -t 0 --dr| --fresh\nbody", ["%%chat -t 0 --dry-run --fresh\nbody"]),
        ("%model gpt-4o --re|", ["%model gpt-4o --reset"]),
        ("%%model --sys|\nBe short.", ["%%model --system\nBe short."]),
        ("x = 1\n  %thread --f|", ["x = 1\n  %thread --fork"]),
        ("%thread draft --e|", ["%thread draft --export"]),
        ("%chat --list --thr|", []),
        ("%chat --fresh --thr|", ["%chat --fresh --thread"]),
        ("%model --list --re|", ["%model --list --reset"]),
    ],
)
def test_an_option_is_completed_and_nothing_else_is_offered(
    shell: InteractiveShell, cell: str, completed: list[str]
) -> None:
    assert tab(shell, cell) == completed


@pytest.mark.parametrize("line", ["%chat ", "%%chat ", "%chat --fresh "])
def test_a_dash_offers_all_options_of_the_magic_in_the_order_of_its_help(shell: InteractiveShell, line: str) -> None:
    assert offered(shell, line, "") == []
    flags = [flag for field in fields(ChatOptions) for flag in field.metadata["flags"]]
    assert tab(shell, f"{line}-|") == [line + flag for flag in flags]


def test_models_come_from_the_gateway_by_series_and_may_hold_what_ends_a_word_of_python(
    shell: InteractiveShell,
) -> None:
    listed(shell, "%chat -m ")
    by_series = ["glm-5", "gpt-5", "claude-x", "deepseek-r1", "vendor/glm-5:free"]
    assert offered(shell, "%chat -m ") == [*by_series, "'odd one'"]
    assert offered(shell, "%model ") == [*by_series, "'odd one'"]
    assert tab(shell, "%chat -m gpt-5 -m vendor/glm-5:|") == ["%chat -m gpt-5 -m vendor/glm-5:free"]
    assert tab(shell, '%%chat --fresh --model "odd |') == ['%%chat --fresh --model "odd one']
    assert offered(shell, "%chat --model=", " why?") == [*by_series, "'odd one'"]
    assert tab(shell, "%chat -m :fr|") == ["%chat -m vendor/glm-5:free"]
    assert tab(shell, "%model --list |") == ["%model --list gpt", "%model --list claude"] + [
        f"%model --list {series}" for series in ("deepseek", "glm")
    ]


def test_the_list_is_asked_for_once_only_where_it_is_wanted_and_what_the_notebook_uses_comes_first(
    shell: InteractiveShell, gateway: ScriptedGateway
) -> None:
    for cell in ("%chat --thr|", "%chat -f |", "%%chat\nwhy |", "%thread |", "glm|"):
        tab(shell, cell)
    assert gateway.asked == []
    for _ in range(3):
        assert listed(shell, "%chat -m ")[0] == "glm-5"
    shell.run_line_magic("model", "gpt-5")
    assert offered(shell, "%chat -m ")[:2] == ["gpt-5", "glm-5"]
    assert [asked.line for asked in gateway.asked] == ["GET /v1/models HTTP/1.1"]


def test_a_list_that_somebody_saw_is_not_asked_for_again(shell: InteractiveShell, gateway: ScriptedGateway) -> None:
    shell.run_line_magic("model", "--list")
    assert "claude-x" in offered(shell, "%chat -m ")
    assert len(gateway.asked) == 1


def test_the_list_of_one_gateway_is_never_shown_for_another(shell: InteractiveShell) -> None:
    assert "claude-x" in listed(shell, "%chat -m ")
    other = reply(200, {"data": [{"id": "theirs"}]})
    with scripted(other) as second:
        shell.run_line_magic("config", f"MixRoute.base_url = {second.base_url!r}")
        assert listed(shell, "%chat -m ") == ["theirs"]
    shell.run_line_magic("mixroute", "demo")
    found = listed(shell, "%chat -m ")
    assert set(MODELS) < set(found)
    assert not {"theirs", "claude-x"} & set(found)


def test_with_no_key_the_documented_models_are_offered_and_nothing_is_asked_or_said(
    bare: InteractiveShell, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    monkeypatch.setenv("MIXROUTE_MODEL", "my-own")
    bare.run_line_magic("load_ext", "mixroute_magic")
    found = offered(bare, "%chat -m ")
    assert found[0] == "my-own"
    assert set(found[1:]) == set(MODELS)
    bare.run_line_magic("config", "MixRoute.base_url = 'no address'")
    assert set(MODELS) < set(offered(bare, "%chat -m "))
    bare.run_line_magic("unload_ext", "mixroute_magic")
    printed = capsys.readouterr()
    assert printed.out + printed.err == ""


def test_a_gateway_that_hangs_keeps_nobody_waiting_and_its_list_is_there_when_it_has_come(
    bare: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare.run_line_magic("load_ext", "mixroute_magic")
    tab(bare, "%thread |")  # imports
    answered = threading.Event()
    with scripted([Until(answered), LIST]) as gateway:
        monkeypatch.setenv("MIXROUTE_BASE_URL", gateway.base_url)
        began = time.monotonic()
        assert set(offered(bare, "%chat -m ")) == set(MODELS)
        assert set(offered(bare, "%chat -m ")) == set(MODELS)
        assert time.monotonic() - began < 5  # a quarter of a second where nothing else runs; the request may take 30
        answered.set()
        _wait(lambda: "claude-x" in offered(bare, "%chat -m "))
        assert len(gateway.asked) == 1
    bare.run_line_magic("unload_ext", "mixroute_magic")


def test_unloading_ends_what_is_being_asked(bare: InteractiveShell, monkeypatch: pytest.MonkeyPatch) -> None:
    bare.run_line_magic("load_ext", "mixroute_magic")
    with scripted([Until(threading.Event())]) as gateway:
        monkeypatch.setenv("MIXROUTE_BASE_URL", gateway.base_url)
        offered(bare, "%chat -m ")
        _wait(lambda: len(gateway.asked) == 1)
        bare.run_line_magic("unload_ext", "mixroute_magic")
        assert gateway.closed_by_client.wait(10)


def test_a_gateway_that_fails_is_not_asked_at_every_tab(
    bare: InteractiveShell, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bare.run_line_magic("load_ext", "mixroute_magic")
    with scripted(reply(401, {"error": {"message": "no"}})) as gateway:
        monkeypatch.setenv("MIXROUTE_BASE_URL", gateway.base_url)
        for _ in range(3):
            assert set(listed(bare, "%chat -m ")) == set(MODELS)
        assert len(gateway.asked) == 1
    bare.run_line_magic("unload_ext", "mixroute_magic")
    printed = capsys.readouterr()
    assert printed.out + printed.err == ""


def test_words_that_an_option_knows_are_offered(shell: InteractiveShell) -> None:
    cases = {
        "%chat -f |": ["markdown", "text", "code", "json"],
        "%chat --format=j|": ["son"],
        "%chat --replay |": ["off", "auto", "only"],
        "%usage --by |": ["model", "thread", "notebook", "session", "day", "user"],
        "%usage --by s|": ["ession"],
        "%usage --since 7|": ["d"],
        "%mixroute |": ["status", "login", "logout", "demo"],
        "%mixroute log|": ["in", "out"],
        "%chat -p top_|": ["p=", "logprobs="],
        "%model --param re|": ["asoning_effort=", "sponse_format="],
        "%chat -p tool_choice=|": ["auto", "none", "required"],
        "%chat --param=reasoning_effort=l|": ["ow"],
        "%chat -p seed=|": [],
        "%chat -p anything=|": [],
    }
    cases = {cell: [cell.replace("|", word) for word in words] for cell, words in cases.items()}
    cases["%chat -p top_|"] = ["%chat -p top_p=", "%chat -p top_logprobs="]
    assert {cell: tab(shell, cell) for cell in cases} == cases


def test_a_value_with_quotes_in_it_is_quoted_whole_so_that_the_line_can_be_read(shell: InteractiveShell) -> None:
    completed = """%chat -p 'response_format={"type": "json_object"}'"""
    assert completed in tab(shell, "%chat -p response_format=|")
    assert tab(shell, """%chat -p 'response_format={"type": "j|""") == [completed.removesuffix("'")]
    assert tab(shell, '%chat -p "response_format=|') == []  # it cannot stand in these quotes


def test_variables_are_offered_by_what_they_are(shell: InteractiveShell) -> None:
    shell.run_cell("def forecast(city): ...\nasync def news(): ...\nfrom textwrap import dedent\nimport math")
    shell.user_ns.update(
        Weather=Weather,
        Film=Film,
        Films=list[Film],
        Point=Point,
        BaseModel=BaseModel,
        point=Point(1, 2),
        by_hand={"type": "object", "properties": {}},
        plain={"type": "array", "items": {}},
        photo=b"\x89PNG",
        picture=PIL.Image.new("RGB", (1, 1)),
        figure=matplotlib.figure.Figure(),
        frame=pd.DataFrame(),
    )
    assert offered(shell, "%chat --tool ") == ["forecast", "news"]
    assert offered(shell, "%chat --schema ") == ["by_hand", "Film", "Films", "Point", "Weather"]
    images = ["figure", "photo", "picture", "out(", "chart.PNG", "figures/"]
    assert offered(shell, "%chat --image ") == images
    names = offered(shell, "%chat -o ")
    assert {"drama", "frame", "math", "Weather"} < set(names)
    assert not {"_hidden", "In", "Out", "get_ipython", "exit", "print"} & set(names)


def test_files_are_offered_where_a_file_is_wanted(shell: InteractiveShell, tmp_path: Path) -> None:
    assert offered(shell, "%thread --export ") == ["data.json", "draft.md", "figures/", "'my notes.ipynb'"]
    assert offered(shell, "%thread --import ") == ["data.json", "figures/", "'my notes.ipynb'"]
    assert offered(shell, '%thread --import "my ', '"') == ["notes.ipynb"]
    assert offered(shell, "%thread --export .h") == ["idden.md"]
    assert offered(shell, "%chat --image figures/p") == ["lot.jpg"]
    assert offered(shell, f"%chat --image={tmp_path}/ch") == ["art.PNG"]
    assert offered(shell, "%chat --image https://") == []
    assert offered(shell, "%chat --image nowhere/") == []


def test_the_answers_that_stand_side_by_side_can_be_kept(shell: InteractiveShell) -> None:
    assert offered(shell, "%thread --keep ") == []
    shell.run_cell("%chat -m left -m right -m left -m claude-x Hello")
    listed(shell, "%model ")
    assert offered(shell, "%thread --keep ") == ["1", "right", "3"]
    assert offered(shell, "%model ")[:2] == ["glm-5", "claude-x"]  # of those used, what the gateway has


@BOTH
@pytest.mark.parametrize(
    ("cell", "completed"),
    [
        ("%%chat\nWhat is {{ dra|", ["drama", "drawn"]),
        ("%%chat --fresh\nWhat\nis {{dra| }} and {{ mainland }}?", ["drama", "drawn"]),
        ("%%model\nUse {{ mainl|", ["mainland"]),
        ("%chat what is {{ dra|", ["drama", "drawn"]),
        ("%chat -t 0 what's {{ drama }} and {{ mai|", ["mainland"]),
        ("%%chat\n{{ f(drama, mai|", ["mainland"]),
        ("%%chat\n{{ drama\n+ mai|", ["mainland"]),
        ("%%chat\n{{ cel|", ["cell("]),
        ("%%chat\n{{ ou|", ["out("]),
        ("%%chat\n{{ err|", ["error"]),
        ("%%chat\n{{ drawn.app|", ["append"]),
        ("%%chat\n{{ table.shap|", ["shape"]),
        ("%%chat\n{{ nested['a'].app|", ["append"]),
        ("%%chat\n{{ table['|", ["one", "two"]),
    ],
)
def test_in_a_template_the_notebooks_names_are_completed(
    shell: InteractiveShell, cell: str, completed: list[str]
) -> None:
    shell.user_ns.update(table=pd.DataFrame({"one": [1], "two": [2]}), nested={"a": []})
    found = tab(shell, cell)
    begun = cell[: cell.index("|")].rstrip("abcdefghijklmnopqrstuvwxyz")
    end = cell[cell.index("|") + 1 :]
    assert found == [begun + name + end for name in completed]


def test_an_open_template_offers_variables_and_what_templates_know_but_nothing_of_pythons(
    shell: InteractiveShell,
) -> None:
    found = offered(shell, "%%chat\n{{ ")
    assert found[-3:] == ["cell(", "out(", "error"]
    assert {"drama", "drawn", "mainland"} < set(found)
    assert not {"_hidden", "print", "for", "In", "get_ipython"} & set(found)
    attributes = offered(shell, "%%chat\n{{ drawn.")
    assert "append" in attributes
    assert not [name for name in attributes if name.startswith("_")]
    assert offered(shell, "%%chat\n{{ drawn.__len") == ["__"]


def test_nothing_is_called_for_a_tab(shell: InteractiveShell) -> None:
    shell.run_cell("called = []\ndef act():\n    called.append(1)\n    return called")
    shell.run_cell("class Thing:\n    @property\n    def now(self):\n        called.append(2)\n        return called")
    shell.run_cell("thing = Thing()")
    for cell in ("{{ act().app|", "{{ [act()].app|", "{{ thing.now.app|", "{{ nested[act()].app|", "{{ act()['|"):
        tab(shell, f"%%chat\n{cell}")
    assert shell.user_ns["called"] == []


@BOTH
@pytest.mark.parametrize(
    "cell",
    [
        "%%chat\ndra|",
        "%%chat\nlook at ./main|",
        "%%chat\nopen('dra|",
        "%%chat\n%thread m|",
        "%%chat\n!ls dra|",
        "%%chat --fresh\n%chat --thr|",
        "%%chat\n%%chat --thr|",
        "%%chat\n{{ drama }} dra|",
        "%%chat\n{ dra|",
        "%%chat\n{{ 'dra|",
        "%%chat\n{{ drawn | jo|",
        "%%chat\n{{ 3.|",
        "%%chat\n{{ 3dra|",
        "%%chat\n{{ f(x).app|",
        "\n%%model\nUse --thr|",
        "%chat explain dra|",
        "%chat explain --thr|",
        "%chat -t 0 why does it --thread m|",
        "%chat -- --thr|",
        "%chat --unknown --thr|",
        "%chat --unknown=m|",
        "%chat -s 'please use --thr|",
        "%chat -s dra|",
        "%chat -t 0|",
        "%chat what's --thr|",
        "%chat --fresh=m|",
        "%chat --thread nothing_like_it|",
        "%thread --fork dra|",
        "%thread --rewind dra|",
        "%thread main dra|",
        "%usage dra|",
        "%usage --m|",
    ],
)
def test_where_nothing_of_ours_fits_ipython_adds_nothing_either(shell: InteractiveShell, cell: str) -> None:
    assert tab(shell, cell) == []


def test_letters_are_written_by_their_names_in_messages_as_everywhere(shell: InteractiveShell) -> None:
    assert tab(shell, "%%chat\nWhat is \\alpha|") == ["%%chat\nWhat is α"]
    assert tab(shell, "%chat what is \\alpha|") == ["%chat what is α"]


@BOTH
@pytest.mark.parametrize(
    "cell",
    [
        "dra|",
        "drawn.app|",
        "open('dra|",
        "%|",
        "%%ch|",
        "%cd dra|",
        "%magic_of_others --thr|",
        "%%chatter --thread m|",
        "%%chatter\ndra|",
        "%chat|",
        "x = 1\n%%chat --thr|",
        "%%thread m|",
        "'%thread m|",
        "%chat hello\ndra|",
        "{{ dra|",
    ],
)
def test_elsewhere_everything_is_as_without_us(bare: InteractiveShell, cell: str) -> None:
    bare.run_line_magic("load_ext", "mixroute_magic")
    with_us = tab(bare, cell)
    matcher = bare.Completer.custom_matchers.pop()
    assert tab(bare, cell) == with_us
    bare.Completer.custom_matchers.append(matcher)
    bare.run_line_magic("unload_ext", "mixroute_magic")


@BOTH
def test_once_unloaded_it_offers_nothing(bare: InteractiveShell) -> None:
    cells = ("%thread --f|", "%chat --thr|", "%%chat\ndra|", "%%chat\n{{ cel|")
    before = list(bare.Completer.custom_matchers)
    without = [tab(bare, cell) for cell in cells]
    bare.run_line_magic("load_ext", "mixroute_magic")
    assert all(tab(bare, cell) != plain for cell, plain in zip(cells, without, strict=True))
    bare.run_line_magic("unload_ext", "mixroute_magic")
    assert bare.Completer.custom_matchers == before
    assert [tab(bare, cell) for cell in cells] == without


class Broken:
    """Variables that cannot be looked at."""

    @property
    def __class__(self) -> type:
        raise OSError("nobody looks at me")


def test_what_cannot_be_looked_at_is_no_error_at_tab(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.user_ns["broken"] = Broken()
    for cell in ("%chat --tool |", "%chat --schema |", "%chat --image |", "%chat -o bro|", "%%chat\n{{ broken.|"):
        tab(shell, cell)
    assert tab(shell, "%chat --thr|") == ["%chat --thread"]
    printed = capsys.readouterr()
    assert printed.out + printed.err == ""


def test_old_front_ends_that_send_one_line_are_served_too(threads: InteractiveShell) -> None:
    lines = ("%chat --thread dr", "%chat --thread=論", "  %chat --thr")
    with pytest.warns(PendingDeprecationWarning):
        found = [threads.complete(None, line, len(line)) for line in lines]
    assert found == [("dr", ["draft", "draft-2.b"]), ("論", ["論文", "論點"]), ("--thr", ["--thread"])]


def test_ten_thousand_variables_take_no_longer_than_ipythons_own_look_at_them(shell: InteractiveShell) -> None:
    shell.Completer.use_jedi = False  # which would take longer still
    shell.user_ns.update({f"name_{number}": number for number in range(10_000)})
    theirs = _cpu(lambda: tab(shell, "name_99|"))
    for cell in ("%%chat\n{{ |", "%%chat\n{{ name_99|", "%chat -o |", "%chat --tool |", "%chat --image |"):
        assert _cpu(lambda cell=cell: tab(shell, cell)) < 2 * theirs, cell  # a third; coverage makes ours slower
    assert _cpu(lambda: tab(shell, "%%chat\nplain words|")) < theirs
    assert len(tab(shell, "%%chat\n{{ |")) == 500  # as many as IPython passes on


def test_a_kernel_answers_a_front_ends_request(tmp_path: Path, gateway: ScriptedGateway) -> None:
    with Kernel(tmp_path, gateway.base_url) as kernel:
        for name in ("side", "𝛼-論文"):
            assert kernel.run(f"%chat --thread {name} Hello", name).status == "ok"
        kernel.run("sideways = 1")
        cell = "%%chat --thread si --fresh\nsidew {{ sidew"
        assert kernel.complete(cell, 18) == ["%%chat --thread side --fresh\nsidew {{ sidew"]
        assert kernel.complete("%thread 𝛼", 9) == ["%thread 𝛼-論文"]
        assert kernel.complete("%%chat --dry", 12) == ["%%chat --dry-run"]
        _wait(lambda: kernel.complete("%chat -m cl why?", 11) == ["%chat -m claude-x why?"])
        assert kernel.complete(cell, len(cell)) == ["%%chat --thread si --fresh\nsidew {{ sideways"]
        assert kernel.complete(cell, len("%%chat --thread si --fresh\nsidew")) == []
        assert kernel.complete("%thread --fork si", 17) == []
        asked = len(gateway.asked)
        kernel.send("%mixroute login").until(lambda _: True).answer("sk-another-key")
        kernel.run("'a cell'")
        _wait(lambda: "%model claude-x" in kernel.complete("%model ", 7))
        assert len(gateway.asked) == asked + 1  # another key may see other models
        kernel.run("%unload_ext mixroute_magic")
        assert "%%chat --thread side" not in kernel.complete("%%chat --thread si", 18)
        assert kernel.complete("%%chat --dry", 12) == []


def _cpu(act: Callable[[], object]) -> float:
    """Return the processor time of something that has been done before: the least of some."""
    act()
    spent = []
    for _ in range(5):
        began = time.process_time()
        act()
        spent.append(time.process_time() - began)
    return min(spent)


def _wait(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.02)
