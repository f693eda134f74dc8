"""The facts of client.md, numbered 0: what other clients stumble over."""

from __future__ import annotations

from faulty import AGAIN, ANSWER, BASE, OPTIONS, PAIR, REFUSED, WHOLE, fault, refusal
from scripted import DONE, STOP, USAGE, answer, chunked, delta, event, reply, whole

__all__ = ["CLIENTS"]


CLIENTS = (
    fault(0, "chunked", chunked(delta(ANSWER), STOP, USAGE, DONE)),
    fault(
        0,
        "an end without a word is not asked again",
        answer(delta("Ans")),
        whole(ANSWER),
        text="Ans",
        says=("StreamError: The answer ended early: the gateway closed the stream without a word why.", AGAIN),
    ),
    fault(
        0,
        "U+2028, U+2029 and U+0085, and no charset",
        whole("a\u2028b\u2029c\x85d"),
        text="a\u2028b\u2029c\x85d",
        shown="a\u2028b\u2029cd",
    ),
    fault(
        0,
        "an event of more than 16 MiB",
        answer(*[b"data: " + b"x" * 2**20] * 20),
        says=("StreamError: One event of the answer is larger than 16 MiB.", "Try another model with -m."),
    ),
    *(
        fault(
            0,
            f"an error whatever its event is called: {name}",
            answer(delta("Ans"), f"event: {name}\n".encode() + event(refusal("late"))),
            text="Ans",
            says=("StreamError: {host} reported an error instead of an answer: late", AGAIN),
        )
        for name in ("message", "completion", "ping")
    ),
    fault(
        0,
        "LiteLLM's usage beside a choice",
        answer(
            delta(ANSWER),
            STOP,
            event(
                {
                    "model": "served",
                    "choices": [{"index": 0, "delta": {}, "finish_reason": None}],
                    "usage": {"prompt_tokens": 25, "completion_tokens": 100},
                }
            ),
            DONE,
        ),
    ),
    fault(
        0,
        "{detail} as text",
        reply(401, {"detail": "Not authenticated"}),
        says=("AuthenticationError: {host} did not accept the API key (HTTP 401): Not authenticated", PAIR),
    ),
    fault(
        0,
        "{detail} as a list",
        reply(422, {"detail": [{"loc": ["body"], "msg": "bad"}]}),
        says=('BadRequestError: The request was not accepted (HTTP 422): [{"loc": ["body"], "msg": "bad"}]', OPTIONS),
    ),
    fault(
        0,
        "an error in plain text",
        reply(500, b"Internal Server Error", "text/plain", Retry_After="0"),
        requests=3,
        wait=0.0,
        says=(
            "ServerError: {host} has a problem (HTTP 500): Internal Server Error",
            "Run the cell again later, or try another model with -m.",
        ),
    ),
    fault(
        0,
        "no reason phrase",
        reply(400, refusal("bad")).replace(b"400 Said", b"400"),
        says=(f"{REFUSED}: bad", OPTIONS),
    ),
    fault(
        0,
        "a code that is a number",
        reply(200, {"error": {"message": "bad", "code": 400}}),
        says=(f"{REFUSED}: bad", OPTIONS),
    ),
    fault(
        0,
        "a code that is a number, as text",
        reply(200, {"error": {"message": "bad", "code": "400"}}),
        says=(f"{REFUSED}: bad", OPTIONS),
    ),
    fault(
        0,
        "plain text with status 200",
        reply(200, b"busy", "text/plain"),
        says=("StreamError: {host} answered with something that is not JSON, not with a model's reply.", BASE),
    ),
    fault(0, "a whole reply with status 200", WHOLE),
)
