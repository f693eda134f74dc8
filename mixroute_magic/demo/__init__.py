"""The offline demo gateway: the MixRoute protocol from this machine, with no model behind it.

::

    server      HTTP on loopback, pace, broken connections
    completion  the JSON that goes out, whole or in chunks
    answers     what the demo says
    structured  what it says where the answer must be JSON
    tools       which tools it calls, and what it says of their results
    models      which names there are, which parameters each refuses, which ones fail on purpose
    features    what each family refuses in the messages
    request     the JSON that comes in: history (messages, images) and offers (tools, formats)
    question    names, numbers and language of a question
    schemas     values that fit a JSON schema, which schema_checks has looked at
    refusals    how OpenAI's API words a refusal
    protocol    the values that all of these pass on

It needs the standard library only and shares no code with the client, so that neither hides the other's mistakes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .models import MODELS

if TYPE_CHECKING:
    from .server import DemoGateway

__all__ = ["MODELS", "DemoGateway"]


def __getattr__(name: str) -> type[DemoGateway]:
    """Import the HTTP server only where a gateway is started."""
    if name != "DemoGateway":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .server import DemoGateway

    return DemoGateway
