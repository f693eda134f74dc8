"""Each guard between a hostile answer and the page, and how it is taken away."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True)
class Guard:
    """A piece of a module's source, and what stands there when it guards nothing any more."""

    name: str
    source: str
    removed: str
    module: str = "display.markdown"


# Runs in a process of its own: it changes our source, which is what this test is about, and asks what is made then.
# What we import from others is imported once, and each guard is missing in a child that imports ours anew.
WITHOUT = """
import importlib, inspect, json, os, sys
import hostile
guards, answers = json.load(sys.stdin)
hostile.made({})
for name in [name for name in sys.modules if name.partition(".")[0] == "mixroute_magic"]:
    del sys.modules[name]
for module, source, removed in guards:
    child = os.fork()
    if not child:
        changed = importlib.import_module(f"mixroute_magic.{module}")
        code = inspect.getsource(changed)
        assert code.count(source) == 1, f"{source!r} stands {code.count(source)} times in {module}"
        exec(compile(code.replace(source, removed), changed.__file__, "exec"), changed.__dict__)
        print(json.dumps(hostile.made(answers)), flush=True)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit(f"without {source!r} it failed")
"""

GUARDS = [
    Guard("the live view reads no HTML", '{"html": False}', '{"html": True}'),
    Guard("the live view shows no images", '.disable("image")', ""),
    Guard("links of the live view lead to the web or to a mail", "link.attrs.clear()", "pass"),
    Guard("schemes", '_SCHEMES = ("http://", "https://", "mailto:")', '_SCHEMES = ("",)'),
    Guard("controls", '_CONTROLS.sub("", text)', "text", "outside"),
    Guard("tags", 'text = _TAG.sub("&lt;", text)', "pass"),
    Guard("images", '_BANG.sub("&#33;", _IMAGE.sub("", text))', "text"),
    Guard("images by reference", '_BANG.sub("&#33;", _IMAGE.sub("", text))', '_IMAGE.sub("", text)'),
    Guard("links", 'text = _LINK.sub("]&#40;", text)', "pass"),
    Guard("definitions", 'text = _DEFINITION.sub(r"\\1&#58;", text)', "pass"),
    Guard("the scheme ftp", 'text = _FTP.sub("&#58;", text)', "pass"),
    Guard("macros", 'text = _MACRO.sub(r"\\\\text", text)', "pass"),
    Guard("macros that entities spell", " if _MACRO.search(unescape(text)) else text", " if False else text"),
    Guard(
        "formulas in addresses",
        '_BARE_URL.sub(lambda url: url[0].replace("$", "%24").replace("\\\\", "%5C"), text)',
        "text",
    ),
    Guard("backslashes in addresses", '.replace("\\\\", "%5C")', ""),
    Guard(
        "fences with an odd language in prose",
        "_UP_TO_BAD_INFO.sub(lambda line: _FENCE.sub(lambda fence: _as_code(fence[0]), line[0]), text)",
        "text",
    ),
    Guard(
        "diagrams in prose",
        '_BAD_INFO = re.compile(r"[\\"<&$\\\\]|mermaid", re.IGNORECASE)',
        '_BAD_INFO = re.compile(r"[\\"<&$\\\\]")',
    ),
    Guard("quotation marks in languages", '[\\"<&$\\\\]|mermaid', "[<&$\\\\]|mermaid"),
    Guard("backslashes in languages", '[\\"<&$\\\\]|mermaid', '[\\"<&$]|mermaid'),
    Guard("open brackets", "return _without_open_labels(text).split", "return text.split"),
    Guard("open brackets, until none is left", "        end = bracket\n", "        end = bracket\n        break\n"),
    Guard("code spans", "code = span[0] if _neutral(span[0]) == span[0] else", "code = span[0] if True else"),
    Guard("code with markup", "for text in (first_line, code.content)", "for text in (first_line,)"),
    Guard("code below markup", "for text in (first_line, code.content)", "for text in (code.content,)"),
    Guard("languages are words", 'language = words[0] if words else "text"', "language = code.info"),
    Guard("diagrams", "code.info.lower() and _BAD_DIAGRAM.search(code.content)", "code.info.lower() and False"),
    Guard("a fence is longer than those within", "max(3, longest + 1)", "3"),
    Guard("ftp in code", '_FTP.sub("&#58;", _ACTIVE', 're.sub("$^", "", _ACTIVE'),
    Guard("code ends no formula", "elif fenced and not _END_OF_FORMULA.search(token.content):", "elif fenced:"),
    Guard("a fence stands below a blank line", 'safe += [""] if any(safe[-1:]) else []', "pass"),
    Guard("nested code is characters", "_as_code(code.content.removesuffix(chr(10)), '&#10;')", "code.content"),
    Guard("text as characters", 'return _as_code(_without_macros(text), "<br>")', "return _without_macros(text)"),
    Guard(
        "macros in text as characters",
        'return _as_code(_without_macros(text), "<br>")',
        'return _as_code(text, "<br>")',
    ),
    Guard("titles", r"[^\"\\$<>`\n]*", r"[^\"\n]*"),
    Guard("the answer", "return make_safe(answer", "return (lambda text, **_: text)(answer", "display.formats"),
    Guard("an answer that is shown as text", "return as_pre(answer)", "return answer", "display.formats"),
    Guard("text as characters with spaces", '_as_code(text, "&#10;")}</pre>', "text}</pre>"),
    Guard("the name of a column", "as_html(one.name)", "one.name", "display.output"),
    Guard("the footer of a column", "as_html(footer(one))", "footer(one)", "display.output"),
    Guard("what went wrong", "map(as_html, ending.error)", "ending.error", "display.output"),
    Guard("the footer", "as_html(last)", "last", "display.output"),
    Guard("reasoning", "<p>{as_html(reasoning)}</p>", "<p>{reasoning}</p>", "display.output"),
    Guard("what was said before", "return make_safe(quoted)", "return quoted", "display.exchange"),
    Guard("the call of a tool", "{as_html(call_line(call))}", "{call_line(call)}", "display.exchange"),
    Guard("arguments, results, and answers that did not fit", "map(as_pre, texts)", "texts", "display.exchange"),
    Guard(
        "why it is asked again",
        "as_html(_why_again(answer, problems))",
        "_why_again(answer, problems)",
        "display.exchange",
    ),
    Guard("records", "table.to_markdown(as_html)", "table.to_markdown(str)", "display.formats"),
    Guard("the beginning of a result", "as_html(_short(result))", "_short(result)", "display.exchange"),
    Guard("the sentence above outputs", "as_html(self.sentence)", "self.sentence", "display.output"),
]


def without(guards: Sequence[Guard], answers: dict[str, str]) -> Iterator[dict[str, dict[str, str]]]:
    """Yield what is made of answers where a guard is missing, for each guard."""
    asked = json.dumps([[(guard.module, guard.source, guard.removed) for guard in guards], answers])
    command = [sys.executable, "-c", WITHOUT]
    uncounted = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    ran = subprocess.run(
        command, input=asked, cwd=Path(__file__).parent, env=uncounted, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    yield from map(json.loads, ran.stdout.splitlines())
