"""Images in messages: what the first bytes of their data say. The demo sees none of them and fetches none."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING

from .protocol import Image
from .refusals import unaccepted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["read_image"]

DATA_URL = re.compile(r"data:([^;,]*);base64,(.*)", re.DOTALL)
FORMATS = "['png', 'jpeg', 'gif', 'webp']"
FRAMES = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}  # a JPEG's size follows these


def read_image(url: str, param: str) -> Image:
    """Return what there is to know of an image, or raise `RefusedError` where an API would not take it."""
    if url.startswith(("http://", "https://")):
        return Image(url)
    found = DATA_URL.fullmatch(url)
    if not found:
        message = f"Invalid '{param}': expected an http(s) URL or a base64-encoded data URL."
        raise unaccepted(message, param, "invalid_image_url")
    try:
        data = base64.b64decode(found[2], validate=True)
    except binascii.Error:
        raise unaccepted("Invalid base64 image_url.", param, "invalid_base64") from None
    for media_type, size_of in SIZES.items():
        if size := size_of(data):
            return Image("", media_type, len(data), *size)
    message = "You uploaded an unsupported image. Please make sure your image is valid and of one of these formats: "
    raise unaccepted(f"{message}{FORMATS}.", param, "invalid_image_format")


Size = tuple[int, int] | None  # width and height in pixels; None for another format


def _png(data: bytes) -> Size:
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return None
    return int.from_bytes(data[16:20]), int.from_bytes(data[20:24])


def _gif(data: bytes) -> Size:
    if not data.startswith((b"GIF87a", b"GIF89a")):
        return None
    return int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little")


def _webp(data: bytes) -> Size:
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        return None
    if data[12:16] == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if data[12:16] == b"VP8L":  # 14 bits each
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF


def _jpeg(data: bytes) -> Size:
    """Step over the segments to the one that begins the frame."""
    if not data.startswith(b"\xff\xd8\xff"):
        return None
    start = 2
    while start + 9 <= len(data) and data[start + 1] not in FRAMES:
        start += 2 + max(2, int.from_bytes(data[start + 2 : start + 4]))
    return int.from_bytes(data[start + 7 : start + 9]), int.from_bytes(data[start + 5 : start + 7])


SIZES: Mapping[str, Callable[[bytes], Size]] = {
    "image/png": _png,
    "image/jpeg": _jpeg,
    "image/gif": _gif,
    "image/webp": _webp,
}
