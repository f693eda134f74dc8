"""Faults 11 to 20: the model, the parameters and the length of a request."""

from __future__ import annotations

from faulty import NOTHING_SENT, OPTIONS, REFUSED, fault, refusal
from scripted import reply

__all__ = ["REQUESTS"]

MODELS = reply(200, {"data": [{"id": "gpt-4o"}, {"id": "gpt-4o-mini"}, {"id": "glm-5"}]})
UNKNOWN = {"model": "gpt4o", "requests": 2, "paths": ("/v1/chat/completions", "/v1/models"), "models": MODELS}
NEAR = "Near it: gpt-4o, gpt-4o-mini. %model --list shows all 3."
ELSEWHERE = "NotFoundError: {host} knows no such model, or no such address (HTTP 404)"
NO_CHANNEL = "分組 default 下模型 gpt4o 無可用管道（distributor）"
TOO_LONG = "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens."
NOT_SUPPORTED = (
    "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
)


def drop(options: str) -> str:
    return f"Drop or change {options}, here or in %model; or ask another model: -m NAME."


REQUESTS = (
    fault(
        11,
        "503 model_not_found",
        reply(503, refusal(NO_CHANNEL, "model_not_found")),
        says=(f"NotFoundError: This model is not available for your key: {NO_CHANNEL}", NEAR),
        **UNKNOWN,
    ),
    fault(
        11,
        "503 model_not_found, and no list of models",
        reply(503, refusal(NO_CHANNEL, "model_not_found")),
        says=(
            f"NotFoundError: This model is not available for your key: {NO_CHANNEL}",
            "%model --list shows those that are.",
        ),
        **UNKNOWN | {"models": reply(404)},
    ),
    fault(
        12,
        "404, the provider's",
        reply(404, refusal("The model `gpt4o` does not exist")),
        says=(f"{ELSEWHERE}: The model `gpt4o` does not exist", NEAR),
        **UNKNOWN,
    ),
    fault(
        13,
        "404 Invalid URL",
        reply(404, refusal("Invalid URL (POST /v1/v1/chat/completions)", kind="invalid_request_error")),
        says=(
            f"{ELSEWHERE}: Invalid URL (POST /v1/v1/chat/completions)",
            "%model --list shows the models; the address (%mixroute) ends in one /v1.",
        ),
        **UNKNOWN | {"models": reply(404)},
    ),
    fault(
        14,
        "Kimi's temperature, known before it is sent",
        model="kimi-k2.5",
        options="-t 0.3",
        says=(
            (
                "SettingError: kimi-k2.5 takes no temperature but its own (1; 0.6 where thinking is disabled); "
                "nothing was sent."
            ),
            "Drop -t 0.3, or ask another model: -m NAME.",
        ),
        **NOTHING_SENT,
        sdk=False,
    ),
    fault(
        14,
        "a temperature that the provider does not take",
        reply(400, refusal("invalid temperature: only 1 is allowed for this model")),
        options="-t 0.3",
        says=(
            f"{REFUSED}: invalid temperature: only 1 is allowed for this model",
            drop("-t"),
        ),
    ),
    fault(
        15,
        "OpenAI's o-series and its temperature, known before it is sent",
        model="o3-mini",
        options="-t 0.3",
        says=(
            "SettingError: o3-mini takes no temperature; nothing was sent.",
            "Drop -t 0.3, or ask another model: -m NAME.",
        ),
        **NOTHING_SENT,
        sdk=False,
    ),
    fault(
        15,
        "a limit that the provider wants under another name",
        reply(
            400,
            refusal(
                NOT_SUPPORTED,
                "unsupported_parameter",
                "invalid_request_error",
                param="max_tokens",
            ),
        ),
        options="--max-tokens 9",
        says=(
            f"{REFUSED}: {NOT_SUPPORTED}",
            drop("--max-tokens"),
        ),
    ),
    fault(
        16,
        "Claude's temperature with top_p",
        reply(400, refusal("`temperature` and `top_p` cannot both be specified for this model.")),
        options="-t 0.5 -p top_p=0.9",
        says=(
            f"{REFUSED}: `temperature` and `top_p` cannot both be specified for this model.",
            drop("-t or -p top_p"),
        ),
    ),
    fault(
        16,
        "Claude's temperature above 1, known before it is sent",
        model="claude-opus-4-6",
        options="-t 1.5",
        says=(
            "SettingError: claude-opus-4-6 takes a temperature from 0 to 1; nothing was sent.",
            "Drop -t 1.5, or ask another model: -m NAME.",
        ),
        **NOTHING_SENT,
        sdk=False,
    ),
    fault(
        16,
        "Claude and a last message of the assistant's",
        reply(400, refusal("This model does not support assistant message prefill.")),
        says=(
            f"{REFUSED}: This model does not support assistant message prefill.",
            OPTIONS,
        ),
    ),
    *(
        fault(
            17,
            f"too long, {what}",
            reply(400, refusal(message, code)),
            says=(
                f"HistoryError: The conversation is too long for this model: {message}",
                "No earlier turns are sent: shorten the question, or use a model that takes more.",
            ),
        )
        for what, message, code in (
            ("by its code", TOO_LONG, "context_length_exceeded"),
            ("in Claude's words", "prompt is too long: 210000 tokens > 200000 maximum", ""),
            ("in Chinese", "输入内容过长，超过模型的上下文长度", ""),
        )
    ),
    fault(
        18,
        "413",
        reply(413, b"<html><head><title>413 Request Entity Too Large</title></head>", "text/html"),
        says=(
            (
                "BadRequestError: The request is too large for {host} (HTTP 413): "
                "a web page, “413 Request Entity Too Large”"
            ),
            "It has 90 bytes. Send less: --fresh leaves out earlier turns.",
        ),
    ),
    fault(
        19,
        "an image for a model that reads none",
        reply(400, refusal("model features vision not support")),
        says=(
            f"{REFUSED}: model features vision not support",
            OPTIONS,
        ),
    ),
    *(
        fault(
            20,
            f"500 {code}",
            reply(500, refusal("field messages is required", code)),
            says=(
                "BadRequestError: The request was not accepted: field messages is required",
                "Change the question or its options.",
            ),
        )
        for code in ("invalid_request", "sensitive_words_detected", "prompt_blocked", "convert_request_failed")
    ),
)
