"""What the extension costs: ratios within one run, in fresh processes (tests/benchmarks/ prints the figures)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks import load_cpu, memory_cpu, stream_cpu

TESTS = Path(__file__).parent
HEAVY = {"requests", "anywidget", "sqlalchemy", "jinja2", "pydantic", "nbformat"}
LOADED = """
import sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
before = set(sys.modules)
shell.run_line_magic("load_ext", "mixroute_magic")
assert "chat" in shell.magics_manager.magics["cell"]
print(*sorted(set(sys.modules) - before))
"""


def test_loading_imports_nothing_heavy() -> None:
    ran = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    imported = {name.partition(".")[0] for name in ran.stdout.split()}
    assert "mixroute_magic" in imported
    assert not imported & HEAVY


def test_loading_takes_at_most_a_fifth_of_importing_requests() -> None:
    assert load_cpu.ratio(rounds=5) <= 0.2


def test_the_client_takes_at_most_four_times_the_cpu_of_a_raw_reader() -> None:
    assert stream_cpu.ratio(rounds=3) <= 4


@pytest.fixture(scope="module")
def notebooks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return memory_cpu.write_notebooks(tmp_path_factory.mktemp("notebooks"))


def test_restoring_a_thousand_turns_takes_at_most_five_times_the_cpu_of_parsing_their_file(
    notebooks: tuple[Path, Path],
) -> None:
    whole, _ = notebooks
    assert memory_cpu.ratio("restore", whole, whole, rounds=3) <= 5


@pytest.mark.parametrize("cell", memory_cpu.CELLS)
def test_an_unchanged_notebook_adds_less_to_a_cell_than_parsing_a_hundredth_of_it(
    notebooks: tuple[Path, Path], cell: str
) -> None:
    assert memory_cpu.ratio(cell, *notebooks, rounds=3) < 1


@pytest.mark.parametrize("limits", ["NONE", "BOTH"])
def test_the_ledger_takes_at_most_five_times_two_bare_inserts_for_a_cell(limits: str) -> None:
    code = f"from benchmarks import ledger_cost as cost; print(cost.ratio(50, cost.{limits}))"
    uncounted = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=TESTS, env=uncounted, capture_output=True, text=True, check=True
    )
    assert float(ran.stdout) <= 5
