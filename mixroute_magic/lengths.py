"""What to do when a conversation is too long for its model: nothing is dropped silently."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mixroute_magic.errors import HistoryError
from mixroute_magic.gateway.lengths import told
from mixroute_magic.tables import counted
from mixroute_magic.usage.estimate import estimate_tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mixroute_magic.errors import BadRequestError
    from mixroute_magic.plan import Plan
    from mixroute_magic.wire import Message

__all__ = ["Limit", "too_long"]


@dataclass(frozen=True, slots=True)
class Limit:
    """How many tokens a model takes, as a gateway told; ``scale`` is how many of its tokens we estimate as one.

    ``sure`` where the gateway told both numbers: then a longer request need not be sent to be refused.
    """

    tokens: int
    scale: float
    sure: bool

    @classmethod
    def learned(cls, plan: Plan, error: BadRequestError, steps: Sequence[Message]) -> Limit | None:
        """Read the limit from a refusal of a plan and of what followed it; ``None`` where it tells no number."""
        tokens, asked = told(str(error))
        if tokens is None:
            return None
        return cls(tokens, (asked or tokens) / max(1, _size(plan, steps)), sure=asked is not None)

    def check(self, plan: Plan) -> None:
        """Raise `HistoryError` if a request is known to be too long, before it is sent."""
        tokens = round(_size(plan) * self.scale)
        if self.sure and tokens > self.tokens:
            fact = f"about {tokens:,} tokens, and it takes {self.tokens:,}"
            raise HistoryError(
                f"The conversation is too long for {plan.settings.model}: {fact}; nothing was sent.",
                _advice(plan, self),
            )


def too_long(plan: Plan, limit: Limit | None, error: BadRequestError, steps: Sequence[Message]) -> HistoryError:
    """Return the error that says how many turns would have to go, and the command that does it.

    ``steps`` are what had been said after the question, such as the results of tools.
    """
    return HistoryError(
        str(error), _advice(plan, limit, steps), status=error.status, code=error.code, request_id=error.request_id
    )


def _advice(plan: Plan, limit: Limit | None, steps: Sequence[Message] = ()) -> str:
    lower = "lower --max-tokens, " if plan.settings.max_tokens else ""
    lower += "let the tools return less, " if steps else ""
    if not plan.above:
        return f"No earlier turns are sent: {lower}shorten the question, or use a model that takes more."
    turns = counted(len(plan.above), "turn")
    surplus = _surplus(plan, limit, steps)
    if surplus is None:
        return f"It would not fit without the {turns} above: {lower}shorten the question, or use another model."
    what = f"{surplus} of the {turns} above would have to go" if limit else f"{turns} above are sent, try fewer"
    command = f"in a cell above, %thread {plan.thread} --rewind {surplus} takes the last out"
    return f"{what}: {command}; --fresh asks without any."


def _surplus(plan: Plan, limit: Limit | None, steps: Sequence[Message]) -> int | None:
    """Return how many of the last turns above have to go; half of them where no limit is known."""
    if limit is None:
        return -(-len(plan.above) // 2)
    size = _size(plan, steps)
    for count, turn in enumerate(reversed(plan.above), start=1):
        size -= estimate_tokens(turn.exchange)
        if size * limit.scale <= limit.tokens:
            return count
    return None


def _size(plan: Plan, steps: Sequence[Message] = ()) -> int:
    request = plan.request()
    return estimate_tokens([*request.messages, *steps], request.params) + (plan.settings.max_tokens or 0)
