"""A PostgreSQL server of a test's own: Debian's programs, a new cluster in a temporary folder, on loopback."""

from __future__ import annotations

import os
import pwd
import random
import shutil
import socket
import subprocess
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

OWNER = "owner"  # of the cluster: a superuser
PASSWORD = "sk-test-password"
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "60",
    "timezone": "Asia/Taipei",  # not UTC, as a server in the field
    "log_timezone": "UTC",
    "full_page_writes": "off",
}
PORTS = range(20_000, 32_000)  # below those that the system gives to others while the server is stopped for a moment


class Postgres:
    """A cluster, which can be stopped and started again."""

    def __init__(self, programs: Path, folder: Path, *, fsync: bool = False) -> None:
        self._programs = programs
        self._folder = folder
        self._data = folder / "data"
        self._databases = 0
        self._owner = _unprivileged()
        if self._owner:
            shutil.chown(folder, self._owner)
        (folder / "password").write_text(PASSWORD)
        self._call(
            "initdb", "--username", OWNER, "--pwfile", str(folder / "password"), "--auth", "scram-sha-256",
            "--encoding", "UTF8", "--no-locale", "--no-sync",
        )  # fmt: skip
        self.port = _free_port()
        settings = SETTINGS | {"fsync": "on" if fsync else "off", "port": str(self.port)}
        settings["unix_socket_directories"] = str(folder)
        lines = [f"{name} = '{value}'\n" for name, value in settings.items()]
        with (self._data / "postgresql.conf").open("a") as file:
            file.writelines(lines)

    def url(self, database: str = "postgres", user: str = OWNER, *, scheme: str = "postgresql+psycopg") -> str:
        """Return the address of a database; all users of a test have the same password."""
        return f"{scheme}://{user}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Return when it takes connections."""
        self._call("pg_ctl", "-w", "-t", "60", "-s", "-l", str(self._folder / "log"), "start")

    def stop(self, mode: str = "fast") -> None:
        """End it, and the connections to it; ``immediate`` is what a crash is like."""
        self._call("pg_ctl", "-w", "-s", "-m", mode, "stop")

    def run(self, sql: str, database: str = "postgres", user: str = OWNER) -> list[list[str]]:
        """Run SQL in psql, all or nothing, and return the fields of the last result.

        Raises
        ------
        AssertionError
            With what the server says, if it refuses.
        """
        ran = subprocess.run(
            [
                self._programs / "psql", "-X", "-q", "-A", "-t", "-F", "\t", "-1", "-v", "ON_ERROR_STOP=1", "-f", "-",
                self.url(database, user, scheme="postgresql"),
            ],
            check=False,
            input=sql,
            capture_output=True,
            text=True,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        return [line.split("\t") for line in ran.stdout.splitlines()]

    def new_database(self) -> str:
        """Make an empty database, and return its name."""
        self._databases += 1
        name = f"usage_{self._databases}"
        maintenance = self.url(scheme="postgresql")
        subprocess.run([self._programs / "createdb", name, "--maintenance-db", maintenance], check=True)
        return name

    def _call(self, program: str, *arguments: str) -> None:
        errors = self._folder / "errors"
        with errors.open("w") as file:
            ran = subprocess.run(
                [self._programs / program, "-D", self._data, *arguments],
                check=False,
                user=self._owner,
                group=pwd.getpwnam(self._owner).pw_gid if self._owner else None,
                extra_groups=[] if self._owner else None,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # a pipe would stay open as long as the server runs
                stderr=file,
                env={**os.environ, "LC_ALL": "C"},
            )
        log = self._folder / "log"
        assert ran.returncode == 0, errors.read_text() + (log.read_text() if log.exists() else "")


def find_postgres() -> Path | None:
    """Return the folder of the newest server's programs, where there is one."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    found = shutil.which("postgres") or (debian[-1] if debian else None)
    return Path(found).resolve().parent if found else None


@contextmanager
def postgres_at(programs: Path, *, fsync: bool = False) -> Iterator[Postgres]:
    """Run a server. Its folder is not pytest's, which only the person that runs the tests can enter."""
    with tempfile.TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as folder:
        server = Postgres(programs, Path(folder), fsync=fsync)
        server.start()
        try:
            yield server
        finally:
            with suppress(AssertionError):  # a test may have left it stopped
                server.stop("immediate")


def required_postgres() -> Path:
    """Return the server's programs; their absence is a reason to skip, but never in CI."""
    programs = find_postgres()
    if programs is None:
        reason = "no PostgreSQL found: install the system's package `postgresql`"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return programs


def _unprivileged() -> str | None:
    """Return whom the server runs as: it refuses to be root's."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _free_port() -> int:
    for port in random.sample(PORTS, 20):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    pytest.fail("no free port")
