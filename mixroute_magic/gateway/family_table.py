"""What each model family takes and refuses, one row each, with its source.

To add a row, see CONTRIBUTING.md, "A new model family". Only what a source is sure of stands here: all else is sent,
and a refusal is explained when it comes. No row forbids a model, and a name in no row passes everything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["FAMILIES", "Family", "Rule"]


@dataclass(frozen=True, slots=True)
class Rule:
    """What a family takes in one field of a request.

    ``takes`` is asked with the field's value and all fields; where it says no, ``says`` ends "This model takes …".
    """

    field: str
    says: str
    takes: Callable[[Any, Mapping[str, Any]], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Models that take the same.

    Parameters
    ----------
    names
        How their names begin, as a regular expression: lower case, without the vendor's name before a slash.
    source
        Where this is written, or who tried it.
    rules
        What is refused before anything is sent.
    completion_tokens
        Whether the longest answer goes as ``max_completion_tokens``.
    formats
        The types of ``response_format`` that it heeds, best first; none where it has to be told in words, ``None``
        where that is not known.
    images
        Whether it looks at images; ``None`` where that is not known.
    returns_reasoning, keeps_signature
        What has to go back with an assistant message that called tools: its reasoning, or its ``extra_content``.
    remembers_tools
        Whether tools that were called earlier have to be described in each later request.
    """

    names: str
    source: str
    rules: tuple[Rule, ...] = ()
    completion_tokens: bool = False
    formats: tuple[str, ...] | None = None
    images: bool | None = None
    returns_reasoning: bool = False
    keeps_signature: bool = False
    remembers_tools: bool = False


def _no(field: str) -> Rule:
    return Rule(field, f"no {field}", lambda _value, _fields: False)


def _only(field: str, value: Any) -> Rule:
    return Rule(field, f"no {field} other than {value}", lambda given, _fields: bool(given == value))


def _between(field: str, least: float, most: float) -> Rule:
    says = f"a {field} from {least:g} to {most:g}"
    return Rule(field, says, lambda value, _fields: not _is_number(value) or least <= value <= most)


def _without(field: str, other: str) -> Rule:
    says = f"{field} or {other}, not both"
    return Rule(field, says, lambda _value, fields: fields.get(other) is None)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_kimis_own(temperature: Any, fields: Mapping[str, Any]) -> bool:
    thinking = fields.get("thinking")
    thinks = not (isinstance(thinking, Mapping) and thinking.get("type") == "disabled")
    return bool(temperature == (1 if thinks else 0.6))


def _is_one_string(stop: Any, _fields: Mapping[str, Any]) -> bool:
    return not isinstance(stop, list) or len(stop) <= 1


def _is_no_schema(wanted: Any, _fields: Mapping[str, Any]) -> bool:
    return not isinstance(wanted, Mapping) or wanted.get("type") != "json_schema"


_NO_LOGPROBS = (
    Rule("logprobs", "no logprobs", lambda value, _fields: value is False),
    _no("top_logprobs"),
)
_NO_STOP = Rule("stop", "no stop strings", lambda _value, _fields: False)
_NO_PENALTIES = (_only("presence_penalty", 0), _only("frequency_penalty", 0))
_ONE_CHOICE = _only("n", 1)

_MOST = 2  # the highest temperature that -t takes
_O_SERIES = r"o\d(?![a-z])"
_CLAUDE = r"claude-(?:[a-z]+-)?"  # claude-opus-4-6, and claude-4.6-opus as some write it
_JSON_OBJECT = ("json_object",)

# All rows that match a name hold for it, the special before the general: the first that refuses is told, and the first
# that knows `formats` or `images` is believed.
FAMILIES: tuple[Family, ...] = (
    # OpenAI
    Family(
        names=rf"{_O_SERIES}|gpt-[5-9](?![a-z])",
        source="OpenAI API reference, max_tokens: deprecated, not compatible with the o-series; "
        "new-api relay/channel/openai/adaptor.go does the same for gpt-5",
        completion_tokens=True,
    ),
    Family(
        names=r"o3-mini",
        source="lobehub/lobehub#5690, RooCodeInc/Roo-Code#793: 400 unsupported_parameter; its model page: text only",
        rules=(_no("temperature"), _no("top_p")),
        images=False,
    ),
    Family(
        names=rf"{_O_SERIES}|gpt-5(?![a-z.]|-chat)",
        source="OpenAI reasoning guide, limitations; ServiceNow/AgentLab#251, chatboxai/chatbox#2488 (temperature 1). "
        "gpt-5-chat and, where they do not reason, gpt-5.1 and later take all",
        rules=(_only("temperature", 1), _only("top_p", 1), *_NO_PENALTIES, *_NO_LOGPROBS, _no("logit_bias")),
    ),
    Family(
        names=r"o3(?!-mini)|o4-mini",
        source="OpenAI API reference, stop: not supported with o3 and o4-mini; their pages list image input",
        rules=(_NO_STOP,),
        images=True,
    ),
    Family(
        names=r"gpt-5\.[6-9]|gpt-6",
        source="mjms3/pi-mixroute: refused on MixRoute's chat endpoint, September 2026",
        rules=(
            Rule(
                "reasoning_effort",
                "reasoning_effort or tools, not both",
                lambda value, fields: value == "none" or not fields.get("tools"),
            ),
        ),
    ),
    Family(names=r"gpt-4o(?:-mini)?(?!-[a-z])", source="OpenAI's model pages", images=True),
    # Claude
    Family(
        names=rf"{_CLAUDE}(?:4[-.](?:[7-9]|\d\d)|[5-9]|\d\d)(?!\d)",
        source="platform.claude.com, migrating to Opus 4.7: other than default values are refused; "
        "RooCodeInc/Roo-Code#12162, github/copilot-sdk#1557",
        rules=(_only("temperature", 1), _only("top_p", 1), _no("top_k")),
        images=True,
    ),
    Family(
        names=r"claude-",
        source="platform.claude.com, OpenAI SDK compatibility: temperature to 1, n exactly 1, response_format ignored; "
        "theopenco/llmgateway#3268 tried: above 1 refused; anthropics/anthropic-sdk-python#494, earendil-works/pi#149: "
        "400 for calls in the history of a request without tools",
        rules=(_between("temperature", 0, 1), _ONE_CHOICE),
        formats=(),
        remembers_tools=True,
    ),
    Family(
        names=rf"{_CLAUDE}4[-.](?:[1-9]|\d\d)(?!\d)",
        source="platform.claude.com, migration guide; OpenHands#12909, MCP-Universe#49",
        rules=(_without("top_p", "temperature"),),
        images=True,
    ),
    # DeepSeek; its documentation says of temperature, top_p and penalties that thinking models ignore them
    Family(
        names=r"deepseek-r1(?!-0528|-250528|-distill)",
        source="api-docs.deepseek.com, guides/reasoning_model (January 2025): no function calling, no JSON output; "
        "logprobs are refused, and so is reasoning that is sent back",
        rules=(_no("tools"), *_NO_LOGPROBS),
        formats=(),
    ),
    Family(
        names=r"deepseek-(?:v3|v4|r1|chat|reasoner|flash)",
        source="api-docs.deepseek.com, create-chat-completion: text or json_object; "
        "llm-exe/llm-exe#662, ItzCrazyKns/Vane#969 (400 for json_schema)",
        rules=(Rule("response_format", "JSON as json_object, not as json_schema", _is_no_schema),),
        formats=_JSON_OBJECT,
    ),
    Family(
        names=r"deepseek-(?:v3|r1|v4-flash)",
        source="api-docs.deepseek.com: text only; mjms3/pi-mixroute: v4-flash on MixRoute, “vision not support”",
        images=False,
    ),
    Family(
        names=r"deepseek-(?:v3[-.]2|v[4-9]|reasoner|flash)",
        source="api-docs.deepseek.com, guides/thinking_mode; anomalyco/opencode#24722",
        returns_reasoning=True,
    ),
    # Gemini
    Family(
        names=r"gemini-\d",
        source="ai.google.dev, thought signatures: 400 where one is missing; docs.apiyi.com (extra_content)",
        images=True,
        keeps_signature=True,
    ),
    # GLM
    Family(
        names=r"glm-[\d.]+v",
        source="docs.z.ai, api-reference/llm/chat-completion: vision models",
        images=True,
    ),
    Family(
        names=r"glm-\d",
        source="docs.z.ai, api-reference/llm/chat-completion: temperature 0 to 1, one stop string, response_format "
        "text or json_object; theopenco/llmgateway#3268 tried: above 1 refused; z-ai-sdk-python#73: no schema",
        rules=(_between("temperature", 0, 1), Rule("stop", "one stop string", _is_one_string)),
        formats=_JSON_OBJECT,
        images=False,
    ),
    # Kimi
    Family(
        names=r"kimi-k2[-.][56]",
        source="platform.kimi.ai, models-overview: cannot be modified; NoFxAiOS/nofx#1415; "
        "tencentcloud.com 1300/80635 (K2.6: the same)",
        rules=(
            Rule("temperature", "no temperature but its own (1; 0.6 where thinking is disabled)", _is_kimis_own),
            _only("top_p", 0.95),
            _ONE_CHOICE,
            *_NO_PENALTIES,
        ),
        images=True,
    ),
    Family(
        names=r"kimi-k(?:2[-.][5-9]|2-thinking|[3-9])",
        source="platform.moonshot.ai, guide to thinking models: multi-step tool calls keep reasoning_content",
        returns_reasoning=True,
    ),
    # Doubao: max_tokens leaves the reasoning out, max_completion_tokens includes it. Both are taken, so the user's own
    # word is sent (docs.byteplus.com).
    Family(names=r"doubao-seed-1-8", source="docs.byteplus.com/…/2123228", images=True),
    # Grok
    Family(
        names=r"grok-(?:3-mini|4|code)(?!.*non-reasoning)",
        source="docs.x.ai, guides/reasoning: an error for reasoning models",
        rules=(_no("presence_penalty"), _no("frequency_penalty"), _NO_STOP),
    ),
    Family(
        names=r"grok-(?:3(?!-mini)|4(?:-0709|-latest)?(?![-.\w])|4-fast|4[-.]1-fast|4[-.]20(?!-multi-agent)|code-fast)",
        source="docs.x.ai, guides/reasoning; mnfst/modelparams.dev#20; vercel/ai @ai-sdk/xai 4.0.8",
        rules=(_no("reasoning_effort"),),
    ),
    # Qwen
    Family(
        names=r"qwen|qwq|qvq",
        source="Alibaba Cloud Model Studio, API reference: temperature from 0 to below 2",
        rules=(Rule("temperature", "a temperature below 2", lambda value, _fields: value != _MOST),),
    ),
)
