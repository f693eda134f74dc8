"""The offline demo gateway, over real sockets."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
import requests
from callers import PLAIN, Caller, deltas, read_event, tokens
from hypothesis import given
from hypothesis import strategies as st

import mixroute_magic.demo
from mixroute_magic.demo import MODELS, DemoGateway
from mixroute_magic.demo.completion import Completion
from mixroute_magic.demo.protocol import Ending, count_tokens, first_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator

REASONING_SHOWN = ("deepseek-r1", "glm-5", "kimi-k2.5", "doubao-seed-1-8-251228")


@pytest.fixture(scope="module")
def gateway() -> Iterator[DemoGateway]:
    with DemoGateway.start(pace=0) as gateway:
        yield gateway


@pytest.fixture
def caller(gateway: DemoGateway) -> Iterator[Caller]:
    caller = Caller(gateway.base_url)
    yield caller
    caller.session.close()


# The list of models


def test_models_are_those_of_the_reference_then_the_failing_ones(caller: Caller) -> None:
    listed = caller.session.get(f"{caller.base_url}/models?limit=5").json()
    names = [model["id"] for model in listed["data"]]
    assert listed["success"] is True
    assert listed["object"] == "list"
    assert tuple(names[: len(MODELS)]) == MODELS
    assert all(name.startswith("demo-error-") for name in names[len(MODELS) :])
    assert {"id", "object", "created", "owned_by"} <= set(listed["data"][0])


def test_every_model_of_the_reference_answers(caller: Caller) -> None:
    for model in MODELS:
        completion = caller.completion("Hello", model=model)
        assert completion["model"] == model
        assert f"`{model}`" in completion["choices"][0]["message"]["content"]


# Completions, whole and streamed


def test_a_stream_is_role_text_finish_usage_done(caller: Caller) -> None:
    *chunks, finish, usage, done = caller.events("Hello")
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert all(chunk["choices"][0]["finish_reason"] is None for chunk in chunks)
    assert finish["choices"][0] == {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}
    assert usage["choices"] == []
    assert usage["usage"]["total_tokens"] > 0
    assert done == "[DONE]"
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in chunks}) == 1


@pytest.mark.parametrize("question", ["Write Python code", "寫一段 Python 程式"])
def test_the_deltas_are_small_and_add_up_to_the_whole_answer(caller: Caller, question: str) -> None:
    pieces = deltas(caller.events(question), "content")
    assert "".join(pieces) == caller.answer(question)
    assert max(len(piece.strip()) for piece in pieces) <= 8


def test_the_same_request_gets_the_same_answer_under_another_id(caller: Caller) -> None:
    one, other = caller.completion("Hello"), caller.completion("Hello")
    assert one["choices"] == other["choices"]
    assert one["id"] != other["id"]


def test_usage_is_counted_from_what_came_in_and_went_out(caller: Caller) -> None:
    completion = caller.completion("My name is Ada.", "繁體中文")
    usage = completion["usage"]
    assert usage["prompt_tokens"] == tokens("My name is Ada.") + tokens("繁體中文")
    assert usage["completion_tokens"] == tokens(completion["choices"][0]["message"]["content"])
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert caller.events("My name is Ada.", "繁體中文")[-2]["usage"] == usage


def test_usage_in_a_stream_can_be_declined(caller: Caller) -> None:
    events = caller.events("Hello", stream_options={"include_usage": False})
    assert not any("usage" in event for event in events)
    assert caller.events("Hello", stream_options={"include_usage": True})[-2]["usage"]


def test_every_response_carries_the_marks_of_the_demo(caller: Caller) -> None:
    responses = [
        caller.post("Hello"),
        caller.post("Hello", stream=True),
        caller.post("Hello", model="demo-error-html"),
        caller.session.get(f"{caller.base_url}/models"),
        caller.session.put(f"{caller.base_url}/models"),
    ]
    assert [response.headers["x-mixroute-demo"] for response in responses] == ["true"] * 5
    assert len({response.headers["x-oneapi-request-id"] for response in responses}) == 5


def test_any_key_or_none_will_do(caller: Caller) -> None:
    caller.session.headers["Authorization"] = "Bearer sk-test"
    assert "Offline demo" in caller.answer("Hello")


def test_one_connection_serves_streams_errors_and_lists(gateway: DemoGateway) -> None:
    connection = http.client.HTTPConnection(gateway.base_url.split("/")[2])
    body = json.dumps({"model": PLAIN, "messages": [{"role": "user", "content": "Hello"}], "stream": True})
    connection.connect()
    first = connection.sock
    for method, path in [("POST", "/v1/chat/completions"), ("POST", "/v1/other"), ("GET", "/v1/models")]:
        connection.request(method, path, body)
        connection.getresponse().read()
        assert connection.sock is first
    connection.close()


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
def test_a_token_limit_cuts_the_answer(caller: Caller, limit: str) -> None:
    full = caller.answer("你好")
    completion = caller.completion("你好", **{limit: 10})
    text = completion["choices"][0]["message"]["content"]
    assert completion["choices"][0]["finish_reason"] == "length"
    assert completion["usage"]["completion_tokens"] == 10
    assert full.startswith(text)
    assert "\ufffd" not in text


def test_a_limit_that_is_not_reached_changes_nothing(caller: Caller) -> None:
    assert caller.completion("Hello", max_tokens=9999)["choices"][0]["finish_reason"] == "stop"


def test_half_a_surrogate_pair_is_survived(caller: Caller) -> None:
    body = rb'{"model": "gpt-4o", "messages": [{"role": "user", "content": "My name is Ada\ud800"}]}'
    response = caller.post_body(body)
    assert response.status_code == 200
    assert "`My name is Ada`" in response.json()["choices"][0]["message"]["content"]


@given(text=st.text(), limit=st.integers(min_value=0, max_value=40))
def test_deltas_lose_nothing_and_limits_hold(text: str, limit: int) -> None:
    completion = Completion("id", PLAIN, 0, text, "", 0, Ending())
    assert "".join(delta["content"] for delta in completion.deltas()) == text
    assert count_tokens(first_tokens(text, limit)) <= limit
    assert text.startswith(first_tokens(text, limit))


# Reasoning


@pytest.mark.parametrize("model", REASONING_SHOWN)
def test_shown_reasoning_comes_before_the_answer(caller: Caller, model: str) -> None:
    events = caller.events("Hello", model=model)
    kinds = [next(iter(event["choices"][0]["delta"])) for event in events[1:-3]]
    assert kinds == sorted(kinds, reverse=True)
    assert set(kinds) == {"reasoning_content", "content"}
    message = caller.completion("Hello", model=model)["choices"][0]["message"]
    reasoning = "".join(deltas(events, "reasoning_content"))
    assert message["reasoning_content"] == reasoning
    assert events[-2]["usage"]["completion_tokens_details"]["reasoning_tokens"] == tokens(reasoning)


@pytest.mark.parametrize("model", ["o3-mini", "o4-mini"])
def test_hidden_reasoning_is_only_counted(caller: Caller, model: str) -> None:
    completion = caller.completion("Hello", model=model)
    message, usage = completion["choices"][0]["message"], completion["usage"]
    reasoning = usage["completion_tokens_details"]["reasoning_tokens"]
    assert "reasoning_content" not in message
    assert reasoning > 0
    assert usage["completion_tokens"] == reasoning + tokens(message["content"])


def test_a_small_limit_is_spent_on_reasoning_alone(caller: Caller) -> None:
    completion = caller.completion("Hello", model="o3-mini", max_completion_tokens=5)
    assert completion["choices"][0] == {
        "index": 0,
        "message": {"role": "assistant", "content": ""},
        "finish_reason": "length",
    }
    assert completion["usage"]["completion_tokens_details"]["reasoning_tokens"] == 5


# Requests that are not accepted

MESSAGES = [{"role": "user", "content": "Hello"}]


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"{", "bad_request_body", ""),
        (b"\xff\xfe\xfd", "bad_request_body", ""),
        (b"[" * 100_000, "bad_request_body", ""),
        (b"[]", "bad_request_body", ""),
        ({"messages": MESSAGES}, "invalid_request", "model"),
        ({"model": PLAIN}, "invalid_request", "messages"),
        ({"model": PLAIN, "messages": []}, "invalid_request", "messages"),
        ({"model": PLAIN, "messages": ["Hello"]}, "invalid_request", "messages"),
        ({"model": PLAIN, "messages": [{"role": "developer", "content": ""}]}, "invalid_request", "messages"),
        ({"model": PLAIN, "messages": [{"role": "user", "content": 1}]}, "invalid_request", "messages"),
        ({"model": PLAIN, "messages": MESSAGES, "temperature": 2.1}, "invalid_request", "temperature"),
        ({"model": PLAIN, "messages": MESSAGES, "temperature": -1}, "invalid_request", "temperature"),
        ({"model": PLAIN, "messages": MESSAGES, "temperature": True}, "invalid_request", "temperature"),
        ({"model": PLAIN, "messages": MESSAGES, "max_tokens": 0}, "invalid_request", "max_tokens"),
        ({"model": PLAIN, "messages": MESSAGES, "max_tokens": "9"}, "invalid_request", "max_tokens"),
    ],
)
def test_a_bad_request_is_a_400_that_names_the_parameter(caller: Caller, body: Any, code: str, param: str) -> None:
    response = caller.post_body(body)
    error = response.json()["error"]
    assert response.status_code == 400
    assert (error["code"], error["param"], error["type"]) == (code, param, "mixroute_error")
    assert error["message"].endswith(f"(request id: {response.headers['x-oneapi-request-id']})")


def test_a_body_of_unknown_length_is_refused_and_the_connection_closed(caller: Caller) -> None:
    response = caller.session.post(f"{caller.base_url}/chat/completions", data=iter([b"{}"]))
    assert response.status_code == 400


@pytest.mark.parametrize(
    ("model", "params", "code", "param"),
    [
        ("o3-mini", {"max_tokens": 5}, "unsupported_parameter", "max_tokens"),
        ("o4-mini", {"temperature": 0.5}, "unsupported_value", "temperature"),
        ("kimi-k2.5", {"temperature": 0.5}, "", ""),  # Kimi names the parameter only in its words
        ("claude-opus-4-6", {"temperature": 1.5}, "", "temperature"),
        ("claude-sonnet-4-5-20250929", {"temperature": 1, "top_p": 0.5}, "", ""),
    ],
)
def test_a_family_refuses_what_it_does_not_take(
    caller: Caller, model: str, params: dict[str, Any], code: str, param: str
) -> None:
    response = caller.post("Hello", model=model, **params)
    error = response.json()["error"]
    assert response.status_code == 400
    assert (error["code"], error["param"], error["type"]) == (code, param, "invalid_request_error")


@pytest.mark.parametrize(
    ("model", "params"),
    [
        ("o4-mini", {"max_completion_tokens": 500, "temperature": 1}),
        ("kimi-k2.5", {"temperature": 1, "max_tokens": 500}),
        ("claude-opus-4-6", {"temperature": 0.5}),
        ("claude-opus-4-6", {"top_p": 0.5}),
        (PLAIN, {"temperature": 2, "max_tokens": None}),
    ],
)
def test_a_family_accepts_what_it_takes(caller: Caller, model: str, params: dict[str, Any]) -> None:
    assert caller.post("Hello", model=model, **params).status_code == 200


def test_an_unknown_model_has_no_channel(caller: Caller) -> None:
    response = caller.post("Hello", model="glm-55")
    error = response.json()["error"]
    assert response.status_code == 503
    assert error["code"] == "model_not_found"
    assert error["type"] == "mixroute_error"
    assert "glm-55" in error["message"]


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/model"), ("POST", "/chat/completions")])
def test_another_path_is_an_invalid_url(caller: Caller, method: str, path: str) -> None:
    response = caller.session.request(method, caller.base_url.removesuffix("/v1") + path)
    assert response.status_code == 404
    assert response.json()["error"]["message"].startswith(f"Invalid URL ({method} {path})")


# Models that fail on purpose


@pytest.mark.parametrize(
    ("model", "status", "code"),
    [
        ("demo-error-401", 401, ""),
        ("demo-error-403-quota", 403, "insufficient_user_quota"),
        ("demo-error-404", 404, "model_not_found"),
        ("demo-error-429-quota", 429, "insufficient_quota"),
        ("demo-error-500", 500, "do_request_failed"),
        ("demo-error-503", 503, "model_not_found"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_failing_model_shows_its_error(caller: Caller, model: str, status: int, code: str, *, stream: bool) -> None:
    response = caller.post("Hello", model=model, stream=stream)
    assert response.status_code == status
    assert response.json()["error"]["code"] == code
    assert "Retry-After" not in response.headers


def test_the_rate_limited_model_answers_at_every_second_try_of_a_conversation(caller: Caller) -> None:
    tries = [caller.post(question, model="demo-error-429") for question in ("One", "Two", "One", "Two", "One")]
    assert [response.status_code for response in tries] == [429, 429, 200, 200, 429]
    assert tries[0].headers["Retry-After"] == "1"


def test_a_proxy_in_between_answers_in_html(caller: Caller) -> None:
    response = caller.post("Hello", model="demo-error-html")
    assert response.status_code == 502
    assert response.headers["Content-Type"] == "text/html"
    assert "<title>502 Bad Gateway</title>" in response.text


def test_a_cut_stream_ends_in_the_middle_of_its_text(caller: Caller) -> None:
    arrived = b""
    messages = [{"role": "user", "content": "Hello"}]
    body = {"model": "demo-error-cut", "messages": messages, "stream": True}
    with (
        caller.session.post(f"{caller.base_url}/chat/completions", json=body, stream=True) as response,
        pytest.raises(requests.exceptions.ChunkedEncodingError),
    ):
        for piece in response.iter_content(None):
            arrived += piece
    events = [read_event(frame) for frame in arrived.decode().split("\n\n")[:-1]]
    text = "".join(deltas(events, "content"))
    assert text
    assert caller.answer("Hello").replace(PLAIN, "demo-error-cut").startswith(text)
    assert all(event["choices"][0]["finish_reason"] is None for event in events)


def test_a_cut_answer_that_is_not_streamed_never_comes(caller: Caller) -> None:
    with pytest.raises(requests.ConnectionError):
        caller.post("Hello", model="demo-error-cut")


@pytest.mark.parametrize(
    ("model", "finish_reason"), [("demo-error-length", "length"), ("demo-error-filter", "content_filter")]
)
def test_an_answer_can_end_for_another_reason(caller: Caller, model: str, finish_reason: str) -> None:
    events = caller.events("Hello", model=model)
    assert events[-3]["choices"][0]["finish_reason"] == finish_reason
    assert 0 < len("".join(deltas(events, "content"))) < len(caller.answer("Hello"))


def test_an_answer_can_be_empty(caller: Caller) -> None:
    events = caller.events("Hello", model="demo-error-empty")
    assert deltas(events, "content") == [""]
    assert events[-2]["usage"]["completion_tokens"] == 0


def test_a_stream_can_fail_with_an_event(caller: Caller) -> None:
    *chunks, error, done = caller.events("Hello", model="demo-error-midstream")
    assert "".join(deltas(chunks, "content"))
    assert error["error"]["type"] == "upstream_error"
    assert done == "[DONE]"
    assert caller.post("Hello", model="demo-error-midstream").status_code == 500


# What it says


def test_an_answer_begins_by_saying_that_no_model_was_called(caller: Caller) -> None:
    assert caller.answer("Hello").startswith("**Offline demo: no model was called.** This one message is")
    assert caller.answer("你好").startswith("**離線示範：沒有呼叫任何模型。**")


def test_an_answer_shows_the_messages_and_the_parameters(caller: Caller) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "In parts"}]},
        {"role": "assistant", "content": ""},
        {"role": "user", "content": "word " * 100},
    ]
    body = {"model": PLAIN, "messages": messages, "temperature": 0.5, "stop": ["終"]}
    text = caller.post_body(body).json()["choices"][0]["message"]["content"]
    assert "These 4 messages" in text
    assert "| 1 | system | `Be brief.` |\n| 2 | user | `In parts` |\n| 3 | assistant | *(empty)* |" in text
    assert re.search(r"\| 4 \| user \| `(word )+wo…` \|", text)
    assert "The system prompt is: `Be brief.`" in text
    assert '`temperature` = `0.5`, `stop` = `["終"]`' in text
    assert "You set no parameters" in caller.answer("Hello")


def test_a_conversation_without_a_question_is_answered_too(caller: Caller) -> None:
    body = {"model": PLAIN, "messages": [{"role": "system", "content": "Be brief."}]}
    assert "Be brief." in caller.post_body(body).json()["choices"][0]["message"]["content"]


def test_a_long_conversation_shows_its_end(caller: Caller) -> None:
    text = caller.answer(*(f"Question {number}" for number in range(1, 31)))
    assert "These 30 messages" in text
    assert "18 earlier messages" in text
    assert "Question 18" not in text
    assert "| 19 | user | `Question 19` |" in text


def test_quoted_markup_stays_in_its_code_span(caller: Caller) -> None:
    text = caller.answer("a|b `c` \n <img src=x onerror=alert(1)> \x1b[31m")
    assert "| 1 | user | `a¦b ˋcˋ <img src=x onerror=alert(1)> [31m` |" in text


@pytest.mark.parametrize(
    ("given_in", "asked_in", "expected"),
    [
        ("My name is Ada.", "What is my name?", "**Ada**: message 1 "),
        ("Hi, my name is Ada Lovelace and I count.", "Do you remember my name?", "**Ada Lovelace**: message 1 "),
        ("我叫小明，請多指教", "我叫什麼名字？", "**小明**：第 1 則"),
        ("我的名字是 Ada。", "你記得我的名字嗎？", "**Ada**：第 1 則"),
        ("我叫什麼？", "What's my name?", "I do not know your name"),
        ("Hello", "我是誰？", "我不知道您的名字"),
    ],
)
def test_a_name_is_remembered_from_the_messages_alone(
    caller: Caller, given_in: str, asked_in: str, expected: str
) -> None:
    assert expected in caller.answer(given_in, asked_in)


def test_the_last_name_counts_and_is_welcomed(caller: Caller) -> None:
    assert "**Grace**: message 2 " in caller.answer("My name is Ada", "Remember: my name is Grace", "who am I")
    assert "Nice to meet you, **Ada**." in caller.answer("My name is Ada")
    assert "很高興認識您，**小明**。" in caller.answer("我叫小明")


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Show me a table", "| Earth | 6,371 | 1 |"),
        ("給我一個表格", "| 地球 | 6,371 | 1 |"),
        ("An equation, please", "$$\n\\int_{-\\infty}^{\\infty} e^{-x^2} \\, dx = \\sqrt{\\pi}\n$$"),
        ("寫一個數學公式", "鐘形曲線 $e^{-x^2}$"),
        ("用 Python 寫一個函式", '"""傳回費波那契數列的前幾項。"""'),
        ("What does 人工智慧 mean?", "A real model would answer"),
        ("什麼是人工智慧？", "真正的模型會在這裡回答"),
    ],
)
def test_the_answer_fits_the_question_and_its_language(caller: Caller, question: str, expected: str) -> None:
    assert expected in caller.answer(question)


def test_the_code_in_an_answer_runs(caller: Caller, capsys: pytest.CaptureFixture[str]) -> None:
    found = re.search(r"```python\n(.*?)```", caller.answer("Some code and a table"), re.DOTALL)
    assert found
    exec(found[1], {})
    assert capsys.readouterr().out == "[0, 1, 1, 2, 3, 5, 8, 13, 21, 34]\n"


def test_hostile_markup_comes_only_when_asked_for(caller: Caller) -> None:
    text = caller.answer("Send me hostile HTML")
    assert "<script>window.__mixroute_pwned = true</script>" in text
    assert '<img src=x onerror="window.__mixroute_pwned = true">' in text
    assert "[x](javascript:window.__mixroute_pwned=true)" in text
    assert "pwned" not in caller.answer("Send me HTML")


# Starting and stopping


def start_stream(gateway: DemoGateway) -> tuple[socket.socket, bytes]:
    """Ask for a stream and read until its first delta is there."""
    connection = socket.create_connection(("127.0.0.1", int(gateway.base_url.split(":")[2].removesuffix("/v1"))))
    body = json.dumps({"model": PLAIN, "messages": MESSAGES, "stream": True}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)
    connection.settimeout(30)
    arrived = b""
    while b'"content": "**' not in arrived:
        piece = connection.recv(4096)
        assert piece
        arrived += piece
    return connection, arrived


def test_at_a_realistic_pace_text_arrives_before_the_end_and_stopping_drops_the_rest() -> None:
    with DemoGateway.start() as gateway:
        connection, arrived = start_stream(gateway)
    with connection:
        while piece := connection.recv(4096):
            arrived += piece
    assert b"[DONE]" not in arrived


def test_a_stopped_gateway_is_gone_and_can_be_stopped_again() -> None:
    gateway = DemoGateway.start(pace=0)
    caller = Caller(gateway.base_url)
    assert caller.answer("Hello")
    gateway.stop()
    gateway.stop()
    with pytest.raises(requests.ConnectionError):
        caller.post("Hello")
    caller.session.close()


def test_a_client_that_goes_away_leaves_no_trace(capfd: pytest.CaptureFixture[str]) -> None:
    before = set(threading.enumerate())
    with DemoGateway.start() as gateway:
        connection, _ = start_stream(gateway)
        exchanges = {thread for thread in threading.enumerate() if "process_request" in thread.name} - before
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close with a reset
        connection.close()
        for exchange in exchanges:
            exchange.join(30)
        assert [exchange.is_alive() for exchange in exchanges] == [False]
        caller = Caller(gateway.base_url)
        assert caller.session.get(f"{gateway.base_url}/models").status_code == 200
        caller.session.close()
    assert capfd.readouterr() == ("", "")


def test_the_command_line_says_where_it_is_and_stops_cleanly() -> None:
    command = [sys.executable, "-m", "mixroute_magic.demo", "--pace", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            where, how = process.stdout.readline(), process.stdout.readline()
            found = re.search(r"http://127\.0\.0\.1:\d+/v1", where)
            assert found
            assert f"MIXROUTE_BASE_URL={found[0]} " in how
            caller = Caller(found[0])
            assert "Offline demo" in caller.answer("Hello")
            caller.session.close()
            process.send_signal(signal.SIGINT)
            assert process.communicate(timeout=30) == ("", "")
        finally:
            process.kill()
    assert process.returncode == 0


@pytest.mark.parametrize("port", ["taken", "99999"])
def test_the_command_line_says_when_it_cannot_listen(gateway: DemoGateway, port: str) -> None:
    if port == "taken":
        port = gateway.base_url.split(":")[2].removesuffix("/v1")
    command = [sys.executable, "-m", "mixroute_magic.demo", "--port", port]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert f"cannot listen on port {port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_package_is_light_until_a_gateway_starts_and_needs_the_standard_library_only() -> None:
    code = """if True:
        import sys
        import mixroute_magic
        before = set(sys.modules)
        import mixroute_magic.demo
        print("http.server" in sys.modules)
        mixroute_magic.demo.DemoGateway.start(pace=0).stop()
        roots = {name.partition(".")[0] for name in set(sys.modules) - before}
        print(sorted(roots - sys.stdlib_module_names))
        print(sorted(name for name in set(sys.modules) - before if name.startswith("mixroute_magic.")))
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    heavy, roots, own = done.stdout.splitlines()
    assert heavy == "False"
    assert roots == "['mixroute_magic']"
    assert all(name.startswith("mixroute_magic.demo") for name in re.findall(r"[\w.]+", own))


def test_the_package_has_no_other_names() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Gateway'"):
        mixroute_magic.demo.Gateway  # noqa: B018 - the access is the test
