"""What an answer's Markdown becomes when it is done: source that shows the same and does nothing."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from mixroute_magic.display.markdown import as_html, make_safe
from mixroute_magic.outside import without_controls

ORDINARY = """\
# A heading, 標題

Some *emphasis*, **strength**, ~~regret~~, `inline code`, a < b, 1 <2, x<3 and AT&T; wow!
[A link](https://a.b/c_(d) "t").

1. first
2. second
   - nested, with `List[str]`
   - [ ] a task

   ```python
   if rows[0]:
       print("deep")
   ```

> quoted 中文，引號「」

| name | value |
|---|--:|
| α | `1` |

```python
def f(x: dict[str, int]) -> None: ...
```

~~~
no language
~~~

Inline $a_1 + b$, display

$$
E = mc^2
$$

and $x$. See https://example.org/a?b=1&c=2 or <mailto@example.org>.

[ref]: https://example.org "Title"
"""

WORDS = [
    "a",
    "text",
    "# ",
    "- ",
    "1. ",
    "> ",
    "```",
    "~~~",
    "`",
    "*",
    "|",
    "|---|",
    "\n",
    "\n",
    "\n\n",
    " ",
    "    ",
    "===",
]
DOCUMENTS = st.lists(st.sampled_from(WORDS), max_size=40).map("".join)


def plain(source: str) -> str:
    """Render with another configuration than ours: the one that lets raw HTML through."""
    return MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(source)


class TestMakeSafe:
    def test_formulas_in_parentheses_and_brackets_are_written_with_dollars(self) -> None:
        written = "So \\( x_1 < y \\) and\n\\[\nx\n\\]\nbut `\\(x\\)`, \\\\[2pt] and \\(a $ b\\)."
        shown = "So $x_1 < y$ and\n$$\nx\n$$\nbut `\\(x\\)`, \\\\[2pt] and \\(a $ b\\)."
        assert make_safe(written) == shown

    def test_an_ordinary_answer_is_unchanged(self) -> None:
        ordinary = ORDINARY.replace("<mailto@example.org>", "mail@example.org")
        assert make_safe(ordinary) == ordinary

    @given(DOCUMENTS)
    def test_text_without_markup_reads_the_same(self, document: str) -> None:
        assert "".join(plain(make_safe(document)).split()) == "".join(plain(document).split())

    @pytest.mark.parametrize(
        ("source", "safe"),
        [
            ("a <b>c</b>", "a &lt;b>c&lt;/b>"),
            ("<!-- x -->", "&lt;!-- x -->"),
            ("see <https://a.b>", "see [https://a.b](https://a.b)"),
            ("$a<b$", "$a< b$"),
            ("![alt](https://a.b/c.png)", "[alt](https://a.b/c.png)"),
            ("vec![1]", "vec&#33;[1]"),
            ("[x](javascript:y)", "[x]&#40;javascript:y)"),
            ("[x](java&Tab;script:y)", "[x]&#40;java&Tab;script:y)"),
            ("[x](/etc/passwd)", "[x]&#40;/etc/passwd)"),
            ('[x](https://a$" onclick="y" $)', '[x]&#40;https://a%24" onclick="y" $)'),
            ('https://a$" onclick="y" $', 'https://a%24" onclick="y" $'),
            ('[x]: https://a.b "one line"', '[x]: https://a.b "one line"'),
            ('[x]: https://a.b "open', '[x]&#58; https://a.b "open'),
            ('[x]: https://a.b\n"next line"', '[x]&#58; https://a.b\n"next line"'),
            ("[x]: https://a.b\n[y]: https://c.d", "[x]: https://a.b\n[y]: https://c.d"),
            (r"$\href{javascript:x}{y}$", r"$\text{javascript:x}{y}$"),
            (r"$\hr&#101;f{x}{y}$", r"$\hr&amp;#101;f{x}{y}$"),
            ("`<b>`", "<code>&#60;b&#62;</code>"),
            ("- ```\n  <b>\n  ```", "- <pre><code>&#60;b&#62;</code></pre>"),
            ("text\n\n    <b>\n    c", "text\n\n<pre><code>&#60;b&#62;&#10;c</code></pre>"),
            ("text\n```\n<b>\n```\nmore", "text\n\n```text\n<b>\n```\n\nmore"),
            ("```html\n<b>\n```", "```html\n<b>\n```"),
            ("~~~html\n<b>", "~~~html\n<b>\n~~~"),
            ("````\n```\n<b>\n```\n````", "````text\n```\n<b>\n```\n````"),
            ('```py "><b>\nx\n```', "```py\nx\n```"),
            ("[open\n\n```\n<b>\n```", "&#91;open\n\n```text\n<b>\n```"),
            ("```python\nx", "```python\nx\n```"),
            ("```\nx\n\t```", "```\nx\n\t```\n```"),
            ("```mermaid\ngraph LR; A-->B\n```", "```mermaid\ngraph LR; A-->B\n```"),
            ("- ```mermaid\n  A\n  ```", "- <pre><code>A</code></pre>"),
            ("```mermaid\nA@{ img: 'https://a.b' }\n```", "```text\nA@{ img: 'https://a.b' }\n```"),
            ("``` x\" y='`b`", "&#96;&#96;&#96; x\" y='`b`"),
            ("``` a ``` b&c", "&#96;&#96;&#96; a &#96;&#96;&#96; b&c"),
            ("- [ ] [x]: javascript:y", "- [ ] [x]&#58; javascript:y"),
            ("[x `y`\n\nz]: javascript:y", "[x `y`\n\nz]&#58; javascript:y"),
            (r"$\unicode[x;position:fixed]{65}$", r"$\text[x;position:fixed]{65}$"),
            ("a\x1b[31m\x07b\x00", "a[31mb"),
            ("[click", "&#91;click"),
            ("- [a\n[b\\", "- &#91;a\n&#91;b\\"),
            ("[click\n\n```\ninert\n```\n\nmore", "&#91;click\n\n```\ninert\n```\n\nmore"),
            ("see [a and `x[`", "see [a and `x[`"),
            ("$$\n```\n$$<b>\n```", "$$\n<pre><code>&#36;&#36;&#60;b&#62;</code></pre>"),
            ("ftp://a and `ftp://b`", "ftp&#58;//a and <code>ftp&#58;//b</code>"),
            (r"\href&#97; \hr&#101;f", r"\text&amp;#97; \hr&amp;#101;f"),
            ("", ""),
        ],
    )
    def test_what_could_act_is_written_as_text(self, source: str, safe: str) -> None:
        assert make_safe(source) == safe

    @given(
        st.lists(st.sampled_from([*WORDS, "<b>", "<!--", "![", "](javascript:x)", "$", "\\["]), max_size=30).map(
            "".join
        )
    )
    def test_no_element_and_no_bad_link_comes_through(self, document: str) -> None:
        html = plain(make_safe(document))
        assert "<b" not in html.replace("<blockquote", "").replace("<br", "")
        assert "<!--" not in html
        assert "<img" not in html
        assert 'href="javascript' not in html


def test_text_as_html_is_one_line_that_means_only_itself() -> None:
    text = "*a* <b> $x$ `c`\n[d](e) \\href{f}"
    html = as_html(text)
    assert not set("<>*$`[]()\\\n") & set(html.replace("<br>", ""))
    assert plain(html).count("<") == 3  # the paragraph and the line break
    assert "href" not in html


def test_controls_go_and_lines_stay() -> None:
    assert without_controls("a\tb\nc\r\x00\x1b\x7f\x9b") == "a\tb\nc"


@pytest.mark.parametrize(
    "unit",
    [
        "Some *words*, `code`, [a link](https://a.b), $x$.\n\n",
        "word ",
        "中",
        "- [a\n",
        "!",
        "`` ` ",
        "$$ ",
        "```html\n<b>\n```\n\n",
    ],
)
def test_ten_times_the_text_costs_about_ten_times_as_much(unit: str) -> None:
    def cost(length: int) -> float:
        text = unit * (length // len(unit))
        begun = time.process_time()
        make_safe(text)
        return time.process_time() - begun

    most = 40 * max(cost(10_000), 0.003)  # the square would be a hundred
    assert any(cost(100_000) < most for _ in range(2))
