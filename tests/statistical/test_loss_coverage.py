"""Mean errors and hit rates without labels: coverage where losses follow what describes them, and what nothing sees."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from backstay.maths.labelfree_losses import Described, estimate_loss
from backstay.maths.result_lists import result_list


def numbers(n: int, rng: np.random.Generator, shift: float, changed: float) -> tuple[Described, np.ndarray]:
    """A regression on ten inputs whose errors grow with the first; `changed` times as large where they changed."""
    x = rng.normal(size=(n, 10))
    x[:, 0] += shift
    answers = 100 + 10 * x[:, 1]
    errors = np.abs(changed * (4 + 3 * np.maximum(x[:, 0], 0)) * rng.normal(size=n))
    return Described(np.column_stack([answers, x]), x), errors


def searches(n: int, rng: np.random.Generator, shift: float, changed: float) -> tuple[Described, np.ndarray]:
    """Result lists of 25 scores, and whether the first is a hit; `shift` makes the first stand out less."""
    scores = np.sort(rng.normal(size=(n, 25)) * 0.1 + 0.5, axis=1)[:, ::-1].copy()
    scores[:, 0] += np.maximum(rng.normal(0.15 - 0.07 * shift, 0.1, n), 0)
    chance = 1 / (1 + np.exp(-(12 * (scores[:, 0] - scores[:, 1]) - 1.2)))
    hits = rng.random(n) < np.where(rng.random(n) < changed - 1.0, 0.1, chance)
    described = result_list(scores)
    return Described(described, described), hits.astype(float)


@pytest.mark.prove
def test_losses_are_covered_or_refused(prove_table: Callable[..., None]) -> None:
    rows = []
    for name, make in (("absolute error", numbers), ("hit@1", searches)):
        for shift, changed in ((0.0, 1.0), (0.7, 1.0), (1.2, 1.0), (5.0, 1.0), (0.0, 1.4)):
            hits, errors, before, answered = [], [], [], 0
            for run in range(100):
                rng = np.random.default_rng([run, int(10 * shift), int(10 * changed), len(name)])
                known, losses = make(1500, rng, 0.0, 1.0)
                live, truth = make(500, rng, shift, changed)
                found = estimate_loss(known, losses, live, rng=rng, draws=60)
                if found.estimate is None or found.low is None or found.high is None:
                    continue
                answered += 1
                hits.append(found.low <= truth.mean() <= found.high)
                errors.append(abs(found.estimate - truth.mean()))
                before.append(abs(losses.mean() - truth.mean()))
            rows.append(
                {
                    "loss": name,
                    "shift in sd": shift,
                    "relation": "as it was" if changed == 1.0 else "changed",
                    "answered of 100": answered,
                    "coverage": float(np.mean(hits)) if hits else float("nan"),
                    "mean error": float(np.mean(errors)) if errors else float("nan"),
                    "of no change assumed": float(np.mean(before)) if before else float("nan"),
                }
            )
    prove_table("loss-coverage", rows)
    for row in rows:
        if row["relation"] == "changed":
            assert float(row["coverage"]) <= 0.2  # what nothing without labels can see
        elif float(row["shift in sd"]) < 5.0 and int(row["answered of 100"]) >= 50:
            assert float(row["coverage"]) >= 0.88
            if float(row["shift in sd"]) > 0.0:
                assert float(row["mean error"]) < 0.6 * float(row["of no change assumed"])
    far = next(row for row in rows if row["loss"] == "absolute error" and row["shift in sd"] == 5.0)
    assert far["answered of 100"] == 0
