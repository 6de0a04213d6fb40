"""How far two samples overlap: density ratios with their effective size, and rows beyond the reference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import FloatArray
from backstay.maths.clusters import Clusters
from backstay.maths.logistic import Logistic, newton

DOMAIN_DIMENSIONS = 32
DISTANCE_DIMENSIONS = 64
REFERENCE_CAP = 2000
TARGET_CAP = 1000
NEIGHBOURS = 5
FOLDS = 4
LEAST_GROUPS = 20
CLIP = 0.995
DOMAIN_RIDGE = 10.0
# A refit that begins at the fit ends at a Newton step this small: what is left is its square.
SETTLED = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Overlap:
    """Out-of-fold log-odds of "this row is a target row", of both samples, and the share of target rows beyond.

    `scale` is what puts these log-odds right when each row counts once.
    """

    reference_odds: FloatArray
    target_odds: FloatArray
    outlier_share: float
    scale: FloatArray

    @staticmethod
    def of(reference_odds: FloatArray, target_odds: FloatArray, outlier_share: float) -> Overlap:
        scale = _rescaled(reference_odds, target_odds, np.ones(len(reference_odds)), np.ones(len(target_odds)), None)
        return Overlap(reference_odds, target_odds, outlier_share, scale)

    def weights(self, reference_times: FloatArray, target_times: FloatArray, power: float = 1.0) -> FloatArray:
        """Density ratio of each reference row (mean 1), to a power, when rows count as often as `times` says.

        A penalised classifier is too timid and an overfitted one too bold: one more fit, on rows that it had not
        seen, puts its log-odds on the right scale.
        """
        beta = _rescaled(self.reference_odds, self.target_odds, reference_times, target_times, self.scale)
        ratio = np.exp(np.clip(power * max(beta[1], 0.0) * self.reference_odds, -30.0, 30.0))
        ratio = np.minimum(ratio, np.quantile(ratio, CLIP))
        return np.asarray(ratio / ratio.mean())

    @property
    def ess_ratio(self) -> float:
        """Effective share of reference rows that resemble the target: (sum w)^2 / (n sum w^2)."""
        weights = self.weights(np.ones(len(self.reference_odds)), np.ones(len(self.target_odds)))
        return float(1.0 / np.mean(weights**2))


def measure_overlap(
    reference: FloatArray,
    target: FloatArray,
    reference_extra: FloatArray,
    target_extra: FloatArray,
    grouping: Clusters,
    rng: np.random.Generator,
) -> Overlap:
    """Compare rows [n, d] and [m, d]; `extra` is one more column for the density ratio (the model's confidence).

    Raises BackstayError for a reference of fewer than 20 groups: how far apart groups lie, and what a reference of
    others would have said, is then not known.
    """
    if grouping.count < LEAST_GROUPS:
        raise BackstayError(
            f"the labelled reference rows are of {grouping.count} groups, which cannot stand for others",
            fix=f"give reference rows of at least {LEAST_GROUPS} groups",
        )
    centre, axes = _principal(reference)
    known, live = (reference - centre) @ axes, (target - centre) @ axes
    odds = _domain_odds(_described(known, reference_extra), _described(live, target_extra), grouping, rng)
    return Overlap.of(*odds, _outlier_share(known, live, grouping, rng))


def _rescaled(
    reference: FloatArray,
    target: FloatArray,
    reference_times: FloatArray,
    target_times: FloatArray,
    start: FloatArray | None,
) -> FloatArray:
    """Intercept and slope of "is a target row" on the log-odds of both samples."""
    odds = np.concatenate([reference, target])
    is_target = np.repeat([0.0, 1.0], [len(reference), len(target)])
    times = np.concatenate([reference_times, target_times])
    settled = 1e-7 if start is None else SETTLED
    return newton(np.column_stack([np.ones(len(odds)), odds]), is_target, times, 0.0, start, 12, settled)


def _principal(rows: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Centre [d] and the leading principal directions [d, <=64] of the reference."""
    centre = rows.mean(axis=0)
    values, vectors = np.linalg.eigh((rows - centre).T @ (rows - centre) / len(rows))
    kept = min(DISTANCE_DIMENSIONS, int(np.sum(values > 1e-9 * max(float(values[-1]), 1e-300))) or 1)
    return centre, np.ascontiguousarray(vectors[:, ::-1][:, :kept])


def _described(rows: FloatArray, extra: FloatArray) -> FloatArray:
    """Leading directions, distance from the centre (a change of spread is a change too), and the extra column."""
    distance = np.sqrt(np.sum(rows**2, axis=1))
    return np.column_stack([rows[:, :DOMAIN_DIMENSIONS], distance, extra])


def _domain_odds(
    known: FloatArray, live: FloatArray, grouping: Clusters, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Log-odds of being a target row, from a classifier that has seen neither the row nor its group."""
    folds = rng.permutation(np.arange(grouping.count) % FOLDS)[grouping.codes]
    live_folds = rng.permutation(np.arange(len(live)) % FOLDS)
    odds, live_odds = np.zeros(len(known)), np.zeros(len(live))
    for fold in range(FOLDS):
        out, live_out = folds == fold, live_folds == fold
        x = np.vstack([known[~out], live[~live_out]])
        y = np.repeat([0, 1], [int(np.sum(~out)), int(np.sum(~live_out))])
        if not out.any() or not live_out.any() or len(np.unique(y)) < 2:
            continue
        model = Logistic.fit(x, y, ridge=DOMAIN_RIDGE, classes=2)
        odds[out], live_odds[live_out] = model.decision(known[out])[:, 0], model.decision(live[live_out])[:, 0]
    return odds, live_odds


def _outlier_share(known: FloatArray, live: FloatArray, grouping: Clusters, rng: np.random.Generator) -> float:
    """Share of live rows whose mean distance to their nearest reference rows exceeds the reference's own 99%."""
    codes = grouping.codes
    if len(known) > REFERENCE_CAP:
        chosen = rng.choice(len(known), REFERENCE_CAP, replace=False)
        known, codes = known[chosen], codes[chosen]
    if len(live) > TARGET_CAP:
        live = live[rng.choice(len(live), TARGET_CAP, replace=False)]
    own = _squared_distances(known, known)
    # Rows of one group are copies of a kind: counting them as neighbours would make every new group an outlier.
    own[codes[:, None] == codes[None, :]] = np.inf
    limit = np.quantile(_nearest(own), 0.99)
    return float(np.mean(_nearest(_squared_distances(live, known)) > limit))


def _squared_distances(a: FloatArray, b: FloatArray) -> FloatArray:
    squares = np.sum(a**2, axis=1)[:, None] + np.sum(b**2, axis=1)[None, :] - 2.0 * (a @ b.T)
    return np.asarray(np.maximum(squares, 0.0))


def _nearest(squares: FloatArray) -> FloatArray:
    k = min(NEIGHBOURS, squares.shape[1] - 1)
    return np.asarray(np.sqrt(np.partition(squares, k - 1, axis=1)[:, :k]).mean(axis=1))
