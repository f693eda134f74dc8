"""The line to one gateway: requests go out with the key in their header, and come back as responses or our errors.

``requests`` is imported at the first request.
"""

from __future__ import annotations

import os
import threading
from contextlib import closing, contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from mixroute_magic.errors import AuthenticationError, MixRouteError, SettingError, TemplateError
from mixroute_magic.gateway.address import host_of, is_loopback
from mixroute_magic.gateway.credentials import Credentials, clean_key
from mixroute_magic.gateway.faults import Refusal
from mixroute_magic.gateway.transport import CONNECT_SECONDS, connection_error
from mixroute_magic.secrecy import Secret, unseen, without_any_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from requests import PreparedRequest, Response

    from mixroute_magic.gateway.connections import OneHost, OpenSockets

__all__ = ["Line"]

_LARGEST_ERROR = 2**16


class Line:
    """Sends requests to one gateway over connections that are kept; another thread can end them.

    Parameters
    ----------
    api_key
        The key, or a function that returns it when it is needed; default: `Credentials`.
    """

    def __init__(self, base_url: str, api_key: str | Callable[[], str | None] | None) -> None:
        self._base_url = base_url
        self._host = host_of(base_url)
        self._key = _key_source(api_key)
        self.secret = Secret()  # the key of the last request, as what must not be seen
        self._session: OneHost | None = None
        self._sockets: OpenSockets | None = None
        self.cancelled = threading.Event()

    @contextmanager
    def request(self, method: str, path: str, body: bytes | None = None, *, timeout: float) -> Iterator[Response]:
        """Send one request, and open its response once the gateway has said yes.

        Raises
        ------
        MixRouteError
            Also for whatever goes wrong while the response is read: no foreign exception leaves, and no quoted key.
        """
        bearer = _Bearer(self.key())  # here, where what the user's own function raises is no fault of the network
        with self._faithful(timeout), closing(self._sent(method, path, body, bearer, timeout=timeout)) as response:
            yield response

    @contextmanager
    def redacted(self) -> Iterator[None]:
        """Let no error out that quotes a key."""
        try:
            yield
        except MixRouteError as error:
            error.redact(lambda text: without_any_key(self.hide(text)))
            raise

    @unseen
    def _sent(self, method: str, path: str, body: bytes | None, bearer: _Bearer, *, timeout: float) -> Response:
        self._check_secrecy(body or b"")
        response = self._connection(timeout).request(
            method,
            self._base_url + path,
            data=body,
            headers={"Content-Type": "application/json"} if body else None,
            auth=bearer,
            stream=True,
            timeout=(min(CONNECT_SECONDS, timeout), timeout),
        )
        if response.status_code == HTTPStatus.OK:
            return response
        with closing(response):
            said = response.raw.read(_LARGEST_ERROR, decode_content=True)
        raise Refusal.read(response.status_code, response.headers, said, self._host).error()

    def _check_secrecy(self, body: bytes) -> None:
        """Raise an error if the key would be sent anywhere but in its header, where others could read it later."""
        if self.secret.is_in(self._base_url):
            raise AuthenticationError("The gateway's address holds the API key.", "Keep it in MIXROUTE_API_KEY only.")
        if self.secret.is_in(body.decode()):
            raise TemplateError("The request contains your API key; nothing was sent.", "Take it out, and ask again.")

    def _connection(self, timeout: float) -> OneHost:
        if self._session is None:
            from mixroute_magic.gateway.connections import OneHost, OpenSockets

            self._sockets = OpenSockets()
            if self.cancelled.is_set():  # it may have been before there were sockets to end
                self._sockets.end()
            session = OneHost(self._sockets)
            session.verify = _certificates() or True
            session.headers["Accept-Encoding"] = "identity"  # compressed, a proxy may hold words back
            session.headers["User-Agent"] = "mixroute-magic"
            session.trust_env = not is_loopback(self._base_url)  # no proxy leads to this machine
            self._session = session  # last: what fails or is interrupted above leaves none that is half set up
        if self._sockets is not None:
            self._sockets.timeout = timeout
        return self._session

    @unseen
    def key(self) -> str | None:
        """Return the key, without which only this machine is asked.

        Raises
        ------
        AuthenticationError
            If there is none.
        """
        key = self._key()
        self.secret = self.secret.made_of(key or "")
        if key or is_loopback(self._base_url):
            return key
        raise AuthenticationError(
            "There is no API key yet.",
            "Set MIXROUTE_API_KEY, run %mixroute login, or try without a key: %mixroute demo.",
        )

    def hide(self, text: str) -> str:
        """Return what the gateway says without the key, which it may repeat."""
        return self.secret.hidden(text)

    def cancel(self) -> None:
        """End all connections at once and for good."""
        self.cancelled.set()
        if self._sockets is not None:
            self._sockets.end()

    def close(self) -> None:
        """Close the kept connections; a later request opens a new one."""
        if self._session is not None:
            self._session.close()
            self._session = None

    @contextmanager
    def _faithful(self, timeout: float) -> Iterator[None]:
        """Let no foreign exception out, and no error that quotes the key."""
        try:
            with self.redacted():
                yield
        except (OSError, ValueError, OverflowError) as error:  # the latter two: a chunk's size is no size
            raise connection_error(error, self._host, timeout) from None
        except Exception as error:
            if not type(error).__module__.startswith("urllib3."):
                raise
            raise connection_error(error, self._host, timeout) from None


def _certificates() -> str:
    """Return the file of certificates that this environment names; requests itself forgets the last of the three."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        if path := os.environ.get(name, ""):
            if not Path(path).exists():
                raise SettingError(
                    f"{name} names {path}, and it is not there; nothing was sent.", f"Correct it, or unset {name}."
                )
            return path
    return ""


class _Bearer:
    """Sets the header itself, so that no ``.netrc`` can replace it."""

    def __init__(self, key: str | None) -> None:
        self._key = key

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        if self._key:
            request.headers["Authorization"] = f"Bearer {self._key}"
        return request


def _key_source(api_key: str | Callable[[], str | None] | None) -> Callable[[], str | None]:
    if api_key is None:
        return Credentials().key
    if callable(api_key):
        return lambda: clean_key(api_key() or "") or None
    key = clean_key(api_key)
    return lambda: key
