"""``--schema``: what a shape is, how an answer is read, and what happens where it does not fit."""

from __future__ import annotations

import enum
import html
import json
import re
import sqlite3
import sys
import typing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernels import Kernel
from pydantic import BaseModel, RootModel
from scripted import DONE, ScriptedGateway, answer, delta, event, reply, scripted, whole
from typing_extensions import TypeAliasType, TypedDict

from mixroute_magic.demo import DemoGateway
from mixroute_magic.errors import SchemaError
from mixroute_magic.schemas import Schema

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kernels import Ran


class City(BaseModel):
    """A place."""

    name: str
    people: int = 0


class Tree(BaseModel):
    """What holds itself."""

    label: str
    children: list[Tree] = []


class Cities(RootModel[list[City]]):
    """A list that is a model."""


@dataclass
class Point:
    """A dataclass."""

    x: float
    y: float = 0.0


class Movie(TypedDict):
    """A TypedDict."""

    title: str
    year: int


class Colour(enum.Enum):
    """An enumeration."""

    RED = "red"
    BLUE = "blue"


class Unwritable:
    """A class that says nothing of its fields."""


Names = TypeAliasType("Names", list[str])
AS_DICT = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "near": {"$ref": "#/$defs/near"}},
    "required": ["name"],
    "$defs": {"near": {"type": "array", "items": {"type": "string"}}},
}

KINDS = [
    (City, '{"name": "Taipei", "people": 3}', City(name="Taipei", people=3)),
    (Tree, '{"label": "a", "children": [{"label": "b"}]}', Tree(label="a", children=[Tree(label="b")])),
    (Point, '{"x": 1}', Point(1.0)),
    (Movie, '{"title": "Yi Yi", "year": 2000}', {"title": "Yi Yi", "year": 2000}),
    (Colour, '{"value": "red"}', Colour.RED),
    (Cities, '{"value": [{"name": "Taipei"}]}', Cities([City(name="Taipei")])),
    (Names, '{"value": ["a"]}', ["a"]),
    (list[City], '{"value": [{"name": "Taipei"}]}', [City(name="Taipei")]),
    (list[City], '[{"name": "Taipei"}]', [City(name="Taipei")]),
    (City | Point, '{"value": {"x": 2, "y": 1}}', Point(2.0, 1.0)),
    (Literal["yes", "no"], '{"value": "no"}', "no"),
    (dict[str, int], '{"a": 1}', {"a": 1}),
    (int, '{"value": 7}', 7),
    (AS_DICT, '{"name": "a", "near": ["b"]}', {"name": "a", "near": ["b"]}),
]


class TestOf:
    @pytest.mark.parametrize(("kind", "text", "value"), KINDS, ids=[str(kind)[:30] for kind, *_ in KINDS])
    def test_a_shape_is_an_object_and_reads_an_answer_as_itself(self, kind: Any, text: str, value: Any) -> None:
        schema = Schema.of("shape", kind)
        sent = schema.response_format["json_schema"]["schema"]
        assert sent["type"] == "object"
        assert json.loads(json.dumps(sent)) == sent
        parsed = schema.parse(text)
        assert (type(parsed), parsed) == (type(value), value)

    @pytest.mark.parametrize(("name", "sent"), [("City", "City"), ("城市", "__"), ("a" * 99, "a" * 64)])
    def test_its_name_is_sent_as_the_api_takes_it(self, name: str, sent: str) -> None:
        schema = Schema.of(name, City)
        assert schema.response_format["json_schema"]["name"] == sent
        assert schema.name == name

    def test_in_words_it_is_the_schema_itself(self) -> None:
        first, schema = Schema.of("shape", AS_DICT).instructions.split("\n")
        assert "fits this JSON Schema" in first
        assert json.loads(schema) == AS_DICT

    @pytest.mark.parametrize(
        ("kind", "said"),
        [
            (5, "shape is no schema"),
            ("City", "shape is no schema"),
            (City(name="a"), "shape is no schema"),
            (len, "shape is no schema"),
            (lambda name: name, "shape is no schema"),
            (Unwritable, "shape cannot be written as a JSON Schema: Unable to generate"),
            ({}, "shape is no JSON Schema of an object"),
            ({"type": "array"}, "shape is no JSON Schema of an object"),
            ({"type": "object", "properties": {"a": {"type": "text"}}}, "shape is no JSON Schema: 'text' is not"),
            ({"type": "object", "properties": {"a": {"pattern": "("}}}, "shape is no JSON Schema: '(' is not a"),
            ({"type": "object", "properties": {"a": {"default": {1}}}}, "shape cannot be written as JSON: "),
            ({"type": "object", "properties": {"a": {"default": float("nan")}}}, "shape cannot be written as JSON: "),
            ({"type": "object", "allOf": [{"$ref": "#/$defs/a"}]}, "shape refers to #/$defs/a, which is not in it"),
        ],
    )
    def test_what_is_none_is_said_in_two_lines_before_anything_is_sent(self, kind: Any, said: str) -> None:
        with pytest.raises(SchemaError) as raised:
            Schema.of("shape", kind)
        first, second = raised.value.lines()
        assert first.startswith(f"SchemaError: {said}")
        assert first.endswith("; nothing was sent.")
        assert "JSON Schema" in second or "$defs" in second

    def test_a_remote_reference_is_refused_and_not_fetched(self) -> None:
        with scripted(reply(200, {"type": "string"})) as elsewhere:
            remote = {"type": "object", "properties": {"a": {"$ref": f"{elsewhere.base_url}/schema.json"}}}
            with pytest.raises(SchemaError, match=r"refers to http://.*/schema.json, which is not in it"):
                Schema.of("shape", remote)
            assert elsewhere.asked == []

    def test_the_typed_dict_of_typing_is_one_where_pydantic_takes_it(self) -> None:
        class Typed(typing.TypedDict):
            a: int

        if sys.version_info >= (3, 12):
            assert Schema.of("shape", Typed).parse('{"a": 1}') == {"a": 1}
        else:
            with pytest.raises(SchemaError, match=r"Please use `typing_extensions.TypedDict`"):
                Schema.of("shape", Typed)


READ_AS_ONE = [
    '{"name": "a"}',
    ' \n{"name": "a"}\n ',
    '```json\n{"name": "a"}\n```',
    '```\n{"name": "a"}\n```\n',
    'Here it is:\n\n```json\n{"name": "a"}\n```\nAnything else?',
    'Sure! {"name": "a"} Anything else?',
    '5 cities, as [1] and {2} say: {"name": "a"}',
    '```python\nx = 1\n```\nand\n```json\n{"name": "a"}\n```',
    '{"name": "a", "more": "is ignored"}',
]
WRONG = [
    ("", "- the answer is no JSON"),
    ("I cannot.", "- the answer is no JSON"),
    ('{"name": "a"', "- the answer holds no whole JSON: Expecting ',' delimiter"),
    ("5", "- Input should be an object"),
    ("[]", "- Input should be an object"),
    ('{"nom": "a"}', "- name: Field required"),
    ('{"name": 1}', "- name: Input should be a valid string"),
    ('{"name": "a", "people": "many"}', "- people: Input should be a valid integer"),
    ("[" * 100_000, "- the answer holds no whole JSON"),
]


ANY_OBJECT = Schema.of("shape", {"type": "object"})
SHAPES = [Schema.of("shape", kind) for kind in (City, list[City], AS_DICT, Tree, Movie, Literal["a"])]


class TestParse:
    @pytest.mark.parametrize("text", READ_AS_ONE)
    def test_what_stands_around_it_does_not_matter(self, text: str) -> None:
        assert Schema.of("City", City).parse(text) == City(name="a")

    def test_a_list_in_prose_is_read_whole(self) -> None:
        text = 'They are [{"name": "a"}, {"name": "b"}] (see [1]).'
        assert Schema.of("Cities", list[City]).parse(text) == [City(name="a"), City(name="b")]

    @pytest.mark.parametrize(("text", "said"), WRONG, ids=[text[:20] for text, _ in WRONG])
    def test_what_is_wrong_is_said_with_its_place(self, text: str, said: str) -> None:
        with pytest.raises(ValueError, match=f"^{re.escape(said)}"):
            Schema.of("City", City).parse(text)

    def test_a_place_in_a_list_is_told_too(self) -> None:
        with pytest.raises(ValueError, match=r"^- 1\.name: Field required$"):
            Schema.of("Cities", list[City]).parse('{"value": [{"name": "a"}, {"nom": "b"}]}')
        with pytest.raises(ValueError, match=r"^- near\.1: 5 is not of type 'string'$"):
            Schema.of("shape", AS_DICT).parse('{"name": "a", "near": ["b", 5]}')

    def test_many_problems_are_cut(self) -> None:
        with pytest.raises(ValueError, match="name: Field required") as raised:
            Schema.of("Cities", list[City]).parse(json.dumps([{}] * 9))
        assert str(raised.value).split("\n")[5:] == ["- … and 4 more"]

    def test_a_schema_that_never_ends_is_a_problem_of_the_answer(self) -> None:
        with pytest.raises(ValueError, match="nested too deeply"):
            Schema.of("shape", {"type": "object", "$ref": "#"}).parse("{}")

    @given(st.sampled_from(SHAPES), st.text() | st.text('[]{}":,\\`x1 \n'))
    def test_no_text_does_anything_else_than_fit_or_not(self, schema: Schema, text: str) -> None:
        problem = "- none"
        try:
            schema.parse(text)
        except ValueError as error:
            problem = str(error)
        assert problem.startswith("- ")

    @given(st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.text())))
    def test_any_object_is_found_again_in_prose_or_a_fence(self, value: dict[str, Any]) -> None:
        for ascii_only in (True, False):
            text = json.dumps(value, ensure_ascii=ascii_only, indent=1)
            for around in ("{}", "So: {} there.", "1. First\n\n```json\n{}\n```\n"):
                assert ANY_OBJECT.parse(around.replace("{}", text)) == value


SETUP = """
import os
from typing import Literal
from pydantic import BaseModel
class City(BaseModel):
    name: str
    people: int
Cities = list[City]
AsDict = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
def shape(): ...
城市 = City
"""
GOOD = '{"name": "Taipei", "people": 3}'
BAD = '{"name": "Taipei", "inhabitants": 3}'
TOO_BAD = '{"people": "three"}'
HOSTILE = '{"name": "<b>| $x$", "people": 12, "near": ["a", 1, null], "more": [{"b": 2}]}'
LIST = f'{{"value": [{{"name": "Taipei", "people": 3}}, {HOSTILE}]}}'
REFUSED = reply(400, {"error": {"message": "This response_format type is unavailable now", "code": "invalid"}})
REFUSED_OTHERWISE = reply(400, {"error": {"message": "max_tokens is too large", "code": "invalid"}})


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with Kernel(tmp_path_factory.mktemp("kernel")) as kernel:
        assert kernel.run(f"{SETUP}\n%config MixRoute.retries = 0").status == "ok"
        yield kernel


class Desk:
    """A person at a notebook, each on a page of its own: nothing stands above what is asked first."""

    def __init__(self, kernel: Kernel, page: str) -> None:
        self.kernel = kernel
        self._page = page

    def begin(self, gateway: ScriptedGateway) -> None:
        self.kernel.run(
            f"os.environ['JPY_SESSION_NAME'] = {self._page!r}\n%config MixRoute.base_url = {gateway.base_url!r}"
        )

    def ask(self, line: str, cell: str = "a") -> Ran:
        """Ask which city; a line without a model asks one of whose family nothing is known."""
        model = "" if "-m " in line else "-m some-model "
        return self.kernel.run(f"%%chat {model}{line}\nWhich city?", cell)

    def rows(self) -> list[tuple[str, str]]:
        """Return model and status of the requests in the ledger, oldest first."""
        found = list(self.kernel.home.rglob("ledger.sqlite"))
        if not found:
            return []
        with sqlite3.connect(found[0]) as db:
            return db.execute("SELECT model, status FROM requests ORDER BY started").fetchall()


@pytest.fixture
def desk(running: Kernel, tmp_path: Any) -> Desk:
    return Desk(running, str(tmp_path / "talk.ipynb"))


def said(body: dict[str, Any]) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in body["messages"]]


FORMAT = Schema.of(
    "City", type("City", (BaseModel,), {"__annotations__": {"name": str, "people": int}})
).response_format
WORDS = "Answer with one JSON object that fits this JSON Schema, and with nothing else:\n"
SCHEMA_IN_WORDS = ("system", WORDS + json.dumps(FORMAT["json_schema"]["schema"]))
REPAIR = (
    "user",
    "This does not fit the JSON Schema:\n- people: Field required\n\nAnswer again, with the corrected JSON alone.",
)


class TestAsking:
    def test_the_schema_is_sent_and_the_answer_has_its_type(self, desk: Desk) -> None:
        with scripted(whole(GOOD)) as gateway:
            desk.begin(gateway)
            ran = desk.ask("--schema City -o r")
            assert ran.status == "ok", ran.lines
            assert desk.kernel.value("(type(r.parsed) is City, r.parsed.name, r.text == '''" + GOOD + "''')") == str(
                (True, "Taipei", True)
            )
            (body,) = gateway.bodies
            assert body == {
                "model": "some-model",
                "messages": [{"role": "user", "content": "Which city?"}],
                "stream": True,
                "response_format": FORMAT,
            }

    def test_one_that_does_not_fit_is_repaired_which_is_sent_and_shown(self, desk: Desk) -> None:
        with scripted(whole(BAD), whole(GOOD), whole("Hello")) as gateway:
            desk.begin(gateway)
            before = desk.rows()
            ran = desk.ask("--schema City -o r")
            assert ran.status == "ok", ran.lines
            first, second = gateway.bodies
            assert said(first) == [("user", "Which city?")]
            assert said(second) == [("user", "Which city?"), ("assistant", BAD), REPAIR]
            assert second["response_format"] == FORMAT
            assert desk.kernel.value("r.parsed") == "name='Taipei' people=3"
            assert desk.kernel.value("(r.usage.input_tokens, r.usage.output_tokens)") == "(50, 200)"
            assert desk.rows()[len(before) :] == [("some-model", "complete")] * 2
            folded, shown = ran.markdown.split("\n\n")[:2]
            why = "The answer did not fit, and was asked for again: people: Field required"
            assert why in html.unescape(folded.partition("</summary>")[0])
            assert '"inhabitants": 3' in html.unescape(folded.partition("</summary>")[2])
            assert '"people": 3' in shown
            assert ran.text.startswith(why + '\n\n{\n  "name": "Taipei",\n  "people": 3\n}\n\nserved · 50 → 200 tokens')
            assert [message["content"] for message in ran.metadata["messages"]] == ["Which city?", BAD, REPAIR[1], GOOD]
            assert any(why in html.unescape(frame.get("html", "")) for frame in ran.frames)
            desk.kernel.run("%chat and now", "b")
            assert [words for _, words in said(gateway.bodies[-1])][-3:] == [REPAIR[1], GOOD, "and now"]

    def test_one_that_cannot_be_repaired_fails_and_is_no_part_of_the_conversation(self, desk: Desk) -> None:
        with scripted(whole(BAD), whole(TOO_BAD), whole("Hello")) as gateway:
            desk.begin(gateway)
            before = desk.rows()
            desk.kernel.run("r = None")
            ran = desk.ask("--schema City -o r")
            assert ran.status == "error"
            assert "\n".join(ran.lines).split("\n") == [
                "SchemaError: The answer does not fit City, nor did the one before:",
                "- name: Field required",
                "- people: Input should be a valid integer, unable to parse string as an integer",
                "Run the cell again, ask another model with -m, or loosen the schema.",
                "Request id: req-1",
            ]
            assert len(gateway.bodies) == 2
            assert TOO_BAD in ran.metadata["messages"][-1]["content"]
            assert ran.metadata["status"] == "failed"
            assert desk.kernel.value("r") == "None"
            assert desk.rows()[len(before) :] == [("some-model", "complete"), ("some-model", "failed")]
            desk.kernel.run("%chat and now", "b")
            assert said(gateway.bodies[-1]) == [("user", "and now")]

    def test_one_that_was_cut_is_not_asked_for_again(self, desk: Desk) -> None:
        cut = answer(delta(GOOD[:9]), event({"choices": [{"delta": {}, "finish_reason": "length"}]}), DONE)
        with scripted(cut) as gateway:
            desk.begin(gateway)
            ran = desk.ask("--schema City --max-tokens 3")
            assert ran.lines[:2] == ["SchemaError: The answer was cut at the token limit.", "Raise --max-tokens."]
            assert len(gateway.bodies) == 1

    def test_a_name_may_be_in_any_script(self, desk: Desk) -> None:
        with scripted(whole(TOO_BAD)) as gateway:
            desk.begin(gateway)
            ran = desk.ask("--schema 城市")
            assert gateway.bodies[0]["response_format"]["json_schema"]["name"] == "__"
            assert ran.lines[0].startswith("SchemaError: The answer does not fit 城市, nor did the one before:\n- ")

    @pytest.mark.parametrize(
        ("name", "lines"),
        [
            ("Citty", ["SchemaError: This notebook has no schema Citty; nothing was sent.", "Did you mean City?"]),
            (
                "Weather",
                [
                    "SchemaError: This notebook has no schema Weather; nothing was sent.",
                    "Run the cell that defines Weather first.",
                ],
            ),
            ("shape", ["SchemaError: shape is no schema; nothing was sent.", None]),
            ("os", ["SchemaError: os is no schema; nothing was sent.", None]),
        ],
    )
    def test_what_is_no_schema_sends_nothing(self, desk: Desk, name: str, lines: list[str | None]) -> None:
        with scripted(whole(GOOD)) as gateway:
            desk.begin(gateway)
            ran = desk.ask(f"--schema {name}")
            assert ran.status == "error"
            assert ran.lines[0] == lines[0]
            assert lines[1] in (None, ran.lines[1])
            assert len(ran.lines) == 2
            assert gateway.asked == []

    def test_a_refusal_after_the_first_word_is_told_and_nothing_is_asked_again(self, desk: Desk) -> None:
        broken = answer(
            delta('{"half'), event({"error": {"code": 400, "message": "no valid JSON for response_format"}})
        )
        with scripted(broken, whole(GOOD), whole(GOOD)) as gateway:
            desk.begin(gateway)
            ran = desk.ask("--schema City -m a-model", "broken")
            assert ran.status == "error"
            assert "no valid JSON for response_format" in ran.lines[0]
            assert len(gateway.asked) == 1
            assert desk.ask("--schema City -m a-model", "whole").status == "ok"
            assert gateway.bodies[1]["response_format"] == FORMAT

    def test_a_dry_run_shows_it_and_parses_nothing(self, desk: Desk) -> None:
        with scripted(whole(GOOD)) as gateway:
            desk.begin(gateway)
            shown = desk.ask("--schema City --dry-run").text
            assert '"response_format": {\n    "type": "json_schema"' in shown
            assert gateway.asked == []

    def test_a_replay_is_shown_and_parsed_as_it_was(self, desk: Desk) -> None:
        with scripted(whole(BAD), whole(GOOD), whole("never")) as gateway:
            desk.begin(gateway)
            first = desk.ask("--schema City")
            before = desk.rows()
            again = desk.ask("--schema City --replay only -o again")
            assert again.status == "ok", again.lines
            assert again.metadata["replayed"]
            assert desk.kernel.value("again.parsed") == "name='Taipei' people=3"
            assert again.markdown.rpartition("\n")[0] == first.markdown.rpartition("\n")[0]
            assert len(gateway.bodies) == 2
            assert desk.rows() == [*before, ("some-model", "complete")]  # marked as a replay

    def test_side_by_side_each_is_repaired_and_parsed_for_itself(self, desk: Desk) -> None:
        with scripted(whole("x"), a=[whole(GOOD)], b=[whole(BAD), whole(GOOD)], c=[whole(BAD)]) as gateway:
            desk.begin(gateway)
            before = desk.rows()
            ran = desk.ask("-m a -m b -m c --schema City -o replies")
            assert ran.status == "ok", ran.lines
            assert [answer["status"] for answer in ran.metadata["alternatives"]] == ["complete", "complete", "failed"]
            values = "[City(name='Taipei', people=3), City(name='Taipei', people=3), None]"
            assert desk.kernel.value("[reply.parsed for reply in replies]") == values
            assert ran.text.count("The answer did not fit, and was asked for again:") == 2
            assert "SchemaError: The answer does not fit City, nor did the one before:" in ran.text
            assert sorted(body["model"] for body in gateway.bodies) == ["a", "b", "b", "c", "c"]
            assert sorted(desk.rows()[len(before) :]) == [
                ("a", "complete"),
                ("b", "complete"),
                ("b", "complete"),
                ("c", "complete"),
                ("c", "failed"),
            ]

    def test_one_of_a_comparison_has_its_own_steps_before_it_when_it_goes_on(self, desk: Desk) -> None:
        with scripted(whole("x"), a=[whole(BAD), whole(GOOD)], b=[whole(GOOD)]) as gateway:
            desk.begin(gateway)
            desk.ask("-m a -m b --schema City")
            desk.kernel.run("%chat -m a and now", "b")
            assert [words for _, words in said(gateway.bodies[-1])] == ["Which city?", BAD, REPAIR[1], GOOD, "and now"]
            desk.kernel.run("%thread --keep b", "k")
            desk.kernel.run("%chat -m a and now", "b")
            assert [words for _, words in said(gateway.bodies[-1])] == ["Which city?", GOOD, "and now"]


class TestFallingBack:
    def test_a_model_that_takes_no_schema_is_asked_in_other_ways_which_is_remembered(self, desk: Desk) -> None:
        with scripted(REFUSED, REFUSED, whole(GOOD)) as gateway:
            desk.begin(gateway)
            before = desk.rows()
            ran = desk.ask("--schema City -o r -s Briefly.")
            assert ran.status == "ok", ran.lines
            schema, any_json, words = gateway.bodies
            assert (schema["response_format"], said(schema)[0]) == (FORMAT, ("system", "Briefly."))
            in_words = ("system", f"Briefly.\n\n{SCHEMA_IN_WORDS[1]}")
            assert (any_json["response_format"], said(any_json)[0]) == ({"type": "json_object"}, in_words)
            assert ("response_format" in words, said(words)[0]) == (False, in_words)
            assert desk.kernel.value("r.parsed.people") == "3"
            refused = ("some-model", "failed")  # each a request of its own
            assert desk.rows()[len(before) :] == [refused, refused, ("some-model", "complete")]
            assert [frame["retry"] for frame in ran.frames if "retry" in frame] == [
                "some-model takes no json_schema",
                "some-model takes no json_object",
            ]
            assert ran.metadata["messages"][0] == {"role": "system", "content": "Briefly."}
            desk.ask("--schema City", "b")
            assert len(gateway.bodies) == 4
            assert "response_format" not in gateway.bodies[3]
            assert said(gateway.bodies[3])[0] == SCHEMA_IN_WORDS

    def test_a_repair_goes_the_way_that_was_taken(self, desk: Desk) -> None:
        with scripted(REFUSED, whole(BAD), whole(GOOD)) as gateway:
            desk.begin(gateway)
            ran = desk.ask("--schema City")
            assert ran.status == "ok", ran.lines
            assert said(gateway.bodies[2]) == [SCHEMA_IN_WORDS, ("user", "Which city?"), ("assistant", BAD), REPAIR]
            assert gateway.bodies[2]["response_format"] == {"type": "json_object"}

    def test_another_refusal_is_told_as_it_is(self, desk: Desk) -> None:
        with scripted(REFUSED_OTHERWISE) as gateway:
            desk.begin(gateway)
            ran = desk.ask("--schema City --max-tokens 9")
            assert ran.lines[0].startswith("BadRequestError: ")
            assert "max_tokens is too large" in ran.lines[0]
            assert len(gateway.bodies) == 1

    def test_a_model_that_refuses_even_the_words_says_so(self, desk: Desk) -> None:
        with scripted(REFUSED) as gateway:
            desk.begin(gateway)
            ran = desk.ask("--schema City")
            assert ran.lines[0].startswith("BadRequestError: ")
            assert len(gateway.bodies) == 3

    @pytest.mark.parametrize(
        ("model", "wanted"),
        [("deepseek-v3", {"type": "json_object"}), ("claude-opus-4-6", None), ("deepseek-r1", None)],
    )
    def test_of_some_families_it_is_known_before(self, desk: Desk, model: str, wanted: Any) -> None:
        with scripted(whole(GOOD)) as gateway:
            desk.begin(gateway)
            ran = desk.ask(f"-m {model} --schema City")
            assert ran.status == "ok", ran.lines
            (body,) = gateway.bodies
            assert body.get("response_format") == wanted
            assert said(body) == [SCHEMA_IN_WORDS, ("user", "Which city?")]

    @pytest.mark.parametrize("model", ["gpt-4o", "deepseek-v3", "claude-opus-4-6", "deepseek-r1", "demo-error-schema"])
    def test_the_demo_answers_in_each_way(self, desk: Desk, model: str) -> None:
        with DemoGateway.start(pace=0) as demo:
            desk.kernel.run(f"%config MixRoute.base_url = {demo.base_url!r}")
            ran = desk.ask(f"-m {model} --schema City --fresh -o r")
            assert ran.status == "ok", ran.lines
            assert desk.kernel.value("type(r.parsed) is City") == "True"
            assert ran.text.startswith("The answer did not fit") == (model == "demo-error-schema")


class TestShown:
    def test_a_list_of_records_is_a_table(self, desk: Desk) -> None:
        with scripted(whole(LIST)) as gateway:
            desk.begin(gateway)
            ran = desk.ask("--schema Cities -o r")
            table = ran.markdown.split("\n\n")[0].split("\n")
            assert table[:3] == ["| name | people | near | more |", "| :-- | --: | :-- | :-- |", "| Taipei | 3 |  |  |"]
            assert html.unescape(table[3]) == '| <b>| $x$ | 12 | a, 1,  | [{"b": 2}] |'
            assert not re.search(r"[<>$\\\[\]*_`]", table[3])
            assert ran.text.startswith("name      people")
            assert "\n<b>| $x$      12  a, 1,   [{" in ran.text
            assert desk.kernel.value("[city.people for city in r.parsed]") == "[3, 12]"
            assert ran.metadata["messages"][-1]["content"] == LIST

    def test_while_it_comes_it_is_its_characters(self, desk: Desk) -> None:
        with scripted(whole(*LIST.partition("}, {"))) as gateway:
            desk.begin(gateway)
            ran = desk.ask("--schema Cities")
            assert ran.streamed == LIST
            assert all(frame.get("code") for frame in ran.frames if "text" in frame)

    def test_one_record_is_laid_out_as_json(self, desk: Desk) -> None:
        with scripted(whole(f"```json\n{GOOD}\n```")) as gateway:
            desk.begin(gateway)
            ran = desk.ask("--schema AsDict")
            assert ran.markdown.startswith('```json\n{\n  "name": "Taipei",\n  "people": 3\n}\n```\n\n*served')
            assert ran.text.startswith('{\n  "name": "Taipei",\n  "people": 3\n}\n\nserved')

    @pytest.mark.parametrize(("form", "begins"), [("json", '```json\n{\n  "value": [\n'), ("text", "<pre ")])
    def test_another_form_wins(self, desk: Desk, form: str, begins: str) -> None:
        with scripted(whole(LIST)) as gateway:
            desk.begin(gateway)
            assert desk.ask(f"--schema Cities -f {form}").markdown.startswith(begins)

    def test_side_by_side_a_table_stands_in_each_column(self, desk: Desk) -> None:
        with scripted(whole(LIST)) as gateway:
            desk.begin(gateway)
            ran = desk.ask("-m a -m b --schema Cities")
            assert ran.markdown.count("| Taipei | 3 |") == 2
