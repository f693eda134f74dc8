"""What a dry run shows: the request, exactly as it would be sent."""

from __future__ import annotations

import json
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mixroute_magic.wire import Request

__all__ = ["Preview"]


@dataclass(frozen=True, repr=False)
class Preview:
    """A request that was not sent, with a sentence about it."""

    sentence: str
    request: Request

    def __repr__(self) -> str:
        return f"{self.sentence}\n\n{self._body()}"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        body = f'<pre style="white-space: pre-wrap">{escape(self._body())}</pre>'
        return {"text/plain": repr(self), "text/html": f"<p>{escape(self.sentence)}</p>{body}"}

    def _body(self) -> str:
        return json.dumps(self.request.to_wire(), ensure_ascii=False, indent=2)
