"""What labels say of windows longer than a month: numbers, interval and span are of the same labels."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

import backstay
from backstay.maths.intervals import bernoulli_sequence
from backstay.monitor.condition import labels_sentence
from backstay.monitor.estimate import from_labels
from backstay.monitor.memory import ChancePool, LabelPoint, Memory

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)


def year_of_answers(rows: int, seed: int, days: float, *, turned: bool = False) -> pd.DataFrame:
    """Nine in ten answers are right at first; `turned`: wrong ones come in the first half, so old labels matter."""
    rng = np.random.default_rng(seed)
    score = rng.random(rows)
    answer = (score > 0.5).astype(int)
    right = np.arange(rows) >= rows // 2 if turned else rng.random(rows) < 0.9
    at = [BEGIN + timedelta(days=days) * (i + 0.5) / rows for i in range(rows)]
    return pd.DataFrame({"x": score, "answer": answer, "truth": np.where(right, answer, 1 - answer), "at": at})


@pytest.mark.parametrize("days", [50, 365])
@pytest.mark.parametrize("scores", [{}, {"score": "x", "positive": "1"}])
def test_all_labels_of_a_long_window_count(days, scores) -> None:
    reference, traffic = year_of_answers(1500, 0, days), year_of_answers(300, 1, days, turned=True)
    seen = backstay.watch(
        traffic, reference=reference, prediction="answer", label="truth", time="at", detectors=["columns"], **scores
    )
    labelled = next(e for e in seen.estimates if e.kind in ("ppi", "labels"))
    assert (labelled.labels, labelled.figures["right"]) == (300, 150)
    assert f"Of 300 labelled in the last {days - 1 if days == 365 else days} days 150 were right" in seen.headline
    assert labelled.interval.low < 0.5 < labelled.interval.high
    assert labelled.figures["anytime_low"] <= labelled.interval.low < labelled.interval.high
    assert labelled.interval.high <= labelled.figures["anytime_high"]
    assert sum(part["labels"] for part in seen.latest.figures["labels_counted"]) == 300
    if not scores:
        known = bernoulli_sequence(150.0, 300)
        assert (labelled.figures["anytime_low"], labelled.figures["anytime_high"]) == (known.low, known.high)


def test_the_span_told_holds_no_label_that_was_left_out() -> None:
    """Five weeks of a few labels each: those of the oldest week that is told of count, the first days of it too."""
    memory, week = Memory.start("r", BEGIN), timedelta(days=7)
    given: list[datetime] = []
    for number in range(9):
        start, end = BEGIN + number * week, BEGIN + (number + 1) * week
        points = tuple(LabelPoint(f"{number}-{i}", start + week * i / 4, True, None) for i in range(4))
        given += [point.at for point in points]
        memory = memory.with_labels(points, end, start=start).with_pool(ChancePool(start, end, 100, ()))
        found = from_labels(memory, None)
        since = datetime.fromisoformat(found.figures["from"])
        assert found.labels == sum(since <= at < end for at in given)
        assert labels_sentence(found).startswith(
            f"Of {found.labels} labelled in the last {found.figures['days']:.0f} days {found.labels} were right"
        )
    assert found.figures["days"] == 35.0


def test_labels_that_wait_go_back_to_the_start_of_their_long_window() -> None:
    """Of windows of fifty days whose labels wait for sixty the newest that counts speaks with all of its labels."""
    memory, long, wait = Memory.start("r", BEGIN), timedelta(days=50), timedelta(days=60)
    for number in range(4):
        start, end = BEGIN + number * long, BEGIN + (number + 1) * long
        ripe = [pool for pool in memory.pools if pool.end <= end - wait][-1:]
        points = tuple(
            LabelPoint(f"{pool.start}-{i}", pool.start + i * timedelta(days=1), True, None)
            for pool in ripe
            for i in range(50)
        )
        memory = memory.with_labels(points, end, wait, start).with_pool(ChancePool(start, end, 100, ()), wait)
        of = [sum(pool.start <= point.at < pool.end for point in memory.labels) for pool in ripe]
        assert of == [50] * len(ripe)


def test_rows_from_before_the_first_window_stretch_the_span() -> None:
    memory = Memory.start("r", BEGIN).with_labels(
        (LabelPoint("early", BEGIN - timedelta(days=13), True, None),), BEGIN + timedelta(days=7), start=BEGIN
    )
    memory = memory.with_pool(ChancePool(BEGIN, BEGIN + timedelta(days=7), 50, ()))
    assert from_labels(memory, None).figures["days"] == 20.0
