from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np
import pytest

from backstay.evaluate import runner
from backstay.evaluate.case import Case
from backstay.evaluate.metrics import Figure
from backstay.evaluate.runner import USUAL, measure
from backstay.kernel.errors import BackstayError, NotFound
from backstay.kernel.records import Measurement


def made(n: int, classes: int = 3, seed: int = 0, skill: float = 2.0, groups: bool = False) -> Case:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    logits = rng.normal(size=(n, classes)) + skill * np.eye(classes)[labels]
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return Case(
        labels=labels,
        predicted=scores.argmax(axis=1),
        scores=scores.astype(np.float32),
        embeddings=logits.astype(np.float32),
        groups=np.arange(n) // 4 if groups else None,
        classes=tuple(f"c{k}" for k in range(classes)),
    )


def by_name(found: tuple[Measurement, ...]) -> dict[str, Measurement]:
    return {m.metric: m for m in found if not m.slice}


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("groups", [False, True])
def test_every_metric_has_a_value_inside_its_interval(classes: int, groups: bool) -> None:
    found = measure(made(400, classes, groups=groups), data_id="data-1", slices={})
    assert [m.metric for m in found] == list(USUAL)
    for m in found:
        assert m.finite, m.metric
        assert m.interval is not None
        assert m.interval.low <= m.value <= m.interval.high
        assert m.interval.high > m.interval.low, m.metric
        assert m.data_id == "data-1"
        assert 0 < m.n <= 400


def test_metrics_that_the_model_cannot_have_are_left_out_unless_asked_for() -> None:
    case = made(50)
    bare = Case(case.labels, case.predicted, None, None, None, case.classes)
    assert [m.metric for m in measure(bare, data_id="d", slices={})] == list(USUAL[:5])
    asked = measure(bare, data_id="d", slices={}, metrics=("auc", "recall_at_1", "calibration_error", "log_loss"))
    assert all(math.isnan(m.value) and m.interval is None and not m.finite for m in asked)


def test_no_rows_give_nan_and_never_a_number() -> None:
    found = measure(made(40).take(np.zeros(0, dtype=np.int64)), data_id="d", slices={"site": np.array([])})
    assert len(found) == len(USUAL)
    assert all(math.isnan(m.value) and m.interval is None and m.n == 0 for m in found)


@pytest.mark.parametrize("groups", [False, True])
def test_one_row_and_one_class_never_raise(groups: bool) -> None:
    case = made(40, groups=groups)
    for part in (case.take(np.array([0])), case.take(case.labels == 1)):
        found = by_name(measure(part, data_id="d", slices={}))
        assert math.isnan(found["auc"].value)
        assert not found["auc"].finite


def test_rows_of_a_single_group_have_no_interval_where_error_is_unknowable() -> None:
    case = made(60)
    lone = Case(case.labels, case.predicted, case.scores, case.embeddings, np.zeros(60, dtype=np.int64), case.classes)
    found = by_name(measure(lone, data_id="d", slices={}))
    for name in ("balanced_accuracy", "precision", "recall", "f1", "auc", "log_loss", "calibration_error"):
        assert found[name].interval is None, name
    accuracy = found["accuracy"].interval
    assert accuracy is not None
    assert accuracy.high - accuracy.low > 0.9
    assert math.isnan(found["recall_at_1"].value)


def test_a_perfect_score_on_few_rows_is_not_certain() -> None:
    labels = np.arange(30) % 3
    sure = Case(labels, labels, np.eye(3)[labels], None, None, ("a", "b", "c"))
    for m in measure(sure, data_id="d", slices={}, metrics=("accuracy", "balanced_accuracy", "f1", "auc", "recall")):
        assert m.value == 1.0
        assert m.interval is not None
        assert m.interval.low < 0.95, m.metric
        assert m.interval.high == 1.0


def test_scores_that_are_no_probabilities_are_nan_for_what_needs_probabilities_only() -> None:
    case = made(80)
    assert case.scores is not None
    logits = Case(case.labels, case.predicted, case.scores * 20 - 3, None, None, case.classes)
    found = by_name(measure(logits, data_id="d", slices={}))
    assert math.isnan(found["log_loss"].value)
    assert math.isnan(found["calibration_error"].value)
    assert found["auc"].finite
    spoilt = case.scores.copy()
    spoilt[0, 0] = np.nan
    broken = Case(case.labels, case.predicted, spoilt, None, None, case.classes)
    found = by_name(measure(broken, data_id="d", slices={}))
    assert not any(found[name].finite for name in ("auc", "log_loss", "calibration_error"))
    assert found["accuracy"].finite


def test_two_class_figures_are_counted_on_the_rows_that_they_are_made_of() -> None:
    case = made(200, 2)
    found = by_name(measure(case, data_id="d", slices={}))
    assert found["recall"].n == (case.labels == 1).sum()
    assert found["precision"].n == (case.predicted == 1).sum()
    assert found["f1"].n == ((case.predicted == 1) | (case.labels == 1)).sum()


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "recall", "f1", "auc", "log_loss", "map_at_r"])
def test_copies_of_rows_in_one_group_do_not_narrow_the_interval(metric: str) -> None:
    once = made(150)
    five = once.take(np.repeat(np.arange(150), 5))
    grouped = Case(
        five.labels, five.predicted, five.scores, five.embeddings, np.repeat(np.arange(150), 5), five.classes
    )
    width = {}
    for name, case in (("once", once), ("grouped", grouped), ("naive", five)):
        interval = measure(case, data_id="d", slices={}, metrics=(metric,))[0].interval
        assert interval is not None
        width[name] = interval.high - interval.low
    assert width["grouped"] > 0.85 * width["once"]
    assert width["naive"] < 0.7 * width["grouped"]


def copied(once: Case) -> Case:
    """Five copies of each row, which are told to be of one group."""
    five = once.take(np.repeat(np.arange(len(once)), 5))
    return replace(five, groups=np.repeat(np.arange(len(once)), 5))


def width(case: Case, metric: str) -> float:
    interval = measure(case, data_id="d", slices={}, metrics=(metric,))[0].interval
    assert interval is not None
    return interval.high - interval.low


@pytest.mark.parametrize("metric", ["precision", "recall", "f1"])
def test_copies_do_not_narrow_the_exact_intervals_of_two_classes(metric: str) -> None:
    once = made(150, classes=2)
    assert width(copied(once), metric) > 0.95 * width(once, metric)


def test_copies_do_not_narrow_what_a_perfect_score_may_hide() -> None:
    labels = np.repeat([0, 1], [10, 50])
    scores = np.eye(2, dtype=np.float32)[labels]
    once = Case(labels, labels, scores, None, None, ("no", "yes"))
    assert width(copied(once), "auc") == pytest.approx(width(once, "auc"))


def test_grouped_calibration_intervals_cover_a_calibrated_model() -> None:
    covered = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        confidence = rng.uniform(0.5, 1.0, 80)
        right = rng.random(80) < confidence
        labels, scores = np.where(right, 1, 0), np.column_stack([1 - confidence, confidence])
        rows = np.repeat(np.arange(80), 5)
        case = Case(labels[rows], np.ones(400, dtype=np.int64), scores[rows], None, rows, ("a", "b"))
        interval = measure(case, data_id="d", slices={}, metrics=("calibration_error",))[0].interval
        assert interval is not None
        covered += interval.low == 0.0
    assert covered >= 54


@pytest.mark.parametrize("metric", ["f1", "auc"])
def test_bootstrap_intervals_cover_the_truth(metric: str) -> None:
    truth = measure(made(40_000, seed=99), data_id="d", slices={}, metrics=(metric,))[0].value
    hits = 0
    for seed in range(60):
        interval = measure(made(200, seed=seed), data_id="d", slices={}, metrics=(metric,))[0].interval
        assert interval is not None
        hits += interval.low <= truth <= interval.high
    assert hits >= 53


def test_a_bootstrap_of_part_of_the_rows_is_as_wide_as_one_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    case = made(2000)
    full = measure(case, data_id="d", slices={}, metrics=("auc",))[0].interval
    monkeypatch.setattr(runner, "MOST_BOOTSTRAP_ROWS", 300)
    part = measure(case, data_id="d", slices={}, metrics=("auc",))[0].interval
    assert full is not None
    assert part is not None
    assert part.high - part.low == pytest.approx(full.high - full.low, rel=0.25)


def test_slices_are_measured_with_their_own_n() -> None:
    case = made(90)
    site = np.array(["b", "a", "a"] * 30, dtype=object)
    found = [m for m in measure(case, data_id="d", slices={"site": site}) if m.slice]
    assert [(m.slice, m.metric, m.n) for m in found] == [
        ("site=a", "accuracy", 60),
        ("site=a", "log_loss", 60),
        ("site=b", "accuracy", 30),
        ("site=b", "log_loss", 30),
    ]
    want = float((case.labels == case.predicted)[site == "b"].mean())
    assert found[2].value == pytest.approx(want)


def test_the_same_call_gives_the_same_figures() -> None:
    assert measure(made(200), data_id="d", slices={}) == measure(made(200), data_id="d", slices={})


def test_an_unknown_metric_names_the_nearest() -> None:
    with pytest.raises(NotFound, match="accuracy"):
        measure(made(10), data_id="d", slices={}, metrics=("acuracy",))


def test_a_metric_of_another_scale_without_spread_has_no_interval() -> None:
    def fixed(case: Case) -> Figure:
        return Figure(7.0, len(case))

    assert runner._bounds(fixed, fixed(made(30)), made(30), 0) == (None, "bootstrap")


def test_a_case_that_does_not_fit_together_is_refused() -> None:
    rows = np.array([0, 1])
    with pytest.raises(BackstayError, match="2 labels and 1 predicted"):
        Case(rows, rows[:1], None, None, None, ("a", "b"))
    with pytest.raises(BackstayError, match="scores of shape"):
        Case(rows, rows, np.ones((2, 3)), None, None, ("a", "b"))
    with pytest.raises(BackstayError, match="scores of shape"):
        Case(rows, rows, np.ones(2), None, None, ("a", "b"))
    with pytest.raises(BackstayError, match="class number 1"):
        Case(rows, rows, None, None, None, ("a",))


def test_all_metrics_of_ten_thousand_rows_and_ten_classes_take_three_cpu_seconds() -> None:
    case = made(10_000, 10)
    before = time.process_time()
    measure(case, data_id="d", slices={"site": np.arange(10_000) % 20})
    assert time.process_time() - before < 3.0


def test_the_silhouette_is_of_known_classes_alone() -> None:
    rng = np.random.default_rng(0)
    labels = np.array([0] * 20 + [1] * 20 + [-1] * 5)
    embeddings = rng.normal(size=(45, 3)) + 8.0 * labels[:, None]
    apart = Case(labels, np.maximum(labels, 0), None, embeddings, None, ("a", "b"))
    found = {m.metric: m for m in measure(apart, data_id="d", slices={})}["silhouette"]
    assert found.n == 40
    assert found.interval.low < found.value < found.interval.high
    assert found.value > 0.5
    mixed = replace(apart, labels=rng.permutation(labels))
    assert abs({m.metric: m for m in measure(mixed, data_id="d", slices={})}["silhouette"].value) < 0.2
    bare = replace(apart, embeddings=None)
    assert "silhouette" not in {m.metric for m in measure(bare, data_id="d", slices={})}


def test_intervals_of_means_keep_to_what_the_figure_can_be() -> None:
    """One row of ten that is far off makes a t interval reach below 0, which no loss can be."""
    chances = np.full((10, 2), 0.001, dtype=np.float64)
    chances[:, 0] = 0.999
    labels = np.array([0] * 9 + [1])
    apart = np.where(labels[:, None] == 0, [[1.0, 0.0]], [[0.0, 1.0]]).astype(np.float32)
    apart[8] = (0.6, 0.8)
    case = Case(labels, chances.argmax(1), chances, apart, None, ("a", "b"))
    found = by_name(measure(case, data_id="d", slices={}, metrics=["log_loss", "map_at_r", "silhouette"]))
    for name, low, high in (("log_loss", 0.0, math.inf), ("map_at_r", 0.0, 1.0), ("silhouette", -1.0, 1.0)):
        interval = found[name].interval
        assert interval is not None
        assert low <= interval.low <= found[name].value <= interval.high <= high
    assert found["log_loss"].interval.low == 0.0
