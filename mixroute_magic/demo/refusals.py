"""What is said of a request that is not accepted, as OpenAI's API words it."""

from __future__ import annotations

import re
from typing import Any

from .protocol import Refusal, RefusedError

__all__ = ["bad_request", "check_name", "missing", "object_at", "text_at", "unaccepted", "wrong_type"]

NAME = re.compile(r"[a-zA-Z0-9_-]+")
NAME_LENGTH = 64
TYPES = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", int: "an integer", float: "a number"}


def bad_request(message: str, param: str) -> RefusedError:
    """Return a refusal by the gateway itself."""
    return RefusedError(Refusal(400, message, "invalid_request", param=param))


def unaccepted(message: str, param: str, code: str = "") -> RefusedError:
    """Return a refusal by the provider behind the gateway."""
    return RefusedError(Refusal(400, message, code, "invalid_request_error", param))


def missing(param: str) -> RefusedError:
    """Return the refusal of a request without a field that it needs."""
    return unaccepted(f"Missing required parameter: '{param}'.", param, "missing_required_parameter")


def wrong_type(param: str, expected: str, value: Any) -> RefusedError:
    """Return the refusal of a value that has another type."""
    got = "null" if value is None else TYPES[type(value)]
    message = f"Invalid type for '{param}': expected {expected}, but got {got} instead."
    return unaccepted(message, param, "invalid_type")


def object_at(holder: dict[str, Any], key: str, param: str) -> dict[str, Any]:
    """Return the object under a key, or raise the refusal that names it."""
    if key not in holder:
        raise missing(param)
    if not isinstance(holder[key], dict):
        raise wrong_type(param, "an object", holder[key])
    value: dict[str, Any] = holder[key]
    return value


def text_at(holder: dict[str, Any], key: str, param: str) -> str:
    """Return the text under a key, or raise the refusal that names it."""
    if key not in holder:
        raise missing(param)
    if not isinstance(holder[key], str):
        raise wrong_type(param, "a string", holder[key])
    value: str = holder[key]
    return value


def check_name(name: str, param: str) -> None:
    """Raise the refusal of a name that is not 1 to 64 letters, digits, underscores and dashes."""
    if not NAME.fullmatch(name):
        message = f"Invalid '{param}': string does not match pattern. "
        raise unaccepted(
            message + "Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'.", param, "invalid_value"
        )
    if len(name) > NAME_LENGTH:
        message = f"Invalid '{param}': string too long. Expected a string with maximum length {NAME_LENGTH}, "
        raise unaccepted(
            message + f"but got a string with length {len(name)} instead.", param, "string_above_max_length"
        )
