"""The key never leaves a kernel but in its header: a notebook that plants it everywhere, and each guard taken away."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import leaks
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernels import SHOWN_KEY, Kernel
from key_guards import GUARDS, Guard, played
from scripted import DONE, STOP, Asked, answer, delta, event, reply, scripted, whole
from stage import KEY, PLANTED

from mixroute_magic import Client
from mixroute_magic.errors import AuthenticationError
from mixroute_magic.gateway.credentials import Credentials
from mixroute_magic.secrecy import Filter, Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SETUP = """
import base64, http.client, logging, os, pickle, pandas
key = os.environ["MIXROUTE_API_KEY"]
logging.basicConfig(level=logging.DEBUG, filename="debug.txt")
http.client.HTTPConnection.debuglevel = 1
http.client.HTTPSConnection.debuglevel = 1
df = pandas.DataFrame({"name": ["Ada"], "key": [key]})
wide = pandas.DataFrame({"key": ["x" * 480 + key]})
error = ValueError(key)
def tell(text: str = "") -> str:
    "Tell."
    return key
def fail() -> str:
    raise ValueError(key)
tell_default = lambda text=key: text
shell = get_ipython()
"""


def said(*pieces: str, **choice: object) -> bytes:
    return b"".join(map(bytes, [*answer(*map(delta, pieces)), delta("", **{"finish_reason": "stop", **choice}), DONE]))


def in_pieces(text: str, size: int) -> list[str]:
    return [text[place : place + size] for place in range(0, len(text), size)]


def thought(key: str) -> bytes:
    parts = [event({"choices": [{"delta": {"reasoning_content": piece}}]}) for piece in in_pieces(key, 3)]
    return b"".join(map(bytes, [*answer(*parts), delta("So."), STOP, DONE]))


def calls(key: str) -> bytes:
    function = {"name": "tell", "arguments": json.dumps({"text": key})}
    call = {"index": 0, "id": key, "function": function, "extra_content": {"signature": key}}
    told = event({"choices": [{"delta": {"content": None, "tool_calls": [call]}}]})
    return b"".join(map(bytes, [*answer(told), STOP, DONE]))


def garbled(key: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nyour key {key}\r\n\r\n".encode() + said("Hi.")


def coded(key: str) -> str:
    return base64.b64encode(f"Bearer {key}".encode()).decode()


ANSWERS: dict[str, Callable[[str], bytes]] = {
    "plain": lambda key: said(f"It is {key}."),
    "in pieces": lambda key: said("It is ", *in_pieces(key, 7), "."),
    "in letters": lambda key: said(*key),
    "in capitals": lambda key: said(*in_pieces(key.upper(), 5)),
    "in base64": lambda key: said(*in_pieces(coded(key), 5)),
    "in hex": lambda key: said(*in_pieces(key.encode().hex(), 5)),
    "half of it": lambda key: b"".join(map(bytes, answer(delta(key[:30])))),
    "thought": thought,
    "labels": lambda key: said("Hi.", finish_reason=key).replace(b'"served"', json.dumps(key).encode()),
    "whole": lambda key: reply(200, {"id": key, "model": key, "choices": [{"message": {"content": key}}]}),
    "an event": lambda key: said("Hi.").replace(DONE, event({"error": {"message": key, "code": key}})),
    "an error": lambda key: reply(401, {"error": {"message": f"bad: {key}", "code": key, "type": key}}),
    "an error in base64": lambda key: reply(403, {"error": {"message": f"bad: {coded(key)}"}}),
    "a field": lambda key: reply(400, {"error": {"message": f"bad: {key[:40]}…", "param": key}}),
    "a page": lambda key: reply(500, f"<html><title>{key}</title></html>".encode(), "text/html"),
    "a long error": lambda key: reply(400, ("x" * 370 + key).encode(), "text/plain"),
    "too many": lambda key: reply(429, {"error": {"message": key}}, retry_after_ms="1", x_request_id=key),
    "no model": lambda key: reply(404, {"error": {"message": key, "code": "model_not_found"}}),
    "a header": lambda key: reply(403, b"no", x_request_id=key, x_oneapi_request_id=key),
    "a garbled header": garbled,
    "a call": calls,
}
REDIRECTS = (301, 302, 303, 307, 308)

TEMPLATES = (
    "{{ key }}",
    "{{ df }}",
    "{{ wide }}",
    "{{ error }}",
    "{{ tell_default() }}",
    "{{ [key] }}",
    "{{ {'a': key} }}",
    "{{ 'x' * 99970 + key }}",
    "{{ ['x' * 19960, key] }}",
    "{{ key.encode().hex() }}",
    "{{ base64.b64encode(key.encode()).decode() }}",
    "{{ int(key) }}",
    "{{ key.nothing }}",
)
LINES = (
    ("chat", "-s '{key}' x"),
    ("chat", "-p user={key} x"),
    ("chat", "-t {key} x"),
    ("chat", "-m {key} x"),
    ("chat", "--thread {key} x"),
    ("chat", "-o {key} x"),
    ("chat", "--image https://example.org/a.png?k={key} x"),
    ("chat", "--tool {key} x"),
    ("chat", "is {key} good?"),
    ("model", "{key}"),
    ("model", "-s {key}"),
    ("thread", "{key}"),
    ("thread", "--fork {key}"),
    ("thread", "--export {key}.md"),
    ("mixroute", "{key}"),
)
LAST = """
from mixroute_magic import Client
client = Client()
try:
    client.chat([{"role": "user", "content": "an error"}], model="glm-5")
except Exception as failure:
    pickle.dump(failure, open("error.pkl", "wb"), protocol=0)
    print(repr(failure), vars(failure))
told = client.chat([{"role": "user", "content": "in pieces"}], model="glm-5")
pickle.dump([reply, told], open("replies.pkl", "wb"), protocol=0)
session = shell.meta["mixroute_session"]
print(told, repr(told), repr(client), vars(client), vars(client._line), vars(session), repr(session.credentials))
"""


def cells() -> Iterator[str]:
    """Yield the notebook: each cell gets the key from the environment, so that none of them holds it."""
    yield from (f"%%chat --fresh -o reply\n{question}" for question in ANSWERS)
    yield from (f"%%chat --fresh\nredirect {status}" for status in REDIRECTS)
    yield from ("%%chat --fresh -m a -m b\nin pieces", "%%chat --fresh -m a -m b\nan error")
    yield from (f"%%chat --fresh --tool {name} --yes\na call" for name in ("tell", "fail", "tell_default"))
    yield from (f"%%chat --fresh{dry}\n{template}" for template in TEMPLATES for dry in ("", " --dry-run"))
    yield from (f"shell.run_line_magic({magic!r}, {line!r}.format(key=key))" for magic, line in LINES)
    yield "shell.run_cell_magic('chat', '', f'is {key} good?')"
    yield "shell.run_cell_magic('model', '', f'You know {key}.')"
    yield from ("%mixroute", "%usage", "%thread", "%thread --list", "%who", "%model --list", "%config MixRoute", "%tb")
    yield from (f"%thread --export talk{suffix}" for suffix in (".md", ".json", ".ipynb"))
    yield from ("%%chat --thread other\nplain", "%%chat --thread other --dry-run\nplain", "%thread --undo")
    yield from ("%config MixRoute.system = key", "%model", "%%chat\nplain", "%config MixRoute.system = ''")
    yield LAST


def echoing(elsewhere: str) -> Callable[[Asked], bytes]:
    """Return the script of a gateway that repeats the key with which it is asked wherever it can."""

    def script(asked: Asked) -> bytes:
        key = asked.headers.get("authorization", "").removeprefix("Bearer ")
        if asked.line.startswith("GET"):
            return reply(200, {"data": [{"id": key, "owned_by": key}, {"id": "glm-5", "owned_by": key.upper()}]})
        question = asked.body["messages"][-1]["content"] or ""
        if question.startswith("redirect"):
            return reply(int(question[-3:]), Location=f"{elsewhere}/chat/completions?key={key}")
        return ANSWERS.get(question, ANSWERS["plain"])(key)

    return script


def test_a_notebook_with_the_key_everywhere_lets_nothing_of_it_out(tmp_path: Path) -> None:
    log = tmp_path / "kernel.txt"
    home = tmp_path / "home"
    home.mkdir()
    with (
        scripted(whole("No.")) as elsewhere,
        scripted(echoing(elsewhere.base_url)) as gateway,
        Kernel(home, gateway.base_url, home / "n.ipynb", log=log, MIXROUTE_API_KEY=KEY) as kernel,
    ):
        assert kernel.run(SETUP, "setup").status == "ok"
        kernel.run("%xmode Verbose")
        ran = [kernel.run(cell, f"cell-{number}") for number, cell in enumerate(cells())]
        kernel.complete("%model ", 7)
        kernel.complete("%%chat --tool ", 14)
    asked = [leaks.outside_its_header(one) for one in gateway.asked]
    left = [("messages", leaks.written(kernel.heard)), *(("request", one) for one in asked), *leaks.files(tmp_path)]
    assert [line for what, data in left for line in leaks.leaked(PLANTED, what, data)] == []
    assert elsewhere.asked == []
    assert {one.headers["authorization"] for one in gateway.asked} == {f"Bearer {KEY}"}
    # It has been a lively notebook: else there would be nothing to find.
    assert len(gateway.asked) > 40
    assert ran[-1].status == "ok", ran[-1].lines
    assert sum(one.status == "ok" for one in ran) >= 25
    names = {Path(name).name for name, _ in leaks.files(home)}
    assert {"debug.txt", "ledger.sqlite", "journal.sqlite", "talk.md", "talk.json", "talk.ipynb", "error.pkl"} <= names


@pytest.fixture(scope="module")
def without() -> dict[str, list[str]]:
    """What leaks where a guard is missing."""
    return dict(zip((guard.name for guard in GUARDS), played([(guard.scene, guard) for guard in GUARDS]), strict=True))


def test_with_all_guards_no_scene_lets_the_key_out() -> None:
    scenes = list(dict.fromkeys(guard.scene for guard in GUARDS))
    found = dict(zip(scenes, played([(scene, None) for scene in scenes]), strict=True))
    assert {scene: leaked for scene, leaked in found.items() if leaked} == {}


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)
def test_each_guard_is_missed_when_it_is_taken_away(guard: Guard, without: dict[str, list[str]]) -> None:
    found = without[guard.name]
    assert found, "the key stays in without it: it is no guard, or the scene does not see it"
    assert not found[0].startswith("BROKEN"), found


LEAKING = """
from scripted import scripted, whole
def test_what_is_asked():
    with scripted(whole("x")) as gateway:
        import urllib.request
        urllib.request.urlopen(urllib.request.Request(f"{gateway.base_url}?key=KEY")).read()
"""
WRITING = """
def test_what_is_written(tmp_path):
    (tmp_path / "notes.txt").write_text("my key: KEY")
"""


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["", "xdist"])
def test_a_run_of_tests_fails_where_one_of_them_lets_a_key_out(workers: list[str]) -> None:
    ran = run_of_tests((LEAKING + WRITING).replace("KEY", leaks.MARK), workers)
    assert ran.returncode == 1
    for where in (f"GET /v1?key={leaks.MARK}", "notes.txt: …b'my key: "):
        assert where in ran.stdout


def test_a_run_of_tests_passes_where_a_test_shows_a_key_of_its_own() -> None:
    ran = run_of_tests((LEAKING + WRITING).replace("KEY", SHOWN_KEY), [])
    assert (ran.returncode, "2 passed" in ran.stdout) == (0, True), ran.stdout + ran.stderr


def run_of_tests(source: str, workers: list[str]) -> subprocess.CompletedProcess[str]:
    here = Path(__file__).parent
    with tempfile.TemporaryDirectory() as folder:  # not below this run's own, in which the key would be found, too
        test = Path(folder, "test_it.py")
        test.write_text(source)
        options = ["-q", "-p", "conftest", "-p", "no:cacheprovider", f"--basetemp={folder}/base", *workers]
        environment = os.environ | {"PYTHONPATH": str(here), "NO_PROXY": "*"}
        command = [sys.executable, "-m", "pytest", *options, str(test)]
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@given(
    st.lists(st.sampled_from([KEY, KEY.upper(), KEY[:20], "gw-", "g", "w-Qq", "…", " ", "x" * 9]), max_size=9),
    st.data(),
)
def test_a_filter_shows_the_same_however_a_text_is_cut(words: list[str], data: st.DataObject) -> None:
    text = "".join(words)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=9)))
    filtered = Filter(Secret(KEY))
    pieces = [text[first:last] for first, last in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    shown = "".join([*map(filtered.add, pieces), filtered.end()])
    assert leaks.leaked(PLANTED, "shown", shown.encode()) == []
    assert Secret(KEY).is_in(text) or shown == text


class Unwritable(str):
    """A key in the work with which something goes wrong, as when a signal comes."""

    __slots__ = ()

    def encode(self, encoding: str = "", errors: str = "") -> bytes:
        raise InterruptedError(encoding, errors)


def test_an_error_in_the_work_with_a_key_has_no_frame_that_knows_it() -> None:
    secret = Secret(Unwritable(KEY))
    for work in (secret.is_in, secret.hidden, secret.may_be_in, secret.begins):
        with pytest.raises(InterruptedError) as raised:
            work("a text")
        frames = list(traceback.walk_tb(raised.tb))
        known = {name: repr(value) for frame, _ in frames[1:] for name, value in frame.f_locals.items()}
        assert len(frames) > 1
        assert KEY[:20] not in str(known)


def test_a_key_of_which_bytes_are_no_text_is_refused_in_two_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIXROUTE_API_KEY", f"{KEY}\udc80")
    assert not Credentials().is_in("a text")
    assert Credentials().redact(f"my {KEY}") == "my sk-…"
    with pytest.raises(AuthenticationError, match="characters that no key has"):
        Client("https://192.0.2.1").chat([{"role": "user", "content": "x"}], model="glm-5")


def test_a_text_without_a_key_passes_as_it_is() -> None:
    text = "gw-Qq is how my keys begin; 100% sure, \\u0067 & &#103;. İstanbul"
    filtered = Filter(Secret(KEY))
    assert "".join(map(filtered.add, text)) + filtered.end() == text
    assert Secret(KEY).hidden(f"İ{KEY}İ") == "İsk-…İ"
    assert Secret("demo", "").hidden("a demo") == "a demo"
    assert repr(Secret(KEY)) == "Secret(…)"
