"""Answers side by side in JupyterLab: the columns while they stream, and the table that stays."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
from nbconvert import HTMLExporter, MarkdownExporter
from scripted import DONE, STOP, USAGE, Until, answer, delta, reply, scripted, whole

if TYPE_CHECKING:
    from conftest import Lab, NotebookPage

RICH = """## Sorting

Two ways, *fast* and `simple`:

1. **Quicksort** takes $O(n \\log n)$ on average
   - divide
   - conquer
2. *Insertion sort* takes $n^2$ steps

| way | cost |
|---|--:|
| quick | 10 |
| slow | 100 |

```python
def quick(items): return sorted(items)  # a line that is rather long, so that it has to find its place
```

$$\\sum_{i=1}^n i = \\frac{n(n+1)}{2}$$

That costs $5 at most."""
PLAIN = "It costs $6, or less.\n\nA *short* answer with a [link](https://example.org) and\n\n> a quotation."
HOSTILE = {
    "unfinished": "# Unfinished\n\n- a list\n  - deeper\n\n```python\nprint('no end')\n",
    "closing": "</td></tr></table>\n\n<!-- \n\n<script>window.pwned = 1</script><img src=x onerror='window.pwned = 1'>",
    "underlined": "===\n\n    indented\n\n[1]: https://first.example\n\nSee [1] $x",
    "defined": "[1]: https://second.example\n\nSee [1]. y$\n\n---",
    "nested": "> - a\n>   ```\n>   open",
}
TOP_CELLS = """() => [...document.querySelectorAll('.jp-RenderedMarkdown > table > tbody > tr > td')].map(cell => {
  const { left, width } = cell.getBoundingClientRect();
  const { textAlign, verticalAlign } = getComputedStyle(cell);
  return { left: Math.round(left), width: Math.round(width), textAlign, verticalAlign, text: cell.textContent };
})"""


def _cell_for(models: str, base_url: str) -> nbformat.NotebookNode:
    setup = f"import os\nos.environ.update(MIXROUTE_BASE_URL={base_url!r})\n%load_ext mixroute_magic\n"
    setup += "%config MixRoute.retries = 0"
    asks = f"%%chat {' '.join(f'-m {model}' for model in models.split())}\nHow do I sort?"
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(setup), nbformat.v4.new_code_cell(asks)])


def _picture(page: NotebookPage, name: str) -> None:
    """Leave a picture for people, where they ask for it."""
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(Path(folder) / f"{name}.png")


def test_answers_stream_side_by_side_and_stay_as_a_table(lab: Lab) -> None:
    seen = threading.Event()
    stream = [*map(delta, RICH.splitlines(keepends=True))]
    rich = answer(*stream[:9], Until(seen), *stream[9:], STOP, USAGE, DONE)
    plain = answer(delta(PLAIN), Until(seen), STOP, DONE)
    with scripted(whole("x"), rich=[rich], plain=[plain], broken=[reply(401)]) as gateway:
        page = lab.open(_cell_for("rich plain broken", gateway.base_url), width=1300)
        page.start()
        page.page.wait_for_function("() => document.querySelectorAll('.mr-column').length === 3")
        page.page.wait_for_function(
            "() => document.querySelector('.mr-reply').textContent.match(/Quicksort[^]*quotation/)"
        )
        _picture(page, "compare-live")
        seen.set()
        page.wait()
        page.page.wait_for_selector(".jp-RenderedMarkdown > table mjx-container, .jp-RenderedMarkdown > table .MathJax")
        cells = page.page.evaluate(TOP_CELLS)
        _picture(page, "compare-light")
        page.set_theme("JupyterLab Dark")
        _picture(page, "compare-dark")
        page.set_theme("JupyterLab Light")
        shown = page.page.locator(".jp-RenderedMarkdown > table")
        assert len(cells) == 3
        assert {(cell["textAlign"], cell["verticalAlign"]) for cell in cells} == {("left", "top")}
        assert len({cell["width"] for cell in cells}) == 1
        for tag in ("pre code", "ol li", "table td", "h2", "mjx-container, .MathJax"):
            assert shown.locator("td").nth(0).locator(tag).count(), tag
        assert "It costs $6, or less." in cells[1]["text"]
        assert "did not accept" in cells[2]["text"] or "API key" in cells[2]["text"]
        saved = page.save()
    reopened = lab.open(saved, "reopened.ipynb", width=1300)  # a file from elsewhere: its HTML is sanitized
    reopened.page.wait_for_selector(".jp-RenderedMarkdown > table")
    _picture(reopened, "compare-reopened")
    again = reopened.page.evaluate(TOP_CELLS)
    assert {(cell["textAlign"], cell["verticalAlign"]) for cell in again} == {("left", "top")}
    assert len({cell["width"] for cell in again}) == 1
    html, _ = HTMLExporter().from_notebook_node(saved)
    assert html.count("<table") == 2
    assert "<h2" in html
    markdown, _ = MarkdownExporter().from_notebook_node(saved)
    assert "## Sorting" in markdown


def test_no_answer_leaves_its_cell_or_does_anything(lab: Lab) -> None:
    scripts = {name: [whole(text)] for name, text in HOSTILE.items()}
    with scripted(whole("x"), **scripts) as gateway:
        page = lab.open(_cell_for(" ".join(HOSTILE), gateway.base_url), width=1300)
        page.run_all()
        page.page.wait_for_selector(".jp-RenderedMarkdown > table")
        _picture(page, "compare-hostile")
        cells = page.page.evaluate(TOP_CELLS)
        assert len(cells) == len(HOSTILE)
        for (name, _), cell in zip(HOSTILE.items(), cells, strict=True):
            assert "served · 25 → 100 tokens" in cell["text"], name
        assert "no end" in cells[0]["text"]
        assert "</td></tr></table>" in cells[1]["text"]
        assert "second.example" in cells[3]["text"]
        tables = page.page.locator(".jp-RenderedMarkdown")
        assert tables.locator("> table").count() == 1
        assert not page.page.evaluate("window.pwned")
        assert tables.locator("a", has_text="1").count() == 0 or not tables.locator("a[href*='first']").count() > 1
