"""What a fault is in the table of faults: what the gateway does, and what a person, a record and a ledger get of it."""

from __future__ import annotations

import re
import ssl
import subprocess
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from kernels import KEY
from scripted import delta, doors, event, reply, scripted, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from types import TracebackType

    from scripted import Script, ScriptedGateway

QUESTION, ANSWER = "Question?", "Answer."
AGAIN = "Run the cell again."
REPORTED = (25, 100)
"""The tokens in and out of `scripted.USAGE`."""
SOON = 8.0
"""A wait of our own choice: the longest, in seconds."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one question. ``tokens`` are those in and out, ``None`` where they are not known."""

    status: str
    """Of the cell: ``ok`` or ``error``."""
    error: tuple[str, ...]
    """The lines of the error."""
    below: str
    """What stands below the cell besides, as plain text, without the seconds in the footer."""
    requests: int
    """How many reached the gateway, those for its models included."""
    paths: tuple[str, ...]
    """To which addresses they went."""
    key_sent: bool
    """Whether each of them carried the key, and that alone, in its header."""
    key_shown: bool
    """Whether anything that left the kernel has it."""
    wait: float | None
    """The seconds that were announced before it was asked once more."""
    turn: tuple[Any, ...] | None
    """Of the record in the output: status, finish reason, tokens, messages, reasoning."""
    ledger: tuple[Any, ...] | None
    """Of its last row: status, tokens, the error's class."""
    history: tuple[tuple[str, str], ...]
    """What the next question sends along: roles and texts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One row of the table; ``{url}``, ``{root}`` and ``{host}`` stand for the gateway's address.

    A line of ``says`` that ends in ``*`` may go on in the operating system's own words.
    """

    number: int  # in protocol.md, section 5; 0 is a fact of client.md
    title: str
    scripts: tuple[Script, ...]
    says: tuple[str, ...] = ()  # the error's lines, but for the last one, which names the request
    named: bool = True  # whether that line is there
    text: str = ANSWER  # of the answer, as much as came
    shown: str | None = None  # what is shown of it, where that is something else
    reasoning: str = ""
    finish: str | None = "stop"
    tokens: tuple[int | None, int | None] = REPORTED
    estimated: bool = False  # whether nobody but us has counted them
    served: str = "served"
    notes: tuple[str, ...] = ()  # in the footer
    model: str = "glm-5"
    options: str = ""
    cell: str = ""  # runs in the place of a question
    prints: str = ""  # what such a cell shows
    models: Script = reply(500)
    base_url: str = "{url}"
    environ: Mapping[str, str] = field(default_factory=dict)
    config: str = ""
    timeout: float = 10.0
    retries: int = 2
    requests: int = 1
    paths: tuple[str, ...] = ("/v1/chat/completions",)
    wait: float | None = None
    turn: bool = True  # whether a turn is left behind
    stop: str = ""  # what the user waits for before stopping the cell: its "request", a "retry", some "text"
    sdk: bool = True  # whether the wire alone makes the fault, so that other clients can be asked to bear it

    @property
    def line(self) -> str:
        """The one line that a person reads first: of the error, else the notice, else answer and footer."""
        first = next(filter(None, (*self.says, *self.notes, self.below)))
        return re.sub(r"{(\w+)}", lambda place: place[1].upper(), first).replace("\n\n", " ⏎ ")

    @property
    def seen(self) -> str:
        """What is shown of the answer."""
        return self.text if self.shown is None else self.shown

    @property
    def status(self) -> str:
        """Of the turn."""
        return "interrupted" if self.stop else "failed" if self.says else "complete"

    @property
    def below(self) -> str:
        """What stands below the cell besides an error."""
        if not self.turn:
            return self.prints
        read, written = ("?" if count is None else f"{count:,}" for count in self.tokens)
        counted = f"{'≈ ' if self.estimated else ''}{read} → {written} tokens"
        tokens = "tokens unknown" if self.tokens == (None, None) else counted
        status = "" if self.status == "complete" else self.status
        footer = [self.served, tokens, self.finish or "", status, *self.notes]
        return "\n\n".join(filter(None, [self.seen, " · ".join(filter(None, footer))]))

    @property
    def exchange(self) -> tuple[tuple[str, str], ...]:
        """What a record keeps: roles and texts."""
        return (("user", QUESTION), *([("assistant", self.text)] if self.text else []))

    def expected(self, fill: Callable[[str], str]) -> Outcome:
        """Return what has to come of it; ``fill`` puts addresses into a text."""
        named = ("Request id: req-1",) if self.says and self.named else ()
        kind = self.says[0].partition(":")[0] if self.says else None
        return Outcome(
            status="error" if self.says else "ok",
            error=(*map(fill, self.says), *named),
            below=fill(self.below),
            requests=self.requests,
            paths=self.paths if self.requests else (),
            key_sent=True,
            key_shown=False,
            wait=self.wait,
            turn=(self.status, self.finish, *self.tokens, self.exchange, self.reasoning) if self.turn else None,
            ledger=(self.status, *self.tokens, "KeyboardInterrupt" if self.stop else kind) if self.turn else None,
            history=self.exchange if self.turn and self.status == "complete" else (),
        )


def fault(number: int, title: str, *scripts: Script, **more: Any) -> Fault:
    """Return a row. Whoever refuses says nothing else; an answer that broke off has no end, and tokens as estimated."""
    nothing = {"text": "", "served": more.get("model", "glm-5"), "finish": None, "tokens": (None, None)}
    begun = {"served": "served", "tokens": (7, 1), "estimated": "tokens" not in more} if more.get("text") else {}
    scripts = scripts or (whole(ANSWER),)
    return Fault(number=number, title=title, scripts=scripts, **((nothing | begun if "says" in more else {}) | more))


def refusal(message: str, code: Any = "", kind: str = "mixroute_error", **more: Any) -> dict[str, Any]:
    """Return an error's body, as this gateway family writes it."""
    return {"error": {"message": message, "type": kind, "param": "", "code": code, **more}}


class Stage:
    """Where faults are played: gateways that do what a row says, and addresses where none is; a context manager."""

    def __init__(self, folder: Path) -> None:
        self._tls, self._authority = _certificate(folder)
        self._ending = ExitStack()
        self._doors = self._ending.enter_context(doors())

    @property
    def knocks(self) -> list[str]:
        """The callers that a mail server has had."""
        return self._doors.knocks

    @contextmanager
    def gateway(self, fault: Fault) -> Iterator[tuple[ScriptedGateway, Callable[[str], str]]]:
        """Play a fault, and yield with its gateway what puts the addresses into a text."""
        others = {"": [fault.models], "next": [whole("Next.")]}
        with scripted(*fault.scripts, tls=self._tls, **others) as gateway:
            root = gateway.base_url.removesuffix("/v1")
            places = {"url": gateway.base_url, "root": root, "host": root.removeprefix("http://")}
            places |= {"closed": self._doors.closed, "full": self._doors.full, "mail": self._doors.mail}
            places["ca"] = self._authority
            yield gateway, lambda text: re.sub(r"\{(\w+)\}", lambda found: places.get(found[1], found[0]), text)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.close()


def _certificate(folder: Path) -> tuple[ssl.SSLContext, str]:
    """Make a certificate for gateway.example, which nobody trusts who is not told to; return its file, too."""
    certificate, key = folder / "gateway.pem", folder / "gateway.key"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=gateway"
    names = ["-addext", "subjectAltName=DNS:gateway.example", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command.split(), *names], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, str(certificate)


OF_THE_KEY = f"Bearer {KEY}"

# What several rows have.
REFUSED = "BadRequestError: The request was not accepted (HTTP 400)"
PAIR = (
    "Check that key and gateway belong together (https://console.mixroute.io/v1 or https://api.mixroute.ai/v1), "
    "then %mixroute login."
)
NETWORK = "Check the network and MIXROUTE_BASE_URL, then run the cell again; %mixroute demo works offline."
BALANCE = "Top up in the console, then run the cell again."
LATER = "Run the cell again later, or try another model with -m."
WAIT = "Wait a little, then run the cell again."
OPTIONS = "Drop or change the option that it names."
BASE = "Check MIXROUTE_BASE_URL."
ANOTHER_KEY = "Use another model, or another key."
NOTHING_SENT = {"requests": 0, "turn": False, "named": False}
NOT_REACHED = {"requests": 0, "named": False, "retries": 0}
NOW = {"Retry_After": "0"}
EARLY = ("StreamError: The answer ended early: the gateway closed the stream without a word why.", AGAIN)
LATE = ("StreamError: {host} reported an error instead of an answer: late", AGAIN)
BUSY = "The model may be busy: run the cell again, or raise the limit: %config MixRoute.timeout = 600."
TWO_HALVES = delta("Ans"), delta("wer.")
WHOLE = reply(200, {"model": "served", "choices": [{"message": {"content": ANSWER}, "finish_reason": "stop"}],
                    "usage": {"prompt_tokens": 25, "completion_tokens": 100}})  # fmt: skip


def said(**choice: Any) -> bytes:
    """Return an event with the one choice that it says."""
    return event({"model": "served", "choices": [{"index": 0, **choice}]})
