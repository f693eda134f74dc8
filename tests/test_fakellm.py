"""Against fakellm, a gateway that others wrote: its rules call tools and answer from what these returned."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from callers import Caller, joined_calls, read_event
from calling import check, results, steps
from kernels import Kernel
from scripted import forwarding, scripted
from servers import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

QUESTION = "How warm is it in Paris and in Tokyo?"
CITIES = ["Paris", "東京"]
FINAL = "It is 18 degrees in Paris, and 21 in Tokyo."
# The first rule that matches answers: the last result of a tool is the sign that both came back.
RULES = [
    {"name": "final", "when": {"tool_result_contains": "21 °C"}, "respond": {"content": FINAL}},
    {
        "name": "call",
        "when": {"tools_include": "get_weather"},
        "respond": {"tool_calls": [{"name": "get_weather", "arguments": {"city": city}} for city in CITIES]},
    },
    {"name": "plain", "respond": {"content": "No tool was offered."}},
]
TOOL = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


@contextmanager
def fakellm(home: Path) -> Iterator[str]:
    """Run fakellm with these rules for the length of a block, and yield its base URL."""
    rules = home / "rules.yaml"
    rules.write_text(json.dumps({"rules": RULES}))  # JSON is YAML
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "fakellm.cli", "serve", "--port", port, "--config", str(rules)]
    log = home / "fakellm.log"
    with log.open("w") as output, subprocess.Popen(command, cwd=home, stdout=output, stderr=output) as server:
        try:
            wait_for(f"http://127.0.0.1:{port}/_fakellm/stats", server, log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.terminate()


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with fakellm(tmp_path_factory.mktemp("fakellm")) as url:
        yield url


@pytest.fixture
def caller(base_url: str) -> Iterator[Caller]:
    caller = Caller(base_url)
    yield caller
    caller.session.close()


def streamed(caller: Caller, messages: list[Any], **params: Any) -> list[Any]:
    """Return the events of a stream."""
    response = caller.ask(messages, stream=True, **params)
    assert response.status_code == 200
    return [read_event(frame) for frame in response.content.decode().split("\n\n")[:-1]]


def test_it_streams_calls_and_answers_when_their_results_come_back(caller: Caller) -> None:
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    events = streamed(caller, messages, tools=[TOOL])
    calls = joined_calls(events)
    assert [(name, json.loads(arguments)) for _, name, arguments in calls] == [
        ("get_weather", {"city": city}) for city in CITIES
    ]
    assert events[-2]["choices"][0]["finish_reason"] == "tool_calls"
    wire = [
        {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
        for call_id, name, arguments in calls
    ]
    messages.append({"role": "assistant", "content": None, "tool_calls": wire})
    for (call_id, _, _), content in zip(calls, ["18 °C", "21 °C"], strict=True):
        messages.append({"role": "tool", "tool_call_id": call_id, "content": content})
    pieces = [
        event["choices"][0]["delta"].get("content", "") for event in streamed(caller, messages, tools=[TOOL])[:-1]
    ]
    assert "".join(pieces) == FINAL
    assert len(pieces) > 5


def test_it_calls_in_a_whole_reply_too_and_only_a_tool_that_is_offered(caller: Caller) -> None:
    messages = [{"role": "user", "content": "How warm is it?"}]
    message = caller.message(messages, tools=[TOOL])
    assert message["content"] is None
    assert len({call["id"] for call in message["tool_calls"]}) == 2
    assert caller.message(messages)["content"] == "No tool was offered."


WEATHER = """
def get_weather(city: str) -> str:
    "Return the current weather in a city."
    return {"Paris": "18 °C", "東京": "21 °C"}[city]
"""


@pytest.mark.parametrize("question", ["What is the weather in Paris and in Tokyo?", "巴黎和東京的天氣如何？"])
def test_a_cell_gets_its_answer_from_two_calls(tmp_path: Path, base_url: str, question: str) -> None:
    with scripted(forwarding(base_url)) as gateway, Kernel(tmp_path, gateway.base_url) as kernel:
        kernel.run(WEATHER)
        # It keeps results by question: another one is another conversation.
        ran = kernel.run(f"%%chat --tool get_weather --yes\n{question}", "first")
        again = kernel.run("%%chat\nThank you.", "second")
    check(gateway.bodies)
    assert (ran.status, again.status) == ("ok", "ok")
    assert results(gateway.bodies[1]) == ["18 °C", "21 °C"]
    calls = steps(gateway.bodies[1])[0]["tool_calls"]
    assert [json.loads(item["function"]["arguments"]) for item in calls] == [{"city": city} for city in CITIES]
    assert ran.metadata["messages"][-1]["content"] == FINAL
    assert gateway.bodies[-1]["messages"][:-1] == ran.metadata["messages"]
