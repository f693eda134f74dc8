"""How many tokens a text will roughly take, where no gateway has counted yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mixroute_magic.wire import Message

__all__ = ["estimate_tokens"]

_BYTES_PER_TOKEN = 4
_TOKENS_PER_MESSAGE = 4


def estimate_tokens(messages: Iterable[Message]) -> int:
    """Return a rough count: a token is about four bytes of UTF-8, and a message takes about four more for its frame."""
    sizes = (len(message.text.encode("utf-8", "replace")) for message in messages)
    return sum(_TOKENS_PER_MESSAGE + -(-size // _BYTES_PER_TOKEN) for size in sizes)
