"""The forms in which an answer can be shown: as Markdown, as its plain characters, as JSON or records; and its code."""

from __future__ import annotations

import json
from typing import Any

from mixroute_magic.display.markdown import as_html, as_pre, block_tokens, make_safe
from mixroute_magic.outside import load_json, visible, without_controls
from mixroute_magic.tables import Table

__all__ = ["as_json", "code_in", "is_plain", "note", "to_markdown", "to_plain"]

_JSON = ("json", "record")


def is_plain(form: str) -> bool:
    """Say whether an answer is not read as Markdown: neither while it comes nor when it is there."""
    return form in {"text", "json", "record"}


def to_markdown(answer: str, form: str, *, apart: bool = False) -> str:
    """Return the answer as Markdown that shows it in this form, and does nothing; ``apart`` as `make_safe` means it."""
    table = _records(answer) if form == "record" else None
    if table is not None:
        return table.to_markdown(as_html).strip()
    pretty = _pretty_json(answer) if form in _JSON else None
    if is_plain(form) and pretty is None:
        return as_pre(answer)
    return make_safe(answer if pretty is None else f"```json\n{pretty}\n```", apart=apart).rstrip()


def to_plain(answer: str, form: str) -> str:
    """Return the answer as the text that shows it in this form."""
    table = _records(answer) if form == "record" else None
    if table is not None:
        return repr(table)
    pretty = _pretty_json(answer) if form in _JSON else None
    return without_controls(answer if pretty is None else pretty).rstrip()


def note(answer: str, form: str) -> str:
    """Say what the answer is lacking to be shown in this form; empty where nothing is."""
    if form == "json" and _pretty_json(answer) is None:
        return "the answer is no JSON"
    return "no code in the answer" if form == "code" and not code_in(answer) else ""


def code_in(answer: str) -> str:
    """Return the code of the answer's fences, as far as they are in the language of the first."""
    fences = [token for token in block_tokens(without_controls(answer)) if token.type == "fence"]
    languages = [fence.info.strip().lower() for fence in fences]
    codes = (
        fence.content.strip("\n") for fence, language in zip(fences, languages, strict=True) if language == languages[0]
    )
    return "\n\n".join(code for code in codes if code.strip())


def as_json(value: Any, *, indent: int | None = None) -> str:
    """Return a value in JSON, for people; what cannot be seen, or is half a character, as only JSON writes it."""
    written = json.dumps(value, ensure_ascii=False, indent=indent)
    return "\n".join(visible(line) for line in written.split("\n"))


def _records(answer: str) -> Table | None:
    """Return the table that an answer is: a list of records, or an object that holds nothing else."""
    value = _json(answer)
    if isinstance(value, dict) and len(value) == 1:
        (value,) = value.values()
    if not isinstance(value, list) or not value or not all(isinstance(record, dict) and record for record in value):
        return None
    header = list(dict.fromkeys(str(name) for record in value for name in record))
    columns = [[record.get(name) for record in value] for name in header]
    numbers = frozenset(place for place, column in enumerate(columns) if all(map(_is_number, column)))
    rows = [[_cell(found) for found in row] for row in zip(*columns, strict=True)]
    return Table(caption="", header=header, rows=rows, numbers=numbers)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list) and not any(isinstance(one, dict | list) for one in value):
        return ", ".join(map(_cell, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _pretty_json(answer: str) -> str | None:
    """Return the JSON that an answer is, laid out to be read; ``None`` where it is none."""
    value = _json(answer)
    return None if value is _NO_JSON else as_json(value, indent=2)


def _json(answer: str) -> Any:
    """Return the value that an answer is in JSON, perhaps in one fence; `_NO_JSON` where it is none."""
    tokens = block_tokens(answer)
    fenced = len(tokens) == 1 and tokens[0].type == "fence"
    try:
        value = load_json(tokens[0].content if fenced else answer)
        json.dumps(value, allow_nan=False)
    except ValueError:
        return _NO_JSON
    return value


_NO_JSON = object()
