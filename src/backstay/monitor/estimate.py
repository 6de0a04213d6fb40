"""How accurate is the model now, by labels? As soon as there are some, with predictions to make the most of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from backstay.kernel.records import Estimate, Interval
from backstay.maths.arrays import AnyArray, FloatArray
from backstay.maths.intervals import (
    Bounds,
    bernoulli_sequence,
    clopper_pearson,
    proportion,
    proportion_effective_n,
)
from backstay.maths.labelfree import predict_correct
from backstay.maths.ppi import Ppi, labels_for_halfwidth, ppi_plus_plus
from backstay.maths.ppi_sequence import ppi_sequence
from backstay.monitor.conviction import CONVICTS, upper_of_labels
from backstay.monitor.label_free import MOST_REFERENCE_ROWS, draw_rows
from backstay.monitor.memory import MOST_CHANCES, MOST_LABELS, ChancePool, LabelPoint, Memory
from backstay.monitor.newest import groups_of, in_proportion, newest_labels
from backstay.monitor.reference import Reference
from backstay.monitor.traffic import LabelledRow, WindowData
from backstay.settings import Settings

# With fewer labels prediction-powered inference has nothing to learn its trust from.
LEAST_FOR_PPI = 20
LEAST_FOR_CHANCES = 50
# Labels contradict the label-free estimate when it lies outside an interval at this level.
CONTRADICTION_LEVEL = 0.99
METHODS = {"ppi": "PPI++, exact on the effective n", "labels": "exact"}
LABEL_ASSUMPTION = "the labelled rows were drawn at random from this traffic; nothing is assumed of the model"


@dataclass(frozen=True, slots=True, eq=False)
class ChanceModel:
    """Calibrated chance that an answer is right, from its scores; `gain` is the variance that it explains."""

    scores: FloatArray
    correct: FloatArray
    gain: float

    @staticmethod
    def fit(reference: Reference) -> ChanceModel | None:
        """None without scores, or with fewer than 50 rows of which the truth is known, or with none of one kind."""
        rows = draw_rows(reference.labelled, MOST_REFERENCE_ROWS, "chance model")
        if reference.scores is None or reference.correct is None or len(rows) < LEAST_FOR_CHANCES:
            return None
        scores, correct = reference.scores[rows], reference.correct[rows]
        spread = float(np.var(correct))
        if spread == 0.0:
            return None
        chances = predict_correct(scores, correct, scores)
        return ChanceModel(scores, correct, float(np.clip(1.0 - np.mean((correct - chances) ** 2) / spread, 0.0, 1.0)))

    def chances(self, scores: FloatArray) -> FloatArray:
        """[n] for scores [n, k]."""
        return predict_correct(self.scores, self.correct, np.asarray(scores, dtype=np.float64))


def label_points(rows: tuple[LabelledRow, ...], model: ChanceModel | None) -> tuple[LabelPoint, ...]:
    """What is remembered of the representative ones among newly labelled rows."""
    usable = [row for row in rows if row.representative]
    scored = [row for row in usable if row.scores is not None and np.all(np.isfinite(row.scores))]
    chances: dict[str, float] = {}
    if model is not None and scored:
        found = model.chances(np.asarray([row.scores for row in scored]))
        chances = {row.label.prediction_id: round(float(f), 6) for row, f in zip(scored, found, strict=True)}
    points = []
    for row in usable:
        key = row.label.prediction_id
        error = row.error if row.error is not None and np.isfinite(row.error) else None
        points.append(LabelPoint(key, row.predicted_at, row.correct, chances.get(key), row.label.group, error))
    return tuple(points)


def chance_pool(window: WindowData, model: ChanceModel | None) -> ChancePool:
    """Chances of (at most 1,000 of) the window's rows, for later labels to lean on."""
    if model is None or window.scores is None:
        return ChancePool(window.start, window.end, window.rows, ())
    whole = np.flatnonzero(np.all(np.isfinite(window.scores), axis=1))
    if len(whole) == 0:
        return ChancePool(window.start, window.end, window.rows, ())
    rows = draw_rows(whole, MOST_CHANCES, f"pool {window.start.isoformat()}")
    chances = tuple(round(float(f), 6) for f in model.chances(window.scores[rows]))
    return ChancePool(window.start, window.end, window.rows, chances)


def from_labels(memory: Memory, model: ChanceModel | None, alpha: float = 0.0) -> Estimate | None:
    """Accuracy from standing labels; None before the first label, and when none is left of what the memory keeps.

    It is of the newest windows that together hold 30 labels: at most a month of them, or the last two windows.
    Prediction-powered with 20 labels or more and scores; the exact interval of the labels alone otherwise. Labels of
    several windows count by their number, and so do the unlabelled rows beside them.

    Args:
        alpha: level of this look's limit that may call the model worse (`monitor.conviction`); 0 for none.
    """
    points, pools = newest_labels(memory)
    if not points:
        return None
    right = np.asarray([float(point.correct) for point in points])
    groups = groups_of(points)
    pool = _pooled(points, pools)
    # Rows from before the first window that is remembered may have labels: the span told is that of all that count.
    begun = min(pools[0].start, *(point.at for point in points))
    powered = model is not None and len(pool) > 0 and all(point.chance is not None for point in points)
    if powered and model is not None and len(points) >= LEAST_FOR_PPI:
        kind, ppi = "ppi", _powered(points, right, pool, model.gain, 0.95)
    else:
        kind, ppi = "labels", _plain(right)
    bounds = _widened(ppi, right, groups) if kind == "ppi" else proportion(right, groups)
    needed = _to_halve(ppi, bounds)
    contradicts = ""
    if kind == "ppi" and model is not None:
        wide = _powered(points, right, pool, model.gain, CONTRADICTION_LEVEL)
        contradicts = _contradiction(wide, right, groups, pool)
    return Estimate(
        kind=kind,
        metric="accuracy",
        value=ppi.estimate,
        interval=Interval(bounds.low, bounds.high, 0.95, METHODS[kind]),
        n=sum(part.rows for part in pools),
        assumption=LABEL_ASSUMPTION,
        labels=len(points),
        labels_needed=needed,
        figures={
            "right": int(right.sum()),
            "drawn": len(memory.labels) >= MOST_LABELS,
            "trust": ppi.lam,
            "design_effect": 1.0 if groups is None else len(points) / proportion_effective_n(right, groups),
            "n_effective": ppi.n_effective,
            "from": begun.isoformat(),
            "to": pools[-1].end.isoformat(),
            "days": (pools[-1].end - begun).total_seconds() / 86_400,
            "contradicts_label_free": contradicts,
            CONVICTS: upper_of_labels(right, groups, alpha),
            **_anytime(points, right, pool, pools, groups, powered),
        },
    )


def _anytime(
    points: tuple[LabelPoint, ...],
    right: FloatArray,
    pool: FloatArray,
    pools: tuple[ChancePool, ...],
    groups: AnyArray | None,
    powered: bool,
) -> dict[str, float]:
    """Limits that hold however often these labels were looked at while they came in; none where rows share groups."""
    if groups is not None and len(np.unique(groups)) < len(right):
        return {}
    bounds = bernoulli_sequence(float(right.sum()), len(right))
    # Where the mean of the predictions is known. Estimated from a sample it would cost more than predictions bring;
    # which of the two is read is settled by how the pool came to be, not by which is shorter.
    if powered and len(pools) == 1 and len(pool) == pools[0].rows and len(right) >= LEAST_FOR_PPI:
        chances = np.asarray([point.chance for point in points], dtype=np.float64)
        bounds = ppi_sequence(right, chances, pool, whole=True).last
    return {"anytime_low": bounds.low, "anytime_high": bounds.high}


def stale(memory: Memory, now: datetime, settings: Settings) -> tuple[str, ...]:
    """A refusal when the newest label (or, before any, the first row) is older than the settings allow.

    Where labels wait before they count, so much more is allowed.
    """
    age = label_age_days(memory, now)
    days = (now - memory.started).total_seconds() / 86_400 if age is None else age
    limit = settings.watch.maximum_label_age_days + settings.labels.maturity_days
    if days <= limit:
        return ()
    what = "no row has a label since the watch began," if age is None else "the newest labelled row is from"
    return (f"{what} {days:.0f} days ago: at most {limit:.0f} are allowed",)


def label_age_days(memory: Memory, now: datetime) -> float | None:
    """Days since the newest labelled prediction was made; None without labels."""
    if memory.newest_label is None:
        return None
    return max((now - memory.newest_label).total_seconds() / 86_400, 0.0)


def promised_halfwidth(reference: Reference, labels: int) -> float:
    """Half-width of the interval that so many labels would give at the reference's accuracy."""
    known = reference.accuracy()
    share = 0.9 if known is None else known.value
    return clopper_pearson(share * labels, labels).width / 2.0


def _powered(points: tuple[LabelPoint, ...], right: FloatArray, pool: FloatArray, gain: float, level: float) -> Ppi:
    chances = np.asarray([point.chance for point in points], dtype=np.float64)
    return ppi_plus_plus(right, chances, pool, reference_gain=gain, level=level)


def _plain(right: FloatArray) -> Ppi:
    """The labels alone, in the form of PPI with no trust in predictions."""
    low, high = clopper_pearson(float(right.sum()), len(right))
    return Ppi(float(right.mean()), low, high, 0.0, len(right), float(len(right)), 0.95)


def _pooled(points: tuple[LabelPoint, ...], pools: tuple[ChancePool, ...]) -> FloatArray:
    """Unlabelled chances from each window in proportion to its labels, so that both describe the same traffic."""
    filled = [pool for pool in pools if pool.chances]
    taken = in_proportion([len(pool.chances) for pool in filled], [pool.end for pool in filled], points)
    return np.concatenate([np.asarray(p.chances)[rows] for p, rows in zip(filled, taken, strict=True)] or [np.empty(0)])


def _widened(ppi: Ppi, right: FloatArray, groups: AnyArray | None) -> Bounds:
    """The interval, wider where labelled rows share groups: by the design effect of the labels."""
    if groups is None or len(np.unique(groups)) == len(right):
        return Bounds(ppi.low, ppi.high)
    factor = float(np.sqrt(max(len(right) / proportion_effective_n(right, groups), 1.0)))
    low = ppi.estimate - (ppi.estimate - ppi.low) * factor
    return Bounds(max(low, 0.0), min(ppi.estimate + (ppi.high - ppi.estimate) * factor, 1.0))


def _to_halve(ppi: Ppi, bounds: Bounds) -> int:
    """Labels beyond those given that would halve the interval."""
    half = min(bounds.width / 4.0, 0.49)
    if half <= 1e-6:
        return 0
    wide = replace(ppi, n_effective=ppi.n_effective * min((ppi.high - ppi.low) / max(bounds.width, 1e-12), 1.0) ** 2)
    return max(labels_for_halfwidth(wide, half) - ppi.n, 0)


def _contradiction(ppi: Ppi, right: FloatArray, groups: AnyArray | None, pool: FloatArray) -> str:
    """Why labels contradict what the scores promise for the same traffic, or ""."""
    low, high = _widened(ppi, right, groups)
    promised = float(pool.mean())
    if low <= promised <= high:
        return ""
    return (
        f"labels put the accuracy between {low:.1%} and {high:.1%} where scores alone promise {promised:.1%}: "
        "being right no longer goes with the scores as it did"
    )
