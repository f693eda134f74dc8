"""Where the key comes from, with a real keyring in a file of its own process."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from mixroute_magic.errors import AuthenticationError
from mixroute_magic.gateway.credentials import Credentials

if TYPE_CHECKING:
    from pathlib import Path

# A keyring backend that keeps passwords in a file, as a real one would in its database; `broken` refuses everything.
BACKEND = """
import json, pathlib
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked, PasswordDeleteError

STORE = pathlib.Path(__file__).with_suffix(".json")

class FileKeyring(KeyringBackend):
    priority = 1

    def _read(self):
        return json.loads(STORE.read_text()) if STORE.exists() else {}

    def get_password(self, service, username):
        return self._read().get(service + username)

    def set_password(self, service, username, password):
        STORE.write_text(json.dumps(self._read() | {service + username: password}))

    def delete_password(self, service, username):
        kept = self._read()
        del kept[service + username]
        STORE.write_text(json.dumps(kept))

class LockedKeyring(FileKeyring):
    def get_password(self, *_):
        raise KeyringLocked("locked")

    set_password = delete_password = get_password

class KeepingKeyring(FileKeyring):
    def delete_password(self, *_):
        raise PasswordDeleteError("not now")
"""


def in_a_process(folder: Path, code: str, backend: str = "FileKeyring", **environment: str) -> list[str]:
    """Run code with a keyring backend and return the lines that it printed."""
    (folder / "store.py").write_text(BACKEND)
    known = {"PYTHONPATH": str(folder), "PYTHON_KEYRING_BACKEND": f"store.{backend}", "HOME": str(folder)} | environment
    known |= {name: value for name, value in os.environ.items() if name.startswith("COV")}
    head = "from mixroute_magic.gateway.credentials import Credentials\nkept = Credentials()\n"
    ran = subprocess.run([sys.executable, "-c", head + code], env=known, capture_output=True, text=True, check=True)
    return ran.stdout.splitlines()


def test_a_login_is_kept_in_the_keyring_for_the_next_kernel_until_logout(tmp_path: Path) -> None:
    assert in_a_process(tmp_path, "print(kept.login(' sk-test '))") == ["the system keyring"]
    shown = "print(kept.key(), kept.source())"
    assert in_a_process(tmp_path, shown) == ["sk-test the system keyring"]
    assert in_a_process(tmp_path, shown, MIXROUTE_API_KEY="sk-env") == ["sk-env MIXROUTE_API_KEY"]
    assert in_a_process(tmp_path, f"kept.logout(); {shown}; kept.logout()") == ["None None"]
    assert in_a_process(tmp_path, shown) == ["None None"]


def test_a_locked_keyring_costs_nothing_but_the_keeping(tmp_path: Path) -> None:
    code = """
print(kept.key())
print(kept.login("sk-test"))
print(kept.key(), kept.source())
kept.logout()
print(kept.key())
"""
    expected = ["None", "this kernel's memory", "sk-test %mixroute login", "None"]
    assert in_a_process(tmp_path, code, "LockedKeyring") == expected


def test_a_keyring_that_does_not_let_go_is_told(tmp_path: Path) -> None:
    code = """
kept.login("sk-test")
try:
    kept.logout()
except Exception as error:
    print(type(error).__name__, error)
"""
    (said,) = in_a_process(tmp_path, code, "KeepingKeyring")
    assert said == "AuthenticationError The system keyring did not let go of the key: not now."


def test_without_the_keyring_package_the_key_stays_in_memory(tmp_path: Path) -> None:
    code = """
import sys
sys.modules["keyring"] = None
print(kept.login("sk-test"))
print(kept.key())
kept.logout()
print(kept.key())
"""
    assert in_a_process(tmp_path, code) == ["this kernel's memory", "sk-test", "None"]


def test_an_empty_login_is_refused() -> None:
    with pytest.raises(AuthenticationError, match="No key was entered"):
        Credentials({}).login("  ")


def test_redaction_knows_the_key_and_what_looks_like_one() -> None:
    kept = Credentials({"MIXROUTE_API_KEY": "a-secret-key"})
    assert kept.redact("A-SECRET-KEY, sk-abcdef123 and sk-ab") == "sk-…, sk-… and sk-ab"
    assert kept.without_key("a-secret-key and sk-abcdef123") == "sk-… and sk-abcdef123"


@pytest.mark.parametrize("pasted", ["sk-test-key", "Bearer sk-test-key", "'sk-test-key'"])
def test_the_key_is_recognised_however_it_was_pasted(pasted: str) -> None:
    kept = Credentials({"MIXROUTE_API_KEY": pasted})
    assert kept.is_in("my key is sk-test-key!")
    assert kept.redact("my key is sk-test-key!") == "my key is sk-…!"
    assert not kept.is_in("my key is secret")


def test_what_was_pasted_and_is_no_key_is_not_shown_either() -> None:
    kept = Credentials({"MIXROUTE_API_KEY": "my secret words"})
    assert kept.redact("these are my secret words") == "these are sk-…"
    assert kept.source() == "MIXROUTE_API_KEY"
