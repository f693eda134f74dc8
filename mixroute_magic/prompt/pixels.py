"""Makes of any picture one that every model and every front end takes: a PNG or a JPEG that is not too large.

A file that is one already passes as it is. What a photo tells beside its pixels (place, time, camera, owner) never
passes. The only door to Pillow.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["LONGEST_SIDE", "MOST_BYTES", "Pixels", "UnreadableError", "fitted", "is_picture"]

LONGEST_SIDE = 2000
"""Pixels: providers scale down what is larger, and Claude takes no more once there are over 20 images in a request."""
MOST_BYTES = 3_900_000
"""Of a file: Claude takes 5 MiB of base64 (Anthropic's documentation, "Vision"), the others more."""

# Never all that Pillow knows: some of its decoders start other programs, or are hardly ever tried.
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "ICO", "JPEG2000", "TGA", "AVIF")
_MEDIA_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg"}
_IN_JPEG, _IN_PNG = ("L", "RGB"), ("L", "LA", "RGB", "RGBA", "I;16")
_PRIVATE = frozenset({"exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif", "photoshop", "comment"})
_ORIENTATION = 0x0112  # the tag's number in EXIF (CIPA DC-008)
_UPRIGHT = 1
_QUALITY = 90


class UnreadableError(Exception):
    """A value or a file is no picture that could be sent; ``hint`` says what to do."""

    def __init__(self, what: str, hint: str = "Open it elsewhere, and save it as PNG or JPEG.") -> None:
        super().__init__(what)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Pixels:
    """A picture as a file; ``change`` tells what was done to it that a person should know."""

    data: bytes
    media_type: str
    width: int
    height: int
    change: str = ""


def is_picture(value: object) -> bool:
    """Say whether a value is one of Pillow's images."""
    from PIL import Image

    return isinstance(value, Image.Image)


def fitted(given: bytes | Image) -> Pixels:
    """Return a picture, the content of a file or an image of Pillow's, as one that can be sent.

    Raises
    ------
    UnreadableError
        If it is none, or is damaged, or has more pixels than Pillow opens.
    """
    if given == b"":
        raise UnreadableError("it is empty", "See what is in it.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata, which does not pass
            warnings.filterwarnings("error", message=".*decompression bomb")
            if not isinstance(given, bytes):
                return _made(given)
            picture = _opened(given)
            return _as_it_is(picture, given) or _without_metadata(picture) or _made(picture)
    except UnreadableError:
        raise
    except Exception as error:  # Pillow's decoders raise whatever comes to them
        if "decompression bomb" in str(error):
            raise UnreadableError("it has more pixels than can be opened", "Save a smaller copy of it.") from None
        raise UnreadableError(f"it cannot be read: {' '.join(str(error).split())[:200]}") from error


def _opened(data: bytes) -> Image:
    """Open a file by its content, whatever its name, and read it to its end."""
    from PIL import Image, UnidentifiedImageError

    Image.init()
    try:
        picture = Image.open(BytesIO(data), formats=[known for known in _FORMATS if known in Image.OPEN])
    except UnidentifiedImageError:
        svg = b"<svg" in data[:2000]
        raise UnreadableError("this is an SVG drawing" if svg else "this is no image that can be read here") from None
    picture.load()
    return picture


def _as_it_is(picture: Image, data: bytes) -> Pixels | None:
    """Return a file unchanged, if nothing speaks against it."""
    plain = picture.format in _MEDIA_TYPES and picture.mode in {*_IN_PNG, "1", "P"} and not _moves(picture)
    if not plain or _PRIVATE & picture.info.keys() or max(picture.size) > LONGEST_SIDE or len(data) > MOST_BYTES:
        return None
    return Pixels(data, _MEDIA_TYPES[str(picture.format)], *picture.size)


def _without_metadata(picture: Image) -> Pixels | None:
    """Return a JPEG that needs no other change, with its own quality."""
    upright = picture.getexif().get(_ORIENTATION, _UPRIGHT) == _UPRIGHT
    if picture.format != "JPEG" or picture.mode not in _IN_JPEG or max(picture.size) > LONGEST_SIDE or not upright:
        return None
    data = _file(picture, "JPEG", quality="keep")
    return Pixels(data, "image/jpeg", *picture.size) if len(data) <= MOST_BYTES else None


def _made(picture: Image) -> Pixels:
    """Return a new file: what came as a JPEG stays one, all else is a PNG as long as that is small enough."""
    from PIL import ImageOps

    image = _in_mode(ImageOps.exif_transpose(picture), _IN_PNG)
    size = image.size
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    kind = "JPEG" if picture.format in {"JPEG", "MPO"} else "PNG"
    data = b"" if kind == "JPEG" else _file(image, kind)
    if kind == "JPEG" or len(data) > MOST_BYTES:
        kind, image = "JPEG", _opaque(image)
        data = _file(image, kind, quality=_QUALITY)
    while len(data) > MOST_BYTES:
        image.thumbnail((image.width * 3 // 4, image.height * 3 // 4))
        data = _file(image, kind, quality=_QUALITY)
    changes = ["" if image.size == size else f"downscaled from {_size(size)} to {_size(image.size)}"]
    changes += ["is sent as its first picture"] if _moves(picture) else []
    return Pixels(data, _MEDIA_TYPES[kind], *image.size, " and ".join(filter(None, changes)))


def _in_mode(image: Image, modes: tuple[str, ...]) -> Image:
    """Return an image in a mode that can be scaled and written."""
    if image.mode in modes:
        return image
    image.info.pop("icc_profile", None)  # of the colours that it had
    if image.mode == "1":
        return image.convert("L")
    return image.convert("RGBA" if image.has_transparency_data and "RGBA" in modes else "RGB")


def _opaque(image: Image) -> Image:
    """Return an image as it looks on white paper."""
    from PIL import Image

    if image.mode == "I;16":
        return image.point(lambda value: value * (1 / 256)).convert("L")
    if not image.has_transparency_data:
        return _in_mode(image, _IN_JPEG)
    image = image.convert("RGBA")
    paper = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(paper, image).convert("RGB")


def _file(image: Image, kind: str, **options: Any) -> bytes:
    """Write an image with its colour profile, and with nothing else beside its pixels."""
    file = BytesIO()
    image.save(file, kind, exif=b"", comment=b"", icc_profile=image.info.get("icc_profile"), **options)
    return file.getvalue()


def _moves(picture: Image) -> bool:
    return picture.format != "MPO" and bool(getattr(picture, "is_animated", False))


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]} × {size[1]}"
