"""What a streamed answer costs kernel, connection and browser, in this view and in two that come to mind first.

Run by hand: ``.venv/bin/python tests/benchmarks/view_browser.py``, for some minutes on a machine that does nothing
else; words after it choose the rows that have one of them in their name. One real JupyterLab, one Chromium; each row
has a kernel and a page of its own. The columns:

bytes
    from kernel to page, as a multiple of the answer's
kernel, busy
    processor seconds of the kernel, and seconds of the page's main thread
long, ms
    tasks of the main thread that took more than 50 ms by the clock, and all of them together
longest
    the processor time of the longest task, in ms: on a machine that does other things, too, the truer figure
lag
    from the last delta in the kernel to the paint with it
lost
    whether words are missing in what is on the page, before or after the end
"""

from __future__ import annotations

import json
import re
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS / "browser"), str(TESTS)]

from answers import END, WORD, code, markdown  # noqa: E402  # found by the path above
from conftest import Lab, chromium_at, find_chromium, serving  # noqa: E402
from kernels import FEED  # noqa: E402

if TYPE_CHECKING:
    from conftest import NotebookPage
    from playwright.sync_api import CDPSession

FRAME = 1 / 25  # seconds
PAINTS = 20  # of each kind, for the time to the first paint

VIEW = f"""{FEED}
def add(delta):
    show(text=delta)
def frame():
    pass
def finish():
    view.finish(Ending(reply=builder.reply(1.0), status="complete", metadata={{}}))
"""
HTML = """
import ipywidgets, markdown_it
from IPython.display import display
parser, so_far, widget = markdown_it.MarkdownIt().enable("table"), [], ipywidgets.HTML()
display(widget)
add = so_far.append
def frame():
    widget.value = parser.render("".join(so_far))
def finish():
    pass
"""
MARKDOWN = """
from IPython.display import Markdown, display
so_far, handle = [], display(Markdown(""), display_id=True)
add = so_far.append
def frame():
    handle.update(Markdown("".join(so_far)))
def finish():
    pass
"""
# Feeds the answer at its pace, and draws a frame whenever one is due.
STREAM = """
import json, pathlib, time
deltas, speed, frame_seconds = json.loads(pathlib.Path("deltas.json").read_text())
def wait_for(name):
    while not pathlib.Path(name).exists():
        time.sleep(0.05)
wait_for("begin")
cpu, begun = time.process_time(), time.time()
drawn, due = 0, begun
for number, delta in enumerate(deltas):
    time.sleep(max(0, begun + number / speed - time.time()))
    add(delta)
    if time.time() >= due:
        frame()
        drawn, due = drawn + 1, time.time() + frame_seconds
last = time.time()
frame()
wait_for("painted")
streaming = time.process_time() - cpu
finish()
print(json.dumps({"cpu": streaming, "seconds": last - begun, "last": last, "frames": drawn + 1}))
"""

# Counts what the kernel sends to this page; in force from the next loading of the page on.
COUNT = """
const Socket = window.WebSocket;
window.received = 0;
window.WebSocket = class extends Socket {
  constructor(...given) {
    super(...given);
    if (given[0].includes("/channels")) this.addEventListener("message", ({ data }) => {
      window.received += data.byteLength ?? data.length;
    });
  }
};
window.longTasks = [];
new PerformanceObserver((list) => longTasks.push(...list.getEntries().map(({ duration }) => duration)))
  .observe({ type: "longtask" });
"""
# Tells when the last element that the selector finds has been painted with the end of the text in it.
PAINTED = """([selector, end]) => {
  window.painted = null;
  const look = () => {
    const node = [...document.querySelectorAll(selector)].at(-1);
    const text = (node?.lastElementChild ?? node)?.textContent ?? "";
    if (text.includes(end)) requestAnimationFrame(() => { window.painted = Date.now() / 1000; });
    else requestAnimationFrame(look);
  };
  look();
}"""
VIEW_FIRST = f"""{FEED}
time.sleep(0.5)  # as long as a gateway takes at least
first = time.time()
show(text="MARK")
time.sleep(0.5)
view.finish(Ending(reply=builder.reply(1.0), status="complete"))
print("first", first)"""
PRINT_FIRST = """import time
time.sleep(0.5)
first = time.time()
print("first", first, "MARK")"""


@dataclass(frozen=True)
class Design:
    """A way to show an answer, and where the page has the text of it."""

    setup: str
    selector: str


OURS = Design(VIEW, ".mr-tail")
NAIVE_HTML = Design(HTML, ".widget-html-content")
NAIVE_MARKDOWN = Design(MARKDOWN, ".jp-RenderedMarkdown")


def cut(text: str, count: int) -> list[str]:
    """Cut a text into so many deltas."""
    marks = [len(text) * place // count for place in range(count + 1)]
    return [text[start:end] for start, end in pairwise(marks)]


def cells(source: str) -> nbformat.NotebookNode:
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])


@dataclass(frozen=True)
class Row:
    """A row of the table: what is streamed, how fast, and who shows it."""

    name: str
    design: Design
    text: str
    deltas: int
    speed: int  # deltas a second


ROWS = [
    Row("Markdown, this view", OURS, markdown(100_000), 20_000, 2_000),
    Row("code, this view", OURS, code(100_000), 20_000, 2_000),
    Row("slow Markdown, this view", OURS, markdown(10_000), 2_000, 200),
    Row("Markdown, ipywidgets.HTML", NAIVE_HTML, markdown(100_000), 20_000, 2_000),
    Row("20 kB, display_id Markdown", NAIVE_MARKDOWN, markdown(20_000), 4_000, 2_000),  # 100 kB take minutes
]


def open_counted(lab: Lab, source: str) -> NotebookPage:
    """Open a notebook of one cell in a page that counts."""
    opened = lab.open(cells(source), f"{time.time_ns()}.ipynb")
    opened.page.set_default_timeout(300_000)
    opened.page.add_init_script(COUNT)
    opened.reload()
    return opened


def costs(opened: NotebookPage, devtools: CDPSession) -> dict[str, float]:
    """Return what the page has cost so far: bytes received, seconds of its main thread, and long tasks in them."""
    metrics = {metric["name"]: metric["value"] for metric in devtools.send("Performance.getMetrics")["metrics"]}
    received, long_tasks = opened.page.evaluate("[received, longTasks]")
    return {"bytes": received, "busy": metrics["TaskDuration"], "long": len(long_tasks), "long_ms": sum(long_tasks)}


def measure(lab: Lab, folder: Path, row: Row) -> tuple[dict[str, float], dict[str, float], dict[str, Any]]:
    """Stream a text; return its costs until the last word was painted, those of the end, and what else was seen."""
    for name in ("begin", "painted"):
        (folder / name).unlink(missing_ok=True)
    (folder / "deltas.json").write_text(json.dumps([cut(row.text, row.deltas), row.speed, FRAME]))
    opened = open_counted(lab, f"{row.design.setup}{STREAM}")
    page = opened.page
    browser = page.context.browser
    devtools = page.context.new_cdp_session(page)
    devtools.send("Performance.enable")
    opened.start()
    page.locator(row.design.selector).last.wait_for(state="attached")
    page.evaluate(PAINTED, [row.design.selector, END])

    browser.start_tracing(page=page, categories=["toplevel"])
    before = costs(opened, devtools)
    (folder / "begin").touch()
    page.wait_for_function("window.painted", polling=200)
    painted = costs(opened, devtools)
    trace = browser.stop_tracing()
    last_paint = page.evaluate("window.painted")
    live = WORD.findall("".join(opened.output_texts()))
    (folder / "painted").touch()
    opened.wait()
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    ended = costs(opened, devtools)

    printed = next(output for output in opened.outputs()[0] if output["output_type"] == "stream")
    told = json.loads(printed["text"])
    kept = WORD.findall("".join(opened.output_texts()))
    words = WORD.findall(row.text)
    lab.close_pages(keep=False)
    seen = {
        "longest_ms": longest_task_ms(trace),
        "lag_ms": 1000 * (last_paint - told["last"]),
        "live": live == words,
        "kept": kept == words,
    }
    return _difference(painted, before), _difference(ended, painted), told | seen


def longest_task_ms(trace: bytes) -> float:
    """Return the processor time of the longest task of any page's main thread, whatever else kept the machine busy."""
    events = json.loads(trace)["traceEvents"]
    named = [event for event in events if event["name"] == "thread_name"]
    main = {(event["pid"], event["tid"]) for event in named if event["args"]["name"] == "CrRendererMain"}
    return max(event.get("tdur", 0) / 1000 for event in events if (event["pid"], event["tid"]) in main)


def _difference(later: dict[str, float], earlier: dict[str, float]) -> dict[str, float]:
    return {name: value - earlier[name] for name, value in later.items()}


def first_paint_ms(lab: Lab) -> tuple[float, float]:
    """Return the medians of the time from the first text to its paint: in this view, and of a bare ``print``."""
    opened = open_counted(lab, "")
    taken: dict[str, list[float]] = {VIEW_FIRST: [], PRINT_FIRST: []}
    for source in [VIEW_FIRST, PRINT_FIRST] * (PAINTS + 1):
        opened.do(("at", 0), ("write", source), "notebook:clear-cell-output")
        opened.page.evaluate(PAINTED, [".mr-tail, .jp-OutputArea-output pre", "MARK"])
        opened.do("notebook:run-cell")
        opened.page.wait_for_function("window.painted")
        first = float(re.findall(r"first ([0-9.]+)", json.dumps(opened.outputs()[0]))[0])
        taken[source].append(1000 * (opened.page.evaluate("window.painted") - first))
    lab.close_pages(keep=False)
    view, printed = (statistics.median(times[1:]) for times in taken.values())  # the first of each loads what it needs
    return view, printed


HEADS = ("bytes", "kernel", "busy", "long", "ms", "longest", "lag ms", "lost", "seconds", "frames")
ENDS = ("bytes", "long", "ms")


def show(row: Row, streamed: dict[str, float], ended: dict[str, float], seen: dict[str, Any]) -> None:
    """Print a row of the table."""
    size = len(row.text.encode())
    lost = "none" if seen["live"] and seen["kept"] else "live" if seen["kept"] else "YES"
    figures = [
        f"{streamed['bytes'] / size:.1f}",
        *(f"{seconds:.2f}" for seconds in (seen["cpu"], streamed["busy"])),
        *(f"{value:.0f}" for value in (streamed["long"], streamed["long_ms"], seen["longest_ms"], seen["lag_ms"])),
        lost,
        f"{seen['seconds']:.1f}",
        str(seen["frames"]),
        *(f"{value:.1f}" for value in (ended["bytes"] / size, ended["long"], ended["long_ms"])),
    ]
    print(f"{row.name:<30}" + "".join(f"{figure:>9}" for figure in figures), flush=True)


def main(*names: str) -> None:
    path = find_chromium()
    assert path, "install the system's package chromium"
    with tempfile.TemporaryDirectory() as home, serving(Path(home)) as (url, folder), chromium_at(path) as browser:
        lab = Lab(url, folder, browser)
        streaming = f"{'while it streams':<{9 * len(HEADS)}}"
        print(f"{'':<34}{streaming}when it ends")
        print(f"{'':<30}" + "".join(f"{head:>9}" for head in (*HEADS, *ENDS)))
        for row in ROWS:
            if not names or any(name in row.name for name in names):
                show(row, *measure(lab, folder, row))
        if not names or "first" in names:
            view, printed = first_paint_ms(lab)
            print(f"first paint: {view:.0f} ms, of a bare print {printed:.0f} ms: {view / printed:.1f} times")


if __name__ == "__main__":
    main(*sys.argv[1:])
