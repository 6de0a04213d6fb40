"""Coverage of metrics that are estimated without labels: under shifted inputs, and under classes of changed meaning."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from backstay.maths import classification
from backstay.maths.labelfree_metrics import Scored, estimate_metrics

NAMES = ("accuracy", "f1", "recall", "precision", "auc")


def case(n: int, shift: float, classes: int, rng: np.random.Generator, flipped: float = 0.0) -> tuple[np.ndarray, ...]:
    """Inputs [n, 6], miscalibrated scores [n, k], true classes [n]."""
    x = rng.normal(size=(n, 6))
    x[:, 0] += shift
    true = np.stack([np.zeros(n), 1.3 * x[:, 0] - 0.8 * x[:, 1] - 0.7, x[:, 2] + 0.5 * x[:, 0]])[:classes].T
    chances = np.exp(true) / np.exp(true).sum(axis=1, keepdims=True)
    truth = (rng.random(n)[:, None] > np.cumsum(chances, axis=1)).sum(axis=1)
    truth = np.where(rng.random(n) < flipped, (truth + 1) % classes, truth)
    wild = 1.6 * true + 0.2
    scores = np.exp(wild) / np.exp(wild).sum(axis=1, keepdims=True)
    return x, scores, truth


def coverage(
    runs: int, classes: int, shift: float, flipped: float = 0.0, draws: int = 60, n: int = 1500, m: int = 500
) -> list[dict[str, object]]:
    rng = np.random.default_rng([classes, int(10 * shift), int(10 * flipped)])
    hits: dict[str, list[tuple[bool, float, float]]] = {name: [] for name in (*NAMES, "confusion")}
    for _ in range(runs):
        x, scores, truth = case(n, 0.0, classes, rng)
        live, live_scores, live_truth = case(m, shift, classes, rng, flipped)
        answers = live_scores.argmax(axis=1)
        found = estimate_metrics(
            Scored(scores, x), truth, Scored(live_scores, live), answers, NAMES, rng=rng, draws=draws
        )
        for name, e in found.metrics.items():
            now = (
                classification.auc(live_truth, live_scores)
                if name == "auc"
                else classification.accuracy(live_truth, answers)
                if name == "accuracy"
                else getattr(classification, name)(live_truth, answers, classes)
            )
            low, high = e.bounds
            hits[name].append((bool(low <= now <= high), abs(e.value - now), high - low))
        if found.confusion is not None:
            counts = np.bincount(live_truth * classes + answers, minlength=classes**2).reshape(classes, classes) / m
            inside = (found.confusion_low <= counts) & (counts <= found.confusion_high)
            wide = float(np.mean(found.confusion_high - found.confusion_low))
            hits["confusion"].append((float(inside.mean()), float(np.abs(found.confusion - counts).mean()), wide))
    return [
        {
            "metric": name,
            "classes": classes,
            "reference rows": n,
            "shift in sd": shift,
            "labels flipped": flipped,
            f"answered of {runs}": len(found),
            "coverage": float(np.mean([f[0] for f in found])) if found else float("nan"),
            "mean error": float(np.mean([f[1] for f in found])) if found else float("nan"),
            "mean width": float(np.mean([f[2] for f in found])) if found else float("nan"),
        }
        for name, found in hits.items()
    ]


@pytest.mark.parametrize(("classes", "shift"), [(2, 0.7), (3, 0.5)])
def test_intervals_cover_under_shifted_inputs_quick(classes: int, shift: float) -> None:
    for row in coverage(12, classes, shift, draws=30, n=800, m=300):
        assert float(row["coverage"]) >= 0.7  # 12 runs at 95%: fewer than 9 have a chance below 1 in 1,000


def test_what_changed_its_meaning_is_covered_by_nothing_quick() -> None:
    rows = {row["metric"]: row for row in coverage(6, 2, 0.0, flipped=0.25, draws=30, n=800, m=600)}
    assert float(rows["f1"]["coverage"]) <= 0.35


@pytest.mark.prove
def test_intervals_cover_or_refuse(prove_table: Callable[..., None]) -> None:
    rows: list[dict[str, object]] = []
    for classes in (2, 3):
        for shift, flipped in ((0.0, 0.0), (0.7, 0.0), (1.2, 0.0), (2.5, 0.0), (0.0, 0.2)):
            rows += coverage(100, classes, shift, flipped)
        for shift in (0.7, 1.2):  # enough rows for maps that bend
            rows += coverage(100, classes, shift, n=6000)
    prove_table("metric-coverage", rows)
    for row in rows:
        answered = int(row["answered of 100"])
        if row["shift in sd"] == 2.5:
            assert answered <= 2
        elif row["labels flipped"]:
            assert row["metric"] == "confusion" or float(row["coverage"]) <= 0.6
        elif answered >= 80:
            assert float(row["coverage"]) >= 0.88
