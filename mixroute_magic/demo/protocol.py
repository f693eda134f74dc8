"""The values that travel between the parts of the demo, and how their tokens are counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "BYTES_PER_TOKEN",
    "Calling",
    "Ending",
    "Image",
    "Message",
    "Refusal",
    "RefusedError",
    "Tool",
    "ToolCall",
    "count_tokens",
    "encode",
    "first_tokens",
]

BYTES_PER_TOKEN = 4


def encode(text: str) -> bytes:
    """Return UTF-8; half a surrogate pair, which JSON can carry and UTF-8 cannot, becomes ``?``."""
    return text.encode("utf-8", "replace")


def count_tokens(text: str) -> int:
    """Estimate the tokens of a text: one for every four bytes of UTF-8, rounded up; every model counts differently."""
    return -(-len(encode(text)) // BYTES_PER_TOKEN)


def first_tokens(text: str, limit: int) -> str:
    """Return the beginning of a text that takes at most ``limit`` tokens."""
    return encode(text)[: limit * BYTES_PER_TOKEN].decode("utf-8", "ignore")


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that is an error: in JSON, or where there is a ``page``, in HTML."""

    status: int
    message: str
    code: str = ""
    type: str = "mixroute_error"
    param: str = ""
    retry_after: int | None = None
    page: str = ""

    def to_wire(self, request_id: str) -> dict[str, Any]:
        """Return the error in the form that new-api gives it."""
        message = f"{self.message} (request id: {request_id})"
        return {"error": {"message": message, "type": self.type, "param": self.param, "code": self.code}}


class RefusedError(Exception):
    """Carries a `Refusal` to where the response is written."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the client offers; ``parameters`` is the JSON schema of its arguments."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool; ``arguments`` is JSON text, and Gemini's ``signature`` stands on the first of several."""

    id: str
    name: str
    arguments: str
    signature: str = ""

    @property
    def tokens(self) -> int:
        """How many tokens it takes."""
        return count_tokens(self.name) + count_tokens(self.arguments)


@dataclass(frozen=True, slots=True)
class Image:
    """An image that was sent: what its data says of it, or where only its address came, nothing."""

    url: str
    media_type: str = ""
    size: int = 0
    width: int = 0
    height: int = 0


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it was received; ``reasoning`` is None where the client sent none back."""

    role: str
    content: str
    images: tuple[Image, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    reasoning: str | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """How a completion ends: after which share of its text, and with what.

    Without a ``finish_reason`` it breaks: with an ``error`` event, or else by a dropped connection.
    """

    share: float = 1.0
    finish_reason: str | None = "stop"
    error: Refusal | None = None


@dataclass(frozen=True, slots=True)
class Calling:
    """How tool calls are written: as OpenAI does, or with a fault that was seen at some provider.

    Parameters
    ----------
    name
        Called in place of the tool.
    share
        Of the arguments; less than 1 breaks their JSON.
    index
        ``each`` call has its own in a stream; or all have ``zero``; or they have ``none``.
    as_object
        The arguments come as an object, not as its text.
    finish_reason
        What ends the completion.
    again
        A call follows every result, for ever.
    """

    name: str = ""
    share: float = 1.0
    index: str = "each"
    as_object: bool = False
    finish_reason: str = "tool_calls"
    again: bool = False
