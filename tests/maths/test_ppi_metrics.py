"""F1, precision, recall and the confusion from labels: the figures of the gate, their limits, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from backstay.maths import classification
from backstay.maths.intervals import clopper_pearson
from backstay.maths.ppi_metrics import (
    COUNTED,
    Answered,
    confusion_sequence,
    metric_sequence,
    ppi_confusion,
    ppi_metric,
)


def sample(n: int, classes: int, seed: int, pool: int = 700):
    rng = np.random.default_rng(seed)
    logits = 1.5 * rng.normal(size=(n + pool, classes))
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = (rng.random(n + pool)[:, None] > np.cumsum(chances, axis=1)).sum(axis=1).clip(0, classes - 1)
    answers = chances.argmax(axis=1)
    return truth[:n], Answered(answers[:n], chances[:n]), Answered(answers[n:], chances[n:])


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("name", COUNTED)
def test_without_predictions_it_is_the_figure_of_the_gate(name: str, classes: int) -> None:
    truth, labelled, pool = sample(150, classes, classes)
    found = ppi_metric(name, truth, Answered(labelled.answers), pool, classes)
    assert found.value == pytest.approx(getattr(classification, name)(truth, labelled.answers, classes))
    assert found.low < found.value < found.high
    assert found.lam == 0.0
    powered = ppi_metric(name, truth, labelled, pool, classes)
    assert powered.lam > 0.0
    assert powered.high - powered.low < 1.03 * (found.high - found.low)


def test_of_two_classes_the_limits_are_exact() -> None:
    truth, labelled, pool = sample(120, 2, 9)
    both = int(np.sum((truth == 1) & (labelled.answers == 1)))
    either = int(np.sum((truth == 1) | (labelled.answers == 1)))
    low, high = clopper_pearson(both, either)
    found = ppi_metric("f1", truth, Answered(labelled.answers), pool, 2)
    assert (found.low, found.high) == pytest.approx((2 * low / (1 + low), 2 * high / (1 + high)))


def test_entries_are_shares_of_all_rows() -> None:
    truth, labelled, pool = sample(200, 3, 4)
    found = ppi_confusion(truth, Answered(labelled.answers), pool, 3)
    counts = np.bincount(truth * 3 + labelled.answers, minlength=9).reshape(3, 3)
    assert found.value == pytest.approx(counts / 200)
    powered = ppi_confusion(truth, labelled, pool, 3)
    assert np.mean(powered.high - powered.low) < 0.9 * np.mean(found.high - found.low)
    always = confusion_sequence(truth, labelled.answers, 3)
    assert np.all(always[0] <= found.low)
    assert np.all(always[1] >= found.high)
    assert ppi_confusion(truth, labelled, pool, 11) is None


@pytest.mark.parametrize(
    ("name", "classes", "truth", "answers", "said"),
    [
        ("recall", 2, [0] * 36 + [1] * 4, [0, 1] * 20, "has 4 labelled rows that tell its recall: at least 5"),
        ("precision", 2, [0, 1] * 20, [0] * 37 + [1] * 3, "has 3 labelled rows that tell its precision"),
        ("f1", 3, [0, 1] * 20, [0, 1] * 10 + [2] * 20, "has 0 labelled rows"),
        ("f1", 3, [0, 1, 2, -1] * 10, [0, 1, 2, 2] * 10, "10 labels are of classes that the model does not know"),
        ("f1", 12, [0] * 40, [0] * 40, "12 classes"),
    ],
)
def test_what_few_labels_cannot_tell_is_refused(name, classes, truth, answers, said) -> None:
    rows = Answered(np.array(answers))
    found = ppi_metric(name, np.array(truth), rows, rows, classes)
    assert (found.value, found.low) == (None, None)
    assert said in found.reasons[0]
    assert metric_sequence(name, np.array(truth), rows.answers, classes) is None


def test_an_unknown_class_is_a_mistake_where_there_are_two() -> None:
    truth, answers = np.array([1] * 10 + [-1] * 5 + [0] * 15), np.array([1] * 15 + [0] * 15)
    found = ppi_metric("precision", truth, Answered(answers), Answered(answers), 2)
    assert found.value == pytest.approx(classification.precision(truth, answers, 2)) == pytest.approx(10 / 15)


@pytest.mark.parametrize(("name", "classes"), [("f1", 2), ("recall", 2), ("f1", 3)])
def test_limits_at_every_look_hold_at_every_look(name: str, classes: int) -> None:
    truth, labelled, _ = sample(400_000, classes, 1, pool=1)
    known = getattr(classification, name)(truth, labelled.answers, classes)
    missed = peeked = 0
    runs = 80
    for run in range(runs):
        now = slice(run * 200, run * 200 + 200)
        y, answers = truth[now], labelled.answers[now]
        looks = [metric_sequence(name, y[:k], answers[:k], classes) for k in range(20, 201, 20)]
        missed += any(look is not None and not look.low <= known <= look.high for look in looks)
        once = [
            ppi_metric(name, y[:k], Answered(answers[:k]), Answered(answers[:1]), classes) for k in range(20, 201, 20)
        ]
        peeked += any(e.value is not None and not e.low <= known <= e.high for e in once)
    assert missed <= binom.ppf(0.999, runs, 0.05)
    assert peeked > missed
