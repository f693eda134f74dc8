"""``-f``: an answer as Markdown, as its characters, as JSON, and its code in a new cell; the record keeps its words."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

import pytest
from kernels import Kernel
from scripted import answer, delta, scripted, whole

from mixroute_magic.display import formats

if TYPE_CHECKING:
    from collections.abc import Iterator

CODE = "First:\n\n```python\nx = 1\n```\n\n- then\n\n  ```Python\n  y = 2\n  ```\n\n```bash\nls\n```\n\nDone."
HOSTILE = "# <b>no</b> title\n\n  two  spaces $x$ | `a` \x1b[31m\n\n<script>x</script></pre>\n"


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with Kernel(tmp_path_factory.mktemp("kernel")) as running:
        yield running


def shown_characters(markdown: str) -> str:
    """Return what a page shows of one line of HTML."""
    (pre,) = re.findall(r"^<pre [^>]*>(.*)</pre>$", markdown)
    return html.unescape(pre)


class TestText:
    def test_every_character_is_shown_and_none_means_anything(self) -> None:
        markdown = formats.to_markdown(HOSTILE, "text")
        assert shown_characters(markdown) == HOSTILE.replace("\x1b", "").rstrip()
        assert not re.search(
            r"[<>`$|*_#\\]", markdown.removeprefix("<pre ").partition(">")[2].removesuffix("</pre>").replace("&#", "")
        )
        assert formats.to_plain(HOSTILE, "text") == HOSTILE.replace("\x1b", "").rstrip()

    def test_nothing_is_shown_of_nothing(self) -> None:
        assert formats.to_markdown(" \n", "text") == ""


class TestJson:
    @pytest.mark.parametrize(
        "said", ['{"a": [1, "中"]}', ' \n```json\n{"a": [1, "中"]}\n```\n', '```\n{"a":\n[1,"中"]}\n```']
    )
    def test_it_is_laid_out_in_a_fence(self, said: str) -> None:
        pretty = '{\n  "a": [\n    1,\n    "中"\n  ]\n}'
        assert formats.to_markdown(said, "json") == f"```json\n{pretty}\n```"
        assert formats.to_plain(said, "json") == pretty
        assert formats.note(said, "json") == ""

    @pytest.mark.parametrize(
        "said", ["", "No.", "{'a': 1}", "Here:\n```json\n{}\n```", "[1e999]", "[" * 100_000, "NaN"]
    )
    def test_what_is_none_is_shown_as_text_and_the_footer_says_so(self, said: str) -> None:
        assert formats.to_markdown(said, "json") == formats.to_markdown(said, "text")
        assert formats.to_plain(said, "json") == said
        assert formats.note(said, "json") == "the answer is no JSON"

    def test_no_text_in_it_ends_the_fence_or_runs(self) -> None:
        said = r'["<img src=x onerror=y>", "\n```\n<b>", "$x$", "\ud800"]'
        first, *lines, last = formats.to_markdown(said, "json").split("\n")
        assert (first, last) == ("````json", "````")
        assert lines == ["[", '  "<img src=x onerror=y>",', r'  "\n```\n<b>",', '  "$x$",', r'  "\ud800"', "]"]


class TestCode:
    def test_the_fences_in_the_language_of_the_first_go_along(self) -> None:
        assert formats.code_in(CODE) == "x = 1\n\ny = 2"
        assert formats.to_markdown(CODE, "code") == formats.to_markdown(CODE, "markdown")
        assert formats.note(CODE, "code") == ""

    @pytest.mark.parametrize("said", ["", "Use `x = 1`.", "```python\n\n```"])
    def test_where_there_is_none_the_footer_says_so(self, said: str) -> None:
        assert formats.code_in(said) == ""
        assert formats.note(said, "code") == "no code in the answer"


def test_code_goes_into_a_new_cell_and_the_record_keeps_the_answer(kernel: Kernel) -> None:
    with scripted(whole(CODE), whole("None.")) as gateway:
        kernel.run(f"%env MIXROUTE_BASE_URL={gateway.base_url}")
        ran = kernel.run("%chat -f code write", "c")
        assert ran.reply["content"]["payload"] == [
            {"source": "set_next_input", "text": "x = 1\n\ny = 2", "replace": False}
        ]
        assert ran.metadata["messages"][-1]["content"] == CODE
        ran = kernel.run("%chat -f code write", "d")
        assert ran.reply["content"]["payload"] == []
        assert "no code in the answer" in ran.text


def test_code_of_an_answer_that_broke_off_goes_nowhere(kernel: Kernel) -> None:
    with scripted(answer(delta(CODE))) as gateway:
        kernel.run(f"%env MIXROUTE_BASE_URL={gateway.base_url}")
        ran = kernel.run("%chat -f code write", "c")
        assert ran.status == "error"
        assert ran.reply["content"]["payload"] == []
        assert "no code" not in ran.text


def test_text_and_json_are_shown_as_asked_for_and_kept_as_said(kernel: Kernel) -> None:
    with scripted(whole("*a*\n<b>"), whole('{"a":1}'), whole("No.")) as gateway:
        kernel.run(f"%env MIXROUTE_BASE_URL={gateway.base_url}")
        text, pretty, none = (kernel.run(f"%chat -f {form} x", "c") for form in ("text", "json", "json"))
    assert shown_characters(text.markdown.split("\n\n")[0]) == "*a*\n<b>"
    assert text.text.startswith("*a*\n<b>\n\nserved")
    assert text.metadata["messages"][-1]["content"] == "*a*\n<b>"
    assert pretty.markdown.startswith('```json\n{\n  "a": 1\n}\n```\n\n*served')
    assert pretty.metadata["messages"][-1]["content"] == '{"a":1}'
    assert "the answer is no JSON" in none.text


def test_side_by_side_each_answer_is_shown_so_and_the_first_whole_code_goes_into_the_new_cell(kernel: Kernel) -> None:
    with scripted(whole(CODE), whole(CODE)) as gateway:
        kernel.run(f"%env MIXROUTE_BASE_URL={gateway.base_url}")
        ran = kernel.run("%chat -m a -m b -f code write", "c")
        assert [entry["text"] for entry in ran.reply["content"]["payload"]] == ["x = 1\n\ny = 2"]
    with scripted(whole("No."), whole("No.")) as gateway:
        kernel.run(f"%env MIXROUTE_BASE_URL={gateway.base_url}")
        ran = kernel.run("%chat -m a -m b -f json write", "d")
        assert ran.markdown.count("<pre style=") == ran.text.count("the answer is no JSON") == 2
