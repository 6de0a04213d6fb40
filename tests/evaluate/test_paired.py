from __future__ import annotations

import math

import numpy as np
import pytest

from backstay.evaluate.case import Case
from backstay.evaluate.paired import compare
from backstay.kernel.errors import BackstayError

CLASSES = ("a", "b", "c")


def scored(labels: np.ndarray, right: np.ndarray, classes: tuple[str, ...] = CLASSES, groups: object = None) -> Case:
    predicted = np.where(right, labels, (labels + 1) % len(classes))
    scores = np.full((len(labels), len(classes)), 0.2)
    scores[np.arange(len(labels)), predicted] = 1 - 0.2 * (len(classes) - 1)
    return Case(labels, predicted, scores, None, groups, classes)  # type: ignore[arg-type] # codes or None


def rows(n: int = 300) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 3, n)


def test_the_difference_is_that_of_the_means_and_swaps_its_sign() -> None:
    labels, rng = rows(), np.random.default_rng(1)
    good, bad = scored(labels, rng.random(300) < 0.9), scored(labels, rng.random(300) < 0.7)
    ahead = compare(good, bad, against="model-1", data_id="d", slices={})
    behind = compare(bad, good, against="model-2", data_id="d", slices={})
    assert [c.metric for c in ahead] == ["accuracy", "log_loss"]
    want = (good.labels == good.predicted).mean() - (bad.labels == bad.predicted).mean()
    assert ahead[0].difference == pytest.approx(want)
    for forth, back in zip(ahead, behind, strict=True):
        assert forth.difference == pytest.approx(-back.difference)
        assert forth.difference > 0
        assert forth.p_better == pytest.approx(back.p_worse)
        assert forth.p_better < 0.001 < forth.p_worse
        assert forth.interval is not None
        assert forth.interval.low <= forth.difference <= forth.interval.high
        assert forth.n == 300


def test_a_class_that_only_the_challenger_knows_is_an_error_of_the_baseline() -> None:
    labels = rows()
    challenger = scored(labels, np.ones(300, dtype=bool))
    known = np.where(labels == 2, -1, labels)
    baseline = Case(known, np.minimum(labels, 1), None, None, None, ("a", "b"))
    found = compare(challenger, baseline, against="m", data_id="d", slices={})
    assert [c.metric for c in found] == ["accuracy"]
    assert found[0].difference == pytest.approx((labels == 2).mean())


def test_classes_in_another_order_are_the_same_rows() -> None:
    labels = rows()
    challenger = scored(labels, np.ones(300, dtype=bool))
    turned = scored(2 - labels, np.ones(300, dtype=bool), ("c", "b", "a"))
    assert compare(challenger, turned, against="m", data_id="d", slices={})[0].difference == 0.0


def test_other_rows_are_refused() -> None:
    labels = rows()
    right = np.ones(300, dtype=bool)
    with pytest.raises(BackstayError, match="same rows"):
        compare(scored(labels, right), scored(labels[:-1], right[:-1]), against="m", data_id="d", slices={})
    with pytest.raises(BackstayError, match="same rows"):
        compare(scored(labels, right), scored(labels[::-1], right), against="m", data_id="d", slices={})


def test_a_score_that_is_no_number_makes_the_comparison_nan() -> None:
    labels = rows()
    challenger, baseline = scored(labels, np.ones(300, dtype=bool)), scored(labels, np.ones(300, dtype=bool))
    assert challenger.scores is not None
    challenger.scores[0] = np.nan
    site = np.array(["x", "y"] * 150)
    compared = compare(challenger, baseline, against="m", data_id="d", slices={"s": site})
    found = {(c.metric, c.slice): c for c in compared}
    assert math.isnan(found["log_loss", ""].one_sided_low)
    assert math.isnan(found["log_loss", "s=x"].p_better)
    assert found["log_loss", "s=x"].interval is None
    assert found["log_loss", "s=y"].difference == 0.0
    assert found["accuracy", ""].difference == 0.0


def test_a_challenger_gains_nothing_by_scores_that_add_up_to_more_than_one() -> None:
    labels = rows()
    honest = scored(labels, np.random.default_rng(3).random(300) < 0.9)
    boast = Case(labels, honest.predicted, np.ones((300, 3)), None, None, CLASSES)
    assert math.isnan(compare(boast, honest, against="m", data_id="d", slices={})[1].difference)


def test_slices_find_what_the_whole_hides_and_thin_ones_are_nan() -> None:
    labels, rng = rows(400), np.random.default_rng(2)
    site = np.array(["north"] * 340 + ["south"] * 59 + ["lone"], dtype=object)
    north = site == "north"
    challenger = scored(labels, np.where(north, rng.random(400) < 0.97, rng.random(400) < 0.5))
    baseline = scored(labels, np.where(north, rng.random(400) < 0.80, rng.random(400) < 0.9))
    found = {
        c.slice: c
        for c in compare(challenger, baseline, against="m", data_id="d", slices={"site": site})
        if c.metric == "accuracy"
    }
    assert found[""].difference > 0
    assert found["site=south"].difference < 0
    assert found["site=south"].p_worse < 0.001
    assert found["site=south"].n == 59
    assert math.isnan(found["site=lone"].difference)
    assert found["site=lone"].n == 1


def test_dependent_rows_make_the_comparison_less_sure() -> None:
    labels, rng = rows(60), np.random.default_rng(4)
    ours, theirs = rng.random(60) < 0.9, rng.random(60) < 0.8
    five = np.repeat(np.arange(60), 5)
    naive = compare(
        scored(labels[five], ours[five]), scored(labels[five], theirs[five]), against="m", data_id="d", slices={}
    )
    aware = compare(
        scored(labels[five], ours[five], groups=five),
        scored(labels[five], theirs[five], groups=five),
        against="m",
        data_id="d",
        slices={},
    )
    for plain, robust in zip(naive, aware, strict=True):
        assert plain.interval is not None
        assert robust.interval is not None
        assert robust.interval.high - robust.interval.low > 1.5 * (plain.interval.high - plain.interval.low)
