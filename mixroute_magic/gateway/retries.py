"""When a request is sent again, how often, and after how long; the only door to tenacity, imported at first use."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mixroute_magic.errors import RateLimitError
from mixroute_magic.gateway.faults import may_retry

if TYPE_CHECKING:
    import threading

    from tenacity import RetryCallState

__all__ = ["OnRetry", "is_waited_out", "retrying"]

OnRetry = Callable[[Exception, float], None]
"""Called with the error and the seconds before a request is sent once more."""

_PATIENCE = 120.0  # seconds, all waits for one answer together
_A_WHILE = 1.0  # seconds; to ask for less than that is to ask again at once


def retrying(retries: int, cancelled: threading.Event, on_retry: OnRetry | None) -> Callable[..., Any]:
    """Return a caller that tries again where that can help, and announces it.

    Parameters
    ----------
    retries
        How often, for whatever reason. A rate limit that says how long it lasts is waited out beyond that: nothing
        was asked of a provider yet, and of a class behind one limit each has to be served some time.
    cancelled
        Ends the waiting; nothing is sent any more.
    """
    from tenacity import Retrying, sleep_using_event, wait_random_exponential

    backoff = wait_random_exponential(multiplier=1.0, max=8.0)

    def wait(state: RetryCallState) -> float:
        asked = _asked(state)
        if asked is None:
            return backoff(state)
        # Those who were refused together, such as a class, do not come back together.
        return asked + backoff(state) if asked >= _A_WHILE else asked

    def announce(state: RetryCallState) -> None:
        error = _outcome(state)
        if on_retry is not None and isinstance(error, Exception):
            on_retry(error, state.upcoming_sleep)

    def stop(state: RetryCallState) -> bool:
        waits = retries > 0 and is_waited_out(_outcome(state), state.idle_for)
        return state.attempt_number > retries and not waits

    return Retrying(
        stop=stop,
        retry=lambda state: not cancelled.is_set() and may_retry(_outcome(state), state.attempt_number),
        wait=wait,
        sleep=sleep_using_event(cancelled),
        before_sleep=announce,
        reraise=True,
    )


def is_waited_out(error: BaseException | None, waited: float) -> bool:
    """Say whether an error is a rate limit with an end that can still be waited for, after so many seconds."""
    if not isinstance(error, RateLimitError) or error.retry_after is None:
        return False
    return error.retry_after >= _A_WHILE and waited + error.retry_after <= _PATIENCE


def _asked(state: RetryCallState) -> float | None:
    """Return the seconds that the gateway asks to wait."""
    return getattr(_outcome(state), "retry_after", None)


def _outcome(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None
