from __future__ import annotations

import numpy as np
import pytest

from backstay.kernel.errors import BackstayError
from backstay.maths.labelfree_metrics import MOST_CLASSES, ClassChances, Scored, estimate_metrics


def sample(n: int, classes: int, rng: np.random.Generator, shift: float = 0.0) -> tuple[Scored, np.ndarray]:
    x = rng.normal(size=(n, 4))
    x[:, 0] += shift
    logits = x[:, np.arange(classes) % 4] * 1.5
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = (rng.random(n)[:, None] > np.cumsum(scores, axis=1)).sum(axis=1)
    return Scored(scores, x), np.minimum(truth, classes - 1)


def estimate(rng: np.random.Generator, classes: int = 2, shift: float = 0.0, **changed: object):
    known, truth = sample(900, classes, rng)
    live, _ = sample(400, classes, rng, shift)
    args = {"names": ("accuracy", "f1", "auc"), "draws": 25, **changed}
    return estimate_metrics(known, truth, live, live.scores.argmax(1), rng=rng, **args), live


def test_entries_add_up_and_the_diagonal_is_the_accuracy():
    found, live = estimate(np.random.default_rng(1), 3)
    assert found.confusion is not None
    assert np.isclose(found.confusion.sum(), 1.0)
    shares = np.bincount(live.scores.argmax(1), minlength=3) / 400
    assert np.allclose(found.confusion.sum(axis=0), shares)
    assert abs(np.trace(found.confusion) - found.metrics["accuracy"].value) < 0.01
    assert np.all(found.confusion_low <= found.confusion)
    assert np.all(found.confusion <= found.confusion_high)


def test_true_chances_give_the_metrics_of_the_chances():
    """Where scores are calibrated, expected F1 is that of the scores: an oracle by direct summation."""
    found, live = estimate(np.random.default_rng(2))
    p, answers = live.scores[:, 1], live.scores.argmax(1)
    f1 = 2 * p[answers == 1].sum() / (p.sum() + (answers == 1).sum())
    pairs = (p[:, None] * (1 - p)[None, :]) * (p[:, None] > p[None, :])
    assert abs(found.metrics["f1"].value - f1) < 0.03
    assert abs(found.metrics["auc"].value - pairs.sum() / (p.sum() * (1 - p).sum())) < 0.03


def test_the_same_seed_gives_the_same_figures():
    one, two = (estimate(np.random.default_rng(3))[0] for _ in range(2))
    assert one.metrics == two.metrics


def test_it_refuses_far_inputs_rare_classes_and_too_many():
    assert "reference" in estimate(np.random.default_rng(4), shift=6.0)[0].reasons[0]
    found, _ = estimate(np.random.default_rng(5), classes=MOST_CLASSES + 1)
    assert any("at most 10" in reason for reason in found.reasons)
    assert found.metrics == {}
    rng = np.random.default_rng(6)
    known, _ = sample(900, 2, rng)
    rare = np.zeros(900, dtype=np.int64)
    rare[:4] = 1
    refused = estimate_metrics(known, rare, known, known.scores.argmax(1), ("f1",), rng=rng, draws=5)
    assert refused.reasons == ("a class has 4 labelled reference rows: at least 10 are needed",)


def test_groups_of_like_rows_make_intervals_wider():
    rng = np.random.default_rng(7)
    known, truth = sample(900, 2, rng)
    live, _ = sample(400, 2, rng)
    alike = np.argsort(np.argsort(live.scores[:, 1])) // 40
    widths = []
    for groups in (None, alike):
        rows = Scored(live.scores, live.inputs, groups)
        found = estimate_metrics(
            known, truth, rows, live.scores.argmax(1), ("recall",), rng=np.random.default_rng(8), draws=40
        )
        low, high = found.metrics["recall"].bounds
        widths.append(high - low)
    assert widths[1] > 1.3 * widths[0]


def test_an_unknown_metric_is_an_error_that_names_those_that_are():
    with pytest.raises(BackstayError, match="log_loss"):
        estimate(np.random.default_rng(1), names=("log_loss",))


def test_chances_add_up_where_steep_maps_call_every_class_impossible():
    """Scores that differ by little and tell classes apart make steep maps; scores of nought lie far below all."""
    truth = np.random.default_rng(1).integers(0, 3, 6000)
    scores = np.full((6000, 3), 1 / 3)
    scores[np.arange(6000), truth] += 1e-3
    found = ClassChances.fit(scores, truth).of(np.zeros((2, 3)))
    assert found.sum(axis=1).tolist() == pytest.approx([1.0, 1.0])
