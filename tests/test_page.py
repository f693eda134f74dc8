"""What the kernel hears of the page: told by a client that sends what a page would, and nonsense."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from kernels import Kernel

from mixroute_magic.conversation.page import LivePages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OPEN = """
from mixroute_magic.conversation.page import LivePages
pages = LivePages(get_ipython(), lambda page: [])
pages.open()
"""
PAGE = "pages.of(get_ipython().get_parent())"
OTHER = "pages.of({'header': {'session': 'other'}})"
NONSENSE: list[Any] = [
    None,
    "talk.ipynb",
    [],
    {},
    {"path": "a.ipynb"},
    {"path": None, "cells": []},
    {"path": "", "cells": []},
    {"path": "a" * 5000, "cells": []},
    {"path": "a.ipynb", "cells": {"one": []}},
    {"path": "a.ipynb", "cells": ["one"]},
    {"path": "a.ipynb", "cells": [[]]},
    {"path": "a.ipynb", "cells": [[""]]},
    {"path": "a.ipynb", "cells": [[None, "t1"]]},
    {"path": "a.ipynb", "cells": [["a" * 5000]]},
    {"path": "a.ipynb", "cells": [["one"]] * 100_001},
    {"path": "a.ipynb", "cells": [], "others": ["b.ipynb"]},
    {"path": "a.ipynb", "cells": [], "others": {"client": 3}},
    {"path": "a.ipynb", "cells": [], "others": {str(number): "b.ipynb" for number in range(51)}},
]


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with Kernel(tmp_path_factory.mktemp("kernel")) as kernel:
        yield kernel


@pytest.fixture
def asking(kernel: Kernel) -> Iterator[Kernel]:
    """A kernel that asks the pages, of which none has told yet."""
    assert kernel.run(OPEN).outputs == []
    yield kernel
    assert kernel.run("pages.close()").status == "ok"


def test_the_page_is_what_the_sender_of_the_request_told(asking: Kernel) -> None:
    assert asking.value(PAGE) == "None"
    asking.report("course/talk.ipynb", [("one", []), ("two", ["t1", "t2"])])
    asking.tell({"path": "other.ipynb", "cells": []}, client="other")
    assert asking.value(f"{PAGE}.path") == "course/talk.ipynb"
    assert asking.value(f"[(cell.id, cell.turns) for cell in {PAGE}.cells]") == "[('one', ()), ('two', ('t1', 't2'))]"
    assert asking.value(OTHER) == "Page(path='other.ipynb', cells=())"


def test_a_page_tells_the_paths_of_others_that_cannot_tell(asking: Kernel) -> None:
    path = "pages.path_of({'header': {'session': 'other'}})"
    asking.report("talk.ipynb", [])
    assert asking.value("pages.path_of(get_ipython().get_parent())") == "talk.ipynb"
    assert asking.value(path) == "None"
    asking.tell({"path": "talk.ipynb", "cells": [], "others": {"other": "beside.ipynb"}})
    assert asking.value(path) == "beside.ipynb"
    assert asking.value(OTHER) == "None"


def test_it_is_the_same_object_until_something_has_changed(asking: Kernel) -> None:
    asking.report("talk.ipynb", [("one", []), ("two", [])])
    asking.run(f"known = {PAGE}")
    asking.report("talk.ipynb", [("one", []), ("two", [])])
    assert asking.value(f"{PAGE} is known") == "True"
    asking.report("talk.ipynb", [("two", []), ("one", [])])
    assert asking.value(f"[cell.id for cell in {PAGE}.cells]") == "['two', 'one']"


def test_nonsense_changes_nothing_and_says_nothing(asking: Kernel) -> None:
    asking.report("talk.ipynb", [("one", ["t1"])])
    asking.run(f"known = {PAGE}")
    heard = len(asking.heard)
    for content in NONSENSE:
        asking.tell(content)
        assert asking.value(f"{PAGE} is known") == "True", content
    assert not [message for message in asking.heard[heard:] if message["content"].get("name") == "stderr"]


def test_a_strange_record_in_an_output_silences_no_page(asking: Kernel) -> None:
    asking.tell({"path": "talk.ipynb", "cells": [["one", None, 3, ["t0"], "t1", "t" * 5000]]})
    assert asking.value(f"{PAGE}.cells") == "(PageCell(id='one', turns=('t1',)),)"


def test_a_notebook_of_thousands_of_cells_is_heard(asking: Kernel) -> None:
    asking.report("long.ipynb", [(f"cell-{number}", []) for number in range(50_000)])
    assert asking.value(f"len({PAGE}.cells), {PAGE}.cells[-1].id") == "(50000, 'cell-49999')"


def test_of_many_pages_the_one_that_told_longest_ago_is_forgotten(asking: Kernel) -> None:
    asking.tell({"path": "other.ipynb", "cells": []}, client="other")
    asking.report("talk.ipynb", [])
    for number in range(48):
        asking.tell({"path": "talk.ipynb", "cells": []}, client=f"page {number}")
    asking.tell({"path": "moved.ipynb", "cells": []}, client="other")
    asking.tell({"path": "talk.ipynb", "cells": []}, client="one more")
    assert asking.value(PAGE) == "None"
    assert asking.value(f"{OTHER}.path") == "moved.ipynb"


def test_open_asks_once_and_close_takes_everything_back(asking: Kernel) -> None:
    assert asking.run("pages.open()").contents("comm_open") == []
    asking.report("talk.ipynb", [])
    closed = asking.run("pages.close()").contents("comm_close")
    opened = asking.run("pages.open()").contents("comm_open")
    assert len(closed) == len(opened) == 2, "the widget and its layout"
    assert asking.value(PAGE) == "None"
    asking.report("again.ipynb", [])
    assert asking.value(f"{PAGE}.path") == "again.ipynb"


def test_after_a_restart_it_can_be_opened_again(tmp_path: Path) -> None:
    with Kernel(tmp_path) as kernel:
        kernel.run(OPEN)
        kernel.report("talk.ipynb", [])
        kernel.restart()
        kernel.run(OPEN)
        assert kernel.value(PAGE) == "None"
        kernel.report("talk.ipynb", [])
        assert kernel.value(f"{PAGE}.path") == "talk.ipynb"


def test_without_widgets_there_is_no_page_and_no_error(tmp_path: Path) -> None:
    with Kernel(tmp_path) as kernel:
        ran = kernel.run(f"import sys; sys.modules['anywidget'] = None\n{OPEN}\npages.open()")
        assert (ran.status, ran.outputs, ran.contents("comm_open")) == ("ok", [], [])
        assert kernel.value(PAGE) == "None"
        assert kernel.run("pages.close()").status == "ok"


def test_in_a_terminal_there_is_no_page(capsys: pytest.CaptureFixture[str]) -> None:
    pages = LivePages(InteractiveShell(), lambda _page: [])
    pages.open()
    assert pages.of({}) is None
    pages.close()
    assert capsys.readouterr() == ("", "")
