from __future__ import annotations

from collections import Counter
from html.parser import HTMLParser

import pytest
from IPython.core.formatters import DisplayFormatter
from markdown_it import MarkdownIt

from mixroute_magic.usage.report import UsageReport
from mixroute_magic.usage.totals import TokenSum, Totals

GLM = Totals(
    "glm-5",
    statuses=Counter(complete=3),
    input_tokens=TokenSum(12345),
    output_tokens=TokenSum(1000),
    cached_tokens=TokenSum(0, unknown=3),
    reasoning_tokens=TokenSum(0),
)
DEEPSEEK = Totals(
    "deepseek-r1",
    statuses=Counter(complete=1200, failed=1, interrupted=2),
    input_tokens=TokenSum(700, unknown=2),
    output_tokens=TokenSum(70),
    cached_tokens=TokenSum(7, unknown=1),
    reasoning_tokens=TokenSum(40),
)
DEMO = Totals("glm-5", demo=True, statuses=Counter(complete=9), input_tokens=TokenSum(999))

TABLE = [
    ["model", "requests", "input tokens", "output tokens", "cached", "reasoning"],
    ["deepseek-r1", "1,203 (1 failed, 2 interrupted)", "≥ 700 (2 unknown)", "70", "≥ 7 (1 unknown)", "40"],
    ["glm-5", "3", "12,345", "1,000", "unknown", "0"],
    ["Total", "1,206 (1 failed, 2 interrupted)", "≥ 13,045 (2 unknown)", "1,070", "≥ 7 (4 unknown)", "40"],
    ["glm-5 (demo)", "9", "999", "0", "0", "0"],
]


class Table(HTMLParser):
    """The rows of an HTML table as a browser reads them, and which tags and scopes it met."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: set[str] = set()
        self.scopes: list[str | None] = []
        self._in_cell = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._in_cell = tag in {"th", "td"}
        if tag == "tr":
            self.rows.append([])
        if self._in_cell:
            self.rows[-1].append("")
        if tag == "th":
            self.scopes.append(dict(attrs).get("scope"))

    def handle_endtag(self, tag: str) -> None:
        self._in_cell = self._in_cell and tag not in {"th", "td"}

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self.rows[-1][-1] += data


def rendered(report: UsageReport) -> dict[str, str]:
    """Return the report as IPython puts it into an output."""
    data, _ = DisplayFormatter().format(report)
    return {mime: data[mime] for mime in ("text/plain", "text/markdown", "text/html")}


def test_html_and_markdown_are_the_same_table() -> None:
    shown = rendered(UsageReport([DEEPSEEK, GLM, DEMO]))
    assert Table(shown["text/html"]).rows == TABLE
    assert Table(MarkdownIt().enable("table").render(shown["text/markdown"])).rows == TABLE


def test_text_is_the_same_table_aligned() -> None:
    lines = rendered(UsageReport([DEEPSEEK, GLM, DEMO]))["text/plain"].splitlines()
    header, rule, *body = lines[2:8]
    assert {len(line) for line in (header, rule, *body)} == {len(header)}
    ends = [index for index, dash in enumerate(rule + " ") if dash == " "][::2]
    starts = [0, *(end + 2 for end in ends)]
    columns = [[line[start:end] for line in (header, *body)] for start, end in zip(starts, ends, strict=False)]
    assert [[cell.strip() for cell in row] for row in zip(*columns, strict=True)] == TABLE
    assert all(cell == cell.strip().ljust(len(cell)) for cell in columns[0])
    assert all(cell == cell.strip().rjust(len(cell)) for column in columns[1:] for cell in column)


@pytest.mark.parametrize("mime", ["text/plain", "text/markdown", "text/html"])
def test_notes_explain_only_what_is_there(mime: str) -> None:
    plain = Totals("glm-5", statuses=Counter(complete=1), input_tokens=TokenSum(3))
    everything = rendered(UsageReport([DEEPSEEK, DEMO]))[mime]
    simple = rendered(UsageReport([plain]))[mime]
    for text in everything, simple:
        assert "Tokens of this session, as reported by the gateway." in text
    assert "the gateway reported no count" in everything
    assert "offline demo gateway" in everything
    assert "unknown" not in simple
    assert "demo" not in simple


@pytest.mark.parametrize("mime", ["text/plain", "text/markdown", "text/html"])
def test_an_empty_report_is_a_sentence(mime: str) -> None:
    text = rendered(UsageReport([]))[mime]
    assert text in {"No requests recorded in this session yet.", "<p>No requests recorded in this session yet.</p>"}


def test_a_report_of_demo_requests_only_has_spent_nothing() -> None:
    rows = Table(UsageReport([DEMO])._repr_html_()).rows
    assert rows[1:] == [["glm-5 (demo)", "9", "999", "0", "0", "0"]]


def test_html_without_notes_is_the_table_alone() -> None:
    plain = UsageReport([Totals("glm-5", statuses=Counter(complete=1), input_tokens=TokenSum(3))])
    assert plain._repr_html_().endswith("</table>")


def test_every_header_cell_says_what_it_heads() -> None:
    assert Table(UsageReport([GLM])._repr_html_()).scopes == ["col"] * 6 + ["row"] * 2


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "a|b", "_x_ *y* `z`", r"$a$ \$", "[a](javascript:b)", "~~a~~"]
)
def test_a_model_name_is_never_markup(name: str) -> None:
    report = UsageReport([Totals(name, statuses=Counter(complete=1))])
    plain_tags = Table(UsageReport([GLM])._repr_html_()).tags
    shown = Table(report._repr_html_())
    assert shown.rows[1][0] == name
    assert shown.tags <= plain_tags
    read = Table(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(report._repr_markdown_()))
    assert read.rows[1][0] == name
    assert not read.tags & {"script", "em", "strong", "code", "a", "s"}


def test_a_model_name_with_line_breaks_stays_in_its_row() -> None:
    report = UsageReport([Totals("a\n\n| b", statuses=Counter(complete=1))])
    read = Table(MarkdownIt().enable("table").render(report._repr_markdown_()))
    assert [row[0] for row in read.rows] == ["model", "a | b", "Total"]
