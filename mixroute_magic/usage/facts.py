"""What a row says of a request: who asked, what came of it, and all in texts that every database takes."""

from __future__ import annotations

import getpass
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from mixroute_magic.outside import whole_characters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mixroute_magic.reply import Reply

__all__ = ["figures", "still_reserved", "storable", "user_name"]


def user_name() -> str | None:
    """Return who asks: JupyterHub's user, else the system's; a container may know no name for its user."""
    hub = os.environ.get("JUPYTERHUB_USER", "").strip()
    with suppress(OSError, KeyError, ImportError):
        return _written(hub or getpass.getuser())
    return None


def storable(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row that every database takes, whatever a file or a gateway is called."""
    return {name: _written(value) if isinstance(value, str) else value for name, value in row.items()}


def _written(text: str) -> str:
    """Return a text with what no database can write replaced: halves of characters, and PostgreSQL's one other."""
    return whole_characters(text).replace("\0", "\ufffd")


def still_reserved(tokens: int, reply: Reply | None) -> int | None:
    """Return what goes on to count of a reservation: nothing, once both true counts are known."""
    counts = (reply.usage.input_tokens, reply.usage.output_tokens) if reply else (None, None)
    return None if None not in counts else max(tokens, *(count or 0 for count in counts))


def figures(reply: Reply | None) -> dict[str, Any]:
    """Return what a row keeps of a reply."""
    if reply is None:
        return {}
    return {
        **reply.usage.to_json(),
        "served_model": reply.model,
        "seconds": reply.seconds,
        "first_token_seconds": reply.first_token_seconds,
        "finish_reason": reply.finish_reason,
        "request_id": reply.request_id,
        "demo": reply.demo,
    }
