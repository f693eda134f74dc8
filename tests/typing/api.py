"""How programs use the public names: mypy reads this file (tests/test_typing.py), and nothing runs it.

Each ``type: ignore`` is a mistake that mypy must see: strict mode complains about one that is not needed.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any, assert_type

from mixroute_magic import Client, Conversation, MixRouteError, Reply
from mixroute_magic.calls import ToolCall
from mixroute_magic.conversation.turn import Turn
from mixroute_magic.demo import DemoGateway
from mixroute_magic.wire import Chunk, Message, Model, Usage

client = Client()
Client("http://127.0.0.1:8000", None, timeout=30, retries=0, allow_http=True)
Client(api_key=lambda: "sk-…")
Client(8000)  # type: ignore[arg-type]
Client(retry=1)  # type: ignore[call-arg]

messages: list[Message | dict[str, Any]] = [Message("system", "Short."), {"role": "user", "content": "Hello"}]
assert_type(client.stream(messages, model="glm-5", temperature=0.3), Generator[Chunk])
client.stream(messages)  # type: ignore[call-arg]

reply = client.chat(messages, model="glm-5", stop=["END"])
assert_type(reply, Reply)
assert_type(reply.text, str)
assert_type(reply.reasoning, str)
assert_type(reply.model, str)
assert_type(reply.finish_reason, str | None)
assert_type(reply.usage, Usage)
assert_type(reply.usage.input_tokens, int | None)
assert_type(reply.tool_calls, tuple[ToolCall, ...])
assert_type(reply.parsed, Any)
reply.text = "frozen"  # type: ignore[misc]
print(reply.content)  # type: ignore[attr-defined]

assert_type(client.models(), list[Model])
with DemoGateway.start(pace=0) as gateway, Client(gateway.base_url) as inner:
    assert_type(inner, Client)

conversation = Conversation.read(Path("talk.ipynb"))
assert_type(conversation, Conversation)
assert_type(conversation.threads(), dict[str, int])
assert_type(conversation.thread(), list[Turn])
client.chat(conversation.messages("main"), model="glm-5")
client.chat([*conversation.messages(), {"role": "user", "content": "And then?"}], model="glm-5")

try:
    reply = client.chat(messages, model="glm-5")
except MixRouteError as error:
    assert_type(error.status, int | None)
    assert_type(error.code, str | None)
    assert_type(error.request_id, str | None)
    assert_type(error.partial, str)
