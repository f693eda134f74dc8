"""Faults 69 to 75: the user, the notebook and the surroundings."""

from __future__ import annotations

from faulty import AGAIN, ANSWER, fault
from scripted import DONE, STOP, USAGE, Pause, answer, delta, event, reply

__all__ = ["NOTEBOOK"]

STOPPED = {
    "says": ("Interrupted: nothing had arrived yet.", AGAIN),
    "named": False,
    "sdk": False,
}
KEPT = (
    "Interrupted: the text so far is kept above; it is not part of the conversation.",
    "Run the cell again, or go on from there: %%chat -c.",
)
LISTED = {"cell": "%model --list", "turn": False, "paths": ("/v1/models",), "sdk": False}
SERVED = event(
    {"id": "chatcmpl-cache-1", "created": 0, "model": "glm-5-0924", "choices": [{"delta": {"content": ANSWER}}]}
)


def proxied(**environ: str) -> dict[str, object]:
    return {
        "base_url": "http://gateway.example/v1",
        "config": "%config MixRoute.allow_http = True",
        "environ": environ,
        "paths": ("http://gateway.example/v1/chat/completions",),
    }


NOTEBOOK = (
    fault(69, "stopped before the first byte", [Pause(60)], stop="request", **STOPPED),
    fault(69, "stopped while it waits to ask again", reply(429, Retry_After="50"), stop="retry", wait=50.0, **STOPPED),
    fault(
        69,
        "stopped in the middle",
        answer(delta("Ans"), Pause(60)),
        stop="text",
        text="Ans",
        **STOPPED | {"says": KEPT},
    ),
    fault(
        71,
        "another model answers",
        answer(SERVED, STOP.replace(b'"model": "served", ', b""), USAGE, DONE),
        served="glm-5-0924",
    ),
    fault(
        72,
        "an id that was there before",
        answer(SERVED, STOP.replace(b'"model": "served", ', b""), USAGE, DONE),
        served="glm-5-0924",
    ),
    fault(
        74,
        "a clock that is wrong",
        answer(
            *(
                event({"model": "served", "created": at, "choices": [{"delta": {"content": text}}]})
                for at, text in ((-1, "A"), (0, "n"), (None, "s"), (1e300, "w"), ("now", "er."))
            ),
            STOP,
            USAGE,
            DONE,
        ),
    ),
    fault(73, "no models", models=reply(200, {"data": []}), prints="{host} offers this key no models.", **LISTED),
    fault(
        73,
        "a list that is null",
        models=reply(200, {"data": None}),
        prints="{host} offers this key no models.",
        **LISTED,
    ),
    fault(
        73,
        "a list of 500 models, odd ones among them",
        models=reply(
            200,
            {"success": True, "data": [*({"id": f"m{number % 500}"} for number in range(600)), {}, 7, None, {"id": 5}]},
        ),
        prints="None of the 501 models at {host} matches 'glm'.",
        **LISTED | {"cell": "%model --list glm"},
    ),
    fault(
        73,
        "a list that fails with status 200",
        models=reply(200, {"success": False, "message": "get user group failed"}),
        says=("StreamError: {host} reported an error instead of an answer: get user group failed", AGAIN),
        **LISTED,
    ),
    fault(
        73,
        "no list of models",
        models=reply(404),
        says=("NotFoundError: {host} has no list of models.", "Name the model yourself: %model NAME."),
        **LISTED,
    ),
    fault(75, "a proxy for http", **proxied(HTTP_PROXY="{root}")),
    fault(
        75,
        "a proxy for https, and a certificate of one's own",
        base_url="https://gateway.example/v1",
        environ={"HTTPS_PROXY": "{root}", "REQUESTS_CA_BUNDLE": "{ca}", "SSL_CERT_FILE": "{ca}"},
    ),
    fault(
        75,
        "a certificate that nobody trusts",
        base_url="https://gateway.example/v1",
        environ={"HTTPS_PROXY": "{root}"},
        retries=0,
        requests=0,
        named=False,
        says=(
            "APIConnectionError: No safe connection to gateway.example*",
            "Check the clock; a network's own certificates go into a file that REQUESTS_CA_BUNDLE names.",
        ),
    ),
    fault(
        75,
        "no proxy for a host that NO_PROXY names",
        base_url="https://no-such-host.invalid",
        environ={"HTTPS_PROXY": "{root}", "NO_PROXY": ".invalid"},
        retries=0,
        requests=0,
        named=False,
        says=(
            "APIConnectionError: no-such-host.invalid cannot be reached*",
            "Check the network and MIXROUTE_BASE_URL, then run the cell again; %mixroute demo works offline.",
        ),
    ),
    fault(
        75,
        "no proxy for this machine",
        environ={"HTTP_PROXY": "http://{closed}", "ALL_PROXY": "http://{closed}"},
        sdk=False,
    ),
)
