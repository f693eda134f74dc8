"""Values made to fit a JSON schema, and what a strict schema must say."""

from __future__ import annotations

import itertools
import math
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["Filler", "is_free_text", "strict_fault"]

DEEPEST = 12  # a schema that refers to itself ends here
RECORDS = (2, 3)  # at least, at most
NAMED = re.compile(
    r"name|city|cities|location|place|town|person|author|title|country|symbol|名|城市|地點|地点", re.IGNORECASE
)
PLACE = re.compile(r"city|location|place|town|城市|地點|地点", re.IGNORECASE)
FORMATS = {
    "date": "2026-01-01",
    "date-time": "2026-01-01T12:00:00Z",
    "time": "12:00:00Z",
    "duration": "PT1H",
    "email": "demo@example.org",
    "hostname": "example.org",
    "ipv4": "127.0.0.1",
    "ipv6": "::1",
    "uri": "https://example.org/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
PATTERNED = (
    "demo",
    "Demo",
    "DEMO",
    "ABC",
    "AB",
    "A",
    "1",
    "12",
    "123",
    "1234",
    "12345",
    "A1",
    "AB-123",
    "2026-01-01",
    "12:00",
)


class Filler:
    """Makes values for a schema out of a question's names and numbers, in their order; the same every time.

    Parameters
    ----------
    root
        The whole schema, in which ``$ref`` points.
    names
        For texts that are called a name, a city or the like; what is left of them makes more records in arrays.
    numbers
        For numbers, where they are within the bounds.
    text
        The question, which chooses among the members of an ``enum``.
    """

    def __init__(self, root: Mapping[str, Any], names: Sequence[str], numbers: Sequence[float], text: str) -> None:
        self._root = root
        self._names = list(names)
        self._numbers = list(numbers)
        self._text = text.lower()

    def arguments(self, tool_text: str) -> dict[str, Any]:
        """Return what a tool needs: the required parameters, and others for which the question has a value.

        Required texts take the names whatever they are called; where there is none, the first that need not be a name
        takes ``tool_text``: the question itself.
        """
        properties, required = self._root.get("properties", {}), self._root.get("required", ())
        values: dict[str, Any] = {}
        for name, unresolved in properties.items():
            schema = self.resolved(unresolved)
            if name not in required:
                if self._has_value(schema, name):
                    values[name] = self.value(schema, name)
            elif is_free_text(schema) and self._names:
                values[name] = _fitted(self._names.pop(0), schema)
            elif is_free_text(schema) and not NAMED.search(name) and tool_text not in values.values():
                values[name] = _fitted(tool_text, schema)
            else:
                values[name] = self.value(schema, name)
        return values

    def value(self, schema: Any, name: str = "", depth: int = 0, record: int = 0) -> Any:
        """Return a value that fits; ``record`` numbers those of one array, so that they differ."""
        schema = self.resolved(schema, depth)
        kind = _kind(schema)
        if "const" in schema:
            value = schema["const"]
        elif members := schema.get("enum"):
            mentioned = self._mentioned(schema)
            value = members[record % len(members)] if mentioned is None else mentioned
        elif kind == "object":
            value = self._object(schema, depth)
        elif kind == "array":
            value = self._array(schema, name, depth)
        elif kind in {"integer", "number"}:
            value = self._number(schema, kind, record)
        elif kind == "string":
            value = self._string(schema, name, record)
        else:
            value = schema.get("default", True) if kind == "boolean" else None
        return value

    def resolved(self, schema: Any, depth: int = 0) -> Mapping[str, Any]:
        """Follow ``$ref``, merge ``allOf``, and take the first of alternatives that is not null (null when deep)."""
        for _ in range(DEEPEST):
            if not isinstance(schema, dict):
                return {}  # true: anything fits
            if "$ref" in schema:
                schema = {**self._target(schema["$ref"]), **_without(schema, "$ref")}
            elif "allOf" in schema:
                parts = [self.resolved(part, depth) for part in schema["allOf"]]
                schema = _merged([*parts, _without(schema, "allOf")])
            elif options := schema.get("anyOf") or schema.get("oneOf"):
                full = [option for option in options if not isinstance(option, dict) or option.get("type") != "null"]
                chosen = full[0] if full and (depth < DEEPEST or len(full) == len(options)) else {"type": "null"}
                schema = {**_without(schema, "anyOf", "oneOf"), **(chosen if isinstance(chosen, dict) else {})}
            else:
                return schema
        return {}

    def _target(self, pointer: Any) -> Mapping[str, Any]:
        target: Any = self._root
        for step in str(pointer).removeprefix("#").split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            target = target.get(key) if isinstance(target, dict) else None
        return target if isinstance(target, dict) else {}

    def _has_value(self, schema: Mapping[str, Any], name: str) -> bool:
        named = is_free_text(schema) and self._names and NAMED.search(name)
        return bool(named) or self._mentioned(schema) is not None

    def _mentioned(self, schema: Mapping[str, Any]) -> Any:
        return next((item for item in schema.get("enum", ()) if str(item).lower() in self._text), None)

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties, required = schema.get("properties", {}), schema.get("required", ())
        names = required if depth >= DEEPEST else [*properties, *(name for name in required if name not in properties)]
        others = schema.get("additionalProperties")
        if not names and isinstance(others, dict) and depth < DEEPEST:
            return {"demo": self.value(others, "demo", depth + 1)}
        return {name: self.value(properties.get(name, {"type": "string"}), name, depth + 1) for name in names}

    def _array(self, schema: Mapping[str, Any], name: str, depth: int) -> list[Any]:
        first = [self.value(item, name, depth + 1) for item in schema.get("prefixItems", ())]
        items = schema.get("items", not first)
        if items is False or first or depth >= DEEPEST:
            count = schema.get("minItems", 0)
        else:
            count = min(schema.get("maxItems", math.inf), max(schema.get("minItems", 0), self._records(schema, name)))
        return first + [self.value(items, name, depth + 1, record) for record in range(len(first), int(count))]

    def _records(self, schema: Mapping[str, Any], name: str) -> int:
        """Return how many there should be: as many as the question has values for, else two or three."""
        items = self.resolved(schema.get("items"))
        if schema.get("uniqueItems") and "enum" in items:
            return min(RECORDS[0], len(items["enum"]))
        if is_free_text(items) and self._names and NAMED.search(name):
            return len(self._names)
        if _kind(items) in {"integer", "number"} and self._numbers:
            return len(self._numbers)
        return max(RECORDS[0], min(RECORDS[1], len(self._names)))

    def _number(self, schema: Mapping[str, Any], kind: str, record: int) -> float:
        """Take the question's next number that fits, else the schema's own example, else the lowest that fits."""
        for number in self._numbers:
            if _fits(number, schema, kind):
                self._numbers.remove(number)
                return int(number) if kind == "integer" else number
        for number in (*schema.get("examples", ()), schema.get("default")):
            if _fits(number, schema, kind):
                return int(number) if kind == "integer" else float(number)
        return _lowest(schema, kind, 1 + record)

    def _string(self, schema: Mapping[str, Any], name: str, record: int) -> str:
        if schema.get("format") in FORMATS:
            return FORMATS[schema["format"]]
        if self._names and NAMED.search(name) and "pattern" not in schema:
            return _fitted(self._names.pop(0), schema)
        own = next(
            (text for text in (*schema.get("examples", ()), schema.get("default")) if isinstance(text, str)), None
        )
        own = own or ("Taipei" if PLACE.search(name) else None)
        return _fitted(own or f"demo {name or 'text'}{f' {record + 1}' if record else ''}", schema)


def strict_fault(schema: Any, path: tuple[str, ...] = ()) -> str:
    """Return what OpenAI's API finds wrong with a schema that is said to be strict, or nothing."""
    if not isinstance(schema, dict):
        return ""
    where = "(" + ", ".join(f"'{step}'" for step in path) + ("," if len(path) == 1 else "") + ")"
    properties = schema.get("properties", {})
    if schema.get("type") == "object":
        if schema.get("additionalProperties") is not False:
            return f"In context={where}, 'additionalProperties' is required to be supplied and to be false."
        for name in properties:
            if name not in schema.get("required", ()):
                return (
                    f"In context={where}, 'required' is required to be supplied and to be an array including every key "
                    f"in properties. Missing '{name}'."
                )
    below: Iterator[tuple[tuple[str, ...], Any]] = itertools.chain(
        (((*path, "properties", name), part) for name, part in properties.items()),
        (((*path, "$defs", name), part) for name, part in schema.get("$defs", {}).items()),
        (((*path, "anyOf", str(at)), part) for at, part in enumerate(schema.get("anyOf", ()))),
        [((*path, "items"), schema.get("items"))],
    )
    return next((fault for place, part in below if (fault := strict_fault(part, place))), "")


def _kind(schema: Mapping[str, Any]) -> str:
    kinds = schema.get("type") or ("object" if "properties" in schema else "array" if "items" in schema else "string")
    if isinstance(kinds, list):
        kinds = next((kind for kind in kinds if kind != "null"), "null")
    return str(kinds)


def is_free_text(schema: Mapping[str, Any]) -> bool:
    """Tell whether any text fits."""
    return _kind(schema) == "string" and not schema.keys() & {"enum", "const", "format", "pattern"}


def _fits(number: Any, schema: Mapping[str, Any], kind: str) -> bool:
    if (
        not isinstance(number, (int, float))
        or isinstance(number, bool)
        or (kind == "integer" and number != int(number))
    ):
        return False
    return bool(
        schema.get("minimum", -math.inf) <= number <= schema.get("maximum", math.inf)
        and schema.get("exclusiveMinimum", -math.inf) < number < schema.get("exclusiveMaximum", math.inf)
        and number % schema.get("multipleOf", number or 1) == 0
    )


def _lowest(schema: Mapping[str, Any], kind: str, wish: int) -> float:
    """Return the wish, moved into the bounds."""
    step = schema.get("multipleOf", 1)
    low = max(schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf))
    high = min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf))
    for number in (
        wish,
        0,
        low,
        low + step,
        math.ceil(low / step) * step if math.isfinite(low) else 0,
        high,
        high - step,
        (low + high) / 2,
    ):
        if math.isfinite(number) and _fits(number, schema, kind):
            return int(number) if kind == "integer" else number
    return wish


def _fitted(text: str, schema: Mapping[str, Any]) -> str:
    """Return a text of the right length; for a pattern, one of a few texts that may match it."""
    if pattern := schema.get("pattern"):
        try:
            text = next((word for word in (text, *PATTERNED) if re.search(pattern, word)), text)
        except re.error:
            return text
        return text
    return text.ljust(schema.get("minLength", 0), "…")[: schema.get("maxLength")]


def _merged(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for part in parts:
        properties = {**merged.get("properties", {}), **part.get("properties", {})}
        required = [*merged.get("required", ()), *part.get("required", ())]
        merged = {**merged, **part} | ({"properties": properties, "required": required} if properties else {})
    return merged


def _without(schema: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key not in keys}
