"""Faults 30 to 42: what comes in the place of a stream."""

from __future__ import annotations

from faulty import AGAIN, ANOTHER_KEY, ANSWER, BALANCE, BASE, LATER, NOW, OPTIONS, REFUSED, SOON, WHOLE, fault, refusal
from scripted import STOP, Reset, answer, delta, event, reply, whole

__all__ = ["REPLIES"]

PAGE = b"<html><head><title>502 Bad Gateway</title></head><body>" + b"<p>nginx</p>" * 1000


BEGINNING = ('{"error": {"message": "' + "bad " * 100)[:399]

REPLIES = (
    *(
        fault(
            30,
            f"a page with status {status}",
            reply(status, PAGE, "text/html", **NOW),
            requests=requests,
            wait=0.0 if requests > 1 else None,
            says=(f"{says}: a web page, “502 Bad Gateway”", hint),
        )
        for status, requests, says, hint in (
            (400, 1, f"{REFUSED}", OPTIONS),
            (403, 1, "PermissionDeniedError: {host} does not allow this (HTTP 403)", ANOTHER_KEY),
            (502, 3, "ServerError: {host} has a problem (HTTP 502)", LATER),
        )
    ),
    *(
        fault(
            31,
            f"200 and a page{as_what}",
            reply(200, PAGE, kind),
            says=("StreamError: {host} answered with a web page, not with a model's reply.", BASE),
        )
        for as_what, kind in (("", "text/html"), (", said to be a stream", "text/event-stream"))
    ),
    fault(
        32,
        "200 and an error in JSON",
        reply(200, refusal("no channel", "model_not_found")),
        says=(
            "NotFoundError: This model is not available for your key: no channel",
            "%model --list shows those that are.",
        ),
        requests=2,
        paths=("/v1/chat/completions", "/v1/models"),
        models=reply(404),
    ),
    fault(
        32,
        "200 and an error in a stream",
        answer(event(refusal("pay", "insufficient_user_quota"))),
        says=("QuotaError: The account at {host} is out of balance or quota: pay", BALANCE),
    ),
    fault(
        33,
        "200 without success",
        reply(200, {"success": False, "message": "get user group failed"}),
        says=("StreamError: {host} reported an error instead of an answer: get user group failed", AGAIN),
    ),
    fault(34, "200 and nothing", reply(200), says=("StreamError: {host} sent an empty reply.", AGAIN)),
    fault(34, "a stream of nothing", answer(), says=("StreamError: {host} sent an empty reply.", AGAIN)),
    fault(
        35,
        "an error in an array",
        reply(400, b'[{"error": {"code": 400, "message": "bad", "status": "INVALID"}}]'),
        says=(f"{REFUSED}: bad", OPTIONS),
    ),
    fault(
        36,
        "an error that is text",
        reply(400, {"error": "bad"}),
        says=(f"{REFUSED}: bad", OPTIONS),
    ),
    fault(
        36,
        "JSON in an error's words",
        reply(400, refusal('{"message": "bad"}')),
        says=(f"{REFUSED}: bad", OPTIONS),
    ),
    fault(
        37,
        "an error that is not UTF-8",
        reply(400, b'{"error": {"message": "b\xe4d"}}', "application/json; charset=gb2312"),
        says=(f"{REFUSED}: b�d", OPTIONS),
    ),
    fault(
        37,
        "an answer that is not UTF-8",
        answer(delta(ANSWER).replace(b"A", b"\xe4"), STOP),
        text="�nswer.",
        tokens=(7, 3),
        estimated=True,
    ),
    fault(
        38,
        "an error of many kilobytes",
        reply(400, refusal("bad " * 2**13)),
        says=(f"{REFUSED}: {('bad ' * 100)[:399].rstrip()}…", OPTIONS),
    ),
    fault(
        38,
        "an error of a megabyte, of which only the beginning is read",
        reply(400, refusal("bad " * 2**18)),
        says=(f"{REFUSED}: {BEGINNING}…", OPTIONS),
    ),
    fault(
        39,
        "escapes and HTML in an error",
        reply(400, refusal("\x1b[2J<img src=x>")),
        says=(f"{REFUSED}: �[2J<img src=x>", OPTIONS),
    ),
    fault(
        39,
        "escapes and HTML in an answer",
        whole("\x1b[2J<img src=x>"),
        text="\x1b[2J<img src=x>",
        shown="[2J<img src=x>",
    ),
    fault(
        40,
        "blank lines before JSON",
        WHOLE.replace(b"\r\n\r\n", b"\r\n\r\n\n\n\n").replace(b"Content-Length", b"X-Length"),
    ),
    fault(41, "a whole reply instead of a stream", WHOLE),
    fault(41, "a whole reply, said to be a stream", WHOLE.replace(b"application/json", b"text/event-stream")),
    fault(42, "a stream instead of a whole reply", options="-p stream=false"),
    fault(45, "a reset before the first word", [Reset()], whole(ANSWER), requests=2, wait=SOON),
)
