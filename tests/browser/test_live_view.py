"""The live view in JupyterLab: text that grows, the Markdown that stays, and hostile answers that do nothing."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import nbformat
from kernels import FEED

from mixroute_magic.display.markdown import make_safe

if TYPE_CHECKING:
    from conftest import Lab

SETUP = f"""{FEED}
import pathlib
def wait_for(name):
    while not pathlib.Path(name).exists():
        time.sleep(0.02)
"""
FINISH = """
view.finish(Ending(reply=builder.reply(1.2), status="complete", metadata={"version": 1}))
"""
TEXT_LENGTH = "() => document.querySelector('.mr-answer')?.textContent.length ?? 0"
ATTACK = "window.pwned = true"
FRAGMENTS = [
    *[
        "\n",
        "\n",
        "\n\n",
        "\n\n",
        " ",
        "    ",
        "\t",
        "- ",
        "> ",
        "1. ",
        "# ",
        "text",
        "|",
        "*",
        "~",
        "\\",
        "\r",
        "\u2028",
    ],
    *[
        "```",
        "````",
        "~~~",
        "`",
        "``",
        "$",
        "$$",
        "\\\\(",
        "\\\\)",
        "\\begin{x}",
        "\\end{x}",
        "{",
        "}",
        "@@0@@",
    ],
    *[
        '[a]: b "',
        "[a]: http://x",
        "[a]: javascript:x",
        "[a]:",
        "[x",
        "](",
        "(",
        ")",
        '"',
        "[a]",
        "![a]",
        "\n]: http://y\n",
    ],
    *[
        f"<img src=x onerror={ATTACK}>",
        f"<script>{ATTACK}</script>",
        "<",
        "<!--",
        "-->",
        "</pre>",
        "<pre>",
        "&lt;",
        "&#60;img>",
    ],
    *[
        "![a](http://127.0.0.1:1/x.png)",
        "[x](javascript:x)",
        "[x](java&Tab;script:x)",
        "<javascript:x>",
        "<https://a$b>",
    ],
    *[
        "http://a",
        'www.a.b$" onmouseover=x $',
        '[x](http://a(b)$" onmouseover="x" $)',
        '``` x" onmouseover="',
        '```py "x"',
    ],
    *[
        "$\\href{javascript:x}{y}$",
        "\n```\n",
        f"\n\n```html\n<img src=x onerror={ATTACK}>\n```\n\n",
        "- ```\n  <b>\n  ```\n",
    ],
]
# Each of these was a way through an earlier version, or through JupyterLab's own renderer.
HOLES = [
    f'[x](http://a$" onmouseover="{ATTACK}" $)',
    f'http://a$" onmouseover="{ATTACK}" $',
    f'``` x" onmouseover="{ATTACK}\ny\n```',
    f"[x\n\n```html\n]: http://y\n<img src=x onerror={ATTACK}>\n```",
    f'[a]: http://x "\n\n```html\n"\n<img src=x onerror={ATTACK}>\n```',
    f'```py "x"http://a$" onmouseover="{ATTACK}" $`<img src=x onerror=x>`\n\n',
    '```mermaid```html\\www.a.b$" onmouseover=x $    <img src=x onerror=x>',
    f'```**``` x" onmouseover="{ATTACK}* \\\\]\n```\n<div\n```\n\n',
    "[a\n\nb]: javascript:x\n\n[a b]",
    "- [ ] [a]: javascript:x\n\n[a]",
    "$\\unicode[x;position:fixed]{65}$",
]
# Rendered as in a cell that its user ran: trusted, so that nothing is sanitised.
RENDER = """async (documents) => {
  const allowed = new Set(("P H1 H2 H3 H4 H5 H6 A CODE PRE UL OL LI BLOCKQUOTE EM STRONG DEL BR HR TABLE THEAD TBODY " +
    "TR TH TD SPAN INPUT").split(" "));
  const rendermime = window.jupyterapp.shell.currentWidget.content.rendermime;
  const faults = [];
  for (const source of documents) {
    const renderer = rendermime.createRenderer("text/markdown");
    await renderer.renderModel(rendermime.createModel({ data: { "text/markdown": source }, trusted: true }));
    for (const element of renderer.node.querySelectorAll("*")) {
      const names = element.getAttributeNames();
      const address = element.getAttribute("href") ?? "http://";
      const known = /^(href|class|id|target|rel|align|style|start|type|disabled|checked|data-jupyter-id)$/;
      if (!allowed.has(element.tagName) || !names.every((name) => known.test(name)) ||
          !/^(https?:|mailto:|#)/.test(address)) {
        faults.push([source, element.outerHTML]);
      }
    }
    renderer.dispose();
  }
  return faults;
}"""


def notebook(*cells: str) -> nbformat.NotebookNode:
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])


def test_text_grows_in_the_page_and_ends_as_markdown(lab: Lab) -> None:
    answer = "\n".join(f"show(text='Paragraph {number} *here*.\\n\\n')\nwait_for('go{number}')" for number in range(3))
    page = lab.open(notebook(f"{SETUP}wait_for('go')\n{answer}\n{FINISH}"), "grow.ipynb")
    page.start()
    status = page.page.locator(".mr-clock")
    status.get_by_text("glm-5 · waiting").wait_for()
    (page.path.parent / "go").touch()
    lengths = [0]
    for number in range(3):
        page.page.wait_for_function(f"({TEXT_LENGTH})() > {lengths[-1]}")
        lengths.append(page.page.evaluate(TEXT_LENGTH))
        assert not page.page.evaluate("window.ran")
        (page.path.parent / f"go{number}").touch()
    page.wait()
    page.page.locator(".jp-RenderedMarkdown em", has_text="tokens unknown").wait_for()
    assert page.page.locator(".mr-reply").count() == 0
    assert lengths == sorted(set(lengths))
    (output,) = page.save().cells[0].outputs
    assert output.metadata["mixroute"] == {"version": 1}
    assert output.data["text/plain"].startswith("Paragraph 0 *here*.")


def test_each_state_has_its_words(lab: Lab) -> None:
    states = "view.retrying('the gateway is busy', 30.0)\nwait_for('b')\nshow(reasoning='one two')\nwait_for('c')\n"
    states += "view.running('weather')\nwait_for('d')\nshow(text='Hello')\nwait_for('e')\n"
    page = lab.open(notebook(f"{SETUP}{states}{FINISH}"), "states.ipynb")
    page.start()
    status, spoken = page.page.locator(".mr-clock"), page.page.get_by_role("status").locator(":scope.mr-phase")
    for words, phase, go_on in [
        ("the gateway is busy · again in", "retrying", "b"),
        ("glm-5 · thinking", "thinking", "c"),
        ("glm-5 · running weather", "running weather", "d"),
        ("· ≈ 1 tokens", "answering", "e"),
    ]:
        status.get_by_text(words).wait_for()
        assert spoken.text_content() == f"glm-5 is {phase}"
        (page.path.parent / go_on).touch()
    page.wait()
    page.page.locator(".jp-OutputArea details summary", has_text="Reasoning (2 words)").wait_for()


def test_a_hostile_answer_does_nothing_live_or_at_the_end(lab: Lab) -> None:
    attacks = [*HOLES, *(fragment for fragment in FRAGMENTS if len(fragment) > 9)]
    hostile = "\n\n".join([*sorted(attacks, key=lambda attack: "```" in attack), "The end."])
    show = f"show(reasoning={hostile!r})\nshow(text={hostile!r})\nwait_for('shown')\n"
    page = lab.open(notebook(f"{SETUP}{show}{FINISH}"), "hostile.ipynb")
    requests: list[str] = []
    page.page.on("request", lambda request: requests.append(request.url))
    page.start()
    page.page.locator(".mr-answer", has_text="The end.").wait_for()
    armed = page.page.locator(".jp-OutputArea").locator("img, script, [onmouseover], [href^=javascript]")
    assert armed.count() == 0
    (page.path.parent / "shown").touch()
    page.wait()
    page.page.locator(".jp-RenderedMarkdown em", has_text="tokens unknown").wait_for()
    assert armed.count() == 0
    assert page.page.evaluate("window.pwned") is None
    assert not [url for url in requests if ":1/" in url or url.startswith(("http://a", "http://x", "https://a"))]


def test_jupyterlab_reads_no_markup_in_any_safe_document(lab: Lab) -> None:
    page = lab.open(notebook("1"), "fuzz.ipynb").page
    pieces = random.Random(20261123)
    documents = ["".join(pieces.choices(FRAGMENTS, k=pieces.randint(2, 16))) for _ in range(400)]
    assert page.evaluate(RENDER, [make_safe(document) for document in [*HOLES, *documents]]) == []
    unsafe = page.evaluate(RENDER, HOLES[:3])
    assert len(unsafe) >= 3, "the check itself sees what an unguarded renderer does"
    assert page.evaluate("window.pwned") is None
