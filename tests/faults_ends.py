"""Faults 43 to 50, and 54: how an answer ends, or does not."""

from __future__ import annotations

import json

from faulty import AGAIN, BUSY, EARLY, LATE, SOON, TWO_HALVES, fault, refusal, said
from scripted import DONE, STOP, USAGE, Pause, Reset, answer, chunked, delta, event, reply

__all__ = ["ENDS"]

HALF = {"text": "Ans"}


BROKE = ("APIConnectionError: The connection to {host} broke*", AGAIN)
EMPTY = "StreamError: The model returned no content (finish reason: {}).".format
ASK_AGAIN = "Ask again, or another model with -m."


CUT = "cut at the token limit: raise --max-tokens"
FILTERED = "stopped by a content filter"


ENDS = (
    fault(43, "no [DONE]", answer(*TWO_HALVES, STOP, USAGE)),
    fault(44, "an end without a word", answer(delta("Ans")), says=EARLY, **HALF),
    fault(44, "[DONE] after half an answer", answer(delta("Ans"), DONE), says=EARLY, **HALF),
    fault(44, "an empty finish reason", answer(delta("Ans", finish_reason=""), DONE), says=EARLY, **HALF),
    fault(
        44,
        "the gateway's word for a broken answer",
        answer(delta("Ans", finish_reason="network_error"), DONE),
        says=("StreamError: The model broke off (finish reason: network_error).", AGAIN),
        finish="network_error",
        **HALF,
    ),
    fault(45, "a reset", answer(delta("Ans"), Pause(0.5), Reset()), says=BROKE, **HALF),
    fault(45, "a chunked body that is cut off", chunked(delta("Ans"), whole=False), says=BROKE, **HALF),
    fault(
        45,
        "a whole reply that is cut off",
        reply(200, b'{"choices": [{"mess').replace(b"Length: 19", b"Length: 190"),
        says=BROKE,
        retries=1,
        requests=2,
        wait=SOON,
    ),
    fault(46, "an error after the first words", answer(delta("Ans"), event(refusal("late")), DONE), says=LATE, **HALF),
    fault(
        46,
        "an error beside choices",
        answer(delta("Ans"), event({"choices": [], **refusal("late")})),
        says=LATE,
        **HALF,
    ),
    fault(
        46,
        "too many requests, after the first words",
        answer(delta("Ans"), event(refusal("late", 429))),
        says=(
            "RateLimitError: Too many requests to {host} (HTTP 429): late",
            "Wait a little, then run the cell again.",
        ),
        **HALF,
    ),
    fault(
        47,
        "event: error",
        answer(
            delta("Ans"),
            b"event: error\n" + event({"type": "error", "error": {"type": "overloaded_error", "message": "late"}}),
        ),
        says=LATE,
        **HALF,
    ),
    fault(
        48,
        "a bare error after half an answer",
        answer(delta("Ans"), json.dumps(refusal("late")).encode()),
        says=LATE,
        **HALF,
    ),
    fault(
        48, "a bare error after a ping", answer(b": PING\n\n", json.dumps(refusal("late")).encode() + b"\n"), says=LATE
    ),
    fault(
        49,
        "[DONE] alone",
        answer(DONE),
        says=(
            "StreamError: The model returned no content: the gateway closed the stream without a word why.",
            AGAIN,
        ),
    ),
    fault(
        49,
        "an end without content",
        answer(STOP, USAGE, DONE),
        says=(EMPTY("stop"), ASK_AGAIN),
        finish="stop",
        tokens=(25, 100),
        served="served",
    ),
    fault(
        50,
        "all went into reasoning",
        answer(said(delta={"reasoning_content": "Hm."}), delta("", finish_reason="length"), USAGE, DONE),
        says=(EMPTY("length"), "All its tokens went into reasoning: raise --max-tokens."),
        reasoning="Hm.",
        finish="length",
        tokens=(25, 100),
        served="served",
        notes=(CUT,),
    ),
    fault(
        54,
        "silence in the middle",
        answer(delta("Ans"), Pause(30)),
        timeout=1.0,
        says=("APITimeoutError: {host} sent nothing for 1 s.", BUSY),
        **HALF,
    ),
)
