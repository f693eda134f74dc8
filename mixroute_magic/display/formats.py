"""The forms in which an answer can be shown: as Markdown, as its plain characters, as JSON; and the code in it."""

from __future__ import annotations

import json

from mixroute_magic.display.markdown import as_pre, block_tokens, make_safe, without_controls

__all__ = ["code_in", "is_plain", "note", "to_markdown", "to_plain"]


def is_plain(form: str) -> bool:
    """Say whether an answer is not read as Markdown: neither while it comes nor when it is there."""
    return form in {"text", "json"}


def to_markdown(answer: str, form: str, *, apart: bool = False) -> str:
    """Return the answer as Markdown that shows it in this form, and does nothing; ``apart`` as `make_safe` means it."""
    pretty = _pretty_json(answer) if form == "json" else None
    if is_plain(form) and pretty is None:
        return as_pre(answer)
    return make_safe(answer if pretty is None else f"```json\n{pretty}\n```", apart=apart).rstrip()


def to_plain(answer: str, form: str) -> str:
    """Return the answer as the text that shows it in this form."""
    pretty = _pretty_json(answer) if form == "json" else None
    return without_controls(answer if pretty is None else pretty).rstrip()


def note(answer: str, form: str) -> str:
    """Say what the answer is lacking to be shown in this form; empty where nothing is."""
    if form == "json" and _pretty_json(answer) is None:
        return "the answer is no JSON"
    return "no code in the answer" if form == "code" and not code_in(answer) else ""


def code_in(answer: str) -> str:
    """Return the code of the answer's fences, as far as they are in the language of the first."""
    fences = [token for token in block_tokens(without_controls(answer)) if token.type == "fence"]
    languages = [fence.info.strip().lower() for fence in fences]
    codes = (
        fence.content.strip("\n") for fence, language in zip(fences, languages, strict=True) if language == languages[0]
    )
    return "\n\n".join(code for code in codes if code.strip())


def _pretty_json(answer: str) -> str | None:
    """Return the JSON that an answer is, perhaps in one fence, laid out to be read; ``None`` where it is none."""
    tokens = block_tokens(answer)
    fenced = len(tokens) == 1 and tokens[0].type == "fence"
    try:
        value = json.loads(tokens[0].content if fenced else answer)
        pretty = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)
    except (ValueError, RecursionError):
        return None
    return pretty.encode("utf-8", "backslashreplace").decode()  # half a character can only be written as JSON does
