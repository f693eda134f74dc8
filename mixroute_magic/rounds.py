"""What follows an answer before it stands: the results of the tools that it calls, or what is wrong with its shape."""

from __future__ import annotations

import re
from asyncio import CancelledError
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mixroute_magic.display.exchange import call_line
from mixroute_magic.errors import SchemaError, StreamError, ToolError
from mixroute_magic.outside import load_json
from mixroute_magic.prompt.tools import error_text, result_text
from mixroute_magic.schemas import repair
from mixroute_magic.tables import counted
from mixroute_magic.wire import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mixroute_magic.calls import ToolCall
    from mixroute_magic.prompt.tools import Tool
    from mixroute_magic.reply import Reply
    from mixroute_magic.schemas import Schema

__all__ = ["MOST_CALLS", "MOST_ROUNDS", "Consent", "Rounds", "nobody_to_ask"]

MOST_ROUNDS = 10
"""How often one answer may call tools before it has to be an answer."""

MOST_CALLS = 50
"""How many calls that may be together."""

_YES = frozenset({"y", "yes", "是", "好"})
_NO = frozenset({"n", "no", "否", "不"})
_ALWAYS = frozenset({"a", "always", "總是", "总是"})
_TRIES = 3


class Consent:
    """Asks the user whether a tool may run: nothing runs without their word.

    Parameters
    ----------
    given
        Whether it was given on the magic's line, with ``--yes``.
    always
        The functions that may always run, by name; it grows. One that is defined anew is asked about anew.
    """

    def __init__(self, *, given: bool, always: dict[str, Any]) -> None:
        self._given = given
        self._always = always

    def lacks(self, tool: Tool) -> bool:
        """Say whether the user has to be asked about a tool."""
        return not self._given and self._always.get(tool.name) is not tool.function

    def allows(self, tool: Tool, call: ToolCall) -> bool:
        """Return the user's word on a call.

        Raises
        ------
        ToolError
            If nobody can be asked.
        """
        if not self.lacks(tool):
            return True
        question = f"{call_line(call, whole=True)}\nRun it? [y]es, [n]o, [a]lways {tool.name}: "
        for _ in range(_TRIES):
            word = _asked(question, tool.name).strip().lower()
            if word in _ALWAYS:
                self._always[tool.name] = tool.function
            if word in _YES | _ALWAYS | _NO:
                return word not in _NO
        return False


def _asked(question: str, name: str) -> str:
    try:
        return input(question)
    except (EOFError, NotImplementedError):  # the latter is what a kernel raises whose front end takes no input
        raise nobody_to_ask(name) from None


def nobody_to_ask(name: str) -> ToolError:
    """Return the error that says that a tool needs a word that nobody can give."""
    return ToolError(
        f"{name} needs your consent, and nobody can be asked here; it was not run.",
        "Let tools run without asking: --yes.",
    )


class Rounds:
    """What follows the answers of one turn, which it counts.

    Parameters
    ----------
    tools
        What was offered, by name.
    schema
        What the answer has to fit, if anything.
    withheld
        Says whether a text holds what must not be sent: the API key.
    """

    def __init__(
        self,
        tools: Mapping[str, Tool],
        schema: Schema | None,
        consent: Consent,
        withheld: Callable[[str], bool],
    ) -> None:
        self._tools = tools
        self._schema = schema
        self._consent = consent
        self._withheld = withheld
        self._rounds = self._calls = 0
        self._repaired = False

    def after(self, reply: Reply, doing: Callable[[str], None]) -> tuple[Message, ...]:
        """Return what is said after an answer, itself first; nothing where it stands.

        ``doing`` is told what goes on meanwhile.

        Raises
        ------
        MixRouteError
            If it can neither stand nor go on.
        """
        if reply.tool_calls:
            return self._results(reply, doing)
        return self._repair(reply, self._schema) if self._schema is not None else ()

    def _results(self, reply: Reply, doing: Callable[[str], None]) -> tuple[Message, ...]:
        if not self._tools and reply.text.strip():
            return ()
        if not self._tools:
            name = reply.tool_calls[0].name
            raise ToolError(f"The model asked for the tool {name}, which was not offered.", f"Offer it: --tool {name}.")
        if reply.finish_reason == "length":
            raise StreamError("The answer was cut at the token limit, in a call of a tool.", "Raise --max-tokens.")
        self._rounds += 1
        self._calls += len(reply.tool_calls)
        if self._rounds > MOST_ROUNDS or self._calls > MOST_CALLS:
            raise ToolError(
                f"The model called tools {counted(self._calls, 'time')} in {counted(self._rounds, 'round')} "
                "and gave no answer; no more run.",
                "Ask more precisely, or for less at once.",
            )
        calls = tuple(map(_sendable, reply.tool_calls))
        said: dict[str, Any] = {"tool_calls": [call.to_wire() for call in calls]}
        if reply.reasoning:
            said["reasoning_content"] = reply.reasoning
        results = [
            Message("tool", self._told(call, doing), {"tool_call_id": sent.id})
            for call, sent in zip(reply.tool_calls, calls, strict=True)
        ]
        return Message("assistant", reply.text or None, said), *results

    def _told(self, call: ToolCall, doing: Callable[[str], None]) -> str:
        text = self._result(call, doing)
        return error_text("the result holds an API key, and was not sent") if self._withheld(text) else text

    def _result(self, call: ToolCall, doing: Callable[[str], None]) -> str:
        """Return what a call comes to: a result, or what went wrong, which the model is told, too."""
        tool = self._tools.get(call.name)
        if tool is None:
            return error_text(f"there is no tool {call.name}; there are: {', '.join(self._tools)}")
        try:
            arguments = tool.read(call.arguments)
        except Exception as error:  # noqa: BLE001 - a validator of the notebook's own may raise anything
            return error_text(f"{error}. You wrote: {call.arguments[:200]}")
        if self._consent.lacks(tool):
            doing(f"waiting for your word on {tool.name}")
        if not self._consent.allows(tool, _sendable(call)):
            return error_text("the user does not want this call; do without it")
        doing(f"running {tool.name}")
        try:
            return result_text(tool.call(arguments))
        except (Exception, SystemExit, CancelledError) as error:  # noqa: BLE001 - whatever a tool raises is told
            return error_text(error)

    def _repair(self, reply: Reply, schema: Schema) -> tuple[Message, ...]:
        """Ask once more where the answer does not fit the schema."""
        try:
            schema.parse(reply.text)
        except ValueError as error:
            if reply.finish_reason == "length":
                raise SchemaError("The answer was cut at the token limit.", "Raise --max-tokens.") from None
            if self._repaired:
                raise SchemaError(
                    f"The answer does not fit {schema.name}, nor did the one before:\n{error}",
                    "Run the cell again, ask another model with -m, or loosen the schema.",
                ) from None
            self._repaired = True
            told = ValueError("why cannot be told: it holds an API key") if self._withheld(f"{error}") else error
            return Message("assistant", reply.text), Message("user", repair(told))
        return ()


def _sendable(call: ToolCall) -> ToolCall:
    """Return a call as it can go back: gateways refuse names and arguments that are out of form."""
    name = re.sub(r"[^A-Za-z0-9_-]", "_", call.name)[:64] or "unnamed"
    return replace(call, name=name, arguments=_object_in(call.arguments))


def _object_in(arguments: str) -> str:
    """Return the JSON object that arguments are, perhaps written twice over; an empty one where they are none."""
    try:
        value = load_json(arguments)
        text = value if isinstance(value, str) else arguments
        return text if isinstance(load_json(text), dict) else "{}"
    except ValueError:
        return "{}"
