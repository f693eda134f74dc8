"""An exception in a prompt: its traceback, from the notebook's code on, the same in every run of the notebook."""

from __future__ import annotations

import linecache
import os
import sys
from traceback import TracebackException
from typing import TYPE_CHECKING

from mixroute_magic.prompt.limits import CHARACTERS, FRAMES, Shown, counts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["traceback_of"]

_FIRST = FRAMES // 3  # of the frames that are kept: where it began; the others are where it failed
_CELL = "cell ["


def traceback_of(error: BaseException, cells: Sequence[str]) -> Shown:
    """Return an exception's traceback, with those of its causes.

    IPython's own frames are left out, and of a deep one those in the middle. A cell goes by its number and a module by
    its path from where it is imported: the files' real names differ from kernel to kernel.
    """
    report = TracebackException.from_exception(error)
    kept = everything = 0
    for part in _chain(report):
        everything += _begin_in_cells(part, cells)
        if len(part.stack) > FRAMES:
            del part.stack[_FIRST : _FIRST - FRAMES]
        kept += len(part.stack)
    text = "".join(report.format()).rstrip()
    frames = [counts(kept, everything, "frames")] if kept < everything else []
    characters = [counts(CHARACTERS, len(text), "characters")] if len(text) > CHARACTERS else []
    if characters:
        text = f"{text[: CHARACTERS // 2]}\n…\n{text[-CHARACTERS // 2 :]}"
    what = " and ".join(frames + characters)
    return Shown(f"(… {what})\n{text}", f"shortened to {what}") if what else Shown(text)


def _begin_in_cells(report: TracebackException, cells: Sequence[str]) -> int:
    """Leave out what stands before the notebook's code, name the files anew, and return how many frames there are."""
    places = {frame.filename: _place(frame.filename, cells) for frame in report.stack}
    first = next((n for n, frame in enumerate(report.stack) if places[frame.filename].startswith(_CELL)), 0)
    if getattr(report, "filename", None):  # a SyntaxError; in a cell, all its frames are IPython's
        report.filename = _place(report.filename, cells)
        first = len(report.stack) if report.filename.startswith(_CELL) else first
    del report.stack[:first]
    for frame in report.stack:
        frame.filename = places[frame.filename]
    return len(report.stack)


def _chain(report: TracebackException) -> Iterator[TracebackException]:
    """Yield an exception, what led to it, and of a group its members."""
    for part in (report.__cause__, report.__context__, *(report.exceptions or ())):
        if part is not None:
            yield from _chain(part)
    yield report


def _place(filename: str, cells: Sequence[str]) -> str:
    code = "".join(linecache.getlines(filename)).rstrip("\n")
    for number in range(len(cells) - 1, 0, -1):
        if code and cells[number].rstrip("\n") == code:
            return f"{_CELL}{number}]"
    folders = (f"{folder}{os.sep}" for folder in sys.path if folder)
    return filename[max((len(folder) for folder in folders if filename.startswith(folder)), default=0) :]
