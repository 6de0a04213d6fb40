"""None of these: right for classes that a model does not know, and never a way to gain by knowing less."""

from __future__ import annotations

import numpy as np
import pytest

from backstay.evaluate.case import Case
from backstay.evaluate.metrics import METRICS
from backstay.evaluate.paired import compare
from backstay.evaluate.runner import measure

TRUTH = np.array([0, 0, 1, 1, 2, -1, -1, -1, -2])
SAID = np.array([0, -1, 1, 0, 2, -1, -1, 1, -1])


def case(*, declines: bool, labels=TRUTH, predicted=SAID, classes=("a", "b", "c")) -> Case:
    rng = np.random.default_rng(0)
    far = rng.random(len(labels)) + (labels == -1)
    scores = rng.dirichlet(np.ones(len(classes)), len(labels))
    return Case(labels, predicted, scores, None, None, classes, declines=declines, distances=far)


def test_none_is_right_for_unknown_classes_only_and_only_of_a_model_that_may_say_it():
    assert case(declines=True).right.tolist() == [1, 0, 1, 0, 1, 1, 1, 0, 0]
    assert case(declines=False).right.tolist() == [1, 0, 1, 0, 1, 0, 0, 0, 0]


def test_unknown_rows_count_as_one_class_more():
    rows = TRUTH > -2
    found = case(declines=True).take(rows)
    wanted = np.mean([1 / 2, 1 / 2, 1, 2 / 3])
    for name in ("balanced_accuracy", "recall"):
        assert METRICS[name](found).value == pytest.approx(wanted)
    assert METRICS["balanced_accuracy"](case(declines=False).take(rows)).value == pytest.approx(2 / 4)
    f1 = np.mean([2 * 1 / (2 + 2), 2 * 1 / (2 + 2), 1, 2 * 2 / (3 + 3)])
    assert METRICS["f1"](found).value == pytest.approx(f1)


def test_what_is_called_none_and_what_is_told_from_the_known():
    found = {m.metric: m for m in measure(case(declines=True), data_id="d", slices={})}
    assert (found["called_none"].value, found["called_none"].n) == (pytest.approx(1 / 5), 5)
    assert (found["unknown_recall"].value, found["unknown_recall"].n) == (pytest.approx(2 / 3), 3)
    asked = case(declines=True)
    known, unknown = asked.distances[TRUTH >= 0], asked.distances[TRUTH == -1]
    wanted = np.mean([(u > k) + 0.5 * (u == k) for u in unknown for k in known])
    assert found["unknown_auc"].value == pytest.approx(wanted)
    assert found["called_none"].interval.method == "Clopper-Pearson"
    # Rows of unknown classes are what two of them are made of, and answers of none are no confidence of anything.
    without = {m.metric for m in measure(case(declines=True).take(TRUTH >= 0), data_id="d", slices={})}
    assert "called_none" in without
    assert not without & {"unknown_recall", "unknown_auc"}
    assert not {m.metric for m in measure(case(declines=False), data_id="d", slices={})} & {"called_none"}


def test_a_model_gains_nothing_by_knowing_less():
    rng = np.random.default_rng(1)
    names = rng.integers(0, 3, 300)
    knows = case(declines=True, labels=names, predicted=np.where(rng.random(300) < 0.9, names, 0))
    # Dropped class 2 and says none of its rows: right by its own lights, an error beside one that knows the class.
    fewer = np.where(names == 2, -1, names)
    drops = case(declines=True, labels=fewer, predicted=fewer, classes=("a", "b"))
    assert METRICS["accuracy"](drops).value == 1.0
    overall = compare(drops, knows, against="m", data_id="d", slices={})[0]
    assert overall.difference == pytest.approx(np.mean(names != 2) - np.mean(knows.right))
    back = compare(knows, drops, against="m", data_id="d", slices={})[0]
    assert back.difference == pytest.approx(-overall.difference)


def test_calibration_leaves_declined_rows_out():
    rng = np.random.default_rng(2)
    scores = rng.dirichlet(np.ones(3), 200)
    predicted = scores.argmax(1)
    labels = np.where(rng.random(200) < 0.7, predicted, (predicted + 1) % 3)
    answered = Case(labels, predicted, scores, None, None, ("a", "b", "c"))
    said = predicted.copy()
    said[:40] = -1
    declined = Case(labels, said, scores, None, None, ("a", "b", "c"), declines=True)
    measured = METRICS["calibration_error"](declined)
    assert measured.n == 160
    assert measured.value == METRICS["calibration_error"](answered.take(np.arange(40, 200))).value
