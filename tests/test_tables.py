"""Small tables, in the three forms that front ends show."""

from __future__ import annotations

import pytest

from mixroute_magic.display.preview import Preview
from mixroute_magic.reply import Reply
from mixroute_magic.tables import Table
from mixroute_magic.usage.estimate import estimate_answer, estimate_tokens
from mixroute_magic.wire import Message, Request

SHOWN = Table(
    caption="Tokens.",
    header=["model", "tokens"],
    rows=[["a|b <i>", "1"], ["模型", "12"]],
    notes=["A *note*."],
    numbers=frozenset({1}),
)


def test_text_is_aligned_with_chinese_characters_two_wide() -> None:
    assert repr(SHOWN).splitlines() == [
        "Tokens.",
        "",
        "model    tokens",
        "───────  ──────",
        "a|b <i>       1",
        "模型         12",
        "",
        "A *note*.",
    ]


def test_markdown_shows_what_is_in_the_cells_and_nothing_else() -> None:
    assert SHOWN.to_markdown() == (
        "Tokens.\n\n| model | tokens |\n| :-- | --: |\n| a\\|b &lt;i&gt; | 1 |\n| 模型 | 12 |\n\nA \\*note\\*."
    )


def test_html_is_escaped_and_its_headers_have_a_scope() -> None:
    html = SHOWN.to_html()
    assert "a|b &lt;i&gt;" in html
    assert html.count('<th scope="col"') == 2
    assert html.count('<th scope="row"') == 2
    assert '<td style="text-align: right">12</td>' in html


def test_names_and_values_need_no_header_and_a_sentence_no_rows() -> None:
    pairs = Table(caption="Set.", rows=[["model", "glm-5"]])
    assert repr(pairs) == "Set.\n\nmodel  glm-5"
    assert pairs.to_markdown() == "Set.\n\n|  |  |\n| :-- | :-- |\n| model | glm-5 |"
    assert "<thead>" not in pairs.to_html()
    sentence = Table(caption="Done.", notes=["<Really>."])
    assert repr(sentence) == "Done.\n\n<Really>."
    assert sentence.to_html() == "<p>Done.</p><p>&lt;Really&gt;.</p>"
    assert sentence.to_markdown() == "Done.\n\n&lt;Really&gt;."


def test_a_bundle_has_all_three() -> None:
    data, metadata = SHOWN._repr_mimebundle_(include=None, exclude=None)
    assert set(data) == {"text/plain", "text/markdown", "text/html"}
    assert metadata == {}


def test_a_record_goes_into_the_metadata() -> None:
    assert Table(caption="Set.", record={"kind": "setting"})._repr_mimebundle_()[1] == {"mixroute": {"kind": "setting"}}


def test_a_preview_shows_the_body_and_escapes_it() -> None:
    preview = Preview("Nothing was sent.", [Request("m", (Message("user", "</pre><script>"),))])
    bundle = preview._repr_mimebundle_()
    assert '"content": "</pre><script>"' in bundle["text/plain"]
    assert "<script>" not in bundle["text/html"]


def test_an_estimate_counts_bytes_so_that_chinese_is_not_cheap() -> None:
    assert estimate_tokens([Message("user", "x" * 40)]) == 14
    assert estimate_tokens([Message("user", "漢" * 40), Message("user", "")]) == 44


ENGLISH = (
    "Recursion is when a function calls itself on a smaller part of the problem, until that part is so small that the "
    "answer is known. Each call waits for the one below it, and the results are put together on the way back up."
)
CHINESE = (
    "遞迴是函式呼叫自己來處理較小的問題，直到問題小得可以直接回答為止。"
    "每一次呼叫都等待下一層的結果，再把結果一層一層地合起來，最後得到整個問題的答案。"
)
CODE = """def fibonacci(count: int) -> list[int]:
    numbers = [0, 1]
    while len(numbers) < count:
        numbers.append(numbers[-1] + numbers[-2])
    return numbers[:count]
"""


@pytest.mark.parametrize(("text", "tokens"), [(ENGLISH, 49), (CHINESE, 61), (CODE, 45)])
def test_an_estimate_is_within_a_quarter_of_what_gpt_4o_counts(text: str, tokens: int) -> None:
    assert estimate_answer(Reply(text, "gpt-4o")) == pytest.approx(tokens, rel=0.25)  # the vocabulary o200k
