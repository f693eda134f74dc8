"""What an answer has to look like: pydantic models, dataclasses, TypedDicts, types, and JSON Schema itself.

The one door to ``jsonschema``. An answer is read as leniently as it can be, and checked strictly.
"""

from __future__ import annotations

import json
import re
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mixroute_magic.errors import SchemaError

__all__ = ["Schema", "is_repair", "problems_in", "repair"]

_ASK_AGAIN = "Ask again, ask another model, or loosen the schema."
_MOST_PROBLEMS = 5
_REPAIR = "This does not fit the JSON Schema:"
_ONLY = "value"  # holds what is no object, since models are asked for objects (OpenAI's guide, "Structured outputs")
_FENCE = re.compile(r"```\w*\s*\n(.*?)```", re.DOTALL)
_BEGINNING = re.compile(r'\{\s*["}]|\[\s*[\[{"\]]')  # no note such as [1]


@dataclass(frozen=True, slots=True)
class Schema:
    """A shape that answers can have: ``check`` makes a value of the notebook of a JSON text, or raises `ValueError`."""

    name: str
    json_schema: Mapping[str, Any]
    check: Callable[[str], Any]

    @classmethod
    def of(cls, name: str, kind: Any) -> Schema:
        """Read a schema: a JSON Schema as a dict, or anything that pydantic takes for a type.

        Raises
        ------
        SchemaError
            If it is neither.
        """
        return cls(name, *(_of_dict(name, kind) if isinstance(kind, Mapping) else _of_type(name, kind)))

    @property
    def response_format(self) -> dict[str, Any]:
        """The request's field that asks for it."""
        name = re.sub(r"[^A-Za-z0-9_-]", "_", self.name)[:64]  # OpenAI's API reference, "response_format.json_schema"
        return {"type": "json_schema", "json_schema": {"name": name, "schema": dict(self.json_schema)}}

    @property
    def instructions(self) -> str:
        """The same in words, for models that take no such field."""
        schema = json.dumps(self.json_schema, ensure_ascii=False)
        return f"Answer with one JSON object that fits this JSON Schema, and with nothing else:\n{schema}"

    def parse(self, text: str) -> Any:
        """Return what an answer says, as the schema has it.

        Raises
        ------
        ValueError
            If it does not fit; the text tells where, a line each.
        """
        try:
            return self.check(_json_in(text))
        except RecursionError:
            raise ValueError("- the answer, or the schema, is nested too deeply") from None

    def fitting(self, text: str) -> Any:
        """Return what an answer says, or raise `SchemaError`."""
        try:
            return self.parse(text)
        except ValueError as error:
            raise SchemaError(f"The answer does not fit {self.name}:\n{error}", _ASK_AGAIN) from None


def repair(problems: ValueError) -> str:
    """Return what is sent where an answer does not fit: no user ever said it."""
    return f"{_REPAIR}\n{problems}\n\nAnswer again, with the corrected JSON alone."


def is_repair(text: str) -> bool:
    """Tell whether a user's message is what `repair` makes."""
    return text.startswith(_REPAIR)


def problems_in(text: str) -> str:
    """Return the problems that `repair` made a message of, a line each."""
    return text.removeprefix(_REPAIR).rpartition("\n\n")[0].strip()


def _of_type(name: str, kind: Any) -> tuple[dict[str, Any], Callable[[str], Any]]:
    from pydantic import PydanticUserError, TypeAdapter, ValidationError

    named = hasattr(kind, "__origin__") or hasattr(kind, "__value__")  # list[…], Literal[…]; type aliases
    if not named and not isinstance(kind, type | types.UnionType):
        raise SchemaError(f"{name} is no schema; nothing was sent.", _WHAT_IS)
    try:
        adapter = TypeAdapter(kind)
        schema = _with_its_type(adapter.json_schema())
    except (PydanticUserError, TypeError) as error:
        why = re.split(r"\.\s|\.?$", str(error), maxsplit=1, flags=re.MULTILINE)[0]
        raise SchemaError(f"{name} cannot be written as a JSON Schema: {why}; nothing was sent.", _WHAT_IS) from None
    wraps = schema.get("type") != "object"

    def check(text: str) -> Any:
        try:
            return adapter.validate_python(_unwrapped(text)) if wraps else adapter.validate_json(text)
        except ValidationError as error:
            found = error.errors(include_url=False)
            raise ValueError(_told((_at(item["loc"]), str(item["msg"])) for item in found)) from None

    return _wrapped(schema) if wraps else schema, check


def _of_dict(name: str, schema: Mapping[str, Any]) -> tuple[dict[str, Any], Callable[[str], Any]]:
    import jsonschema
    from referencing import Registry

    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        json.dumps(schema, allow_nan=False)
        kind.check_schema(dict(schema))
    except (TypeError, ValueError, RecursionError) as error:
        raise SchemaError(f"{name} cannot be written as JSON: {error}; nothing was sent.", _WHAT_IS) from None
    except jsonschema.SchemaError as error:
        raise SchemaError(f"{name} is no JSON Schema: {error.message}; nothing was sent.", _WHAT_IS) from None
    if schema.get("type") != "object":
        raise SchemaError(f"{name} is no JSON Schema of an object; nothing was sent.", _WHAT_IS)
    _check_references(name, schema)
    validator = kind(dict(schema), registry=Registry())  # which fetches nothing from anywhere

    def check(text: str) -> Any:
        value = json.loads(text)
        errors = list(validator.iter_errors(value))
        if errors:
            raise ValueError(_told((_at(error.absolute_path), error.message) for error in errors))
        return value

    return dict(schema), check


_WHAT_IS = 'Give a pydantic model, a dataclass, a TypedDict, or a JSON Schema: {"type": "object", "properties": …}.'


def _check_references(name: str, schema: Mapping[str, Any]) -> None:
    """Raise `SchemaError` if a schema refers to what does not stand in itself."""
    from referencing import Registry
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012

    resolver = Registry().resolver_with_root(DRAFT202012.create_resource(dict(schema)))
    for reference in _references(schema):
        try:
            resolver.lookup(reference)
        except Unresolvable:
            hint = 'Nothing is fetched: put what it means under "$defs", and refer to it as "#/$defs/…".'
            raise SchemaError(f"{name} refers to {reference}, which is not in it; nothing was sent.", hint) from None


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, Mapping):
        for key, value in part.items():
            if key == "$ref" and isinstance(value, str):
                yield value
            yield from _references(value)
    elif isinstance(part, list | tuple):
        for value in part:
            yield from _references(value)


def _with_its_type(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that says at once what it is: pydantic writes one that holds itself as a reference."""
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    return {**schema["$defs"][name], "$defs": schema["$defs"]} if name else schema


def _wrapped(schema: dict[str, Any]) -> dict[str, Any]:
    definitions = {"$defs": schema.pop("$defs")} if "$defs" in schema else {}
    return {"type": "object", "properties": {_ONLY: schema}, "required": [_ONLY], **definitions}


def _unwrapped(text: str) -> Any:
    value = json.loads(text)
    return value[_ONLY] if isinstance(value, dict) and set(value) == {_ONLY} else value


def _json_in(text: str) -> str:
    """Return the JSON of an answer: all of it, or what its one fence holds, or what begins as JSON does."""
    try:
        json.loads(text)
    except (ValueError, RecursionError) as error:
        why = f"- the answer is no JSON: {error}"
    else:
        return text
    fences: list[str] = _FENCE.findall(text)
    begun: list[str] = [text[found.start() :] for found in [_BEGINNING.search(text)] if found]
    for candidate in [*(fences if len(fences) == 1 else []), *begun]:
        try:
            _, end = json.JSONDecoder().raw_decode(candidate.lstrip())
        except (ValueError, RecursionError) as error:
            why = f"- the answer holds no whole JSON: {error}"
        else:
            return candidate.lstrip()[:end]
    raise ValueError(why)


def _at(path: Any) -> str:
    return ".".join(map(str, path))


def _told(problems: Any) -> str:
    lines = [f"- {where}: {what}" if where else f"- {what}" for where, what in problems]
    more = [f"- … and {len(lines) - _MOST_PROBLEMS} more"] if len(lines) > _MOST_PROBLEMS else []
    return "\n".join([*lines[:_MOST_PROBLEMS], *more])
