from __future__ import annotations

import math

import numpy as np
import pytest
import sklearn.metrics as reference
from hypothesis import given, settings
from hypothesis import strategies as st

from backstay.maths import classification as c
from backstay.maths.intervals import clopper_pearson, mean_interval

POSITIONS = st.integers(-1, 3)


def pairs(draw_max: int = 40) -> st.SearchStrategy[list[tuple[int, int]]]:
    return st.lists(st.tuples(POSITIONS, POSITIONS), min_size=0, max_size=draw_max)


def loop_figures(rows: list[tuple[int, int]], classes: int) -> dict[str, float]:
    """The definitions, counted one row at a time."""
    occurring = sorted({t if t >= 0 else -1 for t, _ in rows})
    recall, precision, f1 = [], [], []
    for k in occurring:
        hit = sum(1 for t, p in rows if t == k and p == k and k >= 0)
        true, said = sum(1 for t, _ in rows if t == k), sum(1 for _, p in rows if p == k)
        recall.append(hit / true)
        f1.append(2 * hit / (true + said) if k >= 0 else 0.0)
        if k >= 0:
            precision.append(hit / said if said else 0.0)
    mean = {
        name: sum(values) / len(values) if values else math.nan
        for name, values in (("recall", recall), ("precision", precision), ("f1", f1))
    }
    mean["balanced"] = mean["recall"]
    mean["accuracy"] = sum(t == p and t >= 0 for t, p in rows) / len(rows) if rows else math.nan
    return mean


@given(pairs())
@settings(max_examples=300, deadline=None)
def test_figures_of_many_classes_equal_their_definitions(rows: list[tuple[int, int]]) -> None:
    labels, predicted = np.array([r[0] for r in rows], dtype=np.int64), np.array([r[1] for r in rows], dtype=np.int64)
    want = loop_figures(rows, 4)
    got = {
        "recall": c.recall(labels, predicted, 4),
        "precision": c.precision(labels, predicted, 4),
        "f1": c.f1(labels, predicted, 4),
        "balanced": c.balanced_accuracy(labels, predicted, 4),
        "accuracy": c.accuracy(labels, predicted),
    }
    for name, value in want.items():
        assert got[name] == pytest.approx(value, nan_ok=True), name


@pytest.mark.parametrize("seed", range(5))
def test_many_classes_agree_with_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, predicted = rng.integers(0, 4, 200), rng.integers(0, 5, 200)  # class 4 is answered and never occurs
    options = {"labels": [0, 1, 2, 3], "average": "macro", "zero_division": 0}
    assert c.precision(labels, predicted, 5) == pytest.approx(reference.precision_score(labels, predicted, **options))
    assert c.recall(labels, predicted, 5) == pytest.approx(reference.recall_score(labels, predicted, **options))
    assert c.f1(labels, predicted, 5) == pytest.approx(reference.f1_score(labels, predicted, **options))


@pytest.mark.parametrize("seed", range(5))
def test_two_classes_agree_with_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, predicted = rng.integers(0, 2, 80), rng.integers(0, 2, 80)
    assert c.precision(labels, predicted, 2) == pytest.approx(reference.precision_score(labels, predicted))
    assert c.recall(labels, predicted, 2) == pytest.approx(reference.recall_score(labels, predicted))
    assert c.f1(labels, predicted, 2) == pytest.approx(reference.f1_score(labels, predicted))
    assert c.balanced_accuracy(labels, predicted, 2) == pytest.approx(
        reference.balanced_accuracy_score(labels, predicted)
    )


def test_what_is_undefined_is_nan() -> None:
    none = np.zeros(0, dtype=np.int64)
    for classes in (2, 3):
        figures = [f(none, none, classes) for f in (c.precision, c.recall, c.f1, c.balanced_accuracy)]
        assert np.isnan(figures).all()
    assert math.isnan(c.accuracy(none, none))
    never = np.zeros(5, dtype=np.int64)
    assert math.isnan(c.precision(np.array([0, 1, 0, 1, 0]), never, 2))  # the positive class was never answered
    assert math.isnan(c.recall(never, np.array([0, 1, 0, 1, 0]), 2))  # and here it never occurs
    assert c.f1(np.array([0, 1, 0, 1, 0]), never, 2) == 0.0  # 2 right / (rows + answers) is defined: 0 of 2


def test_a_class_that_the_model_does_not_know_counts_against_it() -> None:
    labels, predicted = np.array([0, 0, 1, 1, -1, -1]), np.array([0, 0, 1, 1, 0, -1])
    assert c.accuracy(labels, predicted) == pytest.approx(4 / 6)
    assert c.balanced_accuracy(labels, predicted, 3) == pytest.approx(2 / 3)


@pytest.mark.parametrize("decimals", [1, 2, 9])
def test_auc_with_ties_agrees_with_scikit_learn(decimals: int) -> None:
    rng = np.random.default_rng(decimals)
    labels = rng.integers(0, 2, 300)
    score = np.round(np.clip(rng.normal(0.4 + 0.2 * labels, 0.2), 0, 1), decimals)
    assert c.auc(labels, np.column_stack([1 - score, score])) == pytest.approx(reference.roc_auc_score(labels, score))
    many = rng.integers(0, 4, 300)
    scores = rng.dirichlet(np.ones(4), 300)
    assert c.auc(many, scores) == pytest.approx(reference.roc_auc_score(many, scores, multi_class="ovr"))


def test_auc_is_nan_for_one_class_and_for_scores_that_are_not_numbers() -> None:
    scores = np.column_stack([np.linspace(1, 0, 6), np.linspace(0, 1, 6)])
    assert math.isnan(c.auc(np.zeros(6, dtype=np.int64), scores))
    assert math.isnan(c.auc(np.ones(6, dtype=np.int64), scores))
    assert math.isnan(c.auc(np.zeros(0, dtype=np.int64), scores[:0]))
    spoilt = np.random.default_rng(0).dirichlet(np.ones(3), 6)
    spoilt[2, 1] = np.nan
    assert math.isnan(c.auc(np.array([0, 1, 2, 0, 1, 2]), spoilt))


def test_auc_leaves_out_classes_without_rows() -> None:
    rng = np.random.default_rng(1)
    labels, scores = rng.integers(0, 2, 60), rng.dirichlet(np.ones(3), 60)
    want = np.mean([reference.roc_auc_score(labels == k, scores[:, k]) for k in (0, 1)])
    assert c.auc(labels, scores) == pytest.approx(want)


def test_log_losses_agree_with_scikit_learn() -> None:
    rng = np.random.default_rng(2)
    labels, scores = rng.integers(0, 3, 100), rng.dirichlet(np.ones(3), 100)
    assert c.log_losses(labels, scores).mean() == pytest.approx(reference.log_loss(labels, scores, labels=[0, 1, 2]))


@pytest.mark.parametrize("row", [[1.0, 1.0, 1.0], [3.0, -1.0, -1.0], [np.nan, 0.5, 0.5], [np.inf, 0.0, 0.0], [0.2] * 3])
def test_scores_that_are_no_probabilities_have_no_log_loss(row: list[float]) -> None:
    losses = c.log_losses(np.array([0, 0]), np.array([row, [0.5, 0.25, 0.25]]))
    assert math.isnan(losses[0])
    assert losses[1] == pytest.approx(math.log(2))


def test_rounding_is_forgiven() -> None:
    scores = np.array([[1.0 + 1e-7, 0.0, 0.0], [0.33, 0.33, 0.33]])
    assert c.proper(scores).all()
    assert c.confidence(np.array([0, 1]), scores).tolist() == [1.0, 0.33]


def test_confidence_is_that_of_the_answer_even_where_it_is_not_the_highest() -> None:
    scores = np.array([[0.7, 0.3], [0.2, 0.8], [0.6, 0.4]])
    assert c.confidence(np.array([1, 1, -1]), scores).tolist() == [0.3, 0.8, 0.6]


def test_an_unknown_class_loses_all() -> None:
    assert c.log_losses(np.array([-1]), np.array([[0.5, 0.5]]))[0] == pytest.approx(-math.log(1e-15))


def test_class_mean_bounds_of_one_class_are_exact() -> None:
    hits = np.array([1.0] * 18 + [0.0] * 2)
    got = c.class_mean_bounds(hits, np.zeros(20, dtype=np.int64), None, 1)
    assert got == pytest.approx(clopper_pearson(18, 20))


def test_class_mean_bounds_cover() -> None:
    rng = np.random.default_rng(3)
    truth = np.array([0.95, 0.8, 0.6])
    strata = np.repeat([0, 1, 2], [15, 60, 25])
    covered = 0
    for _ in range(400):
        low, high = c.class_mean_bounds((rng.random(100) < truth[strata]).astype(float), strata, None, 3) or (1, 0)
        covered += low <= truth.mean() <= high
    assert covered / 400 >= 0.94


def test_class_mean_bounds_cover_when_groups_bring_several_classes() -> None:
    rng = np.random.default_rng(4)
    strata, groups = np.tile([0, 1, 2], 60), np.repeat(np.arange(30), 6)
    covered = naive = 0
    for _ in range(300):
        skill = rng.beta(4, 1, 30)[groups]  # mean 0.8, shared by all rows of a group
        hits = (rng.random(180) < skill).astype(float)
        low, high = c.class_mean_bounds(hits, strata, groups, 3) or (1, 0)
        covered += low <= 0.8 <= high
        low, high = c.class_mean_bounds(hits, strata, None, 3) or (1, 0)
        naive += low <= 0.8 <= high
    assert covered / 300 >= 0.93
    assert naive < covered


def test_class_mean_bounds_see_what_groups_share_across_classes() -> None:
    """Each group is right or wrong in all classes at once: as many independent rows as groups, on either side."""
    right = (np.random.default_rng(5).random(60) < 0.7).astype(float)
    hits, groups, strata = np.repeat(right, 4), np.repeat(np.arange(60), 4), np.tile(np.arange(4), 60)
    low, high = c.class_mean_bounds(hits, strata, groups, 4) or (1, 0)
    want = mean_interval(right)
    assert low <= want.low + 0.001
    assert high >= want.high - 0.001


def test_class_mean_bounds_are_unknown_for_one_group_or_none() -> None:
    assert c.class_mean_bounds(np.ones(5), np.zeros(5, dtype=np.int64), np.zeros(5), 1) is None
    assert c.class_mean_bounds(np.ones(0), np.zeros(0, dtype=np.int64), None, 1) is None
