"""``--image REF``: a picture of the notebook, of a file or of the web, in a form that models take.

matplotlib is never imported here: where no cell has done it, there is no figure.
"""

from __future__ import annotations

import base64
import hashlib
import re
import stat
import sys
import unicodedata
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from inspect import isclass
from io import BytesIO
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mixroute_magic.errors import TemplateError
from mixroute_magic.parts import ImageRef
from mixroute_magic.prompt.pixels import UnreadableError, fitted, is_picture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

__all__ = ["Image", "read_image"]

_OUTPUT = re.compile(r"out\s*[(\[]\s*(\d{1,9})\s*[)\]]", re.IGNORECASE)
_LARGEST_FILE = 100_000_000  # bytes
_LONGEST_NAME = 60
_TAKEN = "Give a path, a URL, out(3), or a variable: bytes, a PIL image, a matplotlib figure."


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image that goes with a question: its bytes, or else a URL, which only the gateway opens.

    ``source`` is how it was named; width and height are in pixels; ``notice`` says what was changed, if anything was.
    """

    source: str
    url: str = ""
    data: bytes = b""
    media_type: str = ""
    width: int = 0
    height: int = 0
    notice: str = ""

    @property
    def sha256(self) -> str:
        """The hash of the bytes, by which they are found again."""
        return hashlib.sha256(self.data).hexdigest()

    def part(self) -> dict[str, Any]:
        """Return the part of a message that stands for it: a reference, without the bytes."""
        if self.url:
            return ImageRef(url=self.url).to_json()
        known = {"source": self.source, "media_type": self.media_type, "sha256": self.sha256}
        return ImageRef(**known, width=self.width, height=self.height).to_json()


def read_image(ref: str, names: Mapping[str, Any], *, output: Callable[[int], Any], folders: Sequence[Path]) -> Image:
    """Return the image that a word of ``--image`` names.

    Parameters
    ----------
    ref
        A URL; ``out(3)``; a variable; or a path. A variable goes before a file of the same name.
    names
        The notebook's variables.
    output
        Returns the last image that the cell with this number showed, in a form that a variable may have.
    folders
        Where relative paths begin; the first that has the file counts.

    Raises
    ------
    TemplateError
        If there is no such thing, or it is no image that could be sent.
    """
    ref = ref.strip()
    if found := _OUTPUT.fullmatch(ref):
        return _of_output(int(found[1]), output)
    name = unicodedata.normalize("NFKC", ref)  # as Python reads identifiers
    if name.isidentifier() and name in names:
        return _of_variable(name, names[name], folders)
    if (read := _of_text(ref, ref, folders)) is not None:
        return read
    near = _near(ref, names, folders)
    hint = f"Did you mean {' or '.join(near)}?" if near else _TAKEN
    raise TemplateError(f"--image {_short(ref)}: there is no such variable and no such file; nothing was sent.", hint)


def _of_output(number: int, output: Callable[[int], Any]) -> Image:
    source = f"out({number})"
    value = output(number)
    image = None if value is None else _of_value(value, source)
    if image is None:
        hint = "The number is the one in brackets beside a cell that was run: out(3) is an image below cell [3]."
        raise TemplateError(f"--image {source}: cell [{number}] shows no image; nothing was sent.", hint)
    return image


def _of_variable(name: str, value: Any, folders: Sequence[Path]) -> Image:
    image: Image | None
    if isinstance(value, str | PathLike):
        text = fspath(value)
        image = _of_text(text, name, folders) if isinstance(text, str) else None
        if image is None:
            what = f"the file that it names, {_short(str(text))}, does not exist"
            raise _refused(name, what, "Correct it, and run that cell and this one again.")
    else:
        image = _of_value(value, name)
    if image is None:
        kind = type(value).__name__
        of_numbers = "Make a picture of it first: PIL.Image.fromarray(…), or a figure with plt.imshow(…)."
        raise _refused(
            name, f"a value of type {kind} is no image", of_numbers if kind in {"ndarray", "Tensor"} else _TAKEN
        )
    return image


def _of_text(text: str, source: str, folders: Sequence[Path]) -> Image | None:
    """Read a URL or a file; ``None`` where there is no such file."""
    scheme = text.partition("://")[0].lower() if "://" in text else ""
    if scheme in {"http", "https"}:
        return _of_url(text, source)
    if text.lower().startswith("data:"):
        raise _refused(source, "a data: URL cannot be given", "Put its bytes into a variable, and name that.")
    if scheme:
        raise _refused(source, "of URLs, http:// and https:// can be sent", "A file is given as its path.")
    path = _existing(text, folders)
    return None if path is None else _sent(_content(path, source), source)


def _of_url(url: str, source: str) -> Image:
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        host = None
    if not host or re.search(r"[\s\x00-\x1f\x7f]", url):
        raise _refused(source, "this is no complete URL", "Copy it once more from the browser's address line.")
    if parts.username or parts.password:
        shown = source.replace(url, f"{parts.scheme}://…@{host}")
        raise _refused(shown, "this URL holds a user name or a password", "Download the image and name the file.")
    return Image(source=source, url=url)


def _existing(text: str, folders: Sequence[Path]) -> Path | None:
    try:
        path = Path(text).expanduser()
        return next((one for folder in folders if (one := folder / path).exists()), None)
    except (OSError, ValueError, RuntimeError):  # a name that no file can have, or no home folder
        return None


def _content(path: Path, source: str) -> bytes:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise _refused(source, "this is a folder", "Name one image in it.")
        if not stat.S_ISREG(status.st_mode):
            raise _refused(source, "this is no file that could be read to its end", _TAKEN)
        if status.st_size > _LARGEST_FILE:
            raise _refused(source, f"the file has {status.st_size // 1_000_000:,} MB", "Save a smaller copy of it.")
        return path.read_bytes()
    except OSError as error:
        raise _refused(
            source, f"the file cannot be read: {error.strerror or error}", "Check its permissions."
        ) from None


def _of_value(value: Any, source: str) -> Image | None:
    """Read a value of the notebook; ``None`` where it is no image."""
    if _is_a(value, "IPython.core.display", "Image") and value.url and not value.data:
        return _of_url(str(value.url), source)
    picture = _picture(value, source)
    return None if picture is None else _sent(picture, source)


def _picture(value: Any, source: str) -> Any:
    """Return a value as the content of a file or as an image of Pillow's; ``None`` where it can be neither."""
    if isinstance(value, bytes | bytearray | memoryview) or is_picture(value):
        return value if is_picture(value) else bytes(value)
    if (figure := _figure(value)) is not None:
        return _drawn(figure, source)
    if _is_a(value, "IPython.core.display", "Image"):
        return _binary(value.data)
    methods = [getattr(value, name, None) for name in ("_repr_png_", "_repr_jpeg_") if not isclass(value)]
    shown = (_shown(show, source) for show in methods if callable(show))
    return next(filter(None, shown), None)


def _is_a(value: object, module: str, kind: str) -> bool:
    """Say whether a value is of a class whose module some cell has imported."""
    known = getattr(sys.modules.get(module), kind, None)
    return known is not None and isinstance(value, known)


def _figure(value: Any) -> Any:
    """Return the matplotlib figure that a value is or belongs to, as axes do; their figure may be part of one."""
    for _ in range(3):
        if _is_a(value, "matplotlib.figure", "Figure"):
            return value
        if not (_is_a(value, "matplotlib.artist", "Artist") or hasattr(value, "savefig")):  # seaborn's grids
            return None
        value = getattr(value, "figure", None)
    return None


def _drawn(figure: Any, source: str) -> bytes:
    """Draw a figure as it is shown below a cell."""
    drawn = BytesIO()
    try:
        figure.savefig(drawn, format="png", bbox_inches="tight")
    except Exception as error:
        raise _refused(source, f"the figure cannot be drawn: {_one_line(error)}", "plt.show() says more.") from error
    return drawn.getvalue()


def _shown(show: Callable[[], Any], source: str) -> bytes:
    """Return what an object shows of itself in a notebook: as bytes or base64, perhaps with metadata beside it."""
    try:
        shown = show()
        return _binary(shown[0] if isinstance(shown, tuple) else shown)
    except Exception as error:
        raise _refused(source, f"it cannot be shown: {_one_line(error)}", "Show it in a cell of its own.") from error


def _binary(data: Any) -> bytes:
    if isinstance(data, str):
        return base64.b64decode(data)
    return bytes(data) if isinstance(data, bytes | bytearray | memoryview) else b""


def _sent(picture: Any, source: str) -> Image:
    try:
        made = fitted(picture)
    except UnreadableError as error:
        raise _refused(source, str(error), error.hint) from error
    name = re.split(r"[\\/]", source)[-1]
    return Image(
        source=source,
        data=made.data,
        media_type=made.media_type,
        width=made.width,
        height=made.height,
        notice=f"{_short(name)} {made.change}" if made.change else "",
    )


def _near(ref: str, names: Iterable[str], folders: Sequence[Path]) -> list[str]:
    """Return variables, and files of the same folder, whose names are like this one."""
    known = {name.lower(): name for name in names if not name.startswith("_")}
    path = Path(ref)
    for folder in folders:
        with suppress(OSError, ValueError, RuntimeError):  # no such folder, or no such home
            there = (file.name for file in (folder / path.parent.expanduser()).iterdir())
            files = [str(path.parent / name) for name in there if not name.startswith(".")]
            known |= {file.lower(): file for file in files}
    return [known[name] for name in get_close_matches(str(path).lower(), known)]


def _refused(source: str, what: str, hint: str) -> TemplateError:
    return TemplateError(f"--image {_short(source)}: {what}; nothing was sent.", hint)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_NAME else f"…{line[-_LONGEST_NAME:]}"


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
