"""Functions of the notebook as tools: what a model is told of them, and what they are called with."""

# The functions of people are of all kinds, also of those that nobody would write here.
# ruff: noqa: A002, ANN001, ANN201, B008, F821, N803, PLC2401, PLR0917, TC002, UP037, UP045

from __future__ import annotations

import enum
import functools
import json
import math
import re
import sys
import typing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Optional
from typing import TypedDict as OldTypedDict
from uuid import UUID

import jsonschema
import pandas as pd
import pytest
from openai.types.chat import ChatCompletionFunctionToolParam
from pydantic import BaseModel, Field, TypeAdapter
from typing_extensions import TypedDict  # pydantic takes typing's from Python 3.12 on

from mixroute_magic.errors import ToolError
from mixroute_magic.prompt.tools import Tool, error_text, result_text

if TYPE_CHECKING:
    from collections.abc import Callable


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Point(BaseModel):
    """A place on a page."""

    x: int = Field(ge=0, description="from the left")
    y: int = 0


@dataclass
class Size:
    width: float
    height: float = 1.5


class Box(TypedDict):
    name: str


class Pair(NamedTuple):
    left: int
    right: int = 2


def plain(text: str, count: int, share: float, sure: bool, more: list[str], by_name: dict[str, int], any: Any) -> None:
    """Take the plain types."""


def old(text: Optional[str] = None, count: "int | None" = None) -> tuple[Any, ...]:
    return text, count


def chosen(unit: Literal["celsius", "fahrenheit"], colour: Colour = Colour.RED) -> tuple[Any, ...]:
    return unit, colour


def nested(points: list[Point], size: Size | None = None, box: Box | None = None, pair: Pair = Pair(1)) -> Any:
    return points, size, box, pair


def quoted(points: "list['Point']") -> Any:
    return points


def limited(
    count: Annotated[int, Field(ge=1, le=5, description="how many")], code: Annotated[str, "a note"] = ""
) -> Any:
    return count, code


def others(day: date, number: UUID, path: Path, found: set[int]) -> Any:
    return day, number, path, found


NOBODYS = object()


def defaults(a: object = NOBODYS, b: float = float("nan"), c: list[float] | None = None, d: Any = ("x", 1)) -> Any:
    return a, b, c, d


def by_place(a: int = 1, b: int = 2, /, c: int = 3) -> Any:
    return a, b, c


def by_name(*, a: int, b: int = 2) -> Any:
    return a, b


def open_ended(a: int, **rest: Any) -> Any:
    return a, rest


def untyped(a, b=2):
    return a, b


def nothing() -> str:
    return "nothing"


def reserved(model: str, schema: str, copy: str, self: str, model_config: str, p0: str, _x: int, 名: str = "") -> Any:
    return model, schema, copy, self, model_config, p0, _x, 名


class Machine:
    """Counts."""

    def __init__(self, start: int) -> None:
        self.start = start

    def method(self, step: int) -> int:
        """Go a step."""
        return self.start + step

    @classmethod
    def of(cls, start: int) -> int:
        return cls(start).start

    @staticmethod
    def static(step: int) -> int:
        return step

    def __call__(self, step: int) -> int:
        """Go on.

        :param step: how far
        """
        return self.start + step


class Silent:
    """Says nothing of its call."""

    def __call__(self, step: int) -> int:
        return step


@functools.cache
def cached(x: int) -> int:
    """Remember."""
    return x


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def run(*args: Any, **named: Any) -> Any:
        return function(*args, **named)

    return run


def weather(city: str, unit: str = "celsius") -> Any:
    """Tell the weather.

    Args:
        city: The city, as in
            "Taipei".
        unit: celsius or fahrenheit
    """
    return city, unit


FUNCTIONS: dict[str, tuple[Any, dict[str, Any], Any]] = {
    "plain types": (
        plain,
        {"text": "x", "count": 2, "share": 0.5, "sure": True, "more": ["a"], "by_name": {"a": 1}, "any": None},
        None,
    ),
    "Optional and quotes": (old, {"text": None, "count": 3}, (None, 3)),
    "nothing given": (old, {}, (None, None)),
    "Literal and Enum": (chosen, {"unit": "celsius", "colour": "blue"}, ("celsius", Colour.BLUE)),
    "an Enum by default": (chosen, {"unit": "celsius"}, ("celsius", Colour.RED)),
    "models, dataclasses, TypedDicts and named tuples": (
        nested,
        {"points": [{"x": 1}], "size": {"width": 2}, "box": {"name": "a"}, "pair": [3, 4]},
        ([Point(x=1)], Size(2.0), {"name": "a"}, Pair(3, 4)),
    ),
    "quotes within": (quoted, {"points": [{"x": 1}]}, [Point(x=1)]),
    "Annotated": (limited, {"count": 5}, (5, "")),
    "dates, ids, paths and sets": (
        others,
        {"day": "2026-11-26", "number": str(UUID(int=5)), "path": "a/b", "found": [1]},
        (date(2026, 11, 26), UUID(int=5), Path("a/b"), {1}),
    ),
    "positional only": (by_place, {"b": 5, "c": 6}, (1, 5, 6)),
    "keyword only": (by_name, {"a": 1}, (1, 2)),
    "any others": (open_ended, {"a": 1, "b": [2], "p0": 3}, (1, {"b": [2], "p0": 3})),
    "no annotations": (untyped, {"a": [1]}, ([1], 2)),
    "no parameters": (nothing, {}, "nothing"),
    "names that pydantic has, or does not take": (
        reserved,
        {"model": "a", "schema": "b", "copy": "c", "self": "d", "model_config": "e", "p0": "f", "_x": 1, "名": "g"},
        ("a", "b", "c", "d", "e", "f", 1, "g"),
    ),
    "a method": (Machine(3).method, {"step": 2}, 5),
    "a class's method": (Machine.of, {"start": 2}, 2),
    "a static method": (Machine.static, {"step": 2}, 2),
    "an object that can be called": (Machine(3), {"step": 2}, 5),
    "a class": (Point, {"x": 2}, Point(x=2)),
    "a partial": (functools.partial(weather, unit="fahrenheit"), {"city": "Oslo"}, ("Oslo", "fahrenheit")),
    "a partial with a place filled": (functools.partial(weather, "Oslo"), {}, ("Oslo", "celsius")),
    "a cache": (cached, {"x": 2}, 2),
    "a wrapped function": (logged(weather), {"city": "Oslo"}, ("Oslo", "celsius")),
    "a lambda": (lambda a, b=2: (a, b), {"a": 1}, (1, 2)),
    "a builtin with a signature": (len, {"obj": [1, 2]}, 2),
}


@pytest.mark.parametrize(("function", "arguments", "result"), FUNCTIONS.values(), ids=FUNCTIONS.keys())
def test_a_function_of_any_kind_is_a_tool_as_the_api_has_it_and_gets_what_its_annotations_say(
    function: Any, arguments: dict[str, Any], result: Any
) -> None:
    tool = Tool.of("tool", function)
    TypeAdapter(ChatCompletionFunctionToolParam).validate_python(tool.definition)
    schema = tool.definition["function"]["parameters"]
    assert schema["type"] == "object"
    jsonschema.Draft202012Validator.check_schema(schema)
    json.dumps(tool.definition, allow_nan=False)
    jsonschema.validate(arguments, schema)
    assert tool.call(tool.read(json.dumps(arguments))) == result


def test_defaults_that_are_no_json_hold_and_are_not_told() -> None:
    tool = Tool.of("defaults", defaults)
    a, b, c, d = tool.call(tool.read(""))
    assert a is NOBODYS
    assert math.isnan(b)
    assert (c, d) == (None, ("x", 1))
    properties = tool.definition["function"]["parameters"]["properties"]
    assert {name: "default" in schema for name, schema in properties.items()} == {
        "a": False,
        "b": False,
        "c": True,
        "d": True,
    }
    assert "required" not in tool.definition["function"]["parameters"]


def test_what_annotations_say_is_told_in_full() -> None:
    def parameters(function: Any) -> dict[str, Any]:
        found: dict[str, Any] = Tool.of("f", function).definition["function"]["parameters"]
        return found

    assert parameters(chosen)["properties"]["unit"] == {"enum": ["celsius", "fahrenheit"], "type": "string"}
    assert parameters(limited) == {
        "type": "object",
        "properties": {
            "count": {"type": "integer", "minimum": 1, "maximum": 5, "description": "how many"},
            "code": {"type": "string", "default": ""},
        },
        "required": ["count"],
        "additionalProperties": False,
    }
    assert parameters(nested)["$defs"]["Point"]["properties"]["x"]["description"] == "from the left"
    assert parameters(open_ended)["additionalProperties"] is True
    assert parameters(nothing) == {"type": "object", "properties": {}, "additionalProperties": False}


def numpy_style(city: str, unit: str = "celsius") -> None:
    """Tell the weather.

    Of today only.

    Parameters
    ----------
    city : str
        The city.
    unit
        Of the temperature.

    Returns
    -------
    str
        Not told.
    """


def google_style(city: str, unit: str = "celsius") -> None:
    """Tell the weather.

    Of today only.

    Args:
        city (str): The city.
        unit: Of the temperature.

    Raises:
        ValueError: Not told.
    """


def sphinx_style(city: str, unit: str = "celsius") -> None:
    """Tell the weather.

    Of today only.

    :param city: The city.
    :param str unit: Of the temperature.
    :returns: Not told.
    """


@pytest.mark.parametrize("function", [numpy_style, google_style, sphinx_style])
def test_docstrings_of_each_style_tell_of_a_function_and_its_parameters(function: Any) -> None:
    definition = Tool.of("f", function).definition["function"]
    assert definition["description"] == "Tell the weather.\n\nOf today only."
    texts = {name: schema["description"] for name, schema in definition["parameters"]["properties"].items()}
    assert texts == {"city": "The city.", "unit": "Of the temperature."}


@pytest.mark.parametrize(
    ("function", "description"),
    [
        (nothing, None),
        (Machine(3), "Go on."),
        (Machine(3).method, "Go a step."),
        (Silent(), "Says nothing of its call."),
        (Point, "A place on a page."),
        (type("Bare", (BaseModel,), {}), None),
        (functools.partial(weather, "Oslo"), "Tell the weather."),
        (functools.partial(functools.partial(weather), "Oslo"), "Tell the weather."),
        (cached, "Remember."),
    ],
)
def test_what_is_told_is_what_was_written_of_it(function: Any, description: str | None) -> None:
    assert Tool.of("f", function).definition["function"].get("description") == description


def starred(*numbers: int) -> None: ...
def framed(frame: pd.DataFrame) -> None: ...
def called_back(then: Callable[[int], int]) -> None: ...
def compiled(then: typing.Callable[[], int]) -> None: ...
def in_words(count: str) -> None: ...
def deep_in_words(count: list[str]) -> None: ...
def unknown(thing: Nowhere) -> None: ...
def deep_unknown(thing: list["Nowhere"]) -> None: ...
def boxed(box: OldBox) -> None: ...


class OldBox(OldTypedDict):
    name: str


in_words.__annotations__["count"] = "how many"
deep_in_words.__annotations__["count"] = 'list["how many"]'


@pytest.mark.parametrize(
    ("name", "thing", "says"),
    [
        ("starred", starred, "starred takes *numbers, but models name all arguments"),
        ("print", print, "print takes *args, but models name all arguments"),
        ("framed", framed, "framed takes a pandas.DataFrame that JSON cannot carry"),
        ("called_back", called_back, "called_back does not say what it takes (name 'Callable' is not defined)"),
        ("compiled", compiled, "compiled takes what JSON cannot carry ("),
        ("in_words", in_words, "in_words does not say what it takes ("),
        ("unknown", unknown, "unknown does not say what it takes (name 'Nowhere' is not defined)"),
        ("deep_in_words", deep_in_words, "deep_in_words takes what JSON cannot carry ("),
        (
            "deep_unknown",
            deep_unknown,
            "deep_unknown takes what JSON cannot carry (`deep_unknown` is not fully defined",
        ),
        ("dict", dict, "dict does not say what it takes ("),
        ("number", 3, "number is no function"),
        ("text", "add", "text is no function"),
        ("天氣", weather, "天氣 cannot be a tool's name"),
        ("x" * 65, weather, f"{'x' * 65} cannot be a tool's name"),
    ],
)
def test_what_a_model_could_not_call_is_refused_in_two_lines(name: str, thing: Any, says: str) -> None:
    with pytest.raises(ToolError) as refused:
        Tool.of(name, thing)
    said, hint = refused.value.lines()
    assert said.startswith(f"ToolError: {says}")  # in brackets follows what Python or pydantic says
    assert said.endswith("; nothing was sent.")
    assert hint.endswith(".")


@pytest.mark.skipif(
    sys.version_info >= (3, 12), reason="pydantic refuses typing's own TypedDict only before Python 3.12"
)
def test_a_refusal_says_what_pydantic_would_take_instead() -> None:
    with pytest.raises(ToolError, match="use `typing_extensions"):
        Tool.of("boxed", boxed)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("[1]", "the arguments are no JSON object"),
        ("7", "the arguments are no JSON object"),
        ('"x"', "the arguments are no JSON"),
        ("{", "the arguments are no JSON"),
        ("[" * 100_000, "the arguments are no JSON"),
        (
            '{"points": [{"x": "a"}]}',
            "points.0.x: Input should be a valid integer, unable to parse string as an integer",
        ),
        ('{"points": [{"x": -1}]}', "points.0.x: Input should be greater than or equal to 0"),
        ('{"points": 3, "z": 1}', "points: Input should be a valid list; z: Extra inputs are not permitted"),
        ("{}", "points: Field required"),
    ],
)
def test_arguments_that_do_not_fit_say_where(arguments: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)) as wrong:
        Tool.of("nested", nested).read(arguments)
    assert str(wrong.value) == says


def test_only_what_was_given_is_passed_on() -> None:
    def told(a: int = 1, **rest: Any) -> Any:
        return a, rest

    counting = functools.wraps(told)(lambda *args, **named: (args, named))
    tool = Tool.of("f", counting)
    assert tool.call(tool.read("{}")) == ((), {})
    assert tool.call(tool.read('{"a": 2, "b": 3}')) == ((), {"a": 2, "b": 3})


def test_results_and_errors_become_text_of_bounded_length() -> None:
    assert result_text({"day": date(2026, 11, 26), "found": {1}, "text": "中", "nan": float("nan")}) == (
        '{"day":"2026-11-26","found":[1],"text":"中","nan":"NaN"}'
    )
    assert result_text(b"\xff") == "b'\\xff'"
    looped: list[Any] = []
    looped.append(looped)
    assert result_text(looped) == "[[...]]"
    assert len(result_text("x" * 10**6)) < 20_100
    looped *= 10**5
    long = result_text(looped)
    assert long.endswith("\n(… shortened to 20,000 characters of a list of 100,000)")
    assert len(long) < 20_100
    assert error_text(ValueError("no")) == "Error: ValueError: no"
    assert len(error_text("x" * 10**6)) < 2_100
