"""Imports: what each setting does, and each way in which a file can be wrong."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from backstay.journal.importing import lists_of, rows_from
from backstay.kernel.errors import BackstayError
from backstay.settings import PredictionSettings

CLASSES = ("no", "yes")
TIMES = ["2026-03-01T12:00:00+00:00", "2026-03-01T14:00:00+02:00", "2026-03-02T00:00:00Z"]


def table(**changes):
    columns = {"id": ["a", "b", "c"], "prediction": ["no", "yes", "yes"], "age": [1.0, 2.0, None]}
    return pa.table({k: v for k, v in {**columns, **changes}.items() if v is not None})


def bring(columns, *, zone=None, classes=CLASSES, **names):
    return rows_from(
        columns, PredictionSettings(**names), zone, classes=classes, release="r", now=datetime(2026, 1, 1, tzinfo=UTC)
    )


def test_predictions_only():
    rows = bring(table())
    assert rows.ids.tolist() == ["a", "b", "c"]
    assert rows.scores is rows.embeddings is rows.groups is None
    assert set(rows.releases) == {"r"}
    assert rows.times[0] == np.datetime64("2026-01-01")
    assert rows.inputs is not None
    assert rows.inputs.column_names == ["age"]


def test_one_score_column_and_the_positive_class():
    made = table(p=[0.25, 0.75, 1.0])
    np.testing.assert_allclose(bring(made, score="p").scores, [[0.75, 0.25], [0.25, 0.75], [0, 1]])
    np.testing.assert_allclose(bring(made, score="p", positive="no").scores, [[0.25, 0.75], [0.75, 0.25], [1, 0]])


def test_a_score_column_for_each_class():
    made = table(n=[0.9, 0.2, 0.5], y=[0.1, 0.8, 0.5])
    rows = bring(made, scores={"yes": "y", "no": "n"})
    np.testing.assert_allclose(rows.scores, [[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]], atol=1e-6)
    assert rows.inputs.column_names == ["age"]


def test_lists_keep_their_precision_and_are_no_copy_where_they_lie_in_one_piece():
    values = np.array([[1.0, 1e300], [0.1, 4.0]])
    flat = pa.array(values.reshape(-1))
    found = lists_of(pa.table({"e": pa.FixedSizeListArray.from_arrays(flat, 2)}), "e")
    assert found.dtype == np.float64
    assert np.array_equal(found, values)
    assert np.shares_memory(found, values)
    whole = pa.table({"e": [[1, 2], [3, 4]]})
    assert lists_of(whole, "e").dtype == np.float32
    assert lists_of(whole, None) is None


def test_embeddings_and_groups():
    rows = bring(table(e=[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], g=[1, 1, 2]), embedding="e", group="g")
    assert rows.embeddings.dtype == np.float32
    assert rows.embeddings.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert rows.groups.tolist() == ["1", "1", "2"]


def test_labels_as_numbers_and_truth_values_are_written_alike():
    assert bring(table(prediction=[0, 1, 1]), classes=("0", "1")).predictions.tolist() == ["0", "1", "1"]
    assert bring(table(prediction=[0.0, 1.0, 1.0]), classes=("0", "1")).predictions.tolist() == ["0", "1", "1"]
    found = bring(table(prediction=[True, False, True]), classes=("false", "true")).predictions.tolist()
    assert found == ["true", "false", "true"]


def test_times_are_brought_to_utc():
    rows = bring(table(t=TIMES), time="t")
    assert rows.times.tolist() == [datetime(2026, 3, 1, 12), datetime(2026, 3, 1, 12), datetime(2026, 3, 2)]


@pytest.mark.parametrize("zone", ["UTC", None])
def test_nanoseconds_are_cut_to_microseconds(zone):
    fine = pa.array([1_772_366_400_123_456_789 + i for i in range(3)], pa.timestamp("ns", tz=zone))
    rows = bring(table(t=fine), time="t", zone="UTC")
    assert rows.times.tolist() == [datetime(2026, 3, 1, 12, 0, 0, 123_456)] * 3
    words = bring(table(t=["2026-03-01T12:00:00.123456789+00:00"] * 3), time="t")
    assert words.times.tolist() == rows.times.tolist()


def test_times_beyond_what_microseconds_hold_are_refused():
    with pytest.raises(BackstayError, match="microseconds since 1970"):
        bring(table(t=pa.array([2**60] * 3, pa.timestamp("s", tz="UTC"))), time="t")


def test_times_without_a_zone_need_a_declared_one_also_on_days_of_23_and_25_hours():
    naive = [datetime(2026, 3, 29, 1, 30), datetime(2026, 3, 29, 3, 30), datetime(2026, 10, 25, 2, 30)]
    wanted = [datetime(2026, 3, 29, 0, 30), datetime(2026, 3, 29, 1, 30), datetime(2026, 10, 25, 0, 30)]
    for column in (pa.array(naive, pa.timestamp("us")), pa.array([t.isoformat() for t in naive])):
        with pytest.raises(BackstayError, match=r"no zone.*data\.time_zone"):
            bring(table(t=column), time="t")
        assert bring(table(t=column), time="t", zone="Europe/Rome").times.tolist() == wanted
    with pytest.raises(BackstayError, match="not a time zone"):
        bring(table(t=pa.array(naive, pa.timestamp("us"))), time="t", zone="Mars/Olympus")


BAD = {
    "no id column": ({"id": None}, {}, "no column 'id'"),
    "a mistyped name": ({}, {"prediction": "predicton"}, "did you mean 'prediction'"),
    "an id twice": ({"id": ["a", "b", "a"]}, {}, "more than once .the first is 'a'.; nothing was added"),
    "an empty id": ({"id": ["a", None, "c"]}, {}, "empty in row 1"),
    "an empty prediction": ({"prediction": ["no", "yes", None]}, {}, "empty in row 2"),
    "an unknown class": ({"prediction": ["no", "yess", "yes"]}, {}, "'yess'.*did you mean 'yes'"),
    "a score above one": ({"p": [0.1, 0.2, 50.0]}, {"score": "p"}, r"outside \[0, 1\]"),
    "a missing score": ({"p": [0.1, 0.2, None]}, {"score": "p"}, "'p' has no score in row 3"),
    "scores that are words": ({"p": ["x", "y", "z"]}, {"score": "p"}, "not hold numbers"),
    "an unknown positive class": ({"p": [0.1, 0.2, 0.3]}, {"score": "p", "positive": "maybe"}, "positive"),
    "a class without scores": ({"p": [0.1, 0.2, 0.3]}, {"scores": {"yes": "p"}}, "no column for class 'no'"),
    "ragged embeddings": ({"e": [[1.0], [1.0, 2.0], [1.0]]}, {"embedding": "e"}, "one length"),
    "a missing embedding": ({"e": [[1.0], None, [1.0]]}, {"embedding": "e"}, "one length"),
    "embeddings that are no lists": ({"e": [1.0, 2.0, 3.0]}, {"embedding": "e"}, "lists"),
    "embeddings with gaps": ({"e": [[1.0], [None], [1.0]]}, {"embedding": "e"}, "finite"),
    "embeddings too large": ({"e": [[1.0], [1e300], [1.0]]}, {"embedding": "e"}, "finite"),
    "times that are not": ({"t": ["soon", "later", "now"]}, {"time": "t"}, "ISO 8601"),
    "times that are numbers": ({"t": [1, 2, 3]}, {"time": "t"}, "not times"),
    "a missing time": ({"t": [TIMES[0], None, TIMES[2]]}, {"time": "t"}, "missing"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_said(name):
    columns, names, words = BAD[name]
    with pytest.raises(BackstayError, match=words):
        bring(table(**columns), **names)


def test_dictionary_columns_are_read_as_what_they_hold():
    made = table(prediction=pa.array(["no", "yes", "yes"]).dictionary_encode())
    assert bring(made).predictions.tolist() == ["no", "yes", "yes"]
