"""``{{ expression }}`` in a prompt."""

from __future__ import annotations

import inspect
import subprocess
import sys
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixroute_magic.errors import TemplateError
from mixroute_magic.prompt.templates import render as rendered


def double(x: int) -> int:
    """Return twice as much."""
    return 2 * x


class Point:
    x = 1

    def shifted(self) -> int:
        return self.x + 1


class Broken:
    def __str__(self) -> str:
        raise OSError("disk is gone")


def render(body: str, names: dict[str, Any]) -> str:
    """Fill a prompt of which nothing is shortened."""
    result = rendered(body, names)
    assert result.notices == ()
    return result.text


def fail(body: str, **names: Any) -> list[str]:
    with pytest.raises(TemplateError) as caught:
        render(body, names)
    return caught.value.lines()


def test_names_and_expressions_are_filled() -> None:
    names = {"x": 3, "d": {"k": [1, 2]}, "double": double}
    assert render("{{ x }}, {{x+1}}, {{ d.k[1] }}, {{ d['k'] }}, {{ double(x) }}", names) == "3, 4, 2, [1, 2], 6"


def test_filters_conditions_and_defaults_work() -> None:
    names = {"words": ["b", "a"]}
    assert render("{{ words | sort | join('-') }} {{ 'yes' if words else 'no' }}", names) == "a-b yes"
    assert render("{{ missing | default('nothing') }}", names) == "nothing"


def test_builtins_are_there_below_the_notebooks_names() -> None:
    assert render("{{ len(x) }} {{ max(x) }}", {"x": [1, 5]}) == "2 5"
    assert render("{{ len }}", {"len": "mine"}) == "mine"


def test_only_pythons_builtins_are_there_not_jinjas() -> None:
    assert "lipsum" in fail("{{ lipsum() }}")[0]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "plain\n",
        "{x} ${y} $x$ {% if x %} {# note #} {%- raw -%} %} }} #}",
        '{"a": {"b": 1}}',
        "\\frac{a}{b} \\{ \\}",
        "f(){ return {}; }\n\n",
        "# heading\n## {braces}\n",
    ],
)
@pytest.mark.parametrize("filled", ["", "{{ x }}"])
def test_everything_else_passes_untouched(body: str, filled: str) -> None:
    assert render(body + filled + body, {"x": "{{ x }}"}) == body + ("{{ x }}" if filled else "") + body


@given(st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs", "Cn"])))
@settings(deadline=None)
def test_any_text_passes_around_an_expression(text: str) -> None:
    single = text.replace("{", "(")
    assert render(f"{single}{{{{ x }}}}{single}", {"x": text}) == single + text + single


def test_newlines_at_the_end_are_kept() -> None:
    assert render("{{ x }}\n\n", {"x": "a\n"}) == "a\n\n\n"


def test_values_are_never_rendered_again() -> None:
    assert render("{{ a }}", {"a": "{{ b }} {% c %} <&>"}) == "{{ b }} {% c %} <&>"


def test_braces_and_quotes_inside_an_expression() -> None:
    assert render("{{ {'a': {'b': '}}'}}['a']['b'] }}", {}) == "}}"
    assert render("{{ '{{' }}", {}) == "{{"


def test_the_hyphens_of_jinja_take_the_blanks_around() -> None:
    assert render("a  {{- x -}}  b", {"x": 1}) == "a1b"


def test_a_missing_name_is_told_with_its_neighbours() -> None:
    lines = fail("Look at {{ dff.shape }}.", df=1, other=2, _dff=3)
    assert lines == ["TemplateError: {{ dff.shape }} needs dff, which this notebook does not have.", "Did you mean df?"]


def test_a_missing_name_in_other_letters_is_found() -> None:
    assert fail("{{ total }}", Total=1)[1] == "Did you mean Total?"


def test_a_missing_name_without_neighbours_may_have_been_meant_literally() -> None:
    lines = fail("\\frac{{a}}{b}", number=1)
    assert lines[0] == "TemplateError: {{a}} needs a, which this notebook does not have."
    assert lines[1].startswith("Define it first. One expression stands in {{ }}, no comprehension; literal double")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("{{ a b }}", "{{ a b }} cannot be read: expected token"),
        ("{{ a ? b }}", "{{ a … cannot be read: unexpected char '?'"),
        ("{{1,2},{3}}", "{{1,2 … cannot be read: unexpected '}'"),
        ("{{}}", "{{}} cannot be read: Expected an expression"),
        ("{{ a | nofilter }}", "No filter named 'nofilter'"),
        ("so {{ a\n", "{{ a is not closed with }}"),
        ('{{"a":' + "1" * 99 + ",}}", "1111… cannot be read"),
        ("{{ " + "a b " * 50 + "}}", "a b a… cannot be read"),
    ],
)
def test_what_is_no_expression_is_named_with_the_way_to_write_braces(body: str, said: str) -> None:
    lines = fail(body, a=1, b=2)
    assert said in lines[0]
    assert lines[1:] == [
        'One expression stands in {{ }}, no comprehension; literal double braces are written {{ "{{" }}.'
    ]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("{{ 1 / zero }}", "{{ 1 / zero }} failed with ZeroDivisionError: division by zero"),
        ("{{ d.nope }}", "{{ d.nope }} failed with UndefinedError: 'dict object' has no attribute 'nope'"),
        ("{{ double('a', 1) }}", "{{ double('a', 1) }} failed with TypeError: "),
        ("{{ broken }}", "{{ broken }} failed with OSError: disk is gone"),
    ],
)
def test_an_exception_is_named_with_its_expression(body: str, said: str) -> None:
    assert said in fail(body, zero=0, d={}, double=double, broken=Broken())[0]


def test_an_interrupt_in_an_expression_is_an_interrupt() -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render("{{ f() }}", {"f": interrupt})


def test_a_function_becomes_its_source() -> None:
    assert render("{{ f }}!", {"f": double}) == inspect.getsource(double).rstrip() + "!"


def test_a_method_becomes_its_source_without_its_indent() -> None:
    assert render("{{ p.shifted }}", {"p": Point()}) == "def shifted(self) -> int:\n    return self.x + 1"


def test_a_class_becomes_its_source() -> None:
    assert render("{{ P }}", {"P": Point}) == inspect.getsource(Point).rstrip()


@pytest.mark.parametrize("name", ["input", "id", "license", "list"])
def test_pythons_own_names_alone_are_no_variables(name: str) -> None:
    with pytest.raises(TemplateError, match="Python's own"):
        render(f"{{{{ {name} }}}}", {})
    assert render(f"{{{{ {name} }}}}", {name: "mine"}) == "mine"


def test_a_long_failure_stays_one_short_line() -> None:
    with pytest.raises(TemplateError) as caught:
        render("{{ float(text) }}", {"text": "long " * 5000})
    assert len(str(caught.value)) < 200


def test_other_values_become_their_text() -> None:
    assert render("{{ n }} {{ x }} {{ p }}", {"n": None, "x": 0.1, "p": partial(int, "1")}).startswith("None 0.1 func")


@pytest.fixture
def pandas() -> Any:
    return pytest.importorskip("pandas")


def test_each_value_that_is_shortened_is_noted_once_by_its_name(pandas: Any) -> None:
    names = {"df": pandas.DataFrame({"n": range(1000)}), "text": "x" * 100_001, "get": lambda _: "y" * 200_000}
    result = rendered(
        "{{ df }} {{ df }} {{ df.n }} {{ df.head(100) }} {{ df[df.n > 9] }} {{ text }} {{ get('s') }}", names
    )
    assert result.notices == (
        "df shortened to 20 of 1,000 rows",
        "df.n shortened to 20 of 1,000 rows",
        "df.head(100) shortened to 20 of 100 rows",
        "df… shortened to 20 of 990 rows",
        "text shortened to 100,000 of 100,001 characters",
        "get… shortened to 100,000 of 200,000 characters",
    )


def test_a_notice_quotes_no_text_that_an_expression_holds() -> None:
    assert rendered("{{ 'secret' * 99999 }}", {}).notices == ("… shortened to 100,000 of 599,994 characters",)


@pytest.mark.parametrize("make", ["figure", "image", "subfigure"])
def test_a_figure_or_an_image_is_attached_instead(make: str) -> None:
    image_module, figure = pytest.importorskip("PIL.Image"), pytest.importorskip("matplotlib.figure").Figure()
    made = {"figure": figure, "image": image_module.new("RGB", (1, 1)), "subfigure": figure.subfigures()}[make]
    kind = "an image" if make == "image" else "a figure"
    assert fail("Look: {{ fig }}", fig=made) == [
        f"TemplateError: {{{{ fig }}}} is {kind}, and no text.",
        "Attach it: --image fig.",
    ]
    assert fail("{{ figs[0] }}", figs=[made])[1] == "Attach it: --image NAME, with it in a variable."


def test_a_dataframe_with_braces_in_it_is_not_rendered_again(pandas: Any) -> None:
    df = pandas.DataFrame({"{{ b }}": ["{{ c }}"]})
    assert render("{{ df }}", {"df": df, "b": 1, "c": 2}) == "|  | {{ b }} |\n| --- | --- |\n| 0 | {{ c }} |"


def test_expressions_on_a_dataframe_work(pandas: Any) -> None:
    df = pandas.DataFrame({"n": [1, 2]})
    assert render("{{ df.shape }} {{ len(df) }} {{ df['n'].sum() }} {{ df.n.max() }}", {"df": df}) == "(2, 1) 2 3 2"


def test_a_prompt_without_braces_imports_no_jinja() -> None:
    script = (
        "import sys; from mixroute_magic.prompt.templates import render; render('a {b} %}', {});"
        "assert 'jinja2' not in sys.modules; render('{{ 1 }}', {}); assert 'jinja2' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
