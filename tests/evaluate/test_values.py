"""Figures of numbers, against plain sums and against what each must mean."""

from __future__ import annotations

import numpy as np
import pytest

from backstay.evaluate.value_controls import raw_knn_values
from backstay.evaluate.values import ValueCase, compare_values, measure_values
from backstay.kernel.errors import BackstayError

TRUTH = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
ANSWERS = np.array([1.5, 2.0, 3.0, 10.0, 12.0])


def figures(truth: np.ndarray, answers: np.ndarray, groups: np.ndarray | None = None) -> dict[str, float]:
    case = ValueCase.of(truth, answers, groups)
    return {m.metric: m.value for m in measure_values(case, data_id="d", slices={})}


def test_figures_are_what_plain_sums_say() -> None:
    found = figures(TRUTH, ANSWERS)
    errors = [0.5, 0.0, 1.0, 2.0, 4.0]
    assert found["mae"] == pytest.approx(sum(errors) / 5)
    assert found["rmse"] == pytest.approx((sum(e * e for e in errors) / 5) ** 0.5)
    assert found["median_absolute_error"] == 1.0
    mean = sum(TRUTH) / 5
    assert found["r2"] == pytest.approx(1 - sum(e * e for e in errors) / sum((t - mean) ** 2 for t in TRUTH))
    assert found["skill"] == pytest.approx(1 - sum(errors) / sum(abs(t - 4.0) for t in TRUTH))


def test_the_median_has_no_skill_and_the_truth_has_all() -> None:
    assert figures(TRUTH, np.full(5, 4.0))["skill"] == 0.0
    assert figures(TRUTH, np.full(5, TRUTH.mean()))["r2"] == pytest.approx(0.0)
    assert figures(TRUTH, TRUTH)["skill"] == figures(TRUTH, TRUTH)["r2"] == 1.0


def test_skill_and_r2_do_not_change_with_the_unit_and_errors_do() -> None:
    one, thousand = figures(TRUTH, ANSWERS), figures(TRUTH * 1000, ANSWERS * 1000)
    assert thousand["skill"] == pytest.approx(one["skill"])
    assert thousand["r2"] == pytest.approx(one["r2"])
    assert thousand["mae"] == pytest.approx(1000 * one["mae"])


def test_intervals_cover_the_mean_error() -> None:
    covered = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        truth = rng.normal(size=150)
        case = ValueCase.of(truth, truth + rng.normal(size=150), None)
        interval = measure_values(case, data_id="d", slices={}, metrics=("mae",), seed=seed)[0].interval
        assert interval is not None
        covered += interval.low <= np.sqrt(2 / np.pi) <= interval.high
    assert covered >= 52


def test_copies_within_a_group_do_not_narrow_an_interval() -> None:
    rng = np.random.default_rng(3)
    truth = rng.normal(size=60)
    answers = truth + rng.normal(size=60)
    groups = np.repeat(np.arange(60), 5)
    alone, copied = (
        measure_values(case, data_id="d", slices={}, metrics=("mae",))[0].interval
        for case in (
            ValueCase.of(truth, answers, None),
            ValueCase.of(np.repeat(truth, 5), np.repeat(answers, 5), groups),
        )
    )
    assert alone is not None
    assert copied is not None
    assert copied.high - copied.low == pytest.approx(alone.high - alone.low, rel=0.25)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_answer_that_is_no_number_has_no_figure_and_no_comparison(bad: float) -> None:
    answers = ANSWERS.copy()
    answers[2] = bad
    case = ValueCase.of(TRUTH, answers, None)
    mae = measure_values(case, data_id="d", slices={}, metrics=("mae",))[0]
    assert np.isnan(mae.value)
    assert mae.interval is None
    found = compare_values(case, ValueCase.of(TRUTH, ANSWERS, None), against="other", data_id="d", slices={})
    assert all(np.isnan(c.one_sided_low) for c in found)


def test_a_comparison_is_positive_where_the_challenger_errs_less() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(10, 3, size=200)
    good, poor = (ValueCase.of(truth, truth + rng.normal(0, s, 200), None) for s in (1.0, 2.0))
    better = {c.metric: c for c in compare_values(good, poor, against="b", data_id="d", slices={})}
    worse = {c.metric: c for c in compare_values(poor, good, against="b", data_id="d", slices={})}
    assert better["mae"].difference == pytest.approx(poor.errors.mean() - good.errors.mean())
    assert better["skill"].difference == pytest.approx(better["mae"].difference / good.deviation)
    assert better["mae"].one_sided_low > 0 > worse["mae"].difference
    assert better["mae"].p_better < 1e-6 < 0.5 < worse["mae"].p_better


@pytest.mark.parametrize("deviation", [0.0, np.inf, np.nan])
def test_true_numbers_without_a_spread_have_no_skill_to_compare(deviation: float) -> None:
    cases = [ValueCase(np.full(5, 3.0), 3.0 + answers, None, deviation) for answers in (TRUTH, ANSWERS)]
    found = {c.metric: c for c in compare_values(cases[0], cases[1], against="b", data_id="d", slices={})}
    assert np.isnan(found["skill"].difference)
    assert np.isnan(found["skill"].one_sided_low)
    assert np.isfinite(found["mae"].difference)


def test_models_of_other_rows_are_not_compared() -> None:
    first, other = ValueCase.of(TRUTH, ANSWERS, None), ValueCase.of(TRUTH + 1, ANSWERS, None)
    with pytest.raises(BackstayError, match="same rows"):
        compare_values(first, other, against="b", data_id="d", slices={})


def test_neighbours_answer_their_mean_and_a_group_is_not_its_own_neighbour() -> None:
    rows = np.array([[0.0], [0.1], [5.0], [5.1]], dtype=np.float32)
    known = np.array([1.0, 3.0, 10.0, 20.0])
    assert raw_knn_values(rows, known, rows, k=2).tolist() == [2.0, 2.0, 15.0, 15.0]
    apart = raw_knn_values(rows, known, rows, k=1, leave_out=np.array([0, 1, 2, 3]))
    assert apart.tolist() == [3.0, 1.0, 20.0, 10.0]
