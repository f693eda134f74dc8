"""Settings, as traitlets: ``%config MixRoute`` and ``ipython_config.py``. There is no trait for the key.

A trait takes what it is given, and the value is checked where it is used: IPython only logs a refused trait and lets
the cell pass, so that a lecturer would go on with the old value without noticing.
"""

from __future__ import annotations

import os
from contextlib import suppress
from math import inf, nan

from traitlets import Any, Bool, Unicode, default
from traitlets.config import Configurable

from mixroute_magic.errors import SettingError

__all__ = ["DEFAULT_BASE_URL", "OTHER_BASE_URL", "MixRoute"]

DEFAULT_BASE_URL = "https://console.mixroute.io/v1"
#: The gateway's documentation names both hosts; a key of one service sent to another is the commonest mistake.
OTHER_BASE_URL = "https://api.mixroute.ai/v1"


class MixRoute(Configurable):
    """What holds for every chat cell, unless ``%model`` or an option of the cell says otherwise."""

    base_url = Unicode(
        help="The gateway, with or without /v1. Default: MIXROUTE_BASE_URL, else " + DEFAULT_BASE_URL + "."
    ).tag(config=True)
    model = Unicode(help="The model to ask. Default: MIXROUTE_MODEL, else glm-5.").tag(config=True)
    temperature = Any(None, allow_none=True, help="0 to 2; not sent unless set.").tag(config=True)
    max_tokens = Any(None, allow_none=True, help="Longest answer in tokens; not sent unless set.").tag(config=True)
    system = Unicode("", help="System prompt; not sent unless set.").tag(config=True)
    timeout = Any(300.0, help="Seconds without a byte after which a request is given up.").tag(config=True)
    retries = Any(2, help="How often a request is tried again before its first word.").tag(config=True)
    allow_http = Bool(False, help="Allow http:// to other machines: the key then travels unencrypted.").tag(config=True)
    ledger_url = Unicode(
        help="SQLAlchemy URL of the usage ledger. Default: MIXROUTE_LEDGER_URL, else a file in Jupyter's data folder."
    ).tag(config=True)

    replay = Unicode(
        help="off, auto (an unchanged request is answered from its record) or only. Default: MIXROUTE_REPLAY, else off."
    ).tag(config=True)
    history = Unicode("document", help="document (what stands above the cell) or execution (order of execution).").tag(
        config=True
    )
    journal = Bool(True, help="Keep last turns in a private file, for undo and recovery.").tag(config=True)

    @default("replay")
    def _default_replay(self) -> str:
        return os.environ.get("MIXROUTE_REPLAY", "").strip().lower() or "off"

    @default("base_url")
    def _default_base_url(self) -> str:
        return os.environ.get("MIXROUTE_BASE_URL", "").strip() or DEFAULT_BASE_URL

    @default("model")
    def _default_model(self) -> str:
        return os.environ.get("MIXROUTE_MODEL", "").strip() or "glm-5"

    @default("ledger_url")
    def _default_ledger_url(self) -> str:
        return os.environ.get("MIXROUTE_LEDGER_URL", "").strip()

    def current(self, name: str) -> str:
        """Return a setting that the environment may give, read anew until it is made: `%env` is expected to work."""
        value = getattr(self, name) if self.trait_has_value(name) else self.trait_defaults(name)
        return str(value)

    def choice(self, name: str, known: tuple[str, ...]) -> str:
        """Return the value of a setting that is one of a few words.

        Raises
        ------
        SettingError
            If it is none of them.
        """
        value = self.current(name)
        if value not in known:
            words = f"{', '.join(known[:-1])} or {known[-1]}"
            raise SettingError(f"MixRoute.{name} is {value!r}, not {words}.", f"Set it: %config MixRoute.{name} = …")
        return value

    def number(self, name: str, *, least: float = 0.0, most: float = inf, whole: bool = False) -> float:
        """Return the value of a numeric setting.

        Raises
        ------
        SettingError
            If it is no number from ``least`` to ``most``, or not a ``whole`` one.
        """
        value = getattr(self, name)
        with suppress(TypeError, ValueError):
            number = nan if isinstance(value, bool) else float(value)
            if least <= number <= most and number != inf and (number.is_integer() or not whole):
                return number
        kind = "whole number" if whole else "number"
        span = f"from {least:g} to {most:g}" if most != inf else f"of at least {least:g}"
        raise SettingError(
            f"MixRoute.{name} is {value!r}, not a {kind} {span}.", f"Set it: %config MixRoute.{name} = …"
        )
