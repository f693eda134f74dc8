"""Long answers whose words are numbered, so that a lost one is missed."""

from __future__ import annotations

import random
import re

END = "w999999"
WORD = re.compile(r"w\d{6}")


def markdown(size: int) -> str:
    """Return an answer with all that Markdown has."""
    chance, number, parts = random.Random(20261123), 0, []

    def words(count: int) -> str:
        nonlocal number
        number += count
        return " ".join(f"w{place:06}" for place in range(number - count, number))

    kinds = [
        lambda: f"## {words(3)}\n\n",
        lambda: "".join(f"{words(12)} **{words(2)}** {words(10)}\n" for _ in range(4)) + "\n",
        lambda: "".join(f"- {words(8)} `{words(1)}`\n" for _ in range(8)) + "\n",
        lambda: (
            f"| {words(1)} | {words(1)} |\n|---|---|\n"
            + "".join(f"| {words(2)} | {words(2)} |\n" for _ in range(6))
            + "\n"
        ),
        lambda: "```python\n" + "".join(f"{words(1)} = f({words(2)})\n" for _ in range(15)) + "```\n\n",
        lambda: f"> {words(14)}\n\n",
    ]
    while sum(map(len, parts)) < size - len(END):
        parts.append(chance.choice(kinds)())
    return "".join(parts) + END


def code(size: int) -> str:
    """Return an answer that is one block of code, which nothing ends."""
    lines = (f"w{number:06} = f(w{number:06}, {{'<': 1}})\n" for number in range(size // 31))
    return "```python\n" + "".join(lines) + END
