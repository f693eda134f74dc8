"""Functions of the notebook as tools: what a model is told of them, and how they are called."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import json
import re
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mixroute_magic.errors import ToolError
from mixroute_magic.outside import load_json
from mixroute_magic.prompt.limits import Shown, counts
from mixroute_magic.prompt.values import as_text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from pydantic import BaseModel

__all__ = ["LONGEST_RESULT", "Tool", "error_text", "result_text"]

LONGEST_RESULT = 20_000
"""Characters of a result that go to the model, about 5,000 tokens; the rest is cut off, and the model is told so."""

_NAME = r"[A-Za-z0-9_-]{1,64}"  # OpenAI's API reference, "tools[].function.name"
_LONGEST_ERROR = 2_000
_LISTEN = 0.2  # seconds between two looks for an interrupt
_LEAVE = 0.5  # seconds for an interrupted tool to clean up


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that a model may ask for; ``takes`` is its parameters as a pydantic model, by number."""

    name: str
    function: Callable[..., Any]
    about: str
    takes: type[BaseModel]
    parameters: Mapping[str, Any]

    @classmethod
    def of(cls, name: str, function: Any) -> Tool:
        """Make a tool of a function: its signature says what it takes, its docstring what it does.

        Raises
        ------
        ToolError
            If a model could not call it.
        """
        if not callable(function):
            raise ToolError(f"{name} is no function; nothing was sent.", "Offer one that a cell has defined.")
        if not re.fullmatch(_NAME, name):
            raise ToolError(
                f"{name} cannot be a tool's name; nothing was sent.",
                f"Models take letters from a to z, digits, - and _: another_name = {name}, then --tool another_name.",
            )
        about, texts = _documented(function)
        takes = _takes(name, function, texts)
        return cls(name, function, about, takes, _schema(name, takes))

    @property
    def definition(self) -> dict[str, Any]:
        """The tool as it stands in a request."""
        known = {"name": self.name, "description": self.about, "parameters": dict(self.parameters)}
        return {"type": "function", "function": {name: value for name, value in known.items() if value}}

    def read(self, arguments: str) -> BaseModel:
        """Read the arguments of a call.

        Raises
        ------
        ValueError
            If they are no JSON, or not what the function takes; its text says where.
        """
        from pydantic import ValidationError

        try:
            return self.takes.model_validate(_object(arguments))
        except ValidationError as error:
            raise ValueError("; ".join(map(_problem, error.errors(include_url=False)))) from None

    def call(self, arguments: BaseModel) -> Any:
        """Call the function, and wait for it where it is ``async``. It raises what the function raises."""
        parameters = inspect.signature(self.function).parameters.values()
        fields = dict(zip(type(arguments).model_fields, _named(parameters), strict=True))
        by_place = [field for field, parameter in fields.items() if parameter.kind is parameter.POSITIONAL_ONLY]
        first = [getattr(arguments, field) for field in by_place]  # also what was not given: its place counts
        given = [field for field in fields if field in arguments.model_fields_set and field not in by_place]
        names = {fields[field].name: getattr(arguments, field) for field in given}
        result = self.function(*first, **names, **(arguments.model_extra or {}))
        return _awaited(result) if inspect.isawaitable(result) else result


def result_text(value: Any) -> str:
    """Return what a function returned as a model reads it: text as it is, data as JSON, the rest as a prompt has it."""
    text = value if isinstance(value, str) else _json(value)
    shown = as_text(value) if text is None else Shown(text)
    if len(shown.text) <= LONGEST_RESULT:
        return _encodable(shown.text)
    notice = shown.notice or f"shortened to {counts(LONGEST_RESULT, len(shown.text), 'characters')}"
    return _encodable(f"{shown.text[:LONGEST_RESULT]}\n(… {notice})")


def error_text(error: BaseException | str) -> str:
    """Return what a model is told instead of a result."""
    said = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
    return f"Error: {_encodable(said[:_LONGEST_ERROR])}"


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()  # half a character can be neither kept nor sent


def _documented(function: Any) -> tuple[str, dict[str, str]]:
    """Return what a docstring says of a function and its parameters, in NumPy's, Google's or Sphinx's style."""
    import docstring_parser

    text = _docstring(function)
    try:
        found = docstring_parser.parse(text)
    except docstring_parser.ParseError:
        return text, {}
    about = "\n\n".join(filter(None, [found.short_description, found.long_description]))
    return about, {item.arg_name: item.description for item in found.params if item.description}


def _docstring(function: Any) -> str:
    """Return what was written about a function, and not about the class that it happens to be an object of."""
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.isclass(function):
        return inspect.cleandoc(vars(function).get("__doc__") or "")
    call = None if inspect.isroutine(function) else type(function).__call__.__doc__
    return inspect.cleandoc(call) if call else inspect.getdoc(function) or ""


def _takes(name: str, function: Callable[..., Any], texts: Mapping[str, str]) -> type[BaseModel]:
    """Return a function's parameters as a pydantic model, whose fields are numbered: as aliases, names may be any."""
    from pydantic import ConfigDict, create_model

    try:
        parameters = inspect.signature(function, eval_str=True).parameters.values()
    except Exception as error:  # noqa: BLE001 - an annotation in quotes may be any code, or none
        raise ToolError(f"{name} does not say what it takes ({error}); nothing was sent.", _WRAP_IT) from None
    rest = {parameter.kind: parameter.name for parameter in parameters}
    if inspect.Parameter.VAR_POSITIONAL in rest:
        star = rest[inspect.Parameter.VAR_POSITIONAL]
        raise ToolError(f"{name} takes *{star}, but models name all arguments; nothing was sent.", _WRAP_IT)
    fields = {f"p{number}": _field(parameter, texts) for number, parameter in enumerate(_named(parameters))}
    config = ConfigDict(extra="allow" if inspect.Parameter.VAR_KEYWORD in rest else "forbid")
    defined_in = getattr(function, "__module__", None) or __name__  # where names in quotes mean something
    try:
        return create_model(name, __config__=config, __module__=defined_in, **fields)  # type: ignore[call-overload, no-any-return]
    except Exception as error:  # noqa: BLE001 - as above, for what stands in quotes within an annotation
        raise _not_data(name, error) from None


def _schema(name: str, takes: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON Schema of the arguments, without the titles that pydantic makes of their names."""
    from pydantic import PydanticUserError
    from pydantic.json_schema import GenerateJsonSchema

    class Untitled(GenerateJsonSchema):
        def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
            return False

    try:
        schema = takes.model_json_schema(schema_generator=Untitled)
    except PydanticUserError as error:
        raise _not_data(name, error) from None
    del schema["title"]
    return schema


def _not_data(name: str, error: Exception) -> ToolError:
    kind = re.search(r"<class '([\w.]+)'>", str(error))
    if kind:
        return ToolError(f"{name} takes a {kind[1]} that JSON cannot carry; nothing was sent.", _WRAP_IT)
    why = re.split(r"\.\s|[;\n]", str(error))[0].rstrip(".")
    return ToolError(f"{name} takes what JSON cannot carry ({why}); nothing was sent.", _WRAP_IT)


_WRAP_IT = "Wrap it in a function whose parameters are str, int, float, bool, list, dict or a pydantic model."


def _named(parameters: Iterable[inspect.Parameter]) -> list[inspect.Parameter]:
    """Return the parameters that have one value each."""
    return [one for one in parameters if one.kind not in {one.VAR_POSITIONAL, one.VAR_KEYWORD}]


def _field(parameter: inspect.Parameter, texts: Mapping[str, str]) -> tuple[Any, Any]:
    from pydantic import Field

    kind = Any if parameter.annotation is parameter.empty else parameter.annotation
    told: dict[str, Any] = {"alias": parameter.name}
    if parameter.name in texts:
        told["description"] = texts[parameter.name]
    if parameter.default is parameter.empty:
        return kind, Field(**told)
    default = parameter.default
    if not _can_be_written(default):  # a model is not told of it
        return kind, Field(default_factory=lambda: default, **told)
    return kind, Field(default, **told)


def _object(arguments: str) -> Any:
    """Return the JSON of a call's arguments; some models write it twice over, or nothing where there are none."""
    try:
        value = load_json(arguments.strip() or "{}")
        value = load_json(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError("the arguments are no JSON") from None
    if value is not None and not isinstance(value, dict):
        raise ValueError("the arguments are no JSON object")
    return value or {}


def _problem(found: Any) -> str:
    """Return one line about one thing that is wrong with a value."""
    where = ".".join(map(str, found["loc"]))
    return f"{where}: {found['msg']}" if where else str(found["msg"])


def _json(value: Any) -> str | None:
    """Return data as JSON, also dataclasses, pydantic models, dates and sets; ``None`` where JSON cannot carry it."""
    from pydantic_core import PydanticSerializationError, to_json

    try:
        return to_json(value, inf_nan_mode="strings").decode()
    except (PydanticSerializationError, ValueError, RecursionError):
        return None


def _can_be_written(value: Any) -> bool:
    """Say whether a value is JSON, of which NaN and Infinity are no part."""
    from pydantic_core import PydanticSerializationError, to_jsonable_python

    try:
        json.dumps(to_jsonable_python(value), allow_nan=False)
    except (PydanticSerializationError, ValueError, RecursionError):
        return False
    return True


def _awaited(awaitable: Awaitable[Any]) -> Any:
    """Wait for a coroutine in a loop of its own: the kernel's is busy with the cell that asks.

    An interrupt cancels it, so that it can clean up; for one that does not end then nobody waits.
    """
    came: Future[Any] = Future()
    tasks: list[asyncio.Task[Any]] = []

    async def wait() -> Any:
        tasks.extend(filter(None, [asyncio.current_task()]))
        return await awaitable

    def run() -> None:
        try:
            came.set_result(asyncio.run(wait()))
        except BaseException as error:  # noqa: BLE001 - also SystemExit, which nobody would hear of in a thread
            came.set_exception(error)

    thread = threading.Thread(target=contextvars.copy_context().run, args=(run,), name="mixroute-tool", daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(_LISTEN)  # an interrupt comes through between two waits
    except KeyboardInterrupt:
        for task in tasks:
            task.get_loop().call_soon_threadsafe(task.cancel)
        thread.join(_LEAVE)
        raise
    return came.result()
