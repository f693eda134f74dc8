"""How to ask: the configuration, what ``%model`` chose, and a cell's own options, the nearest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mixroute_magic.plan import Settings

if TYPE_CHECKING:
    from mixroute_magic.config import MixRoute
    from mixroute_magic.options import ChatOptions, ModelOptions

__all__ = ["given", "merged", "settings"]


def settings(config: MixRoute, *layers: dict[str, Any]) -> Settings:
    """Return how to ask: the configuration, then what is given, each layer stronger than the one before."""
    configured = {
        "model": config.current("model"),
        "system": config.system or None,
        "temperature": None if config.temperature is None else config.number("temperature", most=2),
        "max_tokens": None if config.max_tokens is None else int(config.number("max_tokens", least=1, whole=True)),
    }
    return Settings(**merged(configured, *layers))


def given(options: ChatOptions | ModelOptions) -> dict[str, Any]:
    """Return what the options say about how to ask."""
    names = ("model", "system", "temperature", "max_tokens", "params")
    return {name: value for name in names if (value := getattr(options, name, None)) not in (None, {})}


def merged(*layers: dict[str, Any]) -> dict[str, Any]:
    """Return the values of the last layer that has them; ``params`` of all layers, each field by itself."""
    values: dict[str, Any] = {}
    for layer in layers:
        params = values.get("params", {}) | layer.get("params", {})
        values |= layer | {"params": params}
    return values
