"""CPU of ``%load_ext mixroute_magic`` as a multiple of ``import requests``.

Run by hand: ``.venv/bin/python tests/benchmarks/load_cpu.py``. Each is measured in fresh processes that have a plain
IPython shell, in turns, so that only the ratio counts and not the machine.
"""

from __future__ import annotations

import os
import subprocess
import sys

ROUNDS = 7
SHELL = "import time; from IPython.core.interactiveshell import InteractiveShell; shell = InteractiveShell.instance(); "
TIMED = "begun = time.process_time(); {}; print(time.process_time() - begun)"
LOAD = "shell.run_line_magic('load_ext', 'mixroute_magic')"


def measure(statement: str) -> float:
    """Return the CPU seconds of one statement in a fresh process."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTHONDONT"))}
    command = [sys.executable, "-c", SHELL + TIMED.format(statement)]
    return float(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


def ratio(rounds: int = ROUNDS) -> float:
    """Return the least of the pairs' ratios: what disturbs one side of a pair is not the code."""
    return min(measure(LOAD) / measure("import requests") for _ in range(rounds))


if __name__ == "__main__":
    print(f"%load_ext mixroute_magic takes {ratio():.2f} times the CPU of import requests.")
