"""Sample ratios and many slices: how often a plan that was kept is called broken, and how many finds are false."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binom

from backstay.maths.betting import log_bets
from backstay.maths.e_values import ELond, e_bh
from backstay.maths.sample_ratio import sample_ratio_e_value

ALPHA = 0.05
RATE = 0.1


def ratio_runs(runs: int, looks: int, rows: int, plan: tuple[float, ...], dealt: tuple[float, ...]) -> tuple[int, int]:
    """Runs in which some look called the ratio broken: by the e-value, and by a chi-square test at each look."""
    from scipy.stats import chi2

    rng = np.random.default_rng([runs, looks, len(plan), int(1000 * dealt[0])])
    counts = np.cumsum(rng.multinomial(rows, dealt, size=(runs, looks)), axis=1)
    ours = theirs = 0
    shares = np.asarray(plan)
    for run in counts:
        ours += any(sample_ratio_e_value(now.astype(float), shares) >= 1 / ALPHA for now in run)
        expected = run.sum(axis=1, keepdims=True) * shares
        theirs += bool(np.any(((run - expected) ** 2 / expected).sum(axis=1) > chi2.ppf(1 - ALPHA, len(plan) - 1)))
    return int(ours), int(theirs)


def slice_days(days: int, slices: int, worse: int, rng: np.random.Generator, rows: int = 20) -> np.ndarray:
    """Errors [days, slices, rows] at 10%, `worse` slices at 20%; each day has a shock that all slices share.

    The shock only lowers the rate: the null is "at most 10%, given the past", and a day above it would be no null.
    """
    rate = np.full(slices, RATE)
    rate[:worse] = 0.2
    shock = np.minimum(rng.normal(-0.02, 0.02, size=(days, 1, 1)), 0.0)
    common = rng.random((days, 1, rows))
    own = rng.random((days, slices, rows))
    uniform = np.where(rng.random((days, slices, rows)) < 0.5, common, own)
    return (uniform < np.maximum(rate[None, :, None] + shock, 0.0)).astype(float)


def discoveries(runs: int, worse: int, days: int = 60, slices: int = 50, fdr: float = 0.1) -> dict[str, float]:
    """Mean share of false finds when every day's e-values are looked at, by e-BH; and by naive daily tests."""
    rng = np.random.default_rng([runs, worse, days])
    shares, power, naive = [], [], []
    for _ in range(runs):
        x = slice_days(days, slices, worse, rng)
        steps = np.stack([log_bets(x[:, s].ravel(), RATE).reshape(days, -1, 8).sum(axis=1) for s in range(slices)])
        wealth = np.exp(np.minimum(np.cumsum(steps, axis=1), 600)).mean(axis=2)
        found = np.stack([e_bh(wealth[:, day], fdr) for day in range(days)]).any(axis=0)
        shares.append(found[worse:].sum() / max(found.sum(), 1))
        power.append(found[:worse].mean() if worse else np.nan)
        p = binom.sf(x.sum(axis=2) - 1, x.shape[2], RATE)
        alone = (p < ALPHA).any(axis=0)
        naive.append(alone[worse:].sum() / max(alone.sum(), 1))
    return {
        "e-BH: false finds": float(np.mean(shares)),
        "e-BH: found": float(np.mean(power)) if worse else float("nan"),
        "p < .05 each day: false finds": float(np.mean(naive)),
    }


def online(runs: int, hypotheses: int, fdr: float = 0.1) -> float:
    """Mean share of false finds of e-LOND over a stream in which every tenth null is false."""
    rng = np.random.default_rng([runs, hypotheses])
    shares = []
    for _ in range(runs):
        state, false, total = ELond.start(fdr), 0, 0
        for t in range(hypotheses):
            worse = t % 10 == 0
            x = (rng.random(200) < (0.3 if worse else RATE)).astype(float)
            wealth = float(np.exp(min(log_bets(x, RATE).sum(axis=0).max(), 600)) / 8)
            state, rejected = state.look(wealth)
            total, false = total + rejected, false + (rejected and not worse)
        shares.append(false / max(total, 1))
    return float(np.mean(shares))


def test_a_plan_that_is_kept_is_seldom_called_broken_quick() -> None:
    ours, theirs = ratio_runs(100, 20, 100, (0.5, 0.5), (0.5, 0.5))
    assert ours <= binom.ppf(0.999, 100, ALPHA)
    assert theirs > binom.ppf(0.999, 100, ALPHA)


def test_few_finds_of_e_bh_are_false_quick() -> None:
    found = discoveries(8, 5, days=30, slices=20)
    assert found["e-BH: false finds"] <= 0.1
    assert found["e-BH: found"] > 0.8
    assert discoveries(8, 0, days=30, slices=20)["p < .05 each day: false finds"] > 0.9


def test_few_finds_of_e_lond_are_false_quick() -> None:
    assert online(20, 60) <= 0.1


@pytest.mark.prove
def test_sample_ratios(prove_table: Callable[..., None]) -> None:
    rows = []
    for plan, dealt in (
        ((0.5, 0.5), (0.5, 0.5)),
        ((0.9, 0.1), (0.9, 0.1)),
        ((0.4, 0.3, 0.3), (0.4, 0.3, 0.3)),
        ((0.5, 0.5), (0.52, 0.48)),
        ((0.5, 0.5), (0.55, 0.45)),
    ):
        ours, theirs = ratio_runs(1000, 50, 200, plan, dealt)
        rows.append(
            {
                "planned": "/".join(f"{p:g}" for p in plan),
                "dealt": "/".join(f"{p:g}" for p in dealt),
                "called broken of 1000": ours,
                "chi-square at each of 50 looks": theirs,
            }
        )
    prove_table("sample-ratio", rows)
    for row in rows[:3]:
        assert int(row["called broken of 1000"]) <= binom.ppf(0.999, 1000, ALPHA)
        assert int(row["chi-square at each of 50 looks"]) > 100
    assert int(rows[4]["called broken of 1000"]) >= 990


@pytest.mark.prove
def test_false_discoveries(prove_table: Callable[..., None]) -> None:
    rows = [{"slices": 50, "worse": worse, "days": 60, "runs": 100, **discoveries(100, worse)} for worse in (0, 5, 15)]
    prove_table("e-bh", rows)
    assert all(float(row["e-BH: false finds"]) <= 0.1 for row in rows)
    assert all(float(row["e-BH: found"]) > 0.9 for row in rows[1:])
    share = online(300, 150)
    prove_table("e-lond", [{"nulls": 150, "false ones": 15, "runs": 300, "target": 0.1, "false finds": share}])
    assert share <= 0.1
