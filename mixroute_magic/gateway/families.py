"""What a model takes, as far as its family's row (`family_table`) is sure of it. Never a list that forbids a name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mixroute_magic.gateway.family_table import FAMILIES, Family
from mixroute_magic.gateway.parameters import option_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = [
    "by_series",
    "keeps_signature",
    "max_tokens_field",
    "refusal",
    "remembers_tools",
    "response_formats",
    "returns_reasoning",
    "takes_images",
]

# How the names of each series begin, as MixRoute's documentation and the providers' own lists show them.
_SERIES = {
    "GPT": r"gpt-|chatgpt|o\d|codex",
    "Claude": r"claude",
    "DeepSeek": r"deepseek",
    "Gemini": r"gemini|gemma",
    "Grok": r"grok",
    "Qwen": r"qwen|qwq|qvq",
    "GLM": r"glm|chatglm",
    "Kimi": r"kimi|moonshot",
    "Doubao": r"doubao|seed-",
}
_OTHERS = "others"
_FORMATS = ("json_schema", "json_object")


def max_tokens_field(model: str) -> str:
    """Return the request field in which this model takes its longest answer."""
    renamed = any(family.completion_tokens for family in _families(model))
    return "max_completion_tokens" if renamed else "max_tokens"


def refusal(
    model: str, fields: Mapping[str, Any], elsewhere: Mapping[str, str] | None = None
) -> tuple[str, str] | None:
    """Return what speaks against sending these fields to a model, where that is known; else ``None``.

    Parameters
    ----------
    fields
        The request's, in the wire's names; ``messages`` and ``model`` may be left out. ``None`` counts as not set.
    elsewhere
        For fields that the cell's own options do not set: the sentence that says how to unset each.

    Returns
    -------
    tuple of str
        What is wrong, and what to do.
    """
    for rule in (rule for family in _families(model) for rule in family.rules):
        value = fields.get(rule.field)
        if value is not None and not rule.takes(value, fields):
            drop = (elsewhere or {}).get(rule.field) or f"Drop {option_of(rule.field, value)}"
            return f"{model} takes {rule.says}; nothing was sent.", f"{drop}, or ask another model: -m NAME."
    return None


def returns_reasoning(model: str) -> bool:
    """Say whether an assistant message that called tools has to go back with its ``reasoning_content``."""
    return any(family.returns_reasoning for family in _families(model))


def remembers_tools(model: str) -> bool:
    """Say whether tools that were called earlier have to be described again, though none is offered now."""
    return any(family.remembers_tools for family in _families(model))


def keeps_signature(model: str) -> bool:
    """Say whether tool calls have to go back with the ``extra_content`` that came with them."""
    return any(family.keeps_signature for family in _families(model))


def response_formats(model: str) -> tuple[str, ...]:
    """Return the types of ``response_format`` to try, best first: both where nothing is known.

    None at all where the model would ignore or refuse them: then the question has to say what is wanted.
    """
    known = (family.formats for family in _families(model) if family.formats is not None)
    return next(known, _FORMATS)


def takes_images(model: str) -> bool | None:
    """Say whether a model looks at images; ``None`` where that is not known."""
    return next((family.images for family in _families(model) if family.images is not None), None)


def by_series(models: Iterable[str]) -> dict[str, list[str]]:
    """Return the models by the series that they belong to, in the table's order; what is in none comes last."""
    found: dict[str, list[str]] = {series: [] for series in (*_SERIES, _OTHERS)}
    for model in models:
        found[_series(model)].append(model)
    return {series: names for series, names in found.items() if names}


def _families(model: str) -> Iterator[Family]:
    name = _bare(model)
    return (family for family in FAMILIES if re.match(family.names, name))


def _series(model: str) -> str:
    return next((series for series, prefix in _SERIES.items() if re.match(prefix, _bare(model))), _OTHERS)


def _bare(model: str) -> str:
    """Return a model's name in lower case, without the vendor's before it."""
    return model.rpartition("/")[2].lower()
