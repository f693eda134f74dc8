"""No test sees the person's own settings, or writes where they keep theirs; and none of them lets a key out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import leaks
import pytest
from postgres import postgres_at, required_postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

    from postgres import Postgres


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep a file's tests on one worker of xdist, and those in a browser all on one, which has one server for them."""
    browser = Path(__file__).parent / "browser"
    for item in items:
        name = "browser" if item.path.is_relative_to(browser) else item.path.stem
        item.add_marker(pytest.mark.xdist_group(name))
        if name == "browser":
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session", autouse=True)
def _apart_from_the_person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Take ``MIXROUTE_*`` out of the environment, and give Jupyter and IPython folders of their own."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("MIXROUTE_")]:
            patch.delenv(name)
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
            patch.setenv(name, str(home))
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server, running; a test that stops it starts it again."""
    with postgres_at(required_postgres()) as server:
        yield server


@pytest.fixture(scope="session", autouse=True)
def _no_key_leaks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fail where a key of the tests is in what a kernel said, a gateway was asked, or a test left in a file."""
    yield
    leaks.look_in_files(tmp_path_factory.getbasetemp())
    assert not leaks.FOUND, "an API key has leaked:\n" + "\n".join(dict.fromkeys(leaks.FOUND))
