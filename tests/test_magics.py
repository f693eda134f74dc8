"""The magics in a real shell without a kernel: help, options, settings, loading and unloading."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from scripted import ScriptedGateway, delta, reply, scripted, whole

from mixroute_magic import Reply
from mixroute_magic import errors as e
from mixroute_magic.questions import keep_questions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "sk-test-key"
MAGICS = {"line": {"chat", "model", "thread", "usage", "mixroute"}, "cell": {"chat", "model"}}


class Shell:
    """A shell with the extension, and what it printed."""

    def __init__(self, shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
        self.shell = shell
        self._capsys = capsys

    def run(self, cell: str) -> str:
        """Run a cell that succeeds and return what it printed."""
        result = self.shell.run_cell(cell)
        result.raise_error()
        return self._capsys.readouterr().out

    def fail(self, cell: str) -> tuple[BaseException, str]:
        """Run a cell that fails and return its error and what was printed."""
        result = self.shell.run_cell(cell)
        error = result.error_before_exec or result.error_in_exec
        assert isinstance(error, BaseException)
        printed = self._capsys.readouterr()
        return error, printed.out + printed.err


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Shell]:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("MIXROUTE_API_KEY", KEY)
    made = InteractiveShell(colors="nocolor")
    made.run_line_magic("load_ext", "mixroute_magic")
    yield Shell(made, capsys)
    made.run_line_magic("unload_ext", "mixroute_magic")
    made.history_manager.end_session()


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedGateway]:
    with scripted(whole("Hi.")) as made:
        monkeypatch.setenv("MIXROUTE_BASE_URL", made.base_url)
        yield made


def registered(shell: InteractiveShell) -> dict[str, set[str]]:
    return {kind: names & set(shell.magics_manager.magics[kind]) for kind, names in MAGICS.items()}


def settings_in(shell: InteractiveShell) -> list[str]:
    return [type(made).__name__ for made in shell.configurables if "MixRoute" in type(made).__name__]


def test_loading_registers_everything_once_and_unloading_removes_it(shell: Shell) -> None:
    inner = shell.shell
    inner.extension_manager.load_extension("mixroute_magic")
    assert registered(inner) == MAGICS
    assert sorted(settings_in(inner)) == ["MixRoute", "MixRouteMagics"]
    assert inner.input_transformers_cleanup.count(keep_questions) == 1
    inner.run_line_magic("unload_ext", "mixroute_magic")
    assert registered(inner) == {"line": set(), "cell": set()}
    assert settings_in(inner) == []
    assert keep_questions not in inner.input_transformers_cleanup
    inner.run_line_magic("load_ext", "mixroute_magic")
    assert registered(inner) == MAGICS


def test_loading_prints_nothing() -> None:
    code = (
        "from IPython.core.interactiveshell import InteractiveShell as S;"
        "S.instance().run_line_magic('load_ext', 'mixroute_magic')"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout + ran.stderr == ""


def test_reloading_keeps_conversation_and_settings(shell: Shell, gateway: ScriptedGateway) -> None:
    shell.run("%chat one")
    shell.run("%config MixRoute.temperature = 0.5")
    shell.run("%reload_ext mixroute_magic")
    shell.run("%chat two")
    assert [message["content"] for message in gateway.bodies[-1]["messages"]] == ["one", "Hi.", "two"]
    assert gateway.bodies[-1]["temperature"] == 0.5


def test_in_a_terminal_the_answer_streams_as_text_with_a_footer(shell: Shell, gateway: ScriptedGateway) -> None:
    printed = shell.run("%%chat\nHello")
    assert printed.startswith("Hi.")
    assert "served · 25 → 100 tokens" in printed
    assert gateway.bodies == [{"model": "glm-5", "messages": [{"role": "user", "content": "Hello"}], "stream": True}]
    assert "Hi." not in repr(shell.shell.user_ns.get("Out", {}))


@pytest.mark.parametrize("magic", ["chat", "model", "thread", "usage", "mixroute"])
def test_help_shows_usage_and_two_examples(shell: Shell, magic: str) -> None:
    printed = shell.run(f"%{magic}?")
    assert "Usage:" in printed
    assert "Examples:" in printed


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("%chat --temprature 1 x", "did you mean --temperature?"),
        ("%chat -f jsn x", "-f jsn: did you mean json?"),
        ("%chat -f pdf x", "-f pdf: markdown, text, code or json is needed"),
        ("%chat -t 9 x", "a number from 0 to 2 is needed"),
        ("%chat", "nothing to ask"),
        ("%%chat\n  \n", "nothing to ask"),
        ("%%chat what\nis it", "put the question on the lines below"),
        ("%chat sk-testtesttesttest", "%mixroute login"),
        ("%%chat\nmy key is sk-testtesttesttest", "%mixroute login"),
        ("%%model\nmy key is sk-testtesttesttest", "%mixroute login"),
        ("%usage please", "%usage"),
        ("%mixroute logn", "did you mean login?"),
    ],
)
def test_a_wrong_line_is_one_line_and_sends_nothing(
    shell: Shell, gateway: ScriptedGateway, cell: str, said: str
) -> None:
    error, printed = shell.fail(cell)
    assert type(error).__name__ == "UsageError"
    assert said in str(error)
    assert printed.strip().count("\n") == 0
    assert gateway.asked == []


def test_a_question_mark_stays_part_of_the_question(shell: Shell, gateway: ScriptedGateway) -> None:
    shell.run("%chat what's new?")
    assert gateway.bodies[0]["messages"][0]["content"] == "what's new?"


def test_templates_are_filled_from_the_notebook_and_a_missing_name_sends_nothing(
    shell: Shell, gateway: ScriptedGateway
) -> None:
    shell.run("city = 'Taipei'")
    shell.run('%%chat\nWeather in {{ city }}, {"as": "json"}, $x$, {city}?')
    assert gateway.bodies[0]["messages"][0]["content"] == 'Weather in Taipei, {"as": "json"}, $x$, {city}?'
    error, printed = shell.fail("%chat Hello {{ citty }}")
    assert isinstance(error, e.TemplateError)
    assert "city" in printed
    assert "Traceback" not in printed
    assert len(gateway.bodies) == 1


def test_the_key_is_never_sent_in_a_message(shell: Shell, gateway: ScriptedGateway) -> None:
    shell.shell.user_ns["secret"] = KEY
    error, printed = shell.fail("%chat my secret is {{ secret }}")
    assert "contains your API key" in str(error)
    assert KEY not in printed
    assert gateway.asked == []


def test_a_word_that_serves_as_a_local_key_may_be_said(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIXROUTE_API_KEY", "ollama")
    with scripted(whole("ok"), reply(400, {"error": "no ollama here"})) as gateway:
        monkeypatch.setenv("MIXROUTE_BASE_URL", gateway.base_url)
        shell.run("%chat how do I install ollama?")
        error, _ = shell.fail("%chat again")
    assert "no ollama here" in str(error)


def test_the_key_is_in_no_error_of_a_setting_or_a_template(shell: Shell) -> None:
    shell.run("import os")
    shell.run("%config MixRoute.base_url = os.environ['MIXROUTE_API_KEY']")
    for cell in ("%chat hi", "%mixroute", "%chat {{ int(os.environ['MIXROUTE_API_KEY']) }}"):
        error, printed = shell.fail(cell)
        assert isinstance(error, e.MixRouteError)
        assert KEY not in printed + str(error)


def test_a_badly_pasted_key_can_be_seen_and_stops_no_demo(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIXROUTE_API_KEY", "sk-te st-key")
    assert "from MIXROUTE_API_KEY" in shell.run("%mixroute")
    error, printed = shell.fail("%chat hi")
    assert isinstance(error, e.AuthenticationError)
    assert "into MIXROUTE_API_KEY" in printed
    assert "No requests" in shell.run("%usage")
    shell.run("%mixroute demo")
    assert "no model was called" in shell.run("%chat hi")


def test_a_question_that_a_template_leaves_empty_is_not_sent(shell: Shell, gateway: ScriptedGateway) -> None:
    shell.run("empty = ' '")
    error, _ = shell.fail("%chat {{ empty }}")
    assert "empty" in str(error)
    assert gateway.asked == []


def test_options_of_the_cell_win_over_the_notebooks_and_those_over_the_configuration(
    shell: Shell, gateway: ScriptedGateway
) -> None:
    shell.run("%config MixRoute.model = 'configured'")
    shell.run("%config MixRoute.system = 'From the configuration.'")
    shell.run("%config MixRoute.max_tokens = 7")
    shell.run("%chat x")
    shell.run("%model chosen -t 1 -p top_p=0.5")
    shell.run("%%model\nFrom the notebook.\n")
    shell.run("%chat --fresh x")
    shell.run("%chat --fresh -m gpt-4o -t 0 -s 'From the cell.' -p top_p=0.1 -p stop='[\"a\"]' --max-tokens 9 x")
    shell.run("%model --reset")
    shell.run("%chat --fresh -m o3-mini x")
    asked = [{key: value for key, value in body.items() if key != "stream"} for body in gateway.bodies]

    def body(model: str, system: str, **fields: Any) -> dict[str, Any]:
        messages = [{"role": "system", "content": system}, {"role": "user", "content": "x"}]
        return {"model": model, "messages": messages, **fields}

    assert asked == [
        body("configured", "From the configuration.", max_tokens=7),
        body("chosen", "From the notebook.", temperature=1, max_tokens=7, top_p=0.5),
        body("gpt-4o", "From the cell.", temperature=0, max_tokens=9, top_p=0.1, stop=["a"]),
        body("o3-mini", "From the configuration.", max_completion_tokens=7),
    ]


def test_a_system_prompt_of_one_message_goes_into_no_later_request(shell: Shell, gateway: ScriptedGateway) -> None:
    shell.run("%chat -s short. one")
    shell.run("%chat two")
    assert [message["role"] for message in gateway.bodies[1]["messages"]] == ["user", "assistant", "user"]


def test_output_puts_the_reply_into_a_variable(shell: Shell, gateway: ScriptedGateway) -> None:
    shell.run("%chat -o answer x")
    kept = shell.shell.user_ns["answer"]
    assert isinstance(kept, Reply)
    assert kept.text == "Hi."
    assert kept.usage.output_tokens == 100


def test_a_dry_run_shows_the_request_and_sends_nothing(shell: Shell, gateway: ScriptedGateway) -> None:
    shell.run("%chat one")
    printed = shell.run("%chat --dry-run -t 0.5 two")
    assert "It would be 3 messages (1 earlier turn)" in printed
    assert '"content": "two"' in printed
    assert len(gateway.asked) == 1


def test_threads_are_shown_listed_switched_and_cleared(shell: Shell, gateway: ScriptedGateway) -> None:
    assert "starts afresh" in shell.run("%thread")
    shell.run("%chat one")
    shell.run("%chat --thread side two")
    assert "one" in shell.run("%thread")
    assert "two" not in shell.run("%thread")
    listed = shell.run("%thread --list")
    assert "main" in listed
    assert "side" in listed
    assert "two" in shell.run("%thread side")
    shell.run("%chat three")
    assert [message["content"] for message in gateway.bodies[-1]["messages"]] == ["two", "Hi.", "three"]
    assert "2 turns forgotten" in shell.run("%thread --clear")
    assert "starts afresh" in shell.run("%thread side")


def test_the_settings_and_the_set_up_are_shown_without_the_key(shell: Shell, gateway: ScriptedGateway) -> None:
    shell.run("%model gpt-4o -t 0.5 -p seed=3")
    shown = shell.run("%model") + shell.run("%mixroute") + shell.run("%config MixRoute")
    for part in ("gpt-4o", "0.5", "seed", "MIXROUTE_API_KEY", gateway.base_url):
        assert part in shown
    assert KEY not in shown


def test_models_are_listed_by_pattern(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(reply(200, {"data": [{"id": "glm-5", "owned_by": "zhipu"}, {"id": "gpt-4o"}]})) as gateway:
        monkeypatch.setenv("MIXROUTE_BASE_URL", gateway.base_url)
        assert "zhipu" in shell.run("%model --list")
        assert "glm-5" not in shell.run("%model --list GPT*")
        assert "None of the 2 models" in shell.run("%model --list llama")


def test_usage_returns_the_report_of_this_session(shell: Shell, gateway: ScriptedGateway) -> None:
    assert "No requests" in shell.run("%usage")
    shell.run("%chat x")
    shell.run("report = %usage")
    report = shell.shell.user_ns["report"]
    assert "100" in repr(report)
    assert "<table>" in report._repr_html_()


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("temperature", "5", "from 0 to 2"),
        ("temperature", "'hot'", "from 0 to 2"),
        ("max_tokens", "0", "at least 1"),
        ("max_tokens", "True", "whole number"),
        ("max_tokens", "10.7", "whole number"),
        ("timeout", "-1", "at least 0.1"),
        ("retries", "'often'", "from 0 to 10"),
    ],
)
def test_a_bad_setting_is_refused_when_it_would_be_used(
    shell: Shell, gateway: ScriptedGateway, setting: str, value: str, said: str
) -> None:
    shell.run(f"%config MixRoute.{setting} = {value}")
    error, _ = shell.fail("%chat x")
    assert isinstance(error, e.SettingError)
    assert f"MixRoute.{setting}" in str(error)
    assert said in str(error)
    assert gateway.asked == []


def test_the_environment_is_read_anew_until_a_setting_is_made(
    shell: Shell, gateway: ScriptedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIXROUTE_MODEL", "first")  # also takes away, at the end, what the cells set
    shell.run("%chat x")
    with scripted(whole("Other.")) as other, scripted(whole("Last.")) as last:
        shell.run(f"%env MIXROUTE_BASE_URL={other.base_url}")
        shell.run("%env MIXROUTE_MODEL=other")
        assert shell.run("%chat x").startswith("Other.")
        shell.run(f"%config MixRoute.base_url = '{last.base_url}'")
        shell.run("%env MIXROUTE_BASE_URL=https://gateway.example")
        assert shell.run("%chat x").startswith("Last.")
    assert [body["model"] for body in gateway.bodies + other.bodies + last.bodies] == ["first", "other", "other"]


def test_a_bad_address_is_refused_before_anything_is_sent(shell: Shell) -> None:
    shell.run("%config MixRoute.base_url = 'gateway.example'")
    error, _ = shell.fail("%chat x")
    assert isinstance(error, e.SettingError)


def test_an_error_is_shown_in_lines_without_a_traceback(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = reply(401, {"error": {"message": f"Invalid token {KEY} (request id: abc)"}})
    with scripted(refused) as gateway:
        monkeypatch.setenv("MIXROUTE_BASE_URL", gateway.base_url)
        error, printed = shell.fail("%chat x")
    assert isinstance(error, e.AuthenticationError)
    assert error.status == 401
    shown = printed[printed.index("AuthenticationError") :].strip().splitlines()
    assert len(shown) == 3
    assert KEY not in printed


def test_the_text_so_far_is_kept_in_the_error(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted([reply(200, content_type="text/event-stream"), delta("half")]) as gateway:
        monkeypatch.setenv("MIXROUTE_BASE_URL", gateway.base_url)
        error, printed = shell.fail("%chat x")
    assert isinstance(error, e.StreamError)
    assert error.partial == "half"
    assert error.request_id == "req-1"
    assert printed.startswith("half")


def test_without_a_key_the_three_ways_are_named_and_the_demo_needs_none(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MIXROUTE_API_KEY")
    error, printed = shell.fail("%chat x")
    assert isinstance(error, e.AuthenticationError)
    assert all(way in printed for way in ("MIXROUTE_API_KEY", "%mixroute login", "%mixroute demo"))
    assert "no key, no network, no model" in shell.run("%mixroute demo")
    assert "no model was called" in shell.run("%chat x")
    assert "no model is called" in shell.run("%mixroute")
    assert os.environ.get("MIXROUTE_DEMO") is None


def test_demo_turns_are_not_sent_to_a_real_gateway(shell: Shell, gateway: ScriptedGateway) -> None:
    shell.run("%mixroute demo")
    shell.run("%chat one")
    shell.run("%chat two")
    shell.shell.meta["mixroute_session"].use_demo(wanted=False)  # as %mixroute login does, which needs a terminal
    printed = shell.run("%chat three")
    assert [message["content"] for message in gateway.bodies[0]["messages"]] == ["three"]
    assert "2 turns of the offline demo not sent" in printed


def test_where_nobody_can_be_asked_for_a_key_the_other_way_is_named() -> None:
    code = (
        "from IPython.core.interactiveshell import InteractiveShell as S; s = S.instance(colors='nocolor');"
        "s.run_line_magic('load_ext', 'mixroute_magic'); assert not s.run_cell('%mixroute login').success"
    )
    command = [sys.executable, "-W", "ignore", "-c", code]
    asked = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, start_new_session=True
    )
    assert "Nobody can be asked for a key here." in asked.stdout + asked.stderr
    assert "MIXROUTE_API_KEY" in asked.stdout + asked.stderr


def test_a_key_of_the_environment_is_not_forgotten_by_logout(shell: Shell) -> None:
    assert "still a key in MIXROUTE_API_KEY" in shell.run("%mixroute logout")
