"""``{{ expression }}`` in a prompt, filled from the notebook's variables."""

from __future__ import annotations

import builtins
import re
from collections import ChainMap
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, cast

from mixroute_magic.errors import TemplateError
from mixroute_magic.prompt.past import Past
from mixroute_magic.prompt.values import as_text, image_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence

    from jinja2 import Environment

__all__ = ["Rendered", "render"]

_LITERAL = 'One expression stands in {{ }}, no comprehension; literal double braces are written {{ "{{" }}.'
_LONGEST = 80
_OF_PYTHON = {"In", "Out", "exit", "get_ipython", "open", "quit", *vars(builtins)}  # nobody means these


@dataclass(frozen=True, slots=True)
class Rendered:
    """A prompt with its ``{{ }}`` filled, and what was shortened for it: ``df shortened to 20 of 1,000 rows``."""

    text: str
    notices: tuple[str, ...] = ()


def render(body: str, names: Mapping[str, Any], past: Past | None = None) -> Rendered:
    """Fill every ``{{ expression }}`` of a prompt; everything else passes as it is.

    Parameters
    ----------
    body
        The prompt. Jinja2's ``{% %}`` and ``{# #}`` mean nothing here.
    names
        The notebook's variables, looked up one by one. Behind them stand ``cell``, ``out`` and ``error``, and Python's
        builtins. How a value stands in the prompt, and how much of it, says `as_text`.
    past
        What the notebook has done so far; without it, as much as its variables tell.

    Raises
    ------
    TemplateError
        When an expression cannot be read, names what does not exist, fails, or is a figure or an image.
    """
    if "{{" not in body:
        return Rendered(body)
    past = past or Past(names)
    notices: list[str] = []
    environment = _environment(past.cells, notices)
    scope = ChainMap(cast("MutableMapping[str, Any]", names), past.offered(), vars(builtins))
    parts = []
    for is_expression, text in _pieces(environment, body):
        known = len(notices)
        parts.append(_fill(environment, text, scope) if is_expression else text)
        notices[known:] = [f"{_named(text)} {notice}" for notice in notices[known:]]
    return Rendered("".join(parts), tuple(dict.fromkeys(notices)))


def _environment(cells: Sequence[str], notices: list[str]) -> Environment:
    """Return a Jinja2 that knows nothing but ``{{ }}``, and notes what it shortens.

    It is not a sandbox: the author of a prompt is the author of the cells around it.
    """
    from jinja2 import Environment, StrictUndefined

    def in_prompt(value: object) -> str:
        _check(value)
        shown = as_text(value, cells)
        notices.extend([shown.notice] if shown.notice else [])
        return shown.text

    return Environment(
        # Code points that Unicode keeps out of all text, so that no prompt can hold these delimiters.
        block_start_string="\ufdd0",
        block_end_string="\ufdd1",
        comment_start_string="\ufdd2",
        comment_end_string="\ufdd3",
        keep_trailing_newline=True,
        undefined=StrictUndefined,
        finalize=in_prompt,
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
    except _ImageError as error:
        image = expression.strip("{}-+ \n")
        hint = f"--image {image}" if re.fullmatch(r"\w+|out\(\d+\)", image) else "--image NAME, with it in a variable"
        raise TemplateError(f"{_quoted(expression)} is {error}, and no text.", f"Attach it: {hint}.") from None
    except TemplateError:
        raise
    except Exception as error:
        if missing := _missing(environment, expression, scope):
            if missing == "error":
                raise TemplateError(f"{_quoted(expression)}: nothing has failed in this notebook so far.") from error
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
    known = {name.lower(): name for name in scope if not name.startswith("_") and name not in _OF_PYTHON}
    near = [known[name] for name in get_close_matches(missing.lower(), known)]
    return f"Did you mean {' or '.join(near)}?" if near else f"Define it first. {_LITERAL}"


def _quoted(expression: str) -> str:
    text = " ".join(expression.split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _named(expression: str) -> str:
    """Name an expression in a notice, by its first words only: no text of it, which may be secret."""
    return re.sub(r"(?s)^([\w.]*+(?:\(\d*\))?+).+", r"\1…", expression.strip("{}-+ \n"))


class _ImageError(Exception):
    """A value is an image."""


def _check(value: object) -> None:
    """Raise an error if a value does not belong into a prompt."""
    if any(value is builtin for builtin in vars(builtins).values() if callable(builtin)):
        raise LookupError(f"Python's own {getattr(value, '__name__', value)!s} is no variable of this notebook")
    if image := image_in(value):
        raise _ImageError(image)
