"""What Tab offers on the lines of our magics, in a real shell and in a real kernel; IPython's own is left alone."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from kernels import Kernel

from mixroute_magic.arguments import Options, option
from mixroute_magic.completion import Completion
from mixroute_magic.options import ChatOptions, ModelOptions, UsageOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

THREADS = ["main", "draft", "draft-2.b", "論文", "論點"]
MODELS = ["gpt-4o", "vendor/glm-5:free"]


@dataclass(frozen=True)
class ForkOptions(Options):
    magic = "thread"
    about = ""
    usage = ("%thread [NAME] [options]",)
    examples = ()

    name: str | None = option(value="NAME", about="")
    note: str | None = option(value="TEXT", about="")
    fork: str | None = option("--fork", value="NEW", about="")


KINDS = (ChatOptions, ModelOptions, ForkOptions, UsageOptions)


def completion(threads: Callable[[], Iterable[str]] = lambda: THREADS) -> Completion:
    return Completion(KINDS, {"chat.thread": threads, "thread.name": threads, "chat.models": lambda: MODELS})


@pytest.fixture(params=[True, False], ids=["jedi", "no jedi"])
def shell(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[InteractiveShell]:
    """A shell where names, files and keywords compete with the threads."""
    monkeypatch.chdir(tmp_path)
    for name in ("draft.md", "main.py", "--thread.txt"):
        (tmp_path / name).touch()
    made = InteractiveShell(colors="nocolor")
    made.Completer.use_jedi = request.param
    made.user_ns.update(drama=1, mainland=2, drawn=["x"])
    yield made
    made.history_manager.end_session()


@pytest.fixture
def ours(shell: InteractiveShell) -> InteractiveShell:
    shell.Completer.custom_matchers.append(completion().match)
    return shell


def tab(shell: InteractiveShell, cell: str) -> list[str]:
    """Press Tab at the bar, and return the cell as each of the completions makes it."""
    text, offset = cell.replace("|", "", 1), cell.index("|")
    with provisionalcompleter():
        found = list(shell.Completer.completions(text, offset))
    return [text[: made.start] + made.text + text[made.end :] for made in found]


@pytest.mark.parametrize(
    ("cell", "completed"),
    [
        ("%chat --thread dr|", ["%chat --thread draft", "%chat --thread draft-2.b"]),
        ("%chat --thread draft-|", ["%chat --thread draft-2.b"]),
        ("%chat --thread=m|", ["%chat --thread=main"]),
        ("%chat --thread 論|", ["%chat --thread 論文", "%chat --thread 論點"]),
        ("%chat --thread=論|", ["%chat --thread=論文", "%chat --thread=論點"]),
        ("%chat --thread   m|", ["%chat --thread   main"]),
        ("%chat --thread m|   --fresh why?", ["%chat --thread main   --fresh why?"]),
        ("%chat --thread 論文|\u3000", ["%chat --thread 論文\u3000"]),
        ('%chat -s "two words, it\'s so" -t 0 --thread m|', ['%chat -s "two words, it\'s so" -t 0 --thread main']),
        (
            "%chat -s '--fork x' -p top_p=1 --fresh --thread m|",
            ["%chat -s '--fork x' -p top_p=1 --fresh --thread main"],
        ),
        ("%chat --system=short\\ one --thread m|", ["%chat --system=short\\ one --thread main"]),
        ('%chat --thread "m|"', ['%chat --thread "main"']),
        ("%chat --thread='m|", ["%chat --thread='main"]),
        ("%%chat --thread m|\nmain or drama?", ["%%chat --thread main\nmain or drama?"]),
        ("\n  %%chat --thread m|\n  body", ["\n  %%chat --thread main\n  body"]),
        ("if drama:\n    %chat --thread m|\nx = 1", ["if drama:\n    %chat --thread main\nx = 1"]),
        ("%%time\n%chat --thread m|", ["%%time\n%chat --thread main"]),
        ("%thread m|", ["%thread main"]),
        ("%thread 論點|", ["%thread 論點"]),
        ("%thread --fork new m|", ["%thread --fork new main"]),
        ("%thread --fork=new m|", ["%thread --fork=new main"]),
        ("%thread |", [f"%thread {name}" for name in sorted(THREADS)]),
    ],
)
def test_a_threads_name_is_completed_and_nothing_else_is_offered(
    ours: InteractiveShell, cell: str, completed: list[str]
) -> None:
    assert sorted(tab(ours, cell)) == completed


@pytest.mark.parametrize(
    ("cell", "completed"),
    [
        ("%chat --thr|", ["%chat --thread"]),
        ("%%chat --max|", ["%%chat --max-tokens"]),
        ("%%chat -t 0 --dr| --fresh\nbody", ["%%chat -t 0 --dry-run --fresh\nbody"]),
        ("%model gpt-4o --re|", ["%model gpt-4o --reset"]),
        ("%%model --sys|\nBe short.", ["%%model --system\nBe short."]),
        ("x = 1\n  %thread --f|", ["x = 1\n  %thread --fork"]),
        ("%thread draft -|", ["%thread draft --fork"]),
    ],
)
def test_an_option_is_completed_and_nothing_else_is_offered(
    ours: InteractiveShell, cell: str, completed: list[str]
) -> None:
    assert tab(ours, cell) == completed


@pytest.mark.parametrize("cell", ["%chat -m vendor/glm-5:|", "%chat --model=ven|", '%%chat --fresh --model "v|'])
def test_other_values_have_their_source_too_and_may_hold_what_ends_a_word_of_python(
    ours: InteractiveShell, cell: str
) -> None:
    (completed,) = tab(ours, cell)
    assert completed.endswith("vendor/glm-5:free")
    assert completed.count("vendor") == 1


@pytest.mark.parametrize("line", ["%chat ", "%%chat ", "%chat --fresh "])
def test_a_dash_offers_all_options_of_the_magic_short_ones_too(ours: InteractiveShell, line: str) -> None:
    flags = {flag for field in fields(ChatOptions) for flag in field.metadata["flags"]}
    assert set(tab(ours, f"{line}-|")) == {line + flag for flag in flags}
    assert {"-t", "--temperature"} < flags


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
        "%chat|",
        "%chat explain dra|",
        "%chat explain --thr|",
        "%chat -t 0 why does it --thread m|",
        "%chat -- --thr|",
        "%chat --unknown --thr|",
        "%chat -s 'please use --thr|",
        "%chat what's --thr|",
        "%chat --fresh=m|",
        "%chat -o dra|",
        "%chat -o=m|",
        "%chat --thread nothing_like_it|",
        "%thread draft m|",
        "%thread --fork m|",
        "%thread --fork=m|",
        "%usage m|",
        "%usage --m|",
        "%%chat\ndra|",
        "%%chat\n%thread m|",
        "%%chat --fresh\n%chat --thr|",
        "%%chat\n%%chat --thr|",
        "\n%%model\nUse --thr|",
        "x = 1\n%%chat --thr|",
        "%%thread m|",
        "'%thread m|",
    ],
)
def test_elsewhere_everything_is_as_without_us(shell: InteractiveShell, cell: str) -> None:
    without = tab(shell, cell)
    shell.Completer.custom_matchers.append(completion().match)
    assert tab(shell, cell) == without


def test_once_removed_it_offers_nothing(shell: InteractiveShell) -> None:
    cells = ("%thread m|", "%chat --thr|")
    without = [tab(shell, cell) for cell in cells]
    made, other = completion(), completion()
    shell.Completer.custom_matchers.extend([other.match, made.match])
    assert [tab(shell, cell) for cell in cells] == [["%thread main"], ["%chat --thread"]]
    shell.Completer.custom_matchers.remove(made.match)
    assert shell.Completer.custom_matchers == [other.match]
    shell.Completer.custom_matchers.remove(other.match)
    assert [tab(shell, cell) for cell in cells] == without


def test_names_are_asked_for_at_each_tab_and_only_where_they_are_wanted(shell: InteractiveShell) -> None:
    asked = []

    def threads() -> Iterator[str]:
        asked.append("threads")
        yield f"main{len(asked)}"

    shell.Completer.custom_matchers.append(completion(threads).match)
    for cell in ("%chat --thr|", "%thread --fork m|", "%%chat\n%thread m|", "mai|"):
        tab(shell, cell)
    assert asked == []
    assert tab(shell, "%thread m|") == ["%thread main1"]
    assert tab(shell, "%thread m|") == ["%thread main2"]


def test_where_the_names_cannot_be_had_nothing_is_printed(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    def threads() -> Iterator[str]:
        yield "main"
        raise OSError("the notebook cannot be read")

    without = tab(shell, "%thread m|")
    shell.Completer.custom_matchers.append(completion(threads).match)
    assert tab(shell, "%thread m|") == without
    assert tab(shell, "%thread --f|") == ["%thread --fork"]
    printed = capsys.readouterr()
    assert printed.out + printed.err == ""


def test_old_front_ends_that_send_one_line_are_served_too(ours: InteractiveShell) -> None:
    lines = ("%chat --thread dr", "%chat --thread=論", "  %chat --thr")
    with pytest.warns(PendingDeprecationWarning):
        found = [ours.complete(None, line, len(line)) for line in lines]
    assert found == [("dr", ["draft", "draft-2.b"]), ("論", ["論文", "論點"]), ("--thr", ["--thread"])]


def test_a_kernel_answers_a_front_ends_request_with_the_threads_of_its_notebook(tmp_path: Path) -> None:
    with Kernel(tmp_path, MIXROUTE_DEMO="1") as kernel:
        for name in ("side", "𝛼-論文"):
            assert kernel.run(f"%chat --thread {name} Hello", name).status == "ok"
        kernel.run("sideways = 1")
        cell = "%%chat --thread si --fresh\nsidew"
        assert kernel.complete(cell, 18) == ["%%chat --thread side --fresh\nsidew"]
        assert kernel.complete("%thread 𝛼", 9) == ["%thread 𝛼-論文"]
        assert kernel.complete("%%chat --dry", 12) == ["%%chat --dry-run"]
        assert kernel.complete(cell, len(cell)) == ["%%chat --thread si --fresh\nsideways"]
        assert "%thread --fork side" not in kernel.complete("%thread --fork si", 17)
        kernel.run("%unload_ext mixroute_magic")
        assert "%%chat --thread side" not in kernel.complete("%%chat --thread si", 18)
        assert kernel.complete("%%chat --dry", 12) == []
