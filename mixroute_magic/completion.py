"""What Tab offers where our magics are: their options with values, and the notebook's names behind ``{{``."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, fields
from itertools import islice
from shlex import quote
from typing import TYPE_CHECKING, Any

from IPython.core.completer import SimpleCompletion, context_matcher, has_open_quotes

from mixroute_magic.arguments import FLAG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from dataclasses import Field

    from IPython.core.completer import CompletionContext, SimpleMatcherResult

    from mixroute_magic.arguments import Options
    from mixroute_magic.candidates import Candidate, Candidates

__all__ = ["Completion"]

# Patterns stay text until somebody presses Tab.
_MAGIC = r"\s*(?P<name>%%?\w+)\s+(?P<line>.*)"

# A word as it was typed, its quotes closed, and the space behind it.
_WORD = r"""(?P<word>(?:'[^']*'|"(?:\\.|[^"\\])*"|\\.|[^\s'"\\])+)\s+"""

# A variable's attribute, perhaps of an attribute or an item: with a call in it, it would have to be evaluated.
_ATTRIBUTE = r"(?<![\w.\])])(?P<target>[^\W\d]\w*(?:\.\w+|\[[^\[\]()]*\])*)\.(?P<typed>\w*)"

# Where only an attribute, a filter of Jinja's or a number can go on.
_NO_NAME = r"(?:[.|]\s*|\b\d)\w*"

# IPython's own that stay: \alpha becomes a letter everywhere, and what follows df[" is found in templates.
_LETTERS = (
    "IPCompleter.latex_name_matcher",
    "IPCompleter.unicode_name_matcher",
    "back_latex_name_matcher",
    "back_unicode_name_matcher",
)
_KEYS = "IPCompleter.dict_key_matcher"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the cursor stands: what is typed there, what could be, the quote around it, and what IPython may add."""

    typed: str = ""
    candidates: Callable[[], Iterable[Candidate]] = tuple
    quote: str = ""
    besides: tuple[str, ...] = _LETTERS


class _Silence(list[SimpleCompletion]):
    """Nothing, which IPython takes for something: only then does it add nothing of its own."""

    def __len__(self) -> int:
        return 1


class Completion:
    """What Tab offers where our magics are.

    Parameters
    ----------
    kinds
        The options of each magic.
    candidates
        Makes what knows the values of options and the names in templates, at the first Tab that wants one.
    """

    def __init__(self, kinds: Sequence[type[Options]], candidates: Callable[[], Candidates]) -> None:
        self._kinds = {usage.split()[0]: kind for kind in kinds for usage in kind.usage}
        self._candidates = candidates

    @context_matcher()
    def match(self, context: CompletionContext) -> SimpleMatcherResult:
        """Return what fits at the cursor; where a magic of ours stands, IPython adds nothing of its own."""
        place: _Place | None = None
        found: list[SimpleCompletion] = []
        with suppress(Exception):  # IPython would print its traceback, at every Tab
            place = self._place(context)
            found = list(islice(_completions(place), context.limit)) if place else []
        if place is None:
            return {"completions": [], "suppress": False}
        return {
            "completions": found or _Silence(),
            "matched_fragment": place.typed,
            "ordered": True,
            "suppress": True,
            "do_not_suppress": set(place.besides),
        }

    def _place(self, context: CompletionContext) -> _Place | None:
        """Return where the cursor stands, if that is at a magic of ours or in the text below it."""
        above = "\n".join(context.full_text.split("\n")[: context.cursor_line]).lstrip()
        first, _, text = above.partition("\n")
        if first.startswith("%%") and first.split()[0] in self._kinds:
            return self._in_text(f"{text}\n{context.text_until_cursor}")
        magic = re.fullmatch(_MAGIC, context.text_until_cursor)
        if magic is None or magic["name"] not in self._kinds or (above and magic["name"].startswith("%%")):
            return None
        return self._on_line(self._kinds[magic["name"]], magic["line"])

    def _on_line(self, kind: type[Options], line: str) -> _Place:
        """Return the place at the end of what stands behind a magic."""
        flags = {flag: option for option in fields(kind) for flag in option.metadata["flags"]}
        wanting = [option for option in fields(kind) if not option.metadata["flags"]][::-1]
        rest = line
        while whole := re.match(_WORD, rest):
            word = whole["word"]
            if re.match(FLAG, word) and word != "--":
                flag, equals, _ = word.partition("=")
                if flag not in flags:
                    return _Place()
                wanting = [option for option in wanting if not option.metadata["flags"]]
                wanting += [flags[flag]] if flags[flag].metadata["value"] and not equals else []
            elif not wanting:
                return self._in_text(rest)
            else:
                wanting.pop()
            rest = rest[whole.end() :]
        if rest.startswith("-"):
            return self._at_flag(kind, flags, rest)
        return self._at_value(kind, wanting[-1], rest) if wanting else self._in_text(rest)

    def _at_flag(self, kind: type[Options], flags: Mapping[str, Field[Any]], word: str) -> _Place:
        flag, equals, value = word.partition("=")
        if not equals:
            return _Place(word, lambda: [(flag, "option") for flag in flags])
        has_value = flag in flags and flags[flag].metadata["value"]
        return self._at_value(kind, flags[flag], value) if has_value else _Place()

    def _at_value(self, kind: type[Options], option: Field[Any], word: str) -> _Place:
        opened = word[0] if word.startswith(("'", '"')) else ""
        typed = word.removeprefix(opened)
        return _Place(typed, lambda: self._candidates().values(f"{kind.magic}.{option.name}", typed), opened)

    def _in_text(self, text: str) -> _Place:
        """Return the place in a message: in plain words there is nothing to complete, behind an open ``{{`` a name."""
        _, opened, expression = text.rpartition("{{")
        if not opened or "}}" in expression:
            return _Place()
        besides = (*_LETTERS, _KEYS)
        if has_open_quotes(expression):
            return _Place(besides=besides)
        if attribute := re.search(rf"{_ATTRIBUTE}$", expression):
            target, typed = attribute["target"], attribute["typed"]
            return _Place(typed, lambda: self._candidates().attributes(target, typed), besides=besides)
        if re.search(rf"{_NO_NAME}$", expression):
            return _Place(besides=besides)
        typed = re.split(r"\W", expression)[-1]
        return _Place(typed, lambda: self._candidates().in_template(), besides=besides)


def _completions(place: _Place) -> Iterator[SimpleCompletion]:
    """Yield what goes on from what is typed, or else what has it in the middle; quoted where a line needs that."""
    known = [(text, kind) for text, kind in place.candidates() if text.isprintable()]
    found = [(text, kind) for text, kind in known if text.startswith(place.typed)]
    for text, kind in found or [(text, kind) for text, kind in known if place.typed in text]:
        if place.quote and place.quote in text:
            continue
        is_plain = place.quote or not re.search(r"[\s'\"\\]", text)
        yield SimpleCompletion(text if is_plain else quote(text), type=kind)
