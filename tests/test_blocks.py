"""Markdown that grows: whatever it is cut into, the page shows the same document, each block of it made once."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mixroute_magic.display.blocks import Blocks, Frame
from mixroute_magic.display.markdown import block_tokens, parser

WORDS = [
    *[
        "a",
        "text",
        "# ",
        "*",
        "`",
        "|",
        "|---|",
        "===",
        "---",
        "\\",
        "<b>",
        "&amp;",
        "😀",
        "中",
        "\ud83d",
        "\u2028",
        "\r",
    ],
    *["- ", "* ", "1. ", "2) ", "> ", "- b\n", "  - c\n", "   - d\n", "1. x\n", "   3. z\n", "- a\n\n"],
    *["```", "~~~", "```\n", "~~~ js\n", "code\n" * 45, "\nc\n" * 45, "\t~~~\n"],
    *["\n", "\n", "\n", "\n\n", "\n\n\n", " ", "  ", "    ", "\t"],
]
DOCUMENTS = st.lists(st.sampled_from(WORDS), max_size=40).map("".join)
SCALES = {
    "a list": "- item *x*\n",
    "a loose list": "- item\n\n",
    "a nested list": "  - item\n",
    "a numbered list": "1. item\n",
    "one paragraph": "word " * 4,
    "one paragraph of many lines": "word word\n",
    "a block of code": "x = 1\n\n",
    "a table": "| 1 | 2 |\n",
    "a quotation": "> word\n",
    "an open formula": "x\n",
    "definitions": "[a]: http://b\n",
}
BEGINNINGS = {
    "a nested list": "- a\n",
    "a block of code": "```python\n",
    "a table": "|a|b|\n|---|---|\n",
    "an open formula": "$$\n",
}


@dataclass
class Page:
    """What a page knows of an answer that applies each frame: the source, what is closed of it, and what is open."""

    source: str = ""
    html: str = ""
    open: str = ""
    code: bool = False

    def draw(self, frame: Frame) -> None:
        self.source += frame.text
        self.html += frame.html
        units = (self.open + frame.text).encode("utf-16-le", "surrogatepass")  # as JavaScript counts
        assert 0 <= 2 * frame.closed <= len(units)
        self.open = units[2 * frame.closed :].decode("utf-16-le", "surrogatepass")
        self.code = frame.code

    def whole(self) -> str:
        """The HTML of all of it, as if what is open had just ended."""
        fence = [token for token in block_tokens(self.source) if token.type == "fence"][-1:] if self.code else []
        began = [self.source.split("\n")[token.map[0]] + "\n" for token in fence if token.map]
        rest = parser().render("".join([*began, self.open]))
        return self.html + (rest.replace("<pre", '<pre class="mr-on"', 1) if self.code else rest)


def stream(pieces: list[str]) -> Page:
    blocks, page = Blocks(), Page()
    for piece in pieces:
        blocks.add(piece)
        page.draw(blocks.take())
    return page


def words(html: str) -> str:
    """What a person can read, without blanks."""
    found: list[str] = []
    reader = HTMLParser()
    reader.handle_data = found.append  # type: ignore[method-assign]
    reader.feed(html)
    reader.close()
    return "".join("".join(found).split())


def joined(html: str) -> str:
    """The HTML with the marked parts of a list or a block of code put together, and items tight."""
    html = re.sub(r'</code></pre>\n<pre class="mr-on"><code[^>]*>', "", html)
    html = re.sub(r'\n?</(ul|ol)>\n<\1 class="mr-on"[^>]*>\n?', "", html)
    return re.sub(r"</?p>|\n", "", html)


def cost(document: str) -> float:
    """Seconds of processor time for a document that comes in small pieces."""
    begun = time.process_time()
    blocks = Blocks()
    for start in range(0, len(document), 40):
        blocks.add(document[start : start + 40])
        blocks.take()
    return time.process_time() - begun


def test_text_is_open_until_a_later_block_closes_it() -> None:
    blocks = Blocks()
    blocks.add("Hello ")
    assert blocks.take() == Frame("Hello ")
    blocks.add("*you*")
    assert blocks.take() == Frame("*you*")
    blocks.add("\n\nNext\n")
    assert blocks.take() == Frame("\n\nNext\n", "<p>Hello <em>you</em></p>\n", len("Hello *you*\n\n"))
    assert blocks.take() == Frame()


@given(DOCUMENTS, st.data())
def test_any_cutting_shows_the_whole_document(document: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(document)))))
    page = stream([document[a:b] for a, b in pairwise([0, *cuts, len(document)])])
    assert page.source == document.replace("\r", "")
    assert page.source.endswith(page.open)
    assert words(page.whole()) == words(parser().render(page.source))


@given(DOCUMENTS)
@example("``````" + "code\n" * 45)
def test_line_by_line_the_parts_of_lists_and_code_join_to_what_they_are(document: str) -> None:
    document += "\n\n```\n```\n~~~\n~~~\n\nend\n\nend\n\n"
    page = stream(document.splitlines(keepends=True))
    assert joined(page.whole()) == joined(parser().render(page.source))


def test_each_item_of_a_list_closes_when_the_next_begins() -> None:
    page = stream(["- a\n", "- b\n", "- c"])
    assert page.html == "<ul>\n<li>a</li>\n</ul>\n"
    page = stream(["- a\n", "- b\n", "- c\n", "- d\n", "\nend\n"])
    assert page.html.count("<li>") == 4
    assert page.html.count('<ul class="mr-on">') == page.html.count("<ul") - 1


@pytest.mark.parametrize("marker", ["1. ", "7) ", "0. "])
def test_a_list_that_is_closed_in_parts_counts_on(marker: str) -> None:
    page = stream([*[f"{marker}item\n"] * 100, "\nend\n"])
    first = int(marker[0])
    numbers: list[int] = []
    for start, items in re.findall(r"<ol([^>]*)>(.*?)</ol>", page.html, re.DOTALL):
        begun = int((re.search(r'start="(\d+)"', start) or [1, 1])[1])
        numbers += range(begun, begun + items.count("<li>"))
    assert numbers == list(range(first, first + 100))


def test_items_stay_paragraphs_once_a_blank_line_has_made_them_so() -> None:
    page = stream([*["- a\n\n"] * 20, *["- b\n"] * 40, "\nend\n"])
    assert page.html.count("<li>\n<p>b</p>") == 40


def test_a_long_block_of_code_closes_in_blocks_of_lines_and_loses_none() -> None:
    code = "".join(f"line {number}\n\n" for number in range(200))
    page = stream(["```python\n", *re.findall(r".*\n\n", code), "```\n\nend\n"])
    assert page.html.count('<pre class="mr-on">') > 2
    parts = re.findall(r"<pre[^>]*><code class=\"language-python\">(.*?)</code></pre>", page.html, re.DOTALL)
    assert "".join(parts) == code


def test_the_rest_of_a_block_of_code_is_told_to_be_code() -> None:
    blocks = Blocks()
    blocks.add("```\n" + "x\n" * 60)
    assert blocks.take().code
    blocks.add("y")
    assert blocks.take() == Frame("y", code=True)
    blocks.add("\n```\n\nend\n")
    blocks.add("more\n" * 20)
    assert not blocks.take().code


@pytest.mark.parametrize("line", ["", "\t```", "    ```", "``` x", "~~~", "```\u2028"])
def test_only_a_fence_of_its_own_kind_ends_a_block_of_code(line: str) -> None:
    page = stream(["```\n", f"{line}\n", "x\n"])
    assert page.html == ""


@pytest.mark.parametrize("kind", SCALES)
def test_the_cost_stays_linear(kind: str) -> None:
    short, long = (BEGINNINGS.get(kind, "") + SCALES[kind] * times for times in (200, 2000))
    most = 40 * max(cost(short), 0.003)  # ten times the text; its square would be a hundred
    assert any(cost(long) < most for _ in range(2))


def test_a_reference_holds_for_later_blocks() -> None:
    page = stream(["[a]: https://a.b\n\npara\n\n", "[a]\n\nend\n"])
    assert '<a href="https://a.b" target="_blank" rel="noopener noreferrer">a</a>' in page.html


@pytest.mark.parametrize("link", ["[x](ftp://a.b)", "[x](/files/a.html)", "[x](data:text/html,x)", "![x](file:///x)"])
def test_only_web_and_mail_links_lead_anywhere(link: str) -> None:
    page = stream([f"{link}\n\nend\n"])
    assert "href" not in page.html
    assert "x" in page.html


def test_markup_and_images_are_never_elements() -> None:
    page = stream(["<img src=x onerror=y> ![i](https://a.b/c.png) <b>\n\n<script>\n</script>\n\nend\n"])
    assert set(re.findall(r"<(\w+)", page.html)) == {"p", "a"}


def test_windows_line_ends_are_read_as_one() -> None:
    page = stream(["a\r", "\n\r\nb\r\n"])
    assert (page.html, page.open) == ("<p>a</p>\n", "b\n")
