"""How values of the notebook stand in a prompt, and how much of them."""

from __future__ import annotations

import argparse
import enum
import math
import subprocess
import sys
import tracemalloc
import types
from collections import OrderedDict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixroute_magic.prompt.limits import CHARACTERS, TEXT_CHARACTERS
from mixroute_magic.prompt.values import as_text, image_in

# All that Python writes by itself, containers in containers.
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text() | st.integers(), inner)
        | st.tuples(inner)
        | st.tuples(inner, inner)
        | st.builds(bytearray, st.binary())
        | st.sets(st.integers())
        | st.frozensets(st.text())
    ),
)


class Color(enum.StrEnum):
    RED = "red"


class Shout(str):
    __slots__ = ()

    def __str__(self) -> str:
        return self.upper()


@pytest.fixture
def pandas() -> Any:
    return pytest.importorskip("pandas")


@pytest.fixture
def numpy() -> Any:
    return pytest.importorskip("numpy")


def whole(value: object) -> str:
    shown = as_text(value)
    assert shown.notice == ""
    return shown.text


@given(VALUES)
@settings(deadline=None)
def test_a_small_value_is_what_python_writes(value: object) -> None:
    assert whole(value) == str(value)


def test_a_value_in_itself_is_an_ellipsis_as_it_is_to_python() -> None:
    items: list[Any] = [1]
    table: dict[str, Any] = {"items": items, "empty": [(), set(), frozenset()]}
    items += [table, items, (items,)]
    assert whole(items) == str(items)
    assert whole(table) == str(table)


class Pair(NamedTuple):
    a: int
    b: str


@pytest.mark.parametrize("value", [Color.RED, Shout("x"), Pair(1, "b"), OrderedDict(a=1), partial(int, "1"), range(3)])
def test_a_type_with_its_own_words_keeps_them(value: object) -> None:
    assert whole(value) == str(value)


@pytest.mark.parametrize(
    ("value", "most", "what"),
    [
        ("x" * 100_001, TEXT_CHARACTERS, "100,000 of 100,001 characters"),
        (Shout("x" * 100_001), TEXT_CHARACTERS, "100,000 of 100,001 characters"),
        (list(range(100_000)), CHARACTERS, "20,000 characters of a list of 100,000"),
        ({"a": {"b": "x" * 50_000}}, CHARACTERS, "20,000 characters of a dict of 1"),
        (b"x" * 20_000, CHARACTERS, "20,000 characters of a bytes of 20,000"),
        (OrderedDict.fromkeys(range(100_000)), CHARACTERS, "20,000 of 1,488,903 characters"),
    ],
)
def test_a_large_value_shows_its_beginning_and_says_so(value: Any, most: int, what: str) -> None:
    shown = as_text(value)
    assert shown.text == f"{str(value)[:most]}\n(… the first {what})"
    assert shown.notice == f"shortened to {what}"


def test_of_a_large_value_hardly_more_is_made_than_is_shown(pandas: Any) -> None:
    text = "é" * 20_000_000
    values = [text, [text], {1: text}, text.encode(), [[[0] * 100_000] * 100_000], pandas.DataFrame({"t": [text]})]
    for value in values:
        as_text(value)  # what is made only once
        tracemalloc.start()
        as_text(value)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert most < 4_000_000, type(value)


def test_a_long_dataframe_copies_no_more_than_a_short_one(pandas: Any, numpy: Any) -> None:
    short = pandas.DataFrame(numpy.zeros((100, 50)))
    long = pandas.DataFrame(numpy.zeros((1_000_000, 50)))
    most = []
    for frame in (short, short, long):
        tracemalloc.start()
        as_text(frame)
        most.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert most[2] < 2 * most[1]


def test_a_short_dataframe_becomes_a_markdown_table(pandas: Any) -> None:
    df = pandas.DataFrame({"city": ["臺北", "a|b\nc"], "n": [1, 2.5]})
    assert whole(df).splitlines() == [
        "|  | city | n |",
        "| --- | --- | --- |",
        "| 0 | 臺北 | 1.0 |",
        "| 1 | a\\|b c | 2.5 |",
    ]


def test_a_dataframe_that_fits_is_whole_and_a_longer_one_shows_its_head(pandas: Any) -> None:
    assert whole(pandas.DataFrame({"n": range(60)})).splitlines()[-1] == "| 59 | 59 |"
    shown = as_text(pandas.DataFrame({"n": range(5000)}))
    lines = shown.text.splitlines()
    assert lines[2:-2] == [f"| {n} | {n} |" for n in range(20)]
    assert lines[-2:] == ["", "(… the first 20 of 5,000 rows)"]
    assert shown.notice == "shortened to 20 of 5,000 rows"


def test_a_wide_dataframe_shows_its_first_columns(pandas: Any) -> None:
    shown = as_text(pandas.DataFrame([range(30)] * 61, index=pandas.Index(["a"] * 61, name="key")))
    assert shown.text.splitlines()[0] == f"| key | {' | '.join(map(str, range(20)))} |"
    assert shown.notice == "shortened to 20 of 61 rows and 20 of 30 columns"


def test_a_long_cell_is_cut(pandas: Any) -> None:
    shown = as_text(pandas.DataFrame({"t": ["x" * 500, "y" * 501]}))
    assert shown.text.splitlines()[2:4] == [f"| 0 | {'x' * 500} |", f"| 1 | {'y' * 500}… |"]
    assert shown.notice == "shortened to 500 characters of a cell"


def test_a_series_becomes_a_table_of_one_column(pandas: Any) -> None:
    series = pandas.Series([1, 2], name="n", index=pandas.Index(["a", "b"], name=0))
    assert whole(series) == "| 0 | n |\n| --- | --- |\n| a | 1 |\n| b | 2 |"
    assert as_text(pandas.Series(range(99))).notice == "shortened to 20 of 99 rows"


def test_a_subclass_of_dataframe_is_a_table_too(pandas: Any) -> None:
    kind = type("GeoFrame", (pandas.DataFrame,), {})
    assert whole(kind({"n": []})) == "|  | n |\n| --- | --- |"


def test_a_small_array_is_its_values(numpy: Any) -> None:
    assert whole(numpy.array([[1, 2], [3, 4]])) == "[[1 2]\n [3 4]]"
    assert whole(numpy.float64(1.5)) == "1.5"


@pytest.mark.parametrize(
    ("shape", "head"),
    [((2000,), (20,)), ((40, 50), (20, 20)), ((10, 2, 300), (2, 20)), ((3, 2, 500, 3), (20, 3))],
)
def test_a_large_array_tells_shape_type_and_range_and_shows_its_first_values(
    numpy: Any, shape: tuple[int, ...], head: tuple[int, ...]
) -> None:
    values = numpy.arange(math.prod(shape), dtype="int32").reshape(shape)
    shown = as_text(values)
    first, rest = shown.text.split("\n", 1)
    assert first == f"ndarray of shape {shape}, int32, from 0 to {values.size - 1}; its first values:"
    for _ in range(values.ndim - len(head)):
        values = values[0]
    assert rest == str(values[tuple(map(slice, head))])
    assert shown.notice == f"shortened to {math.prod(head)} of {math.prod(shape):,} values"


def test_the_range_of_an_array_leaves_out_what_is_no_number(numpy: Any) -> None:
    values = numpy.linspace(-1, 1, 2000)
    values[7] = numpy.nan
    assert "float64, from -1.0 to 1.0;" in as_text(values).text
    assert as_text(numpy.array(["a", None] * 1000)).text.startswith("ndarray of shape (2000,), object; its first")
    assert as_text(numpy.ma.zeros(2000)).text.startswith("MaskedArray of shape (2000,), float64; its first")
    assert "from 2026-01-01 to 2026-01-01" in as_text(numpy.full(2000, "2026-01-01", dtype="datetime64[D]")).text


def test_code_without_source_becomes_its_signature_and_docstring() -> None:
    names: dict[str, Any] = {}
    exec("def typed(a, b=1): pass\nclass Kind:\n  'A kind.'\n  __signature__ = 0", names)
    assert whole(math.sqrt) == "sqrt(x, /)\n\nReturn the square root of x."
    assert whole(names["typed"]) == "typed(a, b=1)"
    assert whole(names["Kind"]) == "Kind(…)\n\nA kind."


def test_a_class_of_the_notebook_is_found_in_its_cells_and_gives_no_warning_again() -> None:
    kind = type("Kind", (), {"__module__": "__main__"})
    cells = ["", "class Kind: old = 1", "class Kind:\n    digits = '\\d'", "class Kind: broken here", "Kind()"]
    assert as_text(kind, cells).text == "class Kind:\n    digits = '\\d'"


def test_a_long_source_is_cut() -> None:
    shown = as_text(argparse.ArgumentParser)
    assert shown.text.startswith("class ArgumentParser(")
    assert shown.notice.startswith("shortened to 20,000 of ")


def test_a_module_becomes_its_docstring_and_its_public_names() -> None:
    module = types.ModuleType("helpers", "Help with cities.")
    vars(module).update(clean=len, sys=sys, _own=1)
    assert whole(module) == "Module helpers\n\nHelp with cities.\n\nPublic names: clean"
    vars(module)["__all__"] = ["clean", "sys"]
    assert whole(module).endswith("Public names: clean, sys")
    assert whole(types.ModuleType("empty")) == "Module empty"
    assert len(as_text(math).text) < 2000


def raised(depth: int, cause: BaseException | None = None) -> Exception:
    def sink(left: int) -> None:
        if left:
            sink(left - 1)
        raise ValueError("too deep") from cause

    try:
        sink(depth)
    except ValueError as error:
        return error
    raise AssertionError


def test_an_exception_becomes_its_traceback() -> None:
    lines = whole(raised(0)).splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert '    raise ValueError("too deep") from cause' in lines
    assert lines[-1] == "ValueError: too deep"
    assert whole(ValueError("never raised")) == "ValueError: never raised"


def test_a_deep_traceback_keeps_where_it_began_and_where_it_failed() -> None:
    shown = as_text(raised(500))
    assert shown.notice == "shortened to 12 of 502 frames"
    assert shown.text.startswith("(… 12 of 502 frames)\nTraceback (most recent call last):")
    assert shown.text.count("in raised") == 1
    assert shown.text.endswith("ValueError: too deep")


def test_the_causes_of_an_exception_and_the_members_of_a_group_are_told() -> None:
    text = whole(raised(0, cause=ExceptionGroup("both", [raised(1), KeyError("k")])))
    assert "ExceptionGroup: both (2 sub-exceptions)" in text
    assert "KeyError: 'k'" in text
    assert "direct cause" in text


def test_a_long_message_keeps_its_beginning_and_its_end() -> None:
    shown = as_text(ValueError("begin" + "x" * 100_000 + "end"))
    assert shown.text.startswith("(… 20,000 of 100,020 characters)\nValueError: begin")
    assert shown.text.endswith("xend")
    assert len(shown.text) < 20_100


def test_modules_in_a_traceback_go_by_their_path_from_where_they_are_imported() -> None:
    try:
        subprocess.run(["false"], check=True)
    except subprocess.CalledProcessError as error:
        text = whole(error)
    assert 'File "subprocess.py", line' in text
    assert str(Path(subprocess.__file__).parent) not in text


def test_what_is_attached_instead_is_known_by_its_type() -> None:
    figure = pytest.importorskip("matplotlib.figure").Figure()
    assert image_in(figure) == "a figure"
    assert image_in("a figure") is None
    assert whole(figure) == str(figure)


def test_no_library_of_the_values_is_imported() -> None:
    script = (
        "import sys; from mixroute_magic.prompt.values import as_text; as_text([1]); as_text('x');"
        "assert not {'pandas', 'numpy', 'matplotlib', 'PIL'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
