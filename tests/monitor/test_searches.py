"""Hit rates of searches without labels and by judged ones."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from backstay.maths.result_lists import result_list
from backstay.monitor import searches as searches_file
from backstay.monitor.searches import search_estimates
from backstay.monitor.traffic import Searches, WindowData


@pytest.fixture(autouse=True)
def _few_draws(monkeypatch):
    monkeypatch.setattr(searches_file, "DRAWS", 30)


def lists(n: int, seed: int, shift: float = 0.0, stale: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Result lists in numbers, and places of the right one: the first where it stands out, else the third or none."""
    rng = np.random.default_rng(seed)
    scores = np.sort(rng.normal(size=(n, 25)) * 0.1 + 0.5, axis=1)[:, ::-1].copy()
    scores[:, 0] += np.maximum(rng.normal(0.15 - 0.07 * shift, 0.1, n), 0)
    hit = rng.random(n) < 1 / (1 + np.exp(-(12 * (scores[:, 0] - scores[:, 1]) - 1.2)))
    hit &= rng.random(n) >= stale
    return result_list(scores), np.where(hit, 1, np.where(rng.random(n) < 0.5, 3, 0))


def window_of(begin, live: np.ndarray, judged=(), known: int = 1200) -> WindowData:
    described, places = lists(known, 1)
    made = Searches("default", live, described, places, np.asarray(judged, dtype=np.int64))
    rows = np.array(["a"], dtype=object)
    times = np.array([np.datetime64(begin.replace(tzinfo=None), "us")])
    return WindowData(begin, begin + timedelta(days=7), rows, times, rows, searches=made)


def by_metric(window: WindowData, kind: str = "label-free"):
    return {e.metric: e for e in search_estimates(window) if e.kind == kind}


def test_hit_rates_follow_what_scores_tell(begin):
    live, truth = lists(600, 5, shift=0.8)
    window = window_of(begin, live)
    found = by_metric(window)
    assert list(found) == ["hit_at_1", "hit_at_10"]
    for depth, e in zip((1, 10), found.values(), strict=True):
        now = float(np.mean((truth >= 1) & (truth <= depth)))
        assert e.interval.low <= now <= e.interval.high
        assert abs(e.value - now) < abs(e.figures["on_reference"] - now) + 0.01
        assert e.n == 600
    assert search_estimates(window) == search_estimates(window)
    assert search_estimates(replace(window, searches=None)) == ()


def test_judged_searches_stand_beside_and_contradict(begin):
    live, truth = lists(600, 3, stale=0.6)
    window = window_of(begin, live, judged=truth[:80])
    judged, free = by_metric(window, "labels")["hit_at_1"], by_metric(window)["hit_at_1"]
    assert judged.interval.low <= float(np.mean(truth == 1)) <= judged.interval.high
    assert judged.figures["anytime_low"] < judged.interval.low
    assert free.value is None
    assert "judged searches put hit@1 between" in free.refusals[0]
    assert free.figures["withheld"] > judged.interval.high
    assert by_metric(window_of(begin, live, judged=truth[:19]), "labels") == {}
    assert by_metric(window_of(begin, live, judged=truth[:19]))["hit_at_1"].value is not None


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("few queries", "only 300 labelled reference rows: at least 500"),
        ("few searches", "only 12 rows to estimate for: at least 30"),
        ("far", "farther from the reference"),
        ("always right", "of 600 reference queries 0 did, or did not, find their label within 1: at least 10"),
    ],
)
def test_what_cannot_be_believed_is_refused(begin, case, said):
    live, _ = lists(12 if case == "few searches" else 400, 4)
    window = window_of(begin, live + (4.0 if case == "far" else 0.0), known=300 if case == "few queries" else 600)
    if case == "always right":
        window = replace(window, searches=replace(window.searches, places=np.ones(600, dtype=np.int64)))
    found = by_metric(window)["hit_at_1"]
    assert (found.value, found.interval) == (None, None)
    assert said in "; ".join(found.refusals)
