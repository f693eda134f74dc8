"""From a chat cell to its plans: what stands above, what is offered, and what is recorded already."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mixroute_magic.attaching import attach, unavailable
from mixroute_magic.errors import TemplateError
from mixroute_magic.offering import Offer
from mixroute_magic.plan import Plan
from mixroute_magic.prompt.past import Past
from mixroute_magic.prompt.templates import render
from mixroute_magic.session import variables
from mixroute_magic.settings import given, settings
from mixroute_magic.tables import counted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from mixroute_magic.conversation.memory import Notebook
    from mixroute_magic.conversation.turn import Turn
    from mixroute_magic.options import ChatOptions
    from mixroute_magic.prompt.templates import Rendered
    from mixroute_magic.session import Session

__all__ = ["Cell", "left_out", "plans", "without_demo_turns"]


@dataclass(frozen=True, slots=True)
class Cell:
    """A chat cell that is being run: where, with which options, and whether answers may come from records."""

    session: Session
    notebook: Notebook
    options: ChatOptions
    offer: Offer
    mode: str

    @classmethod
    def of(cls, session: Session, options: ChatOptions) -> Cell:
        """Return the cell that is being run."""
        mode = options.replay or session.replay_mode()
        return cls(session, session.notebook(), options, Offer.read(options, variables(session.shell)), mode)


def plans(cell: Cell, body: str) -> list[Plan]:
    """Return a plan for each model, with the recorded answer where it may be replayed; no record is used twice.

    Raises
    ------
    TemplateError
        If the body cannot be filled, or the API key would be sent.
    """
    first = _plan(cell, _filled(body, cell))
    found = [first]
    if cell.options.models:
        options = given(cell.options)
        layers = ((cell.notebook.chosen, options | {"model": name}) for name in cell.options.models)
        chosen = [settings(cell.session.config, *layer) for layer in layers]
        found = [replace(first, settings=one, turn=uuid.uuid4().hex) for one in chosen]
    for plan in found:
        _check_secrecy(plan, cell.session)
    used: set[str] = set()
    for number, plan in enumerate(found if cell.mode != "off" else ()):
        found[number] = _with_record(plan, cell, used)
        used |= {recorded.turn} if (recorded := found[number].recorded) else set()
    return found


def _plan(cell: Cell, prompt: Rendered) -> Plan:
    session, notebook, options, offline = cell.session, cell.notebook, cell.options, cell.mode == "only"
    run = session.run()
    name = options.thread or notebook.thread
    own = notebook.conversation.own(run, name) if options.continued else []
    above = [] if options.fresh else notebook.conversation.above(run, name)
    sent, going_on = (without_demo_turns(session, turns, offline=offline) for turns in (above, own))
    images = attach(session, notebook.path, options.images)
    notes = [*notebook.announcement(), *prompt.notices, *left_out([*above, *own], [*sent, *going_on])]
    notes += [image.notice for image in images if image.notice]
    notes += unavailable(session, notebook.path, [message for turn in (*sent, *going_on) for message in turn.exchange])
    if above and run.cell_id is None:
        notes.append("history in order of execution")
    if options.continued and not own:
        notes.append("-c: this cell had no answer yet")
    chosen = settings(session.config, notebook.chosen, given(options))
    return Plan(
        run=run,
        thread=name,
        gateway=session.gateway(),
        settings=chosen,
        prompt=prompt.text,
        images=[image.part() for image in images],
        offers=cell.offer.fields(chosen.params),
        schema=cell.offer.schema,
        above=sent,
        continued=going_on,
        fresh=options.fresh,
        own_system=options.system is not None,
        form="record" if options.schema and options.form == "markdown" else options.form,
        notes=notes,
    )


def _check_secrecy(plan: Plan, session: Session) -> None:
    """Raise `TemplateError` if the key would be sent in a message, or anywhere but in its header."""
    key = session.credentials
    schema = plan.schema and plan.schema.json_schema
    if key.is_in(plan.prompt) or key.is_in(f"{plan.settings} {plan.thread} {plan.images} {plan.offers} {schema}"):
        raise TemplateError("This cell contains your API key; nothing was sent.", "Take it out, run the cell again.")
    if key.is_in(f"{[message.to_wire() for turn in (*plan.above, *plan.continued) for message in turn.exchange]}"):
        hint = "Delete the cell that holds it, or ask without earlier turns: --fresh."
        raise TemplateError("An earlier turn contains your API key; nothing was sent.", hint)


def _with_record(plan: Plan, cell: Cell, used: Collection[str]) -> Plan:
    """Add the recorded turn of an unchanged request, where there is one that is not used yet."""
    for same in _as_asked_before(plan):
        recorded = cell.session.recorded(cell.notebook, plan.run, same.request().fingerprint(plan.gateway), used)
        if recorded is not None:
            return replace(same, recorded=recorded)
    return plan


def _as_asked_before(plan: Plan) -> Iterator[Plan]:
    """Yield the plan; and where a cell goes on from its own last answer, as it was before it asked just this."""
    yield plan
    if plan.continued and plan.continued[-1].answered:
        *earlier, last = plan.continued
        before = last.before_question
        if last.question == plan.prompt:
            yield replace(plan, continued=[*earlier, *([replace(last, messages=before)] if before else [])])


def _filled(body: str, cell: Cell) -> Rendered:
    """Return the question with its {{ … }} filled from the notebook's variables, cells, outputs and last error."""
    shell = cell.session.shell
    past = Past(
        shell.user_ns,
        answer=cell.notebook.conversation.answer,
        outputs=getattr(shell.history_manager, "outputs", None),  # since IPython 9
        failure=shell.meta.get("mixroute_failure"),
    )
    prompt = render(body, shell.user_ns, past)
    if not prompt.text.strip():
        raise TemplateError("The question is empty once its {{ … }} are filled; nothing was sent.")
    return prompt


def without_demo_turns(session: Session, turns: list[Turn], *, offline: bool = False) -> list[Turn]:
    """Leave out what the offline demo said, unless it is the demo that is asked; ``offline`` asks nobody."""
    if session.demo_is_wanted() or not any(turn.demo for turn in turns):
        return turns
    if not offline and session.client().is_demo():
        return turns
    return [turn for turn in turns if not turn.demo]


def left_out(above: Sequence[Turn], sent: Sequence[Turn]) -> list[str]:
    """Say that turns of the offline demo are not sent."""
    missing = len(above) - len(sent)
    return [f"{counted(missing, 'turn')} of the offline demo not sent"] if missing else []
