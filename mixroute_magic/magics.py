"""The magics: each reads its line, calls its command, and shows what comes back. No logic."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class, no_var_expand
from IPython.display import display

from mixroute_magic import options
from mixroute_magic.arguments import OptionError, help_for, refuse_key
from mixroute_magic.completion import Completion
from mixroute_magic.config import MixRoute
from mixroute_magic.errors import ChatInterrupted, MixRouteError
from mixroute_magic.interrupts import heard, undisturbed
from mixroute_magic.prompt.past import is_the_codes
from mixroute_magic.questions import keep_questions

if TYPE_CHECKING:
    from IPython.core.interactiveshell import ExecutionResult, InteractiveShell

    from mixroute_magic.arguments import Options
    from mixroute_magic.candidates import Candidates
    from mixroute_magic.session import Session
    from mixroute_magic.usage.report import UsageReport

__all__ = ["load", "unload"]

_KINDS = (
    options.ChatOptions,
    options.ModelOptions,
    options.ThreadOptions,
    options.UsageOptions,
    options.SetupOptions,
)

Method = TypeVar("Method", bound=Callable[..., Any])


def _takes(kind: type[Options]) -> Callable[[Method], Method]:
    """Make the help that ``%name?`` shows from the table of options."""

    def document(method: Method) -> Method:
        method.__doc__ = help_for(kind)
        return method

    return document


@contextmanager
def _told(magics: MixRouteMagics) -> Iterator[None]:
    """Let a command end in lines that people can read, an interrupt too, and never with the key in them."""
    try:
        with heard():
            yield
    except ChatInterrupted:
        raise
    except KeyboardInterrupt:
        raise ChatInterrupted from None
    except MixRouteError as error:
        error.redact(magics.session.credentials.redact)
        raise


@magics_class
class MixRouteMagics(Magics):
    """``%%chat``, ``%chat``, ``%model``, ``%thread``, ``%usage`` and ``%mixroute``."""

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self.matcher = Completion(_KINDS, self._candidates).match
        self._ran: set[str] = set()

    @undisturbed()  # IPython would show where in here it was interrupted
    def cell_ended(self, result: ExecutionResult) -> None:
        """Take in that a cell has run: one that asked nothing holds no turn any more, whatever stood there before.

        Its error is kept for ``{{ error }}``: Python forgets it as soon as a chat cell fails.
        """
        failure = result.error_before_exec or result.error_in_exec
        if is_the_codes(failure):
            self.shell.meta["mixroute_failure"] = failure
        if "mixroute_displayed" in self.shell.meta:
            cell = getattr(result.info, "cell_id", None)
            self.shell.meta["mixroute_displayed"].ended(cell, result.execution_count)
        if "mixroute_session" in self.shell.meta:
            ran, self._ran = self._ran, set()
            self.session.ended(ok=result.success, before=ran)
        elif result.success and getattr(result.info, "cell_id", None):
            self._ran.add(result.info.cell_id)

    def listen(self) -> None:
        """Hear from the page, if there is one, which cells it has."""
        if _registered(self.shell) is self:
            self.session.listen()

    def _candidates(self) -> Candidates:
        pressed = time.monotonic()
        from mixroute_magic.candidates import Candidates

        return Candidates(self.shell, lambda: self.session, pressed)

    @property
    def session(self) -> Session:
        """The session of this shell, made at first use; on a page that is right after the cell of `%load_ext`."""
        from mixroute_magic.session import Session

        meta = self.shell.meta
        if "mixroute_session" not in meta:
            meta["mixroute_session"] = Session(self.shell, meta["mixroute_config"], meta.get("mixroute_displayed"))
        session: Session = meta["mixroute_session"]
        return session

    def _read(self, parse: Callable[..., Any], *given: Any) -> Any:
        """Read a line and a body, and say what is wrong with them as IPython's own magics do."""
        try:
            for text in given:
                if isinstance(text, str) and text.strip():
                    refuse_key(text, self.session.credentials.is_in)
            return parse(*given)
        except OptionError as error:
            raise UsageError(str(error)) from None

    @no_var_expand
    @line_cell_magic
    @_takes(options.ChatOptions)
    def chat(self, line: str, cell: str | None = None) -> None:
        with _told(self):
            from mixroute_magic import asking

            given, question = self._read(options.parse_chat, line, cell)
            preview = asking.chat(self.session, given, question)
            if preview is not None:
                display(preview)

    @no_var_expand
    @line_cell_magic
    @_takes(options.ModelOptions)
    def model(self, line: str, cell: str | None = None) -> None:
        with _told(self):
            import uuid

            from mixroute_magic import choosing, commands

            given = self._read(options.parse, options.ModelOptions, line, cell or "")
            table_id = uuid.uuid4().hex
            display(commands.model(self.session, given, cell), display_id=table_id)
            if cell is None and not line.strip():
                choosing.open_panel(self.session, table_id)

    @no_var_expand
    @line_magic
    @_takes(options.ThreadOptions)
    def thread(self, line: str) -> None:
        with _told(self):
            from mixroute_magic import threads

            given = self._read(options.parse, options.ThreadOptions, line)
            display(*threads.thread(self.session, given))

    @no_var_expand
    @line_magic
    @_takes(options.UsageOptions)
    def usage(self, line: str) -> UsageReport:
        with _told(self):
            from mixroute_magic import commands

            given = self._read(options.parse, options.UsageOptions, line)
            report, figure = commands.usage(self.session, given)
            if figure is not None:
                display(figure)
            return report

    @no_var_expand
    @line_magic
    @_takes(options.SetupOptions)
    def mixroute(self, line: str) -> None:
        with _told(self):
            from mixroute_magic import commands

            given = self._read(options.parse, options.SetupOptions, line)
            display(commands.setup(self.session, given))


def load(shell: InteractiveShell) -> None:
    """Register the magics, their settings, their Tab, and what they must know of each cell.

    Settings and session stay in the shell when the magics are unloaded, so that `%reload_ext` finds them again.
    """
    if _registered(shell) is not None:
        return
    if "mixroute_config" not in shell.meta:
        shell.meta["mixroute_config"] = MixRoute(parent=shell)
    shell.register_magics(MixRouteMagics)
    shell.configurables.append(shell.meta["mixroute_config"])
    shell.input_transformers_cleanup.append(keep_questions)
    magics = shell.magics_manager.registry[MixRouteMagics.__name__]
    shell.events.register("post_run_cell", magics.cell_ended)
    shell.Completer.custom_matchers.append(magics.matcher)
    if hasattr(shell, "kernel"):  # it has imported asyncio, which would be heavy elsewhere
        import asyncio

        _hear_images(shell)
        with suppress(RuntimeError):  # not while the kernel starts
            asyncio.get_running_loop().call_soon(magics.listen)  # once this cell has ended


def _hear_images(shell: InteractiveShell) -> None:
    """Take in which images cells show, for ``--image out(3)``; like the session they stay."""
    from mixroute_magic.conversation.pictures import Displayed

    displayed = shell.meta.setdefault("mixroute_displayed", Displayed())
    displayed.listen(shell.display_pub, shell.displayhook)


def unload(shell: InteractiveShell) -> None:
    """Remove all that `load` registered."""
    magics = _registered(shell)
    if magics is None:
        return
    manager = shell.magics_manager
    for kind, names in magics.magics.items():
        for name in names:
            manager.magics[kind].pop(name, None)
    del manager.registry[type(magics).__name__]
    shell.configurables.remove(magics)
    shell.configurables.remove(shell.meta["mixroute_config"])
    shell.input_transformers_cleanup.remove(keep_questions)
    shell.events.unregister("post_run_cell", magics.cell_ended)
    shell.Completer.custom_matchers.remove(magics.matcher)
    if "mixroute_displayed" in shell.meta:
        shell.meta["mixroute_displayed"].leave(shell.display_pub, shell.displayhook)
    if "mixroute_session" in shell.meta:
        magics.session.close()


def _registered(shell: InteractiveShell) -> MixRouteMagics | None:
    magics = shell.magics_manager.registry.get("MixRouteMagics")
    return magics if isinstance(magics, MixRouteMagics) else None
