"""``%thread``: what a chat cell would send, and everything that can be done to a conversation."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixroute_magic import attaching
from mixroute_magic.chat import displayed
from mixroute_magic.conversation.records import FORK, Setting, now
from mixroute_magic.conversation.turn import COMPLETE
from mixroute_magic.display.output import Shown, leave, show_again
from mixroute_magic.errors import HistoryError
from mixroute_magic.parts import described
from mixroute_magic.planning import left_out, without_demo_turns
from mixroute_magic.settings import settings
from mixroute_magic.tables import Table, counted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mixroute_magic.conversation.memory import Notebook
    from mixroute_magic.conversation.model import Line, Undone
    from mixroute_magic.conversation.turn import Turn
    from mixroute_magic.options import ThreadOptions
    from mixroute_magic.session import Session

__all__ = ["thread"]


def thread(session: Session, options: ThreadOptions) -> Sequence[Table | Shown]:
    """Do to a thread what the options say; without one, go on with it and show what a chat cell here would send."""
    notebook = session.notebook()
    name = options.name or notebook.thread
    actions: dict[str, Callable[[], Table | Sequence[Shown]]] = {
        "fork": lambda: _fork(session, notebook, name, str(options.fork)),
        "rewind": lambda: _rewind(session, notebook, name, int(options.rewind or 0)),
        "keep": lambda: _keep(session, notebook, name, str(options.keep)),
        "clear": lambda: _clear(session, notebook, name),
        "undo": lambda: _undo(session, notebook),
        "export": lambda: _export(session, notebook, name, str(options.export)),
        "imported": lambda: _import(session, notebook, name, str(options.imported)),
        "listing": lambda: _list(notebook),
    }
    wanted = (action for option, action in actions.items() if getattr(options, option) not in {None, False})
    done = next(wanted, lambda: _show(session, notebook, options.name))()
    return [done] if isinstance(done, Table) else done


def _show(session: Session, notebook: Notebook, chosen: str | None) -> Table:
    """Show what a chat cell here would send; go on with another thread where one is named."""
    if chosen:
        notebook.use(chosen)
    name = notebook.thread
    lines = notebook.conversation.lines(session.run(), name)
    above = [line.turn for line in lines]
    sent = without_demo_turns(session, above, offline=session.replay_mode() == "only")
    notes = [*notebook.announcement(), *left_out(above, sent)]
    notebook.announced()
    kept = {turn.turn for turn in sent}
    shown = [line for line in lines if line.turn.turn in kept]
    if name not in notebook.conversation.threads() and name != "main":
        notes.append(f"{name} is a new thread; %thread --list shows those that there are.")
    if any(line.stale for line in shown):
        notes.append("stale: answered before what stands above it changed. Run its cell again to ask anew.")
    system = settings(session.config, notebook.chosen).system
    record = notebook.signed(session.run(), Setting(created=now(), thread=name) if chosen else None)
    table = _table(name, shown, system, notes, record)
    return replace(table, rows=[[session.credentials.without_key(text) for text in row] for row in table.rows])


def _list(notebook: Notebook) -> Table:
    counts = notebook.conversation.threads()
    counts.setdefault(notebook.thread, 0)
    rows = [[name, str(count), "in use" if name == notebook.thread else ""] for name, count in counts.items()]
    header = ["thread", "turns", ""]
    return Table(caption="The conversations of this notebook.", header=header, rows=rows, numbers=frozenset({1}))


def _fork(session: Session, notebook: Notebook, name: str, new: str) -> Table:
    """Begin a thread with what stands above; a cell that has begun it before begins it anew, from the same parent."""
    conversation, run = notebook.conversation, session.run()
    former = conversation.forked().get((run.cell, new))
    turns = conversation.threads().get(new, 0)
    if former is None and (turns or new == name):
        raise HistoryError(
            f"There is a thread {new} already.", f"Choose another name, or go on with it: %thread {new}."
        )
    edit = conversation.fork(run, former.parent if former and name == new else name, new)
    notebook.use(new)
    taken_along = counted(len(edit.turns), "turn")
    return Table(
        caption=f"Thread {new} goes on from {edit.parent}, with the {taken_along} above this cell.",
        notes=[f"%thread {edit.parent} leads back."],
        record=notebook.signed(session.run(), edit),
    )


def _rewind(session: Session, notebook: Notebook, name: str, count: int) -> Table:
    above = notebook.conversation.above(session.run(), name)
    if count > len(above):
        raise HistoryError(
            f"Thread {name} has only {counted(len(above), 'turn')} above this cell.",
            "Rewind by fewer, or run this in a cell further down.",
        )
    edit = notebook.conversation.rewind(session.run(), name, count)
    return Table(
        caption=f"Thread {name}: the last {counted(count, 'turn')} above taken out, {len(above) - count} left.",
        notes=["The outputs in the notebook stay. %thread --undo brings them back."],
        record=notebook.signed(session.run(), edit),
    )


def _clear(session: Session, notebook: Notebook, name: str) -> Table:
    edit = notebook.conversation.clear(name)
    forgotten = counted(len(edit.turns), "turn")
    return Table(
        caption=f"Thread {name}: {forgotten} forgotten. The outputs in the notebook stay.",
        notes=["%thread --undo brings them back."] if edit.turns else [],
        record=notebook.signed(session.run(), edit),
    )


def _keep(session: Session, notebook: Notebook, name: str, wanted: str) -> Table:
    """Let another of the answers that stand side by side go on, and show so in its own cell."""
    turn = notebook.conversation.compared(session.run(), name)
    if turn is None:
        hint = "Ask one: %%chat with -m several times. Run %thread --keep in a cell below it."
        raise HistoryError(f"No turn of thread {name} above this cell has several answers.", hint)
    place = _alternative(turn, wanted)
    names = turn.names
    if place == turn.kept:
        return Table(caption=f"{names[place]} goes on in the conversation already.")
    kept = notebook.keep(turn, name, place)
    if kept.cell == session.run().cell:
        session.asks()  # it stands in the running cell
    _show_instead(notebook, kept)
    stale = any(line.stale for line in notebook.conversation.lines(session.run(), name))
    notes = ["Turns between it and this cell are stale now: run their cells again to ask anew."] if stale else []
    return Table(
        caption=f"{names[place]} goes on in the conversation now, instead of {names[turn.kept or 0]}.",
        notes=[*notes, "%thread --undo takes it back."],
        record=notebook.signed(session.run(), kept.record),
    )


def _alternative(turn: Turn, wanted: str) -> int:
    """Return which of a turn's answers is wanted: by the name of its model, asked or served, or by its number."""
    answers = turn.alternatives
    asked = [place for place, answer in enumerate(answers) if answer.model == wanted]
    found = asked or [place for place, answer in enumerate(answers) if answer.served_model == wanted]
    if not found and wanted in map(str, range(1, len(answers) + 1)):
        found = [int(wanted) - 1]
    if not found:
        raise HistoryError(f"{wanted} is not among the answers.", f"There are {', '.join(turn.names)}.")
    if len(found) > 1:
        numbers = " or ".join(str(place + 1) for place in found)
        raise HistoryError(
            f"{wanted} answered {len(found)} times.", f"Say which by its column: %thread --keep {numbers}."
        )
    if answers[found[0]].status != COMPLETE:
        whole = [name for name, answer in zip(turn.names, answers, strict=True) if answer.status == COMPLETE]
        raise HistoryError(f"{wanted} did not answer to the end.", f"Complete: {', '.join(whole)}.")
    return found[0]


def _undo(session: Session, notebook: Notebook) -> Table | Sequence[Shown]:
    done = notebook.undo()
    if not done:
        raise HistoryError("There is nothing to undo.", "%thread shows what a chat cell here would send.")
    last = done[-1]
    if last.edit is not None:
        what = "the fork" if last.edit.action == FORK else "what was taken out"
        turns = counted(len(last.edit.turns), "turn")
        if last.edit.action == FORK and notebook.thread == last.edit.thread:
            notebook.use(last.edit.parent or "main")
        return Table(
            caption=f"Undone: {what} of thread {last.edit.thread}, {turns}.",
            record=notebook.signed(session.run(), last.record),
        )
    return _brought_back(session, notebook, done)


def _brought_back(session: Session, notebook: Notebook, done: Sequence[Undone]) -> list[Shown]:
    """Show the answers that are back, in their own cells as far as the page can, and here in any case."""
    if any(undone.cell == session.run().cell for undone in done):
        session.asks()  # they stand in the running cell now
    for undone in done:
        _show_instead(notebook, undone, "brought back")
    return [
        Shown(
            f"Brought back {counted(len(undone.back), 'answer')}:",
            [_output(turn, question=True) for turn in undone.back.values()],
            notebook.signed(session.run(), undone.record) or {},
        )
        for undone in done
    ]


def _show_instead(notebook: Notebook, undone: Undone, *notes: str) -> None:
    """Show turns in the outputs of those that stood in their places."""
    for place, turn in undone.back.items():
        gone = undone.gone.get(place)
        if gone is not None:
            output = _output(turn, notes, question=gone.question != turn.question)
            show_again(notebook.shown_instead(gone, turn), output, turn.to_metadata())


def _export(session: Session, notebook: Notebook, name: str, file: str) -> Table:
    from mixroute_magic.conversation.export import export

    turns = notebook.conversation.thread(name)
    _check_secrecy(session, turns, f"Thread {name}", "written")
    path = _path(file)
    title = notebook.path.name if notebook.path else None
    export(
        path,
        turns,
        thread=name,
        notebook=title,
        bundle=_output,
        images=lambda turn: attaching.outputs(session, notebook.path, turn.exchange),
        running=notebook.path,
    )
    return Table(caption=f"Thread {name}, {counted(len(turns), 'turn')}, written to {path}.")


def _import(session: Session, notebook: Notebook, name: str, file: str) -> Table:
    """Add the turns of a file as turns of this cell, each with an output of its own."""
    from mixroute_magic.conversation.export import import_turns

    session.asks()
    run = session.run()
    path = _path(file)
    turns = [replace(turn, thread=name) for turn in import_turns(path)]
    _check_secrecy(session, turns, path.name, "imported")
    for turn in turns:
        attaching.show(session, path, turn.exchange)
        kept, _ = notebook.record(run, notebook.conversation.begin(run), turn)
        leave(kept.turn, _output(kept, question=True), kept.to_metadata())
    return Table(caption=f"{counted(len(turns), 'turn')} of {path.name} stand in this cell now, in thread {name}.")


def _check_secrecy(session: Session, turns: Sequence[Turn], what: str, done: str) -> None:
    """Raise `HistoryError` if the key stands in turns, as it may in those of an older notebook."""
    if session.credentials.is_in(f"{[turn.to_metadata() for turn in turns]}"):
        raise HistoryError(f"{what} contains your API key; nothing was {done}.", "Delete the cell that holds it.")


def _path(file: str) -> Path:
    with suppress(RuntimeError):  # the name begins with ~ and is no user's
        return Path(file).expanduser()
    return Path(file)


def _output(turn: Turn, notes: Sequence[str] = (), *, question: bool = False) -> dict[str, str]:
    shown: dict[str, str] = displayed(turn, notes, question=question)["data"]
    return shown


def _table(
    name: str, lines: Sequence[Line], system: str | None, notes: list[str], record: Mapping[str, Any] | None
) -> Table:
    """Show the messages that a chat cell here would send before its own."""
    rows = [["", "system", _first_words(system), "", "", "", ""]] if system else []
    for number, line in enumerate(lines, start=1):
        cell = "" if line.number is None else f"[{line.number}]"
        for message in line.turn.exchange:
            answers = message.role == "assistant"
            by_model = [line.turn.model, _tokens(line.turn)] if message is line.turn.exchange[-1] else ["", ""]
            calls = ", ".join(f"{call.name}(…)" for call in message.tool_calls)
            words = _first_words(" ".join(filter(None, [described(message), calls])))
            rows.append([str(number), message.role, words, cell, *by_model, "stale" if line.stale and answers else ""])
    if not rows:
        caption = f"Thread {name}: nothing stands above this cell. The next question starts afresh."
        return Table(caption=caption, notes=notes, record=record)
    return Table(
        caption=f"Thread {name}: what a chat cell here sends before its own words.",
        header=["turn", "role", "first words", "cell", "model", "tokens", ""],
        rows=rows,
        notes=notes,
        numbers=frozenset({5}),
        record=record,
    )


def _first_words(text: str, length: int = 60) -> str:
    words = " ".join(text.split())
    return words if len(words) <= length else words[: length - 1] + "…"


def _tokens(turn: Turn) -> str:
    count = turn.usage.output_tokens
    return "unknown" if count is None else f"{count:,}"
