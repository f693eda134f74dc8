"""What a broken connection means: one sentence from the exceptions of requests, urllib3 and the operating system."""

from __future__ import annotations

import re

from mixroute_magic.errors import APIConnectionError, APITimeoutError

__all__ = ["CONNECT_SECONDS", "WITH_NAME_HINT", "connection_error"]

CONNECT_SECONDS = 10.0
"""The longest wait for a connection; the timeout of a setting is for an answer."""

WITH_NAME_HINT = "A proxy's name and password go into HTTPS_PROXY: http://NAME:PASSWORD@proxy.example:3128."

_PROXY_HINT = (
    "HTTPS_PROXY or ALL_PROXY should look like http://proxy.example:3128; socks5:// needs the package PySocks."
)
_CERTIFICATE_HINT = "Check the clock; a network's own certificates go into a file that REQUESTS_CA_BUNDLE names."
_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})")
_NETWORK_HINT = "Check the network and MIXROUTE_BASE_URL, then run the cell again; %mixroute demo works offline."


def connection_error(error: Exception, host: str, timeout: float) -> APIConnectionError:
    """Return the one sentence that explains a transport failure of requests, urllib3 or the operating system."""
    from requests import exceptions as http
    from urllib3 import exceptions as transport

    reason = _reason(error)
    if isinstance(error, http.ConnectTimeout):
        within = f"{min(CONNECT_SECONDS, timeout):g} s"
        return _unsent(APITimeoutError(f"{host} could not be reached within {within}.", _NETWORK_HINT))
    if isinstance(error, http.Timeout | transport.TimeoutError | TimeoutError):
        hint = "The model may be busy: run the cell again, or raise the limit: %config MixRoute.timeout = 600."
        return APITimeoutError(f"{host} sent nothing for {timeout:g} s.", hint)
    if isinstance(error, http.SSLError | transport.SSLError):
        return _unsent(APIConnectionError(f"No safe connection to {host}{reason}", _CERTIFICATE_HINT))
    if isinstance(error, http.InvalidProxyURL | http.InvalidSchema | http.ProxyError):
        return _unsent(_of_proxy(error, host, reason))
    if isinstance(error, http.ConnectionError) and not isinstance(error.__context__, transport.ProtocolError):
        return _unsent(APIConnectionError(f"{host} cannot be reached{reason}", _NETWORK_HINT))
    return APIConnectionError(f"The connection to {host} broke{reason}", "Run the cell again.")


def _unsent(error: APIConnectionError) -> APIConnectionError:
    error.unsent = True
    return error


def _of_proxy(error: Exception, host: str, reason: str) -> APIConnectionError:
    """Return what is wrong with a proxy; not its address, which may hold a password."""
    from requests import exceptions as http

    if not isinstance(error, http.ProxyError):
        return APIConnectionError(f"The proxy on the way to {host} cannot be used.", _PROXY_HINT)
    said = _TUNNEL.search(str(error))
    status = said[1] if said else ""
    hint = WITH_NAME_HINT if status == "407" else "Check HTTPS_PROXY and NO_PROXY."
    why = f": it says no (HTTP {status})." if status else reason
    return APIConnectionError(f"The proxy does not lead to {host}{why}", hint)


def _reason(error: BaseException) -> str:
    """Return how the sentence ends: with the operating system's words, where three libraries have wrapped some."""
    while True:
        inner = getattr(error, "reason", None) or error.__cause__ or error.__context__ or next(iter(error.args), None)
        if not isinstance(inner, BaseException):
            break
        error = inner
    said = getattr(error, "verify_message", None) or (error.strerror if isinstance(error, OSError) else None)
    return f": {said}." if said else "."
