"""The output that stays, read without a kernel: whole, whatever the answer is made of."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import nbformat
import pytest
from nbconvert import HTMLExporter, MarkdownExporter

from mixroute_magic.display.blocks import Blocks
from mixroute_magic.display.output import Ending, bundle
from mixroute_magic.reply import Reply
from mixroute_magic.wire import Usage

ANSWERS = {
    "a long line without blanks": "a" * 5000 + "z",
    "Chinese": "這是一段沒有空格的中文，" * 200 + "結束",
    "Arabic with Latin letters in it": "مرحبا بالعالم Jupyter هذا نص طويل " * 40 + "النهاية",
    "Hebrew": "שלום עולם Jupyter\n\n- אחת\n- שתיים",
    "formulas": "Inline $a_1 + b^2$ and\n\n$$\n\\int_0^1 x\\,dx\n$$\n\nlast",
    "an open formula": "Sum: $$ x_1 + x_2\n\nlast",
    "an open block of code": "Look:\n\n```python\nx = 1\nlast",
    "a wide table": f"|{'head|' * 40}\n|{'---|' * 40}\n|{'cell|' * 39}last|",
    "nested lists": "- a\n  - b\n    - c\n      1. d\n         - last",
    "emoji": "👩‍👩‍👧‍👦 and 😀 last",
    "many lines of code": "```python\n" + "".join(f"x{n} = {n}\n" for n in range(2_000)) + "```\n\nlast",
    "half a character": "cut \ud83d here, last",
}


def notebook(answer: str) -> nbformat.NotebookNode:
    reply = Reply(text=answer, model="glm-5", usage=Usage(input_tokens=25, output_tokens=100), seconds=1.2)
    shown = bundle(Ending(reply=reply, status="complete"))
    output = nbformat.v4.new_output("display_data", shown)
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("%%chat\nWhat?", outputs=[output])])


def words(text: str) -> set[str]:
    return set(re.findall(r"[^\W_]+", text))


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("exporter", [HTMLExporter(), HTMLExporter(template_name="basic"), MarkdownExporter()])
def test_an_export_shows_the_whole_answer_and_its_last_line(exporter: Any, name: str) -> None:
    exported, _ = exporter.from_notebook_node(notebook(ANSWERS[name].encode("utf-8", "replace").decode()))
    assert "glm-5 · 25 → 100 tokens · 1.2 s" in unescape(exported)
    assert words(ANSWERS[name]) - {"python"} <= words(unescape(re.sub("<[^>]*>", " ", exported)))


def test_a_character_that_is_cut_by_a_chunk_is_whole_when_both_halves_have_come() -> None:
    halves = "😀".encode("utf-16-le")
    blocks = Blocks()
    for half in (halves[:2], halves[2:]):
        blocks.add(half.decode("utf-16-le", "surrogatepass"))
    frame = blocks.take()
    assert frame.text.encode("utf-16-le", "surrogatepass") == halves
