"""Labels drawn by doubt: coverage and width of the interval, whatever the predicted chances are worth."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.special import betaincinv, expit, logit
from scipy.stats import beta

from backstay.maths.intervals import clopper_pearson
from backstay.maths.stratified import allocate, doubt_cuts, strata_of, stratified_mean, stratified_upper

ROWS = 1000
CHANCES = ("sharp", "calibrated", "blunt", "too sure", "too humble", "unrelated", "reversed")
ERRORS = (0.01, 0.02, 0.05, 0.1, 0.2)
LEAST = 0.93


def window(kind: str, error: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows that are right or not, and the chances of it that are predicted."""
    worth = {"sharp": 0.6, "blunt": 8.0}.get(kind, 1.2)
    chance = rng.beta((1 - error) * worth, error * worth, ROWS)
    right = (rng.random(ROWS) < chance).astype(np.int64)
    odds = logit(np.clip(chance, 1e-4, 1 - 1e-4))
    if kind == "too sure":
        return right, expit(2 * odds + 1)
    if kind == "too humble":
        return right, expit(0.4 * odds - 0.5)
    if kind == "unrelated":
        return right, rng.permutation(chance)
    if kind == "reversed":
        return right, np.sort(chance)[::-1][np.argsort(np.argsort(chance))]
    return right, chance


def measured(labels: int, error: float, kind: str, windows: int, draws: int) -> dict[str, float]:
    """Coverage of the rows' own accuracy, and width over that of the exact interval of a uniform draw."""
    rng = np.random.default_rng([labels, round(1000 * error), CHANCES.index(kind)])
    covered, width, uniform, naive = [], [], [], []
    for _ in range(windows):
        right, chances = window(kind, error, rng)
        strata = strata_of(chances, doubt_cuts(chances))
        dealt, sizes = allocate(strata, chances, labels), np.bincount(strata)
        good = np.bincount(strata, weights=right, minlength=len(sizes)).astype(np.int64)
        for hits in rng.hypergeometric(good, sizes - good, dealt, size=(draws, len(sizes))):
            found = stratified_mean(hits, dealt, sizes)
            covered.append(found.low <= right.mean() <= found.high)
            width.append(found.high - found.low)
            plain = clopper_pearson(float(hits.sum()), labels)
            naive.append(plain.low <= right.mean() <= plain.high)
        for hits in rng.hypergeometric(right.sum(), ROWS - right.sum(), labels, size=draws).tolist():
            uniform.append(clopper_pearson(float(hits), labels).width)
    return {
        "coverage": float(np.mean(covered)),
        "width": float(np.mean(width)),
        "over uniform": float(np.mean(width) / np.mean(uniform)),
        "naive": float(np.mean(naive)),
    }


@pytest.mark.parametrize(("error", "kind"), [(0.02, "calibrated"), (0.05, "reversed"), (0.1, "too sure")])
def test_coverage_quick(error: float, kind: str) -> None:
    found = measured(50, error, kind, 40, 12)
    assert found["coverage"] >= 0.91
    assert found["over uniform"] < (1.0 if kind == "reversed" else 0.85)


def test_a_mutant_that_forgets_the_weights_is_wrong() -> None:
    """The share of right ones among labels drawn by doubt is of the doubtful."""
    assert measured(200, 0.02, "calibrated", 20, 10)["naive"] < 0.5


def test_a_mutant_with_normal_limits_misses_rare_errors() -> None:
    """Without errors among the labels a normal interval has no width."""
    rng = np.random.default_rng(3)
    held = []
    for _ in range(60):
        right, chances = window("reversed", 0.02, rng)
        strata = strata_of(chances, doubt_cuts(chances))
        dealt, sizes = allocate(strata, chances, 50), np.bincount(strata)
        good = np.bincount(strata, weights=right).astype(np.int64)
        for hits in rng.hypergeometric(good, sizes - good, dealt, size=(10, len(sizes))):
            share, weight = hits / dealt, sizes / ROWS
            half = 1.96 * np.sqrt(np.sum(weight**2 * share * (1 - share) / dealt))
            held.append(abs(weight @ share - right.mean()) <= half)
    assert np.mean(held) < 0.75


def test_far_out_the_upper_limit_holds_and_that_of_the_interval_does_not() -> None:
    """What may call a model worse, at one look in a thousand."""
    alpha, missed, mutant, of = 0.001, 0, 0, 0
    for error, kind in ((0.05, "calibrated"), (0.1, "sharp"), (0.1, "reversed"), (0.2, "too sure")):
        rng = np.random.default_rng(3)
        for _ in range(10):
            right, chances = window(kind, error, rng)
            strata = strata_of(chances, doubt_cuts(chances))
            dealt, sizes = allocate(strata, chances, 30), np.bincount(strata)
            good = np.bincount(strata, weights=right).astype(np.int64)
            drawn = rng.hypergeometric(good, sizes - good, dealt, size=(2000, len(sizes)))
            found, counts = np.unique(drawn, axis=0, return_counts=True)
            for hits, times in zip(found, counts.tolist(), strict=True):
                missed += times * (stratified_upper(hits, dealt, sizes, alpha) < right.mean())
                mutant += times * (stratified_mean(hits, dealt, sizes, 1 - 2 * alpha).high < right.mean())
            of += 2000
    assert missed <= alpha * of
    assert mutant > 2 * alpha * of


@pytest.mark.prove
def test_coverage_whatever_the_chances_are_worth(prove_table: Callable[..., None]) -> None:
    rows = []
    for labels in (30, 50, 100):
        for kind in CHANCES:
            found = [measured(labels, error, kind, 200, 20) for error in ERRORS]
            rows.append(
                {
                    "labels": labels,
                    "chances": kind,
                    "least coverage of 4000": min(f["coverage"] for f in found),
                    "greatest": max(f["coverage"] for f in found),
                    "mean width at 5% errors": found[2]["width"],
                    "narrowest over uniform": min(f["over uniform"] for f in found),
                    "widest over uniform": max(f["over uniform"] for f in found),
                    "widest, up to 10% errors": max(f["over uniform"] for f in found[:4]),
                }
            )
    prove_table("stratified-coverage", rows)
    assert min(float(row["least coverage of 4000"]) for row in rows) >= LEAST
    # Never wider than asking at random would be, even where the chances point the wrong way.
    assert max(float(row["widest over uniform"]) for row in rows) <= 1.0
    useful = [row for row in rows if row["chances"] == "calibrated"]
    assert max(float(row["widest, up to 10% errors"]) for row in useful) < 0.85


def put_together(kinds: tuple[str, ...], limits: str, strata: int, labels: int, error: float) -> tuple[float, float]:
    """Worst coverage and widest interval over uniform of another design: what the choice was made from."""
    coverage, over = [], []
    for kind in kinds:
        rng = np.random.default_rng([labels, round(1000 * error), CHANCES.index(kind), strata])
        held, width, uniform = [], [], []
        for _ in range(100):
            right, chances = window(kind, error, rng)
            cut = strata_of(chances, doubt_cuts(chances, strata))
            dealt, sizes = allocate(cut, chances, labels), np.bincount(cut)
            good = np.bincount(cut, weights=right).astype(np.int64)
            hits = rng.hypergeometric(good, sizes - good, dealt, size=(20, len(sizes)))
            add = (0.5, 0.5) if limits == "Jeffreys" else (0.0, 1.0)
            low = np.where(hits > 0, betaincinv(np.maximum(hits + add[0], 1e-9), dealt - hits + add[1], 0.025), 0.0)
            high = beta.ppf(0.975, hits + add[1], np.maximum(dealt - hits + add[0], 1e-9))
            high = np.where(hits < dealt, high, 1.0)
            weight, share = sizes / ROWS, hits / dealt
            value = share @ weight
            ends = (
                np.clip(value - np.sqrt(((weight * (share - low)) ** 2).sum(axis=1)), 0, 1),
                np.clip(value + np.sqrt(((weight * (high - share)) ** 2).sum(axis=1)), 0, 1),
            )
            held += ((ends[0] <= right.mean()) & (right.mean() <= ends[1])).tolist()
            width += (ends[1] - ends[0]).tolist()
            plain = rng.hypergeometric(right.sum(), ROWS - right.sum(), labels, size=20)
            uniform += [clopper_pearson(float(k), labels).width for k in plain]
        coverage.append(float(np.mean(held)))
        over.append(float(np.mean(width) / np.mean(uniform)))
    return min(coverage), max(over)


@pytest.mark.prove
def test_two_strata_and_jeffreys_are_the_choice(prove_table: Callable[..., None]) -> None:
    rows = []
    for labels in (30, 50, 100):
        for strata, limits in ((2, "Jeffreys"), (3, "Jeffreys"), (2, "exact"), (3, "exact")):
            worst, good = [], []
            for error in (0.01, 0.05, 0.1):
                worst.append(put_together(CHANCES, limits, strata, labels, error))
                good.append(put_together(("calibrated",), limits, strata, labels, error)[1])
            rows.append(
                {
                    "labels": labels,
                    "strata": strata,
                    "limits": limits,
                    "least coverage": min(w[0] for w in worst),
                    "widest over uniform": max(w[1] for w in worst),
                    "widest, calibrated": max(good),
                }
            )
    prove_table("stratified-designs", rows)
    chosen = [row for row in rows if (row["strata"], row["limits"]) == (2, "Jeffreys")]
    assert max(float(row["widest over uniform"]) for row in chosen) <= 1.0
    exact = [row for row in rows if row["limits"] == "exact"]
    assert min(float(row["widest over uniform"]) for row in exact) > 1.0
