"""Faults 21 to 29: the network, and what may pass."""

from __future__ import annotations

import time
from email.utils import formatdate

from faulty import ANSWER, BALANCE, LATER, NETWORK, NOT_REACHED, NOW, SOON, WAIT, fault, refusal
from scripted import Asked, Pause, reply, whole

__all__ = ["NETWORKS"]

BILLED = "The request may have been billed. Ask for less at once, or try again later."


def in_a_second(_: Asked) -> bytes:
    """Refuse, and name the moment from which on it may be asked again, as HTTP has dates."""
    return reply(429, Retry_After=formatdate(time.time() + 1.6, usegmt=True))


NETWORKS = (
    fault(
        21,
        "a host without a name",
        base_url="https://no-such-host.invalid",
        says=("APIConnectionError: no-such-host.invalid cannot be reached*", NETWORK),
        **NOT_REACHED,
    ),
    fault(
        21,
        "a port that is closed",
        base_url="http://{closed}",
        says=("APIConnectionError: {closed} cannot be reached: Connection refused.", NETWORK),
        **NOT_REACHED,
    ),
    fault(
        21,
        "a mail server in the place of TLS, tried twice",
        base_url="https://{mail}",
        says=(
            "APIConnectionError: No safe connection to {mail}*",
            "Check the clock; a network's own certificates go into a file that REQUESTS_CA_BUNDLE names.",
        ),
        **NOT_REACHED | {"retries": 1, "requests": 2, "paths": (), "wait": SOON},
    ),
    fault(
        21,
        "a proxy that is not there",
        base_url="https://gateway.example",
        environ={"HTTPS_PROXY": "http://{closed}"},
        says=("APIConnectionError: The proxy does not lead to gateway.example*", "Check HTTPS_PROXY and NO_PROXY."),
        **NOT_REACHED,
    ),
    fault(
        22,
        "no connection in time",
        base_url="http://{full}",
        timeout=0.4,
        says=("APITimeoutError: {full} could not be reached within 0.4 s.", NETWORK),
        **NOT_REACHED,
    ),
    fault(
        22,
        "no answer in time",
        [Pause(30)],
        timeout=0.4,
        named=False,
        says=(
            "APITimeoutError: {host} sent nothing for 0.4 s.",
            "The model may be busy: run the cell again, or raise the limit: %config MixRoute.timeout = 600.",
        ),
    ),
    fault(23, "429, Retry-After a moment", reply(429, Retry_After="0.3"), whole(ANSWER), requests=2, wait=0.3),
    fault(23, "429, retry-after-ms", reply(429, retry_after_ms="200"), whole(ANSWER), requests=2, wait=0.2),
    fault(
        24,
        "429, Retry-After ten minutes",
        reply(429, refusal("slow down"), Retry_After="600"),
        says=("RateLimitError: Too many requests to {host} (HTTP 429): slow down", "Run the cell again in 10 min."),
    ),
    fault(25, "429, Retry-After a date", in_a_second, whole(ANSWER), requests=2, wait=SOON),
    fault(
        25,
        "429, Retry-After a date that is past",
        reply(429, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT"),
        whole(ANSWER),
        requests=2,
        wait=0.0,
    ),
    fault(25, "429, Retry-After in words", reply(429, Retry_After="soon"), whole(ANSWER), requests=2, wait=SOON),
    fault(25, "429, Retry-After below zero", reply(429, Retry_After="-3"), whole(ANSWER), requests=2, wait=SOON),
    fault(
        26,
        "429 without a word",
        reply(429, **NOW),
        retries=1,
        requests=2,
        wait=0.0,
        says=("RateLimitError: Too many requests to {host} (HTTP 429).", WAIT),
    ),
    fault(
        27,
        "429 insufficient_quota",
        reply(429, refusal("You exceeded your current quota", "insufficient_quota", "insufficient_quota")),
        says=("QuotaError: The account at {host} is out of balance or quota: You exceeded your current quota", BALANCE),
    ),
    *(
        fault(
            28,
            f"{status}, once",
            reply(status, refusal("bad_response_status_code", "bad_response_status_code"), **NOW),
            whole(ANSWER),
            requests=2,
            wait=0.0,
        )
        for status in (500, 502, 503, 529)
    ),
    fault(
        28,
        "503, for good",
        reply(503, refusal("overloaded"), **NOW),
        requests=3,
        wait=0.0,
        says=("ServerError: {host} has a problem (HTTP 503): overloaded", LATER),
    ),
    *(
        fault(
            29,
            f"{status} of a proxy",
            reply(status, b"<html><head><title>Gateway time-out</title></head>", "text/html", **NOW),
            requests=2,
            wait=0.0,
            says=(
                (
                    f"APITimeoutError: {{host}} waited too long for the model (HTTP {status}): "
                    "a web page, “Gateway time-out”"
                ),
                BILLED,
            ),
        )
        for status in (504, 524)
    ),
)
