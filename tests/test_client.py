"""The client against bytes written down, one script a request."""

from __future__ import annotations

import gc
import json
import socket
import subprocess
import sys
import threading
import time

import pytest
from benchmarks import class_at_once
from scripted import (
    DONE,
    STOP,
    USAGE,
    Pause,
    Reset,
    ScriptedGateway,
    answer,
    chunked,
    delta,
    event,
    reply,
    scripted,
    whole,
)

from mixroute_magic import Client
from mixroute_magic import errors as e
from mixroute_magic.gateway.address import read_base_url
from mixroute_magic.gateway.credentials import Credentials, clean_key
from mixroute_magic.gateway.faults import retry_after
from mixroute_magic.gateway.retries import is_waited_out
from mixroute_magic.gateway.transport import CONNECT_SECONDS
from mixroute_magic.reply import Reply
from mixroute_magic.wire import Message, Usage

HELLO = [{"role": "user", "content": "Hello"}]
KEY = "sk-test-key"
KEY_OF_THE_LENGTH_OF_REAL_ONES = "gw-" + 8 * "Qq7Zx"


def client_of(gateway: ScriptedGateway, **settings: object) -> Client:
    return Client(gateway.base_url, KEY, **settings)


def test_an_answer_streams_in_pieces_with_its_usage_and_id() -> None:
    with scripted(whole("Hel", "lo 你好")) as gateway:
        chunks = list(client_of(gateway).stream(HELLO, model="glm-5"))
    assert [chunk.text for chunk in chunks if chunk.text] == ["Hel", "lo 你好"]
    assert chunks[0].request_id == "req-1"
    assert [chunk.usage for chunk in chunks if chunk.usage] == [Usage(25, 100, source="reported")]


def test_only_what_the_user_set_is_sent() -> None:
    with scripted(whole("x")) as gateway:
        client_of(gateway).chat(HELLO, model="glm-5")
        client_of(gateway).chat([Message("user", "Hello")], model="glm-5", temperature=0, top_p=0.5)
    plain = {"model": "glm-5", "messages": HELLO, "stream": True}
    assert gateway.bodies == [plain, plain | {"temperature": 0, "top_p": 0.5}]
    assert gateway.asked[0].line == "POST /v1/chat/completions HTTP/1.1"
    assert gateway.asked[0].headers["authorization"] == "Bearer sk-test-key"


def test_a_message_goes_out_as_it_was_given() -> None:
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
    ]
    messages = [{"role": "user", "content": parts, "name": "ada"}]
    with scripted(whole("x")) as gateway:
        client_of(gateway).chat(messages, model="glm-5")
    assert gateway.bodies[0]["messages"] == messages
    assert Message.from_wire(messages[0]).text == "What is this?"


def test_chat_returns_the_whole_reply() -> None:
    with scripted(whole("Hel", "lo")) as gateway:
        answered = client_of(gateway).chat(HELLO, model="glm-5")
    assert answered == Reply(
        "Hello", "served", finish_reason="stop", usage=Usage(25, 100, source="reported"), request_id="req-1"
    )
    assert str(answered) == "Hello"


BOM = b"\xef\xbb\xbf"
THINKING = event({"choices": [{"delta": {"reasoning_content": "hm", "reasoning": "hm"}}]})

READS = {
    "line ends of all kinds": answer(delta("a").replace(b"\n", b"\r\n"), delta("b").replace(b"\n", b"\r"), STOP),
    "carriage return and newline in two packets": answer(
        delta("a").replace(b"\n\n", b"\r"), b"\n\r", b"\n", delta("b"), STOP
    ),
    "a byte order mark": answer(BOM + delta("a"), delta("b"), STOP),
    "no space after the colon": answer((delta("a") + delta("b")).replace(b"data: ", b"data:"), STOP),
    "comments and pings": answer(b": PING\n\n", delta("a"), b":\n\n: keep-alive\n\n", delta("b"), STOP),
    "event, id and retry lines": answer(b"event: message\nid: 1\nretry: 5\n" + delta("a"), delta("b"), STOP),
    "data over several lines": answer(b'data: {"choices": [\ndata: {"delta": {"content": "ab"}}]}\n\n', STOP),
    "no blank line at the end": answer(delta("a"), delta("b"), STOP[:-2]),
    "no [DONE]": answer(delta("a"), delta("b"), STOP),
    "data after [DONE]": answer(delta("a"), delta("b"), STOP, DONE + delta("c")),
    "null, empty and foreign events": answer(
        *map(event, [b"null", b"", b"[1]", {"choices": None}, {"choices": []}, {"choices": ["?"]}, {"object": "ping"}]),
        *map(
            event,
            [
                {"choices": [{"delta": None}]},
                {"choices": [{"delta": {"content": None}}]},
                {"choices": [{"delta": {"content": 5}}]},
            ],
        ),
        delta("ab"),
        STOP,
    ),
    "content in parts": answer(
        event({"choices": [{"delta": {"content": [{"type": "text", "text": "ab"}, "?"]}}]}), STOP
    ),
    "a refusal beside empty content": answer(event({"choices": [{"delta": {"content": "", "refusal": "ab"}}]}), STOP),
    "a refusal for content": answer(event({"choices": [{"delta": {"refusal": "ab"}}]}), STOP),
    "message instead of delta": answer(event({"choices": [{"message": {"content": "ab"}}]}), STOP),
    "a second choice": answer(
        delta("a"), event({"choices": [{"index": 1, "delta": {"content": "z"}}]}), delta("b"), STOP
    ),
    "reasoning": answer(THINKING, delta("ab"), STOP),
    "finish reason twice": answer(delta("ab", finish_reason="stop"), STOP),
    "an unknown finish reason": answer(delta("ab", finish_reason="pause_turn")),
    "the line separators of Unicode": answer(delta("a"), delta("b"), STOP),
    "a whole answer instead of a stream": reply(
        200, {"choices": [{"message": {"content": "ab"}, "finish_reason": "stop"}]}
    ),
    "blank lines before a whole answer": reply(
        200, b'\n\n {"choices": [{"message": {"content": "ab"}, "finish_reason": "stop"}]}'
    ),
}


@pytest.mark.parametrize("script", READS.values(), ids=READS.keys())
def test_every_dialect_gives_the_same_text(script: object) -> None:
    with scripted(script) as gateway:
        assert client_of(gateway).chat(HELLO, model="glm-5").text == "ab"


def test_characters_cut_between_packets_stay_whole_and_broken_bytes_are_replaced() -> None:
    body = delta("a🙂漢\u2028b") + STOP
    with scripted(
        answer(*(body[i : i + 1] for i in range(len(body)))), answer(delta("a").replace(b'"a"', b'"a\xff"'), STOP)
    ) as gateway:
        assert client_of(gateway).chat(HELLO, model="glm-5").text == "a🙂漢\u2028b"
        assert client_of(gateway).chat(HELLO, model="glm-5").text == "a�"


def test_an_emoji_whose_halves_came_apart_is_whole_and_a_half_alone_is_replaced() -> None:
    halves = [
        event(b'{"choices": [{"delta": {"content": "%s"}}]}' % text) for text in (rb"a\ud83d", rb"\ude00b", rb"\ud83d")
    ]
    whole_reply = reply(200, b'{"choices": [{"message": {"content": "\\ud83dx"}, "finish_reason": "stop"}]}')
    with scripted(answer(*halves, delta("c"), STOP), whole_reply) as gateway:
        assert client_of(gateway).chat(HELLO, model="glm-5").text == "a😀b�c"
        assert client_of(gateway).chat(HELLO, model="glm-5").text == "�x"


def test_a_whole_answer_without_a_finish_reason_is_taken() -> None:
    with scripted(reply(200, {"choices": [{"message": {"content": "ab"}}]})) as gateway:
        answered = client_of(gateway).chat(HELLO, model="glm-5")
    assert (answered.text, answered.finish_reason) == ("ab", "unknown")


def test_a_login_page_in_between_is_not_taken_for_the_gateway() -> None:
    for target, hint in (
        ("https://portal.example/login", "Wi-Fi"),
        ("/v2/chat", "final address"),
    ):
        with scripted(reply(302, b"", Location=target)) as gateway, pytest.raises(e.APIStatusError) as caught:
            client_of(gateway).chat(HELLO, model="glm-5")
        assert hint in caught.value.hint


@pytest.mark.parametrize("target", [b"http://[x", b"//[", b"\xff"])
def test_a_redirect_to_what_is_no_address_is_told_and_leaves_no_socket_open(target: bytes) -> None:
    said = reply(302, b"", Location="here").replace(b"here", target)
    with scripted(said) as gateway, pytest.raises(e.APIStatusError, match="redirects"):
        client_of(gateway, retries=0).chat(HELLO, model="glm-5")
    gc.collect()  # a socket that is still open would be an error of this test


def test_an_answer_without_end_is_ended() -> None:
    filler = b": " + b"x" * 12 * 2**20 + b"\n\n"
    with (
        scripted(answer(*[delta("more "), filler] * 25, STOP, DONE)) as gateway,
        pytest.raises(e.StreamError) as caught,
    ):
        client_of(gateway).chat(HELLO, model="glm-5")
    assert str(caught.value) == "The answer is larger than 256 MiB."
    assert caught.value.partial.startswith("more more more ")
    assert len(gateway.asked) == 1


def test_a_gateway_without_a_list_of_models_is_told_so() -> None:
    with (
        scripted(reply(404, refusal("Invalid URL (GET /v1/models)"))) as gateway,
        pytest.raises(e.NotFoundError) as caught,
    ):
        client_of(gateway).models()
    assert "has no list of models" in str(caught.value)


USAGES = {
    "on the last content chunk": ({"prompt_tokens": 3, "completion_tokens": 4}, Usage(3, 4, source="reported")),
    "with details": (
        {
            "prompt_tokens": 3,
            "completion_tokens": 4,
            "prompt_tokens_details": {"cached_tokens": 1},
            "completion_tokens_details": {"reasoning_tokens": 2},
        },
        Usage(3, 4, 1, 2, "reported"),
    ),
    "DeepSeek's cache": (
        {"prompt_tokens": 3, "completion_tokens": 4, "prompt_cache_hit_tokens": 2},
        Usage(3, 4, 2, None, "reported"),
    ),
    "Anthropic's names": ({"input_tokens": 3, "output_tokens": 4}, Usage(3, 4, source="reported")),
    "text and fractions": (
        {"prompt_tokens": "3", "completion_tokens": 4.0, "prompt_tokens_details": None},
        Usage(3, 4, source="reported"),
    ),
    "nonsense": ({"prompt_tokens": -1, "completion_tokens": True, "total_tokens": "many"}, Usage()),
    "words": ({"prompt_tokens": "many", "completion_tokens": float("inf")}, Usage()),
    "not an object": ("12", Usage()),
}


@pytest.mark.parametrize(("sent", "read"), USAGES.values(), ids=USAGES.keys())
def test_usage_of_every_dialect_is_read_and_unknown_is_not_zero(sent: object, read: Usage) -> None:
    chunk = {"choices": [{"delta": {"content": "x"}, "finish_reason": "stop"}], "usage": sent}
    with scripted(answer(event(chunk))) as gateway:
        assert client_of(gateway).chat(HELLO, model="glm-5").usage == read


def test_usage_on_every_chunk_is_not_summed_and_kimis_stands_in_the_choice() -> None:
    first = event({"choices": [{"delta": {"content": "a"}, "usage": {"prompt_tokens": 3, "completion_tokens": 1}}]})
    second = event({"choices": [{"delta": {"content": "b"}, "usage": {"prompt_tokens": 3, "completion_tokens": 2}}]})
    with scripted(answer(first, second, STOP)) as gateway:
        assert client_of(gateway).chat(HELLO, model="kimi-k2.5").usage == Usage(3, 2, source="reported")


def refusal(message: str, code: str = "", kind: str = "mixroute_error") -> dict[str, object]:
    return {"error": {"message": message, "type": kind, "param": "", "code": code}}


REFUSALS = {
    "401": (reply(401, refusal("Invalid token")), e.AuthenticationError, "did not accept the API key"),
    "401 of the provider": (
        reply(401, refusal("bad key", "channel:invalid_key")),
        e.ServerError,
        "refused the gateway itself",
    ),
    "402": (reply(402, refusal("Insufficient Balance")), e.QuotaError, "out of balance"),
    "403 quota": (reply(403, refusal("額度不足", "insufficient_user_quota")), e.QuotaError, "額度不足"),
    "403": (reply(403, refusal("group")), e.PermissionDeniedError, "does not allow this"),
    "403 web page": (
        reply(403, b"<html><title>Just a moment</title>", "text/html"),
        e.PermissionDeniedError,
        "Just a moment",
    ),
    "404": (reply(404, refusal("模型不存在")), e.NotFoundError, "no such model, or no such address"),
    "too long": (reply(400, refusal("too long", "context_length_exceeded")), e.BadRequestError, "too long"),
    "another shape": (answer(event({"message": "overloaded", "code": "busy"})), e.StreamError, "overloaded"),
    "broken off": (answer(delta("half", finish_reason="network_error")), e.StreamError, "broke off"),
    "413": (reply(413, b""), e.BadRequestError, "too large"),
    "422 of FastAPI": (reply(422, {"detail": [{"msg": "bad"}]}), e.BadRequestError, "bad"),
    "400": (reply(400, refusal("temperature")), e.BadRequestError, "temperature"),
    "429 quota": (reply(429, refusal("pay", "insufficient_quota")), e.QuotaError, "pay"),
    "429 long": (reply(429, b"", Retry_After="600"), e.RateLimitError, "Too many requests"),
    "500 of the user": (
        reply(500, refusal("field messages is required", "invalid_request")),
        e.BadRequestError,
        "messages",
    ),
    "302": (reply(302, b"", Location="https://elsewhere.example/"), e.APIStatusError, "elsewhere.example"),
    "204": (reply(204), e.StreamError, "no answer"),
    "an array": (
        reply(400, b'[{"error": {"code": 400, "message": "bad", "status": "INVALID"}}]'),
        e.BadRequestError,
        "bad",
    ),
    "an error that is text": (reply(400, {"error": "bad"}), e.BadRequestError, "bad"),
    "JSON in the message": (reply(400, refusal('{"message": "bad"}')), e.BadRequestError, ": bad"),
    "a message like JSON": (reply(400, refusal("{bad")), e.BadRequestError, "{bad"),
    "a JSON number": (reply(400, b"17"), e.BadRequestError, "17"),
    "plain text": (reply(400, b"no \x1b[31mway", "text/plain"), e.BadRequestError, "no �[31mway"),
    "200 with an error": (reply(200, refusal("bad", "model_not_found")), e.NotFoundError, "not available"),
    "200 without success": (reply(200, {"success": False, "message": "no group"}), e.StreamError, "no group"),
    "200 web page": (reply(200, b"<html>", "text/html"), e.StreamError, "a web page"),
    "200 with a list": (reply(200, b"[]"), e.StreamError, "not JSON"),
    "200 with nothing": (reply(200), e.StreamError, "empty reply"),
    "an error event": (answer(event(refusal("pay", "insufficient_quota"))), e.QuotaError, "pay"),
    "a bare error in a stream": (answer(b'{"error": {"message": "late"}}'), e.StreamError, "late"),
    "a bare error after a ping": (answer(b": PING\n\n", b'{"error": {"message": "late"}}\n'), e.StreamError, "late"),
    "no content": (answer(STOP, DONE), e.StreamError, "no content"),
    "only reasoning": (answer(THINKING, delta("", finish_reason="length")), e.StreamError, "no content"),
    "nothing at all": (answer(DONE), e.StreamError, "no content: the gateway closed the stream"),
}


@pytest.mark.parametrize(("script", "kind", "said"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_refusal_is_the_right_error_in_few_lines_and_is_not_asked_again(
    script: object, kind: type, said: str
) -> None:
    with scripted(script) as gateway, pytest.raises(e.MixRouteError) as caught:
        client_of(gateway).chat(HELLO, model="glm-5")
    assert type(caught.value) is kind
    assert said in str(caught.value)
    assert 2 <= len(caught.value.lines()) <= 3
    assert len(gateway.bodies) == 1


def test_a_model_that_is_not_there_is_answered_with_its_nearest_names() -> None:
    models = reply(
        200, {"data": [{"id": "glm-5"}, {"id": "glm-5"}, {"id": "gpt-4o", "owned_by": "x"}, {"no": "id"}, 7]}
    )
    with (
        scripted(reply(503, refusal("no channel", "model_not_found")), models) as gateway,
        pytest.raises(e.NotFoundError) as caught,
    ):
        client_of(gateway).chat(HELLO, model="glm5")
    assert caught.value.hint == "Near it: glm-5. %model --list shows all 2."
    with (
        scripted(reply(503, refusal("no channel", "model_not_found")), reply(500)) as gateway,
        pytest.raises(e.NotFoundError) as caught,
    ):
        client_of(gateway, retries=0).chat(HELLO, model="glm5")
    assert "%model --list" in caught.value.hint


@pytest.mark.parametrize(
    "first",
    [reply(429, b"", Retry_After="0"), reply(503, b"busy"), reply(409, b""), [Reset()], answer(Reset())],
    ids=str,
)
def test_what_may_pass_is_asked_again_and_announced(first: object) -> None:
    told: list[tuple[str, float]] = []
    with scripted(first, whole("ok")) as gateway:
        chunks = client_of(gateway).stream(
            HELLO, model="glm-5", on_retry=lambda why, seconds: told.append((str(why), seconds))
        )
        assert "".join(chunk.text for chunk in chunks) == "ok"
    assert len(gateway.asked) == 2
    assert len(told) == 1


def test_a_gateway_is_asked_three_times_at_most_and_after_a_timeout_of_its_own_twice() -> None:
    for script, asked in (
        (reply(500, b"", Retry_After="0"), 3),
        (reply(504, b"<html>", "text/html", Retry_After="0"), 2),
    ):
        with scripted(script) as gateway, pytest.raises(e.MixRouteError):
            client_of(gateway).chat(HELLO, model="glm-5")
        assert len(gateway.asked) == asked


def test_a_rate_limit_that_names_its_end_is_waited_out_beyond_the_retries() -> None:
    told: list[float] = []
    later = reply(429, b"", Retry_After="1")
    with scripted(later, later, whole("ok")) as gateway:
        chunks = client_of(gateway, retries=1).stream(
            HELLO, model="glm-5", on_retry=lambda _, seconds: told.append(seconds)
        )
        assert "".join(chunk.text for chunk in chunks) == "ok"
    assert len(gateway.asked) == 3
    assert all(seconds > 1 for seconds in told), "the gateway's second, and chance"


def test_whoever_wants_no_retry_waits_for_no_rate_limit() -> None:
    with scripted(reply(429, b"", Retry_After="1")) as gateway, pytest.raises(e.RateLimitError):
        client_of(gateway, retries=0).chat(HELLO, model="glm-5")
    assert len(gateway.asked) == 1


@pytest.mark.parametrize(
    ("kind", "asked", "waited", "waits"),
    [
        (e.RateLimitError, 57, 0, True),
        (e.RateLimitError, 57, 60, True),
        (e.RateLimitError, 57, 70, False),
        (e.RateLimitError, 0, 0, False),
        (e.RateLimitError, None, 0, False),
        (e.ServerError, 5, 0, False),
        (e.QuotaError, 5, 0, False),
    ],
)
def test_only_a_rate_limit_is_waited_out_and_for_two_minutes_at_most(
    kind: type[e.MixRouteError], asked: float | None, waited: float, *, waits: bool
) -> None:
    error = kind("no")
    error.retry_after = asked
    assert is_waited_out(error, waited) is waits


def test_a_class_behind_one_limit_is_served_and_does_not_come_back_at_once() -> None:
    """Twenty clients, and room for twelve at first: a slow machine is refused less, never more."""
    ran = class_at_once.ask_at_once(20, class_at_once.Limit(most=12, window=4.0))
    assert (ran.right, ran.errors) == (20, [])
    assert ran.requests_per_answer <= 1.5
    assert len(ran.first_waits) >= 2, "there was nothing to wait for"
    assert max(ran.first_waits) - min(ran.first_waits) > 0.05, "all were told the same moment"


@pytest.mark.parametrize("end", [[Reset()], [], [event(refusal("late"))]], ids=["reset", "end", "error event"])
def test_nothing_is_asked_again_after_the_first_word(end: list[object]) -> None:
    with scripted(answer(delta("par"), *end), whole("again")) as gateway:
        text = ""
        with pytest.raises(e.MixRouteError):
            for chunk in client_of(gateway).stream(HELLO, model="glm-5"):
                text += chunk.text
    assert text == "par"
    assert len(gateway.asked) == 1


def test_broken_events_fail_at_the_end_and_lose_no_later_text() -> None:
    text = ""
    with (
        scripted(answer(delta("a"), event(b"{broken"), delta("b"), STOP, DONE)) as gateway,
        pytest.raises(e.StreamError, match=r"^1 of the answer.s pieces"),
    ):
        for chunk in client_of(gateway).stream(HELLO, model="glm-5"):
            text += chunk.text
    assert text == "ab"


def test_silence_ends_in_a_timeout_that_names_the_seconds() -> None:
    with (
        scripted(answer(delta("a"), Pause(30))) as gateway,
        pytest.raises(e.APITimeoutError, match=r"sent nothing for 0\.3 s"),
    ):
        client_of(gateway, timeout=0.3).chat(HELLO, model="glm-5")
    with scripted([Pause(30)]) as gateway, pytest.raises(e.APITimeoutError, match=r"sent nothing for 0\.3 s"):
        client_of(gateway, timeout=0.3).chat(HELLO, model="glm-5")


def test_an_event_without_end_is_given_up() -> None:
    with scripted(answer(*[b"data: " + b"x" * 2**20] * 20)) as gateway, pytest.raises(e.StreamError, match="16 MiB"):
        client_of(gateway).chat(HELLO, model="glm-5")


def test_an_event_of_a_megabyte_is_read() -> None:
    with scripted(answer(delta("x" * 2**20), STOP)) as gateway:
        assert len(client_of(gateway).chat(HELLO, model="glm-5").text) == 2**20


def test_closing_the_stream_closes_the_connection() -> None:
    with scripted(answer(delta("a"), Pause(30))) as gateway:
        chunks = client_of(gateway).stream(HELLO, model="glm-5")
        assert any(chunk.text for chunk in chunks)
        chunks.close()
        assert gateway.closed_by_client.wait(10)


def test_unreachable_gateways_are_named() -> None:
    with pytest.raises(e.APIConnectionError, match=r"127\.0\.0\.1:9 cannot be reached"):
        Client("http://127.0.0.1:9/v1", KEY, retries=0).chat(HELLO, model="glm-5")
    with pytest.raises(e.APIConnectionError, match=r"no-such-host\.invalid cannot be reached"):
        Client("https://no-such-host.invalid", KEY, retries=0).chat(HELLO, model="glm-5")


def test_a_plain_server_is_no_tls_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"220 mail.example ESMTP\r\n")

        greeting = threading.Thread(target=greet)
        greeting.start()
        with pytest.raises(e.APIConnectionError, match="No safe connection"):
            Client(f"https://127.0.0.1:{server.getsockname()[1]}", KEY, retries=0).chat(HELLO, model="glm-5")
        greeting.join()


def test_a_dead_proxy_is_named() -> None:
    code = (
        "from mixroute_magic import Client, MixRouteError\n"
        "try: Client('https://gateway.example', 'sk-test', retries=0).models()\n"
        "except MixRouteError as error: print(error)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code],
        env={"HTTPS_PROXY": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.startswith("The proxy does not lead to gateway.example")


def test_models_are_listed_once_and_sorted() -> None:
    with scripted(
        reply(200, {"success": True, "data": [{"id": "b"}, {"id": "a", "owned_by": "x"}, {"id": "b"}]})
    ) as gateway:
        assert [(model.id, model.owned_by) for model in client_of(gateway).models()] == [("a", "x"), ("b", "")]
    with scripted(reply(200, {"data": None})) as gateway:
        assert client_of(gateway).models() == []
    with (
        scripted(reply(200, {"success": False, "message": "get user group failed"})) as gateway,
        pytest.raises(e.StreamError, match="group"),
    ):
        client_of(gateway).models()


def test_the_key_is_in_no_error_and_no_representation() -> None:
    with scripted(reply(400, refusal(f"your key {KEY}, sk-abcdefgh12345678, is bad"))) as gateway:
        client = client_of(gateway)
        with pytest.raises(e.BadRequestError) as caught:
            client.chat(HELLO, model="glm-5")
    assert "your key sk-…, sk-…, is bad" in str(caught.value)
    assert KEY not in repr(client) + repr(Credentials({"MIXROUTE_API_KEY": KEY}))


def test_without_a_key_nothing_is_sent_but_to_this_machine() -> None:
    with pytest.raises(e.AuthenticationError, match="no API key yet") as caught:
        Client("https://gateway.example", lambda: None).models()
    assert all(way in caught.value.hint for way in ("MIXROUTE_API_KEY", "%mixroute login", "%mixroute demo"))
    with scripted(whole("ok")) as gateway:
        Client(gateway.base_url, lambda: None).chat(HELLO, model="glm-5")
    assert "authorization" not in gateway.asked[0].headers


@pytest.mark.parametrize(
    ("pasted", "read"),
    [
        ("https://console.mixroute.io", "https://console.mixroute.io/v1"),
        ("https://console.mixroute.io/v1/", "https://console.mixroute.io/v1"),
        (" https://api.mixroute.ai/v1/chat/completions ", "https://api.mixroute.ai/v1"),
        ("https://host/proxy/v1/models", "https://host/proxy/v1"),
        ("https://host/v1beta/openai", "https://host/v1beta/openai"),
        ("http://localhost:8000", "http://localhost:8000/v1"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
    ],
)
def test_any_form_of_the_address_is_understood(pasted: str, read: str) -> None:
    assert read_base_url(pasted) == read


@pytest.mark.parametrize(
    "wrong",
    ["console.mixroute.io", "ftp://host/v1", "https://", "", "http://[x", "https://host:port", "https://host:0"],
)
def test_what_is_no_address_is_refused(wrong: str) -> None:
    with pytest.raises(e.SettingError, match="not a URL"):
        read_base_url(wrong)


def test_plain_http_to_another_machine_is_refused_unless_allowed() -> None:
    for outside in ("http://gateway.example/v1", "http://127.gateway.example/v1", "http://10.0.0.1/v1"):
        with pytest.raises(e.SettingError, match="unencrypted"):
            read_base_url(outside)
    assert read_base_url("http://gateway.example", allow_http=True) == "http://gateway.example/v1"


def test_an_address_with_a_password_is_refused_without_repeating_it() -> None:
    with pytest.raises(e.SettingError) as caught:
        read_base_url("https://me:secret@gateway.example/v1")
    assert "secret" not in "".join(caught.value.lines())


@pytest.mark.parametrize("pasted", ["sk-test", " sk-test\n", '"sk-test"', "Bearer sk-test", "'bearer  sk-test'"])
def test_a_pasted_key_is_cleaned(pasted: str) -> None:
    assert clean_key(pasted) == "sk-test"


@pytest.mark.parametrize("pasted", ["sk-te st", "sk-tést", "sk-te\x00st"])
def test_a_key_that_no_header_may_carry_is_refused(pasted: str) -> None:
    with pytest.raises(e.AuthenticationError) as caught:
        clean_key(pasted)
    assert pasted not in "".join(caught.value.lines())


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after-ms": "250", "retry-after": "3"}, 0.25),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_in_all_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_one_connection_serves_many_questions() -> None:
    """A real HTTP/1.1 server that keeps connections: all questions come from the same port."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    ports: set[int] = set()

    class Keeping(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            ports.add(self.client_address[1])
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for piece in (delta("ok"), STOP, USAGE, DONE):
                self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Keeping)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    client = Client(f"http://127.0.0.1:{server.server_address[1]}", KEY)
    try:
        for _ in range(5):
            assert client.chat(HELLO, model="glm-5").text == "ok"
    finally:
        client.close()
        server.shutdown()
        server.server_close()
    assert len(ports) == 1


def test_lone_surrogates_do_not_break_a_request() -> None:
    with scripted(whole("ok")) as gateway:
        client_of(gateway).chat([{"role": "user", "content": "a\ud800"}], model="glm-5")
    assert json.loads(gateway.asked[0].raw_body)["messages"][0]["content"] == "a?"


class TestAKeyThatAFunctionReturns:
    def test_it_is_read_once_for_each_request_and_cleaned(self) -> None:
        read: list[str] = []

        def key() -> str:
            read.append("once")
            return f"Bearer {KEY}\n"

        with scripted(whole("x")) as gateway, Client(gateway.base_url, key) as client:
            client.chat(HELLO, model="glm-5")
            client.chat(HELLO, model="glm-5")
        assert {asked.headers["authorization"] for asked in gateway.asked} == {f"Bearer {KEY}"}
        assert len(read) == 2

    def test_what_it_raises_is_no_fault_of_the_network(self) -> None:
        def key() -> str:
            raise FileNotFoundError("no such vault")

        with scripted(whole("x")) as gateway, pytest.raises(FileNotFoundError, match="no such vault"):
            Client(gateway.base_url, key).chat(HELLO, model="glm-5")
        assert gateway.asked == []


def test_an_upload_may_take_longer_than_a_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection, connection.makefile("rb") as stream:
                length = 0
                while line := stream.readline().strip():
                    length = int(line.partition(b":")[2]) if line.lower().startswith(b"content-length") else length
                time.sleep(CONNECT_SECONDS + 1)  # nothing is taken for longer than a connection may take
                stream.read(length)
                for piece in whole("Seen."):
                    connection.sendall(piece)

        threading.Thread(target=serve, daemon=True).start()
        with Client(f"http://127.0.0.1:{server.getsockname()[1]}", KEY, retries=0) as client:
            asked = [{"role": "user", "content": "x" * 2**24}]
            assert client.chat(asked, model="glm-5").text == "Seen."


@pytest.mark.parametrize("size", [b"-5", b"-FFFFFFFFFFFFFFFFFFFFFF"])
def test_a_chunk_of_no_size_is_a_connection_that_broke(size: bytes) -> None:
    head, first, *_ = chunked(delta("Hello"))
    with (
        scripted([head, first, size + b"\r\n" + STOP]) as gateway,
        pytest.raises(e.APIConnectionError, match="broke") as told,
    ):
        client_of(gateway, retries=0).chat(HELLO, model="glm-5")
    assert told.value.partial == "Hello"


@pytest.mark.parametrize("host", ["api..example.com", f"{'a' * 64}.example.com"])
def test_a_host_that_can_have_no_address_is_told_so(host: str) -> None:
    with pytest.raises(e.APIConnectionError) as told:
        Client(f"https://{host}/v1", KEY, retries=0).chat(HELLO, model="glm-5")
    assert told.value.unsent


@pytest.mark.parametrize("kind", ["TEXT/EVENT-STREAM; charset=utf-8", "text/plain", "application/json"])
def test_a_stream_is_read_under_any_name(kind: str) -> None:
    body = b": keep-alive\n\n" + b"".join(whole("Hel", "lo")[1:])
    with scripted(reply(200, body, kind)) as gateway:
        assert client_of(gateway).chat(HELLO, model="glm-5").text == "Hello"


@pytest.mark.parametrize("begun", [b"data: ", b""])
def test_an_error_in_a_list_is_read(begun: bytes) -> None:
    error = [{"error": {"code": 429, "message": "Resource exhausted"}}]
    with (
        scripted(answer(begun + json.dumps(error).encode() + b"\n\n")) as gateway,
        pytest.raises(e.MixRouteError, match="Resource exhausted"),
    ):
        client_of(gateway, retries=0).chat(HELLO, model="glm-5")


def test_half_a_character_at_the_end_is_replaced() -> None:
    half = event(b'{"choices": [{"delta": {"content": "Hi \\ud83d"}}]}')
    with scripted(answer(half, STOP, DONE)) as gateway:
        assert client_of(gateway).chat(HELLO, model="glm-5").text == "Hi \ufffd"


def test_why_an_answer_is_empty_is_told_without_the_key_and_in_short() -> None:
    reasons = (KEY_OF_THE_LENGTH_OF_REAL_ONES, "x" * 200_000)
    for reason in reasons:
        end = event({"choices": [{"delta": {}, "finish_reason": reason}]})
        with (
            scripted(answer(end, DONE)) as gateway,
            pytest.raises(e.StreamError) as told,
        ):
            Client(gateway.base_url, KEY_OF_THE_LENGTH_OF_REAL_ONES, retries=0).chat(HELLO, model="glm-5")
        assert KEY_OF_THE_LENGTH_OF_REAL_ONES[:20] not in str(told.value)
        assert len(str(told.value)) < 200


def test_who_is_named_after_stop_does_nothing_to_a_terminal() -> None:
    line, _ = e.ChatInterrupted(called=["x\x1b]0;owned\x07\u202e" + "y" * 999])._render_traceback_()
    assert "\x1b" not in line
    assert len(line) < 200


def test_messages_are_a_list() -> None:
    with pytest.raises(TypeError, match="messages is a list"):
        Client("http://127.0.0.1:9", KEY).chat("hello", model="glm-5")
