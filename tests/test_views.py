"""The views of a reply: in a terminal, on a page (its messages), and where nobody looks."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from answers import code, markdown
from IPython.core.interactiveshell import InteractiveShell
from jupyter_client.manager import start_new_kernel
from kernels import FEED
from nbclient import NotebookClient

from mixroute_magic.display.output import Ending, footer
from mixroute_magic.display.views import open_view
from mixroute_magic.reply import Reply
from mixroute_magic.wire import Chunk, Usage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jupyter_client import BlockingKernelClient, KernelManager

    from mixroute_magic.display.terminal import TextView

ROOT = Path(__file__).parents[1]
REPLY = Reply("Hello *you*", "glm-5", finish_reason="stop", usage=Usage(25, 100), seconds=1.23)
LINE = "glm-5 · 25 → 100 tokens · 1.2 s · stop"
FINISH = """
show(finish_reason="stop", usage=Usage(25, 100))
view.finish(Ending(reply=builder.reply(1.23), status="complete", metadata={"version": 1}))
"""


class TestFooter:
    @pytest.mark.parametrize(
        ("reply", "status", "notes", "line"),
        [
            (REPLY, "complete", [], LINE),
            (Reply("", "m"), "failed", [], "m · tokens unknown · failed"),
            (Reply("", "m", usage=Usage(12345, None)), "interrupted", [], "m · 12,345 → ? tokens · interrupted"),
            (REPLY, "complete", ["two\nlines\x1b[31m"], f"{LINE} · two lines[31m"),
        ],
    )
    def test_it_tells_what_is_known_on_one_line(self, reply: Reply, status: str, notes: list[str], line: str) -> None:
        assert footer(Ending(reply=reply, status=status, notes=notes)) == line


class TestTerminal:
    @pytest.fixture
    def view(self) -> Iterator[TextView]:
        yield open_view(["glm-5"], "output", terminal=True, attended=False)  # type: ignore[misc]
        InteractiveShell.clear_instance()

    def test_text_is_written_as_it_comes(self, view: TextView, capsys: pytest.CaptureFixture[str]) -> None:
        view.show(Chunk(text="Hello "))
        assert capsys.readouterr().out == "Hello "
        view.show(Chunk(text="*you*"))
        view.finish(Ending(reply=REPLY, status="complete", metadata={}))
        assert capsys.readouterr().out == f"*you*\n\n{LINE}\n"

    def test_control_characters_of_an_answer_do_nothing(
        self, view: TextView, capsys: pytest.CaptureFixture[str]
    ) -> None:
        view.show(Chunk(text="a\x1b]0;title\x07\tb\n\x9b2J"))
        assert capsys.readouterr().out == "a]0;title\tb\n2J"

    def test_reasoning_is_one_word_where_nobody_watches(
        self, view: TextView, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for piece in ("First", " then"):
            view.show(Chunk(reasoning=piece))
        view.show(Chunk(text="Hello"))
        assert capsys.readouterr().out == "thinking …\n\nHello"

    def test_a_retry_is_told(self, view: TextView, capsys: pytest.CaptureFixture[str]) -> None:
        view.retrying("the gateway is busy", 2.0)
        assert capsys.readouterr().out == "the gateway is busy; trying again in 2 s\n"

    def test_a_tool_that_runs_is_told(self, view: TextView, capsys: pytest.CaptureFixture[str]) -> None:
        view.doing("running weather\x1b[2J")
        assert capsys.readouterr().out == "running weather[2J …\n"

    def test_a_failure_before_any_text_leaves_the_footer(
        self, view: TextView, capsys: pytest.CaptureFixture[str]
    ) -> None:
        view.finish(Ending(reply=Reply("", "glm-5"), status="failed", metadata={}))
        assert capsys.readouterr().out == "glm-5 · tokens unknown · failed\n"


def run(client: BlockingKernelClient, code: str, **metadata: str) -> str:
    """Send ``code`` as a notebook's page does, and return the message id."""
    content = {"code": code, "silent": False, "store_history": True, "allow_stdin": True, "stop_on_error": True}
    message = client.session.msg("execute_request", content | {"user_expressions": {}}, metadata=metadata)
    client.shell_channel.send(message)
    return str(message["header"]["msg_id"])


def messages(client: BlockingKernelClient, request: str) -> Iterator[dict[str, Any]]:
    """Yield what the kernel publishes for a request, until it is idle again."""
    while True:
        message = client.get_iopub_msg(timeout=60)
        if message["parent_header"].get("msg_id") == request:
            yield message
            if message["content"].get("execution_state") == "idle":
                return


def frames(published: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the changes in the widget's own messages."""
    data = [message["content"]["data"] for message in published if message["msg_type"] == "comm_msg"]
    return [change for message in data if message["method"] == "custom" for change in message["content"]["changes"]]


def outputs(published: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [message["content"] for message in published if message["msg_type"] == kind]


@pytest.fixture(scope="module")
def kernel() -> Iterator[tuple[KernelManager, BlockingKernelClient]]:
    manager, client = start_new_kernel(env=os.environ | {"PYTHONPATH": str(ROOT)})
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


@pytest.fixture
def client(kernel: tuple[KernelManager, BlockingKernelClient]) -> BlockingKernelClient:
    return kernel[1]


class TestPage:
    def test_many_deltas_become_few_frames_that_carry_all_of_them(self, client: BlockingKernelClient) -> None:
        feed = """
began = time.monotonic()
for number in range(2000):
    show(text=f"word{number} " + "\\n\\n" * (number % 100 == 99))
    time.sleep(0.0005)
"""
        took = "\nprint(time.monotonic() - began, threading.active_count() - before)"
        code = "import threading; before = threading.active_count()" + FEED + feed + FINISH + took
        published = list(messages(client, run(client, code, cellId="c1")))
        seconds, threads = outputs(published, "stream")[0]["text"].split()
        sent = frames(published)
        source = "".join(frame.get("text", "") for frame in sent)
        assert 2 < len(sent) <= 25 * float(seconds) + 2
        assert source.split() == [f"word{number}" for number in range(2000)]
        assert sum("html" in frame for frame in sent) > 2
        assert threads == "0"

    @pytest.mark.parametrize("answer", [markdown(100_000), code(100_000)], ids=["markdown", "code"])
    def test_a_long_answer_costs_four_times_its_bytes_while_it_streams(
        self, client: BlockingKernelClient, answer: str
    ) -> None:
        feed = """
for start in range(0, len(answer), 5):
    show(text=answer[start : start + 5])
    if start % 2000 == 0:
        time.sleep(0.02)  # for some frames; where the machine is slow, the feeding itself takes long enough
"""
        sent = messages(client, run(client, f"{FEED}answer = {answer!r}{feed}{FINISH}", cellId="c1"))
        live = [message for message in sent if message["msg_type"].startswith("comm")]
        assert len(frames(live)) > 10
        assert sum(len(json.dumps(message, default=str).encode()) for message in live) <= 4 * len(answer.encode())

    def test_the_widget_gives_way_to_the_final_output(self, client: BlockingKernelClient) -> None:
        code = f"{FEED}show(reasoning='why, 為何')\nshow(text='Hello <b>')\n{FINISH}"
        published = list(messages(client, run(client, code, cellId="c1")))
        (shown,) = outputs(published, "display_data")
        assert set(shown["data"]) == {"application/vnd.jupyter.widget-view+json", "text/plain"}
        (final,) = outputs(published, "update_display_data")
        assert final["transient"] == shown["transient"]
        reasoning = "<details><summary>Reasoning (3 words)</summary><p>why, 為何</p></details>"
        assert final["data"]["text/markdown"] == f"{reasoning}\n\nHello &lt;b>\n\n*{LINE}*"
        assert final["data"]["text/plain"] == f"Hello <b>\n\n{LINE}"
        assert final["metadata"] == {"mixroute": {"version": 1}}
        assert [message["msg_type"] for message in published][-4:-1] == [
            "update_display_data",
            "comm_close",
            "comm_close",
        ]

    def test_the_first_text_is_sent_while_the_next_chunk_is_waited_for(self, client: BlockingKernelClient) -> None:
        code = f"{FEED}view.retrying('busy', 2.0)\nshow(text='First')\ninput()\n{FINISH}"
        published = []
        for message in messages(client, run(client, code, cellId="c1")):
            published.append(message)
            if frames([message]) and "text" in frames([message])[0]:
                client.get_stdin_msg(timeout=60)
                client.input("go on")
        told = [change | {"column": 0} for change in ({"retry": "busy", "seconds": 2.0}, {"text": "First"})]
        assert frames(published) in (told, [told[0] | told[1]])
        assert len(outputs(published, "update_display_data")) == 1

    def test_an_interrupt_leaves_what_came_and_no_thread(
        self, kernel: tuple[KernelManager, BlockingKernelClient]
    ) -> None:
        manager, client = kernel
        feed = """
try:
    while True:
        show(text="more ")
        time.sleep(0.001)  # or a loaded machine makes an answer of many megabytes of it
except KeyboardInterrupt:
    view.finish(Ending(reply=builder.reply(), status="interrupted", metadata={}))
print([thread.name for thread in threading.enumerate() if "mixroute" in thread.name])
"""
        published = []
        for message in messages(client, run(client, FEED + feed, cellId="c1")):
            if frames([message]) and len(frames(published)) == 1:
                manager.interrupt_kernel()
            published.append(message)
        (final,) = outputs(published, "update_display_data")
        assert final["data"]["text/plain"].startswith("more more ")
        assert final["data"]["text/plain"].endswith("glm-5 · tokens unknown · interrupted")
        assert outputs(published, "stream")[0]["text"] == "[]\n"

    def test_a_frame_that_fails_costs_no_final_output(self, client: BlockingKernelClient) -> None:
        code = f"{FEED}view.show(Chunk(text=b'not text'))\nshow(text='Hello')\n{FINISH}"
        published = list(messages(client, run(client, code, cellId="c1")))
        assert frames(published) == []
        assert outputs(published, "update_display_data")[0]["data"]["text/plain"] == f"Hello\n\n{LINE}"
        assert outputs(published, "stream") == []

    def test_without_a_cell_id_only_the_final_output_is_sent(self, client: BlockingKernelClient) -> None:
        code = f"{FEED}view.retrying('busy', 2.0)\nshow(text='Hello')\n{FINISH}"
        published = list(messages(client, run(client, code)))
        assert not [message for message in published if message["msg_type"].startswith("comm")]
        assert len(outputs(published, "display_data")) == 1


def test_an_executed_notebook_holds_the_final_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    cell = nbformat.v4.new_code_cell(f"{FEED}show(text='Hello')\n{FINISH}")
    notebook = nbformat.v4.new_notebook(cells=[cell])
    NotebookClient(notebook, resources={"metadata": {"path": str(tmp_path)}}, kernel_name="python3").execute()
    (output,) = notebook.cells[0].outputs
    assert output.output_type == "display_data"
    assert output.data == {"text/markdown": f"Hello\n\n*{LINE}*", "text/plain": f"Hello\n\n{LINE}"}
    assert output.metadata == {"mixroute": {"version": 1}}
