"""Faults 1 to 10: the key and the address."""

from __future__ import annotations

from faulty import ANOTHER_KEY, BALANCE, NOTHING_SENT, PAIR, fault, refusal
from kernels import KEY
from scripted import reply

__all__ = ["SET_UP"]

NO_KEY = "AuthenticationError: There is no API key yet."
THREE_WAYS = "Set MIXROUTE_API_KEY, run %mixroute login, or try without a key: %mixroute demo."
ODD_KEY = (
    "AuthenticationError: The API key contains spaces or characters that no key has.",
    "Copy it once more from the MixRoute console into MIXROUTE_API_KEY, which comes before %mixroute login.",
)


SET_UP = (
    fault(
        1,
        "no key",
        base_url="https://gateway.example",
        environ={"MIXROUTE_API_KEY": ""},
        says=(NO_KEY, THREE_WAYS),
        **NOTHING_SENT,
    ),
    fault(2, "a key with a line end, quotes and Bearer", environ={"MIXROUTE_API_KEY": f' "Bearer {KEY}" \n'}),
    fault(
        2,
        "a key with a header in it",
        environ={"MIXROUTE_API_KEY": f"{KEY}\r\nX-Evil: 1"},
        says=ODD_KEY,
        **NOTHING_SENT,
    ),
    fault(2, "two keys", environ={"MIXROUTE_API_KEY": f"{KEY} {KEY}"}, says=ODD_KEY, **NOTHING_SENT, sdk=False),
    fault(
        3,
        "a key that is not ASCII",
        environ={"MIXROUTE_API_KEY": "sk-tést-kéy"},
        says=ODD_KEY,
        **NOTHING_SENT,
    ),
    fault(4, "an address without /v1", base_url="{root}"),
    fault(4, "an address with a slash at its end", base_url="{root}/v1/"),
    fault(4, "an address with the endpoint", base_url=" {root}/v1/chat/completions "),
    fault(
        4,
        "http:// to another machine",
        base_url="http://gateway.example/v1",
        says=(
            "SettingError: http://gateway.example would send the API key unencrypted.",
            "Use https://, or allow it with %config MixRoute.allow_http = True.",
        ),
        **NOTHING_SENT,
        sdk=False,
    ),
    fault(
        4,
        "no address at all",
        base_url="console.mixroute.io",
        says=(
            "SettingError: The gateway's address is not a URL: 'console.mixroute.io'.",
            "It should look like https://console.mixroute.io/v1.",
        ),
        **NOTHING_SENT,
        sdk=False,
    ),
    fault(
        5,
        "401",
        reply(401, refusal("Invalid token (request id: 2026)")),
        says=("AuthenticationError: {host} did not accept the API key (HTTP 401): Invalid token", PAIR),
    ),
    fault(
        5,
        "401, and the key in its words",
        reply(401, refusal(f"Incorrect API key provided: {KEY}", "invalid_api_key", "invalid_request_error")),
        says=(
            "AuthenticationError: {host} did not accept the API key (HTTP 401): Incorrect API key provided: sk-…",
            PAIR,
        ),
    ),
    *(
        fault(
            6,
            f"401 of the provider, by its {what}",
            reply(401, body),
            says=(
                "ServerError: The provider behind {host} refused the gateway itself: bad key",
                "Your key is fine; try another model with -m.",
            ),
        )
        for what, body in {
            "code": refusal("bad key", "channel:invalid_key"),
            "type": refusal("bad key", kind="upstream_error"),
        }.items()
    ),
    *(
        fault(
            7,
            f"{status}, {code}",
            reply(status, refusal("用户额度不足", code)),
            says=("QuotaError: The account at {host} is out of balance or quota: 用户额度不足", BALANCE),
        )
        for status, code in ((403, "insufficient_user_quota"), (403, "pre_consume_token_quota_failed"))
    ),
    fault(
        8,
        "403, a model that the key may not use",
        reply(403, refusal("该令牌无权访问模型 gpt-4o")),
        says=("PermissionDeniedError: {host} does not allow this (HTTP 403): 该令牌无权访问模型 gpt-4o", ANOTHER_KEY),
    ),
    fault(
        9,
        "402",
        reply(402, refusal("Insufficient Balance")),
        says=("QuotaError: The account at {host} is out of balance or quota: Insufficient Balance", BALANCE),
    ),
    *(
        fault(
            10,
            f"{status} to another host",
            reply(status, b"", Location="https://elsewhere.example/v1/chat/completions"),
            says=(
                (
                    f"APIStatusError: {{host}} redirects elsewhere (HTTP {status}): "
                    "https://elsewhere.example/v1/chat/completions"
                ),
                "Perhaps a Wi-Fi's login page answers instead: open it in a browser, then run the cell again.",
            ),
        )
        for status in (301, 302, 303, 307, 308)
    ),
    fault(
        10,
        "308 to the same host is not followed either",
        reply(308, b"", Location="/v2/chat/completions"),
        says=(
            "APIStatusError: {host} redirects elsewhere (HTTP 308): /v2/chat/completions",
            "Set MIXROUTE_BASE_URL to the final address.",
        ),
    ),
)
