"""Reading a reply: bytes to chunks. Pure but for the response it reads from.

The content type, not the question, decides how a reply is read: gateways stream unasked, and answer whole when asked
to stream (measured facts in CONTRIBUTING.md, "What the wire looks like").
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mixroute_magic.errors import MixRouteError, StreamError
from mixroute_magic.gateway.faults import error_in
from mixroute_magic.outside import load_json, whole_characters
from mixroute_magic.secrecy import Filter, Secret
from mixroute_magic.wire import Chunk

if TYPE_CHECKING:
    from requests import Response

__all__ = ["checked", "read_events", "read_json", "read_reply", "unechoed"]

_PIECE = 65536
_LARGEST_EVENT = 16 * 2**20
_MOST_LINES = 10_000  # of one event: the parser copies what it has of it at each
_LARGEST_REPLY = 64 * 2**20
_LARGEST_STREAM = 256 * 2**20  # of which an event's own fields are most
_LONGEST_REASON = 80
_LINGER_SECONDS = 0.05
# GLM's, OpenRouter's and DeepSeek's words for an answer that broke, under which others would report success.
_BROKEN_OFF = frozenset({"network_error", "error", "aborted", "insufficient_system_resource"})
_HALF = re.compile(r"\\u[dD][89a-fA-F]")  # in JSON: half of a character, with or without the other one


def checked(chunks: Iterable[Chunk]) -> Generator[Chunk]:
    """Pass chunks on, and fail at their end unless they were a whole answer.

    Success is a finish reason: ``[DONE]`` may be missing, and may come after a failure.
    """
    said = thought = False
    finish_reason = None
    for chunk in chunks:
        said = said or bool(chunk.text or chunk.tool_calls)
        thought = thought or bool(chunk.reasoning)
        finish_reason = (chunk.finish_reason or "")[:_LONGEST_REASON] or finish_reason
        yield chunk
    if finish_reason is None:
        what = "The answer ended early" if said or thought else "The model returned no content"
        raise StreamError(f"{what}: the gateway closed the stream without a word why.", "Run the cell again.")
    if finish_reason in _BROKEN_OFF:
        raise StreamError(f"The model broke off (finish reason: {finish_reason}).", "Run the cell again.")
    if not said:
        hint = (
            "All its tokens went into reasoning: raise --max-tokens."
            if thought and finish_reason == "length"
            else "Ask again, or another model with -m."
        )
        raise StreamError(f"The model returned no content (finish reason: {finish_reason}).", hint)


def unechoed(chunks: Iterable[Chunk], secret: Secret) -> Generator[Chunk]:
    """Pass chunks on without the key, where an answer repeats it: also in pieces, none of which has it."""
    text, reasoning = Filter(secret), Filter(secret)
    try:
        for chunk in chunks:
            said = chunk.text and text.add(chunk.text)
            thought = chunk.reasoning and reasoning.add(chunk.reasoning)
            same = said == chunk.text and thought == chunk.reasoning
            yield chunk if same else replace(chunk, text=said, reasoning=thought)
    except MixRouteError:
        yield Chunk(text=text.end(), reasoning=reasoning.end())
        raise
    yield Chunk(text=text.end(), reasoning=reasoning.end())


def read_events(response: Response, host: str, body: Any = None) -> Generator[Chunk]:
    """Yield the chunks of a stream of server-sent events; its ``body`` may be here already."""
    from sseclient import SSEClient

    raw = response.raw if body is None else body
    feed = _Feed(raw)
    unread = 0
    half = ""
    event = None
    for event in SSEClient(iter(feed)).events():
        feed.pending = 0
        data = event.data.lstrip()
        if data.startswith("[DONE]"):
            _linger(raw)
            break
        try:
            payload = load_json(data)
        except ValueError:
            unread += bool(data)
            continue
        if not isinstance(payload, Mapping) or "choices" not in payload or "error" in payload:
            _raise_error(payload, response, host)
        if not isinstance(payload, Mapping):
            continue
        chunk = Chunk.from_wire(payload)
        if half or _HALF.search(data):
            chunk, half = _mended(chunk, half)
        yield chunk
    if half:
        yield Chunk(text=whole_characters(half))
    if event is None and feed.begins_as_no_stream:
        raise _not_a_reply(feed.beginning, host)
    if unread:
        raise StreamError(
            f"{unread} of the answer's pieces could not be read.", "Its text has gaps: run the cell again."
        )


def read_json(response: Response, host: str) -> Mapping[str, Any]:
    """Return a whole JSON reply; blank lines before it are keep-alives."""
    return _read_json(_body(response), response, host)


def _body(response: Response) -> bytes:
    read: bytes = response.raw.read(_LARGEST_REPLY, decode_content=True)
    return read.strip()


def _read_json(body: bytes, response: Response, host: str) -> Mapping[str, Any]:
    try:
        data = load_json(body.decode("utf-8-sig", "replace"))
    except ValueError:
        raise _not_a_reply(body, host) from None
    _raise_error(data, response, host)
    if not isinstance(data, Mapping):
        raise _not_a_reply(body, host)
    return data


def read_reply(response: Response, host: str) -> Generator[Chunk]:
    """Yield the chunks of a reply that is called no stream, and may be one all the same.

    A whole one is one chunk; unlike a stream it cannot have broken off unseen.
    """
    body = _body(response)
    if body.startswith((b"data:", b"event:", b":")):
        yield from read_events(response, host, _Body(body + b"\n\n"))
        return
    chunk, _ = _mended(Chunk.from_wire(_read_json(body, response, host)), "")
    yield chunk if chunk.finish_reason else replace(chunk, finish_reason="unknown")


class _Body(io.BytesIO):
    """A stream that has come as a whole, to be read like one from the network."""

    connection = None

    def read1(self, size: int | None = -1, /, *, decode_content: bool = True) -> bytes:  # noqa: ARG002 - is decoded
        return super().read1(size)


def _mended(chunk: Chunk, half: str) -> tuple[Chunk, str]:
    """Join an emoji of which JSON carried each half in another event; a half that stays alone is replaced."""
    text = half + chunk.text
    half = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
    mended = replace(
        chunk,
        text=whole_characters(text.removesuffix(half)),
        reasoning=whole_characters(chunk.reasoning),
        finish_reason=chunk.finish_reason and whole_characters(chunk.finish_reason),
        model=chunk.model and whole_characters(chunk.model),
    )
    return mended, half


class _Feed:
    """The body as UTF-8 with plain newlines, in the pieces in which it arrives.

    Handles what the event parser does not: a byte order mark, invalid bytes, mixed line ends, and a bare JSON error
    line, which this gateway family writes when it fails after the headers are out.
    """

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self.beginning = b""
        self.pending = 0
        self._size = 0
        self._lines = 0  # since the last blank one

    @property
    def begins_as_no_stream(self) -> bool:
        """Whether this is nothing at all, or a page, under the content type of a stream."""
        return not self.beginning or self.beginning.startswith(b"<")

    def __iter__(self) -> Iterator[bytes]:
        decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8-sig")("replace"), translate=True)
        line_start = True
        held: list[bytes] = []  # of a line without an end so far, which the parser would copy anew with each piece
        while piece := self._raw.read1(_PIECE, decode_content=True):
            self.beginning = self.beginning or piece.strip()
            text = decoder.decode(piece)
            self._count(text)
            held.append(_marked(text, line_start=line_start))
            line_start = text.endswith("\n") if text else line_start
            self.pending += len(piece)
            self._size += len(piece)
            if self.pending > _LARGEST_EVENT:
                raise StreamError("One event of the answer is larger than 16 MiB.", "Try another model with -m.")
            if self._size > _LARGEST_STREAM:
                raise StreamError("The answer is larger than 256 MiB.", "Ask for less: --max-tokens N.")
            if "\n" in text:
                yield b"".join(held)
                held.clear()
        yield b"".join([*held, decoder.decode(b"", final=True).encode()])

    def _count(self, text: str) -> None:
        above, blank, below = text.rpartition("\n\n")
        self._lines = below.count("\n") + (0 if blank else self._lines)
        longest = max(event.count("\n") for event in above.split("\n\n"))
        if max(self._lines, longest) > _MOST_LINES:
            raise StreamError("One event of the answer has more than 10,000 lines.", "Try another model with -m.")


def _marked(text: str, *, line_start: bool) -> bytes:
    """Make an event out of each line of bare JSON."""
    if line_start and text.startswith(("{", "[")):
        text = "data: " + text
    return text.replace("\n{", "\ndata: {").replace("\n[", "\ndata: [").encode()


def _linger(raw: Any) -> None:
    """Read the end of a body that has said all, so that the connection can be kept: it is a few bytes behind."""
    sock = getattr(raw.connection, "sock", None)
    if sock is None:
        return
    sock.settimeout(_LINGER_SECONDS)
    with suppress(Exception):  # the answer is complete; a connection that breaks now is just not kept
        raw.read1(_PIECE)


def _raise_error(data: Any, response: Response, host: str) -> None:
    error = error_in(data, response.headers, host)
    if error is not None:
        raise error


def _not_a_reply(body: bytes, host: str) -> MixRouteError:
    if not body:
        return StreamError(f"{host} sent an empty reply.", "Run the cell again.")
    kind = "a web page" if body.startswith(b"<") else "something that is not JSON"
    return StreamError(f"{host} answered with {kind}, not with a model's reply.", "Check MIXROUTE_BASE_URL.")
