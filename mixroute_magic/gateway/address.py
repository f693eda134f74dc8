"""Where the gateway is."""

from __future__ import annotations

import re
from contextlib import suppress
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit, urlunsplit

from mixroute_magic.config import DEFAULT_BASE_URL
from mixroute_magic.errors import SettingError
from mixroute_magic.secrecy import without_any_key

__all__ = ["host_of", "is_loopback", "read_base_url"]


def read_base_url(url: str, *, allow_http: bool = False) -> str:
    """Return the base URL as requests need it, from any form that people paste.

    With or without ``/v1``, a slash at the end, or the full path of an endpoint.

    Raises
    ------
    SettingError
        If it is no http(s) URL, or would send the key unencrypted to another machine.
    """
    parts = _parsed(url)
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
        told = f"The gateway's address is not a URL: {without_any_key(url)!r}."
        raise SettingError(told, f"It should look like {DEFAULT_BASE_URL}.")
    if parts.username or parts.password:
        raise SettingError("The gateway's address has a name or password in it.", "Keep the key in MIXROUTE_API_KEY.")
    if parts.scheme == "http" and not allow_http and not is_loopback(url):
        raise SettingError(
            f"http://{parts.hostname} would send the API key unencrypted.",
            "Use https://, or allow it with %config MixRoute.allow_http = True.",
        )
    path = re.sub(r"/(chat/completions|models)$", "", parts.path.rstrip("/"))
    if not re.search(r"/v\d", path):
        path += "/v1"
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def host_of(base_url: str) -> str:
    """Return the gateway's name for people: its host, and its port where one is given."""
    return urlsplit(base_url).netloc.rpartition("@")[2]


def is_loopback(url: str) -> bool:
    """Say whether a URL leads to this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _parsed(url: str) -> SplitResult | None:
    with suppress(ValueError):
        parts = urlsplit(url.strip())
        if parts.port != 0:  # reading the port checks it
            return parts
    return None
