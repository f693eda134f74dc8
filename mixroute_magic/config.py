"""Settings, as traitlets: ``%config MixRoute`` and ``ipython_config.py``. There is no trait for the key.

A trait takes what it is given, and the value is checked where it is used: IPython only logs a refused trait and lets
the cell pass, so that a lecturer would go on with the old value without noticing.
"""

from __future__ import annotations

import os
from contextlib import suppress
from math import inf, nan
from typing import Any as Anything

from traitlets import Any, Bool, Unicode, default
from traitlets.config import Configurable

from mixroute_magic.amounts import read_tokens
from mixroute_magic.errors import SettingError

#: The environment variable of each budget.
BUDGETS = {"token_budget": "MIXROUTE_TOKEN_BUDGET", "daily_token_budget": "MIXROUTE_DAILY_TOKEN_BUDGET"}

__all__ = ["BUDGETS", "DEFAULT_BASE_URL", "OTHER_BASE_URL", "MixRoute"]

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
        help="URL of the usage ledger (SQLite or PostgreSQL), set before the first question. Default: "
        "MIXROUTE_LEDGER_URL, else a file of this user's."
    ).tag(config=True)
    prices = Any(
        {},
        help='Money per million tokens: {"glm-5": {"input": 0.6, "output": 2.2}}, also cached and currency.',
    ).tag(config=True)

    replay = Unicode(
        help="off, auto (an unchanged request is answered from its record) or only. Default: MIXROUTE_REPLAY, else off."
    ).tag(config=True)
    history = Unicode("document", help="document (what stands above the cell) or execution (order of execution).").tag(
        config=True
    )
    token_budget = Any(
        None,
        allow_none=True,
        help="Tokens that this session may take, such as 200k. Default: MIXROUTE_TOKEN_BUDGET, else no limit. What is "
        "set when the session starts can be lowered in a notebook, not raised.",
    ).tag(config=True)
    daily_token_budget = Any(
        None,
        allow_none=True,
        help="The same for all sessions of a user in a day. Default: MIXROUTE_DAILY_TOKEN_BUDGET, else no limit.",
    ).tag(config=True)
    journal = Bool(True, help="Keep last turns in a private file, for undo and recovery.").tag(config=True)

    def __init__(self, **kwargs: Anything) -> None:
        super().__init__(**kwargs)
        # What ipython_config.py and the environment say, before a notebook has its say.
        self._given = {name: (os.getenv(variable), getattr(self, name)) for name, variable in BUDGETS.items()}

    @default("token_budget")
    def _default_token_budget(self) -> str | None:
        return os.getenv(BUDGETS["token_budget"])

    @default("daily_token_budget")
    def _default_daily_token_budget(self) -> str | None:
        return os.getenv(BUDGETS["daily_token_budget"])

    @default("replay")
    def _default_replay(self) -> str:
        return os.getenv("MIXROUTE_REPLAY", "").strip().lower() or "off"

    @default("base_url")
    def _default_base_url(self) -> str:
        return os.getenv("MIXROUTE_BASE_URL", "").strip() or DEFAULT_BASE_URL

    @default("model")
    def _default_model(self) -> str:
        return os.getenv("MIXROUTE_MODEL", "").strip() or "glm-5"

    @property
    def ledger_address(self) -> str | None:
        """The ledger's URL. That of the environment is no default of the trait: ``%config`` would show its password."""
        return self.ledger_url.strip() or os.getenv("MIXROUTE_LEDGER_URL", "").strip() or None

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

    def budget(self, name: str) -> tuple[int | None, int | None]:
        """Return the tokens of a budget, and to how many it can be raised: what was set before the kernel started.

        Raises
        ------
        SettingError
            If it, or what was set before, is no number of tokens.
        """
        in_environment, configured = self._given[name]
        limits = [
            _tokens(BUDGETS[name], in_environment, "Correct it, and restart the kernel."),
            _tokens(f"MixRoute.{name}", configured, "Correct it in ipython_config.py, and restart the kernel."),
        ]
        own = _tokens(f"MixRoute.{name}", getattr(self, name), f'Set it: %config MixRoute.{name} = "200k".')
        return _least(*limits, own), _least(*limits)

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


def _tokens(setting: str, value: Anything, hint: str) -> int | None:
    try:
        return read_tokens(value)
    except ValueError as error:
        raise SettingError(f"{setting} is {value!r}: {error}.", hint) from None


def _least(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)
