"""Faults 60 to 65, and 68: what the fields of an answer mean."""

from __future__ import annotations

from typing import Any

from calling import finish, part, parts
from faulty import ANSWER, TWO_HALVES, fault, said
from scripted import DONE, STOP, USAGE, answer, delta, event

__all__ = ["MEANINGS"]

UNCOUNTED = {"tokens": (7, 2), "estimated": True}


CUT = "cut at the token limit: raise --max-tokens"
FILTERED = "stopped by a content filter"


EMPTY = "StreamError: The model returned no content (finish reason: {}).".format
ASK_AGAIN = "Ask again, or another model with -m."


ADD = {"id": "c1", "name": "add"}
NOT_OFFERED = "it asked for add, which was not offered"
UNASKED = {
    "says": ("ToolError: The model asked for the tool add, which was not offered.", "Offer it: --tool add."),
    "named": True,
    "finish": "tool_calls",
    "tokens": (25, 100),
    "served": "served",
    "sdk": False,
}


def counted(**usage: Any) -> bytes:
    """Return an event with these counts."""
    return event({"choices": [], "usage": usage})


CALLS = (
    fault(
        68,
        "a call that was not offered, beside text",
        answer(*TWO_HALVES, parts(part("{}", **ADD, index=0)), finish(), USAGE, DONE),
        finish="tool_calls",
        notes=(NOT_OFFERED,),
        sdk=False,
    ),
    *(
        fault(68, f"a call that was not offered, {what}", answer(*map(parts, pieces), finish(), USAGE, DONE), **UNASKED)
        for what, pieces in {
            "and nothing else": [part("{}", **ADD, index=0)],
            "without an index": [part("{}", **ADD), part("{}", id="c2", name="sub")],
            "two of them with index 0": [part("{}", **ADD, index=0), part("{}", id="c2", name="sub", index=0)],
            "its arguments an object": [part({"a": 1}, **ADD, index=0)],
            "its arguments no JSON": [part("{'a': 1", **ADD, index=0)],
        }.items()
    ),
)

MEANINGS = (
    fault(
        60,
        "usage on each event, growing",
        answer(
            *(
                event(
                    {
                        "model": "served",
                        "choices": [{"delta": {"content": text}}],
                        "usage": {"prompt_tokens": 25, "completion_tokens": count},
                    }
                )
                for text, count in (("Ans", 50), ("wer.", 100))
            ),
            STOP,
            DONE,
        ),
    ),
    fault(
        60,
        "usage in the choice, as Kimi's",
        answer(
            *TWO_HALVES,
            said(delta={}, finish_reason="stop", usage={"prompt_tokens": 25, "completion_tokens": 100}),
            DONE,
        ),
    ),
    fault(60, "no usage", answer(*TWO_HALVES, STOP, DONE), **UNCOUNTED),
    fault(
        60,
        "usage without numbers",
        answer(
            *TWO_HALVES,
            STOP,
            event(
                {
                    "choices": [],
                    "usage": {"prompt_tokens": None, "completion_tokens": "many", "prompt_tokens_details": None},
                }
            ),
            DONE,
        ),
        **UNCOUNTED,
    ),
    fault(
        60,
        "half of the usage, as text",
        answer(
            *TWO_HALVES,
            STOP,
            counted(prompt_tokens="25", completion_tokens_details=None),
            DONE,
        ),
        tokens=(25, None),
    ),
    fault(
        61,
        "reasoning under both names",
        answer(said(delta={"reasoning_content": "Hm.", "reasoning": "Hm."}), *TWO_HALVES, STOP, USAGE, DONE),
        reasoning="Hm.",
    ),
    fault(
        62,
        "reasoning in the text, its tags in pieces",
        answer(*map(delta, ("<th", "ink>\nH", "m.\n</thi", "nk>\n\nAns", "wer.")), STOP, USAGE, DONE),
        reasoning="Hm.",
        sdk=False,
    ),
    *(
        fault(
            63,
            f"finish reason {reason}",
            answer(*TWO_HALVES, delta("", finish_reason=reason), USAGE, DONE),
            finish=reason,
            notes=(notice,),
        )
        for reason, notice in (("content_filter", FILTERED), ("sensitive", FILTERED), ("refusal", "the model refused"))
    ),
    fault(63, "a refusal in the place of content", answer(said(delta={"refusal": ANSWER}), STOP, USAGE, DONE)),
    fault(
        63,
        "a filter, and no word",
        answer(delta("", finish_reason="content_filter"), USAGE, DONE),
        says=(EMPTY("content_filter"), ASK_AGAIN),
        finish="content_filter",
        tokens=(25, 100),
        served="served",
        notes=(FILTERED,),
    ),
    fault(
        64,
        "finish reason length",
        answer(*TWO_HALVES, delta("", finish_reason="length"), USAGE, DONE),
        finish="length",
        notes=(CUT,),
    ),
    fault(
        65,
        "a finish reason that nobody knows",
        answer(*TWO_HALVES, delta("", finish_reason="pause_turn"), USAGE, DONE),
        finish="pause_turn",
    ),
    *CALLS,
)
