"""Waiting for a server process that a test has started."""

from __future__ import annotations

import time
import urllib.request
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path


def wait_for(url: str, server: subprocess.Popen[bytes], log: Path, *, seconds: float = 120) -> None:
    """Return when the server answers at ``url``; fail with its log when it ends, or takes too long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except OSError:
            time.sleep(0.05)  # nothing to wait on before the server listens
        else:
            return
    pytest.fail(f"the server did not start:\n{log.read_text()}")
