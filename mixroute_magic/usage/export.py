"""The requests themselves for others: as CSV, as Parquet and as a DataFrame, a column for each fact.

The names are those of OpenTelemetry's semantic conventions for generative AI, where these have one, else ``mixroute.``
and ours. They are for good; docs/ledger.md says what each means.
"""

from __future__ import annotations

import csv
import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from mixroute_magic.errors import MixRouteError
from mixroute_magic.usage.query import Scope, requests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pandas as pd
    from sqlalchemy import Connection

    from mixroute_magic.usage.plot import UsagePlot

__all__ = ["COLUMNS", "Requests", "import_pandas"]

T = TypeVar("T")

#: The name of each column, and the ledger's column that it comes from.
COLUMNS = {
    "mixroute.id": "id",
    "mixroute.started": "started",
    "mixroute.finished": "finished",
    "mixroute.status": "status",
    "error.type": "error",
    "session.id": "session",
    "user.name": "user",
    "host.name": "host",
    "mixroute.notebook": "notebook",
    "mixroute.cell": "cell",
    "mixroute.thread": "thread",
    "mixroute.turn": "turn",
    "mixroute.round": "round",
    "mixroute.attempt": "attempt",
    "gen_ai.operation.name": "operation",
    "gen_ai.provider.name": "gateway",
    "gen_ai.request.model": "model",
    "gen_ai.response.model": "served_model",
    "gen_ai.usage.input_tokens": "input_tokens",
    "gen_ai.usage.output_tokens": "output_tokens",
    "gen_ai.usage.cache_read.input_tokens": "cached_tokens",
    "gen_ai.usage.reasoning.output_tokens": "reasoning_tokens",
    "mixroute.usage.source": "source",
    "gen_ai.client.operation.duration": "seconds",
    "gen_ai.response.time_to_first_chunk": "first_token_seconds",
    "gen_ai.response.finish_reasons": "finish_reason",
    "mixroute.request_id": "request_id",
    "mixroute.demo": "demo",
    "mixroute.replayed": "replayed",
}

_WHOLE = {name for name in COLUMNS if name.endswith("_tokens")} | {"mixroute.round", "mixroute.attempt"}
_TIMES = {"mixroute.started", "mixroute.finished"}
_NUMBERS = {"gen_ai.client.operation.duration", "gen_ai.response.time_to_first_chunk"}
_FLAGS = {"mixroute.demo", "mixroute.replayed"}

# What makes a cell of a spreadsheet a formula (OWASP, "CSV Injection"), the wide forms in East Asian versions.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


@dataclass(frozen=True, slots=True)
class Requests:
    """The requests of a scope, read from the ledger whenever they are wanted.

    Parameters
    ----------
    read
        Does some work with a connection to the ledger's database, as `Ledger.read`.
    scope
        Which requests.
    """

    read: Callable[[Callable[[Connection], Any]], Any]
    scope: Scope

    def to_csv(self, path: str | Path) -> int:
        """Write them to a CSV file, and return how many there are.

        In UTF-8 with a byte order mark, without which Excel shows Chinese as noise. A text that a spreadsheet would
        take for a formula gets an apostrophe in front. Only an earlier export is written over.

        Raises
        ------
        MixRouteError
            If another file has this name, or it cannot be written.
        """
        with _replacing(path, _is_export) as beside:
            return self._with(lambda rows: _write_csv(beside, rows))

    def to_frame(self) -> pd.DataFrame:
        """Return them as a pandas DataFrame; what is unknown is missing there."""
        pandas = import_pandas()
        names, rows = list(COLUMNS), self._with(list)
        frame = pandas.DataFrame([[row[name] for name in names] for row in rows], columns=names)
        kinds = dict.fromkeys(_WHOLE, "Int64") | dict.fromkeys(_NUMBERS, "Float64")
        kinds |= dict.fromkeys(_FLAGS, "boolean") | dict.fromkeys(_TIMES, "datetime64[us, UTC]")
        return frame.astype(kinds | {name: "string" for name in names if name not in kinds})

    def to_parquet(self, path: str | Path) -> int:
        """Write them to a Parquet file, and return how many there are.

        Raises
        ------
        MixRouteError
            If pandas or pyarrow is not installed, another file has this name, or it cannot be written.
        """
        frame = self.to_frame()
        try:
            import pyarrow as pa  # noqa: F401 - what pandas writes with
        except ImportError as error:
            raise MixRouteError("Parquet needs pyarrow, which is not installed.", "%pip install pyarrow") from error
        with _replacing(path, _is_parquet) as beside:
            frame.to_parquet(beside, engine="pyarrow", index=False)
        return len(frame)

    def plot(self, about: str) -> UsagePlot:
        """Return a figure of the tokens over time by model."""
        from mixroute_magic.usage.plot import plot

        return plot(self.reading, self.scope, about)

    def reading(self, work: Callable[[Connection], T]) -> T:
        """Return what comes of some work with the database.

        Raises
        ------
        SettingError
            If the ledger cannot be read.
        """
        # What goes wrong on our side is no fault of the database, and must not be told as one.
        result, failure = self.read(lambda connection: _caught(lambda: work(connection)))
        if failure is not None:
            raise failure
        return result  # type: ignore[no-any-return]

    def _with(self, work: Callable[[Iterator[dict[str, Any]]], T]) -> T:
        return self.reading(lambda connection: work(_exported(requests(connection, self.scope))))


def import_pandas() -> Any:
    """Return pandas, imported at first use.

    Raises
    ------
    MixRouteError
        If it is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise MixRouteError("A DataFrame needs pandas, which is not installed.", "%pip install pandas") from error
    return pd


def _caught(work: Callable[[], T]) -> tuple[T | None, Exception | None]:
    try:
        return work(), None
    except OSError as error:
        return None, error


def _exported(rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the rows under the names of their columns."""
    for row in rows:
        yield {name: row[column] if column != "operation" else "chat" for name, column in COLUMNS.items()}


def _write_csv(path: Path, rows: Iterable[dict[str, Any]]) -> int:
    written = 0
    with path.open("w", encoding="utf-8-sig", newline="", errors="replace") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for row in rows:
            writer.writerow(map(_cell, row.values()))
            written += 1
    return written


def _cell(value: Any) -> Any:
    """Return a value as it stands in a CSV file: times in ISO 8601, unknown as nothing, no text a formula."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    return value.isoformat().replace("+00:00", "Z") if hasattr(value, "isoformat") else value


@contextmanager
def _replacing(given: str | Path, ours: Callable[[Path], bool]) -> Iterator[Path]:
    """Yield a path beside this one, which takes its place at the end: whole, and never in place of a foreign file."""
    beside = None
    try:
        path = Path(given).expanduser()
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        beside.touch()  # while nobody else can be blamed for it
        if os.path.lexists(path) and not ours(path):
            hint = "Choose another name, or move that file away."
            raise MixRouteError(f"{path.name} exists and is no export of %usage; nothing was written.", hint)
        yield beside
        beside.replace(path)
    except (OSError, ValueError, RuntimeError) as error:  # the latter two: a name that no file, no home can have
        reason = getattr(error, "strerror", None) or error
        hint = "Name a file in a folder that exists and takes new files."
        raise MixRouteError(f"{given} cannot be written: {reason}.", hint) from error
    finally:
        if beside is not None:
            with suppress(OSError, ValueError):
                beside.unlink(missing_ok=True)


def _is_export(path: Path) -> bool:
    """Say whether a file is a CSV file of ours, or empty."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        return _first_row(file) in ([], list(COLUMNS))


def _first_row(file: TextIO) -> list[str]:
    return next(csv.reader([file.readline(10_000)]), [])


def _is_parquet(path: Path) -> bool:
    import pyarrow as pa
    from pyarrow.parquet import read_schema

    try:
        return list(read_schema(path).names) == list(COLUMNS)
    except pa.ArrowInvalid:
        return False
