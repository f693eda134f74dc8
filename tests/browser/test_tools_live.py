"""Tools and schemas in JupyterLab: who is asked before a function runs, and what is seen of its calls."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from scripted import DONE, STOP, USAGE, Until, answer, delta, event, scripted, whole
from test_live_view import notebook as cells

if TYPE_CHECKING:
    from conftest import Lab, NotebookPage

TOOL = '''
def get_weather(city: str, unit: str = "celsius") -> dict:
    """Get the weather of a city."""
    return {"city": city, "temperature": {"Paris": 17, "Taipei": 28}[city], "unit": unit, "sky": "a few clouds"}
'''
DEMO = f"%load_ext mixroute_magic\n%mixroute demo\n{TOOL}"
QUESTION = "%%chat -m gpt-4o --tool get_weather\nWhat is the weather in Paris and in Taipei?"
RECORDS = """
from pydantic import BaseModel
class City(BaseModel):
    name: str
    people: int
    seat_of_government: bool
    known_for: list[str] = []
Cities = list[City]
"""
LIST = """{"value": [
  {"name": "Taipei", "people": 2511886, "seat_of_government": true, "known_for": ["night markets", "Taipei 101"]},
  {"name": "Tainan", "people": 1856642, "seat_of_government": false, "known_for": ["temples"]},
  {"name": "Kaohsiung", "people": 2737941, "seat_of_government": false, "known_for": ["the harbour", "Lotus Pond"]}
]}"""
GOOD = '{"name": "Taipei", "people": 2511886, "seat_of_government": true}'
BAD = '{"name": "Taipei", "inhabitants": "2.5 million", "seat_of_government": true}'
LIVE, FINAL = ".mr-answer", ".jp-OutputArea-output.jp-RenderedMarkdown"
STDIN = ".jp-Stdin-input"
# Where things stand in the cell's output: the folded calls, and the words below them.
PLACES = """(selector) => Array.from(document.querySelectorAll(`${selector} > :is(p, details)`))
  .filter((node) => node.offsetHeight)
  .map((node) => [node.tagName, node.textContent.slice(0, 30), Math.round(node.getBoundingClientRect().top)])"""


def call(*calls: tuple[str, str]) -> bytes:
    """Return the event in which a model calls functions."""
    made = [
        {"index": number, "id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": text}}
        for number, (name, text) in enumerate(calls)
    ]
    return event({"model": "served", "choices": [{"delta": {"tool_calls": made}, "finish_reason": "tool_calls"}]})


PARIS = "get_weather", '{"city": "Paris", "unit": "celsius"}'
TAIPEI = "get_weather", '{"city": "Taipei"}'


def pictures(page: NotebookPage, name: str, *, narrow: int = 560) -> None:
    """Leave pictures for people, where they ask for them: in both themes, wide and narrow."""
    folder = os.environ.get("SCREENSHOTS")
    if not folder:
        return
    for theme in ("Dark", "Light"):
        page.set_theme(f"JupyterLab {theme}")
        for width in (narrow, 1000):
            page.page.set_viewport_size({"width": width, "height": 900})
            page.page.wait_for_timeout(300)
            page.screenshot(Path(folder) / f"tools-{name}-{theme.lower()}-{width}.png")


def type_word(page: NotebookPage, asked: str, word: str) -> str:
    """Wait until the cell asks about a call, answer, and return the question."""
    page.page.locator(".jp-Stdin-prompt", has_text=asked).wait_for()
    question = page.page.locator(".jp-Stdin-prompt").last.text_content() or ""
    page.page.locator(STDIN).last.fill(word)
    page.page.locator(STDIN).last.press("Enter")
    return question


def ask(lab: Lab, setup: str, question: str, name: str) -> NotebookPage:
    """Open a notebook, run its first cell, and start the second."""
    page = lab.open(cells(setup, question), f"{name}.ipynb")
    page.do(("at", 0), "notebook:run-cell", ("at", 1))
    page.start("notebook:run-cell")
    return page


def at(base_url: str) -> str:
    return f"import os\nos.environ['MIXROUTE_BASE_URL'] = {base_url!r}\n%load_ext mixroute_magic\n{TOOL}{RECORDS}"


def test_the_user_is_asked_with_the_arguments_and_a_refusal_is_told_to_the_model(lab: Lab) -> None:
    page = ask(lab, DEMO, QUESTION, "consent")
    page.page.locator(STDIN).wait_for()
    page.page.locator(".mr-clock", has_text="gpt-4o · waiting for your word on get_weather").wait_for()
    pictures(page, "consent")
    question = type_word(page, "Paris", "n")
    assert question.startswith('get_weather(city="Paris")\nRun it? [y]es, [n]o, [a]lways get_weather:')
    type_word(page, "Taipei", "y")
    page.wait()
    shown = page.page.locator(f"{FINAL} details")
    shown.nth(1).wait_for()
    refused, granted = shown.all_text_contents()
    assert refused.startswith('get_weather(city="Paris") → Error: the user does not want this call')
    assert granted.startswith('get_weather(city="Taipei") → {"city":"Taipei","temperature":28')
    assert "Taipei: 28 °C" in (page.page.locator(FINAL).text_content() or "")
    pictures(page, "consent-over")
    output = page.save().cells[1].outputs[0]
    assert output.metadata["mixroute"]["status"] == "complete"
    assert [message["role"] for message in output.metadata["mixroute"]["messages"]] == [
        "user",
        "assistant",
        "tool",
        "tool",
        "assistant",
    ]


def test_always_is_asked_once(lab: Lab) -> None:
    page = ask(lab, DEMO, QUESTION, "always")
    type_word(page, "Paris", "a")
    page.wait()
    page.page.locator(f"{FINAL} details").nth(1).wait_for()
    page.do(("at", 1))
    page.start("notebook:run-cell")
    page.wait()
    assert page.page.locator(STDIN).count() == 0
    assert "Paris: 17 °C" in page.save().cells[1].outputs[0].data["text/plain"]


@pytest.mark.parametrize("width", [1000, 520])
def test_calls_stand_folded_where_they_will_while_the_answer_goes_on(lab: Lab, width: int) -> None:
    seen = threading.Event()
    words = "First, I look the weather up for both cities.\n\n"
    goes_on = "Both are pleasant today.\n\nTake an umbrella anyway"
    last = answer(delta(goes_on), Until(seen), delta(".\n"), STOP, USAGE, DONE)
    with scripted(answer(delta(words), call(PARIS, TAIPEI), DONE), last) as gateway:
        page = ask(lab, at(gateway.base_url), QUESTION.replace("%%chat", "%%chat --yes"), f"folded-{width}")
        page.page.set_viewport_size({"width": width, "height": 900})
        live = page.page.locator(f"{LIVE} details")
        page.page.locator(LIVE, has_text="umbrella").wait_for()
        first, second = live.locator("summary").all_text_contents()
        assert first.startswith('get_weather(city="Paris", unit="celsius") → {"city":"Paris","temperature":17,')
        assert second.startswith('get_weather(city="Taipei") → {"city":"Taipei","temperature":28,')
        assert live.evaluate_all("nodes => nodes.map((node) => node.open)") == [False, False]
        assert page.page.locator(".mr-clock", has_text="answering").count() == 1
        if width == 1000:
            pictures(page, "live")
        before: list[Any] = page.page.evaluate(PLACES, LIVE)
        seen.set()
        page.wait()
        page.page.locator(FINAL, has_text="umbrella anyway.").wait_for()
        after: list[Any] = page.page.evaluate(PLACES, FINAL)
        assert [tag for tag, *_ in before] == ["P", "DETAILS", "DETAILS", "P"]
        for (tag, text, live_top), (final_tag, final_text, final_top) in zip(before, after, strict=False):
            assert (tag, text) == (final_tag, final_text)
            assert abs(live_top - final_top) <= 2, (before, after)
        page.page.locator(f"{FINAL} details summary").first.click()
        page.page.locator(f"{FINAL} details pre").first.wait_for()
        assert page.page.evaluate(
            f"document.querySelector('{FINAL}').scrollWidth <= document.querySelector('{FINAL}').clientWidth"
        )
        if width == 1000:
            pictures(page, "opened")


def test_a_call_can_be_opened_while_the_answer_goes_on_and_it_stays_open(lab: Lab) -> None:
    seen, over = threading.Event(), threading.Event()
    last = answer(delta("It is\n\n"), Until(seen), delta("pleasant.\n\nIndeed"), Until(over), STOP, DONE)
    with scripted(answer(call(PARIS), DONE), last) as gateway:
        page = ask(lab, at(gateway.base_url), QUESTION.replace("%%chat", "%%chat --yes"), "open")
        page.page.locator(f"{LIVE} details summary").click()
        seen.set()
        page.page.locator(LIVE, has_text="Indeed").wait_for()
        assert (
            page.page.locator(f"{LIVE} details[open] pre").first.text_content()
            == '{\n  "city": "Paris",\n  "unit": "celsius"\n}'
        )
        over.set()
        page.wait()


def test_the_state_says_what_runs(lab: Lab) -> None:
    wait = "import pathlib, time\n    while not pathlib.Path('go-weather').exists():\n        time.sleep(0.02)\n    "
    slow = TOOL.replace("return", f"{wait}return")
    with scripted(answer(call(PARIS), DONE), whole("Fine.")) as gateway:
        page = ask(lab, at(gateway.base_url) + slow, QUESTION.replace("%%chat", "%%chat --yes"), "runs")
        page.page.locator(".mr-clock", has_text="gpt-4o · running get_weather").wait_for()
        pictures(page, "running")
        (page.path.parent / "go-weather").touch()
        page.wait()
        page.page.locator(FINAL, has_text="Fine.").wait_for()


def test_records_stand_in_a_table_and_a_repair_above_its_answer(lab: Lab) -> None:
    seen = threading.Event()
    repaired = answer(delta(GOOD[:20]), Until(seen), delta(GOOD[20:]), STOP, USAGE, DONE)
    with scripted(whole(LIST), whole(BAD), repaired) as gateway:
        page = ask(lab, at(gateway.base_url), "%%chat --schema Cities\nList the largest cities.", "records")
        page.wait()
        page.page.locator(f"{FINAL} table td", has_text="2511886").wait_for()
        assert page.page.locator(f"{FINAL} table tr").count() == 4
        pictures(page, "records")
        page.do(("at", 1), ("write", "%%chat --schema City\nDescribe Taipei."))
        page.start("notebook:run-cell")
        page.page.locator(f"{LIVE} details", has_text="The answer did not fit").wait_for()
        page.page.locator(f"{LIVE} > *", has_text=GOOD[:20]).first.wait_for()
        pictures(page, "repair-live")
        seen.set()
        page.wait()
        page.page.locator(f"{FINAL} summary", has_text="asked for again: people: Field required").click()
        assert '"inhabitants": "2.5 million"' in page.page.locator(f"{FINAL} details[open] pre").first.inner_text()
        pictures(page, "repair")
