"""The panel below ``%model``, as its page drives it: what it sets is asked with, recorded, and back after a restart."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from kernels import SHOWN_KEY, Document, Kernel, Ran
from scripted import ScriptedGateway, reply, scripted, whole

from mixroute_magic.gateway.families import by_series

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OFFERED = ["claude-x", "deepseek-r1", "gpt-4o", "llama-4", "o3"]
MODELS = reply(200, {"data": [{"id": name} for name in OFFERED]})


class Panel:
    """The last panel that a kernel has opened, as a page shows it."""

    def __init__(self, kernel: Kernel, document: Document | None = None) -> None:
        self._kernel = kernel
        self._document = document
        self._opened = [message["content"] for message in kernel.heard if message["msg_type"] == "comm_open"]

    def comm(self, name: str) -> str:
        """Return the comm of a field by its description; the line in which the panel speaks has none."""
        named = [
            opened["comm_id"]
            for opened in self._opened
            if name in (opened["data"]["state"].get("description"), opened["data"]["state"].get("value"))
        ]
        return str(named[-1])

    def put(self, name: str, value: Any) -> Ran:
        """Leave a field with another value in it."""
        heard = self._kernel.say(self.comm(name), {"method": "update", "state": {"value": value}, "buffer_paths": []})
        return self._taken(heard)

    def press(self, name: str) -> Ran:
        """Press a button."""
        return self._taken(self._kernel.say(self.comm(name), {"method": "custom", "content": {"event": "click"}}))

    def state(self, name: str, trait: str) -> Any:
        """Return a trait of a field as the kernel last told it."""
        comm = self.comm(name)
        told = [message["content"] for message in self._kernel.heard if message["msg_type"].startswith("comm_")]
        states = [content["data"].get("state", {}) for content in told if content.get("comm_id") == comm]
        return next(state[trait] for state in reversed(states) if trait in state)

    @property
    def said(self) -> str:
        return str(self.state("Asking for the list of models …", "value"))

    def _taken(self, heard: Ran) -> Ran:
        if self._document is not None:
            self._document.update(heard)
        return heard


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "talk.ipynb"


@pytest.fixture
def document(path: Path) -> Document:
    return Document(path)


@pytest.fixture
def gateway() -> Iterator[ScriptedGateway]:
    with scripted(MODELS, whole("Hi.")) as made:
        yield made


def wait_for_models(kernel: Kernel, ran: Ran) -> None:
    """Read on until the panel says what came of the list."""
    panel = Panel(kernel)
    ran.until(lambda _: panel.said != "Asking for the list of models …")


def test_what_is_chosen_in_the_panel_is_asked_with_shown_and_back_after_a_restart(
    tmp_path: Path, path: Path, document: Document, gateway: ScriptedGateway
) -> None:
    with Kernel(tmp_path, gateway.base_url, path) as kernel:
        wait_for_models(kernel, document.run(kernel, "m", "%model"))
        panel = Panel(kernel, document)
        assert panel.said.startswith("5 models at 127.0.0.1")
        assert panel.state("model", "options") == ["gpt-4o", "o3", "claude-x", "deepseek-r1", "llama-4"]
        panel.put("model", "gpt-4o")
        panel.put("temperature", " 0.5 ")
        panel.put("max tokens", "100")
        panel.put("system prompt", "Be brief.")
        assert panel.said == "Set, from the next chat cell on."
        shown = document.outputs("m")[0]
        assert "gpt-4o" in shown.data["text/plain"]
        assert shown.metadata["mixroute"]["chosen"]["temperature"] == 0.5
        assert "before" not in shown.metadata["mixroute"]
        document.run(kernel, "a", "%chat hello")
        body = gateway.bodies[-1]
        assert (body["model"], body["temperature"], body["max_tokens"]) == ("gpt-4o", 0.5, 100)
        assert body["messages"][0] == {"role": "system", "content": "Be brief."}
        document.save()
        kernel.restart()
        document.run(kernel, "a", "%chat again")
        assert {**gateway.bodies[-1], "messages": []} == {**body, "messages": []}


def test_what_is_emptied_is_not_sent_even_where_the_configuration_sets_it_and_reset_undoes_that(
    tmp_path: Path, path: Path, document: Document, gateway: ScriptedGateway
) -> None:
    with Kernel(tmp_path, gateway.base_url, path) as kernel:
        kernel.run("%config MixRoute.temperature = 0.7")
        wait_for_models(kernel, document.run(kernel, "m", "%model -t 1\n%model"))
        panel = Panel(kernel, document)
        assert panel.state("temperature", "value") == "1"
        panel.put("temperature", "")
        document.run(kernel, "a", "%chat hello")
        assert "temperature" not in gateway.bodies[-1]
        document.save()
        kernel.restart()
        kernel.run("%config MixRoute.temperature = 0.7")
        document.run(kernel, "a", "%chat hello")
        assert "temperature" not in gateway.bodies[-1]
        document.run(kernel, "m", "%model")
        panel = Panel(kernel, document)
        panel.press("Reset")
        assert panel.said == "Back to the configuration."
        assert panel.state("temperature", "value") == "0.7"
        document.run(kernel, "a", "%chat hello")
        assert gateway.bodies[-1]["temperature"] == 0.7


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("temperature", "9", "9: a number from 0 to 2 is needed; nothing was set."),
        ("max tokens", "many", "many: a whole number of at least 1 is needed; nothing was set."),
        ("system prompt", SHOWN_KEY, "This contains your API key; nothing was set."),
        ("model", "sk-testtesttesttest", "this holds an API key, which the notebook would keep: delete it and use"),
    ],
)
def test_bad_input_is_told_in_the_panel_and_sets_nothing(
    running: tuple[Kernel, ScriptedGateway], field: str, value: str, said: str
) -> None:
    kernel, _ = running
    kernel.run("%model", "m")
    panel = Panel(kernel)
    changed = panel.put(field, value)
    assert panel.said.startswith(said)
    assert changed.contents("update_display_data") == []
    assert kernel.value("get_ipython().meta['mixroute_session'].notebook().chosen") == "{}"
    assert (panel.state(field, "value") == value) == ("API key" not in said)  # what can be corrected stays


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Kernel, ScriptedGateway]]:
    home = tmp_path_factory.mktemp("kernel")
    with scripted(MODELS) as gateway, Kernel(home, gateway.base_url, MIXROUTE_API_KEY=SHOWN_KEY) as kernel:
        yield kernel, gateway


def test_a_series_narrows_the_models_and_sets_nothing(running: tuple[Kernel, ScriptedGateway]) -> None:
    kernel, _ = running
    wait_for_models(kernel, kernel.run("%model", "m"))
    panel = Panel(kernel)
    assert panel.state("series", "_options_labels") == ["all series", "GPT", "Claude", "DeepSeek", "others"]
    chosen = kernel.say(panel.comm("series"), {"method": "update", "state": {"index": 1}, "buffer_paths": []})
    assert panel.state("model", "options") == ["gpt-4o", "o3"]
    assert (panel.state("model", "value"), panel.state("model", "placeholder")) == ("", "glm-5")
    assert chosen.contents("update_display_data") == []
    kernel.say(panel.comm("series"), {"method": "update", "state": {"index": 0}, "buffer_paths": []})
    assert len(panel.state("model", "options")) == 5
    assert panel.state("model", "value") == "glm-5"


def test_without_a_key_the_panel_says_so_and_asks_nobody(tmp_path: Path) -> None:
    with Kernel(tmp_path, "http://192.0.2.1/v1", MIXROUTE_API_KEY="") as kernel:
        kernel.run("%config MixRoute.allow_http = True")
        wait_for_models(kernel, kernel.run("%model", "m"))
        assert Panel(kernel).said == "No list of models, type a name. There is no API key yet."


@pytest.mark.parametrize("line", ["%model -t 1", "%model gpt-4o", "%model --reset", "%%model\nBe brief."])
def test_a_line_that_says_what_to_do_opens_no_panel(running: tuple[Kernel, ScriptedGateway], line: str) -> None:
    kernel, _ = running
    ran = kernel.run(line, "m")
    assert len(ran.outputs) == 1
    kernel.run("%model --reset", "m")


def test_where_no_page_can_show_it_there_is_only_the_table(tmp_path: Path) -> None:
    with Kernel(tmp_path) as kernel:
        (output,) = kernel.run("%model", allow_stdin=False).outputs
        assert "application/vnd.jupyter.widget-view+json" not in output.data
        assert kernel.value("'mixroute_magic.display.panel' in __import__('sys').modules") == "False"


def test_in_a_terminal_no_widget_is_imported() -> None:
    code = (
        "from IPython.core.interactiveshell import InteractiveShell as S; s = S.instance(colors='nocolor');"
        "s.run_line_magic('load_ext', 'mixroute_magic'); s.run_cell('%model'); import sys;"
        "assert 'ipywidgets' not in sys.modules"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "How this notebook asks." in ran.stdout


def test_models_are_told_apart_by_how_their_names_begin() -> None:
    names = [
        "openai/gpt-4o",
        "o3-mini",
        "Claude-3",
        "qwq-32b",
        "moonshot-v1",
        "chatglm-4",
        "doubao-pro",
        "omni",
        "grok-4",
    ]
    assert by_series(names) == {
        "GPT": ["openai/gpt-4o", "o3-mini"],
        "Claude": ["Claude-3"],
        "Grok": ["grok-4"],
        "Qwen": ["qwq-32b"],
        "GLM": ["chatglm-4"],
        "Kimi": ["moonshot-v1"],
        "Doubao": ["doubao-pro"],
        "others": ["omni"],
    }
