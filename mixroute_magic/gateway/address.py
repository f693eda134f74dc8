"""Where the gateway is."""

from __future__ import annotations

import re
from urllib.parse import urlsplit, urlunsplit

from mixroute_magic.config import DEFAULT_BASE_URL
from mixroute_magic.errors import BadRequestError

__all__ = ["is_loopback", "read_base_url"]


def read_base_url(url: str, *, allow_http: bool = False) -> str:
    """Return the base URL as requests need it, from any form that people paste.

    With or without ``/v1``, a slash at the end, or the full path of an endpoint.

    Raises
    ------
    BadRequestError
        If it is no http(s) URL, or would send the key unencrypted to another machine.
    """
    parts = urlsplit(url.strip())
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise BadRequestError(f"The gateway's address is not a URL: {url!r}.", f"It looks like {DEFAULT_BASE_URL}.")
    if parts.scheme == "http" and not allow_http and not is_loopback(url):
        raise BadRequestError(
            f"http://{parts.hostname} would send the API key unencrypted.",
            "Use https://, or allow it with %config MixRoute.allow_http = True.",
        )
    path = re.sub(r"/(chat/completions|models)$", "", parts.path.rstrip("/"))
    if not re.search(r"/v\d", path):
        path += "/v1"
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def is_loopback(url: str) -> bool:
    """Say whether a URL leads to this machine."""
    host = urlsplit(url).hostname or ""
    return host in {"localhost", "::1"} or host.startswith("127.")
