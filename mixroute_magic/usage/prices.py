"""What tokens cost by the prices that the user gave: nobody else's are known here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from mixroute_magic.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mixroute_magic.usage.totals import Totals

__all__ = ["Cost", "Price", "cost_of", "read_prices"]

_PER = 1_000_000  # prices are per this many tokens
_FIELDS = ("input", "output", "cached", "currency")
_HINT = (
    'Set it as money per million tokens: %config MixRoute.prices = {"glm-5": {"input": 0.6, "output": 2.2}}, '
    "if need be with cached and currency."
)


@dataclass(frozen=True, slots=True)
class Price:
    """A model's price per million tokens; without one for ``cached`` input, it costs what other input does."""

    input: Decimal
    output: Decimal
    cached: Decimal | None = None
    currency: str = ""


@dataclass(frozen=True, slots=True)
class Cost:
    """Money by currency. ``at_least``: something is missing in it; ``about``: some of its tokens are estimated."""

    amounts: Mapping[str, Decimal] = field(default_factory=dict)
    at_least: bool = False
    about: bool = False

    def __add__(self, other: Cost) -> Cost:
        currencies = {*self.amounts, *other.amounts}
        none = Decimal(0)
        amounts = {name: self.amounts.get(name, none) + other.amounts.get(name, none) for name in sorted(currencies)}
        return Cost(amounts, self.at_least or other.at_least, self.about or other.about)

    def __str__(self) -> str:
        """Return the money to four places, as tokens cost little; ``unknown`` where nothing is known of it."""
        if not any(self.amounts.values()) and self.at_least:
            return "unknown"
        if not self.amounts:
            return ""
        money = " + ".join(f"{amount:,.4f} {currency}".strip() for currency, amount in self.amounts.items())
        return f"{'≥ ' if self.at_least else ''}{'≈ ' if self.about else ''}{money}"


def read_prices(setting: Any) -> dict[str, Price]:
    """Read ``MixRoute.prices``.

    Raises
    ------
    SettingError
        If it is not a table of prices.
    """
    if not isinstance(setting, Mapping):
        raise SettingError(f"MixRoute.prices is {setting!r}, not a table of models.", _HINT)
    return {str(model): _price(model, given) for model, given in setting.items()}


def cost_of(parts: Iterable[Totals], prices: Mapping[str, Price]) -> Cost:
    """Return what requests cost, each of their models by its own price."""
    return sum((_cost(part, prices.get(part.model)) for part in parts), Cost())


def _cost(part: Totals, price: Price | None) -> Cost:
    if not part.spent:
        return Cost()
    if price is None:
        return Cost(at_least=True)
    tokens_in = part.input_tokens.known + part.input_tokens.estimated
    tokens_out = part.output_tokens.known + part.output_tokens.estimated
    cached = 0 if price.cached is None else min(part.cached_tokens.known, tokens_in)
    money = (tokens_in - cached) * price.input + cached * (price.cached or 0) + tokens_out * price.output
    return Cost(
        {price.currency: money / _PER},
        at_least=bool(part.input_tokens.unknown * price.input or part.output_tokens.unknown * price.output),
        about=bool(part.input_tokens.estimated or part.output_tokens.estimated),
    )


def _price(model: Any, given: Any) -> Price:
    where = f"MixRoute.prices[{model!r}]"
    if not isinstance(given, Mapping) or not {"input", "output"} <= set(given) <= set(_FIELDS):
        raise SettingError(f"{where} is {given!r}, not prices for input and output.", _HINT)
    numbers = {name: given[name] for name in ("input", "output", "cached") if name in given}
    if numbers.get("cached", 0) is None:
        del numbers["cached"]
    for name, number in numbers.items():
        is_number = isinstance(number, int | float | Decimal) and not isinstance(number, bool)
        if not is_number or not Decimal(number).is_finite() or number < 0:
            raise SettingError(f"{where}[{name!r}] is {number!r}, not a number of at least 0.", _HINT)
    currency = given.get("currency", "")
    if not isinstance(currency, str):
        raise SettingError(f"{where}['currency'] is {currency!r}, not a word such as 'USD'.", _HINT)
    return Price(**{name: Decimal(str(number)) for name, number in numbers.items()}, currency=currency)
