"""What the extension costs: ratios within one run, in fresh processes (tests/benchmarks/ prints the figures)."""

from __future__ import annotations

import subprocess
import sys

from benchmarks import load_cpu, stream_cpu

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
