"""The two commands of README.md, and that CI runs the one that it shows."""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ENVIRONMENT = 'python3 -m venv .venv && .venv/bin/pip install -q -e ".[{extra}]" && '


def readme_command(name: str) -> str:
    script = ROOT / ".ci" / "readme-command"
    return subprocess.run(["bash", script, name], capture_output=True, text=True, check=True).stdout.removesuffix("\n")


@pytest.mark.parametrize(("name", "extra"), [("open", "lab"), ("test", "test")])
def test_each_command_is_one_line_that_makes_its_own_environment(name: str, extra: str) -> None:
    command = readme_command(name)
    assert "\n" not in command
    assert command.startswith(ENVIRONMENT.format(extra=extra))
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert extra in extras


def test_the_first_command_opens_the_quickstart() -> None:
    program, *_, notebook = readme_command("open").removeprefix(ENVIRONMENT.format(extra="lab")).split()
    assert program == ".venv/bin/jupyter"
    assert (ROOT / notebook).is_file()


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(subprocess.CalledProcessError):
        readme_command("nothing")


def run_ci(clone: Path, command: str) -> subprocess.CompletedProcess[str]:
    """Run the real `.ci/run` from elsewhere, on a clone whose README shows another command."""
    shutil.copytree(ROOT / ".ci", clone / ".ci")
    (clone / "README.md").write_text(
        f"# Clone\n\n<!-- command: test -->\n```bash\n{command}\n```\n\n```bash\nfalse\n```\n"
    )
    (clone / ".venv").mkdir()
    (clone / ".venv" / "stale").touch()
    return subprocess.run(
        ["bash", clone / ".ci" / "run"],
        cwd="/",
        env=os.environ | {"MIXROUTE_API_KEY": "sk-test"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


without_chromium = pytest.mark.skipif(not shutil.which("chromium"), reason="`.ci/run` would install Chromium")
CHECKS_PASS = "mkdir -p .venv/bin && ln -sf $(type -P true) .venv/bin/pre-commit && "
CHECKS_FAIL = "mkdir -p .venv/bin && ln -sf $(type -P false) .venv/bin/pre-commit && "


@without_chromium
def test_ci_runs_the_test_command_of_the_readme_in_a_fresh_environment(tmp_path: Path) -> None:
    result = run_ci(tmp_path, CHECKS_PASS + 'echo "in $PWD key=${MIXROUTE_API_KEY-none} $(ls .venv)"')
    assert (result.returncode, result.stdout) == (0, f"in {tmp_path} key=none bin\n"), result.stderr


@without_chromium
@pytest.mark.parametrize(
    ("command", "status"),
    [("exit 3 && echo tested", 3), (CHECKS_FAIL + "echo tested", 1), (CHECKS_PASS + "exit 4", 4)],
    ids=["environment", "checks", "tests"],
)
def test_ci_fails_where_a_step_fails(tmp_path: Path, command: str, status: int) -> None:
    result = run_ci(tmp_path, command)
    assert result.returncode == status, result.stderr
    assert "tested" not in result.stdout
