"""The models that gateways offer, for Tab: asked for in the background, so that nobody waits."""

from __future__ import annotations

import threading
import time
from contextlib import closing, suppress
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mixroute_magic.gateway.client import Client

__all__ = ["Catalogue"]

_FRESH, _AGAIN = 600.0, 30.0  # seconds before a gateway is asked anew: one that told its models, one that did not


class Catalogue:
    """The models of each gateway, by the name of the gateway: what one offers is never taken for another's."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[str, ...]] = {}
        self._asked: dict[str, float] = {}
        self._asking: dict[str, tuple[threading.Thread, Client]] = {}

    def keep(self, gateway: str, models: Iterable[str]) -> None:
        """Take in what a gateway has told."""
        self._told[gateway] = tuple(models)
        self._asked[gateway] = time.monotonic()

    def of(self, gateway: str, client: Callable[[], Client], *, until: float = 0.0) -> Sequence[str]:
        """Return a gateway's models as far as they are known, and see to it that they will be.

        Parameters
        ----------
        client
            Makes a client of its own for the thread that asks.
        until
            How long to wait for that thread, once, by the clock (``time.monotonic``).
        """
        due = _FRESH if gateway in self._told else _AGAIN
        if gateway not in self._asking and time.monotonic() - self._asked.get(gateway, -inf) > due:
            asking = self._ask(gateway, client())
            if gateway not in self._told:
                asking.join(max(0.0, until - time.monotonic()))
        return self._told.get(gateway, ())

    def forget(self) -> None:
        """Forget all lists, as another key may see others, and end what is being asked."""
        self._told, self._asked = {}, {}
        for _, client in list(self._asking.values()):
            client.cancel()

    def _ask(self, gateway: str, client: Client) -> threading.Thread:
        thread = threading.Thread(
            target=self._fetch, args=(gateway, client, self._told), name="mixroute-catalogue", daemon=True
        )
        self._asked[gateway] = time.monotonic()
        self._asking[gateway] = thread, client
        thread.start()
        return thread

    def _fetch(self, gateway: str, client: Client, told: dict[str, tuple[str, ...]]) -> None:
        """Ask one gateway; ``told`` is the dictionary of the key that is used, which `forget` leaves behind."""
        try:
            with suppress(Exception), closing(client):  # Tab goes without; the next chat cell says what is wrong
                client.check_key()
                if models := client.models():
                    told[gateway] = tuple(model.id for model in models)
        finally:
            del self._asking[gateway]
