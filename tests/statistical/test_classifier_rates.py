"""The classifier test of embeddings on one fixed reference: alarm rates given the reference, and power.

Rows are bounded so that none is clipped: then a window's mean row is all that a reference needs of it, and one bank of
window means serves all references. What clipping does to heavy tails is in the quick test.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from backstay.maths.classifier import Classifier
from backstay.maths.fourier import FourierMap, median_bandwidth
from backstay.maths.meanshift import MeanShift

POOL = 40_000


def even(rng: np.random.Generator, d: int) -> np.ndarray:
    """All directions vary alike."""
    return np.clip(rng.normal(size=(POOL, d)), -3, 3)


def decaying(rng: np.random.Generator, d: int) -> np.ndarray:
    """Variances that fall like those of trained embeddings, in directions that are no coordinates."""
    turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
    x = (rng.normal(size=(POOL, d)) * np.arange(1, d + 1) ** -0.7) @ turn.T
    spread = x.std(axis=0)
    return np.clip(x, -3 * spread, 3 * spread)


def rates(
    pool: np.ndarray, n: int, m: int, alpha: float, references: int, windows: int, unseen: bool = True
) -> np.ndarray:
    """Alarm rate of each reference; `unseen=False` is the mutant that takes the covariance to be known."""
    rng = np.random.default_rng(17)
    rows = pool.astype(np.float32)
    bank = np.concatenate([rows[rng.integers(0, POOL, (50, m))].mean(axis=1) for _ in range(windows // 50)])
    found = np.empty(references)
    for r in range(references):
        known = pool[rng.integers(0, POOL, n)]
        test = Classifier.fit(known)
        limit = test.shift.threshold(m, alpha)
        if not unseen:
            limit *= _seen(test, known)
        moved = (test.map.features(bank.astype(np.float64)) - test.shift.mean) @ test.shift.projection
        found[r] = np.mean(np.einsum("ij,ij->i", moved, moved) >= limit)
    return found


def _seen(test: Classifier, known: np.ndarray) -> float:
    """Length of the rows that made the whitening over that of rows which did not: what the mutant forgets."""
    z = (test.map.features(known) - test.shift.mean) @ test.shift.projection
    spectrum = test.shift.spectrum
    return float(np.mean(np.sum(z**2, axis=1)) / np.sum(spectrum.weights * spectrum.dof))


def test_the_rate_of_fixed_references_is_within_the_promise_quick() -> None:
    found = rates(decaying(np.random.default_rng(7), 48), 600, 150, 0.02, 40, 3000)
    assert 0.02 / 20 <= found.mean() <= 0.02
    assert np.quantile(found, 0.95) <= 1.6 * 0.02


def test_taking_the_covariance_to_be_known_breaks_the_promise_quick() -> None:
    found = rates(even(np.random.default_rng(7), 48), 250, 150, 0.02, 30, 2000, unseen=False)
    assert np.quantile(found, 0.95) > 1.5 * 0.02


def test_heavy_tails_are_clipped_and_keep_the_rate_quick() -> None:
    rng = np.random.default_rng(5)
    rates_found = []
    for _ in range(10):
        test = Classifier.fit(rng.standard_t(3, size=(800, 32)))
        windows = rng.standard_t(3, size=(200, 150, 32))
        rates_found.append(np.mean([test.shift.check(test.map.features(w), 0.02).alarm for w in windows]))
    assert np.mean(rates_found) <= 0.02 + 3 * np.sqrt(0.02 / 2000)


def changes(rng: np.random.Generator, rows: np.ndarray) -> dict[str, np.ndarray]:
    """What section 3 of the methods asks to be found at 2,000 x 384."""
    n, d = rows.shape
    moved, cluster = rows.copy(), rows.copy()
    moved[:, rng.choice(d, d // 20, replace=False)] += 0.1 * rows.std(axis=0).mean()
    centre = rng.normal(size=d)
    cluster[: n // 10] = rows.std(axis=0).mean() * centre + 0.5 * rows[: n // 10]
    return {"none": rows, "mean by 0.1 sd in 5%": moved, "new 10% cluster": cluster, "scale by 8%": rows * 1.08}


def powers(seeds: int, n: int, d: int, alpha: float) -> list[dict[str, object]]:
    """Alarms of each test at half of alpha, and of both together, by change."""
    counts: dict[str, list[int]] = {}
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        known, rows = rng.normal(size=(n, d)), rng.normal(size=(n, d))
        centre = tuple(known.mean(axis=0).tolist())
        fourier = FourierMap(1, d, bandwidth=median_bandwidth(known, rng), centre=centre)
        classifier = Classifier.fit(known)
        kernel = MeanShift.fit(fourier.features(known))
        for name, changed in changes(rng, rows).items():
            one = classifier.shift.check(classifier.map.features(changed), alpha / 2).alarm
            two = kernel.check(fourier.features(changed), alpha / 2).alarm
            found = counts.setdefault(name, [0, 0, 0])
            for place, alarm in enumerate((one, two, one or two)):
                found[place] += alarm
    heads = ("classifier", "kernel", "both")
    return [
        {"change": name, "alpha": alpha, **dict(zip(heads, found, strict=True)), "of": seeds}
        for name, found in counts.items()
    ]


def test_power_quick() -> None:
    found = {row["change"]: row for row in powers(4, 2000, 384, 0.05)}
    assert found["mean by 0.1 sd in 5%"]["classifier"] == 4
    assert found["new 10% cluster"]["both"] == 4
    assert found["none"]["both"] <= 1


@pytest.mark.prove
@pytest.mark.parametrize(("make", "d", "n", "m"), [(decaying, 64, 1000, 200), (even, 64, 1000, 200)])
def test_the_rate_of_fixed_references(
    make: Callable[..., np.ndarray], d: int, n: int, m: int, prove_table: Callable[..., None]
) -> None:
    _prove(make, d, n, m, 1000, 20_000, prove_table)


@pytest.mark.prove
@pytest.mark.parametrize("make", [decaying, even])
def test_the_rate_of_fixed_references_of_384_coordinates(
    make: Callable[..., np.ndarray], prove_table: Callable[..., None]
) -> None:
    _prove(make, 384, 2000, 500, 1000, 10_000, prove_table)


def _prove(
    make: Callable[..., np.ndarray],
    d: int,
    n: int,
    m: int,
    references: int,
    windows: int,
    prove_table: Callable[..., None],
) -> None:
    alpha = 0.005 if windows >= 20_000 else 0.01
    found = rates(make(np.random.default_rng(7), d), n, m, alpha, references, windows)
    row = {
        "rows": make.__name__,
        "coordinates": d,
        "reference rows": n,
        "window rows": m,
        "alpha": alpha,
        "references": references,
        "mean rate / alpha": float(found.mean() / alpha),
        "95th percentile / alpha": float(np.quantile(found, 0.95) / alpha),
        "99th percentile / alpha": float(np.quantile(found, 0.99) / alpha),
    }
    prove_table(f"classifier-rates-{make.__name__}-{d}", [row])
    assert alpha / 20 <= found.mean() <= alpha
    assert np.quantile(found, 0.95) <= 1.5 * alpha


@pytest.mark.prove
def test_power(prove_table: Callable[..., None]) -> None:
    rows = [*powers(20, 2000, 384, 0.05), *powers(20, 2000, 384, 1 / 260)]
    prove_table("embedding-power", rows)
    found = {(row["change"], row["alpha"]): row for row in rows}
    assert found["mean by 0.1 sd in 5%", 0.05]["both"] == 20
    assert found["new 10% cluster", 0.05]["both"] == 20
    assert found["none", 0.05]["both"] <= 4
