"""Coverage of figures beside accuracy by labels and predictions of them, as classes and errors keep or change their
meaning; and of three mutants, which must not cover."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binom

from backstay.maths import classification, ppi_mean, ppi_ratio
from backstay.maths.labelfree_losses import ForeseenLoss
from backstay.maths.labelfree_metrics import ClassChances
from backstay.maths.ppi_auc import ppi_auc
from backstay.maths.ppi_metrics import Answered, PpiMetric, ppi_confusion, ppi_metric

NAMES = ("auc", "f1", "precision", "recall")
POOL = 1000
REFERENCE = 2000


def case(n: int, classes: int, rng: np.random.Generator, flipped: float) -> tuple[np.ndarray, np.ndarray]:
    """Miscalibrated scores [n, k] and true classes [n]; with some classes of changed meaning."""
    x = rng.normal(size=(n, 4))
    true = 1.5 * np.stack([np.zeros(n), 1.6 * x[:, 0] - 0.8 * x[:, 1] - 0.9, 1.5 * x[:, 2] + 0.5 * x[:, 0]])[:classes].T
    chances = np.exp(true) / np.exp(true).sum(axis=1, keepdims=True)
    truth = (rng.random(n)[:, None] > np.cumsum(chances, axis=1)).sum(axis=1).clip(0, classes - 1)
    truth = np.where(rng.random(n) < flipped, (truth + 1) % classes, truth)
    wild = 1.5 * true + 0.3 * x[:, 3:]
    return np.exp(wild) / np.exp(wild).sum(axis=1, keepdims=True), truth


class World:
    """One reference, the chances of classes that were fitted on it, and the figures of traffic."""

    def __init__(self, classes: int, flipped: float) -> None:
        self.classes, self.flipped = classes, flipped
        rng = np.random.default_rng([classes, int(10 * flipped), 77])
        self.model = ClassChances.fit(*case(REFERENCE, classes, rng, 0.0))
        scores, truth = case(1_000_000, classes, rng, flipped)
        answers = scores.argmax(axis=1)
        self.truth = {n: getattr(classification, n)(truth, answers, classes) for n in NAMES if n != "auc"}
        self.truth["auc"] = classification.auc(truth, scores)
        counts = np.bincount(truth * classes + answers, minlength=classes**2)
        self.entries = counts.reshape(classes, classes) / len(truth)

    def rows(self, n: int, pool: int, rng: np.random.Generator) -> tuple[np.ndarray, Answered, Answered]:
        scores, truth = case(n + pool, self.classes, rng, self.flipped)
        chances, answers = self.model.of(scores), scores.argmax(axis=1)
        sides = (slice(n), slice(n, None))
        return truth[:n], *(Answered(answers[side], chances[side], scores[side]) for side in sides)

    def estimate(self, name: str, truth: np.ndarray, labelled: Answered, pool: Answered) -> PpiMetric:
        if name == "auc":
            return ppi_auc(truth, labelled, pool, self.classes)
        return ppi_metric(name, truth, labelled, pool, self.classes)


def coverage(
    world: World, n: int, runs: int, names: tuple[str, ...] = NAMES, pool: int = POOL, seed: int = 0
) -> list[dict[str, object]]:
    rng = np.random.default_rng([world.classes, int(10 * world.flipped), n, seed])
    hits: dict[str, list[tuple[float, float, float]]] = {name: [] for name in (*names, "confusion entries")}
    for _ in range(runs):
        truth, labelled, others = world.rows(n, pool, rng)
        bare = Answered(labelled.answers, None, labelled.scores)
        for name in names:
            found = world.estimate(name, truth, labelled, others)
            if found.value is None:
                continue
            alone = world.estimate(name, truth, bare, others)
            inside = found.low <= world.truth[name] <= found.high
            hits[name].append((float(inside), found.high - found.low, alone.high - alone.low))
        entries, plain = (ppi_confusion(truth, rows, others, world.classes) for rows in (labelled, bare))
        inside = (entries.low <= world.entries) & (world.entries <= entries.high)
        widths = [float(np.mean(table.high - table.low)) for table in (entries, plain)]
        hits["confusion entries"].append((float(inside.mean()), *widths))
    return [
        {
            "figure": name,
            "classes": world.classes,
            "labels flipped": world.flipped,
            "labels": n,
            f"answered of {runs}": len(found),
            "coverage": float(np.mean([f[0] for f in found])),
            "mean width": float(np.mean([f[1] for f in found])),
            "by labels alone": float(np.mean([f[2] for f in found])),
        }
        for name, found in hits.items()
    ]


def errors_of(n: int, rng: np.random.Generator, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Descriptions [n, 2] and errors [n]: growing with one of them, heavy-tailed, or of a changed relation."""
    x = rng.normal(size=(n, 2))
    noise = rng.standard_t(4, size=n) if kind == "heavy" else rng.normal(size=n)
    slope = -0.4 if kind == "changed" else 0.6
    return x, np.abs(noise) * np.exp(slope * x[:, 0])


def error_coverage(kind: str, n: int, runs: int, seed: int = 0, pool: int = POOL) -> dict[str, object]:
    rng = np.random.default_rng([n, len(kind), seed])
    model = ForeseenLoss.fit(*errors_of(REFERENCE, rng, "as it was" if kind == "changed" else kind))
    truth = float(errors_of(2_000_000, rng, kind)[1].mean())
    hits = []
    for _ in range(runs):
        x, errors = errors_of(n + pool, rng, kind)
        f = model.of(x)
        found, alone = ppi_mean.ppi_mean(errors[:n], f[:n], f[n:]), ppi_mean.ppi_mean(errors[:n], None, None)
        hits.append((found.low <= truth <= found.high, found.high - found.low, alone.high - alone.low))
    covered, width, plain = np.mean(hits, axis=0)
    return {
        "errors": kind,
        "labels": n,
        "runs": runs,
        "coverage": float(covered),
        "mean width": float(width),
        "by labels alone": float(plain),
    }


@pytest.fixture(scope="module")
def changed() -> World:
    return World(2, 0.2)


def test_figures_by_labels_cover_quick(changed: World) -> None:
    for row in coverage(changed, 100, 150):
        least = binom.ppf(0.001, 150, 0.95) / 150
        assert float(row["coverage"]) >= least, row
        assert float(row["mean width"]) < 1.02 * float(row["by labels alone"])


def test_the_mean_error_covers_quick() -> None:
    for kind in ("as it was", "changed"):
        row = error_coverage(kind, 100, 200)
        assert float(row["coverage"]) >= binom.ppf(0.001, 200, 0.94) / 200, row


def failing(world: World, n: int, pool: int, runs: int = 150) -> float:
    rows = coverage(world, n, runs, ("recall",), pool, seed=5)
    return float(rows[0]["coverage"])


# What a mutant must fall below: 150 runs at 95% are below it once in a thousand.
LIMIT = binom.ppf(0.001, 150, 0.95) / 150


def test_a_mutant_without_the_rectifier_fails(changed: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The prediction of the pool alone: what labels say of predictions is left out."""

    def blind(labelled, foreseen, alone, lam):
        part, whole = foreseen.pool.means
        return part / whole, 1.0

    monkeypatch.setattr(ppi_ratio, "_corrected", blind)
    assert failing(changed, 200, POOL) < 0.5


def test_a_mutant_that_forgets_the_error_of_the_unlabelled_part_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = ppi_ratio._gain
    world = World(2, 0.0)
    assert failing(world, 200, 100) >= LIMIT
    monkeypatch.setattr(ppi_ratio, "_gain", lambda alone, errors, pool: honest(alone, errors, np.zeros(1)))
    monkeypatch.setattr(ppi_ratio, "_trust", trust_without_the_pool)
    assert failing(world, 200, 100) < LIMIT


def trust_without_the_pool(labelled, foreseen, ratio, whole, believed) -> float:
    """The slope alone: as if the mean of predictions were known, however few unlabelled rows there are."""
    own, guess = labelled.adds(ratio, whole), foreseen.labelled.adds(ratio, whole)
    return float(np.clip(np.cov(own, guess)[0, 1] / np.var(guess, ddof=1), 0.0, 1.0))


def test_a_mutant_whose_trust_ignores_how_few_unlabelled_rows_there_are_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(2, 0.0)
    assert failing(world, 200, 30) >= LIMIT
    monkeypatch.setattr(ppi_ratio, "_trust", trust_without_the_pool)
    assert failing(world, 200, 30) < LIMIT


@pytest.mark.prove
def test_figures_by_labels_cover(prove_table: Callable[..., None]) -> None:
    rows: list[dict[str, object]] = []
    for classes in (2, 3):
        for flipped in (0.0, 0.2):
            world = World(classes, flipped)
            for n in (50, 100, 200):
                rows += coverage(world, n, 1500)
    prove_table("ppi-metric-coverage", rows)
    for row in rows:
        assert float(row["coverage"]) >= 0.93, row
        assert float(row["mean width"]) < 1.03 * float(row["by labels alone"]), row


@pytest.mark.prove
def test_mean_errors_by_labels_cover(prove_table: Callable[..., None]) -> None:
    rows = [error_coverage(kind, n, 1500) for kind in ("as it was", "changed", "heavy") for n in (50, 100, 200)]
    prove_table("ppi-mean-coverage", rows)
    for row in rows:
        few = row["labels"] == 50 or row["errors"] == "heavy"
        assert float(row["coverage"]) >= (0.88 if few else 0.93), row
