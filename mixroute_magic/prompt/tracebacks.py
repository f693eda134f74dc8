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


def traceback_of(error: BaseException, cells: Sequence[str]) -> Shown:
    """Return an exception's traceback, with those of its causes.

    IPython's own frames are left out, and of a deep one those in the middle. A cell goes by its number and a module by
    its path from where it is imported: the files' real names differ from kernel to kernel.
    """
    report = TracebackException.from_exception(error)
    kept = everything = 0
    for part in _chain(report):
        places = {frame.filename: _place(frame.filename, cells) for frame in part.stack}
        begin = next((n for n, frame in enumerate(part.stack) if places[frame.filename].startswith("cell [")), 0)
        del part.stack[:begin]
        everything += len(part.stack)
        if len(part.stack) > FRAMES:
            del part.stack[_FIRST : _FIRST - FRAMES]
        kept += len(part.stack)
        for frame in part.stack:
            frame.filename = places[frame.filename]
        if getattr(part, "filename", None):  # where a SyntaxError is
            part.filename = _place(part.filename, cells)
    text = "".join(report.format()).rstrip()
    frames = [counts(kept, everything, "frames")] if kept < everything else []
    characters = [counts(CHARACTERS, len(text), "characters")] if len(text) > CHARACTERS else []
    if characters:
        text = f"{text[: CHARACTERS // 2]}\n…\n{text[-CHARACTERS // 2 :]}"
    what = " and ".join(frames + characters)
    return Shown(f"(… {what})\n{text}", f"shortened to {what}") if what else Shown(text)


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
            return f"cell [{number}]"
    folders = (f"{folder}{os.sep}" for folder in sys.path if folder)
    return filename[max((len(folder) for folder in folders if filename.startswith(folder)), default=0) :]
