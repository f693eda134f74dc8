"""The records of %model and %thread, which anybody may have written; and where a notebook is."""

from __future__ import annotations

from math import inf, nan
from pathlib import Path

import pytest

from mixroute_magic.conversation.notebook import notebook_path, server_root
from mixroute_magic.conversation.records import FORK, Edit, Setting, now, read
from mixroute_magic.conversation.saved import SavedCell, in_front_end

SETTING = {"version": 1, "kind": "setting", "created": "2026"}
EDIT = {"version": 1, "kind": "edit", "edit": "e", "created": "2026", "action": "fork", "thread": "x", "turns": ["a"]}


def test_a_setting_and_an_edit_survive_their_metadata() -> None:
    setting = Setting(created=now(), chosen={"model": "m", "temperature": 0.5, "params": {"top_p": 1}})
    assert read(setting.to_metadata()) == setting
    assert read(Setting(created="1", thread="side").to_metadata()) == Setting(created="1", thread="side")
    edit = Edit(id="e", created=now(), action=FORK, thread="b", parent="a", turns=("1", "2"))
    assert read(edit.to_metadata()) == edit


@pytest.mark.parametrize(
    "forged",
    [
        None,
        [],
        "setting",
        SETTING | {"version": 2},
        SETTING | {"created": 5},
        SETTING | {"kind": "turn"},
        EDIT | {"turns": "a"},
        EDIT | {"thread": ["x"]},
        EDIT | {"undoes": 1},
    ],
)
def test_what_is_no_record_of_this_version_is_passed_over(forged: object) -> None:
    assert read(forged) is None


@pytest.mark.parametrize(
    "chosen",
    [
        {"model": ""},
        {"model": ["gpt"]},
        {"system": 5},
        {"temperature": 3},
        {"temperature": nan},
        {"temperature": True},
        {"max_tokens": 0},
        {"max_tokens": 1.5},
        {"max_tokens": inf},
        {"base_url": "https://elsewhere"},
    ],
)
def test_a_setting_that_model_would_not_take_is_left_out(chosen: dict[str, object]) -> None:
    read_back = read(SETTING | {"chosen": chosen})
    assert isinstance(read_back, Setting)
    assert read_back.chosen == {}


def test_no_parameter_can_take_the_place_of_messages_or_model() -> None:
    read_back = read(SETTING | {"chosen": {"params": {"messages": [], "model": "x", "top_p": 1}}})
    assert isinstance(read_back, Setting)
    assert read_back.chosen == {"params": {"top_p": 1}}


class Shell:
    """What a shell has of a front end's notebook."""

    def __init__(self, **names: object) -> None:
        self.user_ns = names


@pytest.mark.parametrize(
    ("cell", "path"),
    [
        ("vscode-notebook-cell:/home/ada/my%20talk.ipynb#W2sZmlsZQ%3D%3D", "/home/ada/my talk.ipynb"),
        ("vscode-notebook-cell:/c%3A/Users/Ada/talk.ipynb#X1", "c:/Users/Ada/talk.ipynb"),
        ("vscode-notebook-cell://ssh-remote%2Bhost/home/ada/talk.ipynb#W1", "/home/ada/talk.ipynb"),
        (None, "/from/variable.ipynb"),
    ],
)
def test_vs_code_tells_the_path_in_the_cells_name(cell: str | None, path: str) -> None:
    shell = Shell(__vsc_ipynb_file__="/from/variable.ipynb")
    assert notebook_path(shell, cell) == Path(path)  # type: ignore[arg-type]


def test_the_servers_root_is_found_above_the_notebook_that_the_kernel_was_started_for(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "renamed.ipynb").touch()
    started_as = tmp_path / "sub" / "talk.ipynb"
    assert server_root("sub/talk.ipynb", started_as) == tmp_path
    assert server_root("talk.ipynb", started_as) == tmp_path / "sub"
    assert server_root("sub/renamed.ipynb", started_as) == tmp_path
    assert server_root("nowhere.ipynb", started_as) is None
    assert server_root("sub/talk.ipynb", None) is None


def test_a_front_ends_ids_are_matched_by_turns_and_else_by_a_source_that_is_the_only_one() -> None:
    def cell(name: str, source: str, *turns: str) -> SavedCell:
        return SavedCell(id=name, source=source, number=None, turns=turns, records=())

    cells = (cell("1", "%chat a", "t1"), cell("2", "%chat b"), cell("3", "%chat c"), cell("4", "%chat c\n"))
    asked = {"uri-a": ({"t1"}, "edited since"), "uri-b": (set(), "%chat b "), "uri-c": (set(), "%chat c")}
    assert in_front_end(cells, asked) == {"1": "uri-a", "2": "uri-b"}
