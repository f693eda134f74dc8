"""Tokens over time by model, as a figure that can be read on a light page, on a dark one, and without telling colours.

Input and output have a panel each. The colours are Okabe and Ito's ("Color Universal Design", 2008), which people with
any colour vision tell apart; text and lines are of a grey in the middle, and the background is the page's.
"""

from __future__ import annotations

import base64
import io
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from mixroute_magic.errors import MixRouteError
from mixroute_magic.tables import counted
from mixroute_magic.usage.query import QUARTER, spans, timeline

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from sqlalchemy import Connection

    from mixroute_magic.usage.query import Scope
    from mixroute_magic.usage.totals import Totals

__all__ = ["UsagePlot", "plot"]

_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
_REST = "#999999"
_GREY = "#7a7a7a"  # 4.3 to 1 on white, and 4.4 to 1 on JupyterLab's dark page
_DOTS_PER_INCH = 144

# How wide a bar can be, in seconds, and in words. From a day on it is a day, week or month of the calendar.
_HOUR, _DAY, _WEEK, _MONTH = 3_600, 86_400, 7 * 86_400, 28 * 86_400
_STEPS = {
    60: "minute",
    300: "5 minutes",
    QUARTER: "quarter of an hour",
    _HOUR: "hour",
    6 * _HOUR: "6 hours",
    _DAY: "day",
    _WEEK: "week",
    _MONTH: "month",
}
_MOST_BARS = 60  # more can hardly be told apart

# With Chinese characters, on Linux, Windows and macOS; letters come from matplotlib's own font.
_CHINESE = (
    *("Noto Sans CJK TC", "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans TC", "Noto Sans SC", "Source Han Sans TC"),
    *("Microsoft JhengHei", "Microsoft YaHei", "PingFang TC", "PingFang SC", "Heiti TC", "Hiragino Sans GB"),
    *("WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Droid Sans Fallback", "Arial Unicode MS"),
)


@dataclass(frozen=True, repr=False)
class UsagePlot:
    """A figure of matplotlib's that shows itself in a notebook; `figure` is there to be changed and saved.

    ``notes`` say what could not be drawn.
    """

    figure: Figure
    about: str
    notes: Sequence[str] = ()

    def __repr__(self) -> str:
        return "\n".join([f"Figure: tokens of {self.about} over time, by model.", *self.notes])

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, str], dict[str, Any]]:
        file = io.BytesIO()
        self.figure.savefig(file, format="png", dpi=_DOTS_PER_INCH, transparent=True)
        width = round(self.figure.get_figwidth() * _DOTS_PER_INCH / 2)
        picture = base64.b64encode(file.getvalue()).decode()
        return {"image/png": picture, "text/plain": repr(self)}, {"image/png": {"width": width}}


def plot(reading: Callable[[Callable[[Connection], Any]], Any], scope: Scope, about: str) -> UsagePlot:
    """Draw the tokens of a scope over time; demo requests only where there are no others.

    Raises
    ------
    MixRouteError
        If matplotlib is not installed, or there is nothing to draw.
    """
    try:
        import matplotlib as mpl  # noqa: F401 - said before the ledger is read
    except ImportError as error:
        raise MixRouteError("--plot needs matplotlib, which is not installed.", "%pip install matplotlib") from error
    found = reading(lambda connection: spans(connection, scope))
    if not found:
        raise MixRouteError(f"There is nothing to plot: {about} has no requests yet but replayed ones.")
    demo = False not in found
    step = _step(*found[demo])
    parts = reading(lambda connection: timeline(connection, scope, min(step, QUARTER)))
    drawn = [(begins, part) for begins, part in parts if part.demo == demo and not part.replayed]
    silent = sum(min(part.input_tokens.unknown, part.output_tokens.unknown) for _, part in drawn)
    partly = sum(abs(part.input_tokens.unknown - part.output_tokens.unknown) for _, part in drawn)
    words = [f"per {_STEPS[step]}, local time"]
    words += ["offline demo: no model was called"] if demo else []
    words += [f"not drawn: {counted(silent, 'request')} without a count"] if silent else []
    words += [f"drawn in part: {counted(partly, 'request')} with one count"] if partly else []
    figure, notes = _figure(drawn, step, "; ".join(words))
    return UsagePlot(figure, about, notes)


def _step(first: datetime, last: datetime) -> int:
    """Return the narrowest bars that are not too many."""
    seconds = (last - first).total_seconds()
    return next((step for step in _STEPS if seconds <= step * _MOST_BARS), _MONTH)


def _local(begins: int, step: int) -> datetime:
    """Return the local time at which the bar of a moment begins, as clocks on the wall show it."""
    moment = datetime.fromtimestamp(begins).replace(tzinfo=None)  # noqa: DTZ006 - local is meant
    if step <= QUARTER:
        return moment
    hours = moment.hour if step == _HOUR else moment.hour // 6 * 6 if step < _DAY else 0
    moment = moment.replace(hour=hours, minute=0, second=0)
    if step == _WEEK:
        return moment - timedelta(days=moment.weekday())
    return moment.replace(day=1) if step == _MONTH else moment


def _figure(drawn: Sequence[tuple[int, Totals]], step: int, words: str) -> tuple[Figure, list[str]]:
    from matplotlib.figure import Figure

    models, colours = _models(drawn)
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    panels = figure.subplots(2, 1, sharex=True)
    for axes, name in zip(panels, ("input_tokens", "output_tokens"), strict=True):
        bars: dict[str, Counter[datetime]] = defaultdict(Counter)
        for begins, part in drawn:
            tokens = getattr(part, name)
            bars[models[part.model]][_local(begins, step)] += tokens.known + tokens.estimated
        _stack(axes, bars, colours, timedelta(seconds=step))
        _style(axes, name.replace("_", " "))
    panels[1].set_xlabel(words, color=_GREY)
    times = [_local(begins, step) for begins, _ in drawn]
    if times:  # a few bars stand at the left, instead of filling the page
        width = timedelta(seconds=step)
        panels[1].set_xlim(min(times) - width, max(max(times) + width, min(times) + 12 * width))
    return figure, _legend(figure, colours)


def _models(drawn: Sequence[tuple[int, Totals]]) -> tuple[dict[str, str], dict[str, str]]:
    """Return under which name each model is drawn, the smallest ones under one name; and the colours of these names."""
    sizes: Counter[str] = Counter()
    for _, part in drawn:
        sums = (part.input_tokens, part.output_tokens)
        sizes[part.model] += sum(tokens.known + tokens.estimated for tokens in sums)
    ranked = [model for model, _ in sorted(sizes.items(), key=lambda item: (-item[1], item[0]))]
    named, rest = ranked[: len(_COLOURS)], ranked[len(_COLOURS) :]
    together = rest[0] if len(rest) == 1 else f"{len(rest)} others"
    names = {model: model for model in named} | dict.fromkeys(rest, together)
    return names, dict(zip(named, _COLOURS, strict=False)) | ({together: _REST} if rest else {})


def _stack(axes: Axes, bars: Mapping[str, Counter[datetime]], colours: Mapping[str, str], width: timedelta) -> None:
    """Draw the models' bars one upon the other, each with an edge: neighbours of like brightness stay apart."""
    below: Counter[datetime] = Counter()
    for model, colour in colours.items():
        times = [time for time, tokens in bars[model].items() if tokens]
        if not times:  # nobody has counted: matplotlib cannot tell what no bars are measured in
            continue
        heights = [bars[model][time] for time in times]
        bottom = [below[time] for time in times]
        axes.bar(times, heights, width * 0.9, bottom, align="edge", color=colour, edgecolor=_GREY, linewidth=0.6)  # type: ignore[arg-type]
        below.update(dict(zip(times, heights, strict=True)))


def _style(axes: Axes, title: str) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.ticker import EngFormatter, MaxNLocator

    locator = AutoDateLocator(minticks=3, maxticks=8)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_title(title, loc="left", fontsize="medium", color=_GREY)
    axes.tick_params(colors=_GREY)
    axes.xaxis.get_offset_text().set_color(_GREY)
    axes.grid(axis="y", color=_GREY, alpha=0.3, linewidth=0.6)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in {"left", "bottom"})
        spine.set_color(_GREY)


def _legend(figure: Figure, colours: Mapping[str, str]) -> list[str]:
    """Name the colours above the panels; a name that no font here can write gets a number, and a note tells it."""
    from matplotlib.patches import Patch

    fonts = _fonts()
    patches = [Patch(facecolor=colour, edgecolor=_GREY, linewidth=0.6) for colour in colours.values()]
    numbers = [f"model {number}" for number, _ in enumerate(colours, start=1)]
    legend = figure.legend(patches, numbers, loc="outside upper left", ncols=4, frameon=False, labelcolor=_GREY)
    notes = []
    for text, name, number in zip(legend.get_texts(), colours, numbers, strict=True):
        text.set_parse_math(False)
        if _can_write(fonts, name):
            text.set_fontfamily(fonts)
            text.set_text(name)
        else:
            notes.append(f"In the figure, {number} is {name}: no font here has all its characters.")
    return notes


def _fonts() -> list[str]:
    from matplotlib.font_manager import fontManager

    installed = {font.name for font in fontManager.ttflist}
    return ["DejaVu Sans", *(name for name in _CHINESE if name in installed)]


def _can_write(fonts: Sequence[str], text: str) -> bool:
    from matplotlib.font_manager import FontProperties, findfont, get_font

    faces = [get_font(findfont(FontProperties(family=name))) for name in fonts]
    return all(any(face.get_char_index(ord(character)) for face in faces) for character in text)
