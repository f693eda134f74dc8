"""The same faults, played to OpenAI's own client: for how many it gives the right result.

Run by hand: ``.venv/bin/python tests/benchmarks/faults_openai.py``. A result is right if the text that came is the
answer's, as far as that goes, and an error of the client's own says so where there is one: what a person could rely on.
Left out are the rows that are about our magics, or that our client ends before anything is sent.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import openai

sys.path.insert(0, str(Path(__file__).parents[1]))

from faults import FAULTS
from faulty import OF_THE_KEY, QUESTION, Stage
from kernels import KEY

if TYPE_CHECKING:
    from faulty import Fault


def asked(fault: Fault, base_url: str, text: list[str]) -> None:
    """Ask as the documentation shows, but take nothing for granted that may be missing in a chunk."""
    key = os.environ.get("MIXROUTE_API_KEY", KEY)
    messages = [{"role": "user", "content": QUESTION}]
    with openai.OpenAI(base_url=base_url, api_key=key, timeout=fault.timeout, max_retries=fault.retries) as client:
        if "stream=false" in fault.options:
            reply = client.chat.completions.create(model=fault.model, messages=messages)
            text.append(reply.choices[0].message.content)
            return
        for chunk in client.chat.completions.create(model=fault.model, messages=messages, stream=True):
            first = (choice for choice in chunk.choices or () if not choice.index and choice.delta)
            text.extend(choice.delta.content for choice in first if isinstance(choice.delta.content, str))


def failing(fault: Fault, stage: Stage) -> str:
    """Return what is wrong with what comes of a fault; nothing where it is right."""
    text: list[str] = []
    error: Exception | None = None
    before = dict(os.environ)
    with stage.gateway(fault) as (gateway, filled):
        os.environ |= {name: filled(value) for name, value in fault.environ.items()}
        try:
            asked(fault, filled(fault.base_url), text)
        except Exception as raised:  # noqa: BLE001 - which one is what is asked
            error = raised
        finally:
            os.environ.clear()
            os.environ.update(before)
    told = f"{type(error).__name__}: {error}"[:90] if error else "no error"
    if "".join(text) != fault.text:
        return f"the text is {''.join(text)[:30]!r}, not {fault.text[:30]!r}; {told}"
    if fault.says:
        return "" if isinstance(error, openai.OpenAIError) else told
    paths = [request.line.split(" ")[1] for request in gateway.asked]
    right = set(paths) == set(fault.paths) and all(
        request.headers.get("authorization") == OF_THE_KEY for request in gateway.asked
    )
    return told if error else "" if right else f"it asked {', '.join(paths) or 'nobody'}"


def main() -> None:
    """Print what is not right, and how much is."""
    rows: dict[int, list[str]] = defaultdict(list)
    with TemporaryDirectory() as folder, Stage(Path(folder)) as stage:
        for fault in (fault for fault in FAULTS if fault.sdk):
            wrong = failing(fault, stage)
            rows[fault.number].append(wrong)
            if wrong:
                print(f"{fault.number or 'client':>6}  {fault.title}: {wrong}".replace("\n", " "))
    all_rows = [wrong for found in rows.values() for wrong in found]
    right = [number for number, found in rows.items() if number and not any(found)]
    left_out = sorted(set(range(1, 76)) - rows.keys())
    print(f"\nopenai {openai.__version__}: {all_rows.count('')} of {len(all_rows)} rows are right.")
    print(f"Of the 75 cases it was asked to bear {len(rows.keys() - {0})}, and bears {len(right)}.")
    print(f"Wrong: {', '.join(str(number) for number in rows if number and number not in right)}.")
    print(f"Left out: {', '.join(map(str, left_out))}.")


if __name__ == "__main__":
    main()
