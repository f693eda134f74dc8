"""Faults 51 to 59, 66 and 67: events of all forms."""

from __future__ import annotations

import gzip
import zlib
from typing import Any

from faulty import ANSWER, TWO_HALVES, fault, refusal, said
from scripted import DONE, STOP, USAGE, Pause, answer, delta, event, reply

__all__ = ["EVENTS"]

GAPS = "Its text has gaps: run the cell again."


GZIP = reply(200, content_type="text/event-stream", Content_Encoding="gzip")
BODY = b"".join((*TWO_HALVES, STOP, USAGE, DONE))


def flushed(*pieces: bytes) -> list[bytes]:
    """Compress pieces so that each can be read before the next one comes."""
    stream = zlib.compressobj(wbits=31)
    return [stream.compress(piece) + stream.flush(zlib.Z_SYNC_FLUSH) for piece in pieces] + [stream.flush()]


def used(usage: Any, **more: Any) -> bytes:
    return event({"choices": [], "usage": usage, **more})


EVENTS = (
    fault(
        51,
        "an event that is no JSON",
        answer(delta("Ans"), event(b"{broken"), delta("wer."), STOP, USAGE, DONE),
        says=("StreamError: 1 of the answer's pieces could not be read.", GAPS),
        text=ANSWER,
        finish="stop",
        tokens=(25, 100),
    ),
    fault(
        52,
        "null, nothing and odd things",
        answer(
            *map(
                event,
                [
                    b"null",
                    b"",
                    b"[1]",
                    b"7",
                    {"choices": None},
                    {"choices": []},
                    {"choices": ["?"]},
                    {"object": "ping"},
                    {"id": 1},
                ],
            ),
            *(
                said(**choice)
                for choice in (
                    {"delta": None},
                    {},
                    {"delta": {}},
                    {"delta": {"content": None}},
                    {"delta": {"content": 5}},
                    {"delta": []},
                )
            ),
            said(delta={"content": [{"type": "text", "text": "Ans"}, "?"]}),
            said(message={"content": "wer."}),
            STOP,
            USAGE,
            DONE,
        ),
    ),
    fault(
        53,
        "pings for longer than the timeout, which is for silence",
        answer(*(b": PING\n\n", Pause(0.3)) * 5, *TWO_HALVES, STOP, USAGE, DONE),
        timeout=1.0,
    ),
    fault(55, "CRLF", answer(BODY.replace(b"\n", b"\r\n"))),
    fault(55, "CR", answer(BODY.replace(b"\n", b"\r"))),
    fault(55, "a byte order mark", answer(b"\xef\xbb\xbf" + BODY)),
    fault(55, "no space after the colon", answer(BODY.replace(b"data: ", b"data:"))),
    fault(55, "data over several lines", answer(BODY.replace(b', "', b',\ndata: "'))),
    fault(55, "no blank line at the end", answer(*TWO_HALVES, USAGE, STOP[:-2])),
    fault(55, "event, id and retry lines", answer(BODY.replace(b"data:", b"event: message\nid: 1\nretry: 5\ndata:"))),
    fault(
        56,
        "a byte at a time, also in characters",
        answer(*(bytes([byte]) for byte in delta("a🙂漢\u2028b") + STOP + USAGE)),
        text="a🙂漢\u2028b",
    ),
    fault(
        56,
        "half an emoji in each of two events",
        answer(
            *(
                event(b'{"model": "served", "choices": [{"delta": {"content": "%s"}}]}' % half)
                for half in (rb"a\ud83d", rb"\ude00b")
            ),
            STOP,
            USAGE,
        ),
        text="a😀b",
    ),
    fault(
        57,
        "an event of a megabyte",
        answer(
            event({"model": "served", "choices": [{"delta": {"content": ANSWER}}], "padding": "x" * 2**20}), STOP, USAGE
        ),
    ),
    fault(58, "data after [DONE]", answer(*TWO_HALVES, STOP, USAGE, DONE, delta("more"), event(refusal("late")))),
    fault(
        59,
        "finish reason and usage twice",
        answer(
            delta("Ans"),
            used({"prompt_tokens": 9, "completion_tokens": 9}),
            delta("wer.", finish_reason="length"),
            STOP,
            USAGE,
            DONE,
        ),
    ),
    fault(
        66,
        "two choices",
        answer(
            delta("Ans"),
            *(
                event({"choices": [{"index": 1, "delta": {"content": "other"}, "finish_reason": "length"}]}),
                delta("wer."),
            ),
            STOP,
            USAGE,
            DONE,
        ),
    ),
    fault(
        66,
        "two choices in one event",
        answer(
            event(
                {
                    "model": "served",
                    "choices": [
                        {"index": 1, "delta": {"content": "other"}},
                        {"index": 0, "delta": {"content": ANSWER}},
                    ],
                }
            ),
            STOP,
            USAGE,
            DONE,
        ),
    ),
    fault(67, "gzip", [GZIP, gzip.compress(BODY)]),
    fault(67, "gzip that is flushed at each event", [GZIP, *flushed(*TWO_HALVES, STOP, USAGE, DONE)]),
)
