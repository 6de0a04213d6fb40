from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from backstay.kernel.errors import BackstayError
from backstay.maths.clusters import clusters
from backstay.maths.labelfree import LabelFree, bends, bent, calibrate, estimate_accuracy, predict_correct
from backstay.maths.overlap import measure_overlap


def cases(
    n: int, rng: np.random.Generator, shift: float = 0.0, flipped: float = 0.0, d: int = 6
) -> tuple[np.ndarray, ...]:
    """Inputs, an overconfident model's scores, and whether it was right."""
    x = rng.normal(size=(n, d))
    x[:, 0] += shift
    truth = rng.random(n) < 1 / (1 + np.exp(-(1.3 * x[:, 0] - 0.8 * x[:, 1] + 1)))
    truth ^= rng.random(n) < flipped
    p = 1 / (1 + np.exp(-1.4 * (1.3 * x[:, 0] - 0.8 * x[:, 1] + 1)))
    return x, np.column_stack([1 - p, p]), ((p > 0.5) == truth).astype(float)


def estimate(shift: float = 0.0, flipped: float = 0.0, n: int = 1500, seed: int = 0) -> tuple[LabelFree, float]:
    rng = np.random.default_rng(seed)
    x, scores, right = cases(n, rng)
    live, live_scores, live_right = cases(600, rng, shift, flipped)
    return estimate_accuracy(scores, right, x, live_scores, live, rng=rng, draws=60), float(live_right.mean())


def test_it_follows_accuracy_under_a_shift_of_inputs() -> None:
    for shift in (0.0, 0.8, -0.8):
        found, truth = estimate(shift)
        assert found.reasons == ()
        assert None not in (found.low, found.estimate, found.high)
        assert found.low <= truth <= found.high
        assert abs(found.estimate - truth) < 0.05


def test_it_refuses_without_a_number_where_reference_and_target_part() -> None:
    found, _ = estimate(3.0)
    assert found.estimate is found.low is found.high is None
    assert found.ess_ratio < 0.2
    assert any("is like these rows" in reason for reason in found.reasons)


def test_rows_beyond_the_reference_are_refused_in_any_direction() -> None:
    rng = np.random.default_rng(0)
    x, scores, right = cases(1000, rng)
    live, live_scores, _ = cases(400, rng)
    live[:60, 5] += 9.0
    found = estimate_accuracy(scores, right, x, live_scores, live, rng=rng, draws=10)
    assert found.estimate is None
    assert 0.13 <= found.outlier_share <= 0.2
    assert any("farther" in reason for reason in found.reasons)


def test_few_labels_and_few_rows_are_refused() -> None:
    found, _ = estimate(n=499)
    assert found.estimate is None
    assert "499 labelled" in found.reasons[0]
    rng = np.random.default_rng(0)
    x, scores, right = cases(600, rng)
    few = estimate_accuracy(scores, right, x, scores[:20], x[:20], rng=rng, draws=10)
    assert any("only 20 rows" in reason for reason in few.reasons)


def test_a_changed_meaning_of_labels_cannot_be_seen() -> None:
    found, truth = estimate(flipped=0.3)
    assert found.reasons == ()
    assert found.low is not None
    assert found.low > truth + 0.05


def test_copies_of_a_source_are_neither_neighbours_nor_evidence() -> None:
    rng = np.random.default_rng(0)
    base = np.repeat(rng.normal(size=(150, 6)), 6, axis=0)
    x = base + rng.normal(size=base.shape) * 0.05
    marks = np.repeat(np.arange(150), 6)
    live = rng.normal(size=(300, 6))
    extra, live_extra = np.zeros(900), np.zeros(300)
    grouped = measure_overlap(x, live, extra, live_extra, clusters(marks, 900), rng)
    naive = measure_overlap(x, live, extra, live_extra, clusters(None, 900), rng)
    assert grouped.outlier_share < 0.1
    assert naive.outlier_share > 0.8


def test_density_ratio_is_right_for_a_known_shift() -> None:
    rng = np.random.default_rng(0)
    x, live = rng.normal(size=(4000, 2)), rng.normal(size=(4000, 2))
    live[:, 0] += 0.5
    overlap = measure_overlap(x, live, x[:, 0], live[:, 0], clusters(None, 4000), rng)
    weights = overlap.weights(np.ones(4000), np.ones(4000))
    assert weights.mean() == pytest.approx(1.0)
    assert np.mean(weights * x[:, 0]) == pytest.approx(0.5, abs=0.08)
    assert overlap.ess_ratio == pytest.approx(np.exp(-0.25), abs=0.08)


def test_f_is_calibrated_and_takes_bare_confidences() -> None:
    rng = np.random.default_rng(1)
    _, scores, right = cases(4000, rng)
    _, live_scores, live_right = cases(4000, rng)
    f = predict_correct(scores, right, live_scores)
    assert f.mean() == pytest.approx(live_right.mean(), abs=0.02)
    assert np.corrcoef(f, live_right)[0, 1] > 0.2
    assert np.allclose(f, predict_correct(scores.max(axis=1), right, live_scores.max(axis=1)))
    three = np.column_stack([scores * 0.9, np.full(4000, 0.1)])
    assert predict_correct(three, right, three).shape == (4000,)


def test_what_does_not_fit_together_is_refused() -> None:
    rng = np.random.default_rng(0)
    x, scores, right = cases(600, rng)
    with pytest.raises(BackstayError, match="different columns"):
        estimate_accuracy(scores, right, x, scores, x[:, :3], rng=rng)
    with pytest.raises(BackstayError, match="other than 0 and 1"):
        estimate_accuracy(scores, right + 0.5, x, scores, x, rng=rng)


def test_a_map_bends_where_rows_are_enough() -> None:
    """Scores whose chances are no line of their logit: too bold above a half, too timid below."""
    rng = np.random.default_rng(8)
    logits = rng.normal(0, 2, 40_000)
    chance = expit(np.where(logits > 0, 0.4 * logits, 1.6 * logits))
    outcome = (rng.random(len(logits)) < chance).astype(float)
    fitted, held = slice(0, 20_000), slice(20_000, None)
    off = []
    for places in (np.empty(0), bends(logits[fitted], outcome[fitted])):
        beta = calibrate(bent(logits[fitted], places), outcome[fitted], np.ones(20_000), None)
        off.append(np.abs(expit(bent(logits[held], places) @ beta) - chance[held]).mean())
    assert off[1] < 0.25 * off[0]
    assert len(bends(logits[:4999], outcome[:4999])) == 0
    rare = np.zeros(20_000)
    rare[:499] = 1.0
    assert len(bends(logits[fitted], rare)) == 0
    assert (
        len(bends(np.ones(20_000), outcome[fitted])) == 1
    )  # scores that are all the same: one column too many, no harm


def test_refits_of_the_interval_are_refits() -> None:
    """They begin at the fit and end sooner: what is left is beyond the sixth digit."""
    rng = np.random.default_rng(9)
    design = bent(rng.normal(0, 2, 8000), np.array([-1.0, 0.0, 1.0]))
    outcome = (rng.random(8000) < expit(design[:, 1])).astype(float)
    start = calibrate(design, outcome, np.ones(8000), None)
    weights = rng.exponential(1.0, 8000)
    soon, late = (expit(design @ calibrate(design, outcome, weights, begun)) for begun in (start, None))
    assert np.abs(soon - late).max() < 1e-6


@pytest.mark.parametrize("groups", [1, 19])
def test_a_reference_of_few_groups_cannot_stand_for_others(groups: int) -> None:
    rng = np.random.default_rng(10)
    scores, inputs = rng.random(900), rng.normal(size=(900, 3))
    correct = (rng.random(900) < 0.8).astype(float)
    with pytest.raises(BackstayError, match=f"of {groups} groups"):
        estimate_accuracy(
            scores, correct, inputs, scores[:200], inputs[:200], rng=rng, reference_groups=np.arange(900) % groups
        )
