"""Talk to language models from a notebook: ``%load_ext mixroute_magic``, then ``%%chat``."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mixroute_magic.conversation.model import Conversation
    from mixroute_magic.errors import MixRouteError
    from mixroute_magic.gateway.client import Client
    from mixroute_magic.reply import Reply

__version__ = "0.1.0"
__all__ = ["Client", "Conversation", "MixRouteError", "Reply", "load_ipython_extension", "unload_ipython_extension"]

_HOMES = {
    "Client": "mixroute_magic.gateway.client",
    "Conversation": "mixroute_magic.conversation.model",
    "MixRouteError": "mixroute_magic.errors",
    "Reply": "mixroute_magic.reply",
}


def __getattr__(name: str) -> Any:
    """Import a public name at its first use (PEP 562), so that ``%load_ext`` costs next to nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_HOMES))


def load_ipython_extension(shell: Any) -> None:
    """Register the magics; IPython calls this for ``%load_ext mixroute_magic``."""
    from mixroute_magic.magics import load

    load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Remove the magics; IPython calls this for ``%unload_ext mixroute_magic``."""
    from mixroute_magic.magics import unload

    unload(shell)
