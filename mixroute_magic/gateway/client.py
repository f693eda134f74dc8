"""The one door to the network: a request goes out, chunks come in.

Reads an OpenAI-compatible gateway in all the dialects of CONTRIBUTING.md, "What the wire looks like".
``requests``, ``urllib3``, ``sseclient`` and ``tenacity`` are imported at the first request.
"""

from __future__ import annotations

import difflib
import json
from contextlib import closing
from dataclasses import replace
from http import HTTPStatus
from itertools import chain
from typing import TYPE_CHECKING, Any, Self

from mixroute_magic.config import MixRoute
from mixroute_magic.errors import MixRouteError, NotFoundError
from mixroute_magic.gateway.address import host_of, is_loopback, read_base_url
from mixroute_magic.gateway.faults import request_id
from mixroute_magic.gateway.line import Line
from mixroute_magic.gateway.retries import OnRetry, retrying
from mixroute_magic.gateway.stream import checked, read_events, read_json, read_reply, unechoed
from mixroute_magic.gateway.thinking import told_apart
from mixroute_magic.reply import Reply, ReplyBuilder
from mixroute_magic.schemas import Schema
from mixroute_magic.secrecy import without_any_key
from mixroute_magic.wire import Chunk, Message, Model, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping

__all__ = ["Client"]

_DEMO_HEADER = "x-mixroute-demo"
_LIST_SECONDS = 30.0
_HINT_SECONDS = 5.0  # for a list that is only looked at to say more of an error


class Client:
    """Talks to one gateway.

    Connections are kept for the next request; as a context manager the client closes them at its end.

    Parameters
    ----------
    base_url
        The gateway, with or without ``/v1``; default ``MIXROUTE_BASE_URL``, else MixRoute's own.
    api_key
        The key, or a function that returns it when it is needed; default ``MIXROUTE_API_KEY``, else the one that
        ``%mixroute login`` put into the system's keyring. A gateway on this machine needs none.
    timeout
        Seconds without a byte after which a request is given up.
    retries
        How often a request is sent again, before its first word only; a rate limit that says how long it lasts is
        waited out beyond that, for two minutes at most.
    allow_http
        Whether the key may travel unencrypted to another machine.

    Raises
    ------
    SettingError
        If the gateway's address is none.

    Examples
    --------
    The demo gateway answers offline. ``Client()`` alone asks MixRoute, with your key.

    >>> from mixroute_magic import Client
    >>> from mixroute_magic.demo import DemoGateway
    >>> question = {"role": "user", "content": "My name is Ada."}
    >>> with DemoGateway.start(pace=0) as gateway, Client(gateway.base_url) as client:
    ...     reply = client.chat([question], model="gpt-4o")
    >>> print(reply.text)
    **Offline demo: no model was called.** ...
    Nice to meet you, **Ada**. Ask in a later cell what your name is: this message will be sent along.

    A model sees the messages that it is sent, and nothing else:

    >>> messages = [question, {"role": "assistant", "content": reply.text}]
    >>> messages.append({"role": "user", "content": "What is my name?"})
    >>> with DemoGateway.start(pace=0) as gateway, Client(gateway.base_url) as client:
    ...     print(client.chat(messages, model="gpt-4o"))
    **Offline demo: no model was called.** ...
    Your name is **Ada**: message 1 says so. ...
    """

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | Callable[[], str | None] | None = None,
        *,
        timeout: float = 300.0,
        retries: int = 2,
        allow_http: bool = False,
    ) -> None:
        self.base_url = read_base_url(base_url or MixRoute().base_url, allow_http=allow_http)
        self.host = host_of(self.base_url)
        self._line = Line(self.base_url, api_key)
        self._timeout = timeout
        self._retries = retries
        self._demo: bool | None = None

    def stream(
        self,
        messages: Iterable[Message | Mapping[str, Any]],
        *,
        model: str,
        on_retry: OnRetry | None = None,
        **params: Any,
    ) -> Generator[Chunk]:
        """Send messages and yield the answer in chunks, as they come.

        Nothing is sent before the first chunk is asked for. Closing the generator closes the connection.

        Parameters
        ----------
        messages
            In order; as dicts in the form of OpenAI's chat completions, or `Message`.
        model
            Its name as in `models`.
        on_retry
            Called before a request is sent again, with the error and the seconds until then.
        **params
            Further fields of the request, such as ``temperature=0.3``; none is sent that is not given.

        Yields
        ------
        Chunk
            What came last: its ``text`` and ``reasoning`` are added to what was there before, ``usage`` replaces it.

        Raises
        ------
        MixRouteError
            One of its subclasses: before the first chunk where the gateway refuses, later where the stream breaks.

        Examples
        --------
        >>> from mixroute_magic import Client
        >>> from mixroute_magic.demo import DemoGateway
        >>> question = {"role": "user", "content": "My name is Ada."}
        >>> with DemoGateway.start(pace=0) as gateway, Client(gateway.base_url) as client:
        ...     for chunk in client.stream([question], model="deepseek-r1"):
        ...         print(chunk.reasoning or chunk.text, end="")
        I search the last user message for the few words that I know. ...**Offline demo: no model was called.** ...
        """
        if isinstance(messages, str):
            raise TypeError('messages is a list, such as [{"role": "user", "content": "hello"}]')
        known = (item if isinstance(item, Message) else Message.from_wire(item) for item in messages)
        return self.send(Request(model, tuple(known), params), on_retry)

    def chat(
        self, messages: Iterable[Message | Mapping[str, Any]], *, model: str, schema: Any = None, **params: Any
    ) -> Reply:
        """Send messages and return the whole answer.

        Parameters
        ----------
        messages, model, **params
            As those of `stream`.
        schema
            What the answer has to fit, and is ``parsed`` as: a pydantic model, a dataclass, a TypedDict, another type,
            or a JSON Schema as a dict.

        Raises
        ------
        MixRouteError
            As in `stream`; its ``partial`` is the text that had come. `SchemaError` if the answer does not fit.

        Examples
        --------
        >>> from mixroute_magic import Client, MixRouteError
        >>> from mixroute_magic.demo import DemoGateway
        >>> question = {"role": "user", "content": "Hello"}
        >>> with DemoGateway.start(pace=0) as gateway, Client(gateway.base_url) as client:
        ...     reply = client.chat([question], model="gpt-4o", temperature=0.3)
        ...     try:
        ...         client.chat([question], model="gpt4o")
        ...     except MixRouteError as error:
        ...         print(error.hint)
        Near it: gpt-4o, ... %model --list shows all ...
        >>> reply.model, reply.finish_reason
        ('gpt-4o', 'stop')
        """
        wanted = None if schema is None else Schema.of(getattr(schema, "__name__", "answer"), schema)
        if wanted is not None:
            params = {"response_format": wanted.response_format, **params}
        builder = ReplyBuilder(model, clean=self._line.hide)
        try:
            for chunk in self.stream(messages, model=model, **params):
                builder.add(chunk)
            reply = builder.reply()
            return reply if wanted is None else replace(reply, parsed=wanted.fitting(reply.text))
        except MixRouteError as error:
            error.partial = builder.reply().text
            raise

    def models(self) -> list[Model]:
        """Return the models that the gateway offers to this key, sorted by name.

        Raises
        ------
        MixRouteError
            If the gateway refuses, is not reached, or has no such list.

        Examples
        --------
        >>> from mixroute_magic import Client
        >>> from mixroute_magic.demo import DemoGateway
        >>> with DemoGateway.start(pace=0) as gateway, Client(gateway.base_url) as client:
        ...     [model.id for model in client.models() if model.id.startswith("gpt")]
        ['gpt-4o', 'gpt-4o-mini']
        """
        return self._models(min(_LIST_SECONDS, self._timeout))

    def _models(self, timeout: float) -> list[Model]:
        try:
            with self._line.request("GET", "/models", timeout=timeout) as response:
                data = read_json(response, self.host)
        except NotFoundError as error:
            error.args, error.hint = (f"{self.host} has no list of models.",), "Name the model yourself: %model NAME."
            raise
        return [model.cleaned(self._line.hide) for model in Model.list_from_wire(data.get("data"))]

    def is_demo(self) -> bool:
        """Say whether the offline demo gateway answers here; only this machine is asked, and only once."""
        if self._demo is None:
            self._demo = self._has_demo_header() if is_loopback(self.base_url) else False
        return self._demo or False

    def send(self, request: Request, on_retry: OnRetry | None = None) -> Generator[Chunk]:
        """Send a request and yield its chunks; see `stream`."""
        head, chunks = retrying(self._retries, self._line.cancelled, on_retry)(self._attempt, request)
        with closing(chunks), self._line.redacted():
            yield from checked(unechoed(chain(head, chunks), self._line.secret))

    def check_key(self) -> None:
        """Raise `AuthenticationError` where a request would have no usable key."""
        self._line.key()

    def cancel(self) -> None:
        """End what another thread is asking, at once and for good: also while it connects, or waits to ask again.

        That thread gets an error, or the end of its answer; nothing is sent any more.
        """
        self._line.cancel()

    def close(self) -> None:
        """Close the kept connections; a later request opens a new one."""
        self._line.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client(base_url={without_any_key(self.base_url)!r})"

    def _has_demo_header(self) -> bool | None:
        """Return ``None`` where nothing has answered, so that it is asked again."""
        try:
            with self._line.request("GET", "/models", timeout=5.0) as response:
                return _DEMO_HEADER in response.headers
        except MixRouteError:
            return None

    def _attempt(self, request: Request) -> tuple[list[Chunk], Generator[Chunk]]:
        """Send once and read up to the first word, the last point where sending again is harmless."""
        chunks = told_apart(self._exchange(request))
        head = []
        for chunk in chunks:
            head.append(chunk)
            if chunk.says_something:
                break
        return head, chunks

    def _exchange(self, request: Request) -> Generator[Chunk]:
        body = json.dumps(request.to_wire(), ensure_ascii=False).encode("utf-8", "replace")
        answered = None
        try:
            with self._line.request("POST", "/chat/completions", body, timeout=self._timeout) as response:
                answered = request_id(response.headers)
                yield Chunk(request_id=answered, demo=_DEMO_HEADER in response.headers)
                if "event-stream" in response.headers.get("content-type", "").lower():
                    yield from read_events(response, self.host)
                else:
                    yield from read_reply(response, self.host)
        except MixRouteError as error:
            error.request_id = error.request_id or answered
            if isinstance(error, NotFoundError):
                self._suggest(error, request.model)
            if error.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
                error.hint = f"It has {len(body):,} bytes. {error.hint}"
            raise

    def _suggest(self, error: NotFoundError, model: str) -> None:
        """Name the models nearest to one that the gateway does not have."""
        try:
            known = [offered.id for offered in self._models(min(_HINT_SECONDS, self._timeout))]
        except MixRouteError:
            return
        near = [name for name in difflib.get_close_matches(model, known, n=3) if name != model]
        if near:
            error.hint = f"Near it: {', '.join(near)}. %model --list shows all {len(known)}."
