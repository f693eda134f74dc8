"""The notebooks that people start with: run as they are, with no key and no network."""

from __future__ import annotations

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from nbclient import NotebookClient

if TYPE_CHECKING:
    from nbformat import NotebookNode

FOLDER = Path(__file__).parents[1] / "notebooks"
ENGLISH, CHINESE = FOLDER / "quickstart.ipynb", FOLDER / "quickstart.zh-Hant.ipynb"
TOOLS, CHINESE_TOOLS = FOLDER / "tools.ipynb", FOLDER / "tools.zh-Hant.ipynb"
MEMORY, CHINESE_MEMORY = FOLDER / "memory.ipynb", FOLDER / "memory.zh-Hant.ipynb"
USAGE, CHINESE_USAGE = FOLDER / "usage.ipynb", FOLDER / "usage.zh-Hant.ipynb"


@pytest.fixture(scope="module")
def ran() -> dict[Path, NotebookNode]:
    """Return all notebooks as they are once they have run; at the same time, since most of it is the demo's pace."""
    notebooks = {path: nbformat.read(path, as_version=nbformat.NO_CONVERT) for path in FOLDER.glob("*.ipynb")}

    async def run() -> None:
        clients = (NotebookClient(notebook, kernel_name="python3", timeout=240) for notebook in notebooks.values())
        await asyncio.gather(*(client.async_execute() for client in clients))

    with ThreadPoolExecutor(1) as apart:  # from Playwright, whose loop may be running in this thread
        apart.submit(asyncio.run, run()).result()  # a failing cell raises
    return notebooks


def turn_records(notebook: NotebookNode) -> list[dict[str, Any]]:
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", []))
    left = [output.metadata.mixroute for output in outputs if "mixroute" in output.get("metadata", {})]
    return [record for record in left if record["kind"] == "turn"]


def shown(notebook: NotebookNode, cell_id: str) -> str:
    (cell,) = (cell for cell in notebook.cells if cell.id == cell_id)
    return "\n".join(output.get("data", {}).get("text/plain", "") for output in cell.outputs)


@pytest.mark.parametrize(("path", "name"), [(ENGLISH, "Ada"), (CHINESE, "小雅")], ids=["English", "Chinese"])
def test_a_quickstart_runs_without_a_key_and_remembers(ran: dict[Path, NotebookNode], path: Path, name: str) -> None:
    notebook = ran[path]
    turns = turn_records(notebook)
    assert len(turns) == 6
    assert all(turn["status"] == "complete" and turn["demo"] for turn in turns)
    assert name in shown(notebook, "memory")
    assert "2,440" in shown(notebook, "template")
    assert "deepseek-r1" in shown(notebook, "options")
    assert shown(notebook, "several").count("2,440") == 2
    assert "glm-5 (demo)" in shown(notebook, "usage")


@pytest.mark.parametrize(
    ("path", "name", "other"), [(MEMORY, "Ada", "Alan"), (CHINESE_MEMORY, "小雅", "小華")], ids=["English", "Chinese"]
)
def test_how_memory_works_runs_without_a_key_and_shows_what_it_says(
    ran: dict[Path, NotebookNode], path: Path, name: str, other: str
) -> None:
    notebook = ran[path]
    assert all(turn["status"] == "complete" and turn["demo"] for turn in turn_records(notebook))
    assert all(f"**{name}**" in shown(notebook, cell) for cell in ("asked", "continue", "main-asked", "replay"))
    assert f"**{other}**" in shown(notebook, "other-asked")
    assert other not in shown(notebook, "main-asked")
    assert "in use" in shown(notebook, "list")


@pytest.mark.parametrize(
    ("path", "city", "other"),
    [(TOOLS, "Taipei", "Tainan"), (CHINESE_TOOLS, "台北", "台南")],
    ids=["English", "Chinese"],
)
def test_tools_schemas_and_images_run_without_a_key(
    ran: dict[Path, NotebookNode], path: Path, city: str, other: str
) -> None:
    notebook = ran[path]
    assert all(turn["status"] == "complete" and turn["demo"] for turn in turn_records(notebook))
    assert f'get_weather(city="{city}") → {{"city":"{city}","temperature":28,' in shown(notebook, "tool")
    assert f'get_population(city="{other}") → 1856642' in shown(notebook, "async")
    assert shown(notebook, "parsed") == f"City(name='{city}', people=2500000, capital=False)"
    assert shown(notebook, "records").split()[:3] == ["name", "people", "capital"]
    assert shown(notebook, "sum") == "7080000"
    assert shown(notebook, "repair").startswith("The answer did not fit, and was asked for again: name: Field required")
    assert "image/png" in shown(notebook, "image")
    assert "async def get_population" in shown(notebook, "dry-run")


@pytest.mark.parametrize(("path", "thread"), [(USAGE, "cost"), (CHINESE_USAGE, "費用")], ids=["English", "Chinese"])
def test_the_report_of_a_notebook_is_what_the_gateway_reported_to_it(
    ran: dict[Path, NotebookNode], path: Path, thread: str
) -> None:
    notebook = ran[path]
    answers = [answer for turn in turn_records(notebook) for answer in turn.get("alternatives", [turn])]
    assert len(answers) == 4
    spent: dict[str, Counter[str]] = {}
    for answer in answers:
        assert answer["usage"]["source"] == "reported"
        spent.setdefault(answer["model"], Counter()).update({"requests": 1})
        spent[answer["model"]].update({name: answer["usage"][name] for name in ("input_tokens", "output_tokens")})
    table = shown(notebook, "usage")
    for model, counts in spent.items():
        (line,) = (line for line in table.splitlines() if line.startswith(f"{model} (demo)"))
        assert line.split()[2:5] == [f"{counts[name]:,}" for name in ("requests", "input_tokens", "output_tokens")]
    whole = sum(spent.values(), Counter())
    figures = [whole["requests"], whole["input_tokens"], whole["output_tokens"]]
    assert shown(notebook, "report").splitlines()[-1].split()[1:] == list(map(str, figures))
    threads = {line.split()[0] for line in shown(notebook, "by-thread").splitlines() if "(demo)" in line}
    assert threads == {"main", thread}
    (cell,) = (cell for cell in notebook.cells if cell.id == "plot")
    assert "image/png" in cell.outputs[0].data


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.name)
def test_a_notebook_is_kept_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    assert notebook.metadata.kernelspec.name == "python3"


@pytest.mark.parametrize(
    "pair",
    [(ENGLISH, CHINESE), (MEMORY, CHINESE_MEMORY), (TOOLS, CHINESE_TOOLS), (USAGE, CHINESE_USAGE)],
    ids=["quickstart", "memory", "tools", "usage"],
)
def test_both_languages_have_the_same_cells(pair: tuple[Path, Path]) -> None:
    english, chinese = (nbformat.read(path, as_version=nbformat.NO_CONVERT).cells for path in pair)
    assert [(cell.id, cell.cell_type) for cell in english] == [(cell.id, cell.cell_type) for cell in chinese]
