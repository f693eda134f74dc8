"""What a request offers and demands besides its messages: tools, which of them to call, the form of the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .protocol import Message, Tool
from .refusals import check_name, missing, object_at, text_at, unaccepted, wrong_type
from .schema_checks import schema_fault

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["choose", "read_answer_schema", "read_tools"]

CHOICES = ("none", "auto", "required")
FORMATS = ("text", "json_object", "json_schema")


def read_tools(params: Mapping[str, Any]) -> tuple[Tool, ...]:
    """Return the tools that are offered, or raise `RefusedError`."""
    items = params.get("tools")
    if items is None:
        for param in ("tool_choice", "parallel_tool_calls"):
            if params.get(param) is not None:
                message = f"Invalid value for '{param}': '{param}' is only allowed when 'tools' are specified."
                raise unaccepted(message, param)
        return ()
    if not isinstance(items, list):
        raise wrong_type("tools", "an array of objects", items)
    if not items:
        message = "Invalid 'tools': empty array. Expected an array with minimum length 1, but got an empty array."
        raise unaccepted(message, "tools", "empty_array")
    if "parallel_tool_calls" in params and not isinstance(params["parallel_tool_calls"], bool):
        raise wrong_type("parallel_tool_calls", "a boolean", params["parallel_tool_calls"])
    return tuple(_tool(item, f"tools[{number}]") for number, item in enumerate(items))


def choose(tools: tuple[Tool, ...], choice: Any) -> tuple[tuple[Tool, ...], bool]:
    """Return the tools that ``tool_choice`` leaves, and whether one of them must be called."""
    if choice is None or choice == "auto":
        return tools, False
    if choice == "none":
        return (), False
    if choice == "required":
        return tools, True
    if isinstance(choice, str):
        message = f"Invalid value: '{choice}'. Supported values are: 'none', 'auto', and 'required'."
        raise unaccepted(message, "tool_choice", "invalid_value")
    if not isinstance(choice, dict):
        raise wrong_type("tool_choice", "one of a string or an object", choice)
    if choice.get("type") != "function":
        message = f"Invalid value: '{choice.get('type')}'. The supported value is: 'function'."
        raise unaccepted(message, "tool_choice.type", "invalid_value")
    name = text_at(object_at(choice, "function", "tool_choice.function"), "name", "tool_choice.function.name")
    named = tuple(tool for tool in tools if tool.name == name)
    if not named:
        raise unaccepted(f"Tool choice '{name}' not found in 'tools' parameter.", "tool_choice")
    return named, True


def read_answer_schema(answer_format: Any, messages: Sequence[Message]) -> Mapping[str, Any] | None:
    """Return the JSON schema that the answer has to fit, empty for any JSON object, or None for text."""
    if answer_format is None:
        return None
    if not isinstance(answer_format, dict):
        raise wrong_type("response_format", "an object", answer_format)
    kind = text_at(answer_format, "type", "response_format.type")
    if kind == "text":
        return None
    if kind == "json_object":
        if not any("json" in message.content.lower() for message in messages):
            message = "'messages' must contain the word 'json' in some form, to use 'response_format' of type "
            raise unaccepted(f"{message}'json_object'.", "messages")
        return {}
    if kind != "json_schema":
        message = f"Invalid value: '{kind}'. Supported values are: 'json_object', 'json_schema', and 'text'."
        raise unaccepted(message, "response_format.type", "invalid_value")
    return _json_schema(object_at(answer_format, "json_schema", "response_format.json_schema"))


def _json_schema(described: dict[str, Any]) -> dict[str, Any]:
    param = "response_format.json_schema"
    name = text_at(described, "name", f"{param}.name")
    check_name(name, f"{param}.name")
    schema = object_at(described, "schema", f"{param}.schema")
    if fault := schema_fault(schema, strict=described.get("strict") is True):
        raise unaccepted(f"Invalid schema for response_format '{name}': {fault}", "response_format")
    return schema


def _tool(item: Any, param: str) -> Tool:
    if not isinstance(item, dict):
        raise wrong_type(param, "an object", item)
    if "type" not in item:
        raise missing(f"{param}.type")
    if item["type"] != "function":
        message = f"Invalid value: '{item['type']}'. The supported value is: 'function'."
        raise unaccepted(message, f"{param}.type", "invalid_value")
    function = object_at(item, "function", f"{param}.function")
    name = text_at(function, "name", f"{param}.function.name")
    check_name(name, f"{param}.function.name")
    description = text_at({"description": "", **function}, "description", f"{param}.function.description")
    where = f"{param}.function.parameters"
    schema = object_at({"parameters": {"type": "object", "properties": {}}, **function}, "parameters", where)
    if fault := schema_fault(schema, strict=function.get("strict") is True):
        raise unaccepted(f"Invalid schema for function '{name}': {fault}", where, "invalid_function_parameters")
    return Tool(name, description, schema)
