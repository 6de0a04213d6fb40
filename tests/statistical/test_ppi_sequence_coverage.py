"""The anytime-valid prediction-powered interval holds the accuracy after every label at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binom

from backstay.maths.intervals import bernoulli_sequence
from backstay.maths.ppi import ppi_plus_plus
from backstay.maths.ppi_sequence import ppi_sequence

ALPHA = 0.05


def runs(count: int, accuracy: float, kind: str, n: int = 200, pool: int = 4000) -> dict[str, float]:
    """Share of runs in which some interval missed, and mean widths after the last label."""
    rng = np.random.default_rng([count, int(accuracy * 100), len(kind)])
    missed, peeked, wide, once, alone = 0, 0, [], [], []
    for _ in range(count):
        spread = {"informative": 0.4, "weak": 4.0}.get(kind, 1.0)
        chance = rng.beta(accuracy * spread, (1 - accuracy) * spread, size=n + pool)
        y = (rng.random(n) < chance[:n]).astype(float)
        f = {"wrong": 1 - chance, "biased": np.clip(chance - 0.2, 0, 1)}.get(kind, chance)
        path = ppi_sequence(y, f[:n], f[n:], ALPHA)
        missed += bool(np.any((path.low > accuracy) | (path.high < accuracy)))
        looks = [ppi_plus_plus(y[:k], f[:k], f[n:]) for k in range(20, n + 1, 20)]
        peeked += any(look.low > accuracy or look.high < accuracy for look in looks)
        wide.append(path.high[-1] - path.low[-1])
        once.append(looks[-1].high - looks[-1].low)
        sequence = bernoulli_sequence(float(y.sum()), n)
        alone.append(sequence.high - sequence.low)
    return {
        "missed ever": missed / count,
        "PPI++ looked at ten times missed": peeked / count,
        "width": float(np.mean(wide)),
        "width of PPI++, one look": float(np.mean(once)),
        "width of labels alone, anytime": float(np.mean(alone)),
    }


@pytest.mark.parametrize("kind", ["informative", "wrong"])
def test_it_holds_after_every_label_quick(kind: str) -> None:
    found = runs(40, 0.85, kind, n=120)
    assert round(found["missed ever"] * 40) <= binom.ppf(0.999, 40, ALPHA)


@pytest.mark.prove
def test_it_holds_after_every_label(prove_table: Callable[..., None]) -> None:
    rows = []
    for accuracy in (0.85, 0.95):
        for kind in ("informative", "weak", "biased", "wrong"):
            rows.append({"accuracy": accuracy, "predictions": kind, "runs": 500, **runs(500, accuracy, kind)})
    prove_table("ppi-sequence-coverage", rows)
    for row in rows:
        assert float(row["missed ever"]) * 500 <= binom.ppf(0.999, 500, ALPHA)
    best = next(row for row in rows if row["predictions"] == "informative")
    assert float(best["width"]) < float(best["width of labels alone, anytime"])
