"""Interrupts: each is heard, none breaks a library, and none cuts short what has to be done at the end."""

from __future__ import annotations

import _thread
import signal
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

__all__ = ["heard", "undisturbed"]

_AGAIN = 0.02  # seconds


@contextmanager
def heard() -> Iterator[None]:
    """Let an interrupt that would be lost, or would break something for the kernel's life, come a moment later.

    Python only prints what is raised while it disposes of an object: weak sets, connections and generators run code of
    theirs then, and whoever pressed Stop would wait for ever. And a library whose import is cut short cannot be
    imported any more. Once the moment has passed, the interrupt is sent again.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # no interrupt comes here
        return
    ear = _Ear()
    before = signal.getsignal(signal.SIGINT)
    sys.unraisablehook = ear.dropped
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, ear.pressed)
    try:
        yield
    finally:
        ear.closed = True
        sys.unraisablehook = ear.others
        if signal.getsignal(signal.SIGINT) == ear.pressed:
            signal.signal(signal.SIGINT, before)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let no interrupt cut short what is done at the end, which takes milliseconds unless a database is slow."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is None:
        yield  # no interrupt comes here; or it is a program's around Python, and could not be put back
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _Ear:
    """Hears the interrupts of one command; ``others`` is what heard of exceptions that nobody can catch."""

    def __init__(self) -> None:
        self.others = sys.unraisablehook
        self.closed = False
        self._put_off = self._sent = False

    def pressed(self, number: int, frame: FrameType | None) -> None:
        """Interrupt, unless the package is importing a library; a second press does not wait for that."""
        ours, self._sent = self._sent, False
        if _importing(frame) and (ours or not self._put_off):
            self._put_off = True
            self._again()
            return
        signal.default_int_handler(number, frame)

    def dropped(self, unraisable: Any) -> None:
        """Take in what was raised while an object was disposed of."""
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            self._again()
        else:
            self.others(unraisable)

    def _again(self) -> None:
        _thread.start_new_thread(self._send, ())  # a Thread takes a lock, which the main thread may be holding

    def _send(self) -> None:
        time.sleep(_AGAIN)
        if self.closed:
            return
        self._sent = True
        if hasattr(signal, "pthread_kill"):  # which wakes who waits for the network, too
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        else:
            signal.raise_signal(signal.SIGINT)


def _importing(frame: FrameType | None) -> bool:
    """Say whether a library is being imported, for the package itself and not for the notebook's code."""
    found = False
    while frame is not None:
        found = found or frame.f_code.co_filename.startswith("<frozen importlib")
        name = frame.f_globals.get("__name__", "")
        if name == "__main__" or name.partition(".")[0] == "mixroute_magic":
            return found and name != "__main__"
        frame = frame.f_back
    return False
