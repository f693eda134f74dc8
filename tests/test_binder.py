"""What `binder/` says, done as repo2docker does it, runs the quickstart with no key and no network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[1]
NOWHERE = "http://127.0.0.1:9"  # the discard port: whoever asks for another host than this one is refused


def clean_environment() -> dict[str, str]:
    """Return this process's environment without what steers Python, Jupyter or this package."""
    ours = ("MIXROUTE_", "JUPYTER", "IPYTHON", "PYTHON", "COVERAGE_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def install(folder: Path) -> Path:
    """Install what Binder would into a new virtual environment, and return where its programs are."""
    programs = folder / "venv" / "bin"
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    subprocess.run(
        [programs / "pip", "install", "-q", "-r", "binder/requirements.txt"],
        cwd=ROOT,
        env=clean_environment(),
        check=True,
    )
    return programs


def start(home: Path, programs: Path, *command: str | Path) -> None:
    """Run a command as Binder starts Jupyter, for a user who has nothing at home, cut off from the network."""
    path = os.pathsep.join([str(programs), os.environ["PATH"]])
    offline = {"http_proxy": NOWHERE, "https_proxy": NOWHERE, "no_proxy": "127.0.0.1,localhost"}
    environment = clean_environment() | offline | {"HOME": str(home), "PATH": path}
    subprocess.run([ROOT / "binder" / "start", *command], cwd=ROOT, env=environment, check=True)


def test_the_quickstart_runs_in_what_binder_builds(tmp_path: Path) -> None:
    notebook = tmp_path / "quickstart.ipynb"
    shutil.copy(ROOT / "notebooks" / "quickstart.ipynb", notebook)
    start(tmp_path, install(tmp_path), "jupyter", "execute", "--inplace", notebook)

    cells = [cell for cell in nbformat.read(notebook, as_version=4).cells if cell.cell_type == "code" and cell.source]
    assert all(cell.execution_count for cell in cells)
    outputs = [output for cell in cells for output in cell.outputs]
    turns = [
        turn for output in outputs if (turn := output.get("metadata", {}).get("mixroute", {})).get("kind") == "turn"
    ]
    assert turns
    assert all(turn.demo and turn.status == "complete" and turn.messages[-1].content for turn in turns)


def test_binder_builds_with_a_python_that_the_package_takes() -> None:
    (version,) = (ROOT / "binder" / "runtime.txt").read_text().split()
    with (ROOT / "pyproject.toml").open() as project:
        assert f"Programming Language :: Python :: {version.removeprefix('python-')}" in project.read()
