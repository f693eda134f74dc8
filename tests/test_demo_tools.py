"""Tools at the offline demo gateway: offered, called, answered, refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import requests
from callers import PLAIN, Caller, deltas, joined_calls, tokens

from mixroute_magic.demo import MODELS, DemoGateway

if TYPE_CHECKING:
    from collections.abc import Iterator

    import openai

PARIS_TOKYO = "What is the weather in Paris and in Tokyo?"
BALI_DONGJING = "巴黎和東京的天氣如何？"


def tool(
    name: str, description: str = "", required: tuple[str, ...] | None = None, **properties: Any
) -> dict[str, Any]:
    names = list(properties if required is None else required)
    parameters = {"type": "object", "properties": properties, "required": names}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


TEXT, NUMBER, INTEGER = {"type": "string"}, {"type": "number"}, {"type": "integer"}
LIST = {"type": "array", "items": TEXT}
UNIT = {"type": "string", "enum": ["celsius", "fahrenheit"]}
WEATHER = tool("get_weather", "Return the current weather in a city.", ("city",), city=TEXT, unit=UNIT)
TIME = tool("get_time", "Return the time of day.", zone=TEXT)
ADD = tool("add", "Add two numbers.", a=NUMBER, b=NUMBER)
WEATHER_CHINESE = tool("f", "查詢城市的氣象", city=TEXT)


@pytest.fixture(scope="module")
def gateway() -> Iterator[DemoGateway]:
    with DemoGateway.start(pace=0) as gateway:
        yield gateway


@pytest.fixture
def caller(gateway: DemoGateway) -> Iterator[Caller]:
    caller = Caller(gateway.base_url)
    yield caller
    caller.session.close()


@pytest.fixture
def sdk(gateway: DemoGateway) -> Iterator[openai.OpenAI]:
    """Return OpenAI's own client, which reads tool calls in its own way."""
    import openai

    with openai.OpenAI(base_url=gateway.base_url, api_key="sk-test", max_retries=0) as client:
        yield client


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def call(call_id: str, name: str = "get_weather", arguments: str = "{}", **more: Any) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}, **more}


def calling(*calls: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": None, "tool_calls": list(calls), **more}


def result(call_id: str, content: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def called(message: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return the names and the parsed arguments of a message's calls."""
    functions = [item["function"] for item in message.get("tool_calls", ())]
    return [(function["name"], json.loads(function["arguments"])) for function in functions]


def answered(message: dict[str, Any], *results: str) -> list[dict[str, Any]]:
    """Return a message with calls, and the results of these."""
    ids = [item["id"] for item in message["tool_calls"]]
    return [message, *(result(call_id, content) for call_id, content in zip(ids, results, strict=True))]


# Calls, and what is said of their results


@pytest.mark.parametrize(
    ("question", "cities", "said"),
    [(PARIS_TOKYO, ["Paris", "Tokyo"], "The tools answered:"), (BALI_DONGJING, ["巴黎", "東京"], "工具的回傳結果：")],
)
def test_two_cities_are_two_calls_and_their_results_one_text_in_the_questions_language(
    caller: Caller, question: str, cities: list[str], said: str
) -> None:
    asked = user(question)
    message = caller.message([asked], tools=[WEATHER])
    assert message["content"] is None
    assert called(message) == [("get_weather", {"city": city}) for city in cities]
    rows = [json.dumps({"city": cities[0], "temperature": 18, "unit": "celsius", "sky": "clear"}), "21 °C"]
    final = caller.message([asked, *answered(message, *rows)], tools=[WEATHER])
    assert "tool_calls" not in final
    assert final["content"].startswith("**" + ("Offline demo" if question.isascii() else "離線示範"))
    assert f"{said}\n\n- {cities[0]}: 18 °C, sky clear\n- {cities[1]}: 21 °C" in final["content"]


def test_a_call_is_streamed_as_openai_does_and_is_the_same_as_whole(caller: Caller) -> None:
    events = caller.events(PARIS_TOKYO, tools=[WEATHER])
    first, *_, finish, usage, done = events
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": None}
    assert (finish["choices"][0]["delta"], finish["choices"][0]["finish_reason"]) == ({}, "tool_calls")
    assert done == "[DONE]"
    message = caller.completion(PARIS_TOKYO, tools=[WEATHER])
    assert message["choices"][0]["finish_reason"] == "tool_calls"
    calls = [
        (item["id"], item["function"]["name"], item["function"]["arguments"])
        for item in message["choices"][0]["message"]["tool_calls"]
    ]
    assert joined_calls(events) == calls
    assert len(deltas(events, "tool_calls")) > 2 * len(calls)
    assert usage["usage"] == message["usage"]
    assert usage["usage"]["completion_tokens"] == sum(tokens(name) + tokens(text) for _, name, text in calls)
    assert usage["usage"]["prompt_tokens"] == tokens(PARIS_TOKYO) + tokens(json.dumps([WEATHER]))


def test_openais_client_reads_the_calls_and_their_results(sdk: openai.OpenAI) -> None:
    messages: list[Any] = [user(PARIS_TOKYO)]
    with sdk.chat.completions.stream(model=PLAIN, messages=messages, tools=[strict(WEATHER)]) as stream:
        message = stream.get_final_completion().choices[0].message
    assert message.tool_calls
    parsed = [call.function.parsed_arguments for call in message.tool_calls]
    assert parsed == [{"city": "Paris", "unit": "celsius"}, {"city": "Tokyo", "unit": "celsius"}]
    messages.append(message.model_dump(include={"role", "content", "tool_calls"}))
    for item in messages[-1]["tool_calls"]:
        item["function"].pop("parsed_arguments")
    messages += [result(item.id, "18 °C") for item in message.tool_calls]
    completion = sdk.chat.completions.create(model=PLAIN, messages=messages, tools=[WEATHER])
    assert "- Tokyo: 18 °C" in (completion.choices[0].message.content or "")


def strict(offered: dict[str, Any]) -> Any:
    """Return a tool in OpenAI's strict form: every parameter required, no others."""
    function = offered["function"]
    parameters = function["parameters"]
    closed = {**parameters, "required": list(parameters["properties"]), "additionalProperties": False}
    return {**offered, "function": {**function, "strict": True, "parameters": closed}}


@pytest.mark.parametrize(
    ("question", "offered", "expected"),
    [
        ("weather in paris and tokyo today?", WEATHER, [{"city": "paris"}, {"city": "tokyo"}]),
        ("Weather in San Francisco, CA in Fahrenheit", WEATHER, [{"city": "San Francisco, CA", "unit": "fahrenheit"}]),
        ("Paris 和 Rio de Janeiro 的天氣", WEATHER, [{"city": "Paris"}, {"city": "Rio de Janeiro"}]),
        ("查一下「新北市」現在幾度", WEATHER, [{"city": "新北市"}]),
        ("請問高雄的氣象？", WEATHER_CHINESE, [{"city": "高雄"}]),
        ("Call get_weather", WEATHER, [{"city": "Taipei"}]),
        ("Sunny days ahead? The weather in London", WEATHER, [{"city": "London"}]),
        ("Paris weather now", WEATHER, [{"city": "Paris"}]),
        ("Add 3 and -4.5", ADD, [{"a": 3, "b": -4.5}]),
        ("Which numbers?", ADD, [{"a": 1, "b": 1}]),
        ("The mean of 1, 2 and 3?", tool("mean", numbers=LIST | {"items": NUMBER}), [{"numbers": [1, 2, 3]}]),
        ("Weather of 'Oslo' and 'Rome'", tool("weather", cities=LIST), [{"cities": ["Oslo", "Rome"]}]),
        (
            "Book a flight from Taipei to Osaka for 2",
            tool("book", origin=TEXT, destination=TEXT, seats=INTEGER),
            [{"origin": "Taipei", "destination": "Osaka", "seats": 2}],
        ),
        ("search cats", tool("search", query=TEXT, all={"type": "boolean"}), [{"query": "search cats", "all": True}]),
        ("Forecast of Oslo", tool("forecast", "", (), city=TEXT, days=INTEGER, hours=INTEGER), [{"city": "Oslo"}]),
        ("The forecast for 5 days", tool("forecast", "", (), city=TEXT, days=INTEGER, hours=INTEGER), [{"days": 5}]),
        ("a ping, please", {"type": "function", "function": {"name": "ping"}}, [{}]),
        ("Hello", WEATHER, []),
    ],
)
def test_the_question_decides_what_is_called_and_with_what(
    caller: Caller, question: str, offered: dict[str, Any], expected: list[Any]
) -> None:
    message = caller.message([user(question)], tools=[tool("zzz"), offered])
    assert called(message) == [(offered["function"]["name"], arguments) for arguments in expected]
    if not expected:
        assert "Tools offered: `zzz`, `get_weather`." in message["content"]


def test_weather_and_time_are_two_tools(caller: Caller) -> None:
    message = caller.message([user("The weather and the time in Oslo")], tools=[ADD, WEATHER, TIME])
    assert called(message) == [("get_weather", {"city": "Oslo"}), ("get_time", {"zone": "Oslo"})]


def test_without_parallel_calls_they_come_one_after_the_other(caller: Caller) -> None:
    messages = [user(PARIS_TOKYO)]
    cities = []
    for _ in range(2):
        message = caller.message(messages, tools=[WEATHER], parallel_tool_calls=False)
        [(_, arguments)] = called(message)
        cities.append(arguments["city"])
        messages += answered(message, "18 °C")
    assert cities == ["Paris", "Tokyo"]
    final = caller.message(messages, tools=[WEATHER], parallel_tool_calls=False)
    assert "- Paris: 18 °C\n- Tokyo: 18 °C" in final["content"]


def test_each_turn_has_its_own_calls_under_new_ids(caller: Caller) -> None:
    messages = [user("Weather in Oslo?")]
    messages += answered(caller.message(messages, tools=[WEATHER]), "3 °C")
    messages += [caller.message(messages, tools=[WEATHER]), user("And the weather in Rome?")]
    message = caller.message(messages, tools=[WEATHER])
    assert called(message) == [("get_weather", {"city": "Rome"})]
    assert message["tool_calls"][0]["id"] != messages[1]["tool_calls"][0]["id"]
    final = caller.message([*messages, *answered(message, "20 °C")], tools=[WEATHER])["content"]
    assert "- Rome: 20 °C" in final
    assert "- Oslo" not in final
    assert '| 2 | assistant | `get_weather({"city": "Oslo"})` |\n| 3 | tool | `3 °C` |' in final


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"celsius": 3, "unit": "F"}', "3 °F"),
        ('{"city": "Oslo"}', '`{"city": "Oslo"}`'),
        ('{"wind": {"from": "N"}, "dry": true}', '`wind {"from": "N"}, dry true`'),
        ("**bold** `code` <b>", "`**bold** ˋcodeˋ <b>`"),
        ("", "–"),
        ("word " * 100, "word " * 39 + "word…"),
        ("[1, 2]", "`[1, 2]`"),
    ],
)
def test_a_result_is_told_in_words_that_are_no_markup(caller: Caller, content: str, said: str) -> None:
    messages = [user("Weather?"), calling(call("a", arguments='{"city": "Oslo"}')), result("a", content)]
    assert caller.message(messages)["content"].endswith(f"\n- Oslo: {said}")


def test_a_call_without_a_text_or_with_broken_arguments_is_named_as_it_is(caller: Caller) -> None:
    broken = call("b", "add", "{")
    messages = [user("3 + 4"), calling(call("a", "add", '{"a": 3}'), broken), result("a", "7"), result("b", "no")]
    assert caller.message(messages)["content"].endswith('\n- `add({"a": 3})`: 7\n- `add({)`: no')


# tool_choice


def test_none_calls_nothing(caller: Caller) -> None:
    assert "tool_calls" not in caller.message([user(PARIS_TOKYO)], tools=[WEATHER], tool_choice="none")


def test_auto_is_the_default(caller: Caller) -> None:
    asked = [user(PARIS_TOKYO)]
    assert caller.message(asked, tools=[WEATHER], tool_choice="auto") == caller.message(asked, tools=[WEATHER])


@pytest.mark.parametrize(
    ("choice", "name"),
    [("required", "get_time"), ({"type": "function", "function": {"name": "get_weather"}}, "get_weather")],
)
def test_a_demanded_call_comes_whatever_the_question_and_again_after_its_result(
    caller: Caller, choice: Any, name: str
) -> None:
    messages: list[Any] = [user("Hello")]
    for _ in range(2):
        message = caller.message(messages, tools=[TIME, WEATHER], tool_choice=choice)
        assert [called_name for called_name, _ in called(message)] == [name]
        messages += answered(message, "12:00")
    ids = [item["id"] for entry in messages for item in entry.get("tool_calls", ())]
    assert len(set(ids)) == 2


def test_a_demanded_call_without_any_question_is_made(caller: Caller) -> None:
    message = caller.message([{"role": "system", "content": "x"}], tools=[TIME], tool_choice="required")
    assert called(message) == [("get_time", {"zone": "demo"})]


# What families do with tools


@pytest.mark.parametrize("model", [model for model in MODELS if model != "deepseek-r1"])  # which takes no tools
def test_every_model_goes_round_with_its_own_message_sent_back_verbatim(caller: Caller, model: str) -> None:
    messages = [user(PARIS_TOKYO)]
    message = caller.message(messages, model=model, tools=[WEATHER])
    final = caller.message([*messages, *answered(message, "1 °C", "2 °C")], model=model, tools=[WEATHER])
    assert "- Paris: 1 °C\n- Tokyo: 2 °C" in final["content"]


@pytest.mark.parametrize("model", ["kimi-k2.5", "glm-5"])
def test_reasoning_comes_before_the_calls(caller: Caller, model: str) -> None:
    events = caller.events(PARIS_TOKYO, model=model, tools=[WEATHER])
    kinds = [next(iter(event["choices"][0]["delta"])) for event in events[1:-3]]
    assert list(dict.fromkeys(kinds)) == ["reasoning_content", "tool_calls"]
    assert caller.message([user(PARIS_TOKYO)], model=model, tools=[WEATHER])["reasoning_content"]


def test_kimi_wants_the_reasoning_of_its_calls_back(caller: Caller) -> None:
    messages = [user("Hi"), calling(call("a")), result("a", "1"), {"role": "assistant", "content": "x"}, user("Hi")]
    response = caller.ask(messages, model="kimi-k2.5")
    assert response.status_code == 400
    assert "reasoning_content is missing in assistant tool call message at index 1" in response.text
    assert caller.ask(messages, model="kimi-k2.5", thinking={"type": "disabled"}).status_code == 200
    messages[1]["reasoning_content"] = ""
    assert caller.ask(messages, model="kimi-k2.5").status_code == 200


def test_gemini_signs_the_first_call_and_wants_the_signature_back(caller: Caller) -> None:
    model = "gemini-3-pro-preview"
    first, second = caller.message([user(PARIS_TOKYO)], model=model, tools=[WEATHER])["tool_calls"]
    assert first["extra_content"]["google"]["thought_signature"]
    assert "extra_content" not in second
    streamed = deltas(caller.events(PARIS_TOKYO, model=model, tools=[WEATHER]), "tool_calls")
    assert [part["extra_content"] for [part] in streamed if "extra_content" in part] == [first["extra_content"]]

    turn = [user(PARIS_TOKYO), calling(call("a")), result("a", "1 °C")]
    response = caller.ask(turn, model=model, tools=[WEATHER])
    assert response.status_code == 400
    assert "missing a thought_signature" in response.json()["error"]["message"]
    earlier = [*turn, {"role": "assistant", "content": "1 °C"}, user("Hello")]
    assert (
        caller.ask(earlier, model=model, tools=[WEATHER]).status_code == 200
    )  # an earlier turn may be another model's


def test_a_model_that_is_told_not_to_think_shows_no_reasoning(caller: Caller) -> None:
    message = caller.message([user(PARIS_TOKYO)], model="kimi-k2.5", tools=[WEATHER], thinking={"type": "disabled"})
    assert message["tool_calls"]
    assert "reasoning_content" not in message


# Limits and faults


def test_a_token_limit_cuts_the_calls(caller: Caller) -> None:
    def limited(limit: int) -> dict[str, Any]:
        choice: dict[str, Any] = caller.completion(PARIS_TOKYO, tools=[WEATHER], max_tokens=limit)["choices"][0]
        return choice

    full = limited(999)["message"]["tool_calls"]
    assert limited(999)["finish_reason"] == "tool_calls"
    one = limited(5)
    assert one["finish_reason"] == "length"
    assert [item["function"]["arguments"] for item in one["message"]["tool_calls"]] == ['{"city":']
    assert full[0]["function"]["arguments"].startswith('{"city":')
    assert len(limited(tokens("get_weather") + 5 + tokens("get_weather") + 1)["message"]["tool_calls"]) == 2
    assert limited(2) == {"index": 0, "message": {"role": "assistant", "content": ""}, "finish_reason": "length"}


def test_an_answer_that_ends_badly_does_so_in_its_calls_too(caller: Caller) -> None:
    length = caller.completion(PARIS_TOKYO, model="demo-error-length", tools=[WEATHER])["choices"][0]
    assert length["finish_reason"] == "length"
    assert [item["function"]["arguments"] for item in length["message"]["tool_calls"]] == ['{"city":', '{"city":']
    assert "tool_calls" not in caller.message([user(PARIS_TOKYO)], model="demo-error-empty", tools=[WEATHER])
    messages = [user(PARIS_TOKYO)]
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        caller.ask(messages, model="demo-error-cut", tools=[WEATHER], stream=True)


@pytest.mark.parametrize(
    ("model", "indexes", "finish"),
    [
        ("demo-error-tool-zero", [0, 0], "tool_calls"),
        ("demo-error-tool-index", [None, None], "tool_calls"),
        ("demo-error-tool-object", [0, 1], "tool_calls"),
    ],
)
def test_calls_can_come_whole_under_indexes_that_do_not_tell_them_apart(
    caller: Caller, model: str, indexes: list[Any], finish: str
) -> None:
    events = caller.events(PARIS_TOKYO, model=model, tools=[WEATHER])
    parts = [part for [part] in deltas(events, "tool_calls")]
    assert [part.get("index") for part in parts] == indexes
    cities = [{"city": "Paris"}, {"city": "Tokyo"}]
    as_object = model == "demo-error-tool-object"
    expected = cities if as_object else [json.dumps(city) for city in cities]
    assert [part["function"]["arguments"] for part in parts] == expected
    assert len({part["id"] for part in parts}) == 2
    assert events[-3]["choices"][0]["finish_reason"] == finish


def test_calls_can_be_wrong(caller: Caller) -> None:
    def first(model: str, **params: Any) -> tuple[str, Any]:
        choice = caller.completion(PARIS_TOKYO, model=model, tools=[WEATHER], **params)["choices"][0]
        return choice["finish_reason"], choice["message"]["tool_calls"][0]["function"]

    assert first("demo-error-tool-json") == ("tool_calls", {"name": "get_weather", "arguments": '{"city":'})
    assert first("demo-error-tool-name") == ("tool_calls", {"name": "no_such_tool", "arguments": '{"city": "Paris"}'})
    assert first("demo-error-tool-stop") == ("stop", {"name": "get_weather", "arguments": '{"city": "Paris"}'})
    assert first("demo-error-tool-object", max_tokens=5) == ("length", {"name": "get_weather", "arguments": '{"city":'})


def test_calls_can_go_on_for_ever(caller: Caller) -> None:
    messages = [user(PARIS_TOKYO)]
    for _ in range(5):
        message = caller.message(messages, model="demo-error-tool-again", tools=[WEATHER])
        messages += answered(message, *["1 °C"] * len(message["tool_calls"]))
    assert called(message) == [("get_weather", {"city": "Paris"})]
    assert "tool_calls" not in caller.message([user(PARIS_TOKYO)], model="demo-error-tool-again")


# What is refused

MISSING = "missing_required_parameter"
BAD_SCHEMA = "invalid_function_parameters"


def function(**parts: Any) -> dict[str, Any]:
    return {"type": "function", "function": parts}


def refused(caller: Caller, messages: list[Any], **params: Any) -> dict[str, Any]:
    response = caller.ask(messages, **params)
    assert response.status_code == 400, response.text
    error: dict[str, Any] = response.json()["error"]
    assert error["type"] in {"invalid_request_error", "mixroute_error"}
    return error


@pytest.mark.parametrize(
    ("messages", "param", "message"),
    [
        ([result("a", "1")], "messages.[0].role", "must be a response to a preceeding message with 'tool_calls'"),
        ([user("x"), result("a", "1")], "messages.[1].role", "must be a response to a preceeding message"),
        ([calling(call("a")), result("b", "1")], "messages.[1].tool_call_id", "'tool_call_id' of 'b' not found"),
        ([calling(call("a")), result("a", "1"), result("a", "1")], "messages.[2].tool_call_id", "'a' not found"),
        ([calling(call("a"), call("b")), result("b", "1")], "messages.[2].role", "did not have response messages: a"),
        ([calling(call("a")), user("x")], "messages.[1].role", "must be followed by tool messages"),
        ([calling(call("a"), call("a"))], "messages.[0].tool_calls", "Duplicate id"),
        ([calling()], "messages[0].tool_calls", "empty array"),
        ([{**user("x"), "tool_calls": [call("a")]}], "messages[0].tool_calls", "not allowed in a message with role"),
        ([{**calling(), "tool_calls": {}}], "messages[0].tool_calls", "expected an array of objects"),
        ([calling("a")], "messages[0].tool_calls[0]", "expected an object, but got a string"),
        ([calling({"id": "a", "type": "function"})], "messages[0].tool_calls[0].function", "Missing required"),
        ([calling({**call("a"), "type": "x"})], "messages[0].tool_calls[0].type", "Missing required"),
        ([calling(call(""))], "messages[0].tool_calls[0].id", "Missing required"),
        ([calling(call("a", "x y"))], "messages[0].tool_calls[0].function.name", "does not match pattern"),
        ([calling(call("a", arguments=None))], "messages[0].tool_calls[0].function.arguments", "but got null"),  # type: ignore[arg-type]
        ([calling(call("a")), {"role": "tool", "content": "1"}], "messages[1].tool_call_id", "Missing required"),
        ([{"role": "assistant", "content": None}], "messages", "must be text"),
    ],
)  # fmt: skip
def test_a_history_that_does_not_hold_together_is_refused(
    caller: Caller, messages: list[Any], param: str, message: str
) -> None:
    error = refused(caller, messages)
    assert error["param"] == param
    assert message in error["message"]


@pytest.mark.parametrize(
    ("params", "param", "code"),
    [
        ({"tools": {}}, "tools", "invalid_type"),
        ({"tools": []}, "tools", "empty_array"),
        ({"tools": ["x"]}, "tools[0]", "invalid_type"),
        ({"tools": [{"function": {}}]}, "tools[0].type", MISSING),
        ({"tools": [{"type": "custom"}]}, "tools[0].type", "invalid_value"),
        ({"tools": [{"type": "function"}]}, "tools[0].function", MISSING),
        ({"tools": [{"type": "function", "function": []}]}, "tools[0].function", "invalid_type"),
        ({"tools": [function()]}, "tools[0].function.name", MISSING),
        ({"tools": [tool("get weather")]}, "tools[0].function.name", "invalid_value"),
        ({"tools": [tool("")]}, "tools[0].function.name", "invalid_value"),
        ({"tools": [tool("天氣")]}, "tools[0].function.name", "invalid_value"),
        ({"tools": [tool("x" * 65)]}, "tools[0].function.name", "string_above_max_length"),
        ({"tools": [tool("x", 3)]}, "tools[0].function.description", "invalid_type"),  # type: ignore[arg-type]
        ({"tools": [WEATHER, function(name="x", parameters=TEXT)]}, "tools[1].function.parameters", BAD_SCHEMA),
        ({"tools": [function(**WEATHER["function"], strict=True)]}, "tools[0].function.parameters", BAD_SCHEMA),
        ({"tool_choice": "auto"}, "tool_choice", ""),
        ({"parallel_tool_calls": True}, "parallel_tool_calls", ""),
        ({"tools": [WEATHER], "parallel_tool_calls": "no"}, "parallel_tool_calls", "invalid_type"),
        ({"tools": [WEATHER], "tool_choice": "get_weather"}, "tool_choice", "invalid_value"),
        ({"tools": [WEATHER], "tool_choice": 1}, "tool_choice", "invalid_type"),
        ({"tools": [WEATHER], "tool_choice": {"type": "tool"}}, "tool_choice.type", "invalid_value"),
        ({"tools": [WEATHER], "tool_choice": {"type": "function"}}, "tool_choice.function", MISSING),
        ({"tools": [WEATHER], "tool_choice": function(name="x")}, "tool_choice", ""),
    ],
)  # fmt: skip
def test_an_offer_of_tools_that_is_not_one_is_refused(
    caller: Caller, params: dict[str, Any], param: str, code: str
) -> None:
    error = refused(caller, [user("Hello")], **params)
    assert (error["param"], error["code"]) == (param, code)


def test_openais_client_takes_a_refusal_for_a_bad_request(sdk: openai.OpenAI) -> None:
    import openai

    with pytest.raises(openai.BadRequestError, match="must be followed by tool messages") as caught:
        sdk.chat.completions.create(model=PLAIN, messages=[calling(call("a"))])  # type: ignore[list-item]
    assert caught.value.param == "messages.[1].role"
