"""What Tab offers on the lines of our magics: their options, and the values that the session knows."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from IPython.core.completer import SimpleCompletion, context_matcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from dataclasses import Field

    from IPython.core.completer import CompletionContext, SimpleMatcherResult

    from mixroute_magic.arguments import Options

__all__ = ["Completion"]

# A word as it was typed, its quotes closed. Patterns stay text until somebody presses Tab.
_WORD = r"""(?:'[^']*'|"(?:\\.|[^"\\])*"|\\.|[^\s'"\\])+"""

# A magic, the words behind it, and what stands directly before the cursor.
_CALL = rf"\s*(?P<magic>%%?\w+) \s*(?P<words>(?:{_WORD}\s+)*)(?P<word>\S*)"


class Completion:
    """What Tab offers on the lines of our magics.

    Parameters
    ----------
    kinds
        The options of each magic.
    values
        Where values come from, by magic and field: ``{"chat.thread": threads}`` offers what ``threads()`` returns
        behind ``%chat --thread``. An option that is not there gets nothing from us: its value is new, or free.
    """

    def __init__(self, kinds: Sequence[type[Options]], values: Mapping[str, Callable[[], Iterable[str]]]) -> None:
        self._kinds = {usage.split()[0]: kind for kind in kinds for usage in kind.usage}
        self._values = values

    @context_matcher()
    def match(self, context: CompletionContext) -> SimpleMatcherResult:
        """Return what fits at the cursor. Where that is something, IPython adds nothing of its own."""
        fragment = ""
        found: list[SimpleCompletion] = []
        with suppress(Exception):  # IPython would print its traceback, at every Tab
            fragment, found = self._at_cursor(context)
        return {"completions": found, "matched_fragment": fragment, "suppress": True}

    def _at_cursor(self, context: CompletionContext) -> tuple[str, list[SimpleCompletion]]:
        """Return the text that is to be completed, and what completes it."""
        call = re.fullmatch(_CALL, context.text_until_cursor)
        if call is None or call["magic"] not in self._kinds or self._is_body(context, call["magic"]):
            return "", []
        kind, word = self._kinds[call["magic"]], call["word"]
        flags = {flag: option for option in fields(kind) for flag in option.metadata["flags"]}
        open_options = _open_options(kind, flags, re.findall(_WORD, call["words"]))
        if not word.startswith("-"):
            return self._values_of(kind, open_options[-1], word) if open_options else ("", [])
        flag, equals, value = word.partition("=")
        if equals:
            return self._values_of(kind, flags[flag], value)
        return word, _completions(word, flags, "option")

    def _values_of(self, kind: type[Options], option: Field[Any], word: str) -> tuple[str, list[SimpleCompletion]]:
        fragment = word.lstrip("'\"")
        source = self._values.get(f"{kind.magic}.{option.name}")
        return fragment, _completions(fragment, source(), "value") if source else []

    def _is_body(self, context: CompletionContext, magic: str) -> bool:
        """Tell whether the cursor's line is only text, below one of our cell magics or with one where none can be."""
        above = "\n".join(context.full_text.split("\n")[: context.cursor_line]).split()
        return bool(above) and (magic.startswith("%%") or (above[0].startswith("%%") and above[0] in self._kinds))


def _open_options(kind: type[Options], flags: Mapping[str, Field[Any]], words: Iterable[str]) -> list[Field[Any]]:
    """Return the options that still want a value behind these words; the next word is the last one's.

    Raises
    ------
    LookupError
        If no option can follow: one is unknown, or what `%chat` asks has begun.
    """
    wanting = [option for option in fields(kind) if not option.metadata["flags"]][::-1]
    for word in words:
        if not word.startswith("-"):
            wanting.pop()
            continue
        flag, equals, _ = word.partition("=")
        if flags[flag].metadata["value"] and not equals:
            wanting.append(flags[flag])
    return wanting


def _completions(fragment: str, offered: Iterable[str], label: str) -> list[SimpleCompletion]:
    return [SimpleCompletion(text, type=label) for text in offered if text.startswith(fragment)]
