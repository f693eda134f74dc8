"""Interrupts: each is heard, and none cuts short what has to be done at the end."""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["heard", "undisturbed"]

_AGAIN = 0.02  # seconds, after which whatever was being disposed of is gone


@contextmanager
def heard() -> Iterator[None]:
    """Let no interrupt be lost: one that comes while Python disposes of an object is raised where nobody can see it.

    Weak sets, connections and generators run code of theirs then. What that raises is only printed, so that whoever
    pressed Stop would wait for ever. Such an interrupt is sent once more.
    """
    others, timers = sys.unraisablehook, list[threading.Timer]()

    def again(lost: Any) -> None:
        if not issubclass(lost.exc_type, KeyboardInterrupt):
            others(lost)
            return
        timers.append(threading.Timer(_AGAIN, _interrupt))
        timers[-1].start()

    sys.unraisablehook = again
    try:
        yield
    finally:
        sys.unraisablehook = others
        for timer in timers:
            timer.cancel()


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let a second interrupt cut nothing short: the first has stopped the answer, what is left takes milliseconds."""
    if threading.current_thread() is not threading.main_thread():
        yield  # no interrupt comes here
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupt() -> None:
    """Interrupt the main thread, also where it waits for the network."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        signal.raise_signal(signal.SIGINT)
