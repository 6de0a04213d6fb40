"""Answers of a model that lives elsewhere: how long they took, and times that cannot be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import backstay
from backstay.kernel.clock import ManualClock
from backstay.kernel.errors import BackstayError
from backstay.loop.label import live_rows

START = datetime(2026, 3, 2, tzinfo=UTC)


def answered(n: int, seed: int, begin: datetime, days: float, *, slow: float = 1.0, stem: str = "") -> pa.Table:
    """Answers of a model, spread evenly, with the milliseconds that each took."""
    rng = np.random.default_rng(seed)
    chance = rng.uniform(size=n)
    return pa.table(
        {
            "id": [f"{stem or seed}-{i}" for i in range(n)],
            "at": pa.array([begin + timedelta(days=days * i / n) for i in range(n)]),
            "prediction": np.where(chance > 0.5, "yes", "no"),
            "took": 20.0 * slow * np.exp(rng.normal(size=n) * 0.3),
            "y": np.where(rng.random(n) < chance, "yes", "no"),
        }
    )


class Place:
    def __init__(self, folder: Path) -> None:
        self.folder, self.clock = folder, ManualClock(START)

    @property
    def project(self) -> backstay.project.Project:
        return backstay.open(self.folder, clock=self.clock, actor="ada")

    def log(self, table: pa.Table) -> backstay.project.Logged:
        return self.project.monitor.log(table.drop_columns(["y"]))


@pytest.fixture
def elsewhere(tmp_path: Path) -> Place:
    """Adopted with a reference that has no latencies; the project file names their column and the detector."""
    reference = answered(300, 0, START - timedelta(days=30), 20).drop_columns(["took"])
    pq.write_table(reference, tmp_path / "reference.parquet")
    place = Place(tmp_path)
    backstay.adopt(
        None, reference=tmp_path / "reference.parquet", target="y", predictions_only=True, row_id="id", time="at",
        name="far", folder=tmp_path, clock=place.clock,
    )  # fmt: skip
    file = tmp_path / "backstay.toml"
    text = file.read_text().replace("[predictions]\n", '[predictions]\nlatency = "took"\n')
    assert "latency" in text
    told = '\n[watch]\ndetectors = ["prediction", "service"]\n'
    file.write_text(text.replace("\n[watch]\n", told) if "\n[watch]\n" in text else text + told)
    return place


def test_a_slower_service_elsewhere_is_told(elsewhere: Place) -> None:
    # Two weeks are learned from; of the week after them every answer takes twice as long.
    for week in range(3):
        begin = START + timedelta(days=7 * week)
        elsewhere.clock.advance(timedelta(days=7))
        elsewhere.log(answered(2000, week + 1, begin, 6.99, slow=2.0 if week == 2 else 1.0))
        latest = elsewhere.project.monitor.watch(close_now=True).latest
        assert latest is not None
        signal = next(s for s in latest.signals if s.detector == "service")
        assert signal.alarm == (week == 2)
    assert signal.message.startswith("the service is slower: median latency 20")
    # Nobody tells of failed requests elsewhere, so that nothing is said of them.
    assert "failed" not in signal.message


def test_what_is_empty_is_not_known_and_what_is_no_duration_is_refused(elsewhere: Place) -> None:
    table = answered(4, 1, START, 0.1)
    place = table.column_names.index("took")

    def with_took(values: pa.Array) -> pa.Table:
        return table.set_column(place, "took", values)

    for wrong, told in (
        (pa.array([1.0, -2.0, 3.0, 4.0]), "-2 milliseconds in row 1"),
        (pa.array([1.0, 2.0, float("nan"), 4.0]), "nan milliseconds in row 2"),
        (pa.array([1.0, 2.0, 3.0, float("inf")]), "inf milliseconds in row 3"),
        (pa.array(["1", "2", "3", "4"]), "holds string, not milliseconds"),
        (pa.array([True, False, True, True]), "holds bool, not milliseconds"),
    ):
        with pytest.raises(BackstayError, match=told):
            elsewhere.log(with_took(wrong))
    with pytest.raises(BackstayError, match=r"named by predictions\.latency"):
        elsewhere.log(table.drop_columns(["took"]))
    assert elsewhere.project.status().logged_rows == 0
    elsewhere.log(with_took(pa.array([1, None, 3, 0])))
    assert live_rows(elsewhere.project.ws).latencies is not None
    np.testing.assert_array_equal(live_rows(elsewhere.project.ws).latencies, [1.0, np.nan, 3.0, 0.0])


def test_rows_of_days_to_come_are_refused_together_with_the_others(elsewhere: Place) -> None:
    later = answered(2, 2, START + timedelta(days=3650), 1, stem="far")
    wrong = r"2 of 12 rows are dated more than a day ahead .* 'far-0', 2036-02-28"
    with pytest.raises(BackstayError, match=wrong) as told:
        elsewhere.log(pa.concat_tables([answered(10, 1, START, 0.1), later]))
    assert "'at'" in told.value.fix
    assert elsewhere.project.status().logged_rows == 0
    # A clock that is wrong by hours, or a zone that was forgotten, is no reason to refuse.
    assert elsewhere.log(answered(10, 1, START + timedelta(hours=14), 0.1)).rows == 10


def test_rows_of_a_clock_that_was_never_set_are_refused(elsewhere: Place) -> None:
    first = answered(1, 2, datetime(1970, 1, 1, tzinfo=UTC), 1, stem="unset")
    with pytest.raises(BackstayError, match=r"1 of 11 rows are dated before 1990, .* 'unset-0', 1970-01-01") as told:
        elsewhere.log(pa.concat_tables([answered(10, 1, START, 0.1), first]))
    assert "leave these rows out" in told.value.fix
    assert elsewhere.project.status().logged_rows == 0
