"""The models of the demo: their names, what each family refuses, and those that fail on purpose.

To add a failure, add a line to `REFUSALS` (an error instead of an answer), to `ENDINGS` (an answer that ends badly), or
to `CALLINGS` (tool calls that are not as they should be).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .protocol import Calling, Ending, Refusal, RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .request import ChatRequest

__all__ = [
    "CALLINGS",
    "ENDINGS",
    "MODELS",
    "REASONING_HIDDEN",
    "REASONING_SHOWN",
    "REFUSALS",
    "WRONG_SCHEMA",
    "check",
    "no_channel",
    "to_wire",
]

# Those of the API reference, in its order.
MODELS: tuple[str, ...] = (
    "gpt-4o",
    "gpt-4o-mini",
    "o3-mini",
    "o4-mini",
    "claude-opus-4-6",
    "claude-sonnet-4-5-20250929",
    "deepseek-v3",
    "deepseek-r1",
    "gemini-3-pro-preview",
    "gemini-3-flash-preview",
    "glm-5",
    "kimi-k2.5",
    "doubao-seed-1-8-251228",
)
REASONING_SHOWN = frozenset({"deepseek-r1", "glm-5", "kimi-k2.5", "doubao-seed-1-8-251228"})
REASONING_HIDDEN = frozenset({"o3-mini", "o4-mini", "gemini-3-pro-preview", "gemini-3-flash-preview"})


def no_channel(model: str) -> Refusal:
    """Return what new-api says of a model that nobody serves: not 404."""
    message = f"No available channel for model {model} under group default (distributor)"
    return Refusal(503, message, "model_not_found")


REFUSALS: Mapping[str, Refusal] = {
    "demo-error-401": Refusal(401, "Invalid token"),
    "demo-error-403-quota": Refusal(403, "User quota is not enough, quota left: $0.00", "insufficient_user_quota"),
    "demo-error-404": Refusal(
        404, "The model demo-error-404 does not exist", "model_not_found", "invalid_request_error", "model"
    ),
    "demo-error-429": Refusal(429, "Too many requests", "rate_limit_exceeded", retry_after=1),
    "demo-error-429-quota": Refusal(
        429, "You exceeded your current quota, check your plan", "insufficient_quota", "insufficient_quota"
    ),
    "demo-error-500": Refusal(500, "The request to the upstream failed", "do_request_failed"),
    "demo-error-503": no_channel("demo-error-503"),
    "demo-error-html": Refusal(
        502, "Bad Gateway", page="<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
    ),
}
ENDINGS: Mapping[str, Ending] = {
    "demo-error-cut": Ending(share=0.5, finish_reason=None),
    "demo-error-length": Ending(share=0.5, finish_reason="length"),
    "demo-error-filter": Ending(share=0.5, finish_reason="content_filter"),
    "demo-error-empty": Ending(share=0),
    "demo-error-midstream": Ending(
        share=0.5, finish_reason=None, error=Refusal(500, "The upstream broke off", "bad_response", "upstream_error")
    ),
}
CALLINGS: Mapping[str, Calling] = {
    "demo-error-tool-json": Calling(share=0.5),
    "demo-error-tool-name": Calling(name="no_such_tool"),
    "demo-error-tool-zero": Calling(index="zero"),  # parallel calls, all with index 0: some proxies of Gemini
    "demo-error-tool-index": Calling(index="none"),  # Gemini's OpenAI endpoint
    "demo-error-tool-object": Calling(as_object=True),
    "demo-error-tool-stop": Calling(finish_reason="stop"),
    "demo-error-tool-again": Calling(again=True),
}
WRONG_SCHEMA = "demo-error-schema"  # its first JSON does not fit the schema
NAMES = (*MODELS, *REFUSALS, *ENDINGS, *CALLINGS, WRONG_SCHEMA)


def to_wire() -> dict[str, Any]:
    """Return the list of models in the form that new-api gives it."""
    models = [
        {
            "id": name,
            "object": "model",
            "created": 1626777600,  # new-api gives every model this one date
            "owned_by": "mixroute-demo",
            "supported_endpoint_types": ["openai"],
        }
        for name in NAMES
    ]
    return {"success": True, "object": "list", "data": models}


def check(request: ChatRequest) -> None:
    """Raise `RefusedError` where the model does not exist or does not take a parameter."""
    if request.model not in NAMES:
        raise RefusedError(no_channel(request.model))
    for prefix, check_family in FAMILIES.items():
        if request.model.startswith(prefix):
            check_family(request.params)


def _check_o_series(params: Mapping[str, Any]) -> None:
    if "max_tokens" in params:
        raise _unsupported("max_tokens", "Use 'max_completion_tokens' instead.")
    for name, only in {"temperature": 1, "top_p": 1, "presence_penalty": 0, "frequency_penalty": 0}.items():
        if params.get(name, only) != only:
            message = f"Unsupported value: '{name}' does not support {params[name]} with this model."
            raise _unaccepted(f"{message} Only the default ({only}) value is supported.", name, "unsupported_value")
    for name in ("logit_bias", "logprobs", "top_logprobs"):
        if params.get(name, False) is not False:
            raise _unsupported(name)


def _check_o3_mini(params: Mapping[str, Any]) -> None:
    for name in ("temperature", "top_p"):
        if name in params:
            raise _unsupported(name)


def _check_o4_mini(params: Mapping[str, Any]) -> None:
    if "stop" in params:
        raise _unsupported("stop")


def _check_claude(params: Mapping[str, Any]) -> None:
    if params.get("temperature", 1) > 1:
        raise _unaccepted("temperature: range: 0..1", "temperature")
    if "temperature" in params and "top_p" in params:
        raise _unaccepted("`temperature` and `top_p` cannot both be specified for this model. Please use only one.")
    if params.get("n", 1) != 1:
        raise _unaccepted("n: only 1 is supported", "n")


def _check_deepseek(params: Mapping[str, Any]) -> None:
    wanted = params.get("response_format")
    if isinstance(wanted, dict) and wanted.get("type") == "json_schema":
        raise _unaccepted("This response_format type is unavailable now")


def _check_deepseek_r1(params: Mapping[str, Any]) -> None:
    if "tools" in params:
        raise _unaccepted("This model does not support Function Calling", "tools")
    if params.get("logprobs", False) is not False or "top_logprobs" in params:
        raise _unaccepted("This model does not support logprobs", "logprobs")


def _check_glm(params: Mapping[str, Any]) -> None:
    if params.get("temperature", 1) > 1:
        raise _unaccepted("The temperature parameter is illegal.：限制数值范围[0,1]", code="1210")
    if isinstance(params.get("stop"), list) and len(params["stop"]) > 1:
        raise _unaccepted("stop参数非法。请检查文档。", code="1214")


def _check_kimi(params: Mapping[str, Any]) -> None:
    thinking = params.get("thinking")
    thinks = not (isinstance(thinking, dict) and thinking.get("type") == "disabled")
    fixed = {"temperature": 1 if thinks else 0.6, "top_p": 0.95, "n": 1, "presence_penalty": 0, "frequency_penalty": 0}
    for name, only in fixed.items():
        if params.get(name, only) != only:
            raise _unaccepted(f"invalid {name}: only {only} is allowed for this model")


def _unsupported(param: str, advice: str = "") -> RefusedError:
    message = f"Unsupported parameter: '{param}' is not supported with this model. {advice}".rstrip()
    return _unaccepted(message, param, "unsupported_parameter")


def _unaccepted(message: str, param: str = "", code: str = "") -> RefusedError:
    return RefusedError(Refusal(400, message, code, "invalid_request_error", param))


# By how the names begin; the providers' own words, so that what names a parameter only there is tried, too.
FAMILIES = {
    "o3-mini": _check_o3_mini,
    "o4-mini": _check_o4_mini,
    "o": _check_o_series,
    "claude-": _check_claude,
    "deepseek-r1": _check_deepseek_r1,
    "deepseek-": _check_deepseek,
    "glm-": _check_glm,
    "kimi-": _check_kimi,
}
