"""What a person sees in a terminal: answers drawn as Markdown, each word once, whatever the size of the window."""

from __future__ import annotations

import re
import sys
import time
from typing import TYPE_CHECKING

import pytest
from kernels import environment
from scripted import Pause, answer, delta, reply, scripted, whole
from terminals import Terminal

from mixroute_magic.display.screen import ScreenView
from mixroute_magic.wire import Chunk

if TYPE_CHECKING:
    from pathlib import Path

FEED = """
import os, sys
if sys.stdin.isatty():
    os.system("stty -echo")  # what is typed would stand in the answer
from mixroute_magic.display.output import Ending
from mixroute_magic.display.views import open_view
from mixroute_magic.reply import Reply, ReplyBuilder
from mixroute_magic.wire import Chunk, Usage
def open(*models, plain=False):
    global view, builder
    builder = ReplyBuilder(models[0])
    view = open_view(models, "output", terminal=True, attended=False, plain=plain)
    view.start()
def show(**parts):
    chunk = Chunk(**parts)
    builder.add(chunk)
    view.show(chunk)
def finish(status="complete", **how):
    view.finish(Ending(reply=builder.reply(1.2), status=status, **how))
"""
MARKDOWN = """# Title

Some **bold** and `code` with a [link](https://example.com), a [bad](javascript:x) one and <b>html</b>.

## Second

- one
- two
  - nested, and so long that it does not fit into one line

```python
def f(x):

    return x  # comment
```

| a | b |
|---|--:|
| 中文 | 2 |
| x | 33 |

> quoted

1. first
2. [ref][1] and $x_1*y*z$

[1]: https://ref.example

這一行很長很長很長很長很長很長很長很長很長很長很長。
"""
DRAWN = """Title

Some bold and code with a link
(https://example.com), a
[bad](javascript:x) one and <b>html</b>.

Second

 • one
 • two
    • nested, and so long that it does
      not fit into one line

 def f(x):

     return x  # comment

 a      b
 ────────
 中文   2
 x     33

▌ quoted

 1 first
 2 [ref][1] and $x_1*y*z$

[1]: https://ref.example

這一行很長很長很長很長很長很長很長很長很
長很長很長。

glm-5 · tokens unknown · 1.2 s"""


def program(code: str, columns: int = 40, rows: int = 12, **environment: str) -> Terminal:
    return Terminal(sys.executable, "-c", FEED + code, columns=columns, rows=rows, **environment)


def in_pieces(text: str, size: int = 5) -> str:
    """Return code that shows a text in pieces, as a model does."""
    return f"\nfor at in range(0, {len(text)}, {size}): show(text={text!r}[at : at + {size}])\n"


def test_an_answer_is_drawn_as_markdown_and_all_of_it_is_there_once(tmp_path: Path) -> None:
    with program(f"open('glm-5'){in_pieces(MARKDOWN)}finish()") as terminal:
        assert terminal.end().text == DRAWN


def test_what_is_waited_for_and_thought_is_seen_and_gone_in_the_end() -> None:
    code = "open('glm-5'); input(); show(reasoning='Let me\\nthink, 為何'); input(); show(text='So.'); finish()"
    with program(code) as terminal:
        terminal.until("glm-5 · waiting 1 s").type("\n")
        terminal.until("think, 為何")
        assert "waiting" not in terminal.text
        terminal.type("\n")
        assert terminal.end().text == "Reasoning (5 words)\n\nSo.\n\nglm-5 · tokens unknown · 1.2 s"


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (17, 5), (200, 3)])
def test_of_a_long_answer_every_word_is_there_once_also_what_has_scrolled_away(columns: int, rows: int) -> None:
    words = [f"word{number}" for number in range(600)]
    prose, code, items = (
        " ".join(words[:400]),
        "\n".join(words[400:500]),
        "\n".join(f"- {word}" for word in words[500:]),
    )
    paragraphs = re.sub(r"(?:\S+ ){20}", r"\g<0>\n\n", prose)
    said = f"{paragraphs}\n\n```\n{code}\n```\n\n{items}\n"
    with program(f"open('glm-5'){in_pieces(said, 50)}finish()", columns, rows) as terminal:
        assert re.findall(r"word\d+", terminal.end().text) == words


def test_the_block_that_grows_is_seen_as_it_is_written() -> None:
    code = "open('glm-5'); show(text='# One\\n\\nand\\n**tw'); input(); show(text='o**'); finish()"
    with program(code) as terminal:
        terminal.until("One\n\nand\n**tw").type("\n")
        assert terminal.end().text.startswith("One\n\nand two\n\n")


def test_an_interrupt_in_the_middle_keeps_and_draws_what_has_come() -> None:
    code = "open('glm-5')\ntry:\n    show(text='One\\n\\nand **tw**'); input()\n"
    with program(f"{code}except KeyboardInterrupt:\n    finish('interrupted')", 80) as terminal:
        terminal.until("**tw**").interrupt()
        text = terminal.end().text
    assert text == "One\n\nand tw\n\nglm-5 · tokens unknown · 1.2 s · interrupted"
    assert terminal.written.endswith(b"\n")
    assert terminal.written.rfind(b"\x1b[?25h") > terminal.written.rfind(b"\x1b[?25l")  # the cursor is there again


def test_a_window_that_changes_its_size_loses_nothing() -> None:
    code = f"open('glm-5'){in_pieces('one two three four five six seven eight. ')}input()"
    code += f"{in_pieces('nine ten eleven.')}input(){in_pieces('Twelve.')}\nfinish()"
    with program(code, 60) as terminal:
        terminal.until("eight.").resize(30, 8)
        terminal.type("\n")
        terminal.until("eleven.").resize(70, 20)
        terminal.type("\n")
        shown = " ".join(terminal.end().text.split())
    assert shown.endswith(
        "one two three four five six seven eight. nine ten eleven.Twelve. glm-5 · tokens unknown · 1.2 s"
    )


def test_no_escape_of_an_answer_reaches_the_terminal_and_no_link_is_hidden() -> None:
    with program("open('glm-5'); show(text='a\\x1b]8;;http://x\\x07b\\x9b2J [c](http://d)'); finish()") as terminal:
        assert terminal.end().lines[0] == "a]8;;http://xb2J c (http://d)"
        assert b"\x1b]" not in terminal.written


def test_colours_are_used_but_not_where_nobody_wants_them() -> None:
    code = f"open('glm-5'){in_pieces(MARKDOWN)}finish()"
    colour = re.compile(rb"\x1b\[[0-9;]*(?:3|4|9)[0-9][;m]")
    with program(code) as terminal:
        assert colour.search(terminal.end().written)
    with program(code, NO_COLOR="1") as terminal:
        assert not colour.search(terminal.end().written)
    with program(f"open('glm-5'){in_pieces('**a**')}finish()", TERM="dumb") as terminal:
        assert terminal.end().written == b"**a**\r\n\r\nglm-5 \xc2\xb7 tokens unknown \xc2\xb7 1.2 s\r\n"


def test_characters_that_the_terminal_cannot_write_cost_no_answer() -> None:
    with program("open('glm-5'); show(text='a中b'); finish()", PYTHONIOENCODING="latin-1") as terminal:
        assert terminal.end().lines[0] == "a?b"


@pytest.mark.parametrize(
    ("form", "said", "shown"),
    [
        ("text", "# *a*\n\n  <b>", "# *a*\n\n  <b>"),
        ("json", '{"a":1}', ' {\n   "a": 1\n }'),
        ("json", "*No*.", "*No*."),
        ("code", "**a**", "a"),
    ],
)
def test_the_format_decides_how_it_is_drawn(form: str, said: str, shown: str) -> None:
    with program(f"open('glm-5', plain={form in {'text', 'json'}}){in_pieces(said)}finish(form={form!r})") as terminal:
        assert terminal.end().text == f"{shown}\n\nglm-5 · tokens unknown · 1.2 s"


SEVERAL = """
open("glm-5", "gpt-4o")
view.show(Chunk(text="**o"), 1); view.show(Chunk(text="g"), 0)
view.retrying("busy", 2.0, 0)
wait()
view.ended(Ending(reply=Reply("**one**", "gpt-4o", reasoning="why"), status="complete"), 1)
wait()
view.ended(Ending(reply=Reply("", "glm-5"), status="failed", error=["ServerError: no"]), 0)
view.finish(Ending(reply=Reply("**one**", "gpt-4o"), status="complete"))
"""


def test_several_answers_are_drawn_one_below_the_other_as_they_end() -> None:
    with program(f"wait = input{SEVERAL}", 60, 30) as terminal:
        terminal.until("glm-5, gpt-4o · waiting").type("\n")
        terminal.until("glm-5 · waiting").type("\n")
        text = terminal.end().text
    told = "glm-5: busy; trying again in 2 s"
    one = "── gpt-4o ──\n\nReasoning (1 word)\n\none\n\ngpt-4o · tokens unknown"
    last = "── glm-5 ──\n\nServerError: no\n\nglm-5 · tokens unknown · failed\n\ngpt-4o · tokens unknown"
    assert text == f"{told}\n\n{one}\n\n{last}"


def test_where_there_is_only_text_several_answers_are_written_as_they_end(capsys: pytest.CaptureFixture[str]) -> None:
    exec(FEED + "wait = str" + SEVERAL, {})
    one = "── gpt-4o ──\n\n**one**\n\ngpt-4o · tokens unknown\n\n"
    last = "── glm-5 ──\n\nServerError: no\n\nglm-5 · tokens unknown · failed\n\ngpt-4o · tokens unknown\n"
    assert capsys.readouterr().out == f"glm-5: busy; trying again in 2 s\n{one}{last}"


def test_in_ipython_an_answer_streams_is_drawn_and_can_be_stopped(tmp_path: Path) -> None:
    stopped = answer(delta("# Half\n\nof **it"), Pause(60))
    busy = reply(503, {"error": {"message": "busy"}})
    with scripted(busy, whole("# On", "e\n\nand *two*"), stopped) as gateway:
        ipython = (sys.executable, "-m", "IPython", "--simple-prompt", "--no-banner", "--ext=mixroute_magic")
        with Terminal(*ipython, columns=70, **environment(tmp_path, gateway.base_url)) as terminal:
            terminal.until("In [1]:").type("%chat first\n")
            text = terminal.until("In [2]:").text
            assert "trying again in" in text
            assert "One\n\nand two\n\nserved · 25 → 100 tokens" in text
            terminal.type("%chat second\n")
            terminal.until("of **it").interrupt()
            text = terminal.until("In [3]:").text
            assert "Half\n\nof **it\n\nserved · ≈ " in text
            assert "Interrupted: the text so far is kept above" in text
            terminal.type("exit\n")
            terminal.end()


def test_in_a_kernels_console_an_answer_streams_as_text(tmp_path: Path) -> None:
    with scripted(answer(delta("Hel"), Pause(60))) as gateway:
        console = (sys.executable, "-m", "jupyter_console", "--simple-prompt", "--no-confirm-exit")
        with Terminal(*console, columns=100, **environment(tmp_path, gateway.base_url)) as terminal:
            terminal.until("In [1]:").type("%load_ext mixroute_magic\n")
            terminal.until("In [2]:").type("%chat hello\n")
            terminal.until("\nHel").interrupt()
            text = terminal.until("In [3]:").text
    assert "Hel\n\nserved · ≈ 6 → 1 tokens" in text
    assert "Waiting for" not in text


@pytest.mark.parametrize("part", ["reasoning", "text"])
def test_ten_times_the_words_cost_about_ten_times_as_much(part: str) -> None:
    def cost(pieces: int) -> float:
        view = ScreenView(["m"], plain=False)
        began = time.process_time()
        for _ in range(pieces):
            view.show(Chunk(**{part: "word "}))
        return time.process_time() - began

    cost(1)  # imports
    most = 30 * cost(8_000)
    assert any(cost(80_000) < most for _ in range(2))
