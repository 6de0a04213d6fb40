"""Figures of sets of labels against scikit-learn and plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from backstay.evaluate.metrics.sets import SET_METRICS
from backstay.evaluate.set_controls import most_frequent_set, raw_knn_sets
from backstay.evaluate.sets import SetCase, compare_sets, measure_sets
from backstay.kernel.errors import BackstayError


def cases(seed: int, n: int = 40, k: int = 3, levels: int = 10) -> SetCase:
    rng = np.random.default_rng(seed)
    truth = rng.random((n, k)) < rng.uniform(0.2, 0.7, k)
    scores = np.round(np.clip(0.3 * truth + rng.random((n, k)) * 0.7, 0, 1) * levels) / levels
    return SetCase(truth, scores >= 0.5, scores, None)


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from([3, 10, 1000]))
def test_figures_are_those_of_scikit_learn(seed: int, levels: int) -> None:
    case = cases(seed, levels=levels)
    found = {m.metric: m.value for m in measure_sets(case, data_id="d", slices={}, metrics=tuple(SET_METRICS))}
    t, p = case.truth, case.predicted
    seen = (t | p).any(axis=0)
    assert found["micro_f1"] == pytest.approx(oracle.f1_score(t, p, average="micro"))
    assert found["macro_f1"] == pytest.approx(oracle.f1_score(t[:, seen], p[:, seen], average="macro"))
    assert found["subset_accuracy"] == pytest.approx(oracle.accuracy_score(t, p))
    assert found["hamming_loss"] == pytest.approx(oracle.hamming_loss(t, p))
    assert found["jaccard"] == pytest.approx(oracle.jaccard_score(t, p, average="samples", zero_division=1.0))
    there = t.any(axis=0)
    each = oracle.average_precision_score(t[:, there], case.scores[:, there], average="macro")
    assert found["mean_average_precision"] == pytest.approx(each)


@given(st.integers(0, 10_000))
def test_a_weight_is_so_many_copies_of_the_row(seed: int) -> None:
    case = cases(seed, n=15)
    weights = np.random.default_rng(seed).integers(0, 3, 15)
    weights[0] = 1
    copied = case.take(np.repeat(np.arange(15), weights))
    for name in SET_METRICS:
        once = SET_METRICS[name](copied, np.ones(len(copied)))
        assert SET_METRICS[name](case, weights.astype(float)) == pytest.approx(once, nan_ok=True)


def test_intervals_hold_the_value_and_widen_with_groups() -> None:
    case = cases(0, n=120)
    # Each row five times over: no more is known of them than of one.
    grouped = case.take(np.repeat(np.arange(120), 5))
    grouped = SetCase(grouped.truth, grouped.predicted, grouped.scores, np.repeat(np.arange(120), 5))
    alone, copied = ({m.metric: m.interval for m in measure_sets(c, data_id="d", slices={})} for c in (case, grouped))
    for name, interval in alone.items():
        assert interval is not None
        other = copied[name]
        assert other is not None
        assert other.high - other.low == pytest.approx(interval.high - interval.low, rel=0.35)


def test_a_perfect_model_is_not_sure_of_itself_on_few_rows() -> None:
    truth = np.eye(3, dtype=bool)[np.arange(12) % 3]
    found = measure_sets(SetCase(truth, truth, truth.astype(float), None), data_id="d", slices={})
    for m in found:
        assert m.interval is not None
        assert m.interval.high - m.interval.low > 0.2


def test_one_group_has_no_interval() -> None:
    case = cases(0)
    lone = SetCase(case.truth, case.predicted, case.scores, np.zeros(len(case), dtype=np.int64))
    assert all(m.interval is None for m in measure_sets(lone, data_id="d", slices={}))


@given(st.integers(0, 10_000))
def test_differences_are_those_of_the_figures_and_positive_is_better(seed: int) -> None:
    ours = cases(seed)
    theirs = SetCase(ours.truth, cases(seed + 1).predicted, None, None)
    for c in compare_sets(ours, theirs, against="other", data_id="d", slices={}):
        sign = -1.0 if c.metric == "hamming_loss" else 1.0
        mine, others = (SET_METRICS[c.metric](case, np.ones(40)) for case in (ours, theirs))
        assert c.difference == pytest.approx(sign * (mine - others))
        assert c.one_sided_low < c.difference


def test_the_error_of_a_difference_in_micro_f1_is_that_of_the_bootstrap() -> None:
    ours, theirs = cases(1, n=400), cases(1, n=400, levels=2)
    c = next(c for c in compare_sets(ours, theirs, against="o", data_id="d", slices={}) if c.metric == "micro_f1")
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(800):
        weights = np.bincount(rng.integers(0, 400, 400), minlength=400).astype(float)
        drawn.append(SET_METRICS["micro_f1"](ours, weights) - SET_METRICS["micro_f1"](theirs, weights))
    assert c.interval is not None
    assert (c.interval.high - c.interval.low) / 3.92 == pytest.approx(float(np.std(drawn)), rel=0.12)


def test_slices_and_other_rows() -> None:
    case = cases(0)
    slices = {"site": np.array(["a", "b"] * 20, dtype=object)}
    parts = {m.slice for m in measure_sets(case, data_id="d", slices=slices)}
    assert parts == {"", "site=a", "site=b"}
    assert {c.slice for c in compare_sets(case, case, against="o", data_id="d", slices=slices)} == parts
    with pytest.raises(BackstayError, match="same rows"):
        compare_sets(case, cases(5), against="o", data_id="d", slices={})


def test_rows_without_any_label_have_no_f1_and_no_warning() -> None:
    none = np.zeros((5, 2), dtype=bool)
    case = SetCase(none, none, None, None)
    found = {m.metric: m.value for m in measure_sets(case, data_id="d", slices={})}
    assert np.isnan(found["micro_f1"])
    assert np.isnan(found["mean_average_precision"])
    assert found["jaccard"] == found["subset_accuracy"] == 1.0
    assert [
        c.metric for c in compare_sets(case, case, against="o", data_id="d", slices={}) if np.isnan(c.difference)
    ] == ["micro_f1"]


def test_controls_against_plain_loops() -> None:
    rng = np.random.default_rng(0)
    known = rng.random((30, 2)) < 0.4
    texts = [tuple(row) for row in known.tolist()]
    commonest = most_frequent_set(known, 4)
    assert texts.count(tuple(commonest[0].tolist())) == max(texts.count(t) for t in texts)
    assert (commonest == commonest[0]).all()
    gallery, queries = rng.normal(size=(30, 3)).astype(np.float32), rng.normal(size=(6, 3)).astype(np.float32)
    shares = raw_knn_sets(gallery, known, queries, k=4)
    for query, share in zip(queries, shares, strict=True):
        near = np.argsort(np.linalg.norm(gallery - query, axis=1))[:4]
        np.testing.assert_allclose(share, known[near].mean(axis=0))
    alone = raw_knn_sets(gallery, known, gallery, k=4, leave_out=np.zeros(30, dtype=np.int64))
    np.testing.assert_allclose(alone, np.repeat(known.mean(axis=0)[None], 30, axis=0))
