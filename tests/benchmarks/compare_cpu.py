"""Eight models side by side at 200 deltas a second each, against one of them alone.

Run by hand: ``.venv/bin/python tests/benchmarks/compare_cpu.py``. The gateway is a process of its own, and the cells
run in a real kernel whose page is this process.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from kernels import Kernel
from scripted import DONE, STOP, Pause, ScriptedGateway, answer, delta

MODELS = [f"model-{number}" for number in range(8)]
DELTAS, A_SECOND = 1000, 200


def serve() -> None:
    """Answer until killed, each model with its own words; the address is the first line printed."""
    pieces = [(delta(f"{number} word "), Pause(1 / A_SECOND)) for number in range(DELTAS)]
    script = answer(*(piece for both in pieces for piece in both), STOP, DONE)
    gateway = ScriptedGateway([script])
    print(gateway.base_url, flush=True)
    sys.stdin.read()


def measure(kernel: Kernel, models: list[str], cell: str) -> tuple[float, int]:
    """Return how many seconds a cell took that asks these models, and how many characters of their answers it lost."""
    options = " ".join(f"-m {model}" for model in models)
    begun = time.monotonic()
    ran = kernel.run(f"%%chat --fresh {options}\nhello", cell)
    seconds = time.monotonic() - begun
    assert ran.status == "ok", ran.lines
    expected = "".join(f"{number} word " for number in range(DELTAS))
    answers = ran.metadata.get("alternatives", [ran.metadata])
    return seconds, sum(len(expected) - len(one["messages"][-1]["content"]) for one in answers)


def main(task: str = "") -> None:
    if task == "serve":
        serve()
        return
    command = [sys.executable, __file__, "serve"]
    with (
        tempfile.TemporaryDirectory() as home,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server,
    ):
        assert server.stdout is not None
        with Kernel(Path(home), server.stdout.readline().strip()) as kernel:
            measure(kernel, MODELS[:1], "warm")
            alone, _ = measure(kernel, MODELS[:1], "alone")
            together, lost = measure(kernel, MODELS, "together")
        server.kill()
    print(f"One model: {alone:.1f} s. Eight side by side: {together:.1f} s, {together / alone:.2f} times as long.")
    print(f"Lost characters: {lost}.")


if __name__ == "__main__":
    main(*sys.argv[1:])
