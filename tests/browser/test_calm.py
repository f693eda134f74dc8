"""The live view is calm: nothing jumps, flickers or is lost when the final output takes its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from kernels import FEED

if TYPE_CHECKING:
    from conftest import Lab, NotebookPage

# Says the answer, then waits for the file `go` before it finishes.
CELL = (
    FEED
    + """
import pathlib
def wait_for(name):
    while not pathlib.Path(name).exists():
        time.sleep(0.02)
for start in range(0, len(ANSWER), 40):
    show(text=ANSWER[start:start + 40])
    time.sleep(0.002)
wait_for(GO)
show(text="The end.")
view.finish(Ending(reply=builder.reply(1.2), status="complete", metadata={"version": 1}))
"""
)
PARAGRAPHS = "".join(f"Paragraph {number} has *some* words and **more** of them. " * 3 + "\n\n" for number in range(60))
RICH = r"""# A heading

First, with a formula $a_1 * b_1 = \frac{1}{2}$ in it.

1. one
2. two, with `code`
   - nested
3. three

> quoted

```python
def f(x: int) -> str:
    return "a" * x  # twice
```

| name | value |
|---|--:|
| α | 1 |
| β | 2 |

$$\int_0^1 x \, dx = \frac{1}{2}$$

"""
LINES = "".join(f"x_{number} = {number}\n" for number in range(1000))
SCROLLER = "document.querySelector('.jp-WindowedPanel-outer')"
# At each frame: where the paragraph stands that was in the middle of the window at first.
WATCH = """() => {
  const { left, top, width, height } = document.querySelector('.jp-WindowedPanel-outer').getBoundingClientRect();
  const middle = () => document.elementFromPoint(left + width / 2, top + height / 2)?.closest("p");
  window.seen = [];
  window.watching = true;
  const look = () => {
    const found = middle();
    const place = Math.round(found?.getBoundingClientRect().top);
    window.seen.push(`${found?.textContent.slice(0, 14)} at ${place}`);
    if (window.watching) requestAnimationFrame(look);
  };
  look();
}"""
# The blocks of an answer: tag, words, colours of code, height. A list that was closed in parts is one, as is code.
BLOCKS = """(selector) => {
  const blocks = [];
  for (const node of document.querySelector(selector).children) {
    const { top, bottom } = node.getBoundingClientRect();
    if (node.matches(".mr-tail, details") || bottom === top) continue;
    const words = node.textContent.replace("¶", "").replace(/\\s+/g, " ").trim();
    const colours = Array.from(node.querySelectorAll("code span"), (span) => span.className).join();
    const last = blocks.at(-1);
    if (node.matches(".mr-on")) Object.assign(last, { words: `${last.words} ${words}`, bottom });
    else blocks.push({ tag: node.tagName, words, colours, top, bottom });
  }
  return blocks.map(({ top, bottom, ...block }) => ({ ...block, height: Math.round(bottom - top) }));
}"""
LIVE, FINAL = ".mr-answer", ".jp-OutputArea-output.jp-RenderedMarkdown"


def stream(lab: Lab, name: str, answer: str, until: str, *, plain: bool = False) -> NotebookPage:
    """Open a notebook whose cell streams an answer, and return when the page shows its last words."""
    cell = CELL.replace("terminal=False", f"terminal=False, plain={plain}")
    source = f"GO = {name!r}\nANSWER = {answer!r}\n{cell}"
    cells = [nbformat.v4.new_code_cell(source, metadata={"jupyter": {"source_hidden": True}})]
    opened = lab.open(nbformat.v4.new_notebook(cells=cells), f"{name}.ipynb")
    opened.start()
    opened.page.locator(".mr-answer", has_text=until).wait_for()
    return opened


def finish(opened: NotebookPage, name: str) -> None:
    (opened.path.parent / name).touch()
    opened.wait()
    opened.page.locator(FINAL, has_text="The end.").wait_for()


def test_the_page_does_not_move_when_the_final_output_takes_the_views_place(lab: Lab) -> None:
    opened = stream(lab, "jump", PARAGRAPHS, "Paragraph 59")
    opened.page.evaluate(f"() => {{ {SCROLLER}.scrollTop = 600; }}")
    opened.page.wait_for_function(f"{SCROLLER}.scrollTop === 600")
    opened.page.evaluate(WATCH)
    finish(opened, "jump")
    opened.page.evaluate("() => new Promise((resolve) => setTimeout(resolve, 300))")  # what would come late
    seen = opened.page.evaluate("() => { window.watching = false; return window.seen; }")
    assert len(seen) > 10
    assert seen[0].startswith("Paragraph")
    assert set(seen) == {seen[0]}


def test_finished_blocks_look_as_they_will_at_the_end(lab: Lab) -> None:
    opened = stream(lab, "same", RICH, "twice")
    opened.page.locator(".mr-answer mjx-container").nth(1).wait_for()
    opened.page.locator(".mr-answer code span").first.wait_for()
    live: list[dict[str, Any]] = opened.page.evaluate(BLOCKS, LIVE)
    finish(opened, "same")
    opened.page.locator(f"{FINAL} mjx-container").nth(1).wait_for()
    final: list[dict[str, Any]] = opened.page.evaluate(BLOCKS, FINAL)
    assert [block["tag"] for block in live] == ["H1", "P", "OL", "BLOCKQUOTE", "PRE", "TABLE", "P"]
    assert live[4]["colours"]
    for before, after in zip(live, final, strict=False):
        assert abs(before.pop("height") - after.pop("height")) <= 2, (before, after)
        assert before == after


def test_a_long_block_of_code_is_one_block_though_it_came_in_parts(lab: Lab) -> None:
    opened = stream(lab, "long", f"```python\n{LINES}```\n\n", "x_999 = 999")
    opened.page.locator(".mr-answer > pre > code:not(:empty):not(:has(span))").first.wait_for(state="detached")
    opened.page.wait_for_function("() => !document.querySelector('.mr-answer > .mr-tail')?.textContent.trim()")
    (live,) = opened.page.evaluate(BLOCKS, LIVE)
    finish(opened, "long")
    final = opened.page.evaluate(BLOCKS, FINAL)[0]
    assert live["words"] == final["words"] == " ".join(LINES.split())
    assert abs(live["height"] - final["height"]) <= 2


def test_a_plain_answer_is_no_markdown_while_it_comes(lab: Lab) -> None:
    opened = stream(lab, "plain", "- *one*\n\n```\n" * 50 + "end", "end", plain=True)
    assert opened.page.locator(".mr-answer").evaluate("node => node.textContent.trim()").startswith("- *one*\n\n```\n-")
    assert opened.page.locator(".mr-answer").locator("li, em").count() == 0
    assert opened.page.locator(".mr-answer > pre").count() > 0
    finish(opened, "plain")


def test_what_was_selected_stays_selected_while_more_comes(lab: Lab) -> None:
    opened = stream(lab, "select", "One *two* three.\n\nFour.\n\n", "Four")
    words = "() => String(window.getSelection())"
    opened.page.evaluate(
        "() => window.getSelection().selectAllChildren(document.querySelector('.mr-answer p'))",
    )
    assert opened.page.evaluate(words).strip() == "One two three."
    opened.page.evaluate(
        """() => {
          window.kept = [];
          const note = () => window.kept.push(String(window.getSelection()).trim());
          new MutationObserver(note).observe(document.querySelector(".mr-answer"),
            { childList: true, characterData: true, subtree: true });
        }"""
    )
    finish(opened, "select")
    kept = opened.page.evaluate("() => window.kept")
    assert "One two three." in kept


def test_copy_takes_the_answer_as_the_model_wrote_it(lab: Lab) -> None:
    opened = stream(lab, "copy", RICH, "twice")
    opened.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    opened.page.get_by_role("button", name="Copy", exact=True).click()
    opened.page.get_by_role("button", name="Copied").wait_for()
    assert opened.page.evaluate("() => navigator.clipboard.readText()") == RICH
    finish(opened, "copy")


@pytest.mark.parametrize(("answer", "direction"), [("مرحبا بالعالم, hello\n\n", "rtl"), ("你好，世界\n\n", "ltr")])
def test_an_answer_runs_in_the_direction_of_its_language(lab: Lab, answer: str, direction: str) -> None:
    opened = stream(lab, direction, answer, answer.strip())
    assert opened.page.locator(".mr-answer").evaluate("node => getComputedStyle(node).direction") == direction
    finish(opened, direction)
