from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.stats import binom

from backstay.kernel.errors import BackstayError
from backstay.maths.surprise import LEAST_WRONG, Spread, Surprise, chance_of_as_many, mistake_points, ratios, tails


def drawn(rows: int, seed: int = 1, turned: float = 0.0, classes: int = 2):
    """Scores that are true chances, and whether the answers were right; some labels are another class."""
    rng = np.random.default_rng(seed)
    logits = 2.5 * rng.standard_normal((rows, classes))
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = (scores.cumsum(axis=1) < rng.random((rows, 1))).sum(axis=1)
    other = (truth + rng.integers(1, classes, rows)) % classes
    truth = np.where(rng.random(rows) < turned, other, truth)
    return scores, (scores.argmax(axis=1) == truth).astype(float)


def test_the_ratio_is_that_of_the_noise_model():
    """By enumeration of what is true, which other label it may have become, and whether the answer was right."""
    for q, k, e in product((0.02, 0.2, 0.45), (2, 3, 7), (0.05, 0.3)):
        right_after = (1 - e) * (1 - q) + sum(e * (1 / (k - 1)) * (q / (k - 1)) for _ in range(k - 1))
        right, wrong = (float(h[0]) for h in ratios(np.array([q]), k))
        assert (1 + e * (right - 1)) * (1 - q) == pytest.approx(right_after)
        assert (1 + e * (wrong - 1)) * q == pytest.approx(1 - right_after)
    assert [float(h[0]) for h in ratios(np.array([0.8]), 2)] == [1.0, 1.0]


def test_a_mistake_weighs_the_more_the_surer_the_model_was():
    fitted = Surprise.fit(*drawn(4000))
    assert len(fitted.rows) == 8
    assert np.all(np.diff(fitted.weights) > 0)
    assert np.all(np.diff(fitted.usual) < 0)
    assert fitted.rows.sum() == 4000
    assert np.all(np.abs(fitted.rows - 500) <= 1)
    assert fitted.sure.tolist() == (fitted.usual < 0.1).tolist()
    assert 2 < fitted.sure.sum() < 8


def test_tails_are_those_of_a_plain_sum_over_all_outcomes():
    seen, points, chances = np.array([3, 2, 4]), np.array([0, 2, 5]), np.array([0.5, 0.1, 0.3])
    expected = np.zeros(3 * 0 + 2 * 2 + 4 * 5 + 1)
    for counts in product(*(range(n + 1) for n in seen)):
        mass = np.prod([binom.pmf(c, n, p) for c, n, p in zip(counts, seen, chances, strict=True)])
        expected[: int(np.dot(counts, points)) + 1] += mass
    assert tails(seen, chances, points) == pytest.approx(expected, abs=1e-12)


def test_the_chance_is_exact_and_one_without_mistakes():
    cell, weight = np.array([0.07]), np.array([1.9])
    for wrong in (1, 4, 9):
        found = chance_of_as_many(np.array([60]), np.array([wrong]), cell, weight)
        assert found == pytest.approx(binom.sf(wrong - 1, 60, 0.07), rel=1e-6)
    assert chance_of_as_many(np.array([60]), np.array([0]), cell, weight) == 1.0
    assert chance_of_as_many(np.array([60]), np.array([60]), cell, weight) == 1e-12


def test_a_census_of_many_labels_is_weighed_on_a_coarser_grid():
    seen, weights = np.full(8, 25_000), np.linspace(0.0, 2.5, 8)
    assert 0 < seen @ mistake_points(seen, weights) <= 400_000
    assert chance_of_as_many(seen, np.full(8, 1000), np.full(8, 0.04), weights) == pytest.approx(0.5, abs=0.02)


def test_what_is_accepted_allows_for_the_luck_of_the_reference_and_for_slips():
    small, large = (Surprise.fit(*drawn(rows)) for rows in (300, 20_000))
    for fitted in (small, large):
        seen = fitted.rows / fitted.rows.sum() * 100
        usual, lucky = fitted.accepted(seen, 0.5), fitted.accepted(seen, 0.05)
        assert usual == pytest.approx(fitted.usual)
        assert np.all(lucky >= usual)
        slips = fitted.accepted(seen, 0.5, 0.02) - usual
        assert float(fitted.rows @ slips / fitted.rows.sum()) == pytest.approx(0.02, rel=0.15)
        assert slips[-1] == slips.max()  # slips are seen where the model is sure
    wider = [float(np.mean(f.accepted(f.rows, 0.05) - f.usual)) for f in (small, large)]
    assert wider[0] > 4 * wider[1]
    assert np.all(large.accepted(np.zeros(8), 0.05) >= LEAST_WRONG)


def test_rows_of_one_group_count_as_the_fewer_that_they_are():
    scores, right = drawn(300)
    again = np.repeat(np.arange(300), 5)
    told = Surprise.fit(scores[again], right[again], again)
    assert told.rows.sum() == pytest.approx(300, rel=0.05)
    assert told.wrong.sum() / told.rows.sum() == pytest.approx(1 - right.mean())


def test_scores_that_tell_nothing_leave_one_cell():
    right = (np.arange(400) % 10 > 0).astype(float)
    flat = Surprise.fit(np.full((400, 2), 0.5), right)
    assert flat.rows.tolist() == [400.0]
    assert flat.cells(np.array([0.5, 0.9])).tolist() == [0, 0]
    assert flat.sure.tolist() == [True]


def test_json_and_back():
    fitted = Surprise.fit(*drawn(600, classes=4))
    again = Surprise.from_json(fitted.to_json())
    assert again.to_json() == fitted.to_json()
    assert again.classes == 4


@pytest.mark.parametrize("rows", [0, 199])
def test_too_few_rows_are_refused(rows):
    scores, right = drawn(200)
    with pytest.raises(BackstayError, match=r"empty|200 or more"):
        Surprise.fit(scores[:rows], right[:rows])


def test_few_labels_tell_turned_ones_from_kept():
    fitted = Surprise.fit(*drawn(5000))
    small = {0.0: 0, 0.15: 0}
    for turned, seed in product(small, range(40)):
        scores, right = drawn(80, 100 + seed, turned)
        cells = fitted.cells(scores.max(axis=1))
        seen, bad = (np.bincount(cells[chosen], minlength=8) for chosen in (right >= 0, right == 0))
        small[turned] += chance_of_as_many(seen, bad, fitted.accepted(seen, 0.05), fitted.weights) <= 0.05
    assert small[0.0] <= 6
    assert small[0.15] >= 28


def test_days_alike_cost_nothing_and_days_unlike_do():
    rng, alike, unlike = np.random.default_rng(2), Spread(), Spread()
    days = np.repeat(np.arange(7), 20)
    for _ in range(30):
        alike = alike.add(days, rng.standard_normal(140))
        unlike = unlike.add(days, rng.standard_normal(140) + 0.5 * rng.standard_normal(7)[days])
    assert alike.factor < 1.15
    assert 4.0 < unlike.factor < 8.5  # 1 + 20 / 4
    assert unlike.spread(0.001) > 0.05
    assert unlike.spread(0.7) == 0.7
    assert Spread().add(days, rng.standard_normal(140) + 3.0).factor < 1.7  # a change of all days is none of days
    assert Spread().add(days[:0], np.empty(0)) == Spread()
    assert Spread().spread(0.001) == pytest.approx(0.001)
