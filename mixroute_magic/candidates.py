"""What may stand at the cursor when somebody presses Tab: models, threads, variables, files, words."""

from __future__ import annotations

import os
import sysconfig
from contextlib import suppress
from dataclasses import is_dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from types import FunctionType, GenericAlias
from typing import TYPE_CHECKING, Any, is_typeddict

from mixroute_magic.conversation.turn import COMPLETE
from mixroute_magic.demo import MODELS
from mixroute_magic.errors import MixRouteError
from mixroute_magic.gateway.families import by_series
from mixroute_magic.option_values import ACTIONS, BY, FORMATS, REPLAYS
from mixroute_magic.session import variables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from IPython.core.interactiveshell import InteractiveShell

    from mixroute_magic.conversation.turn import Turn
    from mixroute_magic.session import Session

__all__ = ["Candidate", "Candidates"]

Candidate = tuple[str, str]
"""What could stand there, and what that is, in a word for the menu."""

_PATIENCE = 0.25  # seconds from Tab on; JupyterLab itself waits for one
_MOST_FILES = 2000  # of a folder: Tab waits for no larger one
_IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".webp")

_TIMES = ("1h", "12h", "1d", "7d", "4w")  # to go on from

# What a template knows besides the notebook's variables.
_TEMPLATE = {"cell(": "function", "out(": "function", "error": "exception"}

# Fields of OpenAI's chat completions (API reference, "Create chat completion") and `thinking` of GLM and Doubao, with
# the values of those that take only a few. `-p` takes any other, too.
_YES_NO = ("true", "false")
_PARAMS: Mapping[str, Iterable[str]] = {
    "top_p": (),
    "reasoning_effort": ("none", "minimal", "low", "medium", "high"),
    "tool_choice": ("auto", "none", "required"),
    "parallel_tool_calls": _YES_NO,
    "response_format": ('{"type": "json_object"}', '{"type": "text"}'),
    "stop": (),
    "seed": (),
    "n": (),
    "frequency_penalty": (),
    "presence_penalty": (),
    "logit_bias": (),
    "logprobs": _YES_NO,
    "top_logprobs": (),
    "stream": _YES_NO,
    "stream_options": ('{"include_usage": true}', '{"include_usage": false}'),
    "thinking": ('{"type": "enabled"}', '{"type": "disabled"}'),
    "verbosity": ("low", "medium", "high"),
    "user": (),
}


class Candidates:
    """What the notebook, its session and its gateway have to offer.

    Parameters
    ----------
    shell
        Whose variables are offered.
    session
        Makes the session where there is none yet.
    pressed
        When Tab was pressed, by the clock (``time.monotonic``).
    """

    def __init__(self, shell: InteractiveShell, session: Callable[[], Session], pressed: float) -> None:
        self._shell = shell
        self._session = session
        self._pressed = pressed
        self._sources: dict[str, Callable[[str], Iterable[Candidate]]] = {
            "chat.models": self._models,
            "chat.thread": self._threads,
            "chat.params": _params,
            "chat.tools": partial(self._values, _is_tool),
            "chat.schema": partial(self._values, _is_schema),
            "chat.images": self._images,
            "chat.output": self.names,
            "chat.form": lambda _: _words(FORMATS),
            "chat.replay": lambda _: _words(REPLAYS),
            "model.name": self._models,
            "model.params": _params,
            "model.listing": self._series,
            "thread.name": self._threads,
            "thread.keep": self._answers,
            "thread.export": partial(_files, (".md", ".ipynb", ".json")),
            "thread.imported": partial(_files, (".ipynb", ".json")),
            "usage.by": lambda _: _words(BY),
            "usage.since": lambda _: _words(_TIMES),
            "usage.csv": partial(_files, (".csv",)),
            "mixroute.action": lambda _: _words(ACTIONS),
        }

    def values(self, option: str, typed: str) -> Iterable[Candidate]:
        """Return the values of an option (``chat.models``); none of one whose value is new, or free."""
        source = self._sources.get(option)
        return source(typed) if source else ()

    def in_template(self) -> Iterable[Candidate]:
        """Return what has a name inside ``{{ }}``."""
        return {**dict(self.names()), **_TEMPLATE}.items()

    def attributes(self, target: str, begun: str) -> Iterable[Candidate]:
        """Return the attributes of a variable, as IPython finds them: it evaluates nothing that could do something."""
        found = (match.rpartition(".")[2] for match in self._shell.Completer.attr_matches(f"{target}.{begun}"))
        return [(name, "attribute") for name in found if begun or not name.startswith("_")]

    def names(self, _: str = "") -> Iterable[Candidate]:
        """Return the notebook's variables."""
        return self._values(lambda _: True)

    def _values(self, wanted: Callable[[Any], bool], _: str = "") -> Iterable[Candidate]:
        """Return the variables whose values are wanted: those that the person has named, as ``%who`` has them."""
        named = variables(self._shell).items()
        found = {name: value for name, value in named if not name.startswith("_") and wanted(value)}
        return ((name, _kind(found[name])) for name in sorted(found, key=str.lower))

    def _models(self, _: str) -> Iterable[Candidate]:
        """Return the models of the gateway, those that the notebook uses first; until it tells, the documented ones."""
        session = self._session()
        used = _used(session)
        live = self._live(session)
        first = [name for name in used if name in live] if live else used
        names = chain(first, *by_series(live or MODELS).values())
        return [(name, "model") for name in dict.fromkeys(names)]

    def _live(self, session: Session) -> Sequence[str]:
        """Return what the gateway offers, as far as that is known."""
        with suppress(MixRouteError):  # a setting is wrong, as the next chat cell will say
            return session.catalogue.of(session.gateway(), session.new_client, until=self._pressed + _PATIENCE)
        return ()

    def _series(self, _: str) -> Iterable[Candidate]:
        found = by_series(self._live(self._session()) or MODELS)
        return [(series.lower(), "pattern") for series in found if series != "others"]

    def _threads(self, _: str) -> Iterable[Candidate]:
        notebook = self._session().known_notebook()
        return [(name, "thread") for name in notebook.conversation.threads()] if notebook else []

    def _answers(self, _: str) -> Iterable[Candidate]:
        """Return the answers that stand side by side, the last first: which are nearest, Tab is not told.

        One of several of the same model goes by the number of its column.
        """
        found = []
        for turn in filter(lambda turn: turn.alternatives, _turns(self._session())):
            models = [answer.model for answer in turn.alternatives]
            for place, answer in enumerate(turn.alternatives):
                if answer.status == COMPLETE:
                    found.append(answer.model if models.count(answer.model) == 1 else str(place + 1))
        return [(name, "answer") for name in dict.fromkeys(found)]

    def _images(self, typed: str) -> Iterable[Candidate]:
        return [*self._values(_is_image), ("out(", "function"), *_files(_IMAGES, typed)]


def _used(session: Session) -> list[str]:
    """Return the models by which this notebook asks and has asked, the last first."""
    notebook = session.known_notebook()
    chosen = [notebook.chosen.get("model")] if notebook else []
    asked = [answer.model for turn in _turns(session) for answer in (turn, *turn.alternatives)]
    return [name for name in dict.fromkeys([*chosen, session.config.current("model"), *asked]) if name]


def _turns(session: Session) -> Iterator[Turn]:
    """Yield the turns of the notebook, the last of each thread first."""
    if notebook := session.known_notebook():
        for thread in notebook.conversation.threads():
            yield from reversed(notebook.conversation.thread(thread))


def _params(typed: str) -> Iterable[Candidate]:
    """Return what ``-p`` takes: names, and behind ``=`` the values of the name."""
    key, equals, _ = typed.partition("=")
    if equals:
        return [(f"{key}={value}", "value") for value in _PARAMS.get(key, ())]
    return [(f"{key}=", "parameter") for key in _PARAMS]


def _files(suffixes: tuple[str, ...], typed: str) -> Iterable[Candidate]:
    """Return files with these suffixes, and folders, as the typed path goes on."""
    folder, slash, begun = typed.rpartition("/")
    with os.scandir(Path(folder + slash).expanduser()) as entries:
        found = [(entry.name, entry.is_dir()) for entry in islice(entries, _MOST_FILES)]
    return [
        (f"{folder}{slash}{name}{'/' if is_folder else ''}", "folder" if is_folder else "file")
        for name, is_folder in sorted(found)
        if (is_folder or name.lower().endswith(suffixes)) and (begun.startswith(".") or not name.startswith("."))
    ]


def _words(words: Iterable[str]) -> Iterable[Candidate]:
    return [(word, "value") for word in words]


def _kind(value: Any) -> str:
    """Return what a value is, in a word: its type, or that it is one. Ten thousand are looked at for one Tab."""
    return "class" if issubclass(type(value), type) else type(value).__name__


def _is_tool(value: Any) -> bool:
    """Say whether a value is a function that the person has written: one of a library's is hardly meant for models."""
    if not issubclass(type(value), FunctionType):
        return False
    libraries = ("<frozen ", *map(sysconfig.get_path, ("stdlib", "purelib", "platlib")))
    return not value.__code__.co_filename.startswith(libraries)


def _is_schema(value: Any) -> bool:
    """Say whether a value describes answers; pydantic is not imported for that."""
    if issubclass(type(value), dict):
        kind = dict.get(value, "type")
        return isinstance(kind, str) and kind == "object" and ("properties" in value or "$schema" in value)
    if type(value) is GenericAlias:  # list[Film]
        return True
    if not issubclass(type(value), type):
        return False
    is_model = hasattr(value, "model_json_schema") and not value.__module__.startswith("pydantic.")
    return is_model or is_dataclass(value) or is_typeddict(value)


def _is_image(value: Any) -> bool:
    """Say whether a value is an image, without importing what makes images."""
    kinds = {(kind.__module__.partition(".")[0], kind.__name__) for kind in type(value).__mro__}
    return type(value) is bytes or bool(kinds & {("PIL", "Image"), ("matplotlib", "Figure")})
