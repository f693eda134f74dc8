"""A hostile answer does nothing, wherever it is shown; and each guard that sees to it is missed when it is gone."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import pytest
from guards import GUARDS, without
from hostile import ATTACKS, FAULTS, FRAGMENTS, HOST, INSERT, RENDER, made
from kernels import FEED
from nbconvert.filters import markdown2html

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Lab
    from playwright.sync_api import Browser, Page, Request

TESTS = Path(__file__).parents[1]
DOCUMENTS = int(os.environ.get("HOSTILE_DOCUMENTS", "40"))  # made at random; more of them by hand

# Each attack in two columns of the live view, as reasoning and as an answer: once closed by what follows, once open.
# Then each in an output of its own, and all of them side by side.
CELL = f"""{FEED.partition("view = ")[0]}
import pathlib, sys
from mixroute_magic.display.output import bundle, leave
from mixroute_magic.wire import Message
sys.path.append({str(TESTS)!r})
from hostile import ATTACKS
answers = [text + end for text in ATTACKS.values() for end in ("", "\\n\\nend\\n\\nend\\n\\n")]
view = open_view([text[:50] for text in answers], "output", terminal=False, attended=True)
view.start()
for column, text in enumerate(answers):
    view.show(Chunk(reasoning=text), column)
    view.show(Chunk(text=text), column)
    view.retrying(text, 1000.0, column) if column % 3 == 0 else None
while not pathlib.Path("shown").exists():
    time.sleep(0.02)
def ending(text, **more):
    reply = Reply(text=text, model=text, reasoning=text, finish_reason=text)
    return Ending(reply=reply, status="failed", notes=[text], error=[text], name=text, **more)
for name, text in ATTACKS.items():
    before = [Message("user", text), Message("assistant", text)]
    leave(name, bundle(ending(text, before=before)), {{}})
view.finish(ending("", alternatives=[ending(text) for text in ATTACKS.values()]))
"""
LIVE = f"""() => [...document.querySelectorAll(".mr-answer, .mr-thoughts")].flatMap((shown) => {{
  const copy = shown.cloneNode(true);
  copy.querySelectorAll(".mr-tail").forEach((tail) => tail.replaceWith(...tail.childNodes)); // ours
  return ({FAULTS})(copy);
}})"""
LIVE_COUNT = f"""() => [...document.querySelectorAll(".mr-answer")]
  .filter((answer) => answer.textContent.trim()).length === {2 * len(ATTACKS)}"""
OUTPUTS = ".jp-OutputArea-output.jp-RenderedMarkdown"
FINAL = f"() => [...document.querySelectorAll('{OUTPUTS}')].flatMap({FAULTS})"
TRUSTED = "() => window.jupyterapp.shell.currentWidget.content.widgets[0].model.trusted"
TYPESET = """() => window.jupyterapp.shell.currentWidget.content.rendermime.latexTypesetter.typeset(document.body)"""


class Watch:
    """What a page asks for elsewhere than at its own addresses; nothing leaves this machine."""

    def __init__(self, page: Page, *own: str) -> None:
        self._page = page
        self._own = ("data:", "blob:", *own)
        self.asked: list[str] = []
        page.on("request", self._note)
        page.route(f"{HOST}/**", lambda route: route.fulfill(status=204))  # no content: a page stays where it is

    def _note(self, request: Request) -> None:
        if not request.url.startswith(self._own):
            self.asked.append(request.url)

    def assert_nothing_happened(self) -> None:
        assert self._page.evaluate("window.pwned") is None
        assert self.asked == []


def one_cell(source: str) -> nbformat.NotebookNode:
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])


def address(page: Page) -> str:
    return page.evaluate("() => location.origin")


def test_a_hostile_answer_does_nothing_and_fetches_nothing(lab: Lab, chromium: Browser) -> None:
    notebook = lab.open(one_cell(CELL), "hostile.ipynb")
    page = notebook.page
    watch = Watch(page, address(page))
    notebook.start()
    page.wait_for_function(LIVE_COUNT)
    assert page.evaluate(LIVE) == [], "while it streams"
    watch.assert_nothing_happened()
    (notebook.path.parent / "shown").touch()
    notebook.wait()

    def look(when: str) -> None:
        page.get_by_text("Show more outputs").click()  # JupyterLab shows the first fifty
        page.locator(OUTPUTS).nth(len(ATTACKS)).wait_for(state="attached")
        page.evaluate(TYPESET)
        assert page.evaluate(TRUSTED)
        assert page.evaluate(FINAL) == [], when
        watch.assert_nothing_happened()

    look("in the cell that ran")
    notebook.save()
    notebook.reload()
    look("opened again, and trusted")
    _look_at_export(notebook.path, chromium)


def _look_at_export(path: Path, chromium: Browser) -> None:
    exported = path.with_suffix(".html")
    subprocess.run([sys.executable, "-m", "nbconvert", "--to", "html", str(path)], check=True, capture_output=True)
    page = chromium.new_page()
    page.route("https://**", lambda route: route.abort())  # nbconvert's own: MathJax, RequireJS and Mermaid
    watch = Watch(page, "file:", "https://cdnjs.cloudflare.com/")
    page.goto(exported.as_uri())
    assert page.locator(OUTPUTS).count() == len(ATTACKS) + 1
    assert page.evaluate(FINAL) == [], "exported"
    watch.assert_nothing_happened()
    page.close()


def test_no_random_document_has_a_way_through(lab: Lab) -> None:
    page = lab.open(one_cell("1"), "fuzz.ipynb").page
    watch = Watch(page, address(page))
    pieces = random.Random(20261126)
    pool = [*FRAGMENTS, *FRAGMENTS, *ATTACKS.values()]
    answers = {str(n): "".join(pieces.choices(pool, k=pieces.randint(2, 16))) for n in range(DOCUMENTS)}
    for script, documents in _in_places(made(answers)):
        found = page.evaluate(script, list(documents.values()))
        assert [(source, faults) for source, faults in zip(documents.values(), found, strict=True) if faults] == []
    watch.assert_nothing_happened()


def _in_places(texts: dict[str, dict[str, str]]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield what to run in a page, and on what: also on the HTML that nbconvert makes of what JupyterLab renders."""
    yield INSERT, texts["live"]
    yield RENDER, texts["final"]
    yield INSERT, {name: markdown2html(text) for name, text in texts["final"].items()}


@pytest.mark.spoils
def test_each_guard_is_missed(lab: Lab) -> None:
    page = lab.open(one_cell("1"), "guards.ipynb").page
    watch = Watch(page, address(page))
    guarded = made(ATTACKS)
    assert not _gets_through(page, watch, {"final": {}, "live": {}}, guarded)
    unguarded = zip(GUARDS, without(GUARDS, ATTACKS), strict=True)
    assert [guard.name for guard, made in unguarded if not _gets_through(page, watch, guarded, made)] == []


def _gets_through(
    page: Page, watch: Watch, guarded: dict[str, dict[str, str]], unguarded: dict[str, dict[str, str]]
) -> bool:
    """Tell whether any attack has an effect in what is made of it without a guard."""
    changed = {place: dict(texts.items() - guarded[place].items()) for place, texts in unguarded.items()}
    watch.asked.clear()
    for script, documents in _in_places(changed):
        texts = iter(documents.values())
        while few := list(islice(texts, 20)):
            if any(page.evaluate(script, few)) or watch.asked:
                return True
    return False
