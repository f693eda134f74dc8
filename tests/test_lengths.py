"""Refusals because of length: in every provider's words, and the numbers in them."""

from __future__ import annotations

import pytest

from mixroute_magic.gateway.lengths import is_too_long, told

# As the providers' own documentation, and users who quote them, have it.
REFUSALS = {
    "OpenAI": (
        (
            "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens (8000 in the "
            "messages, 1000 in the completion). Please reduce the length of the messages or completion."
        ),
        (8192, 9000),
    ),
    "OpenAI, new": (
        "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 280123 tokens.",
        (272000, 280123),
    ),
    "Anthropic": ("prompt is too long: 210000 tokens > 200000 maximum", (200000, 210000)),
    "Anthropic with max_tokens": (
        (
            "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease input length or "
            "`max_tokens` and try again"
        ),
        (200000, None),
    ),
    "Gemini": (
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048575).",
        (1048575, 1200000),
    ),
    "xAI": ("This model's maximum prompt length is 131072 but the request contains 140000 tokens.", (131072, 140000)),
    "DeepSeek with max_tokens": (
        (
            "This model's maximum context length is 4097 tokens, however you requested 9000 tokens (8000 in your "
            "1000 for the completion)."
        ),
        (4097, 9000),
    ),
    "vLLM": (
        (
            "'max_tokens' or 'max_completion_tokens' is too large: 4000. This model's maximum context length is 4096 "
            "tokens and your request has 500 input tokens"
        ),
        (4096, None),
    ),
    "Alibaba": ("<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 30720]", (30720, None)),
    "GLM, English": ("Prompt exceeds max length", (None, None)),
    "Kimi, too": ("Invalid request: Input token length too long", (None, None)),
    "Qwen": ("Range of input length should be [1, 30720]", (30720, None)),
    "Kimi": ("Invalid request: Your request exceeded model token limit: 8192", (8192, None)),
    "GLM": ("Prompt 超长", (None, None)),
    "Doubao": ("Total tokens of image and text exceed max message tokens", (None, None)),
    "Chinese": ("输入内容过长，超过模型最大上下文长度 32,768", (32768, None)),
}


@pytest.mark.parametrize(("message", "numbers"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_of_length_is_known_in_each_dialect(message: str, numbers: tuple[int | None, int | None]) -> None:
    assert is_too_long("", message)
    assert told(message) == numbers


@pytest.mark.parametrize(
    "message",
    [
        "max_tokens is too large: 100000. This model supports at most 16384 completion tokens",
        "Invalid value for 'max_tokens': must be less than or equal to 8192.",
        "max_tokens exceeds the maximum of 8192",
        "Unsupported parameter: 'temperature' is not supported with this model.",
        "Invalid image: the file is too large (20 MB at most).",
        "stop: array too long. Expected at most 4 elements",
        "参数max_tokens超出上限8192",
        "Your request exceeds your spend limit of 1000 USD",
        "Invalid 'messages[0].content': string too long. Expected a string with maximum length 1048576",
        "The input image exceeds the maximum size of 5 MB",
        "Invalid input: temperature exceeds 1",
        "context_window_size: extra inputs are not permitted",
        "",
    ],
)
def test_another_refusal_is_not_taken_for_one_of_length(message: str) -> None:
    assert not is_too_long("invalid_request_error", message)


def test_the_code_says_it_whatever_the_words_are() -> None:
    assert is_too_long("context_length_exceeded", "no")


def test_a_models_name_and_date_are_no_number_of_tokens() -> None:
    message = "claude-3-5-sonnet-20241022: prompt is too long: 210000 tokens > 200000 maximum"
    assert told(message) == (200000, 210000)
