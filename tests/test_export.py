"""A thread written to a file, and read back."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from IPython.core.inputtransformer2 import TransformerManager
from kernels import environment
from markdown_it import MarkdownIt
from nbclient import NotebookClient

from mixroute_magic import Conversation
from mixroute_magic.chat import displayed
from mixroute_magic.conversation.export import export, import_turns
from mixroute_magic.conversation.records import FORGET, FORK, Edit
from mixroute_magic.conversation.turn import COMPLETE, FAILED, Turn
from mixroute_magic.errors import HistoryError
from mixroute_magic.options import parse_chat
from mixroute_magic.prompt.templates import render
from mixroute_magic.wire import Message, Usage

if TYPE_CHECKING:
    from collections.abc import Sequence


def turn(number: int, *said: str, system: str | None = None, **fields: Any) -> Turn:
    """Return a turn of questions and answers in turn."""
    roles = ["user", "assistant"] * len(said)
    first = [] if system is None else [Message("system", system)]
    known: dict[str, Any] = {"thread": "main", "status": COMPLETE, "model": "glm-5"} | fields
    return Turn(turn=f"t{number}", messages=(*first, *map(Message, roles, said)), **known)


def shown(turn: Turn) -> dict[str, str]:
    return dict(displayed(turn)["data"])


def write(path: Path, *turns: Turn, thread: str = "main", notebook: str | None = "talk.ipynb") -> Path:
    export(path, turns, thread=thread, notebook=notebook, bundle=shown)
    return path


def refused(path: Path, *turns: Turn) -> str:
    with pytest.raises(HistoryError) as caught:
        write(path, *turns)
    assert len(caught.value.lines()) == 2
    return "\n".join(caught.value.lines())


def not_imported(path: Path, content: object) -> str:
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    with pytest.raises(HistoryError) as caught:
        import_turns(path)
    return "\n".join(caught.value.lines())


def notebook(*cells: Sequence[object]) -> dict[str, object]:
    """Return a notebook whose cells' outputs hold these records."""
    outputs = [
        [{"output_type": "display_data", "data": {}, "metadata": {"mixroute": record}} for record in cell]
        for cell in cells
    ]
    return {"nbformat": 4, "cells": [{"cell_type": "code", "id": str(i), "outputs": o} for i, o in enumerate(outputs)]}


def tops(markdown: str) -> list[tuple[str, str]]:
    """Return the headings of a document that stand in no list and no quotation."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(markdown)
    return [
        (token.tag, tokens[place + 1].content)
        for place, token in enumerate(tokens)
        if token.type == "heading_open" and token.level == 0
    ]


def code(path: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def typed(source: str) -> list[tuple[Any, str]]:
    """Return the options and questions that a cell asks, as IPython and the magic read it."""
    asked = []

    class Shell:
        def run_cell_magic(self, magic: str, line: str, body: str) -> None:
            assert magic == "chat"
            options, question = parse_chat(line, body)
            asked.append((options, render(question, {"name": "filled"}).text))

    exec(TransformerManager().transform_cell(source), {"get_ipython": Shell})
    return asked


MARKUP = (
    "` ``` ````\n ```python\n ~~~ --- \n---\n === <b> <!-- --> <pre> </details> $ $$ \\ \\( | |---| [a]: ![x](y) * _"
)
MAGIC = "{ {{ {{name}} }} %%chat %chat % ? ' \" -m >>>"
PIECES = [
    *MARKUP.split(" "),
    *MAGIC.split(" "),
    *("\n", "\n\n", "\r", "\r\n", "  ", "    ", "\t", "# ", "## ", "#\u3000", "- ", "1. ", "> "),
    *("\n>>> ", "... ", "In [1]: ", "你好，", "\u200f\u05e9\u05dc\u05d5\u05dd", "word " * 500),
    *("\x00", "\x0b", "\x1b", "\x85", "\u2028", "\ud83d", "\ufdd0"),
]
TEXT = st.lists(st.sampled_from(PIECES) | st.text(max_size=8), max_size=12).map("".join)
TURNS = st.lists(
    st.builds(
        lambda said, system, params: (said, system, params),
        st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=2).map(
            lambda pairs: [text for pair in pairs for text in pair]
        ),
        st.none() | TEXT,
        st.dictionaries(
            TEXT, st.none() | st.booleans() | st.integers() | TEXT | st.lists(TEXT, max_size=2), max_size=2
        ),
    ),
    min_size=1,
    max_size=3,
).map(
    lambda made: [
        turn(place, *said, system=system, params=params, usage=Usage(place, 7, None, 0, "reported"), seconds=0.5)
        for place, (said, system, params) in enumerate(made)
    ]
)


def whole(value: Any) -> str:
    """Return the JSON of a value: two halves of one character that meet in it become the character."""
    return json.dumps(json.loads(json.dumps(value)), sort_keys=True)


@pytest.mark.parametrize("name", ["talk.json", "talk.ipynb", "TALK.JSON"])
@given(turns=TURNS)
@settings(deadline=None, max_examples=60)
def test_what_is_exported_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, name: str, turns: list[Turn]
) -> None:
    back = import_turns(write(tmp_path_factory.mktemp("export") / name, *turns))
    assert len({turn.turn for turn in back} | {turn.turn for turn in turns}) == 2 * len(turns)
    kept = [read for turn in turns if (read := Turn.from_metadata(turn.to_metadata()))]  # as any reader has them
    came, went = ([whole(replace(turn, turn="").to_metadata()) for turn in some] for some in (back, kept))
    assert came == went


@given(turns=TURNS)
@settings(deadline=None, max_examples=300)
def test_a_handout_has_a_section_for_each_turn_whatever_is_said(
    tmp_path_factory: pytest.TempPathFactory, turns: list[Turn]
) -> None:
    path = write(tmp_path_factory.mktemp("export") / "talk.md", *turns)
    headings = tops(path.read_text(encoding="utf-8"))
    assert [text for tag, text in headings if tag in {"h1", "h2"}] == ["talk", *map(str, range(1, len(turns) + 1))]


@given(turns=TURNS)
@settings(deadline=None, max_examples=100)
def test_an_exported_cell_asks_the_same_question(tmp_path_factory: pytest.TempPathFactory, turns: list[Turn]) -> None:
    path = write(tmp_path_factory.mktemp("export") / "talk.ipynb", *turns)
    nbformat.validate(nbformat.read(path, as_version=nbformat.NO_CONVERT))
    for turn, cell in zip(turns, code(path)[1:], strict=True):
        questions = [message.text for message in turn.messages if message.role == "user"]
        asked = typed(cell.source)
        if all(question.strip() for question in questions):
            assert [question for _, question in asked] == questions
        assert all(options.models == ("glm-5",) for options, _ in asked)
        assert all(options.system == turn.messages[0].text for options, _ in asked if turn.messages[0].role == "system")


@pytest.mark.parametrize(
    "params",
    [
        {"temperature": 0.7, "max_tokens": 100},
        {"max_completion_tokens": 5, "reasoning_effort": "low"},
        {"stop": ["END", "it's"], "top_p": 0.5, "stream": False, "user": "true", "seed": None},
        {"note": "two\nlines 'and' \"quotes\" \\", "empty": "", "number": "7", "open": "[x", "dash": "-x"},
        {"metadata": {"班": "甲", "n": [1, {"a": "{{ x }}"}]}},
    ],
)
@pytest.mark.parametrize(
    "system", ["Be brief.", "Don't", "-x", "", "a \"b\" \\ 'c'", "two\nlines", "{{ x }} $HOME `x`"]
)
def test_the_options_of_an_exported_cell_are_those_of_the_turn(
    tmp_path: Path, params: dict[str, Any], system: str
) -> None:
    path = write(tmp_path / "talk.ipynb", turn(1, "why?", "so", system=system, params=params, model="a/b c?"))
    ((options, question),) = typed(code(path)[1].source)
    assert question == "why?"
    assert (options.models, options.system) == (("a/b c?",), system)
    known = {"temperature": options.temperature, "max": options.max_tokens} | options.params
    given_max = params.get("max_tokens", params.get("max_completion_tokens"))
    others = {name: value for name, value in params.items() if not name.startswith("max_")}
    assert known == {"temperature": None, "max": given_max} | others


def test_options_that_the_magic_would_not_take_are_left_out(tmp_path: Path) -> None:
    odd = {"temperature": 7, "max_tokens": "many", "messages": [], "a=b": 1, "": 2, "top_p": 0.5}
    path = write(tmp_path / "talk.ipynb", turn(1, "why?", "so", params=odd))
    assert code(path)[1].source == "%%chat -m glm-5 -p top_p=0.5\nwhy?"


def test_what_could_not_be_asked_has_no_question_in_its_cell(tmp_path: Path) -> None:
    path = write(tmp_path / "talk.ipynb", turn(1, " ", "so"), turn(2, "is this sk-" + "test" * 5, "no"))
    assert all(cell.source.startswith("# ") and "sk-" not in cell.source for cell in code(path)[1:])
    assert len(import_turns(path)) == 2


def test_an_exported_notebook_runs_and_asks_the_same(tmp_path: Path) -> None:
    odd = "{{ name }} is no variable, {% raw %} neither\n\n>>> 1 + 1\n%%chat\n\x0b>>> x\n?\n"
    turns = [
        turn(1, "My name is 小雅.\n```\nx = {{ 'y' }}\n```", "Hello", system="Be brief."),
        turn(2, ">>> print(1)\n... x", "1", params={"temperature": 0.5}),
        turn(3, odd, "", model="deepseek-r1"),
        turn(4, "first\nquestion", "one", "second?", "two", system="two\nlines"),
    ]
    path = write(tmp_path / "talk.ipynb", *turns, thread="draft")
    made = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(made)
    client = NotebookClient(made, kernel_name="python3", timeout=120, resources={"metadata": {"path": str(tmp_path)}})
    client.execute(env=environment(tmp_path, MIXROUTE_DEMO="1"))
    records = [output.metadata.mixroute for cell in made.cells[2:] for output in cell.outputs]
    assert all(record.status == COMPLETE and record.thread == "draft" for record in records)
    asked = [[said.content for said in record.messages if said.role != "assistant"] for record in records]
    assert asked == [
        ["Be brief.", turns[0].messages[1].text],
        [">>> print(1)\n... x"],
        [odd],
        ["two\nlines", "first\nquestion"],
        ["two\nlines", "second?"],
    ]
    assert [record.model for record in records] == ["glm-5", "glm-5", "deepseek-r1", "glm-5", "glm-5"]
    assert records[1].params == {"temperature": 0.5}


def test_a_handout_reads_well(tmp_path: Path) -> None:
    path = write(
        tmp_path / "talk.md",
        turn(
            1,
            "# What?\nand why",
            "# Title\n\nWell\n===\n\nSo\n---\n\n- # Item\n\n| # | C # |\n\n```python\n# comment",
            created="2026-11-22T03:00:00Z",
        ),
        turn(2, "<b>", "a", "b", "c", system="Short.", reasoning="secret", created="2026-11-23T03:00:00Z", model="o3"),
        notebook="a*b.ipynb",
        thread="草稿",
    )
    text, _, mark = path.read_text(encoding="utf-8").rpartition("\n\n")
    assert re.fullmatch("<!-- mixroute_export [0-9a-f]{16} -->\n", mark)
    assert text == (
        "# a\\*b · 草稿\n\n*2026-11-22 – 2026-11-23 · glm-5, o3 · 2 turns*\n\n"
        "## 1\n\n> ### What?  \n> and why  \n\n"
        "### Title\n\n### Well\n\n#### So\n\n- ### Item\n\n| # | C # |\n\n"
        "```python\n# comment\n```\n\n*glm-5 · tokens unknown*\n\n"
        "## 2\n\n> *System prompt*\n>\n> Short.  \n\n> &lt;b>  \n\na\n\n> b  \n\nc\n\n*o3 · tokens unknown*"
    )


@pytest.mark.parametrize(
    "answer",
    [
        "```\nopen",
        "~~~~ python\n~~~\n# code",
        "- item\n  ```\n# Title",
        "1. a\n   ```\n   # code\n   ```\n\ntext\n---",
        "  ```\ncode\n# more\n  ```\n## Title",
        "> ```\n# Title",
        "text\n## Title\ntext\n---\na\nb\n===",
        "<!-- \n\n## 2\n\n",
        "    ```\n## Title\n```\n# code\n```\n## Title",
        "a\n\n```x`y\n# Title",
    ],
)
def test_no_answer_breaks_out_of_its_section(tmp_path: Path, answer: str) -> None:
    path = write(tmp_path / "talk.md", turn(1, "why?", answer), turn(2, answer, answer))
    assert [text for tag, text in tops(path.read_text()) if tag in {"h1", "h2"}] == ["talk", "1", "2"]


def test_code_in_a_list_stays_as_it_is(tmp_path: Path) -> None:
    answer = "1. Install:\n\n   ```bash\n   # first\n   pip install x\n   ```\n\n2. Done"
    assert answer in write(tmp_path / "talk.md", turn(1, "how?", answer)).read_text()


@pytest.mark.parametrize("suffix", ["md", "ipynb", "json"])
def test_only_an_earlier_export_is_replaced(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"talk.{suffix}", turn(1, "first", "one"))
    write(path, turn(1, "first", "one"), turn(2, "second", "two"))
    assert b"second" in path.read_bytes()
    for own in (
        b"mine",
        b"{}",
        b"[]",
        b"[" * 100_000,
        json.dumps(notebook([])).encode(),
        b"<!-- mixroute_export --> mine",
    ):
        path.write_bytes(own)
        assert "exists and is no export, or was changed since; nothing was written" in refused(
            path, turn(1, "first", "one")
        )
        assert path.read_bytes() == own
    assert list(tmp_path.iterdir()) == [path]


def test_the_notebook_at_work_is_not_replaced_even_if_it_was_exported(tmp_path: Path) -> None:
    path = write(tmp_path / "talk.ipynb", turn(1, "first", "one"))
    before = path.read_bytes()
    with pytest.raises(HistoryError, match="nothing was written"):
        export(path, [turn(2, "x", "y")], thread="main", notebook=None, bundle=shown, running=path)
    assert path.read_bytes() == before
    export(path, [turn(2, "x", "y")], thread="main", notebook=None, bundle=shown, running=tmp_path / "no.ipynb")
    assert path.read_bytes() != before


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "talk.json")
    write(link, turn(1, "first", "one"))
    assert link.is_symlink()
    assert len(import_turns(tmp_path / "talk.json")) == 1


def test_what_cannot_be_written_is_said_in_two_lines(tmp_path: Path) -> None:
    (tmp_path / "folder.md").mkdir()
    (tmp_path / "file").write_text("x")
    one = turn(1, "first", "one")
    assert ".md, .ipynb or .json" in refused(tmp_path / "talk.pdf", one)
    assert ".md, .ipynb or .json" in refused(tmp_path / "talk", one)
    assert "no turns" in refused(tmp_path / "talk.md")
    assert "exists" in refused(tmp_path / "folder.md", one)
    assert "No such file or directory" in refused(tmp_path / "missing" / "talk.md", one)
    assert "cannot be written" in refused(tmp_path / "file" / "talk.md", one)
    assert "cannot be written" in refused(tmp_path / "nul\0.md", one)
    assert "too long" in refused(tmp_path / ("x" * 300 + ".md"), one)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.md"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_device_is_no_file_to_write(tmp_path: Path) -> None:
    link = tmp_path / "full.md"
    link.symlink_to("/dev/full")
    assert "nothing was written" in refused(link, turn(1, "first", "one"))


def test_an_export_is_one_thread_of_its_own(tmp_path: Path) -> None:
    forked = [
        turn(1, "a", "b", also_in=("draft",)),
        turn(2, "c", "d", thread="draft", earlier={0: turn(3, "e", "f")}),
    ]
    for name in ("talk.json", "talk.ipynb"):
        back = import_turns(write(tmp_path / name, *forked, thread="draft"))
        assert [(turn.messages[0].text, turn.thread, turn.also_in, turn.earlier) for turn in back] == [
            ("a", "draft", (), {}),
            ("c", "draft", (), {}),
        ]
    assert code(tmp_path / "talk.ipynb")[0].source == "%load_ext mixroute_magic\n%thread draft"


@pytest.mark.parametrize(
    "name", ["a\n!touch x", "main\n%thread y", "a b", "a --clear", "--clear", "{{ x }}", "a\u2028!x", "'"]
)
def test_a_thread_that_no_magic_would_take_is_named_by_none(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "talk.ipynb", turn(1, "why?", "so", thread=name), thread=name)
    assert code(path)[0].source == "%load_ext mixroute_magic"


def test_a_notebook_is_imported_as_it_would_be_restored(tmp_path: Path) -> None:
    path = tmp_path / "other.ipynb"
    one, two, three = (turn(number, f"q{number}", "a") for number in (1, 2, 3))
    failed = turn(4, "q4", status=FAILED, earlier={0: two})
    aside = turn(5, "q5", "a", thread="aside")
    forget = Edit(id="e", created="2026", action=FORGET, thread="main", turns=("t3",))
    cells = [
        [one.to_metadata()],
        [failed.to_metadata()],
        [three.to_metadata(), aside.to_metadata()],
        [forget.to_metadata()],
    ]
    path.write_text(json.dumps(notebook(*cells)))
    back = import_turns(path)
    assert [turn.messages[0].text for turn in back] == ["q1", "q2"]
    assert all(turn.thread == "main" and not turn.earlier for turn in back)


def test_of_threads_beside_main_only_one_can_be_imported(tmp_path: Path) -> None:
    path = tmp_path / "other.ipynb"
    one, two = turn(1, "q1", "a", thread="one").to_metadata(), turn(2, "q2", "a", thread="two").to_metadata()
    fork = Edit(id="e", created="2026", action=FORK, thread="copy", turns=("t1",)).to_metadata()
    path.write_text(json.dumps(notebook([one])))
    assert [turn.thread for turn in import_turns(path)] == ["one"]
    assert "one, two" in not_imported(path, notebook([one], [two]))
    assert "one, copy" in not_imported(path, notebook([one], [fork]))


GOOD = turn(1, "q", "a").to_metadata()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{half",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"mixroute_export": 1, "turns": [' + b'{"a":' * 100_000,
        5,
        [],
        {},
        {"cells": 5},
        {"cells": [5, None, {}, {"outputs": 5}, {"outputs": [5, {}, {"metadata": 5}, {"metadata": {"mixroute": 5}}]}]},
        {"mixroute_export": 1},
        {"mixroute_export": 1, "turns": {"0": GOOD}},
        {"mixroute_export": 1, "turns": [5, None, [], GOOD | {"messages": []}, GOOD | {"status": "failed"}]},
        notebook([GOOD | {"version": "2"}]),
    ],
    ids=lambda content: repr(content)[:40],
)
def test_a_file_that_holds_no_turns_is_said_so(tmp_path: Path, content: object) -> None:
    lines = not_imported(tmp_path / "talk.json", content)
    assert lines.startswith("HistoryError: talk.json ")
    assert "newer" not in lines


def test_turns_of_a_newer_version_are_said_so(tmp_path: Path) -> None:
    newer = GOOD | {"version": 2}
    assert "newer version" in not_imported(tmp_path / "talk.ipynb", notebook([newer]))
    assert "newer version" in not_imported(tmp_path / "talk.json", {"mixroute_export": 2, "turns": [newer]})


def test_a_missing_file_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match=re.escape("No such file")):
        import_turns(tmp_path / "missing.json")
    with pytest.raises(HistoryError, match="directory"):
        import_turns(tmp_path)


def test_odd_records_between_good_ones_cost_nothing(tmp_path: Path) -> None:
    path = tmp_path / "other.ipynb"
    data = notebook([5, GOOD, {"kind": "edit"}], [GOOD | {"turn": "t2", "messages": [{"role": "root"}]}])
    data["cells"] = [None, *data["cells"], {"cell_type": "markdown", "source": "{{ x }}"}]  # type: ignore[misc]
    path.write_text(json.dumps(data))
    assert [turn.messages for turn in import_turns(path)] == [turn(1, "q", "a").messages]


def test_numbers_that_are_no_json_are_written_as_unknown(tmp_path: Path) -> None:
    odd = turn(1, "q", "a", params={"top_p": float("nan")}, seconds=float("inf"))
    for name in ("talk.json", "talk.ipynb"):
        path = write(tmp_path / name, odd)
        assert not re.search("NaN(?!'|\n)|Infinity", path.read_text().replace("top_p=NaN", ""))
        assert import_turns(path)[0].params == {"top_p": None}


class TestReadingFromPython:
    def test_a_notebook_gives_its_threads_turns_and_messages(self, tmp_path: Path) -> None:
        first, second = turn(1, "q1", "a1", system="Short.", reasoning="hm"), turn(2, "q2", "a2")
        fork = Edit(id="e", created="2026", action=FORK, thread="aside", parent="main", turns=("t1",))
        forget = Edit(id="f", created="2027", action=FORGET, thread="main", turns=("t2",))
        failed = turn(3, "q3", status=FAILED)
        cells = [[one.to_metadata()] for one in (first, second, fork, failed, forget)]
        path = tmp_path / "talk.ipynb"
        path.write_text(json.dumps(notebook(*cells, ["foreign"], [{"kind": "turn", "version": 99}])))
        conversation = Conversation.read(str(path))
        assert repr(conversation) == "Conversation({'main': 1, 'aside': 1})"
        assert conversation.thread() == conversation.thread("aside") == [first]
        assert conversation.messages() == [Message("user", "q1"), Message("assistant", "a1")]
        assert conversation.thread("nowhere") == conversation.messages("nowhere") == []

    def test_an_export_is_read_like_its_notebook(self, tmp_path: Path) -> None:
        turns = turn(1, "q1", "a1"), turn(2, "q2", "a2")
        for name in ("talk.json", "talk.ipynb"):
            assert Conversation.read(write(tmp_path / name, *turns)).thread() == list(turns)

    def test_a_notebook_without_chat_holds_no_threads(self, tmp_path: Path) -> None:
        path = tmp_path / "plain.ipynb"
        path.write_text(json.dumps(notebook([])))
        assert Conversation.read(path).threads() == {}

    @pytest.mark.parametrize("content", ["", "text", "[]", "{}", '{"cells": 5}', "\udcff", "7"])
    def test_what_is_no_notebook_says_so(self, tmp_path: Path, content: str) -> None:
        path = tmp_path / "talk.ipynb"
        path.write_bytes(content.encode("utf-8", "surrogateescape"))
        with pytest.raises(HistoryError, match=r"talk\.ipynb is no notebook and no export"):
            Conversation.read(path)

    def test_a_file_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(HistoryError, match=r"gone\.ipynb cannot be read: No such file"):
            Conversation.read(tmp_path / "gone.ipynb")
