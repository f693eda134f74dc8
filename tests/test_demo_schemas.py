"""Answers in JSON, and images, at the offline demo gateway."""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt  # noqa: TC003 - pydantic reads the types
import enum
import io
import json
import uuid  # noqa: TC003 - the same
from typing import TYPE_CHECKING, Annotated, Any, Literal

import jsonschema
import pytest
from callers import PLAIN, Caller, deltas, tokens
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import BaseModel, Field, TypeAdapter

from mixroute_magic.demo import DemoGateway
from mixroute_magic.demo.schemas import Filler

if TYPE_CHECKING:
    from collections.abc import Iterator

BORN = "Ada Lovelace was born in 1815, and Grace Hopper in 1906."


@pytest.fixture(scope="module")
def gateway() -> Iterator[DemoGateway]:
    with DemoGateway.start(pace=0) as gateway:
        yield gateway


@pytest.fixture
def caller(gateway: DemoGateway) -> Iterator[Caller]:
    caller = Caller(gateway.base_url)
    yield caller
    caller.session.close()


def demanded(schema: Any, **more: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, **more}}


def filled(caller: Caller, question: str, schema: Any, **params: Any) -> Any:
    """Return the parsed answer, which has to fit the schema."""
    answer = json.loads(caller.answer(question, response_format=demanded(schema), **params))
    jsonschema.validate(answer, schema, format_checker=jsonschema.FormatChecker())
    return answer


class Colour(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


class Person(BaseModel):
    name: str
    born: Annotated[int, Field(ge=0, le=2100)]
    job: str | None = None


class People(BaseModel):
    people: list[Person]


@dataclasses.dataclass
class Node:
    """A tree that refers to itself."""

    label: str
    children: list[Node]
    parent: Node | None


class Everything(BaseModel):
    words: Annotated[list[str], Field(min_length=4)]
    few: Annotated[list[int], Field(max_length=1)]
    colours: set[Colour]
    pair: tuple[int, str]
    by_name: dict[str, float]
    share: Annotated[float, Field(gt=0, lt=1)]
    even: Annotated[int, Field(multiple_of=2, ge=11)]
    below: Annotated[int, Field(lt=-5)]
    code: Annotated[str, Field(pattern=r"^[A-Z]{2}-\d{3}$")]
    short: Annotated[str, Field(max_length=3)]
    long: Annotated[str, Field(min_length=30)]
    day: dt.date
    moment: dt.datetime
    key: uuid.UUID
    kind: Literal["only"]
    person: Person
    either: Person | Colour
    maybe: None
    sure: bool
    rating: float = 4.5
    town: str = Field(examples=["Ghent"])
    anything: Any


# JSON schemas


def test_people_are_read_from_the_question(caller: Caller) -> None:
    answer = filled(caller, BORN, People.model_json_schema())
    assert [(person["name"], person["born"]) for person in answer["people"]] == [
        ("Ada Lovelace", 1815),
        ("Grace Hopper", 1906),
    ]


@pytest.mark.parametrize("question", ["Hello", BORN, "我叫小明", "Paint it blue in 2026, 0.25 of it"])
@pytest.mark.parametrize("type_", [People, Person, Node, Everything])
def test_the_answer_fits_the_schema_of_a_type(caller: Caller, question: str, type_: Any) -> None:
    adapter = TypeAdapter(type_)
    schema = adapter.json_schema()
    if "$ref" in schema:  # an API wants an object at the top
        schema = {**schema["$defs"][type_.__name__], "$defs": schema["$defs"]}
    answer = filled(caller, question, schema)
    adapter.validate_python(answer, strict=False)
    assert len(json.dumps(answer)) < 3000


def test_enums_examples_and_defaults_count(caller: Caller) -> None:
    answer = filled(caller, "Paint it blue", Everything.model_json_schema())
    assert answer["colours"] == ["blue"]
    assert (answer["rating"], answer["town"], answer["kind"], answer["sure"]) == (4.5, "Ghent", "only", True)
    assert 1 < len(answer["words"]) == len(set(answer["words"]))
    assert [len(answer[name]) for name in ("short", "long", "few")] == [3, 30, 1]


@pytest.mark.parametrize(
    ("member", "question", "expected"),
    [("red", "a red one", "red"), ("red", "reduced", "blue"), ("紅色", "要紅色的", "紅色"), (3, "size 3", 3)],
)
def test_a_member_is_chosen_by_its_word(caller: Caller, member: Any, question: str, expected: Any) -> None:
    schema = {"type": "object", "properties": {"colour": {"enum": ["blue", member, ""]}}}
    assert filled(caller, question, schema)["colour"] == expected


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "minItems": 10**9, "items": {"type": "null"}},
        {"type": "string", "minLength": 10**12},
        {"$ref": "#/$defs/itself"},
        {"$ref": "#/$defs/merged"},
        {"$ref": "#/$defs/required"},
        {"$ref": "elsewhere"},
        {"type": "integer", "minimum": 5, "maximum": 1},
        {"pattern": "(?<bad"},
        {"type": {}, "format": "x", "default": 1},
        {"anyOf": [True]},
        {"anyOf": [{"type": "null"}]},
    ],
)
def test_a_schema_that_cannot_be_filled_gets_a_short_answer(caller: Caller, schema: Any) -> None:
    itself = {"type": "object", "properties": {"a": {"$ref": "#/$defs/required"}}, "required": ["a"]}
    merged = {"allOf": [{"$ref": "#/$defs/merged"}]}
    below = {"itself": {"$ref": "#/$defs/itself"}, "merged": merged, "required": itself}
    root = {"type": "object", "properties": {"a": schema}, "$defs": below}
    answer = caller.answer("Hello", response_format=demanded(root))
    assert isinstance(json.loads(answer), dict)
    assert len(answer) < 20_000


def test_parts_are_merged_and_required_names_without_a_schema_are_given(caller: Caller) -> None:
    schema = {
        "type": "object",
        "allOf": [
            {"properties": {"a": {"type": "integer"}}, "required": ["a"]},
            {"properties": {"b": {"type": ["null", "boolean"]}}, "required": ["b"]},
        ],
        "required": ["c"],
    }
    assert filled(caller, "Hello", schema) == {"a": 1, "b": True, "c": "demo c"}


def bounded(low: int, size: int) -> st.SearchStrategy[Any]:
    return st.sampled_from([
        {"type": "integer", "minimum": low, "maximum": low + size},
        {"type": "number", "exclusiveMinimum": low, "maximum": low + size + 1},
        {"type": "number", "minimum": low - 1, "exclusiveMaximum": low + size},
        {"type": "string", "minLength": abs(low), "maxLength": abs(low) + size},
        {"type": "integer", "multipleOf": size + 1, "minimum": low},
    ])  # fmt: skip


def objects(properties: dict[str, Any]) -> st.SearchStrategy[Any]:
    names = st.lists(st.sampled_from(sorted(properties)), unique=True) if properties else st.just([])
    return names.map(lambda required: {"type": "object", "properties": properties, "required": required})


def nested(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    least = st.integers(0, 4)
    arrays = st.builds(lambda items, count: {"type": "array", "items": items, "minItems": count}, parts, least)
    options = st.lists(parts.filter(lambda part: part is not True), min_size=1).map(lambda found: {"anyOf": found})
    return arrays | options | st.dictionaries(st.text(), parts, max_size=4).flatmap(objects)


MEMBERS = st.lists(st.text() | st.integers() | st.none(), min_size=1)
LEAVES = (
    st.sampled_from([{"type": "string"}, {"type": "integer"}, {"type": "boolean"}, {"type": "null"}, True])
    | st.tuples(st.integers(-99, 99), st.integers(0, 9)).flatmap(lambda pair: bounded(*pair))
    | MEMBERS.map(lambda members: {"enum": members})
)
SCHEMAS = st.recursive(LEAVES, nested, max_leaves=12)


@settings(max_examples=60)
@given(schema=SCHEMAS, text=st.text(), numbers=st.lists(st.integers(-99, 99) | st.floats(-99, 99)))
def test_whatever_the_schema_the_value_fits(schema: Any, text: str, numbers: list[float]) -> None:
    root = {"type": "object", "properties": {"value": schema}, "required": ["value"]}
    value = Filler(root, ["Ada", "Grace"], numbers, text).value(root)
    jsonschema.validate(value, root)


# How it is sent


def test_a_json_answer_is_streamed_in_pieces_and_counted(caller: Caller) -> None:
    events = caller.events(BORN, response_format=demanded(People.model_json_schema()))
    pieces = deltas(events, "content")
    assert "".join(pieces) == caller.answer(BORN, response_format=demanded(People.model_json_schema()))
    assert len(pieces) > 20
    assert events[-2]["usage"]["completion_tokens"] == tokens("".join(pieces))
    asked = json.dumps(demanded(People.model_json_schema()))
    assert events[-2]["usage"]["prompt_tokens"] == tokens(BORN) + tokens(asked)


def test_openais_client_parses_a_strict_answer(gateway: DemoGateway) -> None:
    import openai

    class Strict(BaseModel):
        people: list[Inner]

    class Inner(BaseModel):
        name: str
        born: int

    Strict.model_rebuild(_types_namespace={"Inner": Inner})
    with openai.OpenAI(base_url=gateway.base_url, api_key="sk-test", max_retries=0) as client:
        completion = client.chat.completions.parse(
            model=PLAIN, messages=[{"role": "user", "content": BORN}], response_format=Strict
        )
    parsed = completion.choices[0].message.parsed
    assert parsed is not None
    assert [person.born for person in parsed.people] == [1815, 1906]


def test_tools_come_before_the_json(caller: Caller) -> None:
    ping = {"type": "function", "function": {"name": "ping"}}
    schema = demanded(Person.model_json_schema())
    messages: list[Any] = [{"role": "user", "content": "ping Ada"}]
    message = caller.message(messages, tools=[ping], response_format=schema)
    assert message["tool_calls"][0]["function"]["name"] == "ping"
    messages += [message, {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "pong"}]
    assert json.loads(caller.message(messages, tools=[ping], response_format=schema)["content"])["name"] == "Ada"


def test_json_without_a_schema_says_what_it_is(caller: Caller) -> None:
    answer = json.loads(caller.answer("Hello, in JSON", response_format={"type": "json_object"}))
    assert answer == {"demo": "Offline demo: no model was called.", "question": "Hello, in JSON"}
    answer = json.loads(caller.answer("請用 JSON 回答", response_format={"type": "json_object"}))
    assert answer["demo"] == "離線示範：沒有呼叫任何模型。"
    assert caller.answer("Hello", response_format={"type": "text"}) == caller.answer("Hello", response_format=None)


@pytest.mark.parametrize("role", ["system", "user"])
def test_json_follows_a_schema_that_stands_in_the_messages(caller: Caller, role: str) -> None:
    described = f"Answer in JSON that fits {{this}} schema: {json.dumps(People.model_json_schema())} and no other."
    messages = [{"role": role, "content": described}, {"role": "user", "content": BORN}]
    message = caller.message(messages, model="deepseek-v3", response_format={"type": "json_object"})
    assert json.loads(message["content"])["people"][1] == {"name": "Grace Hopper", "born": 1906, "job": "demo job"}


def test_a_schema_in_the_system_prompt_alone_is_followed(caller: Caller) -> None:
    described = f"Be brief {{}}.\n\nAnswer with one JSON object that fits: {json.dumps(Person.model_json_schema())}"
    messages = [{"role": "system", "content": described}, {"role": "user", "content": BORN}]
    assert json.loads(caller.message(messages, model="claude-opus-4-6")["content"])["born"] == 1815
    messages[0]["content"] = json.dumps(TypeAdapter(Node).json_schema())
    assert json.loads(caller.message(messages)["content"]).keys() == {"label", "children", "parent"}


@pytest.mark.parametrize(
    "words", ["{'properties': {}}", "{", '{"a": 1}', '{"properties": 3}', '{"$ref": "#", "enum": 1}']
)
def test_what_is_no_schema_in_the_system_prompt_is_none(caller: Caller, words: str) -> None:
    messages = [{"role": "system", "content": f"Be brief: {words}"}, {"role": "user", "content": BORN}]
    assert caller.message(messages)["content"].startswith("**Offline demo")


def test_the_failing_model_mends_its_json_when_it_is_told(caller: Caller) -> None:
    schema = Person.model_json_schema()
    messages: list[Any] = []
    for question, name in ((BORN, "Ada Lovelace"), ("Who was Alan Turing, born 1912?", "Alan Turing")):
        messages.append({"role": "user", "content": question})
        wrong = caller.message(messages, model="demo-error-schema", response_format=demanded(schema))
        with pytest.raises(jsonschema.ValidationError, match="'name' is a required property"):
            jsonschema.validate(json.loads(wrong["content"]), schema)
        messages += [wrong, {"role": "user", "content": "That did not fit: 'name' is required. Try Again, Bob."}]
        right = caller.message(messages, model="demo-error-schema", response_format=demanded(schema))
        jsonschema.validate(json.loads(right["content"]), schema)
        assert json.loads(right["content"])["name"] == name
        messages.append(right)


def test_the_failing_model_is_wrong_without_a_schema_too(caller: Caller) -> None:
    answer = caller.answer("JSON", model="demo-error-schema", response_format={"type": "json_object"})
    assert list(json.loads(answer)) == ["wrong_demo", "question"]


# What is refused

OPEN = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
CLOSED = {**OPEN, "additionalProperties": False}
NESTED: Any = {"type": "object"}
for _ in range(120):
    NESTED = {"type": "object", "properties": {"a": NESTED}}


@pytest.mark.parametrize(
    ("answer_format", "param", "message"),
    [
        ("json", "response_format", "expected an object, but got a string"),
        ({}, "response_format.type", "Missing required parameter"),
        ({"type": "xml"}, "response_format.type", "Supported values are: 'json_object', 'json_schema', and 'text'"),
        ({"type": "json_object"}, "messages", "must contain the word 'json'"),
        ({"type": "json_schema"}, "response_format.json_schema", "Missing required parameter"),
        (demanded(OPEN, name="two words"), "response_format.json_schema.name", "does not match pattern"),
        (demanded(OPEN, name="x" * 65), "response_format.json_schema.name", "maximum length 64"),
        ({"type": "json_schema", "json_schema": {"name": "x"}}, "response_format.json_schema.schema", "Missing"),
        (demanded({"type": "array"}), "response_format", "'type: \"object\"', got 'type: \"array\"'"),
        (demanded({}), "response_format", "got 'type: \"None\"'"),
        (demanded(OPEN, strict=True), "response_format", "In context=(), 'additionalProperties' is required"),
        (demanded({**CLOSED, "required": []}, strict=True), "response_format", "Missing 'a'"),
        (
            demanded({**CLOSED, "properties": {"a": {"type": "array", "items": OPEN}}}, strict=True),
            "response_format",
            "In context=('properties', 'a', 'items'), 'additionalProperties'",
        ),
        (demanded({**OPEN, "$defs": {"x": 3}}), "response_format", "3 is not of type 'object', 'boolean'"),
        (demanded({**OPEN, "required": "a"}), "response_format", "\"a\" is not of type 'array'"),
        (demanded({**OPEN, "required": [1]}), "response_format", "1 is not of type 'string'"),
        (demanded({**OPEN, "anyOf": [{"minimum": True}]}), "response_format", "true is not of type 'number'"),
        (demanded({**OPEN, "items": {"multipleOf": 0}}), "response_format", "less than or equal to the minimum"),
        (demanded(NESTED), "response_format", "nested more than 100 levels"),
    ],
)
def test_a_format_that_is_not_one_is_refused(caller: Caller, answer_format: Any, param: str, message: str) -> None:
    response = caller.post("Hello", response_format=answer_format)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param
    assert message in response.json()["error"]["message"]


def test_a_strict_schema_that_is_strict_is_taken(caller: Caller) -> None:
    response_format = demanded({**CLOSED, "properties": {"a": {"anyOf": [CLOSED, {"type": "null"}]}}}, strict=True)
    assert json.loads(caller.answer("Hello", response_format=response_format)) == {"a": {"a": "demo a"}}


@pytest.mark.parametrize("model", ["deepseek-v3", "deepseek-r1"])
def test_deepseek_takes_no_schema(caller: Caller, model: str) -> None:
    response = caller.post("Hello", model=model, response_format=demanded(OPEN))
    assert response.status_code == 400
    assert response.json()["error"]["message"].startswith("This response_format type is unavailable now")
    assert caller.post("JSON", model=model, response_format={"type": "json_object"}).status_code == 200


# Images


EXIF = Image.Exif()
EXIF[0x010F] = "the maker"


def picture(kind: str, size: tuple[int, int] = (640, 480), **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size).save(file, kind, **options)
    return file.getvalue()


def data_url(data: bytes, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def saying(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def showing(*urls: str, text: str = "What is this?") -> dict[str, Any]:
    images = [{"type": "image_url", "image_url": {"url": url, "detail": "low"}} for url in urls]
    return {"role": "user", "content": [{"type": "text", "text": text}, *images]}


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("png", {}),
        ("gif", {}),
        ("jpeg", {}),
        ("jpeg", {"progressive": True, "comment": b"x" * 300}),
        ("webp", {}),
        ("webp", {"lossless": True}),
        ("webp", {"exif": EXIF}),
    ],
)
def test_an_image_is_told_by_type_and_size(caller: Caller, kind: str, options: dict[str, Any]) -> None:
    data = picture(kind, **options)
    text = caller.message([showing(data_url(data))])["content"]
    expected = f"I was sent 1 image: image/{kind}, 640 × 480 pixels, {len(data):,} bytes. The demo does not see"
    assert expected in text
    assert "| 1 | user | `[image] What is this?` |" in text


def test_several_images_and_addresses_are_counted_in_the_questions_language(caller: Caller) -> None:
    earlier = showing(data_url(picture("png", (3, 2))))
    asked = showing("https://example.org/a.png", text="這是什麼圖片？")
    text = caller.message([earlier, {"role": "assistant", "content": "x"}, asked])["content"]
    assert "我收到 2 張圖片：image/png，3 × 2 像素，" in text
    assert "位於 `https://example.org/a.png`，示範程式不會去下載" in text


def test_an_image_counts_as_85_tokens(caller: Caller) -> None:
    response = caller.ask([showing("http://example.org/x")]).json()
    assert response["usage"]["prompt_tokens"] == tokens("What is this?") + 85


@pytest.mark.parametrize(
    ("messages", "param", "code"),
    [
        ([showing("file:///etc/passwd")], "messages[0].content[1].image_url", "invalid_image_url"),
        ([showing("data:image/png,abc")], "messages[0].content[1].image_url", "invalid_image_url"),
        ([showing("data:image/png;base64,???")], "messages[0].content[1].image_url", "invalid_base64"),
        ([showing(data_url(b"<svg/>"))], "messages[0].content[1].image_url", "invalid_image_format"),
        ([{**showing("http://x"), "role": "system"}], "messages[0]", "invalid_value"),
        ([saying({"type": "image_url"})], "messages[0].content[0].image_url", "missing_required_parameter"),
        ([saying({"type": "image_url", "image_url": "x"})], "messages[0].content[0].image_url", "invalid_type"),
        ([saying({"type": "video"})], "messages[0].content[0].type", "invalid_value"),
        ([saying("x")], "messages[0].content[0].type", "invalid_value"),
        ([saying({"type": "text"})], "messages[0].content[0].text", "missing_required_parameter"),
    ],
)
def test_an_image_that_is_not_one_is_refused(caller: Caller, messages: list[Any], param: str, code: str) -> None:
    response = caller.ask(messages)
    error = response.json()["error"]
    assert response.status_code == 400
    assert (error["param"], error["code"]) == (param, code)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("o3-mini", "image_url is only supported by certain models"),
        ("deepseek-v3", "vision not support"),
        ("deepseek-r1", "vision not support"),
        ("glm-5", "vision not support"),
    ],
)
def test_a_model_without_eyes_refuses_images(caller: Caller, model: str, message: str) -> None:
    response = caller.ask([showing("https://example.org/a.png")], model=model)
    assert response.status_code == 400
    assert message in response.json()["error"]["message"]
    assert caller.ask([showing()], model=model).status_code == 200
