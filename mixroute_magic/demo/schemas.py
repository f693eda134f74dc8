"""Values made to fit a JSON schema."""

from __future__ import annotations

import contextlib
import math
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Filler", "is_free_text"]

DEEP = 4  # from here on only what is required, so that trees stay small
DEEPEST = 12  # a schema that requires itself ends here
NUMERIC = ("integer", "number")
MOST = 1000  # letters or records, whatever a schema demands
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
            chosen = self._mentioned(schema) or members
            value = chosen[record % len(chosen)]
        elif kind == "object":
            value = self._object(schema, depth)
        elif kind == "array":
            value = self._array(schema, name, depth)
        elif kind in NUMERIC:
            value = self._number(schema, kind, record)
        elif kind == "string":
            value = self._string(schema, name, record)
        else:
            value = schema.get("default", True) if kind == "boolean" else None
        return value

    def resolved(self, schema: Any, depth: int = 0) -> Mapping[str, Any]:
        """Follow ``$ref``, merge ``allOf``, and take the first of alternatives that is not null (null when deep)."""
        for _ in range(DEEPEST):
            if not isinstance(schema, dict) or depth > DEEPEST:
                return {}  # true: anything fits
            if "$ref" in schema:
                schema = {**self._target(schema["$ref"]), **_without(schema, "$ref")}
            elif "allOf" in schema:
                parts = [self.resolved(part, depth + 1) for part in schema["allOf"]]
                schema = _merged([*parts, _without(schema, "allOf")])
            elif options := schema.get("anyOf") or schema.get("oneOf"):
                schema = {**_without(schema, "anyOf", "oneOf"), **_chosen(options, depth)}
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
        if is_free_text(schema):
            return bool(self._names and NAMED.search(name))
        if _kind(schema) in NUMERIC:
            return bool(self._numbers) and name.lower() in self._text
        return bool(self._mentioned(schema))

    def _mentioned(self, schema: Mapping[str, Any]) -> list[Any]:
        """Return the members of an enum that the question has as words; Chinese has no spaces between words."""
        words = [(member, str(member).lower()) for member in schema.get("enum", ()) if member != ""]
        return [
            member
            for member, word in words
            if (re.search(rf"\b{re.escape(word)}\b", self._text, re.ASCII) if word.isascii() else word in self._text)
        ]

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties, required = schema.get("properties", {}), schema.get("required", ())
        names = required if depth >= DEEP else [*properties, *(name for name in required if name not in properties)]
        others = schema.get("additionalProperties")
        if not names and isinstance(others, dict) and depth < DEEP:
            return {"demo": self.value(others, "demo", depth + 1)}
        return {name: self.value(properties.get(name, {"type": "string"}), name, depth + 1) for name in names}

    def _array(self, schema: Mapping[str, Any], name: str, depth: int) -> list[Any]:
        first = [self.value(item, name, depth + 1) for item in schema.get("prefixItems", ())]
        items = schema.get("items", not first)
        if items is False or first or depth >= DEEP:
            count = schema.get("minItems", 0)
        else:
            count = min(schema.get("maxItems", math.inf), max(schema.get("minItems", 0), self._records(schema, name)))
        return first + [
            self.value(items, name, depth + 1, record) for record in range(len(first), min(int(count), MOST))
        ]

    def _records(self, schema: Mapping[str, Any], name: str) -> int:
        """Return how many there should be: as many as the question has values for, else two or three."""
        items = self.resolved(schema.get("items"))
        if "enum" in items:
            return min(RECORDS[0], len(self._mentioned(items) or items["enum"]))
        if is_free_text(items) and self._names and NAMED.search(name):
            return len(self._names)
        if _kind(items) in NUMERIC and self._numbers:
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


def _kind(schema: Mapping[str, Any]) -> str:
    kinds = schema.get("type") or ("object" if "properties" in schema else "array" if "items" in schema else "string")
    if isinstance(kinds, list):
        kinds = next((kind for kind in kinds if kind != "null"), "null")
    return str(kinds)


def is_free_text(schema: Mapping[str, Any]) -> bool:
    """Tell whether any text fits."""
    return _kind(schema) == "string" and not schema.keys() & {"enum", "const", "format", "pattern"}


def _fits(number: Any, schema: Mapping[str, Any], kind: str) -> bool:
    if not isinstance(number, (int, float)) or isinstance(number, bool) or not math.isfinite(number):
        return False
    return bool(
        (kind == "number" or number == int(number))
        and schema.get("minimum", -math.inf) <= number <= schema.get("maximum", math.inf)
        and schema.get("exclusiveMinimum", -math.inf) < number < schema.get("exclusiveMaximum", math.inf)
        and number % schema.get("multipleOf", number or 1) == 0
    )


def _lowest(schema: Mapping[str, Any], kind: str, wish: int) -> float:
    """Return the wish, moved into the bounds."""
    step = schema.get("multipleOf", 1)
    low = max(schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf))
    high = min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf))
    above = math.ceil(low / step) * step if math.isfinite(low) else 0
    candidates = (wish, 0, above, above + step, low, high, high - step, (low + high) / 2)
    number = next((number for number in candidates if _fits(number, schema, kind)), wish)
    return int(number) if kind == "integer" else number


def _fitted(text: str, schema: Mapping[str, Any]) -> str:
    """Return a text of the right length; for a pattern, one of a few texts that may match it."""
    if pattern := schema.get("pattern"):
        with contextlib.suppress(re.error):  # JSON schema's patterns are JavaScript's
            return next((word for word in (text, *PATTERNED) if re.search(pattern, word)), text)
    return text.ljust(min(schema.get("minLength", 0), MOST), "…")[: schema.get("maxLength")]


def _chosen(options: Sequence[Any], depth: int) -> Mapping[str, Any]:
    """Return the first alternative that is not null; deep down, null where it is one."""
    schemas = [option for option in options if isinstance(option, dict)]
    full = [option for option in schemas if option.get("type") != "null"]
    if not full or (depth >= DEEP and len(full) < len(schemas)):
        return {"type": "null"}
    return full[0]


def _merged(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for part in parts:
        properties = {**merged.get("properties", {}), **part.get("properties", {})}
        required = [*merged.get("required", ()), *part.get("required", ())]
        merged = {**merged, **part} | ({"properties": properties, "required": required} if properties else {})
    return merged


def _without(schema: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key not in keys}
