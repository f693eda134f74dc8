"""How many tokens a text will roughly take, where no gateway has counted yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixroute_magic.parts import images_in

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mixroute_magic.parts import ImageRef
    from mixroute_magic.wire import Message

__all__ = ["estimate_tokens"]

_BYTES_PER_TOKEN = 4
_TOKENS_PER_MESSAGE = 4
_PIXELS_PER_TOKEN, _MOST_TOKENS = 750, 1_600  # of an image (Anthropic's documentation, "Vision"); others differ


def estimate_tokens(messages: Iterable[Message]) -> int:
    """Return a rough count: a token is about four bytes of UTF-8, and a message takes about four more for its frame.

    Images count by their pixels; one that is a URL as a large one.
    """
    messages = list(messages)
    sizes = (len(message.text.encode("utf-8", "replace")) for message in messages)
    words = sum(_TOKENS_PER_MESSAGE + -(-size // _BYTES_PER_TOKEN) for size in sizes)
    return words + sum(map(_of_image, images_in(messages)))


def _of_image(image: ImageRef) -> int:
    tokens = -(-image.width * image.height // _PIXELS_PER_TOKEN)
    return min(tokens or _MOST_TOKENS, _MOST_TOKENS)
