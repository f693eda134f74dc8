"""The panel below ``%model``: its fields are ipywidgets, so that they look as the page's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from ipywidgets import Box, Button, Combobox, Dropdown, Label, Text, Textarea, VBox

from mixroute_magic.outside import without_controls

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Choice", "ModelPanel"]

_ASKING = "Asking for the list of models …"
_ALL = "all series"
_UNSET = "the model's own"
_LABELS = {"description_width": "8em"}
_FIELD = {"width": "auto", "min_width": "0", "flex": "1 1 18em"}  # side by side where there is room


class Choice(Protocol):
    """What a panel shows and changes. Names are those of the fields, values the text in them; empty is unset."""

    def current(self) -> Mapping[str, str]:
        """Return what is set now."""

    def change(self, name: str, text: str) -> str:
        """Set one thing, and return what is wrong with it; empty where nothing is."""

    def is_secret(self, text: str) -> bool:
        """Say whether a text must not stay in its field: a key is in it."""

    def reset(self) -> str:
        """Unset everything, and return what is wrong with that."""


class ModelPanel:
    """Fields for the model and how to ask it. Each change is passed on when its field is left, or at Enter."""

    def __init__(self, choice: Choice) -> None:
        self._choice = choice
        self._shown: dict[str, str] = {}
        self._models: Mapping[str, Sequence[str]] = {}
        self._series = Dropdown(options=[_ALL], description="series", disabled=True, style=_LABELS, layout=_FIELD)
        self._fields: dict[str, Any] = {
            "model": Combobox(description="model", continuous_update=False, style=_LABELS, layout=_FIELD),
            "temperature": _text("temperature", _UNSET, "from 0 (steady) to 2 (surprising)"),
            "max_tokens": _text("max tokens", _UNSET, "longest answer"),
            "system": Textarea(
                description="system prompt",
                placeholder="no system prompt",
                continuous_update=False,
                rows=2,
                style=_LABELS,
                layout=_FIELD | {"flex": "1 1 100%"},
            ),
        }
        reset = Button(description="Reset", tooltip="back to the configuration", layout={"width": "auto"})
        self._said = Label(_ASKING)
        self._widget = VBox(
            [
                _row(self._series, self._fields["model"]),
                _row(self._fields["temperature"], self._fields["max_tokens"]),
                _row(self._fields["system"]),
                _row(reset, self._said),
            ],
            layout={"max_width": "46em"},
        )
        self._follow()
        for name, field in self._fields.items():
            field.observe(lambda change, name=name: self._changed(name, change.new), "value")
        self._series.observe(lambda _: self._narrow(), "value")
        reset.on_click(lambda _: self._done(self._choice.reset(), "Back to the configuration."))

    @property
    def bundle(self) -> dict[str, Any]:
        """What to display."""
        view = {"version_major": 2, "version_minor": 0, "model_id": self._widget.model_id}
        return {"application/vnd.jupyter.widget-view+json": view, "text/plain": ""}

    def offer(self, models: Mapping[str, Sequence[str]]) -> None:
        """Offer models, by their series."""
        self._models = models
        self._series.options = [_ALL, *models]
        self._series.disabled = not models
        self._narrow()

    def tell_of_list(self, text: str) -> None:
        """Say what came of the list of models, unless something else was said since: that is about what was done."""
        if self._said.value == _ASKING:
            self._tell(text)

    def _tell(self, text: str) -> None:
        self._said.value = without_controls(text)

    def _narrow(self) -> None:
        """Offer the models of the series that is chosen; a page lists only what goes with the text in the field."""
        chosen = self._series.value
        everything = [name for names in self._models.values() for name in names]
        model = self._fields["model"]
        model.options = tuple(self._models.get(chosen, everything))
        model.value = self._shown["model"] if chosen == _ALL or self._shown["model"] in model.options else ""

    def _changed(self, name: str, text: str) -> None:
        text = text.strip()
        if text == self._shown[name] or (name == "model" and not text):
            return
        self._done(self._choice.change(name, text), "Set, from the next chat cell on.")
        if self._choice.is_secret(text):
            self._fields[name].value = self._shown[name]  # a notebook may be saved with the state of its widgets

    def _done(self, wrong: str, said: str) -> None:
        self._tell(wrong or said)
        if not wrong:
            self._follow()

    def _follow(self) -> None:
        """Show what is set."""
        self._shown = dict(self._choice.current())
        for name, text in self._shown.items():
            self._fields[name].value = text
        self._fields["model"].placeholder = self._shown["model"]


def _text(name: str, placeholder: str, tooltip: str) -> Any:
    return Text(
        description=name,
        placeholder=placeholder,
        tooltip=tooltip,
        continuous_update=False,
        style=_LABELS,
        layout=_FIELD,
    )


def _row(*fields: Any) -> Any:
    return Box(list(fields), layout={"flex_flow": "row wrap", "align_items": "center"})
