"""Each guard that keeps the key in, how it is taken away, and the scene in which it is missed (`scenes`)."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Guard:
    """A piece of a module's source, and what stands there when it guards nothing any more."""

    name: str
    scene: str
    module: str
    source: str
    removed: str


GUARDS = [
    # What the gateway repeats.
    Guard(
        "a key in a stream",
        "split",
        "gateway.client",
        "unechoed(chain(head, chunks), self._line.secret)",
        "chain(head, chunks)",
    ),
    Guard("a key in pieces", "split", "secrecy", "end = max(out, self._secret.begins(known))", "end = len(known)"),
    Guard(
        "the first letters of a key in pieces",
        "spelled",
        "secrecy",
        "known[1 - _BEGUN :], self._held",
        "'', self._held",
    ),
    Guard(
        "a recorded answer",
        "replayed",
        "asking",
        "unechoed(replay(recorded, paced=paced), session.credentials.secret())",
        "replay(recorded, paced=paced)",
    ),
    Guard("the model's name", "labelled", "reply", "model=self._clean(self._model)", "model=self._model"),
    Guard(
        "why it ended",
        "ended",
        "reply",
        "self._finish_reason and self._clean(self._finish_reason)",
        "self._finish_reason",
    ),
    Guard(
        "the id of the request",
        "numbered",
        "reply",
        "self._request_id and self._clean(self._request_id)",
        "self._request_id",
    ),
    Guard("arguments of a call", "called", "reply", "call.cleaned(self._clean)", "call"),
    Guard("the list of models", "listed", "gateway.client", "model.cleaned(self._line.hide)", "model"),
    Guard("a refusal", "quoted", "gateway.line", "error.redact(lambda text: without_any_key(self.hide(text)))", "pass"),
    Guard(
        "the words of an error",
        "quoted",
        "errors",
        "(clean(str(self)),), clean(self.hint)",
        "self.args, clean(self.hint)",
    ),
    Guard(
        "the hint of an error",
        "hinted",
        "errors",
        "(clean(str(self)),), clean(self.hint)",
        "(clean(str(self)),), self.hint",
    ),
    Guard(
        "the code of an error",
        "coded",
        "errors",
        "(text and clean(text) for text in (self.code, self.request_id))",
        "(self.code, self.request_id)",
    ),
    Guard(
        "a key in capitals",
        "in_capitals",
        "secrecy",
        "lower = text.lower()\n    return lower if",
        "lower = text\n    return lower if",
    ),
    Guard("a key in base64", "in_base64", "secrecy", "for place in range(3):", "for place in ():"),
    Guard("at each place in base64", "in_base64", "secrecy", "for place in range(3):", "for place in range(1):"),
    Guard("a key in hexadecimal digits", "in_hex", "secrecy", "yield data.hex()", "pass"),
    Guard("an escaped key", "escaped", "secrecy", "for write in _ESCAPED:", "for write in ():"),
    Guard("a masked key of another", "of_another", "secrecy", "return re.sub(_ANY_KEY, _HIDDEN, text)", "return text"),
    Guard("headers out of form in the log", "logged", "gateway.connections", "response_class = _Unlogged", "pass"),
    Guard("what http.client prints", "debugged", "gateway.connections", "debuglevel = 0", "pass"),
    # Where a request goes.
    Guard("redirects", "redirected", "gateway.connections", "def get_redirect_target(", "def _nowhere("),
    Guard("plain http", "unencrypted", "gateway.address", 'parts.scheme == "http" and not allow_http', "False"),
    Guard("a key in the address", "in_the_address", "session", "if self.credentials.is_in(address):", "if False:"),
    Guard(
        "a key in a client's address",
        "in_a_clients_address",
        "gateway.line",
        "self.secret.is_in(self._base_url)",
        "False",
    ),
    Guard("a client's address, shown", "shown", "gateway.client", "without_any_key(self.base_url)", "self.base_url"),
    # What a cell or a program would send.
    Guard("a request", "asked_by_a_program", "gateway.line", "self.secret.is_in(body.decode())", "False"),
    Guard("a template", "in_a_template", "planning", "key.is_in(plan.prompt) or ", ""),
    Guard(
        "the settings of a cell",
        "configured",
        "planning",
        'or key.is_in(f"{plan.settings} {plan.thread}',
        'or key.is_in(f"{plan.thread}',
    ),
    Guard(
        "an earlier turn",
        "above",
        "planning",
        'key.is_in(f"{[message.to_wire()',
        '(lambda _: False)(f"{[message.to_wire()',
    ),
    Guard("a part of a key", "cut", "secrecy", "part = max(_PART, len(key) // 3)", "part = len(key)"),
    Guard("the end of a key", "cut", "secrecy", "                if last in text:", "                if False:"),
    Guard("the result of a tool", "returned", "rounds", "if self._withheld(text) else text", "if False else text"),
    Guard(
        "why an answer does not fit",
        "repaired",
        "rounds",
        'if self._withheld(f"{error}") else error',
        "if False else error",
    ),
    Guard(
        "a file's texts", "pictured", "attaching", 'session.credentials.is_in(image.data.decode("latin-1"))', "False"
    ),
    Guard(
        "the second key",
        "second_key",
        "gateway.credentials",
        'self._find()[0], self._entered, self._kept or ""',
        "(self._find()[0],)",
    ),
    Guard("a line", "on_the_line", "magics", "refuse_key(text, self.session.credentials.is_in)", "refuse_key(text)"),
    Guard("a line with the key of another", "of_another_on_the_line", "arguments", "re.search(_KEY, text) or", ""),
    # What the notebook keeps and shows.
    Guard("the lines of any error", "failed", "magics", "error.redact(magics.session.credentials.redact)", "pass"),
    Guard("what a column says", "compared", "asked", "map(self._redact, lines)", "lines"),
    Guard("what is chosen", "chosen", "choosing", 'if session.credentials.is_in(f"{told}"):', "if False:"),
    Guard("the table of settings", "set_up", "choosing", '["system prompt", clean(', '["system prompt", ('),
    Guard(
        "the model in the table of settings",
        "set_up",
        "choosing",
        '["model", clean(chosen.model)]',
        '["model", chosen.model]',
    ),
    Guard("the panel", "set_up", "choosing", '"system": clean(', '"system": ('),
    Guard("the model in the panel", "set_up", "choosing", '"model": clean(', '"model": ('),
    Guard(
        "the set-up",
        "told",
        "commands",
        "session.credentials.without_key(settings(session.config, notebook.chosen).model)",
        "settings(session.config, notebook.chosen).model",
    ),
    Guard(
        "the turns of a thread",
        "looked_at",
        "threads",
        "session.credentials.without_key(text) for text in row",
        "text for text in row",
    ),
    Guard("an export", "exported", "threads", '_check_secrecy(session, turns, f"Thread {name}", "written")', "pass"),
    Guard("an import", "imported", "threads", '_check_secrecy(session, turns, path.name, "imported")', "pass"),
    Guard("a verbose traceback", "interrupted", "gateway.line", "@unseen\n    def _sent", "def _sent"),
    Guard("a pickle", "pickled", "secrecy", "def __reduce__", "def _no_reduce"),
    Guard(
        "what a keyring says",
        "logged_in",
        "gateway.credentials",
        "with suppress(Exception):",
        "with suppress(keyring.errors.KeyringError):",
    ),
]


def played(scenes: list[tuple[str, Guard | None]]) -> list[list[str]]:
    """Return what leaks in scenes, each without one guard, or with all of them."""
    asked = [
        (scene, guard and (f"mixroute_magic.{guard.module}", guard.source, guard.removed)) for scene, guard in scenes
    ]
    command = [sys.executable, Path(__file__).with_name("leaky.py")]
    ran = subprocess.run(
        command, input=json.dumps(asked), capture_output=True, text=True, check=False, cwd=Path(__file__).parent
    )
    assert ran.returncode == 0, ran.stderr
    return list(map(json.loads, ran.stdout.splitlines()))
