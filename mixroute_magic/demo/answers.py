"""What the demo says: that it is one, what it was sent, and a bit that fits the question.

The same request gets the same answer. Whatever was received is quoted as inline code, where no markup of it works.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .question import is_chinese
from .tools import result_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .protocol import Image, Message
    from .request import ChatRequest

__all__ = ["answer", "reasoning"]

QUOTE_LENGTH = 72
MESSAGES_SHOWN = 12
OWN_LINES = ("tools", "response_format")  # parameters that are not shown as such
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
    tools: str
    results: str
    one_image: str
    images: str
    image: str
    image_at: str
    unseen: str
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
    tools="Tools offered: {tools}. Name one, or what it is for, and the demo calls it.",
    results="The tools answered:",
    one_image="I was sent 1 image: {images}.",
    images="I was sent {count} images: {images}.",
    image="{type}, {width} × {height} pixels, {size} bytes",
    image_at="one at {url}, which the demo does not fetch",
    unseen="The demo does not see; a model with vision would.",
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
    tools="可用的工具：{tools}。問題提到工具的名稱或用途時，示範會呼叫它。",
    results="工具的回傳結果：",
    one_image="我收到 1 張圖片：{images}。",
    images="我收到 {count} 張圖片：{images}。",
    image="{type}，{width} × {height} 像素，{size} 位元組",
    image_at="位於 {url}，示範程式不會去下載",
    unseen="這個示範看不到圖片；有視覺能力的模型才看得到。",
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
    replies = [*_about_results(request, wording), *_about_images(request, wording)]
    replies += [*_about_names(request, wording), *_about_topics(request, wording)]
    return "\n\n".join(parts + (replies or [wording.suggestion]))


def reasoning(request: ChatRequest) -> str:
    """Return what a reasoning model thinks before that answer."""
    return _wording(request).reasoning


def _wording(request: ChatRequest) -> Wording:
    return CHINESE if is_chinese(request.question) else ENGLISH


def _message_table(messages: Sequence[Message], wording: Wording) -> str:
    left_out = max(0, len(messages) - MESSAGES_SHOWN)
    rows = [f"| # | {wording.header} |", "|--:|:--|:--|"]
    if left_out:
        rows.append(f"| | | {wording.left_out.format(count=left_out)} |")
    for number, message in enumerate(messages[left_out:], left_out + 1):
        rows.append(f"| {number} | {message.role} | {_quote(_begins_with(message)) or wording.empty} |")
    return "\n".join(rows)


def _begins_with(message: Message) -> str:
    """Return what a message says, shows and calls."""
    images = ["[image]"] * len(message.images)
    calls = [f"{call.name}({call.arguments})" for call in message.tool_calls]
    return " ".join(part for part in (*images, message.content, ", ".join(calls)) if part)


def _settings(request: ChatRequest, wording: Wording) -> list[str]:
    systems = [text for item in request.messages if item.role == "system" and (text := _quote(item.content, 300))]
    params = [
        f"{_quote(name)} = {_quote(json.dumps(value, ensure_ascii=False))}"
        for name, value in request.params.items()
        if name not in OWN_LINES
    ]
    tools = wording.comma.join(_quote(tool.name) for tool in request.tools)
    return [
        *[wording.system.format(text=system) for system in systems],
        wording.params.format(params=wording.comma.join(params)) if params else wording.no_params,
        *([wording.tools.format(tools=tools)] if tools and not request.results else []),
    ]


def _about_results(request: ChatRequest, wording: Wording) -> list[str]:
    lines = result_lines(request)
    return ["\n".join((wording.results, "", *lines))] if lines else []


def _about_images(request: ChatRequest, wording: Wording) -> list[str]:
    """Say what came, in this message and the earlier ones, which are sent along."""
    images = [image for message in request.messages for image in message.images]
    told = wording.comma.join(_told(image, wording) for image in images)
    sentence = wording.one_image if len(images) == 1 else wording.images
    return [f"{sentence.format(count=len(images), images=told)} {wording.unseen}"] if images else []


def _told(image: Image, wording: Wording) -> str:
    if not image.media_type:
        return wording.image_at.format(url=_quote(image.url))
    return wording.image.format(type=image.media_type, width=image.width, height=image.height, size=f"{image.size:,}")


def _about_names(request: ChatRequest, wording: Wording) -> list[str]:
    """Answer what the user's name is from the messages, which is all that a model could do."""
    given = {
        number: found[1] or found[2]
        for number, message in enumerate(request.messages, 1)
        if message.role == "user" and (found := NAME_GIVEN.search(message.content))
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
