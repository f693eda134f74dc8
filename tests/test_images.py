"""Images that go with a question: what ``--image`` takes, what of it is sent, and how it is found again."""

from __future__ import annotations

import base64
import hashlib
import os
import random
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from IPython import display
from matplotlib.figure import Figure
from PIL import Image as Pillow

from mixroute_magic.conversation.pictures import Displayed, Pictures, saved_images
from mixroute_magic.errors import TemplateError
from mixroute_magic.parts import ImageRef
from mixroute_magic.prompt.images import Image, read_image
from mixroute_magic.prompt.pixels import LONGEST_SIDE, MOST_BYTES
from mixroute_magic.usage.estimate import estimate_tokens
from mixroute_magic.wire import Message

if TYPE_CHECKING:
    from collections.abc import Callable

PLACE, ORIENTATION, MAKER = 0x8825, 0x0112, 0x010F  # tags of EXIF
SECRET = "Owner's camera"


def picture(width: int = 40, height: int = 30, mode: str = "RGB") -> Pillow.Image:
    """Return an image whose left half is red."""
    made = Pillow.new("RGB", (width, height), "white")
    made.paste((200, 0, 0), (0, 0, width // 2, height))
    return made.convert(mode)


def noise(width: int, height: int, mode: str = "RGB") -> Pillow.Image:
    """Return an image that no format makes small."""
    size = width * height * len(Pillow.new(mode, (1, 1)).getbands())
    return Pillow.frombytes(mode, (width, height), random.Random(5).randbytes(size))


def saved(image: Pillow.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def opened(image: Image) -> Pillow.Image:
    return Pillow.open(BytesIO(image.data))


def exif(**tags: int) -> Pillow.Exif:
    made = Pillow.Exif()
    made[MAKER] = SECRET
    made[ORIENTATION] = tags.get("orientation", 1)
    made.get_ifd(PLACE)[1] = "N"
    return made


def figure() -> Figure:
    made = Figure()
    made.subplots().plot([1, 2, 3])
    return made


def inner_axes() -> Any:
    left, _ = Figure().subfigures(1, 2)
    return left.subplots()


class Shows:
    """An object that shows itself as an image, as IPython's protocol has it."""

    def __init__(self, method: str, shown: Any) -> None:
        setattr(self, method, lambda: shown)


class Folder:
    """The folder of a notebook; with its variables, and what its cells showed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.names: dict[str, Any] = {}
        self.shown: dict[int, Any] = {}

    def read(self, ref: str) -> Image:
        return read_image(ref, self.names, output=self.shown.get, folders=[self.path])

    def refused(self, ref: str) -> list[str]:
        with pytest.raises(TemplateError) as caught:
            self.read(ref)
        lines = caught.value.lines()
        assert len(lines) == 2
        assert lines[0].endswith("nothing was sent.")
        return lines


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


PNG = saved(picture())
JPEG = saved(picture(), "JPEG")
VALUES: dict[str, Callable[[], Any]] = {
    "bytes": lambda: PNG,
    "bytearray": lambda: bytearray(PNG),
    "memoryview": lambda: memoryview(PNG),
    "PIL image": picture,
    "figure": figure,
    "axes": lambda: figure().gca(),
    "axes of a part of a figure": inner_axes,
    "IPython's image": lambda: display.Image(PNG),
    "png": lambda: Shows("_repr_png_", PNG),
    "png as base64": lambda: Shows("_repr_png_", base64.b64encode(PNG).decode()),
    "png with metadata": lambda: Shows("_repr_png_", (PNG, {"width": 4})),
    "jpeg": lambda: Shows("_repr_jpeg_", JPEG),
}


@pytest.mark.parametrize("kind", VALUES)
def test_a_variable_is_sent_as_an_image(folder: Folder, kind: str) -> None:
    folder.names["it"] = VALUES[kind]()
    image = folder.read("it")
    assert image.source == "it"
    assert image.media_type == ("image/jpeg" if kind == "jpeg" else "image/png")
    assert opened(image).size == (image.width, image.height)
    assert image.notice == ""
    assert image.part()["sha256"] == image.sha256


@pytest.mark.parametrize("kind", VALUES)
def test_an_output_is_sent_as_an_image(folder: Folder, kind: str) -> None:
    folder.shown[3] = VALUES[kind]()
    assert {folder.read(ref).source for ref in ("out(3)", "Out[3]", " out( 3 ) ")} == {"out(3)"}


def test_a_figure_is_drawn_as_a_cell_shows_it(folder: Folder) -> None:
    folder.names["fig"] = figure()
    first, second = folder.read("fig"), folder.read("fig")
    assert first.data == second.data  # so that a re-run asks the same
    assert 300 < first.width < 640  # without the margins


def test_a_file_is_found_by_any_path(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder.path / "data").mkdir()
    file = folder.path / "data" / "a b.png"
    file.write_bytes(PNG)
    monkeypatch.setenv("HOME", str(folder.path))
    folder.names |= {"where": file, "text": "data/a b.png"}
    for ref in ("data/a b.png", str(file), "~/data/a b.png", "where", "text"):
        assert folder.read(ref).data == PNG
        assert folder.read(ref).source == ref


def test_the_first_folder_that_has_the_file_counts(folder: Folder) -> None:
    for name in ("first", "second"):
        (folder.path / name).mkdir()
    (folder.path / "second" / "a.png").write_bytes(PNG)
    folders = [folder.path / "first", folder.path / "second"]
    assert read_image("a.png", {}, output=lambda _: None, folders=folders).data == PNG


def test_a_variable_goes_before_a_file(folder: Folder) -> None:
    (folder.path / "plot").write_bytes(JPEG)
    assert folder.read("plot").media_type == "image/jpeg"
    folder.names["plot"] = PNG
    assert folder.read("plot").media_type == "image/png"
    folder.names["圖"] = PNG
    assert folder.read("圖").data == PNG


@pytest.mark.parametrize("url", ["https://example.org/a.png", "HTTP://example.org:81/%E5%9C%96?x=1"])
def test_a_url_is_sent_as_it_is(folder: Folder, url: str) -> None:
    folder.names |= {"url": url, "image": display.Image(url=url)}
    for ref in (url, "url", "image"):
        assert folder.read(ref).part() == {"type": "image", "url": url}


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_good_file_passes_unchanged_whatever_its_name(folder: Folder, kind: str) -> None:
    data = saved(picture(), kind)
    (folder.path / "picture.gif").write_bytes(data)
    image = folder.read("picture.gif")
    assert image.data == data
    assert image.media_type == f"image/{kind.lower()}"


@pytest.mark.parametrize("kind", ["WEBP", "GIF", "BMP", "TIFF", "PPM", "ICO", "JPEG2000", "TGA"])
def test_other_formats_become_a_png(folder: Folder, kind: str) -> None:
    folder.names["it"] = saved(picture(), kind)
    image = folder.read("it")
    assert image.media_type == "image/png"
    assert opened(image).format == "PNG"
    red, *_ = opened(image).convert("RGB").getpixel((2, 2))
    assert red > 150


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "F", "YCbCr"])
@pytest.mark.parametrize("size", [(40, 30), (LONGEST_SIDE * 2, 30)])
def test_all_kinds_of_pixels_can_be_sent(folder: Folder, mode: str, size: tuple[int, int]) -> None:
    folder.names["it"] = picture(*size, mode="L").convert("I;16") if mode == "I;16" else picture(*size, mode=mode)
    assert folder.read("it").width == min(size[0], LONGEST_SIDE)


def test_the_colours_of_a_printed_photo_are_kept_roughly(folder: Folder) -> None:
    folder.names["it"] = saved(picture(mode="CMYK"), "JPEG", icc_profile=b"of other colours")
    image = folder.read("it")
    assert opened(image).mode == "RGB"
    assert "icc_profile" not in opened(image).info


def test_what_is_too_large_is_downscaled_and_that_is_told(folder: Folder) -> None:
    (folder.path / "photos").mkdir()
    (folder.path / "photos" / "photo.jpg").write_bytes(saved(picture(6000, 4000), "JPEG"))
    image = folder.read("photos/photo.jpg")
    assert (image.width, image.height) == opened(image).size == (2000, 1333)
    assert image.media_type == "image/jpeg"
    assert image.notice == "photo.jpg downscaled from 6000 × 4000 to 2000 × 1333"


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "I;16"])
def test_what_has_too_many_bytes_becomes_a_jpeg(folder: Folder, mode: str) -> None:
    grey = noise(1500, 3000, "L")
    deep = Pillow.frombytes("I;16", (1500, 1500), grey.tobytes())
    folder.names["it"] = saved(deep if mode == "I;16" else noise(1500, 1500, mode))
    assert len(folder.names["it"]) > MOST_BYTES
    image = folder.read("it")
    assert image.media_type == "image/jpeg"
    assert len(image.data) <= MOST_BYTES
    assert image.notice == ""


def test_a_jpeg_of_too_many_bytes_is_written_again(folder: Folder) -> None:
    folder.names["it"] = saved(noise(2000, 2000), "JPEG", quality=100, subsampling=0)
    assert len(folder.names["it"]) > MOST_BYTES
    assert len(folder.read("it").data) <= MOST_BYTES
    assert folder.read("it").width == 2000


def test_what_stays_too_large_as_a_jpeg_is_downscaled(folder: Folder) -> None:
    hard = noise(2000, 2000).point(lambda value: 255 * (value > 127))
    folder.names["it"] = saved(hard, "JPEG", quality=100)
    image = folder.read("it")
    assert len(image.data) <= MOST_BYTES
    assert image.notice == "it downscaled from 2000 × 2000 to 1500 × 1500"


def test_a_photo_stands_upright(folder: Folder) -> None:
    folder.names["it"] = saved(picture(40, 20), "JPEG", exif=exif(orientation=6))
    image = folder.read("it")
    assert (image.width, image.height) == opened(image).size == (20, 40)
    top, bottom = (opened(image).getpixel((10, y)) for y in (3, 37))
    assert top[1] < 80 < bottom[1]  # the red half is above


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_place_and_owner_of_a_photo_are_left_out(folder: Folder, kind: str) -> None:
    comment = {"comment": SECRET.encode(), "quality": 30} if kind == "JPEG" else {}
    folder.names["it"] = saved(picture(), kind, exif=exif(), **comment)
    assert SECRET.encode() in folder.names["it"]
    image = folder.read("it")
    assert SECRET.encode() not in image.data
    assert not opened(image).getexif()
    assert image.notice == ""
    if kind == "JPEG":  # with the quality that it had
        assert opened(image).quantization == Pillow.open(BytesIO(folder.names["it"])).quantization


def test_an_image_of_the_notebook_is_not_changed(folder: Folder) -> None:
    given = folder.names["it"] = Pillow.open(BytesIO(saved(picture(4000, 20), "JPEG", exif=exif(orientation=6))))
    assert folder.read("it").height == LONGEST_SIDE
    assert given.size == (4000, 20)
    assert given.getexif()[MAKER] == SECRET


def test_of_a_moving_image_the_first_picture_is_sent(folder: Folder) -> None:
    frames = [picture(), picture(mode="L").convert("RGB")]
    (folder.path / "clip.gif").write_bytes(saved(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert folder.read("clip.gif").notice == "clip.gif is sent as its first picture"


FILES: dict[str, bytes] = {
    "empty.png": b"",
    "cut.png": PNG[:-40],
    "cut.jpg": saved(picture(400, 300), "JPEG")[:900],
    "drawing.svg": b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>',
    "notes.txt": b"no image",
    "page.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "bomb.png": saved(Pillow.new("1", (10_000, 10_000))),
    "bigger bomb.png": saved(Pillow.new("1", (20_000, 10_000))),
}
REFUSED = {
    "empty.png": "it is empty",
    "cut.png": "it cannot be read: .*truncated",
    "cut.jpg": "it cannot be read: .*truncated",
    "drawing.svg": "this is an SVG drawing",
    "notes.txt": "this is no image that can be read here",
    "page.eps": "this is no image that can be read here",
    "bomb.png": "it has more pixels than can be opened",
    "bigger bomb.png": "it has more pixels than can be opened",
    "folder": "this is a folder",
    "pipe": "this is no file that could be read to its end",
    "huge.png": "the file has 200 MB",
    "missing.png": "there is no such variable and no such file",
    "\x00": "there is no such variable and no such file",
    "~nobody-of-this-name/a.png": "there is no such variable and no such file",
    "x" * 5000: "there is no such variable and no such file",
    "out(7)": r"cell \[7\] shows no image",
    "out(8)": r"cell \[8\] shows no image",
    "data:image/png;base64,AAAA": "a data: URL cannot be given",
    "file:///etc/passwd": "of URLs, http:// and https:// can be sent",
    "ftp://example.org/a.png": "of URLs, http:// and https:// can be sent",
    "https://": "this is no complete URL",
    "https://[::1/a.png": "this is no complete URL",
    "https://example.org/a b.png": "this is no complete URL",
    "https://ada:s3cret@example.org/a.png": "this URL holds a user name or a password",
    "number": "a value of type int is no image",
    "array": "a value of type ndarray is no image",
    "nothing": "a value of type NoneType is no image",
    "kind": "a value of type type is no image",
    "none_shown": "a value of type Shows is no image",
    "gone": "the file that it names, gone.png, does not exist",
    "as_bytes": "the file that it names, .*, does not exist",
    "no_bytes": "it is empty",
    "broken": "the figure cannot be drawn: ValueError",
    "unshown": "it cannot be shown: ZeroDivisionError",
}


class Unshown:
    def _repr_png_(self) -> float:
        return 1 / 0


@pytest.fixture
def full_folder(folder: Folder) -> Folder:
    numpy = pytest.importorskip("numpy")
    for name, data in FILES.items():
        (folder.path / name).write_bytes(data)
    (folder.path / "folder").mkdir()
    os.mkfifo(folder.path / "pipe")
    with (folder.path / "huge.png").open("wb") as file:
        file.truncate(200_000_000)
    broken = figure()
    broken.suptitle("$\\frac{$")
    folder.shown[8] = 8
    folder.names |= {
        "number": 3,
        "array": numpy.zeros((3, 3)),
        "nothing": None,
        "kind": Shows,
        "none_shown": Shows("_repr_png_", None),
        "gone": Path("gone.png"),
        "as_bytes": type("Named", (), {"__fspath__": lambda _: b"gone.png"})(),
        "no_bytes": b"",
        "broken": broken,
        "unshown": Unshown(),
    }
    return folder


@pytest.mark.parametrize("ref", REFUSED)
def test_what_cannot_be_sent_is_refused_in_two_lines(full_folder: Folder, ref: str) -> None:
    first, hint = full_folder.refused(ref)
    assert len(first) < 200
    assert "s3cret" not in first + hint
    with pytest.raises(TemplateError, match=REFUSED[ref]):
        full_folder.read(ref)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="only Linux has a file that can be opened and not read")
def test_a_file_that_cannot_be_read_is_told(folder: Folder) -> None:
    assert "the file cannot be read: Input/output error" in folder.refused("/proc/self/mem")[0]


@pytest.mark.parametrize(
    ("ref", "near"),
    [("figg", "fig"), ("photo.jpgg", "photo.jpg"), ("data/fotos.png", "data/photos.png"), ("Photo.JPG", "photo.jpg")],
)
def test_what_is_missing_is_told_with_its_neighbours(folder: Folder, ref: str, near: str) -> None:
    folder.names |= {"fig": figure(), "_hidden": 1}
    (folder.path / "data").mkdir()
    for name in ("photo.jpg", "data/photos.png", "data/.hidden.png"):
        (folder.path / name).write_bytes(PNG)
    assert folder.refused(ref)[1] == f"Did you mean {near}?"


def test_drawing_a_figure_needs_no_matplotlib_here() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from mixroute_magic.prompt.images import read_image\n"
        "try: read_image('it', {'it': object()}, output=None, folders=[])\n"
        "except Exception as error: print(error)\n"
        "print('matplotlib' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "False"


def message(kind: str, data: Any, *, parent: str = "execute_request", request: str = "1") -> dict[str, Any]:
    content = {"data": data} if isinstance(data, dict) else data
    return {"parent_header": {"msg_id": request, "msg_type": parent}, "msg_type": kind, "content": content}


def heard(*shown: bytes | str, cell: str = "a", number: int = 1, displayed: Displayed | None = None) -> Displayed:
    """Return what knows the images of a cell that has run."""
    displayed = displayed or Displayed()
    for data in shown:
        displayed.hear(message("display_data", {"image/png": data}))
    displayed.ended(cell, number)
    return displayed


def reference(data: bytes, source: str = "red.png") -> ImageRef:
    return ImageRef(source=source, sha256=hashlib.sha256(data).hexdigest())


class TestDisplayed:
    def test_what_is_no_image_passes_by(self) -> None:
        displayed = Displayed()
        odd = [None, {}, {"parent_header": {}}, message("display_data", 3), message("stream", {"name": "stdout"})]
        odd += [
            message("display_data", {"image/png": 3}),
            message("display_data", {"image/png": PNG}, parent="comm_msg"),
        ]
        assert all(displayed.hear(one) is one for one in odd)
        displayed.ended("a", 1)
        assert displayed.last(1) is None

    def test_what_is_no_base64_is_no_image(self) -> None:
        assert not heard("a").last(1)

    def test_lines_and_bytes_of_a_file_are_the_same(self) -> None:
        lines = base64.encodebytes(PNG).decode()
        assert heard(PNG).last(1) == heard(lines).last(1) == PNG

    def test_an_image_stands_until_its_cell_runs_again(self) -> None:
        sha256 = reference(PNG).sha256
        displayed = heard(PNG)
        assert displayed.stands(sha256, besides="b")
        assert not displayed.stands(sha256, besides="a")
        heard(JPEG, number=2, displayed=displayed)
        assert not displayed.stands(sha256, besides="b")
        assert displayed.find(sha256) is None

    def test_the_oldest_are_forgotten(self) -> None:
        displayed = Displayed()
        for number in range(4):
            heard(bytes([number]) * 20_000_000, cell=str(number), number=number, displayed=displayed)
        assert [displayed.last(number) is None for number in range(4)] == [True, True, False, False]


class TestPictures:
    def test_the_oldest_are_forgotten(self) -> None:
        pictures = Pictures(Displayed())
        images = [bytes([number]) * 30_000_000 for number in range(3)]
        for data in images:
            pictures.keep(data)
        found = [pictures.find(reference(data), None, lambda _: None) for data in images]
        assert found == [None, *images[1:]]

    def test_what_a_cell_shows_is_found(self) -> None:
        pictures = Pictures(heard(PNG))
        assert pictures.find(reference(PNG), None, lambda _: None) == PNG
        assert pictures.find(reference(JPEG), None, lambda _: None) is None
        assert pictures.find(ImageRef(source="a"), None, lambda _: None) is None

    @pytest.mark.parametrize(
        "source", ["~/a.png", "/home/ada/a.png", "../a.png", "x/../../a.png", "https://x/a.png", "file:///a.png"]
    )
    def test_no_record_makes_it_open_a_file_elsewhere(self, source: str) -> None:
        opened: list[str] = []
        pictures = Pictures(Displayed())
        for name in (source, "images/a.png"):
            assert pictures.find(reference(PNG, name), None, opened.append) is None
        assert opened == ["images/a.png"]

    @pytest.mark.parametrize(
        "content", [b"", b"{", b"[]", b'{"cells": [3]}', b'{"cells": [{"outputs": [{"data": 3}]}]}']
    )
    def test_a_file_that_is_no_notebook_holds_none(self, folder: Folder, content: bytes) -> None:
        (folder.path / "a.ipynb").write_bytes(content)
        assert saved_images(folder.path / "a.ipynb") == saved_images(folder.path / "b.ipynb") == {}


def test_a_record_that_anybody_wrote_is_read_as_far_as_it_is_one() -> None:
    odd = {"type": "image", "source": 3, "url": "file:///a", "media_type": "text/html", "sha256": None, "width": -1}
    assert ImageRef.read(odd) == ImageRef()
    assert ImageRef.read(odd).to_wire(None) == {"type": "text", "text": "[image : no longer available]"}
    known = ImageRef(source="a", media_type="image/jpeg", sha256="0", width=3, height=4)
    assert ImageRef.read(known.to_json()) == known
    assert ImageRef(source=f"x/{'y' * 99}").name == f"…{'y' * 60}"


def test_images_count_in_an_estimate() -> None:
    def tokens(**image: Any) -> int:
        return estimate_tokens([Message("user", [{"type": "text", "text": "What?"}, {"type": "image", **image}])])

    words = estimate_tokens([Message("user", "What?")])
    assert tokens(width=750, height=300) == words + 300
    assert tokens(width=2000, height=2000) == tokens(url="https://x/a.png") == words + 1600
