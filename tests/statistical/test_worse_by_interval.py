"""Worse by an interval of labels, looked at every week for ever: the rate of each fixed reference is in the budget.

Exact where it can be: given a reference and what is accepted with it, a look's chance to call a good model worse is a
sum over what its labels may say. No tolerance is given, and the model is as good as it ever was: the hardest null.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binom

from backstay.kernel.records import Condition, Estimate, Interval
from backstay.maths.budget import AlarmBudget
from backstay.maths.intervals import Bounds, clopper_pearson
from backstay.maths.stratified import stratified_mean
from backstay.monitor.condition import Facts, summarise
from backstay.monitor.conviction import CONVICTS, PART, SOURCES, alpha_of_look, upper_of_draw, upper_of_labels
from backstay.monitor.late_rows import Untold
from backstay.monitor.reference import KnownAccuracy

LOOKS = 52
BUDGET = AlarmBudget(1.0, {"embedding": 1.0, "prediction": 1.0, "columns": 1.0, "labelled_error": 2.0})
ALPHA = alpha_of_look(BUDGET, "labelled_error", 365.0 / LOOKS)
GRANTED = PART * BUDGET.share("labelled_error") / SOURCES
"""Convictions a year that one source of labels may cause where nothing is wrong."""


def uppers(labels: int, alpha: float) -> np.ndarray:
    """The convicting limit for each number of right answers [labels + 1]."""
    return np.array([upper_of_labels(np.arange(labels) < right, None, alpha) for right in range(labels + 1)])


def yearly(references: int, rows: int, labels: int, accuracy: float, limits: np.ndarray, seed: int) -> np.ndarray:
    """Convictions a year under each of so many references [references], of a model that is as good as ever."""
    right = np.random.default_rng(seed).binomial(rows, accuracy, references)
    known = {r: clopper_pearson(r, rows).low for r in np.unique(right).tolist()}
    chances = binom.pmf(np.arange(labels + 1), labels, accuracy)
    rates = {r: LOOKS * float(chances[limits < low].sum()) for r, low in known.items()}
    return np.array([rates[r] for r in right.tolist()])


CASES = [(500, 36, 0.9), (500, 50, 0.95), (2000, 50, 0.8), (20_000, 200, 0.9), (300, 20, 0.6)]


@pytest.mark.parametrize(("rows", "labels", "accuracy"), CASES)
def test_each_reference_stays_within_what_the_interval_may_spend(rows: int, labels: int, accuracy: float) -> None:
    rates = yearly(1000, rows, labels, accuracy, uppers(labels, ALPHA), seed=1)
    assert np.quantile(rates, 0.95) <= GRANTED
    assert rates.mean() <= GRANTED


@pytest.mark.parametrize(("rows", "labels", "accuracy"), CASES[2:4])
def test_the_interval_for_one_look_would_not(rows: int, labels: int, accuracy: float) -> None:
    """The mutant that was there before: the 95% interval that people read, at every look."""
    rates = yearly(1000, rows, labels, accuracy, uppers(labels, 0.025), seed=1)
    assert np.quantile(rates, 0.95) > 1.5 * GRANTED


def drawn(right: tuple[int, ...], labels: tuple[int, ...], rows: tuple[int, ...]) -> float:
    strata = [{"rows": a, "labels": b, "right": c} for a, b, c in zip(rows, labels, right, strict=True)]
    return upper_of_draw({"strata": strata}, ALPHA)


@pytest.mark.parametrize("shares", [(0.6, 0.9, 0.99), (0.5, 0.8, 0.95), (0.8, 0.8, 0.8), (0.3, 0.97, 0.995)])
@pytest.mark.parametrize("labels", [(17, 17, 16), (30, 15, 5)])
def test_labels_drawn_by_doubt_stay_within_theirs(labels: tuple[int, ...], shares: tuple[float, ...]) -> None:
    rows = (1000, 3000, 6000)
    truth = float(np.dot(shares, rows) / sum(rows))
    rng = np.random.default_rng(2)
    right = rng.binomial(labels, shares, (20_000, 3))
    found, counts = np.unique(right, axis=0, return_counts=True)
    missed = sum(int(n) for r, n in zip(found, counts, strict=True) if drawn(tuple(r), labels, rows) < truth)
    allowed = 20_000 * ALPHA
    assert missed <= allowed + 3 * np.sqrt(allowed)


def test_the_smooth_interval_of_strata_would_not() -> None:
    """The mutant: Jeffreys limits put together, which are made for 95% and miss ten times as often this far out."""
    shares, labels, rows = (0.6, 0.9, 0.99), np.array([17, 17, 16]), np.array([1000, 3000, 6000])
    drawn_right = np.random.default_rng(2).binomial(labels, shares, (20_000, 3))
    right, counts = np.unique(drawn_right, axis=0, return_counts=True)
    high = np.array([stratified_mean(r, labels, rows, 1 - 2 * ALPHA).high for r in right])
    assert int(counts[high < float(rows / rows.sum() @ shares)].sum()) > 3 * 20_000 * ALPHA


def test_too_few_labels_and_no_share_convict_nobody() -> None:
    assert upper_of_labels(np.zeros(19), None, ALPHA) == 1.0
    assert upper_of_labels(np.zeros(20), None, ALPHA) < 0.5
    assert upper_of_labels(np.zeros(50), None, 0.0) == 1.0
    assert drawn((0, 0, 0), (6, 6, 6), (100, 100, 100)) == 1.0
    assert upper_of_labels(np.zeros(40), np.arange(40) // 4, ALPHA) > upper_of_labels(np.zeros(40), None, ALPHA)


def said(high: float, limit: float) -> Condition:
    labelled = Estimate(
        "ppi", "accuracy", high - 0.1, Interval(high - 0.2, high), 900, "", labels=50, figures={CONVICTS: limit}
    )
    free = Estimate("label-free", "accuracy", 0.95, Interval(0.93, 0.97), 900, "")
    known = KnownAccuracy(0.95, Bounds(0.93, 0.97), 500, 500.0)
    return summarise(Facts((), free, labelled, known, 0.02, 50, 0.08, 3.0, Untold(), {})).condition


def test_between_the_two_limits_more_labels_are_asked_for() -> None:
    assert said(0.85, 0.88) is Condition.WORSE
    assert said(0.85, 0.92) is Condition.UNKNOWN
    assert said(0.92, 0.95) is Condition.FINE


def test_a_model_that_broke_is_still_convicted() -> None:
    """Error .1 to .3: fifty labels do it more often than not, and the detector need not wait for them."""
    accepted = clopper_pearson(900, 1000).low - 0.02
    chances = binom.pmf(np.arange(51), 50, 0.7)
    assert float(chances[uppers(50, ALPHA) < accepted].sum()) > 0.4


@pytest.mark.prove
def test_years_of_weekly_looks_at_labels_of_a_month(prove_table: Callable[..., None]) -> None:
    """Twelve labels a week, judged with those of two weeks before: looks overlap, and the rate is what was granted."""
    rows = []
    for accuracy, known in ((0.9, 500), (0.9, 20_000), (0.97, 1000)):
        found = {name: overlapping(accuracy, known, uppers(36, level)) for name, level in LEVELS.items()}
        for name, rates in found.items():
            rows.append(
                {
                    "limit": name,
                    "accuracy": accuracy,
                    "reference rows": known,
                    "granted a year": GRANTED,
                    "mean": float(rates.mean()),
                    "95th percentile": float(np.quantile(rates, 0.95)),
                }
            )
        assert np.quantile(found["own share"], 0.95) <= 1.5 * GRANTED
        assert found["own share"].mean() <= GRANTED
    prove_table("worse-by-interval", rows)
    assert max(row["95th percentile"] for row in rows if row["limit"] == "95% interval (mutant)") > 1.5 * GRANTED


LEVELS = {"own share": ALPHA, "95% interval (mutant)": 0.025}


def overlapping(accuracy: float, known: int, limits: np.ndarray) -> np.ndarray:
    """Convictions a year of 1,000 references, each over 200 years of weeks."""
    rng, weeks, rates = np.random.default_rng(5), LOOKS * 200, []
    for _ in range(1000):
        low = clopper_pearson(rng.binomial(known, accuracy), known).low
        right = np.convolve(rng.binomial(12, accuracy, weeks), np.ones(3, dtype=np.int64), "valid")
        rates.append(LOOKS * float(np.mean(limits[right] < low)))
    return np.array(rates)
