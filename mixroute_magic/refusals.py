"""What a model is known to refuse is said before anything is sent, with the way to unset it where it was set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mixroute_magic.errors import SettingError
from mixroute_magic.gateway.families import refusal
from mixroute_magic.gateway.parameters import option_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mixroute_magic.config import MixRoute
    from mixroute_magic.plan import Plan

__all__ = ["check"]


def check(plan: Plan, chosen: Mapping[str, Any], config: MixRoute) -> None:
    """Raise `SettingError` if the model is known to refuse a field of the request.

    Parameters
    ----------
    chosen
        What ``%model`` set for the whole notebook.
    config
        What holds for all notebooks.
    """
    fields = plan.request().to_wire()
    refused = refusal(plan.settings.model, fields, _set_elsewhere(fields, chosen, config))
    if refused is not None:
        raise SettingError(*refused)


def _set_elsewhere(fields: Mapping[str, Any], chosen: Mapping[str, Any], config: MixRoute) -> dict[str, str]:
    """Say of each field that has the notebook's value how to unset it there: no option of the cell would help."""
    notebook = {**chosen, **chosen.get("params", {})}
    ways = {
        name: f"%model set {option_of(name, value)} for this notebook. Unset what it set with %model --reset"
        for name, value in fields.items()
        if value is not None and notebook.get(name) == value
    }
    everywhere = None if config.temperature is None else config.number("temperature", most=2)
    if everywhere is not None and everywhere == fields.get("temperature"):
        ways.setdefault("temperature", "Unset it for all cells with %config MixRoute.temperature = None")
    return ways
