"""Small tables, in the three forms that front ends show."""

from __future__ import annotations

from mixroute_magic.display.preview import Preview
from mixroute_magic.tables import Table
from mixroute_magic.usage.estimate import estimate_tokens
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
    assert estimate_tokens([Message("user", "漢" * 40), Message("user", "")]) == 38
