"""What stands in a ledger, for the tests of it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from mixroute_magic.errors import SettingError
from mixroute_magic.usage.query import Scope, summarise

if TYPE_CHECKING:
    from mixroute_magic.usage.ledger import Ledger
    from mixroute_magic.usage.totals import Totals


def totals(ledger: Ledger, session: str = "here") -> list[Totals]:
    """Return the sums of a session's requests by model; none where the ledger cannot be read."""
    with suppress(SettingError):
        return ledger.read(lambda connection: summarise(connection, "model", Scope(session)))
    return []
