"""The offline demo gateway: the MixRoute protocol from this machine, with no model behind it.

::

    server      HTTP on loopback, pace, broken connections
    answers     what the demo says
    models      which names there are, what each refuses, which ones fail on purpose
    protocol    the JSON that comes in and goes out

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
