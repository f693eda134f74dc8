"""What the magics take, and what they say to a line that they do not take."""

from __future__ import annotations

import shlex
from dataclasses import FrozenInstanceError
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixroute_magic import arguments, options

if TYPE_CHECKING:
    from collections.abc import Callable

# Long enough to be taken for a key, and nobody's.
KEY = "sk-" + "test" * 5
KINDS = [
    options.ChatOptions,
    options.ModelOptions,
    options.ThreadOptions,
    options.UsageOptions,
    options.SetupOptions,
]


def chat(line: str) -> options.ChatOptions:
    return options.parse_chat(line, "question")[0]


def cell(line: str) -> object:
    return options.parse_chat(line, "question")


def model(line: str) -> options.ModelOptions:
    return options.parse(options.ModelOptions, line)


def thread(line: str) -> options.ThreadOptions:
    return options.parse(options.ThreadOptions, line)


def usage(line: str) -> options.UsageOptions:
    return options.parse(options.UsageOptions, line)


def setup(line: str) -> options.SetupOptions:
    return options.parse(options.SetupOptions, line)


def refused(parse: Callable[[str], Any], text: str) -> str:
    with pytest.raises(arguments.OptionError) as caught:
        parse(text)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_nothing_given_is_nothing_set() -> None:
    given = chat("  ")
    assert (given.models, given.system, given.temperature, given.max_tokens) == ((), None, None, None)
    assert (given.params, given.thread, given.output) == ({}, None, None)
    assert (given.fresh, given.dry_run) == (False, False)


def test_all_options_in_their_long_form() -> None:
    given = chat("--model gpt-4o --system Hi --temperature=0.5 --max-tokens 9 --thread a --fresh --output r --dry-run")
    assert (given.models, given.system, given.temperature, given.max_tokens) == (("gpt-4o",), "Hi", 0.5, 9)
    assert (given.thread, given.fresh, given.output, given.dry_run) == ("a", True, "r", True)


def test_all_options_in_their_short_form() -> None:
    given = chat("-m gpt-4o -s=Hi -t 2 -p top_p=1 -o r")
    assert (given.models, given.system, given.temperature, given.output) == (("gpt-4o",), "Hi", 2.0, "r")
    assert given.params == {"top_p": 1}


def test_options_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        chat("").models = ("glm-5",)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ('"two words"', "two words"),
        ("'two \\ \"words\"'", 'two \\ "words"'),
        (r'"say \"hi\", \\ \$ \` \alpha"', r'say "hi", \ $ ` \alpha'),
        (r"two\ words\'", "two words'"),
        ("a'b c'\"d e\"f", "ab cd ef"),
        ('""', ""),
        ('"- a list"', "- a list"),
        ("臺灣　-m　glm-5", "臺灣"),
        ("back\\", "back\\"),
    ],
)
def test_values_are_quoted_as_in_a_shell(typed: str, meant: str) -> None:
    assert chat(f"-s {typed}").system == meant


@given(st.lists(st.text(st.characters(exclude_characters="\0")), min_size=1))
@settings(deadline=None)
def test_what_a_shell_would_quote_is_read_back(words: list[str]) -> None:
    line = " ".join(f"-p k{n}={shlex.quote('x' + word)}" for n, word in enumerate(words))
    assert chat(line).params == {f"k{n}": f"x{word}" for n, word in enumerate(words)}


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("0.9", 0.9),
        ("true", True),
        ("null", None),
        ('\'["a", "b"]\'', ["a", "b"]),
        ("high", "high"),
        ("a=b", "a=b"),
        ("NaN", "NaN"),
        ("", ""),
    ],
)
def test_parameters_are_json_or_else_text(typed: str, value: Any) -> None:
    assert chat(f"-p key={typed} --param=other=1").params == {"key": value, "other": 1}


def test_json_whose_quotes_the_line_has_eaten_is_not_sent_as_text() -> None:
    for typed in ('stop=["END"]', 'response_format={"type":"json_object"}', "\"x={'a'}\""):
        assert "quote it whole" in refused(chat, f"-p {typed}")


def test_a_field_with_an_option_of_its_own_is_set_by_that() -> None:
    assert refused(model, "-p temperature=0.9").endswith("temperature has an option of its own: -t")
    assert refused(chat, "-p max_completion_tokens=9").endswith("has an option of its own: --max-tokens")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--temprature 1", "no option --temprature: did you mean --temperature? (%chat? shows all)"),
        ("--max 5", "no option --max: did you mean --max-tokens? (%chat? shows all)"),
        ("--Fresh", "no option --Fresh: did you mean --fresh? (%chat? shows all)"),
        ("-t0", "no option -t0: did you mean -t? (%chat? shows all)"),
        ("-x=1", "no option -x (%chat? shows all)"),
        ("-t", "-t needs a value: -t X"),
        ("-m --fresh", "-m needs a value: -m NAME"),
        ("-p", "-p needs a value: -p KEY=VALUE"),
        ("-t -1", "-t -1: a number from 0 to 2 is needed"),
        ("-t -.5", "-t -.5: a number from 0 to 2 is needed"),
        ("--temperature=2.01", "--temperature 2.01: a number from 0 to 2 is needed"),
        ("-t nan", "-t nan: a number from 0 to 2 is needed"),
        ("-t warm", "-t warm: a number from 0 to 2 is needed"),
        ("--max-tokens 0", "--max-tokens 0: a whole number of at least 1 is needed"),
        ("--max-tokens 1e3", "--max-tokens 1e3: a whole number of at least 1 is needed"),
        ("-p top_p", "-p top_p: write KEY=VALUE, as in top_p=0.9"),
        ("-p =1", "-p =1: write KEY=VALUE, as in top_p=0.9"),
        ("-p top_p=1 --param top_p=2", "--param top_p is given twice: give it once"),
        ("-m a " * 9, "-m is given 9 times: at most 8 models answer side by side"),
        ("--fresh --fresh", "--fresh is given twice: give it once"),
        ("--fresh=yes", "--fresh takes no value"),
        ("-m ''", "-m : a model's name is needed (%model --list shows them)"),
        ("-o 2x", "-o 2x: the name of a Python variable is needed"),
        ("-o class", "-o class: the name of a Python variable is needed"),
        ("--thread 'a b'", "--thread a b: a thread's name is made of letters, digits, - _ and ."),
        ("-s 'oops", "the quote ' is not closed: close it, or write \\' for the character"),
        ('-s "oops', 'the quote " is not closed: close it, or write \\" for the character'),
        ("-t 1 hello there", "hello there is no option: put the question on the lines below %%chat"),
        ("-- " + "long " * 20, "long long long long long long long long … is no option: put the question on the"),
        ("--model=a 'b\nc'", "'b… is no option: put the question on the lines below %%chat"),
    ],
)
def test_a_wrong_line_is_answered_with_one_line_that_says_what_to_do(line: str, message: str) -> None:
    assert refused(cell, line).startswith(message)


@pytest.mark.parametrize("key", ["messages", "model"])
def test_a_parameter_does_not_replace_what_the_cells_say(key: str) -> None:
    assert f"{key} is no parameter" in refused(cell, f"-p {key}=x")


@pytest.mark.parametrize("name", ["main", "課程-1", "v1.2_b", "हिन्दी", "2"])
def test_a_thread_is_named_in_any_script(name: str) -> None:
    assert options.parse(options.ThreadOptions, name).name == name
    assert chat(f"--thread {name}").thread == name


def test_a_threads_name_is_the_same_however_its_accents_are_typed() -> None:
    assert options.parse(options.ThreadOptions, "cafe\u0301").name == "caf\u00e9"


@pytest.mark.parametrize("name", ["a/b", "''", "a:b", "a\\ b", "-1", "😀"])
def test_a_thread_is_not_named_otherwise(name: str) -> None:
    assert "letters, digits" in refused(thread, name)


def test_a_variable_is_named_as_python_reads_it() -> None:
    assert chat("-o 答案").output == "答案"
    assert chat("-o ﬁn").output == "fin"


@pytest.mark.parametrize(
    "question",
    [
        "what's new?",
        "it's 5 o'clock \"ok",
        "「引號」 isn't 'closed",
        "tell me --model of -t 0 ?  ",
        "-5 + 3 is?",
        "-> means what?",
        "- a dash",
        "— a long one",
        "'quoted' \\n",
        "{{ x }} -- y",
    ],
)
@pytest.mark.parametrize("front", ["", "-t 0 ", "--fresh  -s 'two words' ", "-- ", "  "])
def test_the_question_is_taken_as_it_is(front: str, question: str) -> None:
    assert options.parse_chat(front + question)[1] == question


def test_options_stand_before_the_question() -> None:
    given, question = options.parse_chat("-t 0 -m glm-5 why -t 1?")
    assert (given.temperature, given.models, question) == (0, ("glm-5",), "why -t 1?")


def test_two_dashes_end_the_options() -> None:
    assert options.parse_chat("--fresh -- -v means what?")[1] == "-v means what?"


@pytest.mark.parametrize("line", ["", "  ", "--dry-run", "-t 0 --"])
def test_there_is_something_to_ask(line: str) -> None:
    assert refused(options.parse_chat, line).startswith("nothing to ask: write %chat and a question, or %%chat")
    assert refused(lambda body: options.parse_chat("", body), " \n").startswith("nothing to ask")


def test_the_model_is_named_before_or_after_its_options() -> None:
    for line in ("gpt-4o -t 0.2", "-t 0.2 gpt-4o"):
        given = options.parse(options.ModelOptions, line)
        assert (given.name, given.temperature, given.listing, given.reset) == ("gpt-4o", 0.2, None, False)


@pytest.mark.parametrize(("line", "pattern"), [("--list", ""), ("--list gpt", "gpt"), ("--list=g*", "g*")])
def test_models_are_listed_all_or_by_pattern(line: str, pattern: str) -> None:
    assert options.parse(options.ModelOptions, line).listing == pattern


def test_a_list_is_asked_for_alone() -> None:
    for line in ("--list --reset", "gpt-4o --list", "--list x -t 1"):
        assert refused(model, line) == "--list only shows: give it alone"
    assert refused(thread, "--list --clear") == "--list only shows: give it alone"


def test_a_thread_is_cleared_or_all_are_listed() -> None:
    assert options.parse(options.ThreadOptions, "draft --clear").clear
    assert options.parse(options.ThreadOptions, "--list").listing
    assert options.parse(options.ThreadOptions, "").name is None


def test_usage_takes_nothing() -> None:
    assert isinstance(options.parse(options.UsageOptions, ""), options.UsageOptions)
    assert refused(usage, "all") == "%usage does not take all (%usage? shows what it takes)"
    assert refused(usage, "--bill f") == "no option --bill: did you mean --all? (%usage? shows all)"


def test_one_name_is_enough() -> None:
    assert refused(model, "a b") == "%model does not take b (%model? shows what it takes)"


@pytest.mark.parametrize(
    ("line", "action"),
    [("", "status"), ("status", "status"), ("login", "login"), ("logout", "logout"), ("demo", "demo")],
)
def test_setting_up_is_one_of_four_actions(line: str, action: str) -> None:
    assert options.parse(options.SetupOptions, line).action == action


def test_a_wrong_action_is_told_the_nearest_or_all() -> None:
    assert refused(setup, "logn") == "%mixroute logn: did you mean login?"
    assert refused(setup, "x") == "%mixroute x: status, login, logout or demo is needed"


@pytest.mark.parametrize(
    "line", [KEY, f"-p api_key={KEY}", f"-m{KEY} x", f"--key={KEY}", f"為什麼{KEY}", f"my key is '{KEY}', why?"]
)
def test_a_key_in_a_line_is_refused_and_not_repeated(line: str) -> None:
    parsers = (options.parse_chat, cell, model, setup)
    for parse in parsers:
        message = refused(parse, line)
        assert "%mixroute login" in message
        assert "sk-" not in message


@pytest.mark.parametrize(
    "text", ["sk-test", "task-management-for-everyone", "ask sk- and sk-learn", "the class sk-estimator-doc-link"]
)
def test_what_is_no_key_is_not_refused(text: str) -> None:
    assert options.parse_chat(text)[1] == text


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.magic)
def test_the_help_shows_usage_options_and_two_examples(kind: type[arguments.Options]) -> None:
    magic = kind.magic
    parts = arguments.help_for(kind).split("\n\n")
    assert parts[1].startswith(f"Usage:\n    %{'%' if magic == 'chat' else ''}{magic}")
    examples = arguments.help_for(kind).partition("Examples:\n")[2].split("\n\n")
    assert len(examples) == 2


def test_the_help_lists_the_options_in_columns() -> None:
    rows = arguments.help_for(options.ChatOptions).partition("Options:\n")[2].partition("\n\n")[0].splitlines()
    assert "    -m, --model NAME       this message's model; several answer side by side" in rows
    assert all(row[26] == " " != row[27] for row in rows)


def test_the_helps_examples_are_taken() -> None:
    assert options.parse_chat("-t 0 what's a monad?")[1] == "what's a monad?"
    parsers = {options.ChatOptions: cell, options.ModelOptions: model, options.ThreadOptions: thread}
    for kind, parse in {**parsers, options.SetupOptions: setup}.items():
        examples = arguments.help_for(kind).partition("Examples:\n")[2].split("\n\n")
        line = examples[-1].splitlines()[0].strip().lstrip("%").partition(" ")[2]
        parse(line)
