"""``%chat why?`` reaches the magic, in a real shell."""

from __future__ import annotations

import atexit
import textwrap
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from IPython.core.inputtransformer2 import TransformerManager
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import no_var_expand
from traitlets.config import Config

from mixroute_magic.questions import keep_questions

if TYPE_CHECKING:
    from collections.abc import Iterator


class Asking:
    """A shell with a ``chat`` magic that notes what it was asked."""

    def __init__(self) -> None:
        config = Config()
        config.HistoryManager.enabled = False
        self.shell = InteractiveShell(config=config)
        self.shell.input_transformers_cleanup.append(keep_questions)
        self.shell.register_magic_function(self.chat, "line_cell", "chat")
        self.asked: list[str] = []

    @no_var_expand  # type: ignore[untyped-decorator]  # IPython ships no types
    def chat(self, line: str, cell: str | None = None) -> str:
        """How to chat."""
        self.asked.append(line if cell is None else f"{line}|{cell}")
        return f"answer to {line}"

    def run(self, cell: str) -> list[str]:
        self.asked.clear()
        self.shell.run_cell(textwrap.dedent(cell), store_history=True).raise_error()
        return list(self.asked)

    def __getitem__(self, name: str) -> Any:
        return self.shell.user_ns[name]

    def close(self) -> None:
        atexit.unregister(self.shell.atexit_operations)
        self.shell.atexit_operations()
        self.shell.restore_sys_module_state()


@pytest.fixture(scope="module")
def asking() -> Iterator[Asking]:
    asking = Asking()
    yield asking
    asking.close()


@pytest.mark.parametrize(
    "words",
    [
        "why?",
        "really??",
        "what's new?",
        "what's new, and what's old?",
        "  two spaces first?",
        "為什麼?",
        "為什麼？",
        "why ?",
        'is "this" or (that?',
        "is it '''quoted?",
        "-t 0 how much is {{ df.shape }}?",
        "is 5 % 2 = 1?",
        "what is a backslash \\?",
        "? or ! at first?",
        "no question",
        "a question? not at the end",
        "is it 3? # no comment",
        "what is U+2028,\u2028here?",
    ],
)
def test_the_words_arrive_as_they_were_typed(asking: Asking, words: str) -> None:
    assert asking.run(f"%chat {words}") == [words]


def test_blanks_after_the_question_are_dropped_as_ipython_does(asking: Asking) -> None:
    assert asking.run("%chat why? \t\r\n") == ["why?"]


def test_several_questions_between_lines_of_python(asking: Asking) -> None:
    cell = """
        %chat what's first?
        x = "it's"
        %chat (and second
        %chat it's the third (of '''three)?
        # it's a comment (
        y = [x,
             "two"]
        %chat fourth?
    """
    assert asking.run(cell) == ["what's first?", "(and second", "it's the third (of '''three)?", "fourth?"]
    assert asking["y"] == ["it's", "two"]


def test_an_indented_question(asking: Asking) -> None:
    cell = """
        for name in ["a", "b"]:
            %chat what's it?
        else:
            %chat done?
    """
    assert asking.run(cell) == ["what's it?", "what's it?", "done?"]


@pytest.mark.parametrize("target", ["x", "x ", "found['a=b']", 'found["it\'s"]', "x: str", "first, *rest", "  x"])
def test_an_assigned_question(asking: Asking, target: str) -> None:
    asking.run("found = {}")
    assert asking.run(f"{target} = %chat what's it?") == ["what's it?"]


def test_an_assigned_answer_is_the_magics_own(asking: Asking) -> None:
    asking.run("x = %chat why?\nz = %chat it's (not a question\ny = %chat because?")
    assert (asking["x"], asking["y"]) == ("answer to why?", "answer to because?")
    assert asking["z"] == "answer to it's (not a question"


def test_a_question_continued_with_backslashes(asking: Asking) -> None:
    assert asking.run("%chat what's \\\nthe (point \\\nof it?\nx = 1") == ["what's  the (point  of it?"]


def test_a_question_after_a_continued_line_that_is_not_one(asking: Asking) -> None:
    assert asking.run("%chat why? \\\nbecause\n%chat who?") == ["why?  because", "who?"]


def test_a_question_after_other_magics_with_odd_quotes(asking: Asking) -> None:
    cell = """
        %chat it's '''odd (
        w = !echo "it's ("
        !true it \\'
        %chat why?
    """
    assert asking.run(cell) == ["it's '''odd (", "why?"]


@pytest.mark.parametrize("cell", ["%chat?", "%chat??", "?%chat", "??%chat", "%chat ?", "%chat ??", "%%chat?"])
def test_help_stays_help(asking: Asking, cell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert asking.run(cell) == []
    assert "How to chat." in capsys.readouterr().out


def test_help_on_anything_else_stays_help(asking: Asking, capsys: pytest.CaptureFixture[str]) -> None:
    assert asking.run("%chat why?\nlen?") == ["why?"]
    assert "number of items" in capsys.readouterr().out


@pytest.mark.parametrize(
    "text",
    [
        "s = '''\n%chat why?\n'''",
        's = """it\'s \\""" not the end\n%chat why?\n"""',
        "s = 'one \\\n%chat why?'",
        "s = (\n  '%chat '\n'what?'\n)",
        "s = '''a''' '''\nx = %chat why?\n'''",
        "s = 'it\\'s (' + '''\n%chat why?\n''' # '''",
        "s = r'\\' # ''' '''\n%chat why?\n'''",
    ],
)
def test_what_is_inside_a_string_stays_there(asking: Asking, text: str) -> None:
    expected: dict[str, Any] = {}
    exec(text, expected)
    assert asking.run(text) == []
    assert asking["s"] == expected["s"]


@pytest.mark.parametrize("text", ["x = [1,\n%chat why?\n", "s = '''open\n%chat why?\n", "f(a,\n  b)\n(\n%chat why?\n"])
def test_what_is_not_finished_stays_as_it_is(text: str) -> None:
    assert "".join(keep_questions(text.splitlines(keepends=True))) == text


def test_a_closing_bracket_too_many_hides_no_question() -> None:
    assert keep_questions([")\n", "%chat why?\n"]) == [")\n", "get_ipython().run_line_magic('chat', 'why?')\n"]


def test_a_cell_magic_gets_its_body_untouched(asking: Asking) -> None:
    assert asking.run("%%chat -t 0\n%chat why?\nwhat's x?\n") == ["-t 0|%chat why?\nwhat's x?\n"]


def test_a_question_inside_a_cell_magic_that_runs_its_body(asking: Asking) -> None:
    assert asking.run("%%capture\n%chat why?\n") == ["why?"]


@pytest.mark.parametrize("cell", ["x = 1\ny = 2\n", "%chat hello\n", "%chatter why?\n", "%%chat\n%chat why?\n", ""])
def test_a_cell_with_nothing_to_keep_costs_nothing(cell: str) -> None:
    lines = cell.splitlines(keepends=True)
    assert keep_questions(lines) is lines


def test_the_history_shows_what_was_typed(asking: Asking) -> None:
    asking.run("%chat what's new?")
    assert asking.shell.history_manager.input_hist_raw[-1] == "%chat what's new?"


def test_the_shell_knows_that_the_question_is_complete(asking: Asking) -> None:
    assert asking.shell.check_complete("%chat what's new?") == ("complete", "")


LINES = [
    *["%chat why?", "%chat what's it?", "%chat '''?", "%chat (a", "%chat b)?", "    %chat in?", "%chat to \\"],
    *["x = %chat it's?", "    x = %chat a = b?", "u = %time 'a (", "!echo it's", "for i in x:", "    pass", "# it's ("],
    *["x = (", ")", "y = [1,", "2]", 'r = "a?"'],
    *["s = 'it\\'s'", "s = 'one \\", "two'", 'd = """', '"""', "t = '''", "'''"],
]


@settings(deadline=None)
@given(st.lists(st.sampled_from(LINES), max_size=6))
def test_a_question_mark_is_read_as_any_letter_is(lines: list[str]) -> None:
    cell = "\n".join(lines)
    as_letter = TransformerManager().transform_cell(cell.replace("?", "Q"))
    assume(is_python(as_letter))
    keeping = TransformerManager()
    keeping.cleanup_transforms.append(keep_questions)
    assert keeping.transform_cell(cell).replace("?", "Q") == as_letter


def is_python(code: str) -> bool:
    try:
        compile(code, "cell", "exec")
    except SyntaxError:
        return False
    return True
