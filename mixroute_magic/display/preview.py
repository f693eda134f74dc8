"""What a dry run shows: the request, exactly as it would be sent."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from mixroute_magic.display.formats import as_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mixroute_magic.wire import Request

__all__ = ["Preview"]


@dataclass(frozen=True, repr=False)
class Preview:
    """A request that was not sent, or one for each of several models, with a sentence about it."""

    sentence: str
    requests: Sequence[Request]

    def __repr__(self) -> str:
        return f"{self.sentence}\n\n{self._body()}"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        body = f'<pre style="white-space: pre-wrap">{escape(self._body())}</pre>'
        return {"text/plain": repr(self), "text/html": f"<p>{escape(self.sentence)}</p>{body}"}

    def _body(self) -> str:
        """Return the bodies; of several, the messages once where they are the same for all."""
        bodies = [request.to_wire() for request in self.requests]
        messages = bodies[0]["messages"]
        if len(bodies) > 1 and all(body["messages"] == messages for body in bodies):
            own = [{name: value for name, value in body.items() if name != "messages"} for body in bodies]
            return "\n".join([*map(_one_line, own), "", "each with", "", _written({"messages": messages})])
        return "\n\n".join(map(_written, bodies))


def _written(body: Any) -> str:
    return as_json(body, indent=2)


def _one_line(body: Any) -> str:
    return as_json(body)
