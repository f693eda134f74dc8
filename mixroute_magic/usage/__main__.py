"""``python -m mixroute_magic.usage`` makes the tables of a shared ledger, or brings them up to date.

For whoever owns the database: nobody else needs the right to make or change tables then.
"""

from __future__ import annotations

import os
import sys

from mixroute_magic.usage.shared import open_database


def main() -> None:
    """Open the database at ``MIXROUTE_LEDGER_URL`` once, which does all there is to do."""
    url = os.environ.get("MIXROUTE_LEDGER_URL", "").strip()
    if not url:
        sys.exit("Set MIXROUTE_LEDGER_URL to the address of the database, with the login of its owner.")
    database = open_database(url, _warn)
    ready = database.run(lambda _connection: True)
    database.close()
    if not ready:
        sys.exit(1)
    sys.stdout.write("The ledger's tables are there and up to date.\n")


def _warn(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    main()
