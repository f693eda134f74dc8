"""A thread as a file, to read, to run again or to take elsewhere; and the turns of such a file, to go on with.

Also the only door to nbformat, which is imported when a notebook is written: that takes longer than all the rest.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mixroute_magic.conversation.handout import handout, opening
from mixroute_magic.conversation.messages import clean_text
from mixroute_magic.conversation.model import Conversation
from mixroute_magic.conversation.reading import EXPORT_MARK, cells_of, read_cells, reason
from mixroute_magic.conversation.records import now
from mixroute_magic.conversation.source import chat_source, load_source
from mixroute_magic.conversation.turn import VERSION, Turn
from mixroute_magic.errors import HistoryError

__all__ = ["Bundle", "export", "import_turns"]

Bundle = Callable[[Turn], Mapping[str, str]]
"""Returns what the output of a turn shows: ``text/markdown`` and ``text/plain``."""

Images = Callable[[Turn], Sequence[Mapping[str, Any]]]
"""Returns the outputs, data and metadata, of the images that went with a turn."""

_SUFFIXES = (".md", ".ipynb", ".json")


def export(
    path: Path,
    turns: Sequence[Turn],
    *,
    thread: str,
    notebook: str | None,
    bundle: Bundle,
    images: Images = lambda _turn: (),
    running: Path | None = None,
) -> None:
    """Write the complete turns of a thread to a file, whose name's end says in which form.

    Parameters
    ----------
    path
        The file. What stands there is replaced only if it was exported, too.
    turns
        In the order of the document.
    thread, notebook
        The names of the thread, and of the notebook if it is known.
    bundle
        What the output of a turn shows.
    images
        The outputs of the images that went with a turn, which only a notebook can hold.
    running
        The notebook at work, which is never replaced, even where it was once exported itself.

    Raises
    ------
    HistoryError
        If there is nothing to write, or it cannot be written there; nothing was written.
    """
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise HistoryError(
            f"{path.name} does not tell in which form to export.",
            "Name a .md, .ipynb or .json file; nothing was written.",
        )
    if not turns:
        raise HistoryError(f"Thread {thread} has no turns to export.", "%thread --list shows the conversations.")
    kept = [replace(turn, thread=thread, also_in=(), earlier={}) for turn in turns]
    content = _content(suffix, kept, thread, notebook, bundle, images=images)
    try:
        path = Path(os.path.realpath(path))  # a link stays, what it leads to is written
        if os.path.lexists(path) and not _may_replace(path, running):
            hint = "Choose another name, or move that file away."
            raise HistoryError(f"{path.name} exists and is no export, or was changed since; nothing was written.", hint)
        _write(path, content)
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        hint = "Name a file in a folder that exists and takes new files."
        raise HistoryError(f"{path} cannot be written: {reason(error)}.", hint) from error


def import_turns(path: Path) -> list[Turn]:
    """Return the complete turns of an exported file, or of any notebook: as it would be restored, the thread main.

    Where main has none, the only other thread is taken. The turns get new ids, so that they are not taken for the
    notebook's own.

    Raises
    ------
    HistoryError
        If the file cannot be read, or it does not hold one conversation.
    """
    cells = read_cells(path)
    conversation = Conversation.of(cells)
    found = {name: turns for name in conversation.threads() if (turns := conversation.thread(name))}
    if not found:
        newer = any(map(_is_newer, (record for cell in cells for record in cell.records)))
        why = "Its turns were written by a newer version of mixroute-magic: update it." if newer else ""
        raise HistoryError(f"{path.name} holds no turns that could be imported.", why)
    if len(found) > 1 and "main" not in found:
        hint = "Open it, choose one with %thread NAME, and export that to a .json file."
        raise HistoryError(f"{path.name} holds several threads: {', '.join(found)}.", hint)
    name = "main" if "main" in found else next(iter(found))
    return [
        replace(turn, turn=uuid.uuid4().hex, thread=name, context=None, also_in=(), earlier={}) for turn in found[name]
    ]


def _content(
    suffix: str, turns: Sequence[Turn], thread: str, notebook: str | None, bundle: Bundle, *, images: Images
) -> bytes:
    if suffix == ".md":
        text = clean_text(handout(turns, thread=thread, notebook=notebook, bundle=bundle))
        return f"{text}\n\n<!-- {EXPORT_MARK} {_digest(text)} -->\n".encode()
    in_notebook = suffix == ".ipynb"
    text = _notebook(turns, thread, notebook, bundle, images) if in_notebook else _json(turns, thread, notebook)
    # Half a character can stand only in a string of the JSON, where its escape means the same.
    return text.encode("utf-8", "backslashreplace")


def _json(turns: Sequence[Turn], thread: str, notebook: str | None) -> str:
    records = list(map(_record, turns))
    head = {EXPORT_MARK: VERSION, "digest": _digest(records), "thread": thread, "notebook": notebook, "exported": now()}
    return json.dumps({**head, "turns": records}, ensure_ascii=False, indent=2) + "\n"


def _notebook(turns: Sequence[Turn], thread: str, notebook: str | None, bundle: Bundle, images: Images) -> str:
    """Return a notebook that shows the conversation and, run again, asks it again."""
    from nbformat import v4, writes

    cells = [v4.new_markdown_cell(opening(turns, thread, notebook)), v4.new_code_cell(load_source(thread))]
    for turn in turns:
        shown = [v4.new_output("display_data", **image) for image in images(turn)]
        output = v4.new_output("display_data", dict(bundle(turn)), metadata={"mixroute": _record(turn)})
        cells.append(v4.new_code_cell(chat_source(turn), outputs=[*shown, output]))
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}, EXPORT_MARK: _digest(_said(cells))}
    return str(writes(v4.new_notebook(cells=cells, metadata=metadata))) + "\n"


def _record(turn: Turn) -> dict[str, Any]:
    """Return the record of a turn without NaN and Infinity, which are no JSON: pages could not read the file."""
    record = json.loads(json.dumps(turn.to_metadata()), parse_constant=lambda _: None)
    return dict(record)


def _may_replace(path: Path, notebook: Path | None) -> bool:
    """Say whether a file is as it was exported, with nobody's work in it, and is not the notebook at work."""
    if not path.is_file() or (notebook is not None and notebook.exists() and path.samefile(notebook)):
        return False
    content = path.read_bytes()
    if path.suffix.lower() == ".md":
        text, _, mark = content.decode("utf-8", "replace").rpartition("\n\n")
        return mark.strip() == f"<!-- {EXPORT_MARK} {_digest(text)} -->"
    try:
        data = _mapping(json.loads(content))
    except (ValueError, RecursionError):
        return False
    if EXPORT_MARK in data:
        return data.get("digest") == _digest(data.get("turns"))
    return _mapping(data.get("metadata")).get(EXPORT_MARK) == _digest(_said(_list(data.get("cells"))))


def _said(cells: Iterable[Any]) -> list[Any]:
    """Return what people and models have put into cells, which does not change when a page saves them anew."""
    known = list(map(_mapping, cells))
    sources = ["".join(map(str, _list(cell.get("source")) or [cell.get("source")])) for cell in known]
    return [sources, [turn for cell in cells_of({"cells": known}) for turn in cell.turns]]


def _digest(data: Any) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    beside = path.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        with beside.open("xb") as file:
            file.write(content)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _is_newer(record: Mapping[str, Any]) -> bool:
    version = record.get("version")
    return isinstance(version, int) and version > VERSION


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
