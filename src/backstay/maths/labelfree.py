"""Accuracy without labels, or the reasons why not.

p(correct) is calibrated on labelled reference rows (Platt's map on the top score's logit and the margin, bent at three
places where rows are enough), with rows weighted as the target has them (a domain classifier's density ratio,
clipped): the PAPE construction (Bialek et al. 2024). The interval resamples reference and target, refits the
calibrator, and adds the chance of each row being right or wrong. It is valid only while P(correct | x) is unchanged:
under a changed meaning of labels every such estimator is wrong by as much as the change, with intervals that cover
nothing (docs/statistics/estimates.md). So it refuses where it can see that the assumption of overlap failed, and must
be read beside labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, ndtri

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import AnyArray, FloatArray, fraction, indicators, matrix, same_length
from backstay.maths.clusters import Clusters, clusters
from backstay.maths.intervals import Bounds
from backstay.maths.logistic import newton
from backstay.maths.overlap import SETTLED, Overlap, measure_overlap

LEAST_ESS = 0.2
MOST_OUTLIERS = 0.05
LEAST_LABELS = 500
LEAST_TARGET = 30
# A linear domain classifier sees part of a shift, or overstates it; without this range of exponents intervals cover
# 83% at an effective share of .28 in 64 dimensions.
POWERS = (0.5, 2.0)
# From so many reference rows on, and so many of the rarer outcome, the map from a logit to a chance may bend at these
# quantiles of the reference: a straight one put the AUC of a year's held-out rows .0012 too low, a bent one .0003
# (employment_ma, 2015 alone).
BENT_FROM, BENT_RARER = 5000, 500
BENDS = (0.05, 0.5, 0.95)
ASSUMPTION = "valid only if the chance of being right, given the input, has not changed"


@dataclass(frozen=True, slots=True)
class LabelFree:
    """The estimate and its interval, or None and the `reasons` for refusing.

    `ess_ratio` is the effective share of reference rows that resemble the target (refused below .2),
    `outlier_share` the share of target rows farther from the reference than 99% of its own rows (expected .01,
    refused above .05), `n` the target rows, `n_reference` the labelled ones.
    """

    estimate: float | None
    low: float | None
    high: float | None
    ess_ratio: float
    outlier_share: float
    n: int
    n_reference: int
    reasons: tuple[str, ...]


def estimate_accuracy(
    reference_scores: FloatArray,
    reference_correct: FloatArray,
    reference_inputs: FloatArray,
    target_scores: FloatArray,
    target_inputs: FloatArray,
    *,
    rng: np.random.Generator,
    reference_groups: AnyArray | None = None,
    target_groups: AnyArray | None = None,
    draws: int = 200,
    level: float = 0.95,
) -> LabelFree:
    """Estimate the mean correctness of the target rows.

    Args: scores [n, k] are class probabilities, or [n] the confidence in the predicted class; `reference_correct`
    [n] is 0/1 on rows that the model was not trained on; inputs [n, d] are embeddings, or raw columns on
    comparable scales. Groups mark dependent rows.
    """
    correct = indicators(reference_correct, "reference correctness")
    reference, target = _designs(reference_scores, target_scores, correct)
    known, live = matrix(reference_inputs, "reference inputs"), matrix(target_inputs, "target inputs")
    same_length(reference, known, "reference scores and inputs")
    same_length(target, live, "target scores and inputs")
    fraction(level, "the level")
    if known.shape[1] != live.shape[1]:
        raise BackstayError("reference and target have different columns", fix="give both from one model and space")
    grouping, live_grouping = clusters(reference_groups, len(known)), clusters(target_groups, len(live))
    overlap = measure_overlap(known, live, reference[:, 1], target[:, 1], grouping, rng)
    reasons = refusals(len(correct), len(target), overlap)
    bounds: tuple[float | None, float | None, float | None] = (None, None, None)
    if not reasons:
        bounds = _estimate(reference, correct, overlap, target, grouping, live_grouping, rng, draws, level)
    return LabelFree(*bounds, overlap.ess_ratio, overlap.outlier_share, len(target), len(correct), reasons)


def predict_correct(
    reference_scores: FloatArray,
    reference_correct: FloatArray,
    target_scores: FloatArray,
    weights: FloatArray | None = None,
) -> FloatArray:
    """Calibrated chance [n] that each target row is right: the `f` of prediction-powered inference."""
    correct = indicators(reference_correct, "reference correctness")
    reference, target = _designs(reference_scores, target_scores, correct)
    weight = np.ones(len(correct)) if weights is None else weights
    return np.asarray(expit(target @ calibrate(reference, correct, weight, None)))


def _estimate(
    reference: FloatArray,
    correct: FloatArray,
    overlap: Overlap,
    target: FloatArray,
    grouping: Clusters,
    live: Clusters,
    rng: np.random.Generator,
    draws: int,
    level: float,
) -> tuple[float, float, float]:
    beta = calibrate(reference, correct, overlap.weights(np.ones(len(reference)), np.ones(len(target))), None)
    chances = expit(target @ beta)
    estimate = float(chances.mean())
    replicates = np.empty(draws)
    for draw in range(draws):
        known_times, times = multiplicity(grouping, rng), multiplicity(live, rng)
        weights = known_times * overlap.weights(known_times, times, rng.uniform(*POWERS))
        again = expit(target @ calibrate(reference, correct, weights, beta))
        luck = float(np.sqrt(times @ (again * (1.0 - again)))) / times.sum()
        replicates[draw] = float(times @ again) / times.sum() + luck * rng.standard_normal()
    low, high = spanned(estimate, replicates, level)
    return estimate, max(0.0, low), min(1.0, high)


def spanned(estimate: float, replicates: FloatArray, level: float) -> Bounds:
    """The wider of percentiles and normal limits on each side: a hundred draws make poor percentiles."""
    low, high = np.quantile(replicates, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    half = float(ndtri((1.0 + level) / 2.0) * replicates.std(ddof=1))
    return Bounds(min(float(low), estimate - half), max(float(high), estimate + half))


def calibrate(design: FloatArray, correct: FloatArray, weights: FloatArray, start: FloatArray | None) -> FloatArray:
    """Weighted Platt fit with smoothed targets; weights are scaled to their effective sum."""
    total = weights.sum()
    scaled = weights * (total / np.sum(weights**2))
    right = float(scaled @ correct)
    wrong = float(scaled.sum() - right)
    targets = np.where(correct > 0, (right + 1.0) / (right + 2.0), 1.0 / (wrong + 2.0))
    return newton(design, targets, scaled, 1e-2, start, 12, 1e-7 if start is None else SETTLED)


def multiplicity(grouping: Clusters, rng: np.random.Generator) -> FloatArray:
    """How often each row is drawn in one resample of whole groups: [rows]."""
    count = grouping.count
    times = np.bincount(rng.integers(0, count, count), minlength=count).astype(np.float64)
    return np.asarray(times[grouping.codes])


def bends(logits: FloatArray, outcome: FloatArray) -> FloatArray:
    """Where the map from logits [n] to the chance of an outcome (0 or 1, [n]) may bend: nowhere if rows are few."""
    rarer = min(float(outcome.sum()), len(outcome) - float(outcome.sum()))
    if len(logits) < BENT_FROM or rarer < BENT_RARER:
        return np.empty(0)
    return np.unique(np.quantile(logits, BENDS))


def bent(logits: FloatArray, places: FloatArray) -> FloatArray:
    """Columns of a map that is a straight line of the logits [n] and bends at so many places: [n, 2 + places]."""
    return np.column_stack([np.ones(len(logits)), logits, *(np.maximum(logits - place, 0.0) for place in places)])


def _designs(reference: FloatArray, target: FloatArray, correct: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Of both samples 1, the logit of the top score (bent), and for three classes or more log of top over second."""
    known, live = _confidences(reference), _confidences(target)
    if known.shape[1] != live.shape[1]:
        raise BackstayError("reference and target have different columns", fix="give both from one model and space")
    same_length(known, correct, "reference scores and correctness")
    places = bends(known[:, 0], correct)
    first, second = (np.column_stack([bent(rows[:, 0], places), rows[:, 1:]]) for rows in (known, live))
    return first, second


def _confidences(scores: FloatArray) -> FloatArray:
    """[n, 1 or 2]: the logit of the top score and, for three classes or more, log of top over second."""
    table = np.clip(matrix(scores, "scores"), 1e-6, 1.0 - 1e-6)
    columns = table.shape[1]
    ordered = np.partition(table, columns - 2, axis=1) if columns > 1 else table
    top = ordered[:, -1]
    design = [np.log(top / (1.0 - top))]
    if columns > 2:
        design.append(np.log(top / ordered[:, -2]))
    return np.column_stack(design)


def refusals(labelled: int, target: int, overlap: Overlap) -> tuple[str, ...]:
    """Why nothing can be estimated without labels; empty where it can."""
    found = []
    if labelled < LEAST_LABELS:
        found.append(f"only {labelled} labelled reference rows: at least {LEAST_LABELS} are needed")
    if target < LEAST_TARGET:
        found.append(f"only {target} rows to estimate for: at least {LEAST_TARGET} are needed")
    if overlap.ess_ratio < LEAST_ESS:
        found.append(
            f"only {overlap.ess_ratio:.0%} of the reference is like these rows: at least {LEAST_ESS:.0%} is needed"
        )
    if overlap.outlier_share > MOST_OUTLIERS:
        found.append(
            f"{overlap.outlier_share:.0%} of the rows are farther from the reference than 99% of its own "
            f"(1% expected, {MOST_OUTLIERS:.0%} allowed)"
        )
    return tuple(found)
