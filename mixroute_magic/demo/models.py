"""The models of the demo: their names, what each family refuses, and those that fail on purpose.

To add a failure, add a line to `REFUSALS` (an error instead of an answer) or to `ENDINGS` (an answer that ends badly).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .protocol import Ending, Refusal, RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .protocol import ChatRequest

__all__ = ["ENDINGS", "MODELS", "REASONING_HIDDEN", "REASONING_SHOWN", "REFUSALS", "check", "no_channel", "to_wire"]

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
        for name in (*MODELS, *REFUSALS, *ENDINGS)
    ]
    return {"success": True, "object": "list", "data": models}


def check(request: ChatRequest) -> None:
    """Raise `RefusedError` where the model does not exist or does not take a parameter."""
    if request.model not in (*MODELS, *REFUSALS, *ENDINGS):
        raise RefusedError(no_channel(request.model))
    for prefix, check_family in FAMILIES.items():
        if request.model.startswith(prefix):
            check_family(request.params)


def _check_o_series(params: Mapping[str, Any]) -> None:
    if "max_tokens" in params:
        message = "Unsupported parameter: 'max_tokens' does not go with this model, use 'max_completion_tokens'."
        raise _unaccepted(message, "max_tokens", "unsupported_parameter")
    if params.get("temperature", 1) != 1:
        message = "Unsupported value: 'temperature' can only be 1, the default, with this model."
        raise _unaccepted(message, "temperature", "unsupported_value")


def _check_kimi(params: Mapping[str, Any]) -> None:
    if params.get("temperature", 1) != 1:
        raise _unaccepted("invalid temperature: only 1 is allowed for this model", "temperature")


def _check_claude(params: Mapping[str, Any]) -> None:
    if params.get("temperature", 1) > 1:
        raise _unaccepted("temperature: range: 0..1", "temperature")
    if "temperature" in params and "top_p" in params:
        raise _unaccepted("`temperature` and `top_p` cannot both be set for this model, use one of them.", "top_p")


def _unaccepted(message: str, param: str, code: str = "") -> RefusedError:
    return RefusedError(Refusal(400, message, code, "invalid_request_error", param))


FAMILIES = {
    "o3-": _check_o_series,
    "o4-": _check_o_series,
    "kimi-": _check_kimi,
    "claude-": _check_claude,
}
