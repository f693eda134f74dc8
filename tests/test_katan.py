"""Against llm-katan, a gateway that others wrote: its echo, its tokens, its errors."""

from __future__ import annotations

import json
import socket
import sqlite3
import subprocess
import sys
import urllib.request
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from callers import Caller
from kernels import KEY, SHOWN_KEY, Kernel
from servers import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator


SUMS = "[{0}.input_tokens.known, {0}.output_tokens.known]"


@contextmanager
def katan(home: Path, *options: str) -> Iterator[str]:
    """Run llm-katan's echo for the length of a block, and yield its base URL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    command = [str(Path(sys.executable).with_name("llm-katan")), "--model", "echo", "--backend", "echo"]
    command += ["--host", "127.0.0.1", "--port", port, "--stats-file", str(home / "stats.json"), *options]
    log = home / "katan.log"
    with log.open("w") as output, subprocess.Popen(command, cwd=home, stdout=output, stderr=output) as server:
        try:
            wait_for(f"http://127.0.0.1:{port}/health", server, log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.terminate()


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with katan(tmp_path_factory.mktemp("katan"), "--chunk-delay-ms", "10") as url:
        yield url


@pytest.fixture
def kernel(tmp_path: Path, base_url: str) -> Iterator[Kernel]:
    with Kernel(tmp_path, base_url, MIXROUTE_MODEL="echo") as kernel:
        yield kernel


def reported_tokens(base_url: str, *messages: dict[str, str]) -> tuple[int, int]:
    """Ask llm-katan without this package, and return the tokens that it reports."""
    request = urllib.request.Request(
        f"{base_url}/chat/completions",
        json.dumps({"model": "echo", "messages": messages}).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        usage = json.load(response)["usage"]
    return usage["prompt_tokens"], usage["completion_tokens"]


def recorded_tokens(home: Path) -> list[tuple[Any, ...]]:
    """Return the tokens of each request in the ledger."""
    with closing(sqlite3.connect(home / "data" / "mixroute" / "ledger.sqlite")) as database:
        return database.execute("select input_tokens, output_tokens from requests order by started").fetchall()


def test_a_conversation_of_two_turns_is_streamed_and_counted_as_reported(kernel: Kernel, base_url: str) -> None:
    first = kernel.run("%%chat\nHow do you do?", "a")
    second = kernel.run("%%chat\nWhat did I just ask?", "b")
    assert "messages=1 " in first.text
    assert "messages=3 " in second.text
    answer = second.metadata["messages"][-1]["content"]
    assert answer.endswith("User: What did I just ask?")
    assert len(second.frames) > 1
    assert second.streamed == answer
    turn_one, turn_two = first.metadata["messages"], second.metadata["messages"]
    asked = [reported_tokens(base_url, turn_one[0]), reported_tokens(base_url, *turn_one, turn_two[0])]
    assert recorded_tokens(kernel.home) == asked
    assert [
        (ran.metadata["usage"]["input_tokens"], ran.metadata["usage"]["output_tokens"]) for ran in (first, second)
    ] == asked


def test_the_report_is_what_it_reported_by_model_and_by_session(tmp_path: Path, base_url: str) -> None:
    asked = [("echo", "How do you do?"), ("echo", "您好嗎"), ("tiny", "And a longer question, if you please")]
    by_model: dict[str, list[int]] = {}
    by_session: list[list[int]] = []
    for questions in (asked, asked[1:]):
        with Kernel(tmp_path, base_url) as kernel:
            told = []
            for model, question in questions:
                assert kernel.run(f"%chat --fresh -m {model} {question}").status == "ok"
                told.append(reported_tokens(base_url, {"role": "user", "content": question}))
                counts = by_model.setdefault(model, [0, 0])
                by_model[model] = [sum(pair) for pair in zip(counts, told[-1], strict=True)]
            by_session.append([sum(counts) for counts in zip(*told, strict=True)])
            kernel.run("report = %usage")
            assert kernel.value(SUMS.format("report.total")) == str(by_session[-1])
            kernel.run("report = %usage --all --by model")
            assert kernel.value(f"{{row.name: {SUMS.format('row')} for row in report}}") == str(by_model)
            kernel.run("report = %usage --all --by session")
            assert kernel.value(f"[{SUMS.format('row')} for row in report]") == str(by_session)


def test_it_calls_the_first_tool_whole_though_a_stream_was_asked_for_and_after_every_result(base_url: str) -> None:
    city = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}
    tools = [{"type": "function", "function": {"name": "get_weather", "parameters": city}}]
    messages: list[Any] = [{"role": "user", "content": "How warm is it?"}]
    caller = Caller(base_url)
    caller.session.headers["Authorization"] = f"Bearer {KEY}"
    with closing(caller.session):
        for _ in range(2):
            response = caller.ask(messages, model="echo", tools=tools, stream=True)
            assert response.headers["Content-Type"] == "application/json"
            choice = response.json()["choices"][0]
            assert choice["finish_reason"] == "tool_calls"
            [call] = choice["message"]["tool_calls"]
            assert call["function"]["name"] == "get_weather"
            assert json.loads(call["function"]["arguments"]) == {"city": "test_city", "days": 1}
            messages += [choice["message"], {"role": "tool", "tool_call_id": call["id"], "content": "18 °C"}]
        final = caller.message(messages, model="echo")  # it stops where no tool is offered any more
    assert "tool_calls" not in final
    assert "messages=5 " in final["content"]


def test_its_models_are_listed(kernel: Kernel) -> None:
    ran = kernel.run("%model --list")
    assert ran.status == "ok"
    assert ran.text.startswith("1 model at 127.0.0.1:")
    assert "echo" in ran.text.splitlines()[-1]


def test_a_key_that_it_does_not_know_is_refused_in_a_few_lines(tmp_path: Path) -> None:
    shown = {"MIXROUTE_API_KEY": SHOWN_KEY}  # its server writes a key that it refuses into its log
    with katan(tmp_path, "--validate-keys") as url, Kernel(tmp_path, url, **shown) as kernel:
        ran = kernel.run("%%chat\nHello", "a")
        heard = json.dumps(kernel.heard, default=str)
    assert ran.reply["content"]["ename"] == "AuthenticationError"
    assert len(ran.lines) in {2, 3}
    assert SHOWN_KEY not in heard


def test_its_failures_are_tried_again_and_then_told(tmp_path: Path) -> None:
    with katan(tmp_path, "--error-rate", "1.0") as url, Kernel(tmp_path, url) as kernel:
        kernel.run("%config MixRoute.retries = 1")
        ran = kernel.run("%%chat\nHello", "a")
    assert ran.reply["content"]["ename"] == "ServerError"
    assert "internal server error" in ran.lines[0]
    assert len([frame for frame in ran.frames if "retry" in frame]) == 1
    assert ran.metadata["status"] == "failed"
    assert recorded_tokens(tmp_path) == [(None, None)] * 2  # a row for each attempt
