"""Functions, classes and modules in a prompt: their source, or else what their author says of them."""

from __future__ import annotations

import ast
import inspect
import textwrap
import warnings
from typing import TYPE_CHECKING, Any

from mixroute_magic.prompt.limits import Shown, cut

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

__all__ = ["outline", "source"]


def source(value: Any, cells: Sequence[str]) -> Shown:
    """Return the source of a function or a class; of one written in C its signature and docstring."""
    text = _in_cells(value, cells) if inspect.isclass(value) and value.__module__ == "__main__" else None
    if text is None:
        try:
            text = inspect.getsource(value)
        except (OSError, TypeError):  # written in C, or typed where nothing kept it
            return cut(_described(value))
    return cut(textwrap.dedent(text).rstrip())


def _in_cells(value: type, cells: Sequence[str]) -> str | None:
    """Return the newest class statement of this name: `inspect` finds a notebook's functions, but not its classes."""
    for code in reversed(cells):
        for node in _classes(code) if value.__name__ in code else ():
            if node.name == value.__name__:
                first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
                return "\n".join(code.splitlines()[first - 1 : node.end_lineno])
    return None


def _classes(code: str) -> list[ast.ClassDef]:
    with warnings.catch_warnings(action="ignore"):  # Python gave them when the cell ran
        try:
            return [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ClassDef)]
        except SyntaxError:  # that cell failed
            return []


def _described(value: Any) -> str:
    try:
        signature = str(inspect.signature(value))
    except (TypeError, ValueError):  # many of C's have none
        signature = "(…)"
    return f"{value.__qualname__}{signature}\n\n{inspect.getdoc(value) or ''}".rstrip()


def outline(module: ModuleType) -> Shown:
    """Return a module's docstring and its public names: those it lists, else all but the modules it imports."""
    members = vars(module)
    imported = {name for name, member in members.items() if inspect.ismodule(member)}
    public = members.get("__all__") or [name for name in members if name[:1] != "_" and name not in imported]
    names = f"Public names: {', '.join(map(str, public))}" if public else ""
    return cut("\n\n".join(part for part in (f"Module {module.__name__}", inspect.getdoc(module), names) if part))
