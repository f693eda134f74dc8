"""The import rules of pyproject.toml hold, and they do catch what they are there for."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "mixroute_magic", tmp_path / "mixroute_magic", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    lint = Path(sys.executable).with_name("lint-imports")
    return subprocess.run([lint, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False)


def test_the_imports_keep_the_rules(copy: Path) -> None:
    result = lint_imports(copy)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "2 kept, 0 broken" in result.stdout


@pytest.mark.parametrize(
    ("module", "line", "complaint"),
    [
        (
            "errors.py",
            "import mixroute_magic.wire",
            "mixroute_magic.errors is not allowed to import mixroute_magic.wire",
        ),
        (
            "usage/ledger.py",
            "from mixroute_magic.gateway import client",
            "mixroute_magic.usage is not allowed to import mixroute_magic.gateway",
        ),
        (
            "demo/server.py",
            "from mixroute_magic import wire",
            "mixroute_magic.demo is not allowed to import mixroute_magic.wire",
        ),
        ("chat.py", "def later():\n    import requests", "mixroute_magic is not allowed to import requests"),
        ("display/views.py", "import nbformat", "mixroute_magic is not allowed to import nbformat"),
        ("misc.py", "", "mixroute_magic.misc"),
    ],
    ids=["upwards", "room to room", "demo on ours", "requests beside its door", "nbformat beside its door", "no place"],
)
def test_a_broken_rule_is_reported(copy: Path, module: str, line: str, complaint: str) -> None:
    with (copy / "mixroute_magic" / module).open("a") as source:
        source.write(f"\n{line}\n")
    result = lint_imports(copy)
    assert result.returncode == 1, result.stderr
    assert complaint in " ".join(result.stdout.split())
