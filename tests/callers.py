"""Asks a gateway without this package, and reads what comes back."""

from __future__ import annotations

import json
from typing import Any

import requests

__all__ = ["PLAIN", "Caller", "deltas", "joined_calls", "read_event", "tokens"]

PLAIN = "gpt-4o"


class Caller:
    """Asks one gateway over one kept connection."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.session = requests.Session()
        self.session.trust_env = False  # no proxy between here and loopback

    def post(self, *questions: str, model: str = PLAIN, **params: Any) -> requests.Response:
        return self.ask([{"role": "user", "content": question} for question in questions], model=model, **params)

    def ask(self, messages: list[Any], *, model: str = PLAIN, **params: Any) -> requests.Response:
        return self.post_body({"model": model, "messages": messages, **params})

    def post_body(self, body: Any) -> requests.Response:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.session.post(f"{self.base_url}/chat/completions", data=data)

    def completion(self, *questions: str, **params: Any) -> dict[str, Any]:
        return whole(self.post(*questions, **params))

    def message(self, messages: list[Any], **params: Any) -> dict[str, Any]:
        message: dict[str, Any] = whole(self.ask(messages, **params))["choices"][0]["message"]
        return message

    def answer(self, *questions: str, **params: Any) -> str:
        text: str = self.completion(*questions, **params)["choices"][0]["message"]["content"]
        return text

    def events(self, *questions: str, **params: Any) -> list[Any]:
        response = self.post(*questions, stream=True, **params)
        assert response.status_code == 200, response.text
        return [read_event(frame) for frame in response.content.decode().split("\n\n")[:-1]]


def whole(response: requests.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    completion: dict[str, Any] = response.json()
    return completion


def read_event(frame: str) -> Any:
    assert frame.startswith("data: ")
    assert "\n" not in frame
    data = frame.removeprefix("data: ")
    return data if data == "[DONE]" else json.loads(data)


def deltas(events: list[Any], key: str) -> list[Any]:
    chunks = [event["choices"][0]["delta"] for event in events if event != "[DONE]" and event.get("choices")]
    return [delta[key] for delta in chunks if key in delta]


def joined_calls(events: list[Any]) -> list[tuple[str, str, str]]:
    """Return id, name and arguments of each call of a stream that keeps to OpenAI's form."""
    calls: list[tuple[str, str, str]] = []
    for [part] in deltas(events, "tool_calls"):
        if "id" in part:
            assert part["index"] == len(calls)
            assert (part["type"], part["function"]["arguments"]) == ("function", "")
            calls.append((part["id"], part["function"]["name"], ""))
        else:
            assert part.keys() == {"index", "function"}
            assert part["function"].keys() == {"arguments"}
            call_id, name, arguments = calls[part["index"]]
            calls[part["index"]] = call_id, name, arguments + part["function"]["arguments"]
    return calls


def tokens(text: str) -> int:
    whole, rest = divmod(len(text.encode()), 4)
    return whole + bool(rest)
