"""`%usage` in a real shell: what it counts, how it groups, and what it writes for others."""

from __future__ import annotations

import base64
import csv
import io
import sqlite3
import time
import uuid
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from benchmarks import usage_million
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from matplotlib.colors import same_color
from PIL import Image

from mixroute_magic.errors import MixRouteError, SettingError
from mixroute_magic.since import read_since
from mixroute_magic.usage.export import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mixroute_magic.usage.report import UsageReport

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
ROW: dict[str, Any] = {
    "session": "other",
    "user": "ada",
    "notebook": "/home/ada/lesson.ipynb",
    "thread": "main",
    "gateway": "console.mixroute.io",
    "model": "glm-5",
    "status": "complete",
    "input_tokens": 100,
    "output_tokens": 10,
    "cached_tokens": 40,
    "source": "reported",
    "demo": False,
    "replayed": False,
}
UNKNOWN = {"input_tokens": None, "output_tokens": None, "cached_tokens": None, "source": None}


class Desk:
    """A shell with the extension, and a ledger in which rows can be put."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shell = InteractiveShell()
        self.shell.run_line_magic("load_ext", "mixroute_magic")
        self.set(f'ledger_url = "sqlite:///{folder / "ledger.sqlite"}"')
        self.session = self.shell.magics_manager.registry["MixRouteMagics"].session

    def set(self, assignment: str) -> None:
        self.shell.run_line_magic("config", f"MixRoute.{assignment}")

    def usage(self, line: str = "") -> UsageReport:
        return self.shell.run_line_magic("usage", line)

    def spend(self, *, times: int = 1, at: datetime | None = None, **said: Any) -> None:
        """Put rows into the ledger, by default into this session and now."""
        self.session.ledger.read(lambda _connection: True)  # makes the tables
        with closing(sqlite3.connect(self.folder / "ledger.sqlite")) as database, database:
            for _ in range(times):
                row = ROW | {"session": self.session.id, "id": str(uuid.uuid4())} | said
                row["started"] = (at or datetime.now(UTC)).astimezone(UTC).replace(tzinfo=None).isoformat(" ")
                names = ", ".join(f'"{name}"' for name in row)
                database.execute(
                    f"INSERT INTO requests ({names}) VALUES ({', '.join('?' * len(row))})", list(row.values())
                )

    def close(self) -> None:
        self.shell.run_line_magic("unload_ext", "mixroute_magic")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    desk = Desk(tmp_path)
    yield desk
    desk.close()


@pytest.fixture
def taipei(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Taipei")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def names(report: UsageReport) -> list[str]:
    return [row.name for row in report]


def table(report: UsageReport) -> list[list[str]]:
    """Return the cells of the table that a terminal shows."""
    header, _, *lines = repr(report).split("\n\n")[1].splitlines()
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in (header, *lines)]


def test_this_session_is_counted_and_all_where_it_is_asked_for(desk: Desk) -> None:
    desk.spend(times=2)
    desk.spend(session="other", model="deepseek-r1")
    assert [(row.name, row.requests, row.input_tokens.known) for row in desk.usage()] == [("glm-5", 2, 200)]
    assert names(desk.usage("--all")) == ["deepseek-r1", "glm-5"]
    assert desk.usage("--all").total.input_tokens.known == 300


def test_demo_replayed_unknown_and_estimated_requests_are_told_apart(desk: Desk) -> None:
    desk.spend(times=2)
    desk.spend(source="estimated", input_tokens=7, output_tokens=3, cached_tokens=None)
    desk.spend(status="failed", **UNKNOWN)
    desk.spend(demo=True, input_tokens=5)
    desk.spend(replayed=True, input_tokens=0, output_tokens=0, cached_tokens=0)
    report = desk.usage()
    assert [row[:4] for row in table(report)] == [
        ["model", "requests", "input tokens", "output tokens"],
        ["glm-5", "4 (1 failed)", "≥ 200 + ≈ 7 (1 unknown)", "≥ 20 + ≈ 3 (1 unknown)"],
        ["Total", "4 (1 failed)", "≥ 200 + ≈ 7 (1 unknown)", "≥ 20 + ≈ 3 (1 unknown)"],
        ["glm-5 (replayed)", "1", "0", "0"],
        ["glm-5 (demo)", "1", "5", "10"],
    ]
    for word in ("unknown:", "≈:", "demo:", "replayed:"):
        assert word in repr(report)
    frame = report.to_frame()
    assert list(frame["input_tokens"]) == [200, 0, 5]
    assert list(frame["input_tokens_estimated"]) == [7, 0, 0]
    assert frame["reasoning_tokens"].isna().all()


def test_what_nobody_has_reported_is_not_zero_in_a_frame(desk: Desk) -> None:
    desk.spend(source="estimated", input_tokens=7, output_tokens=3, cached_tokens=None)
    frame = desk.usage().to_frame()
    assert frame["input_tokens"].isna().all()
    assert list(frame["input_tokens_estimated"]) == [7]


def test_a_budget_is_told_with_what_is_left_of_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTERHUB_USER", "ada")
    assert desk.usage().notes == []
    assert repr(desk.usage("--budget 200k")) == (
        "No requests recorded in this session yet.\n\n"
        "This session's budget: 0 of 200,000 tokens are taken, 200,000 are left."
    )
    desk.spend(times=2)
    desk.spend(session="another", input_tokens=500)
    desk.set('daily_token_budget = "500"')
    told = [
        "This session's budget: 220 of 200,000 tokens are taken, 199,780 are left.",
        "Today's budget: 730 of 500 tokens are taken, 0 are left.",
    ]
    report = desk.usage()
    assert report.notes == told
    for shown in (repr(report), report._repr_markdown_(), report._repr_html_().replace("&#x27;", "'")):
        assert all(note in shown for note in told)
    assert desk.usage("--budget none").notes == told[1:]
    desk.set('daily_token_budget = "lots"')
    assert desk.usage().notes == []  # is told when something is asked


def test_a_column_that_somebody_has_added_takes_no_names_place(desk: Desk) -> None:
    desk.spend()
    with closing(sqlite3.connect(desk.folder / "ledger.sqlite")) as database, database:
        for name in ("kind", "begins"):
            database.execute(f"ALTER TABLE requests ADD COLUMN {name} TEXT DEFAULT 'theirs'")
    desk.spend(model="gpt-4o")
    assert names(desk.usage()) == ["glm-5", "gpt-4o"]
    figure = desk.usage().plot().figure
    assert len(figure.legends[0].get_texts()) == 2


def test_it_groups_by_what_is_asked_for(desk: Desk) -> None:
    monday = datetime(2026, 11, 23, 4, tzinfo=UTC)
    desk.spend(at=monday)
    desk.spend(at=monday, thread="review", notebook="/home/ada/notes.ipynb", user="bob", model="gpt-4o")
    desk.spend(session="a" * 32, at=monday - timedelta(days=1), notebook=None, user=None)
    assert names(desk.usage("--by thread")) == ["main (lesson.ipynb)", "review (notes.ipynb)"]
    assert names(desk.usage("--all --by notebook")) == [
        "/home/ada/lesson.ipynb",
        "/home/ada/notes.ipynb",
        "not known",
    ]
    assert names(desk.usage("--all --by user")) == ["ada", "bob", "not known"]
    assert [row[0] for row in table(desk.usage("--by notebook"))[1:3]] == ["lesson.ipynb", "notes.ipynb"]
    sessions = desk.usage("--all --by session")
    assert names(sessions) == ["a" * 32, desk.session.id]
    assert table(sessions)[1][0].endswith(" (aaaaaaaa)")
    desk.set('prices = {"glm-5": {"input": 1, "output": 1}}')
    assert [str(row.cost) for row in desk.usage("--by user")] == ["0.0001", "unknown"]


def test_two_notebooks_of_one_name_are_two(desk: Desk) -> None:
    desk.spend(notebook="/a/x.ipynb")
    desk.spend(notebook=r"C:\b\x.ipynb")
    assert names(desk.usage("--by thread")) == ["main (/a/x.ipynb)", r"main (C:\b\x.ipynb)"]


@pytest.mark.usefixtures("taipei")
def test_days_are_those_of_the_clock_on_the_wall(desk: Desk) -> None:
    for hour in (15, 17):  # 23:00 and 01:00 in Taipei
        desk.spend(at=datetime(2026, 11, 20, hour, tzinfo=UTC))
    assert names(desk.usage("--by day")) == ["2026-11-20", "2026-11-21"]
    assert names(desk.usage("--by day --since 2026-11-21")) == ["2026-11-21"]
    assert "this session since 2026-11-21 00:00 by day" in repr(desk.usage("--by day --since 2026-11-21"))


@pytest.mark.usefixtures("taipei")
@pytest.mark.parametrize(
    ("word", "moment"),
    [
        ("12h", NOW - timedelta(hours=12)),
        ("7d", NOW - timedelta(days=7)),
        ("2w", NOW - timedelta(weeks=2)),
        ("2026-11-01", datetime(2026, 10, 31, 16, tzinfo=UTC)),
        ("2026-11-01T08:00", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01T08:00Z", datetime(2026, 11, 1, 8, tzinfo=UTC)),
    ],
)
def test_a_moment_is_read_as_people_write_it(word: str, moment: datetime) -> None:
    assert read_since(word, NOW) == moment


@pytest.mark.parametrize(
    "word", ["7", "d", "7 d", "７d", "-7d", "20261101", "2026-13-01", "99999999999w", "0001-01-01"]
)
def test_another_word_is_no_moment(word: str) -> None:
    with pytest.raises(ValueError, match="write 12h, 7d, 2w, 2026-11-01 or"):
        read_since(word, NOW)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("--by modl", "--by modl: did you mean model?"),
        ("--since yesterday", "--since yesterday: write 12h, 7d, 2w, 2026-11-01 or 2026-11-01T08:00"),
        ("--since 2126-01-01", "--since 2126-01-01: that moment is still to come"),
        ("--csv usage.parquet", "--csv usage.parquet: --csv writes CSV; for Parquet: report = %usage, then"),
        ("glm-5", "%usage does not take glm-5"),
    ],
)
def test_a_wrong_option_is_one_line(desk: Desk, line: str, complaint: str) -> None:
    with pytest.raises(UsageError) as error:
        desk.usage(line)
    assert str(error.value).startswith(complaint)
    assert "\n" not in str(error.value)


def test_a_long_table_folds_what_is_small_or_long_past_and_keeps_the_total(desk: Desk) -> None:
    for number in range(70):
        at = datetime(2026, 6, 1, 12, tzinfo=UTC) + timedelta(days=number)
        desk.spend(model=f"m{number:02}", input_tokens=number, at=at)
    models, days = table(desk.usage()), table(desk.usage("--by day"))
    assert len(models) == len(days) == 62
    assert models[-2][:3] == ["11 smaller ones", "11", "55"]
    assert days[1][:3] == ["11 earlier ones", "11", "55"]
    assert models[-1][:3] == days[-1][:3] == ["Total", "70", "2,415"]
    assert len(desk.usage()) == len(desk.usage().to_frame()) == 70
    desk.set('prices = {"m00": {"input": 1, "output": 1}}')
    assert table(desk.usage())[-2][-1] == "≥ 0.0000"


def test_money_follows_the_prices_that_were_given(desk: Desk) -> None:
    desk.spend(times=10_000 // 100, input_tokens=10_000, output_tokens=1_000, cached_tokens=4_000)
    desk.spend(demo=True)
    assert "cost" not in repr(desk.usage())
    desk.set('prices = {"glm-5": {"input": 0.6, "output": 2.2, "cached": 0.1, "currency": "USD"}}')
    assert [row[-1] for row in table(desk.usage())] == ["cost", "0.6200 USD", "0.6200 USD", "unknown"]
    assert list(desk.usage().to_frame()["cost"]) == ["0.6200 USD", ""]
    desk.spend(model="free", source="estimated")
    desk.spend(model="gpt-4o", **UNKNOWN)
    desk.set('prices = {"glm-5": {"input": 1, "output": 0}, "free": {"input": 0, "output": 0, "currency": "EUR"}}')
    costs = {row[0]: row[-1] for row in table(desk.usage())}
    assert costs["glm-5"] == "1.0000"
    assert costs["free"] == "≈ 0.0000 EUR"
    assert costs["gpt-4o"] == "unknown"
    assert costs["Total"] == "≥ ≈ 1.0000 + 0.0000 EUR"
    assert "without a price: gpt-4o." in repr(desk.usage())
    desk.set('prices = {"gpt-4o": {"input": 1, "output": 1}, "free": {"input": 0, "output": 0}}')
    desk.spend(model="free", **UNKNOWN)
    costs = {row[0]: row[-1] for row in table(desk.usage())}
    assert (costs["gpt-4o"], costs["free"]) == ("unknown", "≈ 0.0000")


@pytest.mark.parametrize(
    "prices",
    [
        "7",
        '{"glm-5": 0.6}',
        '{"glm-5": {"input": 0.6}}',
        '{"glm-5": {"input": 0.6, "output": 2, "outptu": 3}}',
        '{"glm-5": {"input": -1, "output": 2}}',
        '{"glm-5": {"input": True, "output": 2}}',
        '{"glm-5": {"input": "0.6", "output": 2}}',
        '{"glm-5": {"input": float("nan"), "output": 2}}',
        '{"glm-5": {"input": __import__("decimal").Decimal("sNaN"), "output": 2}}',
        '{"glm-5": {"input": None, "output": 2}}',
        '{"glm-5": {"input": 1, "output": 2, "currency": 3}}',
    ],
)
def test_prices_that_are_none_are_refused_in_two_lines(desk: Desk, prices: str) -> None:
    desk.set(f"prices = {prices}")
    with pytest.raises(SettingError) as error:
        desk.usage()
    first, second = error.value.lines()
    assert first.startswith("SettingError: MixRoute.prices")
    assert "%config MixRoute.prices = {" in second


def test_a_csv_file_has_a_line_for_each_request_and_no_formula(desk: Desk) -> None:
    monday = datetime(2026, 11, 23, 4, tzinfo=UTC)
    for place, model in enumerate(("=1+1", "+x", "-x", "@x", "\tx", "＝x", "通义千问", 'a,"b"\nc')):
        desk.spend(model=model, at=monday + timedelta(seconds=place), finished="2026-11-23 04:00:09.500000")
    desk.spend(session="other")
    report = desk.usage("--csv usage.csv")
    assert "8 requests written to usage.csv." in repr(report)
    content = (desk.folder / "usage.csv").read_bytes()
    assert content.startswith(b"\xef\xbb\xbfmixroute.id,")
    rows = list(csv.DictReader(content.decode("utf-8-sig").splitlines(keepends=True)))
    assert list(rows[0]) == list(COLUMNS)
    models = [row["gen_ai.request.model"] for row in rows]
    assert models == ["'=1+1", "'+x", "'-x", "'@x", "'\tx", "'＝x", "通义千问", 'a,"b"\nc']
    first = rows[0]
    assert first["mixroute.started"] == "2026-11-23T04:00:00Z"
    assert first["mixroute.finished"] == "2026-11-23T04:00:09.500000Z"
    assert (first["gen_ai.usage.input_tokens"], first["gen_ai.usage.reasoning.output_tokens"]) == ("100", "")
    assert (first["gen_ai.operation.name"], first["mixroute.demo"]) == ("chat", "false")
    frame = pd.read_csv("usage.csv")
    assert frame["gen_ai.usage.input_tokens"].sum() == 800


def test_only_an_earlier_export_is_written_over(desk: Desk) -> None:
    desk.spend()
    desk.usage("--csv usage.csv")
    desk.spend()
    assert "2 requests written" in repr(desk.usage("--csv usage.csv"))
    marks = desk.folder / "marks.csv"
    marks.write_text("name,mark\nAda,1\n")
    with pytest.raises(MixRouteError, match=r"marks.csv exists and is no export of %usage; nothing was written."):
        desk.usage("--csv marks.csv")
    assert marks.read_text() == "name,mark\nAda,1\n"
    with pytest.raises(MixRouteError, match="cannot be written"):
        desk.usage("--csv nowhere/usage.csv")
    for name in (".", "/", "~nobody-of-this-name/usage.csv", "usage.csv/usage.csv", f"{'x' * 300}.csv"):
        with pytest.raises(MixRouteError, match="cannot be written"):
            desk.usage(f"--csv {name}")
    with pytest.raises(MixRouteError, match="cannot be written: embedded null byte"):
        desk.usage().to_csv("a\0b.csv")
    assert sorted(path.name for path in desk.folder.glob("*usage*")) == ["usage.csv"]


def test_the_requests_are_a_frame_and_parquet_says_what_it_needs(desk: Desk) -> None:
    desk.spend()
    frame = desk.usage().requests.to_frame()
    assert list(frame.columns) == list(COLUMNS)
    assert str(frame["mixroute.started"].dtype) == "datetime64[us, UTC]"
    assert frame["gen_ai.usage.reasoning.output_tokens"].isna().all()


def test_a_ledger_that_cannot_be_read_is_said_so(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    (desk.folder / "ledger.sqlite").write_text("this is no database, and never was one")
    with pytest.raises(SettingError, match="The token ledger cannot be read"):
        desk.usage()
    assert "cannot be used" in capsys.readouterr().err


def test_the_plot_has_a_bar_for_each_model_and_step_and_names_at_most_eight(desk: Desk) -> None:
    first = datetime(2026, 11, 2, 4, tzinfo=UTC)
    for day in range(3):
        for number, model in enumerate(("_doubao", "$x$", "通义千问", *(f"m{number}" for number in range(7)))):
            desk.spend(model=model, input_tokens=1000 - number, at=first + timedelta(days=day))
    desk.spend(model="_doubao", at=first, **UNKNOWN)
    desk.spend(model="m0", demo=True, input_tokens=10**9, at=first)
    figure = desk.usage().plot().figure
    above, below = figure.axes
    assert [axes.get_title(loc="left") for axes in (above, below)] == ["input tokens", "output tokens"]
    heights = sum(patch.get_height() for patch in above.patches)
    assert heights == 3 * sum(1000 - number for number in range(10))
    assert len(above.patches) == 3 * 8
    assert below.get_xlabel() == "per hour, local time; not drawn: 1 request without a count"
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend[:2] == ["_doubao", "$x$"]
    assert legend[-1] == "3 others"
    assert len({patch.get_facecolor() for patch in above.patches}) == 8
    assert not any(same_color(text.get_color(), "black") for text in figure.legends[0].get_texts())


@pytest.mark.parametrize(
    ("seconds", "step"),
    [
        (0, "minute"),
        (7_200, "5 minutes"),
        (40_000, "quarter of an hour"),
        (86_400, "hour"),
        (10 * 86_400, "6 hours"),
        (40 * 86_400, "day"),
        (300 * 86_400, "week"),
        (5_000 * 86_400, "month"),
    ],
)
def test_bars_are_as_narrow_as_can_be_told_apart(desk: Desk, seconds: int, step: str) -> None:
    last = datetime(2026, 11, 20, 12, 34, tzinfo=UTC)
    desk.spend(at=last)
    desk.spend(at=last - timedelta(seconds=seconds))
    figure = desk.usage().plot().figure
    assert figure.axes[1].get_xlabel() == f"per {step}, local time"
    assert sum(patch.get_height() for patch in figure.axes[0].patches) == 200


def test_a_plot_is_a_transparent_picture_and_of_the_demo_only_where_nothing_else_is(desk: Desk) -> None:
    with pytest.raises(MixRouteError, match="There is nothing to plot"):
        desk.usage().plot()
    assert repr(desk.usage("--plot")) == "No requests recorded in this session yet."
    desk.spend(demo=True)
    shown = desk.usage().plot()
    assert shown.figure.axes[1].get_xlabel() == "per minute, local time; offline demo: no model was called"
    data, metadata = shown._repr_mimebundle_()
    assert metadata["image/png"]["width"] == 576
    picture = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    assert picture.getpixel((0, 0))[3] == 0
    assert data["text/plain"] == "Figure: tokens of this session over time, by model."


def test_a_plot_draws_what_it_can_as_wide_as_that_needs(desk: Desk) -> None:
    now = datetime.now(UTC)
    desk.spend(demo=True, at=now - timedelta(days=300))
    desk.spend(replayed=True, at=now - timedelta(days=300))
    desk.spend(at=now)
    desk.spend(at=now, output_tokens=None, model="gpt-4o")
    above, below = desk.usage().plot().figure.axes
    assert below.get_xlabel() == "per minute, local time; drawn in part: 1 request with one count"
    assert sum(patch.get_height() for patch in above.patches) == 200


def test_a_plot_of_what_nobody_has_counted_is_empty_and_says_so(desk: Desk) -> None:
    desk.spend(status="failed", times=2, **UNKNOWN)
    shown = desk.usage().plot()
    assert shown.figure.axes[1].get_xlabel() == "per minute, local time; not drawn: 2 requests without a count"
    assert shown._repr_mimebundle_()[0]["image/png"]


def test_where_records_have_answered_everything_there_is_nothing_to_plot(desk: Desk) -> None:
    desk.spend(replayed=True)
    with pytest.raises(MixRouteError, match="There is nothing to plot: this session has no requests yet but replayed"):
        desk.usage().plot()
    assert desk.usage("--plot").notes == ["There is nothing to plot: no model was called."]


def test_a_name_that_no_font_can_write_gets_a_number_and_a_note(desk: Desk) -> None:
    desk.spend(model="\U000f0000")
    shown = desk.usage().plot()
    assert [text.get_text() for text in shown.figure.legends[0].get_texts()] == ["model 1"]
    assert "model 1 is \U000f0000: no font here has all its characters." in repr(shown)


def test_a_hundred_thousand_requests_take_at_most_two_and_a_half_times_what_sqlite_takes_alone(tmp_path: Path) -> None:
    usage_million.fill(tmp_path / "ledger.sqlite", 100_000)
    *_, times = usage_million.ratio(tmp_path / "ledger.sqlite", rounds=3)
    assert times <= 2.5  # at a million it is less than two, as the benchmark shows
