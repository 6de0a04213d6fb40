"""Watching without a project: columns as people have them, with gaps, odd types and classes that are no text."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import backstay
from backstay.data.read import read
from backstay.kernel.clock import ManualClock
from backstay.kernel.errors import BackstayError
from backstay.loop import standalone
from backstay.monitor import label_free

NOW = datetime(2026, 3, 2, tzinfo=UTC)
ROLES = {"prediction": "ans", "score": "p", "positive": "1", "label": "y"}


@pytest.fixture(autouse=True)
def _few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_free, "DRAWS", 20)


def frame(rows: int, seed: int, shift: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(shift, 1, rows)
    p = 1 / (1 + np.exp(-x))
    y = (rng.random(rows) < p).astype(int)
    return pd.DataFrame({"x": x, "z": rng.normal(size=rows), "ans": (p > 0.5).astype(int), "p": p, "y": y})


REFERENCE, TRAFFIC = frame(1500, 1), frame(600, 2)


def look(traffic, reference=REFERENCE, **how):
    return backstay.watch(traffic, reference=reference, clock=ManualClock(NOW), **{**ROLES, **how})


def test_of_rows_without_times_nothing_is_said_of_days() -> None:
    whole = look(TRAFFIC)
    assert "Of 600 labelled 417 were right" in whole.headline
    assert "days" not in whole.headline
    assert "days" not in look(TRAFFIC, window_rows=200).headline
    times = pd.date_range("2026-01-05", periods=600, freq="15min", tz="UTC")
    assert "labelled in the last 6 days" in look(TRAFFIC.assign(t=times), REFERENCE, time="t").headline


def test_labels_long_ago_are_told_in_windows_where_rows_have_no_times() -> None:
    traffic = frame(1000, 3).astype({"y": float})
    traffic.loc[200:, "y"] = np.nan
    refused = next(e for e in look(traffic, window_rows=50).estimates if e.kind == "label-free").refusals
    assert any("windows has a label" in why for why in refused)
    assert not any("days" in why for why in refused)


@pytest.mark.parametrize("text", [False, True])
def test_rows_without_a_time_are_refused(text) -> None:
    times = pd.Series(pd.date_range("2026-01-05", periods=600, freq="15min", tz="UTC"))
    times = times.astype(str).where(times.index != 3, None) if text else times.where(times.index != 3)
    with pytest.raises(BackstayError, match="1 time in 't' is missing"):
        look(TRAFFIC.assign(t=times), time="t")
    known = pd.Series(pd.date_range("2025-01-05", periods=1500, freq="15min", tz="UTC"))
    with pytest.raises(BackstayError, match="2 times in 't' are missing"):
        look(
            TRAFFIC.assign(t=pd.date_range("2026-01-05", periods=600, freq="15min", tz="UTC")),
            REFERENCE.assign(t=known.where(known.index > 1)),
            time="t",
            season="day",
        )


@pytest.mark.parametrize("positive", [1, np.int64(1), "1"])
def test_the_positive_class_may_be_a_number(positive) -> None:
    assert look(TRAFFIC, positive=positive).headline == look(TRAFFIC).headline


def test_classes_may_be_truth_values_and_scores_be_named_by_numbers() -> None:
    def truths(of: pd.DataFrame) -> pd.DataFrame:
        return of.assign(ans=of.ans > 0, y=of.y > 0)

    said = look(truths(TRAFFIC), truths(REFERENCE), positive=True).headline
    assert said == look(TRAFFIC).headline
    both = {"score": None, "positive": None, "scores": {0: "q", 1: "p"}}
    assert look(TRAFFIC.assign(q=1 - TRAFFIC.p), REFERENCE.assign(q=1 - REFERENCE.p), **both).headline == said


def test_rows_without_a_score_are_left_out_where_scores_are_read_and_nowhere_else(tmp_path, monkeypatch) -> None:
    gaps = frame(600, 2, shift=1.0)
    gaps.loc[::2, "p"] = np.nan
    seen = look(gaps)
    said = {signal.detector: signal for signal in seen.signals}
    assert "300 rows have no scores: left out" in said["prediction"].message
    assert said["columns"].n == 600
    assert "Of 600 labelled" in seen.headline
    path = tmp_path / "gaps.parquet"
    gaps.to_parquet(path)
    monkeypatch.setattr(standalone, "SAMPLED", 100)  # streamed
    assert pq.read_metadata(path).num_rows == 600
    assert look(path).headline == seen.headline


def test_one_window_in_which_no_row_has_a_score_ends_no_look() -> None:
    gaps = TRAFFIC.copy()
    gaps.loc[200:399, "p"] = np.nan
    windows = look(gaps, window_rows=200).windows
    judged = [next(s for s in w.signals if s.detector == "prediction").figures.get("judged") for w in windows]
    assert judged == [True, False, True]
    assert len(look(TRAFFIC.assign(p=np.nan)).windows) == 1


def test_the_reference_has_a_score_in_each_row() -> None:
    with pytest.raises(BackstayError, match="'p' has no score in row 6"):
        look(TRAFFIC, REFERENCE.assign(p=REFERENCE.p.where(REFERENCE.index != 5)))


def test_intervals_are_categories() -> None:
    def cut(of: pd.DataFrame, moved: float) -> pd.DataFrame:
        return of.assign(band=pd.cut(of.z + moved, [-9, 0, 9]))

    assert set(read(cut(TRAFFIC, 0.0)).column("band").to_pylist()) == {"left: -9, right: 0", "left: 0, right: 9"}
    seen = look(cut(TRAFFIC, 1.0), cut(REFERENCE, 0.0), ignore=["z"])
    assert any("band" in words for words in seen.moved)


def test_a_reference_of_a_few_rows_is_not_said_to_be_like_the_traffic() -> None:
    seen = look(frame(600, 2, shift=3.0), REFERENCE[:15])
    assert "has moved" not in seen.headline
    assert "no detector could compare the traffic with the reference" in seen.headline


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"false_alarms_per_year": 0}, "false_alarms_per_year is 0; give a number above 0"),
        ({"false_alarms_per_year": "1"}, "false_alarms_per_year is '1'"),
        ({"prediction": 3}, "prediction is 3; give the name of a column"),
        ({"scores": ["p"]}, "scores is .'p'.; name a column for each class"),
        ({"metrics": "auk"}, "no estimate without labels of 'auk'"),
        ({"detectors": "service"}, "no detector 'service'"),
        ({"features": "income"}, "'income'"),
    ],
)
def test_arguments_that_cannot_be_meant_are_named(how, message) -> None:
    with pytest.raises(BackstayError, match=message):
        look(TRAFFIC, **how)


def test_one_name_may_stand_alone() -> None:
    traffic, reference = (of.rename(columns={"z": "age"}) for of in (TRAFFIC, REFERENCE))
    assert {s.detector for s in look(traffic, reference, detectors="columns", ignore="age").signals} == {"columns"}


def test_answers_that_are_lists_are_refused() -> None:
    answers = [[1]] * len(TRAFFIC)
    with pytest.raises(BackstayError, match=r"holds list<item: int64>; give one value in each row"):
        look(TRAFFIC.assign(ans=answers), score=None, positive=None)
