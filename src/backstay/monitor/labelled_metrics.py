"""The metrics that the gate's policy reads, beside accuracy, by labels: prediction-powered, and at every look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import numpy as np

from backstay.kernel.records import Estimate, Interval, Json
from backstay.maths.arrays import AnyArray, IntArray
from backstay.maths.labelfree_metrics import ClassChances
from backstay.maths.ppi_auc import ppi_auc
from backstay.maths.ppi_metrics import (
    COUNTED,
    Answered,
    PpiMetric,
    confusion_sequence,
    metric_sequence,
    ppi_confusion,
    ppi_metric,
)
from backstay.monitor.error_model import MOST_ROWS
from backstay.monitor.estimate import CONTRADICTION_LEVEL, LABEL_ASSUMPTION, LEAST_FOR_CHANCES, LEAST_FOR_PPI
from backstay.monitor.label_free import draw_rows
from backstay.monitor.memory import MOST_CHANCES, LabelPoint, Memory
from backstay.monitor.metric_estimates import asked, positions, reference_truth
from backstay.monitor.newest import groups_of, in_proportion, newest_labels
from backstay.monitor.reference import Reference
from backstay.monitor.row_memory import RowMemory, RowPool
from backstay.monitor.traffic import LabelledRow, WindowData
from backstay.settings import Settings

METHODS = {
    "auc": "PPI++ of pairs, t on the logit",
    "ratio": "PPI++ of a ratio, exact on the effective n",
    "mean": "PPI++ of ratios, exact on the effective n, MOVER",
}
ALONE = {"auc": "DeLong, t on the logit", "ratio": "exact", "mean": "exact by class, MOVER"}


def remember_answers(seen: RowMemory, window: WindowData, reference: Reference, settings: Settings) -> RowMemory:
    """With the answers and scores of the newly labelled rows, and of (at most 1,000 of) the window's.

    Of a labelled row: true class, answer, scores; of the others: answer, scores. Nothing where no figure by class is
    asked for.
    """
    if not asked(settings) or not reference.of_classes:
        return seen
    labelled = {}
    for row in window.labels:
        if row.representative and (numbers := _numbers(row, reference)) is not None:
            labelled[row.label.prediction_id] = numbers
    rows = np.column_stack(
        [positions(window.predicted, reference.classes), *([] if window.scores is None else [window.scores])]
    )
    whole = np.flatnonzero(np.all(np.isfinite(rows), axis=1))
    chosen = draw_rows(whole, MOST_CHANCES, f"pool {window.start.isoformat()}")
    return seen.add(_kind(reference), labelled, RowPool.of(window.start, rows[chosen].astype(np.float64)))


def from_labels_by_metric(
    memory: Memory, reference: Reference, settings: Settings, accuracy: Estimate | None
) -> tuple[Estimate, ...]:
    """One estimate a metric that the policy asks for, of the labels that `from_labels` reads; none before the first.

    Args:
        memory: as estimates read it. accuracy: by the same labels; what is told of these is told of each metric.
    """
    names, rows = asked(settings), _rows(memory, reference)
    if not names or rows is None or accuracy is None:
        return ()
    confusion = _confusion(rows, reference)
    return tuple(_told(name, rows, accuracy, confusion) for name in names)


def primary_of(estimates: Sequence[Estimate], settings: Settings) -> Estimate | None:
    """What labels say of the figure that this project goes by, where that is not accuracy and they can say it.

    Of a regression it is the mean error; of classes what the first rule compares a challenger by with the live model.
    """
    compared = [rule.metric for rule in settings.gate.rules if rule.rule == "no_worse_than_champion"]
    told = (e for e in estimates if e.kind != "label-free" and e.metric != "accuracy")
    known = {e.metric: e for e in told if e.value is not None}
    return next((known[name] for name in ("mae", *compared[:1]) if name in known), None)


class _Rows(NamedTuple):
    """Labelled rows with their true classes and groups, rows of the pool, and the number of classes."""

    truth: IntArray
    labelled: Answered
    pool: Answered
    groups: AnyArray | None
    classes: int


def _rows(memory: Memory, reference: Reference) -> _Rows | None:
    seen = memory.rows_seen
    every, windows = newest_labels(memory)
    points = [point for point in every if point.prediction_id in seen.labelled]
    if not points or seen.kind != _kind(reference):
        return None
    table = np.asarray([seen.labelled[point.prediction_id] for point in points])
    pool = _pool(seen, points, {window.start: window.end for window in windows}, table.shape[1] - 1)
    scored = table.shape[1] > 2
    model = _model(reference) if scored and len(points) >= LEAST_FOR_PPI and len(pool) else None

    def answered(rows: AnyArray) -> Answered:
        scores = rows[:, 1:] if scored else None
        chances = None if model is None or scores is None else model.of(scores)
        return Answered(rows[:, 0].astype(np.int64), chances, scores)

    truth = table[:, 0].astype(np.int64)
    return _Rows(truth, answered(table[:, 1:]), answered(pool), groups_of(points), len(reference.classes))


def _pool(seen: RowMemory, points: Sequence[LabelPoint], ends: Mapping[datetime, datetime], width: int) -> AnyArray:
    samples = [pool for pool in seen.pools if pool.start in ends and pool.rows.shape[1] == width]
    taken = in_proportion([len(p.rows) for p in samples], [ends[p.start] for p in samples], points)
    return np.concatenate([p.rows[rows] for p, rows in zip(samples, taken, strict=True)] or [np.empty((0, width))])


def _model(reference: Reference) -> ClassChances | None:
    """The chance of each class from scores; None where the true classes of too few reference rows are known."""
    truth = reference_truth(reference)
    if truth is None or reference.scores is None:
        return None
    usable = np.intersect1d(reference.labelled, np.flatnonzero(truth >= 0))
    known = draw_rows(usable, MOST_ROWS, "metrics reference")
    if len(known) < LEAST_FOR_CHANCES or len(np.unique(truth[known])) < len(reference.classes):
        return None
    return ClassChances.fit(reference.scores[known], truth[known])


def _told(name: str, rows: _Rows, accuracy: Estimate, confusion: Json) -> Estimate:
    found, wide = (_of(name, rows, level) for level in (0.95, CONTRADICTION_LEVEL))
    kind = "labels" if rows.labelled.chances is None else "ppi"
    figures = {key: accuracy.figures[key] for key in ("right", "drawn", "from", "to", "days")} | confusion
    if found.value is None or found.low is None or found.high is None:
        return Estimate(
            kind, name, None, None, accuracy.n, LABEL_ASSUMPTION, found.reasons, labels=found.n, figures=figures
        )
    several = rows.classes > 2 or name == "balanced_accuracy"
    form = "auc" if name == "auc" else "mean" if several else "ratio"
    return Estimate(
        kind=kind,
        metric=name,
        value=found.value,
        interval=Interval(found.low, found.high, 0.95, (ALONE if kind == "labels" else METHODS)[form]),
        n=accuracy.n,
        assumption=LABEL_ASSUMPTION,
        labels=found.n,
        # Half the width takes four times the labels.
        labels_needed=3 * found.n,
        figures={
            **figures,
            "trust": found.lam,
            "low_99": wide.low,
            "high_99": wide.high,
            **_anytime(name, rows),
        },
    )


def _of(name: str, rows: _Rows, level: float) -> PpiMetric:
    if name == "auc":
        return ppi_auc(rows.truth, rows.labelled, rows.pool, rows.classes, rows.groups, level)
    return ppi_metric(name, rows.truth, rows.labelled, rows.pool, rows.classes, rows.groups, level)


def _anytime(name: str, rows: _Rows) -> Json:
    """Limits that hold at every look; none of the AUC, whose pairs are no independent witnesses, nor of groups."""
    if name not in COUNTED or not _alone(rows):
        return {}
    bounds = metric_sequence(name, rows.truth, rows.labelled.answers, rows.classes)
    return {} if bounds is None else {"anytime_low": bounds.low, "anytime_high": bounds.high}


def _alone(rows: _Rows) -> bool:
    """Whether each labelled row is a witness of its own."""
    return rows.groups is None or len(np.unique(rows.groups)) == len(rows.truth)


def _confusion(rows: _Rows, reference: Reference) -> Json:
    """Shares of all rows, by true class (first) and answer, with limits; none of more classes than are read."""
    found = ppi_confusion(rows.truth, rows.labelled, rows.pool, rows.classes, rows.groups)
    if found is None:
        return {}
    tables = {"value": found.value, "low": found.low, "high": found.high}
    if _alone(rows):
        limits = confusion_sequence(rows.truth, rows.labelled.answers, rows.classes)
        tables |= {"anytime_low": limits[0], "anytime_high": limits[1]}
    return {
        "classes": list(reference.classes),
        "confusion": {side: np.round(table, 5).tolist() for side, table in tables.items()},
    }


def _numbers(row: LabelledRow, reference: Reference) -> tuple[float, ...] | None:
    truth, answer = positions(np.asarray([row.label.value, row.predicted], dtype=object), reference.classes)
    if reference.scores is None:
        return float(truth), float(answer)
    if row.scores is None or len(row.scores) != reference.scores.shape[1] or not np.all(np.isfinite(row.scores)):
        return None
    return float(truth), float(answer), *row.scores


def _kind(reference: Reference) -> str:
    return f"classes {list(reference.classes)}"
