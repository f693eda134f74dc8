"""The types that other programs see are those that are documented."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_a_program_that_uses_the_public_names_passes_the_strict_checks() -> None:
    command = [sys.executable, "-m", "mypy", "tests/typing/api.py"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_wrong_type_would_be_seen(tmp_path: Path) -> None:
    program = tmp_path / "wrong.py"
    program.write_text("from mixroute_magic import Client\n\nnumber: int = Client().models()\n")
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), str(program)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "list[Model]" in result.stdout, result.stderr
