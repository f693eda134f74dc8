"""What comes from outside, in amounts and depths that nobody means: bounded, and shown as what it is."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from calling import part, parts
from scripted import DONE, STOP, answer, delta, event, reply, scripted

from mixroute_magic import Client
from mixroute_magic import errors as e
from mixroute_magic.conversation.memory import Notebook
from mixroute_magic.conversation.model import Run
from mixroute_magic.display.blocks import Blocks
from mixroute_magic.display.formats import code_in, to_markdown
from mixroute_magic.display.markdown import make_safe
from mixroute_magic.display.output import Ending, Shown, bundle
from mixroute_magic.display.preview import Preview
from mixroute_magic.outside import MOST_NESTED, is_visible, load_json, visible, without_controls
from mixroute_magic.reply import Reply
from mixroute_magic.tables import Table
from mixroute_magic.wire import Message, Request

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HELLO = [{"role": "user", "content": "hello"}]
BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
UNSEEN = f"\x1b\x00\x7f\x9b\u200b\u2060\ufeff{BIDI}"
TROJAN = "```python\nif level != 'user\u202e \u2066# only for admins\u2069 \u2066':\n    pass\n```"  # CVE-2021-42574


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def costs_at_most_in_proportion(work: Callable[[int], Any], size: int, *, times: int = 8) -> bool:
    """Say whether so many times as much takes no more than about so many times as long: the square would be more."""

    def cost(amount: int) -> float:
        begun = time.process_time()
        work(amount)
        return time.process_time() - begun

    work(size)  # imports
    return min(cost(size * times) for _ in range(2)) < times * times / 2.5 * max(cost(size), 0.003)


class TestText:
    def test_what_acts_or_hides_goes_and_what_scripts_and_emoji_need_stays(self) -> None:
        assert without_controls(f"a{UNSEEN}b") == "ab"
        kept = "שלום\u200f \u200eمی\u200cخواهم 👩\u200d💻 ❤\ufe0f 全\u3000形 a\u00a0b\tc\n"
        assert without_controls(kept) == kept

    def test_what_is_not_seen_is_written_as_json_does(self) -> None:
        assert visible("a\x1b\u202e\u200b\u3164\u034fb", also="") == r"a\u001b\u202e\u200b\u3164\u034fb"
        assert visible("全\u3000形 ❤\ufe0f") == "全\u3000形 ❤\ufe0f"
        assert is_visible("weather('台北')")
        assert not is_visible("a\ufe00")

    def test_code_reads_in_the_order_in_which_it_runs(self) -> None:
        shown = [make_safe(TROJAN), to_markdown(TROJAN, "text"), code_in(TROJAN), bundle(ending(TROJAN))["text/plain"]]
        blocks = Blocks()
        blocks.add(TROJAN)
        frame = blocks.take(ended=True)
        for text in (*shown, frame.text, frame.html):
            assert "only for admins" in text
            assert not set(BIDI) & set(text)

    @pytest.mark.parametrize("place", ["model", "finish_reason", "note", "error", "name"])
    def test_nothing_in_an_output_acts_on_a_terminal(self, place: str) -> None:
        said = f"<{UNSEEN}{place}{UNSEEN}>"
        reply = Reply(text="a", model=said if place == "model" else "m", finish_reason=said)
        notes, error = ([said] if place == "note" else []), ([said] if place == "error" else [])
        alternatives = [ending("a", name=said), ending("b", name="m")] if place == "name" else []
        shown = bundle(Ending(reply=reply, status="failed", notes=notes, error=error, alternatives=alternatives))
        for text in shown.values():
            assert not set(UNSEEN) & set(text)
        if place != "finish_reason" or not alternatives:
            assert place in shown["text/plain"].replace("&#95;", "_")

    def test_tables_sentences_and_previews_show_names_as_what_they_are(self) -> None:
        said = f"talk{UNSEEN}.ipynb"
        table = Table(caption=said, header=[said], rows=[[said]], notes=[said])
        sentence = Table(caption=said, notes=[said])
        preview = Preview("Nothing was sent.", [Request("m", (Message("user", said),))])
        shown = Shown(said, [], {})
        for output in (table, sentence, preview, shown):
            data = output._repr_mimebundle_()
            for text in (data[0] if isinstance(data, tuple) else data).values():
                assert not set(UNSEEN) & set(text)
        assert r"talk\u001b\u0000\u007f\u009b\u200b" in repr(table)

    @pytest.mark.parametrize("status", [200, 400, 401, 404, 429, 500])
    def test_no_error_of_a_gateway_acts_on_a_terminal(self, status: int) -> None:
        said = {"error": {"message": f"no{UNSEEN}", "code": f"c{UNSEEN}", "type": f"t{UNSEEN}"}}
        header = "req\x1b]0;x\x07\x9b2J"
        script = reply(status, said, x_request_id=header).replace(b"x-oneapi-request-id: req-1\r\n", b"")
        error = refused(script, retries=0)
        assert not set(UNSEEN) & set("".join([str(error), *error.lines()]))
        assert "Request id: req\\u001b]0;x" in error.lines()[-1]

    def test_no_finish_reason_and_no_tool_acts_on_a_terminal(self) -> None:
        ended = event({"choices": [{"delta": {}, "finish_reason": f"why{UNSEEN}"}]})
        error = refused(answer(ended))
        assert r"finish reason: why\u001b" in str(error)


def ending(text: str, **more: Any) -> Ending:
    return Ending(reply=Reply(text=text, model="m"), status="complete", **more)


def refused(script: Any, **settings: Any) -> e.MixRouteError:
    with scripted(script) as gateway, Client(gateway.base_url, **settings) as client:
        with pytest.raises(e.MixRouteError) as caught:
            client.chat(HELLO, model="glm-5")
        return caught.value


def taken(*pieces: bytes) -> Reply:
    with scripted(answer(*pieces, STOP, DONE)) as gateway, Client(gateway.base_url, retries=0) as client:
        return client.chat(HELLO, model="glm-5")


_NO_COUNTS = ["-5", "1e30", "1" + "0" * 30, "1" + "0" * 400, "NaN", "Infinity", "-Infinity", '"x"']


class TestJson:
    def test_it_is_read_as_deep_as_anything_means_something(self) -> None:
        assert json.dumps(load_json(nested(MOST_NESTED))) == nested(MOST_NESTED)
        assert load_json(b'{"a": [1, {"b": null}]}') == {"a": [1, {"b": None}]}
        wide = f"[{','.join(['{}'] * 1000)}]"
        assert len(load_json(wide)) == 1000
        for text in (nested(MOST_NESTED + 1), nested(100_000), '{"a":' * 500 + "1" + "}" * 500, "NaN[", ""):
            with pytest.raises(ValueError, match=r"nested|Expecting|Extra"):
                load_json(text)

    @pytest.mark.parametrize("depth", [90, 400, 480, 980, 100_000])
    @pytest.mark.parametrize(
        "chunk",
        [
            '{"choices": [], "more": DEEP}',
            '{"choices": [{"delta": {"content": [{"text": DEEP}]}}]}',
            '{"choices": [{"delta": {"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": DEEP}}]}}]}',
            '{"choices": [{"delta": {"tool_calls": [{"id": "a", "extra": DEEP, "function": {"name": "f"}}]}}]}',
            '{"error": {"message": DEEP, "code": DEEP}}',
        ],
    )
    def test_a_chunk_without_end_is_an_error_and_no_crash(self, chunk: str, depth: int) -> None:
        text = chunk.replace("DEEP", '[{"text":' * (depth // 2) + "1" + "}]" * (depth // 2))
        if depth < MOST_NESTED and "error" not in text:
            assert taken(delta("a"), event(text.encode())).text == "a"
            return
        told = r"could not be read" if depth > MOST_NESTED else r"reported an error"
        with pytest.raises(e.StreamError, match=told):
            taken(delta("a"), event(text.encode()))

    @pytest.mark.parametrize("depth", [400, 100_000])
    def test_an_answer_that_is_json_without_end_is_shown_as_text(self, depth: int) -> None:
        for form in ("json", "record"):
            shown = bundle(ending(nested(depth), form=form))
            assert nested(depth) in shown["text/plain"]

    @pytest.mark.parametrize("wait", ["1e308", "1e9", "-5", "nan", "inf", "9" * 400, "Fri, 31 Dec 99999 23:59:59 GMT"])
    def test_a_wait_that_nobody_means_is_not_told(self, wait: str) -> None:
        error = refused(reply(429, {"error": {"message": "slow"}}, retry_after=wait), retries=0)
        assert error.retry_after is None
        assert error.hint == "Wait a little, then run the cell again."

    @pytest.mark.parametrize("count", _NO_COUNTS)
    def test_a_count_that_is_none_is_unknown(self, count: str) -> None:
        usage = (
            f'{{"choices": [], "created": {count}, "usage": {{"prompt_tokens": {count}, "completion_tokens": 3.0}}}}'
        )
        reply = taken(delta("a"), event(usage.encode()))
        assert (reply.usage.input_tokens, reply.usage.output_tokens) == (None, 3)


class TestAmounts:
    @pytest.mark.parametrize(
        "unit",
        ["a\n\n", "word ", "x", "```\nx\n```\n", "> ", "- ", "- x\n", "[", "*a **", "|a", "&", "\u202e", "[a](", "\n"],
    )
    def test_an_answer_costs_in_proportion_to_its_length(self, unit: str) -> None:
        def show(amount: int) -> None:
            text = unit * amount
            blocks = Blocks()
            for start in range(0, len(text), 4000):
                blocks.add(text[start : start + 4000])
                blocks.take()
            blocks.take(ended=True)
            make_safe(text)

        assert costs_at_most_in_proportion(show, 300)

    @pytest.mark.parametrize(
        "piece",
        [
            lambda place: part("{}", index=place, id=f"c{place}", name="f"),
            lambda place: part("{}", id=f"c{place}", name="f"),
            lambda _: part("{}", index=10**9, name="f"),
            lambda _: part("[1,", index=0, id="c", name="f"),
            lambda place: {"index": 0, "id": "c", f"x{place}": 1, "function": {"name": "f"}},
        ],
        ids=["calls", "calls without numbers", "one number for all", "pieces", "extras"],
    )
    def test_calls_cost_in_proportion_to_their_number(self, piece: Callable[[int], dict[str, Any]]) -> None:
        assert costs_at_most_in_proportion(lambda amount: taken(*(parts(piece(place)) for place in range(amount))), 250)

    def test_an_event_without_end_is_refused(self) -> None:
        assert taken(b":\n" * 5000, delta("a")).text == "a"
        assert taken(b":\n\n" * 50_000, delta("a")).text == "a"
        for line in (b":\n", b"data:\n", b"data: 1\r\n"):
            error = refused(answer(line * 200_000, b"\n", delta("a"), STOP), retries=0)
            assert str(error) == "One event of the answer has more than 10,000 lines."


def setting(number: int, **more: Any) -> dict[str, Any]:
    return {"version": 1, "kind": "setting", "created": f"2026-01-01T00:00:{number:09}", **more}


def edit(number: int, **more: Any) -> dict[str, Any]:
    head = {"edit": f"e{number}", "action": "fork", "thread": f"t{number}", "turns": [f"a{number}"]}
    return setting(number) | {"kind": "edit"} | head | more


def turn(number: int, **more: Any) -> dict[str, Any]:
    said = [{"role": "user", "content": "q"}, {"role": "assistant", "content": f"a{number}"}]
    head = {"turn": f"a{number}", "thread": "main", "status": "complete", "model": "m", "messages": said}
    return {"version": 1, "kind": "turn", **head, **more}


def opened(folder: Path, cells: list[list[Any]]) -> Notebook:
    """Return the memory of a notebook with these records in its cells, as a kernel that has just started has it."""
    path = folder / "forged.ipynb"
    code = [
        {
            "cell_type": "code",
            "id": f"c{place}",
            "metadata": {},
            "source": "",
            "execution_count": None,
            "outputs": [{"output_type": "display_data", "data": {}, "metadata": {"mixroute": one}} for one in records],
        }
        for place, records in enumerate(cells)
    ]
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": code}))
    notebook = Notebook(path)
    notebook.refresh(None, Run("run", "last"), "")
    return notebook


class TestForged:
    @pytest.mark.parametrize(
        "cells",
        [
            lambda amount: [[setting(0, before=[setting(n, thread=f"t{n}") for n in range(amount)])]],
            lambda amount: [[setting(0, before=[edit(n) for n in range(amount)])]],
            lambda amount: [[edit(n, thread="ab"[n % 2], parent="ba"[n % 2])] for n in range(amount)],
            lambda amount: [[edit(n, action="undo", undoes=f"e{n - 1}")] for n in range(amount)],
            lambda amount: [[turn(n, thread=f"t{n}")] for n in range(amount)],
            lambda amount: [[turn(n) for n in range(amount)]],
            lambda amount: [[turn(0, also_in=[f"t{n}" for n in range(amount)])]],
        ],
        ids=["before", "forks before", "circle of forks", "undos", "threads", "turns of a cell", "threads of a turn"],
    )
    def test_a_notebook_is_read_in_proportion_to_what_is_in_it(
        self, cells: Callable[[int], list[list[Any]]], tmp_path: Path
    ) -> None:
        assert costs_at_most_in_proportion(lambda amount: opened(tmp_path, cells(amount)), 200)

    def test_of_records_without_end_the_last_ones_count(self, tmp_path: Path) -> None:
        before = [setting(n, chosen={"model": f"m{n}"}) for n in range(20_000)]
        notebook = opened(tmp_path, [[setting(20_000, before=before)], []])
        notebook.refresh(None, Run("run", "c1"), "")
        assert notebook.chosen == {"model": "m19999"}

    def test_a_circle_of_forks_is_two_threads(self, tmp_path: Path) -> None:
        circle = [
            [turn(1)],
            [edit(1, thread="a", parent="b", turns=["a1"])],
            [edit(2, thread="b", parent="a", turns=["a1"])],
        ]
        assert opened(tmp_path, circle).conversation.threads() == {"main": 1, "a": 1, "b": 1}

    @pytest.mark.parametrize("depth", [400, 960, 100_000])
    def test_metadata_without_end_brings_what_is_sound_in_it(self, depth: int, tmp_path: Path) -> None:
        deep = json.dumps(turn(1)).replace('"messages"', f'"params": {{"x": {nested(depth)}}}, "messages"')
        notebook = opened(tmp_path, [["DEEP"], [turn(2)]])
        path = tmp_path / "forged.ipynb"
        path.write_text(path.read_text().replace('"DEEP"', deep))
        notebook = Notebook(path)
        notebook.refresh(None, Run("run", "last"), "")
        turns = notebook.conversation.thread()
        assert [one.params for one in turns] in ([{}, {}], [])  # all of it, or nothing where it is no JSON for Python
        assert bool(turns) == (depth < 900)
