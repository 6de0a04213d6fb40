"""A mean loss without labels: the absolute error of a regression, the hits of a search, whatever is known row by row.

The loss of a row is predicted from what describes it (the prediction and its inputs; the scores of a result list), by a
weighted ridge fit on reference rows whose loss is known: logistic for losses of 0 and 1, linear for others. Weights are
density ratios of target over reference, and the interval resamples both, refits, and adds the luck of single rows, as
in `labelfree`, with the same refusals.

For retrieval `result_lists` describes a query by its result scores (best, gaps, means, spread): the query-performance
predictors that transfer within one collection. Sources: Bialek et al. 2024; direct loss estimation (Kivimaki et al.
2025); for queries Shtok et al. 2012. Valid only while the loss, given the description, is as it was: where relevance
changed for 30% of queries the estimate was 16 to 24 points wrong. Fit it for each collection; say it of many rows
together, never of one; keep judged queries beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import AnyArray, FloatArray, fraction, matrix, same_length, vector
from backstay.maths.clusters import clusters
from backstay.maths.labelfree import POWERS, LabelFree, multiplicity, refusals, spanned
from backstay.maths.logistic import newton
from backstay.maths.overlap import Overlap, measure_overlap

RIDGE = 1.0
# Standardised descriptions beyond this are not extrapolated to.
CLIP = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class Described:
    """Rows of one sample: descriptions [n, p] that a loss is told by, inputs [n, d], groups of dependent rows."""

    descriptions: FloatArray
    inputs: FloatArray
    groups: AnyArray | None = None


def estimate_loss(
    reference: Described,
    losses: FloatArray,
    target: Described,
    *,
    rng: np.random.Generator,
    draws: int = 100,
    level: float = 0.95,
) -> LabelFree:
    """Estimate the mean loss of the target rows.

    Args: `losses` [n] of reference rows that the model was not trained on, 0 or more. Losses that are all 0 or 1 are
    taken as chances; the interval then stays within 0 and 1.
    """
    known, live = matrix(reference.descriptions, "reference descriptions"), matrix(target.descriptions, "descriptions")
    values = vector(losses, "the losses")
    same_length(known, values, "reference descriptions and losses")
    fraction(level, "the level")
    if known.shape[1] != live.shape[1] or np.any(values < 0.0):
        raise BackstayError(
            "losses below 0, or other descriptions", fix="give losses of at least 0, and one form of both"
        )
    grouping, live_grouping = clusters(reference.groups, len(known)), clusters(target.groups, len(live))
    inputs, live_inputs = matrix(reference.inputs, "reference inputs"), matrix(target.inputs, "target inputs")
    overlap = measure_overlap(inputs, live_inputs, known[:, 0], live[:, 0], grouping, rng)
    reasons = refusals(len(known), len(live), overlap)
    if reasons:
        return LabelFree(None, None, None, overlap.ess_ratio, overlap.outlier_share, len(live), len(known), reasons)
    fit = _Fit(*_designs(known, live), values, overlap)
    estimate = float(fit.losses(np.ones(len(known)), np.ones(len(live)), 1.0)[0].mean())
    replicates = np.empty(draws)
    for draw in range(draws):
        times, live_times = multiplicity(grouping, rng), multiplicity(live_grouping, rng)
        again, variance = fit.losses(times, live_times, rng.uniform(*POWERS))
        luck = float(np.sqrt(live_times @ variance)) / live_times.sum()
        replicates[draw] = float(live_times @ again) / live_times.sum() + luck * rng.standard_normal()
    low, high = spanned(estimate, replicates, level)
    top = 1.0 if fit.binary else np.inf
    return LabelFree(
        min(max(estimate, 0.0), top),
        max(0.0, low),
        min(top, high),
        overlap.ess_ratio,
        overlap.outlier_share,
        len(live),
        len(known),
        (),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    """Designs of reference and target, the known losses, and how much reference rows resemble the target."""

    design: FloatArray
    live: FloatArray
    values: FloatArray
    overlap: Overlap

    @property
    def binary(self) -> bool:
        return bool(np.all((self.values == 0.0) | (self.values == 1.0)))

    def losses(self, times: FloatArray, live_times: FloatArray, power: float) -> tuple[FloatArray, FloatArray]:
        """Predicted loss and its variance for each target row [m], where rows count as often as `times` say."""
        weights = times * self.overlap.weights(times, live_times, power)
        weights = weights * (weights.sum() / np.sum(weights**2))
        if self.binary:
            chances = expit(self.live @ newton(self.design, self.values, weights, RIDGE, steps=12))
            return chances, chances * (1.0 - chances)
        beta = _ridge(self.design, self.values, weights)
        residual = self.values - self.design @ beta
        variance = float(weights @ residual**2 / weights.sum())
        return np.asarray(self.live @ beta), np.full(len(self.live), variance)


@dataclass(frozen=True, slots=True, eq=False)
class ForeseenLoss:
    """The loss of a row by its description, as the reference had it: fitted there once, the `f` of `ppi_mean`."""

    centre: FloatArray
    scale: FloatArray
    beta: FloatArray

    @staticmethod
    def fit(descriptions: FloatArray, losses: FloatArray) -> ForeseenLoss:
        """From reference rows [n, p] that the model was not trained on, by an unweighted ridge fit.

        >>> rows = np.linspace(-1.0, 1.0, 200)[:, None]
        >>> ForeseenLoss.fit(rows, rows[:, 0] ** 2).of(np.array([[0.5]])).round(2).tolist()
        [0.25]
        """
        known, values = matrix(descriptions, "descriptions"), vector(losses, "the losses")
        same_length(known, values, "descriptions and losses")
        centre, scale = _standards(known)
        return ForeseenLoss(centre, scale, _ridge(_design(known, centre, scale), values, np.ones(len(values))))

    def of(self, descriptions: FloatArray) -> FloatArray:
        """Predicted losses [m], at least 0."""
        rows = matrix(descriptions, "descriptions")
        return np.asarray(np.maximum(_design(rows, self.centre, self.scale) @ self.beta, 0.0))


def _ridge(design: FloatArray, values: FloatArray, weights: FloatArray) -> FloatArray:
    penalty = np.full(design.shape[1], RIDGE)
    penalty[0] = 1e-9
    weighted = design * weights[:, None]
    return np.asarray(np.linalg.solve(weighted.T @ design + np.diag(penalty), weighted.T @ values), dtype=np.float64)


def _designs(known: FloatArray, live: FloatArray) -> tuple[FloatArray, FloatArray]:
    centre, scale = _standards(known)
    return _design(known, centre, scale), _design(live, centre, scale)


def _standards(known: FloatArray) -> tuple[FloatArray, FloatArray]:
    scale = known.std(axis=0)
    return known.mean(axis=0), np.where(scale > 1e-12, scale, np.inf)


def _design(rows: FloatArray, centre: FloatArray, scale: FloatArray) -> FloatArray:
    """Constant, standardised descriptions and their squares (an error often grows on both sides)."""
    z = np.clip((rows - centre) / scale, -CLIP, CLIP)
    return np.column_stack([np.ones(len(rows)), z, z**2])
