"""Whether the process that wrote something down is still there, also when its number was given to another."""

from __future__ import annotations

import platform
import subprocess
import time
from contextlib import suppress
from pathlib import Path

__all__ = ["DAY", "birth", "is_gone"]

DAY = 86_400.0  # seconds


def is_gone(host: str, pid: int, born: str | None, written: float) -> bool:
    """Whether the process that wrote a row is no more; what cannot be seen from here is given a day."""
    if host == platform.node() and born is not None:
        return birth(pid) != born
    return written < time.time() - DAY


def birth(pid: int) -> str | None:
    """Return what tells a process from a later one of the same number; ``None`` if none lives or none can be seen."""
    with suppress(OSError):
        if not Path("/proc/self/stat").exists():
            return _by_ps(pid)
        state, *fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return None if state in "ZX" else f"{boot} {fields[18]}"  # proc(5): its 22nd field, in ticks since the boot
    return None


def _by_ps(pid: int) -> str | None:
    command = ("/bin/ps", "-o", "stat=,lstart=", "-p", str(pid))
    environment = {"LC_ALL": "C", "TZ": "UTC"}
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603, a number
    state, _, started = shown.stdout.strip().partition(" ")
    return started.strip() if state and not state.startswith("Z") else None
