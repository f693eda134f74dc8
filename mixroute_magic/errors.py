"""Everything that can go wrong, as one tree.

::

    MixRouteError
    ├── APIConnectionError        the gateway was not reached, or the connection broke
    │   └── APITimeoutError       … nothing arrived in time
    ├── APIStatusError            the gateway answered, and said no
    │   ├── AuthenticationError       401 (also: no key at all)
    │   ├── PermissionDeniedError     403
    │   │   └── QuotaError            402, 403 and 429 with a balance or quota code
    │   ├── NotFoundError             404, and the gateway's 503 model_not_found
    │   ├── RateLimitError            429
    │   ├── BadRequestError           400, 413, 422 and client mistakes that come as 500
    │   └── ServerError               5xx
    ├── StreamError               the reply broke off, or was not a reply
    ├── HistoryError              the conversation cannot do this: nothing to undo or export, too long …
    ├── BudgetError               it would take more tokens than the budget has left
    ├── ReplayError               nothing is recorded for this request, and asking was not allowed
    ├── ToolError                 a tool cannot be offered or called
    ├── SchemaError               the answer is not what the schema asks for, or the schema is none
    ├── TemplateError             the cell's text cannot be sent: a {{ … }} fails, or the key is in it
    └── SettingError              a setting, or the gateway's address, cannot be used

In a cell each shows as two or three lines through ``_render_traceback_`` (IPython's own protocol), and the cell
still fails, so that Run All, papermill and CI stop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixroute_magic.outside import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = [
    "APIConnectionError",
    "APIStatusError",
    "APITimeoutError",
    "AuthenticationError",
    "BadRequestError",
    "BudgetError",
    "ChatInterrupted",
    "HistoryError",
    "MixRouteError",
    "NotFoundError",
    "PermissionDeniedError",
    "QuotaError",
    "RateLimitError",
    "ReplayError",
    "SchemaError",
    "ServerError",
    "SettingError",
    "StreamError",
    "TemplateError",
    "ToolError",
]

_LONGEST_NAME = 64


class MixRouteError(Exception):
    """Base of all errors of this package.

    Parameters
    ----------
    message
        What happened, in one sentence.
    hint
        What to do next, in one sentence.
    status, code, request_id
        The HTTP status, the gateway's error code and its id of the request, where there are any.

    Attributes
    ----------
    partial : str
        The text that had arrived before the failure.
    retry_after : float or None
        Seconds after which the gateway asks to try again.
    """

    def __init__(
        self,
        message: str,
        hint: str = "",
        *,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.hint = hint
        self.status = status
        self.code = code
        self.request_id = request_id
        self.partial = ""
        self.retry_after: float | None = None

    def __str__(self) -> str:
        return _readable(super().__str__())

    def lines(self) -> list[str]:
        """Return what a person reads: what happened, what to do, the request id."""
        first = f"{type(self).__name__}: {self}"
        request = f"Request id: {self.request_id}" if self.request_id else ""
        return [line for line in (first, _readable(self.hint), _readable(request)) if line]

    def redact(self, clean: Callable[[str], str]) -> None:
        """Take out of its words what must not be seen; ``partial`` is an answer, and clean like one."""
        self.args, self.hint = (clean(str(self)),), clean(self.hint)
        self.code, self.request_id = (text and clean(text) for text in (self.code, self.request_id))

    def _render_traceback_(self) -> list[str]:
        return self.lines()


def _readable(text: str) -> str:
    """Return what is said with nothing in it that acts on a terminal: gateways, models and files are quoted in it."""
    return "\n".join(map(visible, text.split("\n")))


class APIConnectionError(MixRouteError):
    """The gateway was not reached, or the connection broke.

    Attributes
    ----------
    unsent : bool
        Whether the gateway cannot have seen the request, which therefore cost nothing.
    """

    unsent = False


class APITimeoutError(APIConnectionError):
    """Nothing arrived in time."""


class APIStatusError(MixRouteError):
    """The gateway answered, and said no."""


class AuthenticationError(APIStatusError):
    """There is no key, or the gateway does not take it."""


class PermissionDeniedError(APIStatusError):
    """The key may not do this."""


class QuotaError(PermissionDeniedError):
    """The account has no balance or quota left."""


class NotFoundError(APIStatusError):
    """The model, or the address, does not exist for this key."""


class RateLimitError(APIStatusError):
    """Too many requests."""


class BadRequestError(APIStatusError):
    """The request itself is not accepted."""


class ServerError(APIStatusError):
    """The gateway, or the model behind it, failed."""


class StreamError(MixRouteError):
    """The reply broke off, or was not a reply."""


class HistoryError(MixRouteError):
    """The conversation cannot do this: nothing to undo, nothing to export, too long for its model."""


class BudgetError(MixRouteError):
    """The request may take more tokens than a budget has left, or no budget can be kept; nothing was sent."""


class ReplayError(MixRouteError):
    """Nothing is recorded for this request, and asking was not allowed."""


class ToolError(MixRouteError):
    """A tool cannot be offered to a model, or must not be called."""


class SchemaError(MixRouteError):
    """The answer does not fit the schema that was asked for, or that is no schema."""


class TemplateError(MixRouteError):
    """The cell's text cannot be sent: a template fails, or the key is in it; nothing was sent."""


class SettingError(MixRouteError):
    """A setting, or the gateway's address, cannot be used; nothing was sent."""


class ChatInterrupted(KeyboardInterrupt):
    """The user stopped the answer; ``partial`` is the text that had arrived, ``kept`` who had answered before.

    ``called`` are the tools that had been asked for.

    An interrupt like Python's own, so that ``except Exception`` around a loop of questions lets it through.
    """

    def __init__(self, partial: str = "", *, kept: str = "", called: Iterable[str] = ()) -> None:
        super().__init__("The answer was interrupted.")
        self.partial = partial
        self.kept = kept
        self.called = tuple(called)

    def _render_traceback_(self) -> list[str]:
        if self.kept:
            others = "what the others said so far is kept above, too"
            return [
                f"Interrupted: {visible(self.kept)} had answered and goes on; {others}.",
                "Run the cell again to ask all of them anew.",
            ]
        if not self.partial and self.called:
            named = ", ".join(visible(name[:_LONGEST_NAME]) for name in self.called)
            return [
                f"Interrupted: the model asked for {named}, and had not answered yet.",
                "Run the cell again.",
            ]
        if not self.partial:
            return ["Interrupted: nothing had arrived yet.", "Run the cell again."]
        return [
            "Interrupted: the text so far is kept above; it is not part of the conversation.",
            "Run the cell again, or go on from there: %%chat -c.",
        ]
