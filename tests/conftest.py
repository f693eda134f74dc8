"""No test sees the person's own settings, or writes where they keep theirs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _nobody_is_at_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give this process a home of its own for each test, and no ``MIXROUTE_*``."""
    for name in [name for name in os.environ if name.startswith("MIXROUTE_")]:
        monkeypatch.delenv(name)
    home: Path = tmp_path_factory.mktemp("home")
    for name in ("HOME", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(home))
