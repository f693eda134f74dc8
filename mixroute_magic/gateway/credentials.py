"""The API key: found late, never printed. It comes from the environment, else the system keyring, else a login.

The optional ``keyring`` package is imported at first use.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from mixroute_magic.errors import AuthenticationError
from mixroute_magic.secrecy import Secret, unseen, without_any_key

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

__all__ = ["KEY_VARIABLE", "Credentials", "clean_key"]

KEY_VARIABLE = "MIXROUTE_API_KEY"
_SERVICE = "mixroute-magic"


def clean_key(pasted: str, hint: str = "Copy it once more from the MixRoute console, and run %mixroute login.") -> str:
    """Return the key without what copying adds: spaces, quotes, ``Bearer``.

    Raises
    ------
    AuthenticationError
        If characters remain that no key has, and no HTTP header may carry.
    """
    key = pasted.strip().strip("\"'").strip()
    key = re.sub(r"^Bearer\s+", "", key, flags=re.IGNORECASE)
    if key and not re.fullmatch(r"[!-~]+", key):
        raise AuthenticationError("The API key contains spaces or characters that no key has.", hint)
    return key


class Credentials:
    """Where this kernel's key comes from; the key itself stays inside."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = os.environ if environ is None else environ
        self._entered = ""
        self._kept: str | None = None  # what the keyring holds; asked once, as it may take long or ask the user
        self._secret = Secret()

    @unseen
    def key(self) -> str | None:
        """Return the key, or ``None`` where there is none.

        Raises
        ------
        AuthenticationError
            If it cannot be a key.
        """
        found, source = self._find()
        hint = f"Copy it once more from the MixRoute console into {KEY_VARIABLE}, which comes before %mixroute login."
        return (clean_key(found, hint) if source == KEY_VARIABLE else clean_key(found)) or None

    def is_in(self, text: str) -> bool:
        """Say whether a text gives the key away."""
        return self.secret().is_in(text)

    def redact(self, text: str) -> str:
        """Return a text without the key, and without anything that looks like one."""
        return without_any_key(self.secret().hidden(text))

    def without_key(self, text: str) -> str:
        """Return a text without the key itself; what only looks like one may be what a model was asked about."""
        return self.secret().hidden(text)

    @unseen
    def source(self) -> str | None:
        """Say where the key comes from, for people."""
        return self._find()[1]

    @unseen
    def login(self, pasted: str) -> str:
        """Keep a key, in the system keyring where there is one, and say where it is kept."""
        key = clean_key(pasted)
        if not key:
            raise AuthenticationError("No key was entered.", "Run %mixroute login again and paste the key.")
        self._entered = key
        keyring = _keyring()
        if keyring is not None:
            with suppress(Exception):  # whatever a backend raises may quote what it could not keep
                keyring.set_password(_SERVICE, KEY_VARIABLE, key)
            if _from_keyring(keyring) == key:  # some backends keep nothing, and say nothing
                return "the system keyring"
        return "this kernel's memory"

    @unseen
    def logout(self) -> None:
        """Forget the key that `login` kept. A key in the environment stays: it is not ours."""
        self._entered = ""
        keyring = _keyring()
        if keyring is None or not _from_keyring(keyring):
            return
        self._kept = None
        try:
            keyring.delete_password(_SERVICE, KEY_VARIABLE)
        except Exception as error:  # noqa: BLE001 - backends raise errors of their own, too
            hint = f"Delete it there: its service is {_SERVICE}."
            raise AuthenticationError(f"The system keyring did not let go of the key: {error}.", hint) from None

    def __repr__(self) -> str:
        return f"Credentials(source={self.source()!r})"

    @unseen
    def secret(self) -> Secret:
        """Return what must not be seen: all keys that are known here, and what was pasted in their place."""
        pasted = self._find()[0], self._entered, self._kept or ""
        self._secret = self._secret.made_of(*map(_unquoted, pasted))
        return self._secret

    def _find(self) -> tuple[str, str | None]:
        if key := self._environ.get(KEY_VARIABLE, "").strip():
            return key, KEY_VARIABLE
        if self._entered:
            return self._entered, "%mixroute login"
        if self._kept is None:
            self._kept = _from_keyring(_keyring())
        return self._kept, "the system keyring" if self._kept else None


def _unquoted(pasted: str) -> str:
    try:
        return clean_key(pasted)
    except AuthenticationError:
        return pasted


def _keyring() -> ModuleType | None:
    try:
        import keyring
        import keyring.errors
    except ImportError:
        return None
    return keyring  # type: ignore[no-any-return,unused-ignore]


def _from_keyring(keyring: ModuleType | None) -> str:
    if keyring is None:
        return ""
    try:
        return clean_key(keyring.get_password(_SERVICE, KEY_VARIABLE) or "")
    except Exception:  # noqa: BLE001 - a backend raises errors of its own, which may quote a key; there is still the login
        return ""
