"""What a notebook has done so far, for ``{{ cell(3) }}``, ``{{ out(3) }}`` and ``{{ error }}``."""

from __future__ import annotations

import re
import sys
from itertools import groupby
from typing import TYPE_CHECKING, Any

from mixroute_magic.errors import ChatInterrupted, MixRouteError, TemplateError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

__all__ = ["Past", "is_the_codes"]


class Past:
    """The cells that a notebook has run, what they left, and what failed last.

    IPython keeps the first two among the variables, under names that nobody uses for anything else: ``_i3`` is what
    was typed in cell [3], ``_ih`` the code that was made of it, ``_oh`` what the user knows as ``Out``.

    Parameters
    ----------
    names
        The notebook's variables.
    answer
        Returns the answer of the chat cell that ran under a number, or ``None``.
    outputs
        What the cells showed, by number, as IPython 9 keeps it in its ``history_manager``.
    failure
        The last error of the notebook's own code; without it, the last one that Python knows of.
    """

    def __init__(
        self,
        names: Mapping[str, Any],
        *,
        answer: Callable[[int], str | None] = lambda _number: None,
        outputs: Mapping[int, Sequence[Any]] | None = None,
        failure: BaseException | None = None,
    ) -> None:
        self._names = names
        self._answer = answer
        self._outputs = outputs or {}
        self._failure = failure

    @property
    def cells(self) -> Sequence[str]:
        """The code of the cells by their numbers."""
        cells: Sequence[str] = self._names.get("_ih", ())
        return cells

    def offered(self) -> dict[str, Any]:
        """Return the names that stand behind the notebook's own; ``error`` only where something has failed."""
        last = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)  # last_exc since Python 3.12
        error = self._failure or (last if is_the_codes(last) else None)
        return {"cell": self.cell, "out": self.out} | ({} if error is None else {"error": error})

    def cell(self, number: int) -> str:
        """Return what was typed in a cell, by the number of its last run."""
        if f"_i{number}" not in self._names:
            ran = [int(name[2:]) for name in self._names if re.fullmatch(r"_i\d+", name)]
            raise TemplateError(f"There is no cell [{number}].", f"This kernel has run {_listed(ran) or 'none'}.")
        return str(self._names[f"_i{number}"])

    def out(self, number: int) -> Any:
        """Return what a cell left: its value, else the answer of a chat cell, else what it printed."""
        values = self._names.get("_oh", {})
        if number in values:
            return values[number]
        self.cell(number)
        left = self._answer(number) or self._printed(number)
        if not left:
            hint = f"There are values of {_listed(values)}." if values else "No cell has left a value so far."
            raise TemplateError(f"Cell [{number}] left no value, no answer and no text.", hint)
        return left

    def _printed(self, number: int) -> str:
        shown = self._outputs.get(number, ())
        return "".join(text for one in shown for text in one.bundle.get("stream", ()))


def is_the_codes(error: BaseException | None) -> bool:
    """Say whether an error is one of the notebook's code: not of a magic that was written or answered wrongly."""
    usage = any(kind.__name__ == "UsageError" for kind in type(error).__mro__)  # IPython's, which stays outside
    return error is not None and not usage and not isinstance(error, MixRouteError | ChatInterrupted)


def _listed(numbers: Iterable[int]) -> str:
    """Return numbers of cells, neighbours together: ``[1] to [3], [7]``."""
    runs = [[n for _, n in run] for _, run in groupby(enumerate(sorted(numbers)), lambda pair: pair[1] - pair[0])]
    return ", ".join(f"[{run[0]}]" if len(run) == 1 else f"[{run[0]}] to [{run[-1]}]" for run in runs)
