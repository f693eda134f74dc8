"""What a cell offers besides its question: functions as tools, and the shape that the answer shall have."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mixroute_magic.arguments import did_you_mean
from mixroute_magic.errors import BadRequestError, SchemaError, ToolError
from mixroute_magic.gateway.families import response_formats
from mixroute_magic.plan import IN_WORDS, shaped
from mixroute_magic.prompt.tools import Tool
from mixroute_magic.rounds import Consent, Rounds, nobody_to_ask
from mixroute_magic.schemas import Schema

if TYPE_CHECKING:
    from mixroute_magic.chat import Answer
    from mixroute_magic.options import ChatOptions
    from mixroute_magic.plan import Plan
    from mixroute_magic.session import Session
    from mixroute_magic.wire import Chunk, Request

__all__ = ["Offer", "falling_back"]

_ABOUT_FORMAT = re.compile(r"response_?format|json_?(schema|object)|structured", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Offer:
    """The tools and the schema of one cell."""

    tools: Mapping[str, Tool] = field(default_factory=dict)
    schema: Schema | None = None
    yes: bool = False

    @classmethod
    def read(cls, options: ChatOptions, names: Mapping[str, Any]) -> Offer:
        """Find what the options name among the notebook's variables.

        Raises
        ------
        ToolError, SchemaError
            If something is not there, or not what it should be.
        """
        tools = {name: Tool.of(name, _found(name, names, "function", ToolError)) for name in options.tools}
        schema = options.schema and Schema.of(options.schema, _found(options.schema, names, "schema", SchemaError))
        return cls(tools, schema or None, options.yes)

    def fields(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the request's fields for the tools, once it is sure that ``tool_choice`` can choose.

        Raises
        ------
        ToolError
            If it names a tool that is not offered.
        """
        chosen = params.get("tool_choice")
        function = chosen.get("function") if isinstance(chosen, Mapping) else None
        name = function.get("name") if isinstance(function, Mapping) else None
        if self.tools and name is not None and name not in tuple(self.tools):  # whatever it is
            raise ToolError(f"tool_choice names {name}, which is not offered; nothing was sent.", f"Add --tool {name}.")
        return {"tools": [tool.definition for tool in self.tools.values()]} if self.tools else {}

    def check_consent(self, session: Session) -> None:
        """Raise `ToolError` if a tool would need a word of the user that nobody can give here."""
        consent = self._consent(session)
        lacking = [tool.name for tool in self.tools.values() if consent.lacks(tool)]
        if lacking and not session.can_ask():
            raise nobody_to_ask(lacking[0])

    def rounds(self, session: Session) -> Rounds:
        """Return what has to follow an answer before it stands."""
        return Rounds(self.tools, self.schema, self._consent(session), session.credentials.is_in)

    def _consent(self, session: Session) -> Consent:
        return Consent(given=self.yes, always=session.allowed_tools)


def falling_back(answer: Answer, plan: Plan, known: dict[tuple[str, str], int]) -> Answer:
    """Return an answer that asks for the schema in the best way that the model takes.

    ``known`` remembers how many ways models at gateways have refused.
    """
    schema, model = plan.schema, plan.settings.model
    if schema is None:
        return answer
    ways = (*response_formats(model), IN_WORDS)
    key = plan.gateway, model

    def ask(request: Request, on_retry: Callable[[Exception, float], None]) -> Generator[Chunk]:
        for place in range(known.get(key, 0), len(ways)):
            said = False
            try:
                for chunk in answer(shaped(request, schema, ways[place]), on_retry):
                    said = said or chunk.says_something
                    yield chunk
            except BadRequestError as error:
                if said or ways[place] == IN_WORDS or not _ABOUT_FORMAT.search(f"{error}"):
                    raise
                known[key] = place + 1
                on_retry(BadRequestError(f"{model} takes no {ways[place]}"), 0.0)
            else:
                return

    return ask


def _found(name: str, names: Mapping[str, Any], what: str, kind: type[ToolError | SchemaError]) -> Any:
    if name in names:
        return names[name]
    near = did_you_mean(name, [known for known in names if not known.startswith("_")])
    hint = near[:1].upper() + near[1:] or f"Run the cell that defines {name} first."
    raise kind(f"This notebook has no {what} {name}; nothing was sent.", hint)
