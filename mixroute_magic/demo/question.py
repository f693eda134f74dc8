"""What the demo reads in a question: its language, the names and numbers in it, and which tool it is about."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .protocol import Tool

__all__ = ["is_chinese", "names_in", "numbers_in", "tools_for"]

HAN = re.compile(r"[\u3400-\u9fff]")
WORD = re.compile(r"[A-Za-z]+")
HAN_PAIR = re.compile(r"(?=([\u3400-\u9fff]{2}))(?!.?的)")  # overlapping
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?")
QUOTED = re.compile(r"[「『“\"]([^」』”\"]+)[」』”\"]|(?<!\w)'([^']+)'(?!\w)")
# San Francisco, CA and Rio de Janeiro are one name each.
CAPITALISED = re.compile(
    r"\b[A-ZÀ-Þ][\w’-]*\.?(?: (?:(?:de|la|van|von) )?[A-ZÀ-Þ][\w’-]*)*(?:, [A-Z]{2}\b)?(?:\s?[A-Z]\b)?"
)
OPENER = re.compile(  # begins a sentence, and no name
    "an?|the|i|and|or|what(?:[’']s)?|how|is|are|was|were|do|does|did|can|could|would|will|please|tell|show|give|get|find|"
    "use|call|which|where|who|when|why|compare|weather|my|your|in|on|at|for|of|to|then|hello|hi|if|list|write|make|add|"
    "let|search|run|try|check|book|look|order|plan|draw|read|translate|calculate|"
    "answer|return|reply|respond|extract|describe|json|schema",
    re.IGNORECASE,
)
SENTENCE_END = re.compile(r"(?:^|[.!?:;\n])\s*$")
GOES_ON = re.compile(r" (?!(?:and|or|is|was|has|had) )[a-z]")
AFTER_IN = re.compile(r"\b(?:in|at|for|of)\s+(.+?)(?=[?.!;]|$)", re.IGNORECASE)
LISTED = re.compile(r",\s*(?:and\s+)?|\s+and\s+|\s+or\s+", re.IGNORECASE)
SMALL = re.compile(r"^(?:(?:in|at|for|of|the)\s+)+|\s+(?:today|tomorrow|now|right now)$", re.IGNORECASE)
# What stands before and after the names in 「請問今天巴黎和東京的天氣如何？」
HAN_BEFORE = re.compile(
    r"^(?:請問|请问|請|请|告訴我|告诉我|幫我|帮我|我想知道|查詢|查询|查一下|查|今天|現在|现在|明天|比較|比较|在)+"
)
HAN_AFTER = re.compile(
    r"(?:今天|現在|现在|明天|目前|的|天[氣气]|[氣气][溫温]|[溫温]度|幾|几|怎|如何|有|是|會|会|[？?。！!，,]).*$"
)
HAN_LISTED = re.compile(r"[、和與与及跟]|還有|还有|以及")
HAN_NAME_LENGTH = 10

COMMON = re.compile(  # words that any tool may be described with
    "get|set|the|and|for|from|with|that|this|what|which|who|how|returns?|given|call|used?|can|into|its|are|has|have|not|"
    "one|all|any|current|name|tool|function|values?|list|text|string|number|integer"
)
WORD_LENGTH = 3
# So that a Chinese question finds a tool that is described in English.
TRANSLATIONS = {
    "weather": re.compile("天[氣气]|[氣气][溫温]|幾度|几度"),
    "temperature": re.compile("[氣气][溫温]|[溫温]度|幾度|几度"),
    "time": re.compile("時間|时间|[幾几][點点]"),
    "price": re.compile("[價价]格|[價价][錢钱]|多少[錢钱]"),
    "search": re.compile("搜[尋索]|查[詢询]"),
    "add": re.compile("[相加]加|加上|總和|总和"),
    "sum": re.compile("[相加]加|加上|總和|总和"),
}


def is_chinese(text: str) -> bool:
    """Tell the language: a Chinese word is about two characters."""
    han, words = len(HAN.findall(text)), len(WORD.findall(text))
    return bool(han) and han >= 2 * words


def numbers_in(question: str) -> list[float]:
    """Return the numbers, in their order."""
    return [float(number) if "." in number else int(number) for number in NUMBER.findall(question)]


def names_in(question: str) -> list[str]:
    """Return what is quoted, else what is capitalised, else what a Chinese or a lower-case question is about."""
    finders = (_quoted, _capitalised, _han) if HAN.search(question) else (_quoted, _capitalised, _after_in)
    return next((names for find in finders if (names := _unique(find(question)))), [])


def tools_for(question: str, tools: Sequence[Tool]) -> list[Tool]:
    """Return the tools whose name is in the question, else those that share most of its name, else description."""
    named = [tool for tool in tools if re.search(rf"\b{re.escape(tool.name)}\b", question)]
    if named:
        return named
    words = _words(question)
    by_name = _best(tools, [_shared(question, words, tool.name) for tool in tools])
    return by_name or _best(tools, [_shared(question, words, tool.description) for tool in tools])[:1]


def _best(tools: Sequence[Tool], scores: Sequence[int]) -> list[Tool]:
    highest = max(scores, default=0)
    return [tool for tool, score in zip(tools, scores, strict=True) if score == highest > 0]


def _shared(question: str, words: frozenset[str], text: str) -> int:
    """Count the words, and the pairs of Chinese characters, that a question shares with a name or description."""
    wanted = _words(text)
    translated = sum(bool(TRANSLATIONS[word].search(question)) for word in wanted if word in TRANSLATIONS)
    pairs = {pair for pair in HAN_PAIR.findall(text) if pair in question}
    return len(words & wanted) + translated + len(pairs)


def _words(text: str) -> frozenset[str]:
    """Return the telling words, as ``cities`` of get_cities or getCities, without their plural."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    found = (word.lower() for word in WORD.findall(apart))
    return frozenset(
        word.removesuffix("s") for word in found if len(word) >= WORD_LENGTH and not COMMON.fullmatch(word)
    )


def _quoted(question: str) -> list[str]:
    return [one or other for one, other in QUOTED.findall(question)]


def _capitalised(question: str) -> list[str]:
    """Return the capitalised words; those that may only begin a sentence, where there are no others."""
    sure: list[str] = []
    unsure: list[str] = []
    for found in CAPITALISED.finditer(question):
        words = found[0].rstrip(".").split(" ")
        while words and OPENER.fullmatch(words[0].rstrip(",")):
            words.pop(0)
        if words and not words[0].islower():
            opens = SENTENCE_END.search(question[: found.start()]) and GOES_ON.match(question, found.end())
            (unsure if opens and len(words) == 1 else sure).append(" ".join(words))
    return sure or unsure


def _after_in(question: str) -> list[str]:
    found = AFTER_IN.search(question)
    parts = [SMALL.sub("", part) for part in LISTED.split(found[1])] if found else []
    return [part for part in parts if not part[:1].isdigit()]


def _han(question: str) -> list[str]:
    about = HAN_AFTER.sub("", HAN_BEFORE.sub("", question.strip()))
    return [name for part in HAN_LISTED.split(about) if 0 < len(name := part.strip()) <= HAN_NAME_LENGTH]


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(name for name in names if name))
