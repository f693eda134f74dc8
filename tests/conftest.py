"""No test sees the person's own settings, or writes where they keep theirs; and none of them lets a key out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import leaks
import pytest
from postgres import postgres_at, required_postgres
from xdist.scheduler import LoadFileScheduling

if TYPE_CHECKING:
    from collections.abc import Iterator

    from postgres import Postgres


BROWSER = Path(__file__).parent / "browser"

hypothesis.settings.register_profile("any machine", deadline=None)  # a busy one takes as long as it takes
hypothesis.settings.load_profile("any machine")


class ByFile(LoadFileScheduling):
    """A file's tests go to one worker of xdist, and those in a browser all to one, which has one server for them."""

    def _split_scope(self, nodeid: str) -> str:
        return "browser" if nodeid.startswith("tests/browser/") else super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile | None:
    """Take the place of ``--dist loadfile``."""
    return ByFile(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests in a browser."""
    for item in items:
        if item.path.is_relative_to(BROWSER):
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
