"""What each model takes: a request that it accepts, or a clear error before anything is sent."""

from __future__ import annotations

import re
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
import requests
from IPython.core.interactiveshell import InteractiveShell
from scripted import ScriptedGateway, reply, scripted, whole

from mixroute_magic import Client, refusals
from mixroute_magic import errors as e
from mixroute_magic.config import MixRoute
from mixroute_magic.conversation.model import Run
from mixroute_magic.demo import DemoGateway
from mixroute_magic.demo.models import MODELS
from mixroute_magic.gateway.families import (
    keeps_signature,
    max_tokens_field,
    refusal,
    response_formats,
    returns_reasoning,
    takes_images,
)
from mixroute_magic.gateway.family_table import FAMILIES
from mixroute_magic.plan import Plan, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
OTHER = "or ask another model: -m NAME."

# One row a model, with a temperature of 0.7, 100 tokens at most and streaming: the field in which the limit goes, or
# what is said instead of asking. With a tool besides, it is the same, but for those of `NO_TOOLS`.
ROWS: dict[str, str | tuple[str, str]] = {
    # the API reference
    "gpt-4o": "max_tokens",
    "gpt-4o-mini": "max_tokens",
    "o3-mini": ("takes no temperature", "Drop -t 0.7"),
    "o4-mini": ("takes no temperature other than 1", "Drop -t 0.7"),
    "claude-opus-4-6": "max_tokens",
    "claude-sonnet-4-5-20250929": "max_tokens",
    "deepseek-v3": "max_tokens",
    "deepseek-r1": "max_tokens",
    "gemini-3-pro-preview": "max_tokens",
    "gemini-3-flash-preview": "max_tokens",
    "glm-5": "max_tokens",
    "kimi-k2.5": ("takes no temperature but its own (1; 0.6 where thinking is disabled)", "Drop -t 0.7"),
    "doubao-seed-1-8-251228": "max_tokens",
    # what else MixRoute listed
    "gpt-5.3-Codex": "max_completion_tokens",
    "claude-opus-4-7": ("takes no temperature other than 1", "Drop -t 0.7"),
    "deepseek-v4-flash": "max_tokens",
    "glm-4.5-x": "max_tokens",
    "glm-4-alltools": "max_tokens",
    "grok-3": "max_tokens",
    "grok-3-mini": "max_tokens",
    "grok-4-0709": "max_tokens",
    "grok-4.6": "max_tokens",
    "grok-code-fast-1": "max_tokens",
    "qwen3-max": "max_tokens",
    # how else names are written
    "openai/O3-MINI-high": ("takes no temperature", "Drop -t 0.7"),
    "gpt-5": ("takes no temperature other than 1", "Drop -t 0.7"),
    "gpt-5-chat-latest": "max_completion_tokens",
    "gpt-5.2": "max_completion_tokens",
    "anthropic/claude-4.7-opus": ("takes no temperature other than 1", "Drop -t 0.7"),
    "claude-opus-4-6-thinking": "max_tokens",
    "claude-opus-4-20250514": "max_tokens",
    "claude-3-5-sonnet-20241022": "max_tokens",
    "deepseek-ai/DeepSeek-R1": "max_tokens",
    "deepseek-r1-0528": "max_tokens",
    "moonshotai/Kimi-K2.6": ("takes no temperature but its own (1; 0.6 where thinking is disabled)", "Drop -t 0.7"),
    "kimi-k2-0905-preview": "max_tokens",
    "nobody-knows-1": "max_tokens",
}

NO_TOOLS = {"deepseek-r1", "deepseek-ai/DeepSeek-R1"}


class Shell:
    """A shell with the extension, and what it printed."""

    def __init__(self, shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
        self.shell = shell
        self._capsys = capsys

    def run(self, cell: str) -> str:
        """Run a cell that succeeds and return what it printed."""
        self.shell.run_cell(cell).raise_error()
        return self._capsys.readouterr().out

    def fail(self, cell: str) -> e.MixRouteError:
        """Run a cell that fails and return its error."""
        error = self.shell.run_cell(cell).error_in_exec
        assert isinstance(error, e.MixRouteError)
        return error


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Shell]:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("MIXROUTE_API_KEY", "sk-test-key")
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


class TestBeforeSending:
    def test_no_model_of_the_api_reference_is_missing_here(self) -> None:
        assert set(MODELS) <= set(ROWS)

    @pytest.mark.parametrize(("model", "expected"), ROWS.items(), ids=ROWS)
    def test_a_model_is_sent_what_it_takes_or_the_cell_says_what_to_drop(
        self, shell: Shell, gateway: ScriptedGateway, model: str, expected: str | tuple[str, str]
    ) -> None:
        cell = f"%%chat -m {model} -t 0.7 --max-tokens 100 -p stream=true\nHello"
        if isinstance(expected, str):
            assert "Hi." in shell.run(cell)
            (body,) = gateway.bodies
            fields = {"temperature": 0.7, expected: 100, "stream": True}
            assert body == {"model": model, "messages": [{"role": "user", "content": "Hello"}], **fields}
        else:
            error = shell.fail(cell)
            what, drop = expected
            assert error.lines() == [f"SettingError: {model} {what}; nothing was sent.", f"{drop}, {OTHER}"]
            assert gateway.asked == []

    @pytest.mark.parametrize(("model", "expected"), ROWS.items(), ids=ROWS)
    def test_a_tool_changes_that_only_for_models_that_call_none(
        self, model: str, expected: str | tuple[str, str]
    ) -> None:
        chosen = Settings(model=model, temperature=0.7, max_tokens=100, params={"stream": True})
        plan = Plan(run=Run("", None), thread="main", gateway="", settings=chosen, prompt="?", offers={"tools": [TOOL]})
        if model in NO_TOOLS:
            expected = ("takes no tools", "Drop --tool")
        if isinstance(expected, str):
            refusals.check(plan, {}, MixRoute())
            sent = {"model", "messages", "temperature", expected, "stream", "tools"}
            assert plan.request().to_wire().keys() == sent
        else:
            with pytest.raises(e.SettingError) as caught:
                refusals.check(plan, {}, MixRoute())
            assert str(caught.value) == f"{model} {expected[0]}; nothing was sent."
            assert caught.value.hint == f"{expected[1]}, {OTHER}"

    @pytest.mark.parametrize("model", ["o4-mini", "kimi-k2.5", "claude-opus-4-7"])
    def test_what_a_family_takes_is_sent(self, shell: Shell, gateway: ScriptedGateway, model: str) -> None:
        shell.run(f"%chat -m {model} -t 1 Hello")
        assert gateway.bodies[-1]["temperature"] == 1

    def test_a_temperature_of_the_notebook_is_unset_there(self, shell: Shell, gateway: ScriptedGateway) -> None:
        shell.run("%model gpt-4o -t 0.7 -p top_p=0.9")
        error = shell.fail("%chat -m o3-mini Hello")
        assert error.lines() == [
            "SettingError: o3-mini takes no temperature; nothing was sent.",
            f"%model set -t 0.7 for this notebook. Unset what it set with %model --reset, {OTHER}",
        ]
        shell.run("%model gpt-4o --reset -p top_p=0.9")
        error = shell.fail("%chat -m o3-mini Hello")
        assert error.hint.startswith("%model set -p top_p=0.9 for this notebook.")
        shell.run("%model --reset")
        shell.run("%chat -m o3-mini Hello")
        assert len(gateway.bodies) == 1

    def test_a_temperature_of_all_notebooks_is_unset_there(self, shell: Shell, gateway: ScriptedGateway) -> None:
        shell.run("%config MixRoute.temperature = 0.7")
        error = shell.fail("%chat -m o3-mini Hello")
        way = "%config MixRoute.temperature = None"
        assert error.hint == f"Unset it for all cells with {way}, {OTHER}"
        assert shell.fail("%chat -m o3-mini -t 0.2 Hello").hint == f"Drop -t 0.2, {OTHER}"
        shell.run(way)
        shell.run("%chat -m o3-mini Hello")
        assert len(gateway.bodies) == 1

    def test_of_several_models_only_the_one_that_refuses_is_not_asked(
        self, shell: Shell, gateway: ScriptedGateway
    ) -> None:
        printed = shell.run("%chat -m gpt-4o -m o3-mini -t 0.7 -o replies Hello")
        assert [body["model"] for body in gateway.bodies] == ["gpt-4o"]
        assert [str(one) for one in shell.shell.user_ns["replies"]] == ["Hi.", ""]
        assert "o3-mini takes no temperature; nothing was sent." in printed

    def test_where_all_refuse_nothing_is_asked(self, shell: Shell, gateway: ScriptedGateway) -> None:
        assert "o3-mini takes no temperature" in str(shell.fail("%chat -m o3-mini -m o4-mini -t 0.7 Hello"))
        assert gateway.asked == []

    def test_where_nobody_is_asked_only_the_record_counts(self, shell: Shell, gateway: ScriptedGateway) -> None:
        error = shell.fail("%chat -m o3-mini -t 0.7 --replay only Hello")
        assert isinstance(error, e.ReplayError)
        assert gateway.asked == []


class TestRules:
    @pytest.mark.parametrize(
        ("model", "fields", "what", "drop"),
        [
            ("o4-mini", {"stop": "END"}, "no stop strings", "-p stop=END"),
            ("o1", {"logprobs": True}, "no logprobs", "-p logprobs=true"),
            ("gpt-5-mini", {"presence_penalty": 0.5}, "no presence_penalty other than 0", "-p presence_penalty=0.5"),
            ("gpt-5.6", {"tools": [TOOL], "reasoning_effort": "low"}, "reasoning_effort or tools, not both", None),
            ("claude-sonnet-4-6", {"temperature": 1.5}, "a temperature from 0 to 1", "-t 1.5"),
            ("claude-sonnet-4-6", {"temperature": 0.5, "top_p": 0.5}, "top_p or temperature, not both", "-p top_p=0.5"),
            ("claude-sonnet-4-6", {"n": 2}, "no n other than 1", "-p n=2"),
            ("claude-opus-5", {"top_k": 5}, "no top_k", "-p top_k=5"),
            ("deepseek-r1", {"top_logprobs": 2}, "no top_logprobs", "-p top_logprobs=2"),
            (
                "deepseek-v3",
                {"response_format": {"type": "json_schema"}},
                "JSON as json_object, not as json_schema",
                "-p response_format",
            ),
            ("glm-5", {"temperature": 1.2}, "a temperature from 0 to 1", "-t 1.2"),
            ("glm-5", {"stop": ["a", "b"]}, "one stop string", "-p stop"),
            ("kimi-k2.5", {"top_p": 0.9}, "no top_p other than 0.95", "-p top_p=0.9"),
            ("kimi-k2.5", {"temperature": 0.6}, "no temperature but its own", "-t 0.6"),
            ("grok-4.6", {"stop": "x" * 99}, "no stop strings", "-p stop"),
            ("grok-4-fast-non-reasoning", {"reasoning_effort": "low"}, "no reasoning_effort", None),
            ("qwen3-max", {"temperature": 2.0}, "a temperature below 2", "-t 2"),
        ],
    )
    def test_what_is_known_to_be_refused_is_named_with_its_option(
        self, model: str, fields: dict[str, Any], what: str, drop: str | None
    ) -> None:
        refused = refusal(model, fields)
        assert refused is not None
        assert refused[0].startswith(f"{model} takes {what}")
        assert refused[0].endswith("; nothing was sent.")
        assert refused[1] == f"Drop {drop or '-p reasoning_effort=low'}, {OTHER}"

    @pytest.mark.parametrize(
        ("model", "fields"),
        [
            ("o4-mini", {"temperature": 1, "top_p": 1, "presence_penalty": 0, "logprobs": False, "tools": [TOOL]}),
            ("o3-mini", {"stop": "END", "temperature": None, "reasoning_effort": "high"}),
            ("gpt-5.6", {"tools": [TOOL], "reasoning_effort": "none", "temperature": 0.2}),
            ("gpt-5.6", {"reasoning_effort": "low"}),
            ("claude-sonnet-4-6", {"top_p": 0.5, "n": 1, "stop": ["a", "b"]}),
            ("claude-3-opus-20240229", {"temperature": 0.5, "top_p": 0.5}),
            ("deepseek-r1", {"temperature": 0.5, "presence_penalty": 1, "logprobs": False}),
            ("deepseek-v3", {"response_format": {"type": "json_object"}, "temperature": 2}),
            ("glm-5", {"stop": ["END"], "temperature": 0, "top_p": 0.5}),
            ("kimi-k2.5", {"temperature": 0.6, "thinking": {"type": "disabled"}, "top_p": 0.95, "n": 1}),
            ("grok-4.20-multi-agent", {"reasoning_effort": "high"}),
            ("grok-3", {"stop": "END"}),
            ("grok-4-fast-non-reasoning", {"stop": "END"}),
            ("qwen3-max", {"temperature": 1.9}),
            ("claude-sonnet-4-6", {"temperature": "warm"}),  # what is no number is the gateway's to judge
        ],
    )
    def test_what_is_not_known_to_be_refused_passes(self, model: str, fields: dict[str, Any]) -> None:
        assert refusal(model, fields) is None

    @pytest.mark.parametrize(
        "name",
        [
            "gpt-4.1",
            "gpt-oss-120b",
            "orca-2",
            "o-3",
            "claudette",
            "deepseek-vl2",
            "chatglm-6b",
            "moonshot-v1-8k",
            "grok-2",
        ],
    )
    def test_a_name_in_no_family_passes_everything(self, name: str) -> None:
        everything = {"temperature": 2, "top_p": 0.5, "n": 3, "stop": ["a", "b"], "tools": [TOOL], "logprobs": True}
        assert refusal(name, everything | {"response_format": {"type": "json_schema"}}) is None
        assert (max_tokens_field(name), takes_images(name)) == ("max_tokens", None)
        assert response_formats(name) == ("json_schema", "json_object")
        assert not returns_reasoning(name)
        assert not keeps_signature(name)

    def test_each_row_has_a_source_and_is_used(self) -> None:
        named = [*ROWS, "gpt-5.6", "glm-4.5v"]
        for family in FAMILIES:
            assert len(family.source) > len("platform.com")
            assert any(re.match(family.names, name.rpartition("/")[2].lower()) for name in named), family.names

    def test_the_longest_answer_goes_in_the_field_that_the_model_takes(self) -> None:
        assert Settings(model="O4-mini", max_tokens=9).fields() == {"max_completion_tokens": 9}
        assert Settings(model="kimi-k2.5", max_tokens=9).fields() == {"max_tokens": 9}


@pytest.mark.parametrize(
    ("model", "formats", "images", "reasoning", "signature"),
    [
        ("gpt-4o", ("json_schema", "json_object"), True, False, False),
        ("gpt-4o-audio-preview", ("json_schema", "json_object"), None, False, False),
        ("o3-mini", ("json_schema", "json_object"), False, False, False),
        ("o4-mini", ("json_schema", "json_object"), True, False, False),
        ("claude-opus-4-6", (), True, False, False),
        ("deepseek-v3", ("json_object",), False, False, False),
        ("deepseek-r1", (), False, False, False),
        ("deepseek-r1-0528", ("json_object",), False, False, False),
        ("DeepSeek-V3.2", ("json_object",), False, True, False),
        ("deepseek-v4-pro", ("json_object",), None, True, False),
        ("google/gemini-3-flash-preview", ("json_schema", "json_object"), True, False, True),
        ("glm-5", ("json_object",), False, False, False),
        ("glm-4.5v", ("json_object",), True, False, False),
        ("kimi-k2.5", ("json_schema", "json_object"), True, True, False),
        ("kimi-k2-thinking", ("json_schema", "json_object"), None, True, False),
        ("doubao-seed-1-8-251228", ("json_schema", "json_object"), True, False, False),
        ("grok-4.6", ("json_schema", "json_object"), None, False, False),
    ],
)
def test_what_else_is_known_of_a_model(
    model: str, formats: tuple[str, ...], images: bool | None, reasoning: bool, signature: bool
) -> None:
    assert response_formats(model) == formats
    assert takes_images(model) is images
    assert (returns_reasoning(model), keeps_signature(model)) == (reasoning, signature)


# A refusal's `param`, its words as the provider has them, and the options that the hint names.
REFUSALS: dict[str, tuple[str, str, str | None]] = {
    "param": ("temperature", "不支援", "-t"),
    "param below a field": ("tools[0].function.name", "Invalid name", "--tool"),
    "param that misleads": ("model", "Unsupported parameter: 'temperature' is not supported with this model.", "-t"),
    "OpenAI": ("", "Unsupported parameter: 'logit_bias' is not supported with this model.", "-p logit_bias"),
    "OpenAI, its two names": (
        "",
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        "--max-tokens",
    ),
    "OpenAI, stop": ("", "Unsupported parameter: 'stop' is not supported with this model.", "-p stop"),
    "OpenAI, a limit": ("", "max_tokens is too large: 32000. This model supports at most 16384", "--max-tokens"),
    "Kimi": ("", "invalid temperature: only 1 is allowed for this model", "-t"),
    "Claude": ("", "`temperature` and `top_p` cannot both be specified for this model.", "-t or -p top_p"),
    "Claude, the range": ("", "temperature: range: 0..1", "-t"),
    "Claude, new": ("", "`temperature` is deprecated for this model.", "-t"),
    "GLM": ("", "The temperature parameter is illegal.：限制数值范围[0,1]", "-t"),
    "GLM, stop": ("", "stop参数非法。请检查文档。", "-p stop"),
    "Grok": ("", "Model grok-4.6 does not support parameter presencePenalty.", "-p presence_penalty"),
    "Grok, old": ("", "Argument not supported on this model: stop", "-p stop"),
    "DeepSeek": ("", "This response_format type is unavailable now", "-p response_format"),
    "DeepSeek R1": ("", "deepseek-reasoner does not support Function Calling", "--tool"),
    "no option": ("", "Please stop: the n words that you seed are tools of thinking", None),
    "the messages": ("messages[0].content", "Invalid 'temperature' in the text", None),
}


class TestAfterARefusal:
    @pytest.mark.parametrize(("param", "message", "options"), REFUSALS.values(), ids=REFUSALS)
    def test_the_hint_names_the_option_that_set_the_parameter(
        self, shell: Shell, monkeypatch: pytest.MonkeyPatch, param: str, message: str, options: str | None
    ) -> None:
        body = {"error": {"message": message, "type": "upstream_error", "param": param, "code": None}}
        with scripted(reply(400, body)) as gateway:
            monkeypatch.setenv("MIXROUTE_BASE_URL", gateway.base_url)
            error = shell.fail("%chat -m nobody-knows-1 -t 0.7 Hello")
        assert type(error) is e.BadRequestError
        assert message.rstrip(".") in str(error)
        where = "" if options == "--tool" else ", here or in %model"
        hint = f"Drop or change {options}{where}; {OTHER}"
        assert error.hint == (hint if options else "Drop or change the option that it names.")

    def test_a_client_mistake_that_comes_as_500_is_explained_as_well(self) -> None:
        said = {"error": {"message": "invalid temperature", "code": "invalid_request", "param": "temperature"}}
        with scripted(reply(500, said)) as gateway, pytest.raises(e.BadRequestError) as caught:
            Client(gateway.base_url, "sk-x").chat([{"role": "user", "content": "Hello"}], model="m")
        assert "-t" in caught.value.hint

    def test_what_is_too_long_is_about_no_option(self) -> None:
        message = "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000"
        with (
            scripted(reply(400, {"error": {"message": message}})) as gateway,
            pytest.raises(e.BadRequestError) as caught,
        ):
            Client(gateway.base_url, "sk-x").chat([{"role": "user", "content": "Hello"}], model="m")
        assert caught.value.hint == "Send fewer or shorter messages."


@pytest.fixture(scope="module")
def demo() -> Iterator[str]:
    with DemoGateway.start(pace=0) as running:
        yield running.base_url


SCHEMA = {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}}
VALUES: dict[str, list[Any]] = {
    "temperature": [0, 0.6, 1, 1.5, 2],
    "top_p": [0.5, 0.95, 1],
    "presence_penalty": [0, 0.5],
    "frequency_penalty": [0, 0.5],
    "n": [1, 2],
    "stop": ["END", ["END"], ["END", "STOP"]],
    "logprobs": [False, True],
    "top_logprobs": [2],
    "logit_bias": [{"1": 1}],
    "thinking": [{"type": "enabled"}, {"type": "disabled"}],
    "tools": [[TOOL]],
    "response_format": [{"type": "json_object"}, SCHEMA],
}


@pytest.mark.parametrize("model", MODELS)
def test_the_demo_takes_what_the_table_passes_and_nothing_else(demo: str, model: str) -> None:
    """Each value alone, and each beside a temperature: the only field that matters to others."""
    single = [{name: value} for name, values in VALUES.items() for value in values]
    pairs = [
        one | other for one, other in product(single, single) if "temperature" in one and one.keys() != other.keys()
    ]
    different = []
    with requests.Session() as session:
        for fields in (*single, *pairs):
            asked = {"model": model, "messages": [{"role": "user", "content": "Say it as JSON."}], **fields}
            body = asked | {max_tokens_field(model): 1}
            response = session.post(f"{demo}/chat/completions", json=body, timeout=30)
            refused = refusal(model, fields)
            if (response.status_code == 400) != (refused is not None):
                different.append((fields, refused, response.text))
    assert different == []
