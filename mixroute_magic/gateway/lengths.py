"""What a gateway says when a conversation is too long for a model.

Only OpenAI and those who copy it give a code; the others say it in words, each in its own (issues of LiteLLM and
LangChain quote them). So this one refusal is known by its words, too.
"""

from __future__ import annotations

import re

__all__ = ["TOO_LONG", "is_too_long", "told"]

TOO_LONG = "context_length_exceeded"

_WORDS = re.compile(
    r"context.{0,20}(length|window|limit|size)|maximum (context|prompt)|(prompt|input|request|message).{0,40}too long"
    r"|(prompt|input|request|message).{0,60}exceed|range of input length|max(imum)? (message|input) tokens"
    r"|超[长長]|[过過][长長]|超[出过過].{0,12}([长長]度|上限|限制)",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"(?<![-\w.,])\d[\d,]{2,9}(?![-\w]|\.\d)")


def is_too_long(code: str, message: str) -> bool:
    """Say whether a request was refused because of its length."""
    return code == TOO_LONG or bool(_WORDS.search(message))


def told(message: str) -> tuple[int | None, int | None]:
    """Return how many tokens a model takes and how many it was asked to take, as far as the message tells."""
    numbers = sorted({int(number.replace(",", "")) for number in _NUMBER.findall(message)})
    if "+" in message or not numbers:  # Anthropic: input + max_tokens > limit
        return (numbers[-1], None) if numbers else (None, None)
    return (numbers[-2], numbers[-1]) if len(numbers) > 1 else (numbers[0], None)
