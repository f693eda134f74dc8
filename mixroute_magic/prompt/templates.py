"""``{{ expression }}`` in a prompt, filled from the notebook's variables."""

from __future__ import annotations

import builtins
import inspect
import textwrap
from collections import ChainMap
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, cast

from mixroute_magic.errors import TemplateError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, MutableMapping

    from jinja2 import Environment

__all__ = ["render"]

_LITERAL = 'Only names, calls and filters stand in {{ }}; literal double braces are written {{ "{{" }}.'
_LONGEST = 80
_ROWS = _COLUMNS = 20


def render(body: str, names: Mapping[str, Any]) -> str:
    """Fill every ``{{ expression }}`` of a prompt; everything else passes as it is.

    Parameters
    ----------
    body
        The prompt. Jinja2's ``{% %}`` and ``{# #}`` mean nothing here.
    names
        The notebook's variables, looked up one by one. Python's builtins stand behind them.

    Raises
    ------
    TemplateError
        When an expression cannot be read, names what does not exist, or fails.
    """
    if "{{" not in body:
        return body
    environment = _environment()
    scope = ChainMap(cast("MutableMapping[str, Any]", names), vars(builtins))
    return "".join(
        _fill(environment, text, scope) if is_expression else text for is_expression, text in _pieces(environment, body)
    )


def _environment() -> Environment:
    """Return a Jinja2 that knows nothing but ``{{ }}``.

    It is not a sandbox: the author of a prompt is the author of the cells around it.
    """
    from jinja2 import Environment, StrictUndefined

    return Environment(
        # Code points that Unicode keeps out of all text, so that no prompt can hold these delimiters.
        block_start_string="\ufdd0",
        block_end_string="\ufdd1",
        comment_start_string="\ufdd2",
        comment_end_string="\ufdd3",
        keep_trailing_newline=True,
        undefined=StrictUndefined,
        finalize=_shown,
        autoescape=False,  # noqa: S701 - a prompt is no HTML
    )


def _pieces(environment: Environment, body: str) -> Iterator[tuple[bool, str]]:
    """Yield the parts of a prompt, each with whether it is an expression (braces included)."""
    from jinja2 import TemplateSyntaxError

    expression = ""
    try:
        for _, kind, text in environment.lex(body):
            if kind == "data":
                yield False, text
                continue
            expression += text
            if kind == "variable_end":
                yield True, expression
                expression = ""
    except TemplateSyntaxError as error:
        raise TemplateError(f"{_quoted(expression)} … cannot be read: {error.message}", _LITERAL) from error
    if expression:
        raise TemplateError(f"{_quoted(expression)} is not closed with }}}}.", _LITERAL)


def _fill(environment: Environment, expression: str, scope: Mapping[str, Any]) -> str:
    from jinja2 import TemplateSyntaxError

    try:
        template = environment.from_string(expression)
        context = template.new_context(cast("dict[str, Any]", scope), shared=True)  # shared: no copy of the notebook
        return "".join(template.root_render_func(context))
    except TemplateSyntaxError as error:
        raise TemplateError(f"{_quoted(expression)} cannot be read: {error.message}", _LITERAL) from error
    except Exception as error:
        if missing := _missing(environment, expression, scope):
            message = f"{_quoted(expression)} needs {missing}, which this notebook does not have."
            raise TemplateError(message, _neighbours(missing, scope)) from error
        raise TemplateError(
            f"{_quoted(expression)} failed with {type(error).__name__}: {_quoted(str(error))}"
        ) from error


def _missing(environment: Environment, expression: str, scope: Mapping[str, Any]) -> str | None:
    from jinja2 import meta

    wanted = meta.find_undeclared_variables(environment.parse(expression))
    return next((name for name in sorted(wanted) if name not in scope), None)


def _neighbours(missing: str, scope: Iterable[str]) -> str:
    known = {name.lower(): name for name in scope if not name.startswith("_")}
    near = [known[name] for name in get_close_matches(missing.lower(), known)]
    return f"Did you mean {' or '.join(near)}?" if near else f"Define it first. {_LITERAL}"


def _quoted(expression: str) -> str:
    text = " ".join(expression.split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _shown(value: object) -> object:
    """Return the form in which a value stands in a prompt."""
    if any(value is builtin for builtin in vars(builtins).values() if callable(builtin)):
        raise LookupError(f"Python's own {getattr(value, '__name__', value)!s} is no variable of this notebook")
    if inspect.isclass(value) or inspect.isroutine(value):
        return _source(value)
    pandas_type = _pandas_type(value)
    if pandas_type == "Series":
        return _table(cast("Any", value).to_frame())
    return _table(value) if pandas_type == "DataFrame" else value


def _source(value: Any) -> str:
    try:
        return textwrap.dedent(inspect.getsource(value)).rstrip()
    except (OSError, TypeError):  # written in C, or typed where nothing kept it
        return repr(value)


def _pandas_type(value: object) -> str | None:
    """Name the pandas type of a value, a subclass's too, without importing pandas."""
    for kind in type(value).__mro__:
        if kind.__module__.partition(".")[0] == "pandas" and kind.__name__ in {"DataFrame", "Series"}:
            return kind.__name__
    return None


def _table(frame: Any) -> str:
    """Return a DataFrame as a Markdown table; of a long or wide one the head, and its shape."""
    rows, columns = frame.shape
    head = frame.iloc[:_ROWS, :_COLUMNS]
    index = " / ".join("" if name is None else str(name) for name in frame.index.names)
    lines = [
        _row([index, *head.columns]),
        _row(["---"] * (1 + head.shape[1])),
        *(_row(values) for values in head.itertuples(name=None)),
    ]
    if head.shape != frame.shape:
        lines += ["", f"(the beginning of a table of {rows:,} × {columns:,})"]
    return "\n".join(lines)


def _row(cells: Iterable[object]) -> str:
    texts = (" ".join(str(cell).splitlines()).replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(texts)} |"
