"""What a gateway's refusal means: from status, code and body to the error tree, and whether trying again can help.

Decisions rest on the HTTP status and ``error.code``, never on the language of the message: this gateway family answers
in English and Chinese, and gives the same refusal under several statuses (CONTRIBUTING.md, "What the wire looks like").
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from mixroute_magic.config import DEFAULT_BASE_URL, OTHER_BASE_URL
from mixroute_magic.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    MixRouteError,
    NotFoundError,
    PermissionDeniedError,
    QuotaError,
    RateLimitError,
    ServerError,
    StreamError,
)
from mixroute_magic.gateway.lengths import TOO_LONG, is_too_long
from mixroute_magic.gateway.parameters import advice
from mixroute_magic.gateway.transport import WITH_NAME_HINT
from mixroute_magic.outside import load_json, name_of

__all__ = ["Refusal", "error_in", "may_retry", "request_id", "retry_after"]

_LONGEST_WAIT = 60.0
"""Seconds: a longer Retry-After is told to the user instead of waited for."""

_LONGEST_TOLD = 10**7
"""Seconds, four months: whoever asks for a longer wait is not told on."""

_LONGEST_MESSAGE = 400
_CLIENT_MISTAKES = frozenset(
    {
        "bad_request_body",
        "convert_request_failed",
        "count_token_failed",
        "invalid_request",
        "model_price_error",
        "prompt_blocked",
        "read_request_body_failed",
        "sensitive_words_detected",
    }
)
_MODEL_CODES = frozenset({"model_not_found", "model_not_supported"})
_QUOTA = re.compile(r"quota|billing|balance|credit", re.IGNORECASE)
_UPSTREAM = re.compile(r"upstream|^channel:", re.IGNORECASE)
_REQUEST_ID = re.compile(r"\(request id: (\w+)\)$")
_LONGEST_ID = 200
_TITLE = re.compile(r"<title[^<>]*>([^<]+)", re.IGNORECASE)
_GATEWAY_TIMEOUTS = frozenset({504, 522, 524})
_RETRIED = frozenset({408, 409, 429, 500, 502, 503, 520, 529}) | _GATEWAY_TIMEOUTS


@dataclass(frozen=True, slots=True)
class Refusal:
    """A gateway's no: its status, the body's words and code, and who said it; ``param`` is the field it is about."""

    status: int
    message: str
    code: str
    kind: str
    param: str
    host: str
    request_id: str | None = None
    retry_after: float | None = None

    @classmethod
    def read(cls, status: int, headers: Mapping[str, str], body: bytes, host: str) -> Refusal:
        """Read an error reply in any of the shapes seen: JSON of several dialects, text, HTML, nothing."""
        said = (headers.get("location", ""), "", "", "") if 300 <= status < 400 else _words(body)
        return cls.from_words(status, headers, said, host)

    @classmethod
    def from_words(cls, status: int, headers: Mapping[str, str], said: tuple[str, str, str, str], host: str) -> Refusal:
        """Make a refusal of message, code, type and param; this gateway family's messages end in the request's id."""
        message, code, kind, param = said
        message = message.rstrip()
        quoted = _REQUEST_ID.search(message[-_LONGEST_ID:])  # a message can be megabytes
        if status in {400, 413, 422} and is_too_long(code, message):
            code = TOO_LONG
        found = request_id(headers) or (quoted[1] if quoted else None)
        return cls(
            status,
            _short(message.removesuffix(quoted[0] if quoted else "")),
            code,
            kind,
            param,
            host,
            found,
            retry_after(headers),
        )

    def error(self) -> MixRouteError:
        """Return the error of the tree that says this best."""
        kind, what, hint = self._meaning()
        if kind is BadRequestError and self.code != TOO_LONG:
            hint = advice(self.param, self.message) or hint
        error = kind(what, hint, status=self.status, code=self.code or None, request_id=self.request_id)
        error.retry_after = self.retry_after
        return error

    def _meaning(self) -> tuple[type[MixRouteError], str, str]:
        status, said = self.status, self._quoted()
        if self.code in _MODEL_CODES:
            return (
                NotFoundError,
                f"This model is not available for your key{said}",
                "%model --list shows those that are.",
            )
        if self.code in _CLIENT_MISTAKES:
            return BadRequestError, f"The request was not accepted{said}", "Change the question or its options."
        if self.code == TOO_LONG:
            hint = "Send fewer or shorter messages."
            return BadRequestError, f"The conversation is too long for this model{said}", hint
        if status == 402 or (status in {200, 403, 429} and _QUOTA.search(f"{self.code} {self.kind}")):
            return (
                QuotaError,
                f"The account at {self.host} is out of balance or quota{said}",
                "Top up in the console, then run the cell again.",
            )
        if status == 401 and _UPSTREAM.search(f"{self.code} {self.kind}"):
            hint = "Your key is fine; try another model with -m."
            return ServerError, f"The provider behind {self.host} refused the gateway itself{said}", hint
        return self._by_status(said)

    def _by_status(self, said: str) -> tuple[type[MixRouteError], str, str]:
        kind, what, hint = _BY_STATUS.get(self.status) or _BY_CLASS.get(self.status // 100, _BY_CLASS[5])
        if 300 <= self.status < 400 and _host_in(self.message) not in {"", self.host}:
            hint = "Perhaps a Wi-Fi's login page answers instead: open it in a browser, then run the cell again."
        if kind is RateLimitError and self.retry_after:
            hint = f"Run the cell again in {_duration(self.retry_after)}."
        return kind, what.format(host=self.host, status=self.status) + said, hint

    def _quoted(self) -> str:
        return f": {self.message}" if self.message else "."


_KEYS_AND_HOSTS = (
    f"Check that key and gateway belong together ({DEFAULT_BASE_URL} or {OTHER_BASE_URL}), then %mixroute login."
)
_MAYBE_BILLED = "The request may have been billed. Ask for less at once, or try again later."
_NO_ANSWER = "{host} waited too long for the model (HTTP {status})"

_BY_STATUS: Mapping[int, tuple[type[MixRouteError], str, str]] = {
    200: (StreamError, "{host} reported an error instead of an answer", "Run the cell again."),
    401: (AuthenticationError, "{host} did not accept the API key (HTTP 401)", _KEYS_AND_HOSTS),
    403: (PermissionDeniedError, "{host} does not allow this (HTTP 403)", "Use another model, or another key."),
    404: (
        NotFoundError,
        "{host} knows no such model, or no such address (HTTP 404)",
        "%model --list shows the models; the address (%mixroute) ends in one /v1.",
    ),
    407: (APIConnectionError, "The proxy before {host} wants a name and a password (HTTP 407)", WITH_NAME_HINT),
    408: (APITimeoutError, "{host} waited too long for the request (HTTP 408)", "Run the cell again."),
    409: (ServerError, "{host} is busy with a conflicting request (HTTP 409)", "Run the cell again."),
    413: (
        BadRequestError,
        "The request is too large for {host} (HTTP 413)",
        "Send less: --fresh leaves out earlier turns.",
    ),
    429: (RateLimitError, "Too many requests to {host} (HTTP 429)", "Wait a little, then run the cell again."),
    504: (APITimeoutError, _NO_ANSWER, _MAYBE_BILLED),
    522: (APITimeoutError, _NO_ANSWER, _MAYBE_BILLED),
    524: (APITimeoutError, _NO_ANSWER, _MAYBE_BILLED),
}
_BY_CLASS: Mapping[int, tuple[type[MixRouteError], str, str]] = {
    1: (StreamError, "{host} sent no reply (HTTP {status})", "Check MIXROUTE_BASE_URL."),
    2: (StreamError, "{host} sent no answer (HTTP {status})", "Check MIXROUTE_BASE_URL."),
    3: (APIStatusError, "{host} redirects elsewhere (HTTP {status})", "Set MIXROUTE_BASE_URL to the final address."),
    4: (BadRequestError, "The request was not accepted (HTTP {status})", "Drop or change the option that it names."),
    5: (ServerError, "{host} has a problem (HTTP {status})", "Run the cell again later, or try another model with -m."),
}


def error_in(data: Any, headers: Mapping[str, str], host: str) -> MixRouteError | None:
    """Return the error that a reply with status 200 carries, if it carries one.

    In an event of a stream, in a JSON body, and as ``{"success": false}``: the gateway reports all three with 200.
    """
    if isinstance(data, list):
        data = data[0] if data else {}
    if not isinstance(data, Mapping):
        return None
    said_no = data.get("error") or data.get("success") is False
    if not said_no and ("choices" in data or "data" in data or not _first(data, "message", "msg", "detail")):
        return None
    return Refusal.from_words(_status_in(data), headers, _fields(data), host).error()


def may_retry(error: BaseException | None, attempt: int) -> bool:
    """Say whether the same request may succeed if it is sent again; ``attempt`` counts from 1."""
    if not isinstance(error, MixRouteError) or isinstance(error, QuotaError | BadRequestError | NotFoundError):
        return False
    if error.retry_after is not None and error.retry_after > _LONGEST_WAIT:
        return False
    if error.status in _GATEWAY_TIMEOUTS:
        return attempt == 1
    if error.status is not None:
        return error.status in _RETRIED
    return isinstance(error, APIConnectionError) and not isinstance(error, APITimeoutError)


def request_id(headers: Mapping[str, str]) -> str | None:
    """Return the id under which the gateway can find this request again."""
    names = ("x-oneapi-request-id", "x-request-id", "request-id", "cf-ray")
    return next((value[:_LONGEST_ID] for name in names if (value := headers.get(name))), None)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that the gateway asks to wait; ``None`` where it asks nothing sensible."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _number(value)
    if seconds is not None or not value:
        return seconds
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _number(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return number if 0 <= number < _LONGEST_TOLD else None


def _words(body: bytes) -> tuple[str, str, str, str]:
    text = body.decode("utf-8", "replace").strip()
    try:
        return _fields(load_json(text))
    except ValueError:
        pass
    if text.startswith("<"):
        title = _TITLE.search(text)
        return f"a web page, “{title[1].strip()}”" if title else "a web page", "", "", ""
    return text, "", "", ""


def _fields(data: Any) -> tuple[str, str, str, str]:
    """Return message, code, type and param of an error body, in whichever of its many shapes."""
    if isinstance(data, list):
        data = data[0] if data else {}
    if not isinstance(data, Mapping):
        return str(data), "", "", ""
    error = data.get("error")
    inner = error if isinstance(error, Mapping) else data
    message = error if isinstance(error, str) else _first(inner, "message", "msg", "detail")
    kind = inner.get("type") or inner.get("status")
    return _unnested(message), name_of(inner.get("code") or ""), name_of(kind or ""), name_of(inner.get("param") or "")


def _first(data: Mapping[str, Any], *names: str) -> str:
    value = next((data[name] for name in names if data.get(name)), "")
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _unnested(message: str) -> str:
    """Return the words inside a message that is itself JSON, as Bedrock's are."""
    if message.startswith("{"):
        try:
            return _fields(load_json(message))[0] or message
        except ValueError:
            return message
    return message


def _status_in(data: Mapping[str, Any]) -> int:
    """Return the HTTP status that an error inside a 200 reply names as its code, else 200."""
    error = data.get("error")
    code = error.get("code") if isinstance(error, Mapping) else data.get("code")
    number = _number(name_of(code)) or 0
    return int(number) if 400 <= number < 600 else 200


def _host_in(address: str) -> str:
    try:
        return urlsplit(address).netloc
    except ValueError:
        return ""


def _short(text: str) -> str:
    """Return printable text of a bearable length: error bodies can be megabytes, or terminal escapes."""
    text = " ".join("".join(c if c.isprintable() or c.isspace() else "�" for c in text[: 4 * _LONGEST_MESSAGE]).split())
    return text if len(text) <= _LONGEST_MESSAGE else text[: _LONGEST_MESSAGE - 1] + "…"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
