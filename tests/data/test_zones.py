from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from backstay.data.read import read
from backstay.data.schema import conform, infer_schema
from backstay.data.zones import localise, moments
from backstay.kernel.errors import BackstayError

BERLIN = "Europe/Berlin"


def hours(*texts: str) -> pa.Table:
    return pa.table({"t": pa.array([datetime.fromisoformat(t) for t in texts], pa.timestamp("us")), "y": list(texts)})


def test_naive_times_are_refused_without_a_zone() -> None:
    table = pa.table({"t": [datetime(2026, 1, 1), datetime(2026, 1, 2)], "x": [1, 2], "y": ["a", "b"]})
    schema = infer_schema(table, target="y", time="t")
    with pytest.raises(BackstayError, match=r"have no zone .*data.time_zone"):
        conform(table, schema)
    with pytest.raises(BackstayError, match="have no zone"):
        moments(pa.chunked_array([["2026-01-01T10:00:00"]]), "t")
    with pytest.raises(BackstayError, match="not a time"):
        moments(pa.chunked_array([["yesterday"]]), "t")
    with pytest.raises(BackstayError, match="not times"):
        moments(pa.chunked_array([[1.5]]), "t")


def test_days_of_23_and_25_hours() -> None:
    spring = localise(hours("2026-03-29T00:00:00", "2026-03-30T00:00:00"), BERLIN).column("t").to_pylist()
    autumn = localise(hours("2026-10-25T00:00:00", "2026-10-26T00:00:00"), BERLIN).column("t").to_pylist()
    assert (spring[1] - spring[0]).total_seconds() == 23 * 3600
    assert (autumn[1] - autumn[0]).total_seconds() == 25 * 3600
    assert spring[0] == datetime(2026, 3, 28, 23, tzinfo=UTC)


@pytest.mark.parametrize("moment", ["2026-03-29T02:30:00", "2026-10-25T02:30:00"])
def test_a_time_that_comes_never_or_twice_is_refused(moment: str) -> None:
    with pytest.raises(BackstayError, match="comes twice or never"):
        localise(hours(moment), BERLIN)


def test_text_and_offsets() -> None:
    text = pa.table({"t": ["2026-10-25T02:30:00+01:00", "2026-10-25T02:30:00+02:00"]})
    first, second = moments(text.column("t"), "t").to_pylist()
    assert (first - second).total_seconds() == 3600
    naive = read(pa.table({"t": ["2026-07-01 12:00", None], "n": ["2026", "x"]}), time_zone=BERLIN)
    assert naive.column("t").to_pylist()[0] == datetime(2026, 7, 1, 10, tzinfo=UTC)
    assert naive.column("n").to_pylist() == ["2026", "x"]


def test_an_unknown_zone() -> None:
    with pytest.raises(BackstayError, match="is no zone"):
        localise(hours("2026-01-01T00:00:00"), "Mars/Olympus")
