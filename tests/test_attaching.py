"""``%%chat --image`` in a real kernel: what is sent, what stands in the notebook, and what is found again."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from kernels import KEY, Document, Kernel, environment
from nbclient import NotebookClient
from nbconvert import HTMLExporter, MarkdownExporter
from PIL import Image
from scripted import ScriptedGateway, scripted, whole

from mixroute_magic import Conversation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kernels import Ran

MODEL = "gpt-4o"  # the default takes no images
PLOT = "import matplotlib.pyplot as plt\nfig, ax = plt.subplots(figsize=(4, 3))\nax.plot([1, 2, 3])\n"


def file(color: str, kind: str = "PNG", size: tuple[int, int] = (60, 40)) -> bytes:
    made = BytesIO()
    Image.new("RGB", size, color).save(made, kind)
    return made.getvalue()


RED, BLUE = file("red"), file("blue", "JPEG")


def sent(gateway: ScriptedGateway, request: int = -1) -> list[bytes | str]:
    """Return the images of a request: their bytes, or their URLs."""
    messages = gateway.bodies[request]["messages"]
    parts = [part for message in messages if isinstance(message["content"], list) for part in message["content"]]
    urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    return [base64.b64decode(url.partition(",")[2]) if url.startswith("data:") else url for url in urls]


def shown(ran: Ran) -> list[bytes]:
    """Return the images that stand below a cell."""
    data = [output.data for output in ran.outputs if "data" in output]
    return [base64.b64decode(one[kind]) for one in data for kind in one if kind.startswith("image/")]


def turn(ran: Ran) -> dict[str, Any]:
    (record,) = (record for record in ran.records if record["kind"] == "turn")
    return record


def number_cell(path: Path, number: int) -> None:
    """Save the number of a notebook's only cell, as a page does."""
    notebook = nbformat.read(path, 4)
    notebook.cells[0].execution_count = number
    nbformat.write(notebook, path)


def footer(ran: Ran) -> str:
    return ran.markdown.splitlines()[-1]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with Kernel(tmp_path_factory.mktemp("kernel"), MIXROUTE_MODEL=MODEL) as kernel:
        yield kernel


@pytest.fixture
def kernel(running: Kernel) -> Kernel:
    """A kernel whose conversation is empty, and whose folder has two images."""
    (running.home / "red.png").write_bytes(RED)
    (running.home / "blue.jpg").write_bytes(BLUE)
    ran = running.run("%thread --clear")
    assert ran.status == "ok", ran.lines
    return running


@contextmanager
def behind(kernel: Kernel) -> Iterator[ScriptedGateway]:
    with scripted(whole("Seen.")) as gateway:
        kernel.run(f"%config MixRoute.base_url = {gateway.base_url!r}")
        yield gateway


@pytest.fixture
def gateway(kernel: Kernel) -> Iterator[ScriptedGateway]:
    with behind(kernel) as gateway:
        yield gateway


@pytest.fixture
def document(tmp_path: Path) -> Document:
    return Document(tmp_path / "talk.ipynb")


class TestASentImage:
    def test_it_is_in_the_request_and_by_reference_in_the_record(
        self, kernel: Kernel, gateway: ScriptedGateway
    ) -> None:
        ran = kernel.run("%%chat --image red.png\nWhat is this?", "a")
        (message,) = gateway.bodies[0]["messages"]
        url = f"data:image/png;base64,{base64.b64encode(RED).decode()}"
        assert message == {
            "role": "user",
            "content": [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": url}}],
        }
        reference = {
            "type": "image",
            "source": "red.png",
            "media_type": "image/png",
            "sha256": hashlib.sha256(RED).hexdigest(),
            "width": 60,
            "height": 40,
        }
        assert turn(ran)["messages"][0]["content"] == [{"type": "text", "text": "What is this?"}, reference]

    @pytest.mark.usefixtures("gateway")
    def test_it_stands_in_the_notebook_once_above_the_answer(self, kernel: Kernel) -> None:
        ran = kernel.run("%%chat --image red.png\nWhat is this?", "a")
        image, answer = ran.outputs
        assert base64.b64decode(image.data["image/png"]) == RED
        assert image.data["text/plain"] == "[image red.png: 60 × 40]"
        record = {"version": 1, "kind": "image", "sha256": hashlib.sha256(RED).hexdigest()}
        assert image.metadata == {"mixroute": record}
        assert answer.data["text/markdown"].startswith("Seen.")
        assert base64.b64encode(RED).decode() not in json.dumps(answer)

    def test_several_go_in_their_order_and_one_twice_is_shown_once(
        self, kernel: Kernel, gateway: ScriptedGateway
    ) -> None:
        ran = kernel.run("%%chat --image blue.jpg --image red.png --image blue.jpg\nCompare", "a")
        assert sent(gateway) == [BLUE, RED, BLUE]
        assert shown(ran) == [BLUE, RED]

    def test_later_turns_send_it_again(self, kernel: Kernel, gateway: ScriptedGateway) -> None:
        kernel.run("%%chat --image red.png\nWhat is this?", "a")
        ran = kernel.run("%chat and now?", "b")
        assert sent(gateway) == [RED]
        assert shown(ran) == []

    @pytest.mark.usefixtures("gateway")
    def test_a_large_one_is_told_in_the_footer_and_shown_small(self, kernel: Kernel) -> None:
        kernel.run("import PIL.Image\nlarge = PIL.Image.new('L', (1000, 5000))")
        ran = kernel.run("%%chat --image large\nWhat is this?", "a")
        assert "large downscaled from 1000 × 5000 to 400 × 2000" in footer(ran)
        assert ran.outputs[0].metadata["image/png"] == {"width": 96}

    def test_a_url_is_neither_fetched_nor_shown(self, kernel: Kernel, gateway: ScriptedGateway) -> None:
        with scripted(whole("never")) as web:
            url = f"{web.base_url}/a.png"
            ran = kernel.run(f"%%chat --image {url}\nWhat is this?", "a")
            assert web.asked == []
        assert sent(gateway) == [url]
        assert turn(ran)["messages"][0]["content"][1] == {"type": "image", "url": url}
        assert shown(ran) == []

    def test_all_models_side_by_side_see_it_and_it_is_shown_once(
        self, kernel: Kernel, gateway: ScriptedGateway
    ) -> None:
        ran = kernel.run("%%chat -m gpt-4o -m glm-4.5v --image red.png\nWhat is this?", "a")
        assert [sent(gateway, number) for number in range(2)] == [[RED], [RED]]
        assert shown(ran) == [RED]

    def test_a_continued_cell_shows_those_of_both_questions(self, kernel: Kernel, gateway: ScriptedGateway) -> None:
        kernel.run("%%chat --image red.png\nWhat is this?", "a")
        ran = kernel.run("%%chat -c --image blue.jpg\nAnd this?", "a")
        assert sent(gateway) == [RED, BLUE]
        assert shown(ran) == [RED, BLUE]
        assert "> What is this?\n>\n> [image red.png]" in ran.markdown

    @pytest.mark.usefixtures("gateway")
    def test_the_cells_above_show_it_in_the_table_of_the_thread(self, kernel: Kernel) -> None:
        kernel.run("%%chat --image red.png\nWhat is this?", "a")
        assert "What is this? [image red.png]" in kernel.run("%thread", "b").text

    @pytest.mark.usefixtures("gateway")
    def test_a_rerun_shows_it_again(self, kernel: Kernel) -> None:
        for _ in range(2):
            assert shown(kernel.run("%%chat --image red.png\nWhat is this?", "a")) == [RED]

    def test_two_questions_of_one_cell_show_it_once(self, kernel: Kernel, gateway: ScriptedGateway) -> None:
        ran = kernel.run("%chat --image red.png What is this?\n%chat --image red.png Sure?", "a")
        assert shown(ran) == [RED]
        assert sent(gateway) == [RED, RED]


class TestAnOutput:
    @pytest.mark.parametrize("source", [f"{PLOT}plt.show()", PLOT, f"{PLOT}fig.savefig('x.png')\nfig"])
    def test_a_shown_figure_is_sent_as_it_was_shown_and_shown_no_second_time(
        self, kernel: Kernel, gateway: ScriptedGateway, source: str
    ) -> None:
        plot = kernel.run(source, "plot")
        number = plot.reply["content"]["execution_count"]
        ran = kernel.run(f"%%chat --image out({number})\nWhat is this?", "a")
        assert sent(gateway) == shown(plot)[-1:]
        assert shown(ran) == []
        assert turn(ran)["messages"][0]["content"][1]["source"] == f"out({number})"

    def test_the_last_one_counts_also_where_it_was_updated_or_cleared(
        self, kernel: Kernel, gateway: ScriptedGateway
    ) -> None:
        source = """
import PIL.Image
from IPython.display import clear_output
red, blue = PIL.Image.open("red.png"), PIL.Image.open("blue.jpg")
display(red)
clear_output()
handle = display(blue, display_id=True)
handle.update(red)
"""
        number = kernel.run(source, "show").reply["content"]["execution_count"]
        kernel.run(f"%%chat --image out({number})\nWhat is this?", "a")
        (data,) = sent(gateway)
        assert isinstance(data, bytes)
        assert Image.open(BytesIO(data)).getpixel((1, 1)) == (255, 0, 0)

    def test_a_returned_image_is_one(self, kernel: Kernel, gateway: ScriptedGateway) -> None:
        ran = kernel.run("import PIL.Image\nPIL.Image.open('red.png')", "show")
        kernel.run(f"%%chat --image out({ran.reply['content']['execution_count']})\nWhat is this?", "a")
        assert len(sent(gateway)) == 1

    def test_a_cell_that_runs_again_shows_the_image_no_more(self, kernel: Kernel, gateway: ScriptedGateway) -> None:
        ran = kernel.run("from IPython.display import Image\ndisplay(Image('red.png'))", "show")
        number = ran.reply["content"]["execution_count"]
        kernel.run("1", "show")
        ran = kernel.run(f"%%chat --image out({number})\nWhat is this?", "a")
        assert ran.status == "error"
        assert f"cell [{number}] shows no image" in ran.lines[0]
        assert gateway.bodies == []
        ran = kernel.run("%%chat --image red.png\nWhat is this?", "a")
        assert shown(ran) == [RED]

    @pytest.mark.usefixtures("gateway")
    def test_an_image_that_stands_in_another_cell_is_only_referred_to(self, kernel: Kernel) -> None:
        kernel.run("from IPython.display import Image\ndisplay(Image('red.png'))", "show")
        assert shown(kernel.run("%%chat --image red.png\nWhat is this?", "a")) == []
        kernel.run("1", "show")


class TestRestarted:
    def test_images_come_back_from_the_saved_outputs(self, tmp_path: Path, document: Document) -> None:
        red, blue = tmp_path / "red.png", tmp_path / "blue.jpg"
        red.write_bytes(RED)
        blue.write_bytes(BLUE)
        with (
            scripted(whole("Seen.")) as gateway,
            Kernel(tmp_path, gateway.base_url, document.path, MIXROUTE_MODEL=MODEL) as kernel,
        ):
            plot = document.run(kernel, "plot", f"{PLOT}plt.show()")
            number = plot.reply["content"]["execution_count"]
            document.run(kernel, "a", f"%%chat --image out({number}) --image red.png --image blue.jpg\nCompare")
            document.save("plot", "a")
            red.unlink()
            blue.unlink()
            kernel.restart()
            ran = document.run(kernel, "b", "%chat and now?")
            assert sent(gateway) == [*shown(plot), RED, BLUE]
            assert "no longer available" not in footer(ran)

    def test_an_output_of_the_saved_notebook_can_be_sent(self, tmp_path: Path, document: Document) -> None:
        with (
            scripted(whole("Seen.")) as gateway,
            Kernel(tmp_path, gateway.base_url, document.path, MIXROUTE_MODEL=MODEL) as kernel,
        ):
            for _ in range(8):
                kernel.run("1")
            plot = document.run(kernel, "plot", f"{PLOT}plt.show()")
            document.save("plot")
            number = plot.reply["content"]["execution_count"]
            number_cell(document.path, number)
            kernel.restart()
            ran = document.run(kernel, "a", f"%%chat --image out({number})\nWhat is this?")
            assert sent(gateway) == shown(plot)
            assert shown(ran) == shown(plot)

    def test_one_is_read_again_from_its_file_beside_the_notebook_or_else_missed(
        self, tmp_path: Path, document: Document
    ) -> None:
        (tmp_path / "images").mkdir()
        for name, data in {"red.png": RED, "images/blue.jpg": BLUE}.items():
            (tmp_path / name).write_bytes(data)
        with (
            scripted(whole("Seen.")) as gateway,
            Kernel(tmp_path, gateway.base_url, document.path, MIXROUTE_MODEL=MODEL) as kernel,
        ):
            document.run(kernel, "a", "%%chat --image red.png --image images/blue.jpg\nCompare")
            notebook = document.outputs("a")
            del notebook[:2]  # the images; the answer stays
            document.save("a")
            (tmp_path / "red.png").write_bytes(file("green"))  # another one of the same name
            kernel.restart()
            ran = document.run(kernel, "b", "%chat and now?")
            assert sent(gateway) == [BLUE]
            content = gateway.bodies[-1]["messages"][0]["content"]
            assert content[1] == {"type": "text", "text": "[image red.png: no longer available]"}
            assert "no longer available: image red.png" in footer(ran)

    def test_an_unchanged_notebook_is_replayed_with_its_images(self, tmp_path: Path, document: Document) -> None:
        (tmp_path / "red.png").write_bytes(RED)
        with (
            scripted(whole("Seen.")) as gateway,
            Kernel(tmp_path, gateway.base_url, document.path, MIXROUTE_MODEL=MODEL) as kernel,
        ):
            cells = {"a": "%%chat --replay auto --image red.png\nWhat is this?", "b": "%chat --replay auto and now?"}
            for cell, source in cells.items():
                document.run(kernel, cell, source)
            document.save()
            kernel.restart()
            again = [document.run(kernel, cell, source) for cell, source in cells.items()]
            assert [turn(ran)["replayed"] for ran in again] == [True, True]
            assert shown(again[0]) == [RED]
            assert len(gateway.bodies) == 2


class TestNothingIsSent:
    def test_a_dry_run_shows_the_reference_and_no_image(self, kernel: Kernel, gateway: ScriptedGateway) -> None:
        ran = kernel.run("%%chat --dry-run --image red.png\nWhat is this?", "a")
        assert gateway.bodies == []
        assert shown(ran) == []
        assert hashlib.sha256(RED).hexdigest() in ran.text
        assert "base64" not in ran.text

    def test_a_model_without_eyes_is_told_before(self, kernel: Kernel, gateway: ScriptedGateway) -> None:
        ran = kernel.run("%%chat -m glm-5 --image red.png\nWhat is this?", "a")
        assert ran.lines == [
            "SettingError: glm-5 takes no images, and this question has some; nothing was sent.",
            "Ask one that looks at images, as in -m gpt-4o.",
        ]
        assert shown(ran) == []
        kernel.run("%%chat --image red.png\nWhat is this?", "a")
        ran = kernel.run("%chat -m glm-5 and now?", "b")
        assert "the conversation above has some" in ran.lines[0]
        assert "--fresh" in ran.lines[1]
        assert len(gateway.bodies) == 1

    def test_what_is_no_image_is_told_before(self, kernel: Kernel, gateway: ScriptedGateway) -> None:
        ran = kernel.run("%%chat --image blu.jpg\nWhat is this?", "a")
        assert ran.lines == [
            "TemplateError: --image blu.jpg: there is no such variable and no such file; nothing was sent.",
            "Did you mean blue.jpg?",
        ]
        assert gateway.bodies == []

    def test_the_key_is_in_no_url(self, kernel: Kernel, gateway: ScriptedGateway) -> None:
        kernel.run(f"url = 'https://example.org/a.png?key=' + {KEY[:4]!r} + {KEY[4:]!r}")
        ran = kernel.run("%%chat --image url\nWhat is this?", "a")
        assert "contains your API key" in ran.lines[0]
        assert gateway.bodies == []


class TestFiles:
    @pytest.fixture
    def conversation(self, kernel: Kernel, gateway: ScriptedGateway) -> Kernel:
        kernel.run("%%chat --image red.png --image https://example.org/a.png\nWhat is this?", "a")
        assert len(gateway.bodies) == 1
        return kernel

    def test_a_handout_names_the_images(self, conversation: Kernel) -> None:
        conversation.run("%thread --export talk.md")
        text = (conversation.home / "talk.md").read_text()
        assert "[image red.png]" in text
        assert "[image https" in text

    def test_a_notebook_holds_them_and_asks_with_them_again(self, conversation: Kernel) -> None:
        assert conversation.run("%thread --export talk.ipynb").status == "ok"
        notebook = nbformat.read(conversation.home / "talk.ipynb", 4)
        nbformat.validate(notebook)
        cell = notebook.cells[-1]
        assert cell.source.splitlines()[0].endswith("--image red.png --image https://example.org/a.png")
        image, answer = cell.outputs
        assert base64.b64decode(image.data["image/png"]) == RED
        assert answer.metadata["mixroute"]["kind"] == "turn"

    @pytest.mark.parametrize("form", ["ipynb", "json"])
    def test_what_is_imported_brings_them_along(
        self, tmp_path: Path, document: Document, conversation: Kernel, form: str
    ) -> None:
        conversation.run(f"%thread --export talk.{form}")
        exported = conversation.home / f"talk.{form}"
        with (
            scripted(whole("Seen.")) as gateway,
            Kernel(tmp_path, gateway.base_url, document.path, MIXROUTE_MODEL=MODEL) as kernel,
        ):
            ran = document.run(kernel, "a", f"%thread --import {exported}")
            assert shown(ran) == [RED]  # in the notebook, or beside the .json
            document.save()
            kernel.restart()
            document.run(kernel, "b", "%chat and now?")
            assert sent(gateway) == [RED, "https://example.org/a.png"]

    def test_a_conversation_that_is_read_from_the_notebook_has_them(self, conversation: Kernel) -> None:
        conversation.run("%thread --export talk.ipynb")
        question, _ = Conversation.read(conversation.home / "talk.ipynb").messages()
        _, red, url = question.content
        assert base64.b64decode(red["image_url"]["url"].partition(",")[2]) == RED
        assert url["image_url"]["url"] == "https://example.org/a.png"

    def test_image_and_answer_are_readable_without_a_kernel(self, tmp_path: Path, document: Document) -> None:
        (tmp_path / "photo.webp").write_bytes(file("red", "WEBP", (900, 600)))
        with (
            scripted(whole("It is **red**.")) as gateway,
            Kernel(tmp_path, gateway.base_url, MIXROUTE_MODEL=MODEL) as kernel,
        ):
            document.run(kernel, "a", "%%chat --image photo.webp\nWhat is this?")
            document.save()
        html, _ = HTMLExporter().from_filename(str(document.path))
        image = base64.b64encode(base64.b64decode(document.outputs("a")[0].data["image/png"])).decode()
        assert f"data:image/png;base64,{image}" in html.replace("\n", "")
        assert 'width="480"' in html
        assert "<strong>red</strong>" in html
        markdown, resources = MarkdownExporter().from_filename(str(document.path))
        assert "It is **red**." in markdown
        assert len(resources["outputs"]) == 1


def test_an_executed_notebook_holds_images_and_answers(tmp_path: Path) -> None:
    with scripted(whole("Seen.")) as gateway:
        sources = ["%load_ext mixroute_magic", f"{PLOT}plt.show()", "%%chat --image out(2)\nWhat?", "%chat and now?"]
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
        client = NotebookClient(notebook, resources={"metadata": {"path": str(tmp_path)}})
        client.execute(env=environment(tmp_path, gateway.base_url, MIXROUTE_MODEL=MODEL))
        plot = base64.b64decode(notebook.cells[1].outputs[-1].data["image/png"])
        assert [sent(gateway, number) for number in range(2)] == [[plot], [plot]]
        assert len(notebook.cells[2].outputs) == 1


TERMINAL = """
from IPython.terminal.interactiveshell import TerminalInteractiveShell
shell = TerminalInteractiveShell.instance(simple_prompt=True)
shell.run_line_magic("load_ext", "mixroute_magic")
shell.run_cell("import PIL.Image\\nPIL.Image.open('red.png')", store_history=True).raise_error()
shell.run_cell("%%chat --image blue.jpg --image out(1)\\nWhat is this?", store_history=True).raise_error()
shell.run_cell("%chat and now?", store_history=True).raise_error()
shell.run_line_magic("unload_ext", "mixroute_magic")
"""


def test_in_a_terminal_images_are_sent_and_named(tmp_path: Path) -> None:
    (tmp_path / "red.png").write_bytes(RED)
    (tmp_path / "blue.jpg").write_bytes(BLUE)
    with scripted(whole("Seen.")) as gateway:
        env = environment(tmp_path, gateway.base_url, MIXROUTE_MODEL=MODEL)
        command = [sys.executable, "-c", TERMINAL]
        ran = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
        images = [sent(gateway, number) for number in range(2)]
    assert images[0] == images[1]
    assert images[0][0] == BLUE
    assert len(images[0]) == 2
    assert "[image blue.jpg: 60 × 40]\n[image out(1): 60 × 40]\nSeen." in ran.stdout


def test_unloading_leaves_no_hook_and_loading_hears_again(tmp_path: Path) -> None:
    with scripted(whole("Seen.")) as gateway, Kernel(tmp_path, gateway.base_url, MIXROUTE_MODEL=MODEL) as kernel:
        kernel.run("ip = get_ipython()")
        hooks = "[len(one._hooks) for one in (ip.display_pub, ip.displayhook)]"
        loaded = kernel.value(hooks)
        kernel.run("%unload_ext mixroute_magic")
        assert kernel.value(hooks) == "[0, 0]"
        kernel.run("%load_ext mixroute_magic")
        assert kernel.value(hooks) == loaded == "[1, 1]"
        plot = kernel.run(f"{PLOT}plt.show()", "plot")
        kernel.run(f"%%chat --image out({plot.reply['content']['execution_count']})\nWhat?", "a")
        assert sent(gateway) == shown(plot)
