"""What a gateway says when a conversation is too long for a model.

Only OpenAI and those who copy it give a code; the others say it in words, each in its own (their documentation, and
issues of LiteLLM and LangChain that quote them). So this one refusal is known by its words, too, and its numbers only
where the words say which they are.
"""

from __future__ import annotations

import re

__all__ = ["TOO_LONG", "is_too_long", "told"]

TOO_LONG = "context_length_exceeded"

_WORDS = re.compile(
    r"maximum (context|prompt) length|exceed[^.]{0,40}context|context (length|window|limit)[^.]{0,40}exceed"
    r"|(prompt|input)[\w ]{0,20} too long|(prompt|input)( length| tokens?| token count \([\d,]+\))[^.]{0,24} exceed"
    r"|(prompt|input)[^.]{0,24} exceed[^.]{0,30}(length|token|context)"
    r"|exceed[^.]{0,20} token limit|exceed[^.]{0,20} message tokens|range of input length"
    r"|(prompt|输入|輸入|内容|內容|上下文)[^。]{0,8}[超过過][长長]|[超][过過][^。]{0,12}上下文",
    re.IGNORECASE,
)
_LIMIT = re.compile(
    r"maximum (?:context|prompt) length is ([\d,]+)|> ?([\d,]+)|tokens allowed \(([\d,]+)\)"
    r"|(?:token|configured) limit(?: of|:) ?([\d,]+)|\[\d+, ?([\d,]+)\]|上下文[长長]度\D{0,4}([\d,]+)",
    re.IGNORECASE,
)
_ASKED = re.compile(
    r"requested ([\d,]+)|resulted in ([\d,]+)|contains ([\d,]+)|token count \(([\d,]+)\)|too long: ([\d,]+)",
    re.IGNORECASE,
)


def is_too_long(code: str, message: str) -> bool:
    """Say whether a request was refused because of its length."""
    return code == TOO_LONG or bool(_WORDS.search(message))


def told(message: str) -> tuple[int | None, int | None]:
    """Return how many tokens a model takes and how many it was asked to take, as far as the message tells."""
    return _number(_LIMIT.search(message)), _number(_ASKED.search(message))


def _number(found: re.Match[str] | None) -> int | None:
    digits = "".join(filter(None, found.groups())).replace(",", "") if found else ""
    return int(digits) if digits and len(digits) <= len("100,000,000") else None
