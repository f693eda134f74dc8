"""What an API finds wrong with a JSON schema before a model sees it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["is_sound", "schema_fault"]

DEEPEST = 100
TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "number": (int, float),
    "integer": (int,),
    "string": (str,),
}
KEYWORDS: Mapping[str, str] = {
    **dict.fromkeys(("properties", "$defs", "definitions"), "object"),
    **dict.fromkeys(("required", "enum", "examples", "anyOf", "oneOf", "allOf", "prefixItems"), "array"),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), "number"),
    **dict.fromkeys(("$ref", "format", "pattern"), "string"),
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems"), "integer"),
}
SCHEMAS_BY_NAME = ("properties", "$defs", "definitions")
SCHEMA_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")


def schema_fault(schema: dict[str, Any], *, strict: bool) -> str:
    """Return the fault of a tool's or an answer's schema, as OpenAI's API words it, or nothing."""
    kind = schema.get("type", "None")
    if kind != "object":
        return f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{kind}\"'."
    return next(_faults(schema, (), strict=strict), "")


def is_sound(schema: Mapping[str, Any]) -> bool:
    """Tell whether the keywords of a schema have the types that they need, whatever it describes."""
    return next(_faults(schema, (), strict=False), None) is None


def _faults(schema: Any, path: tuple[str, ...], *, strict: bool) -> Iterator[str]:
    if not isinstance(schema, dict):
        if not isinstance(schema, bool):
            yield f"{json.dumps(schema)} is not of type 'object', 'boolean'."
        return
    if len(path) > DEEPEST:
        yield f"it is nested more than {DEEPEST} levels deep."
    yield from _keyword_faults(schema)
    if strict and schema.get("type") == "object":
        yield from _strict_faults(schema, path)
    for place, part in _parts(schema, path):
        yield from _faults(part, place, strict=strict)


def _keyword_faults(schema: Mapping[str, Any]) -> Iterator[str]:
    for keyword, kind in KEYWORDS.items():
        value = schema.get(keyword)
        if keyword in schema and (not isinstance(value, TYPES[kind]) or isinstance(value, bool)):
            yield f"{json.dumps(value)} is not of type '{kind}'."
    for name in schema.get("required", ()):
        if not isinstance(name, str):
            yield f"{json.dumps(name)} is not of type 'string'."
    if schema.get("multipleOf", 1) <= 0:
        yield f"{schema['multipleOf']} is less than or equal to the minimum of 0."


def _strict_faults(schema: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    """Yield what is missing for ``strict``: an object names all its keys, requires each, and allows no others."""
    if schema.get("additionalProperties") is not False:
        yield f"In context={path!r}, 'additionalProperties' is required to be supplied and to be false."
    for name in schema.get("properties", {}):
        if name not in schema.get("required", ()):
            yield (
                f"In context={path!r}, 'required' is required to be supplied and to be an array including every key in "
                f"properties. Missing '{name}'."
            )


def _parts(schema: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the schemas inside a schema, each with its path."""
    for keyword in SCHEMAS_BY_NAME:
        for name, part in schema.get(keyword, {}).items():
            yield (*path, keyword, name), part
    for keyword in SCHEMA_LISTS:
        for number, part in enumerate(schema.get(keyword, ())):
            yield (*path, keyword, str(number)), part
    for keyword in ("items", "additionalProperties"):
        if keyword in schema:
            yield (*path, keyword), schema[keyword]
