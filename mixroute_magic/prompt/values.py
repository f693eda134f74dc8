"""How a value of the notebook stands in a prompt: as a table, its source, its traceback, or its text."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from mixroute_magic.prompt.data import array, column, table
from mixroute_magic.prompt.limits import TEXT_CHARACTERS, Shown, cut
from mixroute_magic.prompt.sources import outline, source
from mixroute_magic.prompt.texts import written
from mixroute_magic.prompt.tracebacks import traceback_of

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

__all__ = ["as_text", "image_in"]

_TABLES = {"pandas.DataFrame": table, "pandas.Series": column, "numpy.ndarray": array}
_IMAGES = {"matplotlib.FigureBase": "a figure", "PIL.Image": "an image"}


def as_text(value: object, cells: Sequence[str] = ()) -> Shown:
    """Return any value as text for a model, with a notice where it was shortened.

    A string is itself, to 100,000 characters; a DataFrame or Series is a Markdown table, whole up to 60 rows, else its
    first 20, of 20 columns, 500 characters to a cell. All else is at most about 20,000 characters: an array's values up
    to 1,000, else its shape, type, range, and the first 20 along its last two axes; a function's or a class's source; a
    module's docstring and public names; an exception's traceback, 12 frames of it; the ``str`` of other objects. Of
    the largest value no more is copied than is shown.

    Parameters
    ----------
    value
        Anything. A figure or an image (`image_in`) is no text: it becomes its ``repr``.
    cells
        The code of the notebook's cells by their numbers (IPython's ``In``), where its classes and errors come from.
    """
    if isinstance(value, str):
        return cut(value if type(value).__str__ is str.__str__ else str(value), TEXT_CHARACTERS)
    if isinstance(value, BaseException):
        return traceback_of(value, cells)
    if inspect.ismodule(value):
        return outline(value)
    if inspect.isclass(value) or inspect.isroutine(value):
        return source(value, cells)
    kind = _kind(value, _TABLES)
    return _TABLES[kind](value) if kind else written(value)


def image_in(value: object) -> str | None:
    """Say what a value is that is attached instead of written, ``a figure`` or ``an image``; else ``None``."""
    kind = _kind(value, _IMAGES)
    return _IMAGES[kind] if kind else None


def _kind(value: object, known: Container[str]) -> str | None:
    """Name the first of a value's types that is known, by its library, which is not imported for this."""
    names = (f"{str(kind.__module__).partition('.')[0]}.{kind.__name__}" for kind in type(value).__mro__)
    return next((name for name in names if name in known), None)
