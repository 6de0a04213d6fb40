"""The area under the ROC curve from labels and predictions: against plain loops over pairs, and the refusals."""

from __future__ import annotations

import numpy as np
import pytest

from backstay.maths import classification
from backstay.maths.areas import shares
from backstay.maths.ppi_auc import _pairs, ppi_auc
from backstay.maths.ppi_metrics import Answered


def sample(n: int, seed: int, classes: int = 2, pool: int = 700, spread: float = 1.5):
    rng = np.random.default_rng(seed)
    logits = spread * rng.normal(size=(n + pool, classes))
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = (rng.random(n + pool)[:, None] > np.cumsum(chances, axis=1)).sum(axis=1).clip(0, classes - 1)
    rows = Answered(chances.argmax(axis=1), chances, chances)
    cut = [Answered(rows.answers[s], chances[s], chances[s]) for s in (slice(n), slice(n, None))]
    return truth[:n], *cut


def test_pairs_are_those_of_plain_loops() -> None:
    rng = np.random.default_rng(1)
    kind, scores = rng.random(25), rng.integers(0, 8, 25) / 8.0
    found = _pairs(kind, scores)

    def beats(i: int, j: int) -> float:
        return float(scores[i] > scores[j]) + 0.5 * float(scores[i] == scores[j])

    pairs = [(i, j) for i in range(25) for j in range(25) if i != j]
    assert found.won == pytest.approx(np.mean([kind[i] * (1 - kind[j]) * beats(i, j) for i, j in pairs]))
    assert found.there == pytest.approx(np.mean([kind[i] * (1 - kind[j]) for i, j in pairs]))
    for i in range(25):
        assert found.above[i] == pytest.approx(np.mean([(1 - kind[j]) * beats(i, j) for j in range(25)]))
        assert found.below[i] == pytest.approx(np.mean([kind[j] * beats(j, i) for j in range(25)]))


@pytest.mark.parametrize("classes", [2, 4])
def test_without_predictions_it_is_the_area_of_the_gate(classes: int) -> None:
    truth, labelled, pool = sample(160, classes, classes)
    found = ppi_auc(truth, Answered(labelled.answers, None, labelled.scores), pool, classes)
    assert found.value == pytest.approx(classification.auc(truth, labelled.scores))
    assert found.lam == 0.0
    powered = ppi_auc(truth, labelled, pool, classes)
    assert powered.low < powered.value < powered.high
    assert powered.high - powered.low < found.high - found.low


def test_its_error_without_predictions_is_that_of_delong() -> None:
    truth, labelled, _ = sample(200, 3)
    scores = labelled.scores[:, 1]
    own = _pairs((truth == 1).astype(float), scores)
    delong = shares(truth == 1, scores)
    adds = own.adds(own.won / own.there) / own.there
    assert np.var(adds) == pytest.approx(np.var(delong), rel=0.03)


def test_wrong_chances_do_not_bias() -> None:
    errors = []
    for seed in range(120):
        truth, labelled, pool = sample(100, seed, pool=400)
        upset = [
            Answered(r.answers, np.sqrt(r.scores) / np.sqrt(r.scores).sum(1)[:, None], r.scores)
            for r in (labelled, pool)
        ]
        errors.append(ppi_auc(truth, *upset, 2).value)
    truth, labelled, _ = sample(200_000, 1, pool=1)
    known = classification.auc(truth, labelled.scores)
    assert abs(np.mean(errors) - known) < 3 * np.std(errors) / np.sqrt(120) + 0.002


def test_perfect_order_is_not_certainty() -> None:
    scores = np.column_stack([1 - np.linspace(0, 1, 40), np.linspace(0, 1, 40)])
    truth = (np.arange(40) >= 20).astype(int)
    found = ppi_auc(truth, Answered(truth, None, scores), Answered(truth[:0], None, scores[:0]), 2)
    assert (found.value, found.high) == (1.0, 1.0)
    assert 0.8 < found.low < 0.9


def test_groups_of_copies_widen_it() -> None:
    truth, labelled, pool = sample(60, 5)
    many = Answered(*(np.repeat(values, 4, axis=0) for values in (labelled.answers, labelled.chances, labelled.scores)))
    groups = np.repeat(np.arange(60), 4)
    free, tied = (ppi_auc(np.repeat(truth, 4), many, pool, 2, g) for g in (None, groups))
    assert tied.high - tied.low > 1.5 * (free.high - free.low)


def test_what_few_labels_cannot_rank_is_refused() -> None:
    truth, labelled, pool = sample(60, 6)
    few = np.where(np.arange(60) < 8, 1, 0)
    assert "has 8 labelled rows to rank: at least 10" in ppi_auc(few, labelled, pool, 2).reasons[0]
    assert ppi_auc(truth, Answered(labelled.answers), pool, 2).reasons == ("the model gives no scores to rank by",)
    assert "12 classes" in ppi_auc(truth, labelled, pool, 12).reasons[0]
    three = sample(60, 6, classes=3)
    strange = np.where(np.arange(60) == 0, -1, three[0])
    assert "1 labels are of classes" in ppi_auc(strange, three[1], three[2], 3).reasons[0]
