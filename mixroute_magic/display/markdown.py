"""Markdown, in the two forms a person sees: HTML while it streams, safe source when it is done.

The only door to markdown-it-py, which is imported at first use.

JupyterLab executes HTML in the Markdown output of a cell that its user ran, so the final source must be harmless *in
any reading*: JupyterLab reads it with marked after cutting formulas out of it, others with markdown-it or cmark, and
they disagree about where code begins and ends. So prose is made harmless piece by piece, whatever it may turn out to
be, and a block of code keeps its markup only as a fence that nothing around it can swallow or end early.
"""

from __future__ import annotations

import re
from functools import cache
from html import unescape
from typing import TYPE_CHECKING, Any

from mixroute_magic.outside import without_controls

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it import MarkdownIt
    from markdown_it.renderer import RendererHTML
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token

__all__ = ["as_html", "as_pre", "block_tokens", "is_closed", "make_safe", "parser"]

_SCHEMES = ("http://", "https://", "mailto:")
_BLANK_LINES = re.compile(r"(\n[ \t]*\n\s*)")
_CODE_SPAN = re.compile(r"(?<![\\`])(`+)(?!`)(.{1,1000}?)(?<!`)\1(?!`)", re.DOTALL)
_FORMULA = re.compile(
    r"\$\$.{1,2000}?\$\$|\$[^$]+\$|\\\(.{1,2000}?\\\)|\\\[.{1,2000}?\\\]|\\begin\{(\w+\*?)\}.{1,2000}?\\end\{\1\}",
    re.DOTALL,
)
_PARENTHESES = re.compile(r"(?<!\\)\\\(([^$\n]{1,500}?)\\\)")
_BRACKETS = re.compile(r"(?<!\\)\\\[([^$]{1,2000}?)\\\]")

# An address that ends at the same place for every parser, and needs no escaping inside an attribute.
_URL_CHARACTER = r"[^\s\ufeff<>\"`\\$\[\]{}|^()]"
_URL = rf"(?:https?://|mailto:)(?:{_URL_CHARACTER}|\({_URL_CHARACTER}*\))*"
_TITLE = r"(?:[ \t]+\"[^\"\\$<>`\n]*\")?"

# What is dangerous in prose, as it is written.
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_AUTOLINK = re.compile(rf"<({_URL})>")
_IMAGE = re.compile(r"(?<!!)!+(?=\[[^\[\]]*\]\()")
_BANG = re.compile(r"!(?=\[)")
_LINK = re.compile(rf"\]\((?!{_URL}{_TITLE}\))")
# The label may have begun before this piece of text.
_LABEL = r"((?:\A|^[ \t>*+\-\d.)]*(?:\[[ xX]\][ \t]+)?\[)(?:\\.|[^\[\]\\])*\]):"
_ANY_DEFINITION = re.compile(_LABEL, re.DOTALL | re.MULTILINE)
_DEFINITION = re.compile(
    rf"{_LABEL}"
    rf"(?![ \t]+{_URL}{_TITLE}[ \t]*(?:\s*\Z|\n(?=[ \t]*\[[^\[\]\n]*\]:)))",
    re.DOTALL | re.MULTILINE,
)
_BARE_URL = re.compile(r"(?:(?:https?|ftp)://|www\.)[^\s<]*", re.IGNORECASE)
_FTP = re.compile(r"(?<=ftp):(?=//)", re.IGNORECASE)  # JupyterLab makes a link of it, even of bare text
_MACRO = re.compile(r"\\(?:href|style|class|cssId|require|mmlToken|unicode|bbox|data(?=\s*\{))(?![A-Za-z])")
_BAD_INFO = re.compile(r"[\"<&$\\]|mermaid", re.IGNORECASE)
_UP_TO_BAD_INFO = re.compile(rf"^.*(?=(?:{_BAD_INFO.pattern}))", re.IGNORECASE | re.MULTILINE)
_FENCE = re.compile(r"`{3,}|~{3,}")
# nbconvert lets a formula run on, out of the prose above and over the line that begins a block of code.
_END_OF_FORMULA = re.compile(r"\$\$|\\\]|\\end\{")
_BRACKET = re.compile(r"\\.|([\[\]])", re.DOTALL)  # or what is escaped
_BEFORE_LABEL = re.compile(r"[ \t>*+\-\d.)]*(?:\[[ xX]\][ \t]+)?")
# Diagrams are drawn by the page: those that may fetch, style or link stay code.
_BAD_DIAGRAM = re.compile(r"[<\\]|//|%%\{|url|img|icon|config|click|href|import", re.IGNORECASE)

_WRAPPED = "margin: 0 0 1em; white-space: pre-wrap; word-break: normal; overflow-wrap: anywhere"
_LANGUAGE = re.compile(r"[\w+#.:/-]+")
_ACTIVE = re.compile(r"[!-$&-*<-@\[-`{-~]")


def make_safe(markdown: str, *, apart: bool = False) -> str:
    r"""Return Markdown that shows the same and does nothing, whoever renders it.

    Raw HTML outside code becomes text, links other than http, https and mailto become text, images become links, and
    TeX macros that reach the page (``\href``, ``\style`` …) become ``\text``. Ordinary answers come back unchanged.
    ``apart`` lets it define no links, which would hold for the other answers of the same output, too.
    """
    prose = _prose_apart if apart else _prose
    source = without_controls(markdown)
    lines = source.split("\n")
    safe: list[str] = []
    done = 0
    for token in block_tokens(source):
        if token.type not in {"fence", "code_block"} or token.map is None:
            continue
        start, end = token.map
        fenced = token.level == 0 and token.type == "fence"
        if _is_inert(token, lines[start]):
            safe += [*prose(lines[done:start]), *lines[start:end]]
            safe += [token.markup] if fenced and not is_closed(lines[start:end], token.markup) else []
        elif fenced and not _END_OF_FORMULA.search(token.content):
            safe += prose(lines[done:start])
            safe += [""] if any(safe[-1:]) else []
            safe += _isolated(token)
            safe += [""] if any(lines[end : end + 1]) else []
        else:
            safe += [*prose(lines[done:start]), _as_pre(token, lines[start])]
        done = end
    return "\n".join([*safe, *prose(lines[done:])])


def as_html(text: str) -> str:
    """Return ``text`` as characters of one line that no Markdown, TeX or HTML reader takes for anything else."""
    text = without_controls(text)
    return _as_code(_without_macros(text), "<br>")


def as_pre(text: str) -> str:
    """Return ``text`` as characters that keep their spaces and lines, in one line of HTML that every reader shows.

    Long lines are wrapped where a page keeps styles, and scroll on GitHub, which does not.
    """
    text = without_controls(text).rstrip()
    return f'<pre style="{_WRAPPED}">{_as_code(text, "&#10;")}</pre>' if text else ""


@cache
def parser() -> MarkdownIt:
    """Return the parser of answers: raw HTML stays text, images stay links."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable("image")
    parser.inline.ruler.before("escape", "formula", _formula)
    parser.add_render_rule("link_open", _link_open)
    return parser


def _formula(state: StateInline, silent: bool) -> bool:
    """Keep a formula as it is written: its backslashes, stars and underscores are TeX."""
    formula = _FORMULA.match(state.src, state.pos, state.posMax)
    if formula is None:
        return False
    if not silent:
        state.pending += formula[0]
    state.pos = formula.end()
    return True


def _link_open(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: Any, _env: Any) -> str:
    link = tokens[index]
    if str(link.attrs.get("href", "")).lower().startswith(_SCHEMES):
        link.attrs |= {"target": "_blank", "rel": "noopener noreferrer"}
    else:
        link.attrs.clear()
    return renderer.renderToken(tokens, index, options, _env)


def block_tokens(source: str) -> list[Token]:
    """Return the block structure alone: inline content is the larger part of parsing."""
    reader = parser()
    tokens: list[Token] = []
    reader.block.parse(source, reader, {}, tokens)
    return tokens


def _prose(lines: Sequence[str]) -> list[str]:
    """Make all that is not a block of code harmless; paragraph by paragraph, as code spans and formulas end there.

    No bracket stays open where a definition could begin: marked lets the label run on, through blank lines and fences
    and whatever else is joined to this text, to the next bracket.
    """
    if not lines:
        return []
    pieces = _BLANK_LINES.split("\n".join(lines))
    text = "".join(_paragraph(piece) if piece.strip() else piece for piece in pieces)
    return _without_open_labels(text).split("\n")


def _prose_apart(lines: Sequence[str]) -> list[str]:
    """Make prose harmless, and show what defines links as it is written."""
    return _ANY_DEFINITION.sub(r"\1&#58;", "\n".join(_prose(lines))).split("\n") if lines else []


def _without_open_labels(text: str) -> str:
    """Write the last brackets, those that nothing closes, as entities: from the end on, as each may hide another."""
    end = len(text)
    for bracket in reversed([found.start() for found in _BRACKET.finditer(text) if found[1]]):
        line = text[text.rfind("\n", 0, bracket) + 1 : bracket]
        if text[bracket] == "]" or not _BEFORE_LABEL.fullmatch(line):
            break
        end = bracket
    return text[:end] + _BRACKET.sub(lambda found: "&#91;" if found[1] else found[0], text[end:])


def _paragraph(text: str) -> str:
    """Make prose harmless, and leave the code in it as readable as it was."""
    safe: list[str] = []
    done = 0
    for span in _CODE_SPAN.finditer(text):
        code = span[0] if _neutral(span[0]) == span[0] else f"<code>{_as_code(span[2])}</code>"
        safe += [_neutral(_with_dollars(text[done : span.start()])), code]
        done = span.end()
    return _without_bad_attributes("".join([*safe, _neutral(_with_dollars(text[done:]))]))


def _neutral(text: str) -> str:
    """Make prose harmless as it is written, without a thought for what it may be part of."""
    text = _AUTOLINK.sub(r"[\1](\1)", text)
    text = _FORMULA.sub(lambda formula: _TAG.sub("< ", formula[0]), text)
    text = _TAG.sub("&lt;", text)
    text = _BANG.sub("&#33;", _IMAGE.sub("", text))
    text = _LINK.sub("]&#40;", text)
    text = _DEFINITION.sub(r"\1&#58;", text)
    text = _FTP.sub("&#58;", text)
    return _without_macros(_without_bad_attributes(text))


def _with_dollars(text: str) -> str:
    r"""Write ``\(x\)`` and ``\[x\]``, as many models do, in the way that notebooks typeset."""
    text = _PARENTHESES.sub(lambda formula: f"${formula[1].strip()}$", text)
    return _BRACKETS.sub(lambda formula: f"$${formula[1]}$$", text)


def _without_bad_attributes(text: str) -> str:
    """Take away what JupyterLab would write unescaped into an attribute: formulas in addresses, odd languages."""
    text = _BARE_URL.sub(lambda url: url[0].replace("$", "%24").replace("\\", "%5C"), text)
    return _UP_TO_BAD_INFO.sub(lambda line: _FENCE.sub(lambda fence: _as_code(fence[0]), line[0]), text)


def _without_macros(text: str) -> str:
    """Take away the TeX macros that reach the page around the formula, also where entities spell them."""
    text = _MACRO.sub(r"\\text", text)
    return text.replace("&", "&amp;") if _MACRO.search(unescape(text)) else text


def _is_inert(code: Token, first_line: str) -> bool:
    """Tell whether a block of code would do nothing even if all of it were read as prose."""
    return all(_neutral(text) == text for text in (first_line, code.content))


def is_closed(lines: Sequence[str], markup: str) -> bool:
    """Say whether the last line of a fence ends it."""
    end = rf" {{0,3}}{markup}{markup[0]}*[ \t]*"
    return len(lines) > 1 and re.fullmatch(end, lines[-1]) is not None


def _isolated(code: Token) -> list[str]:
    """Write a fence that no line in it can end, and that cannot itself end a fence, for it has a language."""
    words = _LANGUAGE.findall(code.info)
    language = words[0] if words else "text"
    if "mermaid" in code.info.lower() and _BAD_DIAGRAM.search(code.content):
        language = "text"
    mark = code.markup[0]
    longest = max((len(run) for run in re.findall(f"{mark}+", code.content)), default=0)
    fence = mark * max(3, longest + 1)
    return [f"{fence}{language}", *code.content.removesuffix("\n").split("\n"), fence]


def _as_pre(code: Token, first_line: str) -> str:
    """Write nested or indented code on one line, with nothing in it that any reader could take for markup."""
    written = code.markup or code.content.split("\n", 1)[0].strip()
    container = first_line[: first_line.find(written)]
    container = container if code.markup else container.removesuffix("    ")
    return f"{_neutral(container)}<pre><code>{_as_code(code.content.removesuffix(chr(10)), '&#10;')}</code></pre>"


def _as_code(text: str, newline: str = " ") -> str:
    """Return ``text`` with entities for all that means something to Markdown, TeX or HTML."""
    return _FTP.sub("&#58;", _ACTIVE.sub(lambda match: f"&#{ord(match[0])};", text)).replace("\n", newline)
