"""What a model family takes, where the families differ; each fact with its source. Never a list that forbids a name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["by_series", "max_tokens_field"]

# OpenAI's reasoning models answer `max_tokens` with 400 unsupported_parameter (OpenAI API reference, "max_tokens":
# deprecated, "not compatible with o-series models").
_COMPLETION_TOKENS = re.compile(r"(o\d|gpt-[5-9])(?![a-z])")


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


def max_tokens_field(model: str) -> str:
    """Return the request field in which this model takes its longest answer."""
    return "max_completion_tokens" if _COMPLETION_TOKENS.match(model.rpartition("/")[2].lower()) else "max_tokens"


def by_series(models: Iterable[str]) -> dict[str, list[str]]:
    """Return the models by the series that they belong to, in the table's order; what is in none comes last."""
    found: dict[str, list[str]] = {series: [] for series in (*_SERIES, _OTHERS)}
    for model in models:
        found[_series(model)].append(model)
    return {series: names for series, names in found.items() if names}


def _series(model: str) -> str:
    name = model.rpartition("/")[2].lower()
    return next((series for series, prefix in _SERIES.items() if re.match(prefix, name)), _OTHERS)
