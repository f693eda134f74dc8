"""A real terminal, as a person sees it: a pseudo-terminal, and an emulator that draws what a program writes there."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Self

import pyte

ROOT = Path(__file__).parents[1]
PATIENCE = 30  # seconds for what should come at once, or the region is drawn for ever


class Terminal:
    """A program in a terminal of some size; a context manager that ends it.

    ``lines`` are all that it has written, those that have scrolled away included.
    """

    def __init__(self, *command: str, columns: int = 80, rows: int = 24, **environment: str) -> None:
        self._screen = pyte.HistoryScreen(columns, rows, history=10_000, ratio=1)
        self._stream = pyte.ByteStream(self._screen)
        self.written = b""
        self._ours, theirs = pty.openpty()
        self.resize(columns, rows)
        clean = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
        known = clean | {"TERM": "xterm-256color", "PYTHONPATH": str(ROOT)} | environment
        size = {"COLUMNS", "LINES"}  # pytest-xdist sets them for what it runs
        self._program = subprocess.Popen(
            command or [sys.executable],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=ROOT,
            env={name: value for name, value in known.items() if name not in size},
            start_new_session=True,
        )
        os.close(theirs)

    def type(self, text: str) -> None:
        """Type on the keyboard."""
        os.write(self._ours, text.encode())

    def resize(self, columns: int, rows: int) -> None:
        """Change the size of the window."""
        self._screen.resize(rows, columns)
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        os.killpg(self._program.pid, signal.SIGINT)

    def until(self, text: str) -> Self:
        """Read until a text is seen."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.text:
            if time.monotonic() > deadline or not self._read():
                raise EOFError(f"{text!r} was never seen in:\n{self.text}")
        return self

    def end(self) -> Self:
        """Read to the end of the program."""
        while self._read():
            pass
        self._program.wait()
        return self

    @property
    def lines(self) -> list[str]:
        """All lines, without the spaces at their ends."""
        gone = [
            "".join(line[column].data for column in range(self._screen.columns)) for line in self._screen.history.top
        ]
        return [line.rstrip() for line in (*gone, *self._screen.display)]

    @property
    def text(self) -> str:
        """All lines, without the blank ones at the end."""
        return "\n".join(self.lines).rstrip()

    def _read(self) -> bool:
        try:
            written = os.read(self._ours, 65536)
        except OSError:  # the program has closed its end
            return False
        self.written += written
        self._stream.feed(written)
        return bool(written)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._program.poll() is None:
            self._program.kill()
            self._program.wait()
        os.close(self._ours)
