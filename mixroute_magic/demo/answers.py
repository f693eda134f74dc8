"""What the demo says: that it is one, what it was sent, and a bit that fits the question.

The same request gets the same answer. Whatever was received is quoted as inline code, where no markup of it works.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .protocol import ChatRequest, Message

__all__ = ["answer", "reasoning"]

QUOTE_LENGTH = 72
MESSAGES_SHOWN = 12
HAN = re.compile(r"[\u3400-\u9fff]")
WORD = re.compile(r"[A-Za-z]+")
NAME_GIVEN = re.compile(
    r"(?i:\bmy name is)\s+([^\W\d_][\w'’-]*(?: [A-Z][\w'’-]*)*)"
    r"|(?:我叫做?|我的名字(?:是|叫))\s*(?!什|甚)([^\W\d_][\w·]{0,11})"
)
NAME_ASKED = re.compile(
    r"(?i:\b(?:what|tell|remember|know|say|guess)\b[^.!?]*\bmy name\b(?! is)|\bwho am i\b)"
    r"|(?:我叫做?|我的名字(?:是|叫)?)[什甚][麼么]|我是[誰谁]|[記记]得我的名字"
)


@dataclass(frozen=True, slots=True)
class Wording:
    """The demo's sentences in one language."""

    one_message: str
    messages: str
    header: str
    left_out: str
    system: str
    params: str
    no_params: str
    name_known: str
    name_unknown: str
    name_given: str
    suggestion: str
    reasoning: str
    comma: str
    empty: str


ENGLISH = Wording(
    one_message="**Offline demo: no model was called.** This one message is all that `{model}` would have seen:",
    messages="**Offline demo: no model was called.** These {count} messages are all that `{model}` would have seen:",
    header="role | begins with",
    left_out="*… {count} earlier messages, not shown in this table*",
    system="The system prompt is: {text}",
    params="Parameters that you set: {params}.",
    no_params="You set no parameters, so the model's own defaults hold.",
    name_known="Your name is **{name}**: message {number} says so. "
    "Memory is no more than that: earlier messages, sent again.",
    name_unknown="I do not know your name: none of the messages above says it, and a model sees nothing else.",
    name_given="Nice to meet you, **{name}**. Ask in a later cell what your name is: this message will be sent along.",
    suggestion="A real model would answer your question here. The demo knows a few tricks: "
    "tell it your name and ask for it later; or ask for *a table*, *Python code* or *a formula*. "
    "It also speaks Chinese.",
    reasoning="I search the last user message for the few words that I know. "
    "This is the demo's reasoning, not a model's.",
    comma=", ",
    empty="*(empty)*",
)
CHINESE = Wording(
    one_message="**離線示範：沒有呼叫任何模型。** `{model}` 看得到的就只有這 1 則訊息：",
    messages="**離線示範：沒有呼叫任何模型。** `{model}` 看得到的就只有這 {count} 則訊息：",
    header="角色 | 開頭",
    left_out="*……更早的 {count} 則訊息，未列入此表*",
    system="系統提示詞是：{text}",
    params="您設定的參數：{params}。",
    no_params="您沒有設定參數，因此採用模型的預設值。",
    name_known="您的名字是 **{name}**：第 {number} 則訊息說的。所謂記憶不過如此：把先前的訊息再送一次。",
    name_unknown="我不知道您的名字：上面的訊息都沒有提到，而模型看不到別的東西。",
    name_given="很高興認識您，**{name}**。請在之後的儲存格問我您叫什麼名字：這則訊息會一起送出。",
    suggestion="真正的模型會在這裡回答您的問題。這個示範只會幾招：告訴它您的名字、稍後再問；"
    "或是向它要*表格*、*Python 程式*或*公式*，也可以用英文。",
    reasoning="我在使用者的最後一則訊息中，找我認得的幾個詞。這是示範程式的推理，不是模型的。",
    comma="、",
    empty="*（空白）*",
)


@dataclass(frozen=True, slots=True)
class Topic:
    """What is said, in both languages, when the question has the words of ``asked``."""

    asked: re.Pattern[str]
    english: str
    chinese: str


FIBONACCI = '''{text}

```python
def fibonacci(count: int) -> list[int]:
    """{docstring}"""
    numbers = [0, 1]
    while len(numbers) < count:
        numbers.append(numbers[-2] + numbers[-1])
    return numbers[:count]


print(fibonacci(10))  # [0, 1, 1, 2, 3, 5, 8, 13, 21, 34]
```'''
GAUSS = r"""{text}

$$
\int_{{-\infty}}^{{\infty}} e^{{-x^2}} \, dx = \sqrt{{\pi}}
$$"""
PLANETS = """{text}

| {header} |
|:--|--:|--:|
| {mercury} | 2,440 | 0 |
| {earth} | 6,371 | 1 |
| {mars} | 3,390 | 2 |"""
HOSTILE = """{text}

<script>window.__mixroute_pwned = true</script>

<img src=x onerror="window.__mixroute_pwned = true">

[x](javascript:window.__mixroute_pwned=true)"""

TOPICS = (
    Topic(
        re.compile(r"\b(?:code|python|function)\b|程式|代[碼码]|函[式數数]", re.IGNORECASE),
        FIBONACCI.format(text="A piece of Python:", docstring="Return the first numbers of the Fibonacci sequence."),
        FIBONACCI.format(text="一段 Python 程式：", docstring="傳回費波那契數列的前幾項。"),
    ),
    Topic(
        re.compile(r"\b(?:maths?|formulas?|equations?|integrals?)\b|[數数][學学]|公式|方程|[積积]分", re.IGNORECASE),
        GAUSS.format(text="A formula: the area under the bell curve $e^{-x^2}$ is"),
        GAUSS.format(text="一個公式：鐘形曲線 $e^{-x^2}$ 之下的面積是"),
    ),
    Topic(
        re.compile(r"\btables?\b|表格", re.IGNORECASE),
        PLANETS.format(
            text="A table:", header="planet | radius in km | moons", mercury="Mercury", earth="Earth", mars="Mars"
        ),
        PLANETS.format(
            text="一個表格：", header="行星 | 半徑（公里） | 衛星", mercury="水星", earth="地球", mars="火星"
        ),
    ),
    Topic(  # what a notebook must not let an answer do
        re.compile(r"(?=.*\bhostile\b).*\bhtml\b", re.IGNORECASE | re.DOTALL),
        HOSTILE.format(text="Markup that would run a script, if the notebook let it:"),
        HOSTILE.format(text="如果筆記本不加防範，這段標記會執行腳本："),
    ),
)


def answer(request: ChatRequest) -> str:
    """Return the demo's answer in Markdown, in the language of the last user message."""
    wording = _wording(request)
    count = len(request.messages)
    notice = wording.one_message if count == 1 else wording.messages
    parts = [
        notice.format(count=count, model=request.model),
        _message_table(request.messages, wording),
        *_settings(request, wording),
    ]
    replies = [*_about_names(request, wording), *_about_topics(request, wording)]
    return "\n\n".join(parts + (replies or [wording.suggestion]))


def reasoning(request: ChatRequest) -> str:
    """Return what a reasoning model thinks before that answer."""
    return _wording(request).reasoning


def _wording(request: ChatRequest) -> Wording:
    """Choose the language: a Chinese word is about two characters."""
    han, words = len(HAN.findall(request.question)), len(WORD.findall(request.question))
    return CHINESE if han and han >= 2 * words else ENGLISH


def _message_table(messages: Sequence[Message], wording: Wording) -> str:
    left_out = max(0, len(messages) - MESSAGES_SHOWN)
    rows = [f"| # | {wording.header} |", "|--:|:--|:--|"]
    if left_out:
        rows.append(f"| | | {wording.left_out.format(count=left_out)} |")
    for number, (role, content) in enumerate(messages[left_out:], left_out + 1):
        rows.append(f"| {number} | {role} | {_quote(content) or wording.empty} |")
    return "\n".join(rows)


def _settings(request: ChatRequest, wording: Wording) -> list[str]:
    systems = [quote for role, content in request.messages if role == "system" and (quote := _quote(content, 300))]
    params = [
        f"{_quote(name)} = {_quote(json.dumps(value, ensure_ascii=False))}" for name, value in request.params.items()
    ]
    return [
        *[wording.system.format(text=system) for system in systems],
        wording.params.format(params=wording.comma.join(params)) if params else wording.no_params,
    ]


def _about_names(request: ChatRequest, wording: Wording) -> list[str]:
    """Answer what the user's name is from the messages, which is all that a model could do."""
    given = {
        number: found[1] or found[2]
        for number, (role, content) in enumerate(request.messages, 1)
        if role == "user" and (found := NAME_GIVEN.search(content))
    }
    number = max(given, default=0)
    if NAME_ASKED.search(request.question):
        return [wording.name_known.format(name=given[number], number=number) if given else wording.name_unknown]
    if NAME_GIVEN.search(request.question):
        return [wording.name_given.format(name=given[number])]
    return []


def _about_topics(request: ChatRequest, wording: Wording) -> list[str]:
    asked = [topic for topic in TOPICS if topic.asked.search(request.question)]
    return [topic.chinese if wording is CHINESE else topic.english for topic in asked]


def _quote(text: str, length: int = QUOTE_LENGTH) -> str:
    """Return the first words as inline code, in which only a backtick, or in a table a bar, means anything."""
    words = "".join(filter(str.isprintable, " ".join(text.split())))
    shown = words if len(words) <= length else words[:length].rstrip() + "…"
    return f"`{shown.replace('`', 'ˋ').replace('|', '¦')}`" if shown else ""
