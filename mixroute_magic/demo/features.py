"""What a family of models refuses in the messages: images, and its own calls without what it marked them with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .refusals import unaccepted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .request import ChatRequest

__all__ = ["check", "signs_calls"]

BLIND = ("o3-mini", "deepseek-", "glm-5")


def check(request: ChatRequest) -> None:
    """Raise `RefusedError` where the model does not take these messages."""
    if request.model.startswith(BLIND):
        _check_images(request)
    for prefix, check_family in FAMILIES.items():
        if request.model.startswith(prefix):
            check_family(request)


def signs_calls(model: str) -> bool:
    """Tell whether a model's first call carries a signature that has to come back."""
    return model.startswith("gemini-")


def _check_images(request: ChatRequest) -> None:
    for number, message in enumerate(request.messages):
        if message.images and request.model.startswith("o"):
            message_text = "Invalid content type. image_url is only supported by certain models."
            raise unaccepted(message_text, f"messages.[{number}].content")
        if message.images:
            raise unaccepted("model features vision not support", "", "invalid_request_error")


def _check_gemini(request: ChatRequest) -> None:
    """Google checks the current turn only: calls of earlier turns may come from another model."""
    for message in request.turn:
        if message.tool_calls and not message.tool_calls[0].signature:
            raise unaccepted(
                "Function call is missing a thought_signature in functionCall parts. This is required for tools to "
                "work correctly, and missing thought_signature may lead to degraded model performance. Additional "
                f"data, function call `default_api:{message.tool_calls[0].name}`.",
                "",
            )


def _check_kimi(request: ChatRequest) -> None:
    for number, message in enumerate(request.messages):
        if message.tool_calls and message.reasoning is None and request.thinks:
            message_text = (
                "thinking is enabled but reasoning_content is missing in assistant tool call message at index"
            )
            raise unaccepted(f"{message_text} {number}", "")


FAMILIES: Mapping[str, Callable[[ChatRequest], None]] = {
    "gemini-": _check_gemini,
    "kimi-": _check_kimi,
}
