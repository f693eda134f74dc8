"""The output that stays in the notebook: an answer as Markdown and plain text, with its record in the metadata."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mixroute_magic.display import exchange
from mixroute_magic.display.formats import to_markdown, to_plain
from mixroute_magic.display.markdown import as_html
from mixroute_magic.outside import visible, without_controls
from mixroute_magic.tables import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mixroute_magic.reply import Reply
    from mixroute_magic.wire import Message, Usage

__all__ = ["Ending", "Shown", "bundle", "footer", "leave", "reasoning_line", "show", "show_again"]

# Chinese and Japanese write no spaces between words: each character counts as one.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\s\u3040-\u30ff\u3400-\u9fff]+")

_MOST_COLUMNS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a reply ended: ``complete``, ``interrupted`` or ``failed``; shown below the messages ``before``.

    ``form`` is how its text is shown: ``markdown``, ``text``, ``code``, ``json`` or ``record``. ``error`` are the lines
    that say why it failed, where nothing else shows them. A turn that several models answered has ``alternatives``,
    each with the ``name`` of its column.
    """

    reply: Reply
    status: str
    form: str = "markdown"
    notes: Sequence[str] = ()
    before: Sequence[Message] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    error: Sequence[str] = ()
    name: str = ""
    alternatives: Sequence[Ending] = ()


@dataclass(frozen=True, repr=False)
class Shown:
    """Outputs of turns below a sentence, as one output with a record in its metadata."""

    sentence: str
    outputs: Sequence[Mapping[str, str]]
    record: Mapping[str, Any]

    def __repr__(self) -> str:
        return "\n\n".join([visible(self.sentence), *(shown["text/plain"] for shown in self.outputs)])

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, str], dict[str, Any]]:
        markdown = "\n\n".join([as_html(self.sentence), *(shown["text/markdown"] for shown in self.outputs)])
        return {"text/plain": repr(self), "text/markdown": markdown}, {"mixroute": dict(self.record)}


def leave(output_id: str, shown: Mapping[str, str], metadata: Mapping[str, Any]) -> None:
    """Leave an output below the running cell."""
    from IPython.display import display

    display(dict(shown), raw=True, metadata={"mixroute": dict(metadata)}, display_id=output_id)


def show(shown: Mapping[str, Any]) -> None:
    """Show something below the running cell that is no turn."""
    from IPython.display import display

    display(dict(shown), raw=True)


def show_again(output_id: str, shown: Mapping[str, str], metadata: Mapping[str, Any]) -> None:
    """Change the output of an earlier cell; without effect where its page was loaded again since."""
    from IPython.display import update_display

    update_display(dict(shown), display_id=output_id, raw=True, metadata={"mixroute": dict(metadata)})


def footer(ending: Ending) -> str:
    """Return the last line of a reply: model, tokens, seconds, how it ended, notes; of several replies the notes."""
    reply = ending.reply
    seconds = "" if reply.seconds is None else f"{reply.seconds:.1f} s"
    ended = "" if ending.status == "complete" else ending.status
    figures = [reply.model, _tokens(reply.usage), seconds, reply.finish_reason or "", ended]
    parts = [*([] if ending.alternatives else figures), *ending.notes]
    return " · ".join(" ".join(without_controls(part).split()) for part in parts if part)


def _tokens(usage: Usage) -> str:
    if usage.input_tokens is None and usage.output_tokens is None:
        return "tokens unknown"
    read, written = ("?" if count is None else f"{count:,}" for count in (usage.input_tokens, usage.output_tokens))
    return f"{'≈ ' if usage.source == 'estimated' else ''}{read} → {written} tokens"


def bundle(ending: Ending) -> dict[str, str]:
    """Return the final output: Markdown for pages, plain text for everything else."""
    last = footer(ending)
    markdown = [*_shown(ending), f"*{as_html(last)}*"]
    plain = [*_plain(ending), last]
    return {
        "text/markdown": "\n\n".join(part for part in markdown if part),
        "text/plain": "\n\n".join(part for part in plain if part),
    }


def _shown(ending: Ending, *, apart: bool = False) -> list[str]:
    """Return an answer as Markdown; ``apart`` from others in the same output."""
    before = exchange.to_markdown(ending.before)
    if ending.alternatives:
        return [*before, _table(ending.alternatives)]
    error = "<br>".join(map(as_html, ending.error))
    answer = to_markdown(ending.reply.text, ending.form, apart=apart)
    return [*before, _folded(ending.reply.reasoning), answer, f"<p>{error}</p>" if error else ""]


def _plain(ending: Ending) -> list[str]:
    before = exchange.to_plain(ending.before)
    if ending.alternatives:
        named = ([f"── {one.name} ──", *_plain(one), footer(one)] for one in ending.alternatives)
        return [*before, *(without_controls(part) for parts in named for part in parts)]
    return [*before, to_plain(ending.reply.text, ending.form), without_controls("\n".join(ending.error))]


def _table(answers: Sequence[Ending]) -> str:
    """Return answers side by side: a table in HTML, with Markdown in its cells.

    A blank line ends the HTML and begins the Markdown, in which there is no tag that could end its cell, and no block
    stays open. The attributes are for GitHub, which takes no styles; the styles for JupyterLab, which has its own.
    """
    columns = 2 if len(answers) == 4 else min(len(answers), _MOST_COLUMNS)  # noqa: PLR2004 - two rows of two
    style = "text-align:left;vertical-align:top;line-height:1.6;overflow-wrap:anywhere"
    cell = f'align="left" valign="top" width="{100 // columns}%" style="{style}"'
    lines = ['<table width="100%" style="font-size:inherit">']
    for start in range(0, len(answers), columns):
        row = answers[start : start + columns]
        heads = (f"<th {cell}>{as_html(one.name)}</th>" for one in row)
        lines += ["<tr>", *heads, "</tr>", '<tr style="background:none">']
        for one in row:
            shown = [*_shown(one, apart=True), f"*{as_html(footer(one))}*"]
            lines += [f"<td {cell}>", "", "\n\n".join(part for part in shown if part), "", "</td>"]
        lines.append("</tr>")
    return "\n".join([*lines, "</table>"])


def reasoning_line(reasoning: str) -> str:
    """Return the line that stands for the reasoning: how much of it there is."""
    return f"Reasoning ({counted(len(_WORD.findall(reasoning)), 'word')})"


def _folded(reasoning: str) -> str:
    """Return the reasoning as a folded paragraph on one line, out of which no text in it can break."""
    reasoning = without_controls(reasoning).strip()
    if not reasoning:
        return ""
    summary = f"<summary>{reasoning_line(reasoning)}</summary>"
    return f"<details>{summary}<p>{as_html(reasoning)}</p></details>"
