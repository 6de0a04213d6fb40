"""Coverage of the prediction-powered and the label-free interval, level of the paired tests."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binom

from backstay.maths.labelfree import estimate_accuracy
from backstay.maths.paired import paired_difference
from backstay.maths.ppi import ppi_plus_plus


def ppi_draw(n: int, accuracy: float, kind: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels and predictions of them: informative, weak, biased, or pointing the wrong way."""
    concentration = 0.4 if kind == "informative" else 4.0 if kind == "weak" else 1.0
    chance = rng.beta(accuracy * concentration, (1 - accuracy) * concentration, size=n + 2000)
    y = (rng.random(n) < chance[:n]).astype(float)
    biased = np.clip(chance + 0.1 * rng.standard_normal(n + 2000) - 0.15, 0, 1)
    f = {"biased": biased, "wrong": 1 - chance}.get(kind, chance)
    return y, f[:n], f[n:]


@pytest.mark.prove
def test_ppi_covers_small_samples(prove_table: Callable[..., None]) -> None:
    rows = []
    for n in (50, 100):
        for accuracy in (0.85, 0.90, 0.95, 0.98):
            for kind in ("informative", "weak", "biased", "wrong"):
                rng = np.random.default_rng([n, int(accuracy * 100), len(kind)])
                found = [ppi_plus_plus(*ppi_draw(n, accuracy, kind, rng)) for _ in range(1000)]
                covered = float(np.mean([e.low <= accuracy <= e.high for e in found]))
                width = float(np.mean([e.high - e.low for e in found]))
                worth = float(np.mean([e.n_effective / n for e in found]))
                rows.append(
                    {
                        "labels": n,
                        "accuracy": accuracy,
                        "predictions": kind,
                        "coverage of 1000": covered,
                        "mean width": width,
                        "labels are worth": worth,
                    }
                )
    prove_table("ppi-coverage", rows)
    assert min(float(row["coverage of 1000"]) for row in rows) >= 0.93
    informative = [row for row in rows if row["predictions"] == "informative" and row["labels"] == 100]
    assert min(float(row["labels are worth"]) for row in informative) > 1.2


def labelfree_case(
    n: int, shift: float, rng: np.random.Generator, d: int, flipped: float = 0.0
) -> tuple[np.ndarray, ...]:
    x = rng.normal(size=(n, d))
    x[:, 0] += shift
    truth = rng.random(n) < 1 / (1 + np.exp(-(1.3 * x[:, 0] - 0.8 * x[:, 1] + 0.5 * x[:, 0] * x[:, 1] + 1)))
    truth ^= rng.random(n) < flipped
    p = 1 / (1 + np.exp(-(1.8 * x[:, 0] - 1.1 * x[:, 1] + 0.9)))
    return x, np.column_stack([1 - p, p]), ((p > 0.5) == truth).astype(float)


@pytest.mark.prove
def test_labelfree_covers_or_refuses(prove_table: Callable[..., None]) -> None:
    rows = []
    for d in (8, 64):
        for shift, flipped in ((0.0, 0.0), (0.5, 0.0), (1.0, 0.0), (1.4, 0.0), (2.5, 0.0), (0.0, 0.2)):
            rng = np.random.default_rng([d, int(shift * 10), int(flipped * 10)])
            answered = covered = 0
            errors, shares = [], []
            for _ in range(200):
                x, scores, right = labelfree_case(1500, 0.0, rng, d)
                live, live_scores, live_right = labelfree_case(500, shift, rng, d, flipped)
                found = estimate_accuracy(scores, right, x, live_scores, live, rng=rng, draws=100)
                shares.append(found.ess_ratio)
                if found.estimate is None or found.low is None or found.high is None:
                    continue
                answered += 1
                covered += found.low <= live_right.mean() <= found.high
                errors.append(abs(found.estimate - live_right.mean()))
            rows.append(
                {
                    "dimensions": d,
                    "shift in sd": shift,
                    "labels flipped": flipped,
                    "answered of 200": answered,
                    "coverage": covered / answered if answered else float("nan"),
                    "mean error": float(np.mean(errors)) if errors else float("nan"),
                    "effective share": float(np.mean(shares)),
                }
            )
    prove_table("labelfree-coverage", rows)
    for row in rows:
        if row["labels flipped"] == 0.0 and float(row["effective share"]) > 0.25:
            assert float(row["coverage"]) >= 0.90
        if float(row["effective share"]) < 0.14:
            assert int(row["answered of 200"]) == 0
        if float(row["labels flipped"]) > 0:
            assert float(row["coverage"]) <= 0.2  # what nothing without labels can see


def paired_rates(n: int, gains: float, losses: float, runs: int, seed: int) -> tuple[float, float, float]:
    """Share of p_better < .05, of a lower bound above the truth, and of two-sided intervals that miss it."""
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(n, [gains, losses, 1 - gains - losses], size=runs)
    cache: dict[tuple[int, int], tuple[bool, bool, bool]] = {}
    out = []
    for up, down, _ in counts.tolist():
        if (up, down) not in cache:
            a, b = np.zeros(n), np.zeros(n)
            b[:up], a[up : up + down] = 1.0, 1.0
            found = paired_difference(a, b)
            truth = gains - losses
            cache[up, down] = (found.p_better < 0.05, found.one_sided_low > truth, not found.low <= truth <= found.high)
        out.append(cache[up, down])
    better, above, missed = np.mean(out, axis=0)
    return float(better), float(above), float(missed)


CASES = [
    (100, 0.02, 0.02),
    (100, 0.10, 0.10),
    (300, 0.01, 0.01),
    (500, 0.05, 0.05),
    (2000, 0.002, 0.002),
    (140, 0.0001, 0.02),
    (200, 0.005, 0.02),
    (500, 0.02, 0.05),
    (1000, 0.1, 0.12),
]


@pytest.mark.parametrize(("n", "gains", "losses"), [CASES[0], CASES[5], CASES[7]])
def test_paired_level_quick(n: int, gains: float, losses: float) -> None:
    better, above, missed = paired_rates(n, gains, losses, 1500, 3)
    limit = binom.ppf(0.999, 1500, 0.05) / 1500
    assert max(better, above, missed) <= limit


def test_paired_sign_without_the_exact_correction_would_be_a_coin_toss_of_three_rows() -> None:
    """A mutant: the sign of the observed difference as proof."""
    rng = np.random.default_rng(0)
    counts = rng.multinomial(100, [0.02, 0.02, 0.96], size=1000)
    assert np.mean(counts[:, 0] > counts[:, 1]) > 0.3


@pytest.mark.prove
def test_paired_level(prove_table: Callable[..., None]) -> None:
    rows = []
    for n, gains, losses in CASES:
        better, above, missed = paired_rates(n, gains, losses, 10_000, 4)
        rows.append(
            {
                "rows": n,
                "b right only": gains,
                "a right only": losses,
                "p_better < .05": better,
                "lower bound too high": above,
                "interval misses": missed,
            }
        )
    prove_table("paired-level", rows)
    limit = binom.ppf(0.999, 10_000, 0.05) / 10_000
    for row in rows:
        assert all(float(row[name]) <= limit for name in ("p_better < .05", "lower bound too high", "interval misses"))


def test_grouped_real_scores_keep_their_level() -> None:
    rng = np.random.default_rng(6)
    marks = np.repeat(np.arange(40), 10)
    honest = naive = 0
    for _ in range(600):
        difference = np.repeat(rng.standard_normal(40), 10) * 0.5 + rng.standard_normal(400)
        honest += paired_difference(np.zeros(400), difference, marks).p_better < 0.05
        naive += paired_difference(np.zeros(400), difference).p_better < 0.05
    assert honest <= binom.ppf(0.999, 600, 0.05)
    assert naive > binom.ppf(0.999, 600, 0.05)
