"""What ``%model`` and ``%thread`` leave in their outputs, so that a restart restores it. Pure, no input or output.

Anybody may have written such a record: what is not of the right type or range is left out, and nothing of it is ever
executed or rendered as a template.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from mixroute_magic.conversation.messages import clean_json, clean_text
from mixroute_magic.conversation.turn import VERSION, Turn, read_places
from mixroute_magic.option_values import NO_PARAMS, is_thread_name

__all__ = ["FORGET", "FORK", "RESTORE", "UNDO", "Edit", "Record", "Setting", "now", "read", "read_all"]

FORK, FORGET, RESTORE, UNDO = "fork", "forget", "restore", "undo"

_MOST_BEFORE = 1000  # records that one cell has left, the last ones: nobody runs a command more often


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How the notebook asks from here on: all that ``%model`` chose, or the thread in use; ``None`` is not told."""

    created: str
    chosen: Mapping[str, Any] | None = None
    thread: str | None = None

    def to_metadata(self) -> dict[str, Any]:
        """Return the record that goes into the output's metadata."""
        told = {"chosen": None if self.chosen is None else dict(self.chosen), "thread": self.thread}
        given = {name: value for name, value in told.items() if value is not None}
        return {"version": VERSION, "kind": "setting", "created": self.created, **given}


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """A change to a thread: ``turns`` are the ids concerned.

    ``fork`` lets them, which stand in ``parent``, stand in ``thread``, too; ``forget`` takes them out of it;
    ``restore`` puts ``restored``, by place, into ``cell``, where these stood; ``undo`` takes back the edit ``undoes``.
    """

    id: str
    created: str
    action: str
    thread: str = ""
    parent: str = ""
    cell: str = ""
    turns: tuple[str, ...] = ()
    restored: Mapping[int, Turn] = field(default_factory=dict)
    undoes: str = ""

    def to_metadata(self) -> dict[str, Any]:
        """Return the record that goes into the output's metadata."""
        told = {
            "thread": self.thread,
            "parent": self.parent,
            "cell": self.cell,
            "turns": list(self.turns),
            "restored": {str(place): turn.to_metadata() for place, turn in self.restored.items()},
            "undoes": self.undoes,
        }
        given = {name: value for name, value in told.items() if value}
        head = {"version": VERSION, "kind": "edit", "edit": self.id, "created": self.created, "action": self.action}
        return {**head, **given}


Record = Setting | Edit


def now() -> str:
    """Return the time as records carry it, fine enough to put those of one cell in order."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def read_all(record: Any) -> list[Record]:
    """Read a record and those that its cell left before it."""
    before = record.get("before") if isinstance(record, Mapping) else None
    all_of_them = [*(before[-_MOST_BEFORE:] if isinstance(before, list) else []), record]
    return [entry for one in all_of_them if (entry := read(one)) is not None]


def read(record: Any) -> Record | None:
    """Read a record of a setting or an edit; ``None`` where it is neither, or of another version."""
    if not isinstance(record, Mapping) or record.get("version") != VERSION:
        return None
    created = record.get("created")
    if not isinstance(created, str):
        return None
    if record.get("kind") == "setting":
        return _setting(record, created)
    return _edit(record, created) if record.get("kind") == "edit" else None


def _setting(record: Mapping[str, Any], created: str) -> Setting:
    chosen, thread = record.get("chosen"), record.get("thread")
    return Setting(
        created=created,
        chosen=_chosen(chosen) if isinstance(chosen, Mapping) else None,
        thread=thread if isinstance(thread, str) and is_thread_name(thread) else None,
    )


def _chosen(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``%model`` would have taken of it."""
    fits: dict[str, Callable[[Any], bool]] = {
        "model": lambda value: isinstance(value, str) and bool(value.strip()),
        "system": lambda value: isinstance(value, str),
        # ``None`` where a panel took back what the configuration sets.
        "temperature": lambda value: value is None or (_is_number(value) and 0 <= value <= 2),  # noqa: PLR2004 - the API's range
        "max_tokens": lambda value: value is None or (_is_number(value) and isinstance(value, int) and value > 0),
    }
    chosen = {name: data[name] for name, fit in fits.items() if name in data and fit(data[name])}
    params = data.get("params")
    if isinstance(params, Mapping):
        chosen["params"] = {name: value for name, value in params.items() if name not in NO_PARAMS}
    return clean_json(chosen)


def _edit(record: Mapping[str, Any], created: str) -> Edit | None:
    texts = {name: record.get(name, "") for name in ("edit", "action", "thread", "parent", "cell", "undoes")}
    turns = record.get("turns", [])
    if not all(isinstance(text, str) for text in texts.values()) or not isinstance(turns, list):
        return None
    if not all(is_thread_name(texts[name]) for name in ("thread", "parent") if texts[name]):
        return None
    texts = {name: clean_text(text) for name, text in texts.items()}
    named = tuple(turn for turn in turns if isinstance(turn, str))
    edit_id = texts.pop("edit")
    return Edit(id=edit_id, created=created, turns=named, restored=read_places(record.get("restored")), **texts)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
