"""What a model family takes, where the families differ; each fact with its source. Never a list that forbids a name."""

from __future__ import annotations

import re

__all__ = ["max_tokens_field"]

# OpenAI's reasoning models answer `max_tokens` with 400 unsupported_parameter (OpenAI API reference, "max_tokens":
# deprecated, "not compatible with o-series models").
_COMPLETION_TOKENS = re.compile(r"(o\d|gpt-[5-9])(?![a-z])")


def max_tokens_field(model: str) -> str:
    """Return the request field in which this model takes its longest answer."""
    return "max_completion_tokens" if _COMPLETION_TOKENS.match(model.rpartition("/")[2].lower()) else "max_tokens"
