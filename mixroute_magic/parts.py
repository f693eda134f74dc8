"""Images among the parts of a message: references, whose bytes are elsewhere until a request is sent."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mixroute_magic.wire import Message

__all__ = ["MEDIA_TYPES", "Find", "ImageRef", "described", "images_in", "lost", "with_bytes"]

MEDIA_TYPES = ("image/png", "image/jpeg")
"""What is ever sent: all models take these, and all front ends and exporters show them."""

_IMAGE = "image"
_LONGEST_NAME = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRef:
    """An image by reference: its URL, or how it was named and the hash of its bytes; its size is in pixels."""

    source: str = ""
    url: str = ""
    media_type: str = MEDIA_TYPES[0]
    sha256: str = ""
    width: int = 0
    height: int = 0

    @classmethod
    def read(cls, part: Mapping[str, Any]) -> ImageRef:
        """Read a part of a message, which anybody may have written."""
        url, kind = _text(part, "url"), _text(part, "media_type")
        return cls(
            source=_text(part, "source"),
            url=url if url.lower().startswith(("http://", "https://")) else "",
            media_type=kind if kind in MEDIA_TYPES else MEDIA_TYPES[0],
            sha256=_text(part, "sha256"),
            width=_count(part, "width"),
            height=_count(part, "height"),
        )

    @property
    def name(self) -> str:
        """What it is called, on one line."""
        name = " ".join((self.source or self.url).split())
        return name if len(name) <= _LONGEST_NAME else f"…{name[-_LONGEST_NAME:]}"

    def to_json(self) -> dict[str, Any]:
        """Return the part of a message that a record keeps."""
        if self.url:
            return {"type": _IMAGE, "url": self.url}
        known = ("source", "media_type", "sha256", "width", "height")
        return {"type": _IMAGE, **{name: getattr(self, name) for name in known}}

    def to_wire(self, data: bytes | None) -> dict[str, Any]:
        """Return the part as it is sent, with the bytes in it; a text, where they are nowhere any more."""
        url = self.url
        if data is not None:
            url = f"data:{self.media_type};base64,{base64.b64encode(data).decode()}"
        if not url:
            return {"type": "text", "text": f"[image {self.name}: no longer available]"}
        return {"type": "image_url", "image_url": {"url": url}}


Find = Callable[[ImageRef], bytes | None]
"""Returns the bytes of an image; ``None`` where they are nowhere any more, or it is a URL."""


def images_in(messages: Iterable[Message]) -> list[ImageRef]:
    """Return the images that go with messages."""
    return [ImageRef.read(part) for message in messages for part in _parts(message) if part.get("type") == _IMAGE]


def lost(messages: Iterable[Message], find: Find) -> list[str]:
    """Return the names of the images whose bytes are nowhere any more."""
    return list(dict.fromkeys(image.name for image in images_in(messages) if not image.url and find(image) is None))


def with_bytes(messages: Iterable[Message], find: Find) -> tuple[Message, ...]:
    """Return messages with their images in them, in the wire's form."""

    def on_wire(part: Mapping[str, Any]) -> Mapping[str, Any]:
        if part.get("type") != _IMAGE:
            return part
        image = ImageRef.read(part)
        return image.to_wire(find(image))

    return tuple(
        replace(message, content=list(map(on_wire, _parts(message)))) if images_in([message]) else message
        for message in messages
    )


def described(message: Message) -> str:
    """Return the words of a message, and below them a line for each image that goes with it."""
    return "\n\n".join(filter(None, [message.text, *(f"[image {image.name}]" for image in images_in([message]))]))


def _parts(message: Message) -> list[Mapping[str, Any]]:
    return message.content if isinstance(message.content, list) else []


def _text(part: Mapping[str, Any], name: str) -> str:
    return value if isinstance(value := part.get(name), str) else ""


def _count(part: Mapping[str, Any], name: str) -> int:
    return value if isinstance(value := part.get(name), int) and value > 0 else 0
