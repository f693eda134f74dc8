"""How a value of the notebook stands in a prompt, as a table, its source, or its text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixroute_magic.prompt.limits import Shown, cut

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["as_text"]


def as_text(value: object, cells: Sequence[str] = ()) -> Shown:
    """Return any value as text for a model, with a notice where it was shortened.

    Parameters
    ----------
    value
        Anything. A figure or an image, which is no text, becomes its ``repr``.
    cells
        The code of the notebook's cells by their numbers (IPython's ``In``), where classes and errors come from.
    """
    return cut(str(value))
