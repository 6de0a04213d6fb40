"""How far off the numbers of a regression are, by labels: the mean absolute error, helped by what inputs foretell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from backstay.kernel.records import Estimate, Interval, Json
from backstay.maths.arrays import AnyArray, FloatArray
from backstay.maths.intervals import Bounds
from backstay.maths.ppi_mean import PpiMean, loss_sequence, ppi_mean
from backstay.maths.sequences import MeanSequence
from backstay.monitor.error_model import ErrorModel
from backstay.monitor.estimate import CONTRADICTION_LEVEL, LABEL_ASSUMPTION, LEAST_FOR_PPI
from backstay.monitor.label_free import draw_rows
from backstay.monitor.memory import MOST_CHANCES, LabelPoint, Memory
from backstay.monitor.newest import groups_of, in_proportion, newest_labels
from backstay.monitor.row_memory import RowMemory, RowPool
from backstay.monitor.traffic import WindowData

KIND = "errors"
# With fewer labels the mean of real errors has no interval to be believed.
LEAST_FOR_MEAN = 10
# The largest error that limits at every look speak of: so many times what nine in ten were within on the reference.
# Of normal errors that is eight standard deviations.
BOUND = 5.0
METHODS = {"ppi": "PPI++, t on the logarithm", "labels": "t on the logarithm"}


def remember_errors(seen: RowMemory, window: WindowData, model: ErrorModel | None) -> RowMemory:
    """With the predicted errors of the newly labelled rows, and of (at most 1,000 of) the window's."""
    if model is None:
        return seen
    chosen = draw_rows(np.arange(len(window)), MOST_CHANCES, f"pool {window.start.isoformat()}")
    found = model.of(window, chosen)
    pool = None if found is None else RowPool.of(window.start, found[np.isfinite(found), None])
    return seen.add(KIND, _of_labelled(window, model), pool)


def _of_labelled(window: WindowData, model: ErrorModel) -> Mapping[str, tuple[float, ...]]:
    rows = window.answered
    if rows is None:
        return {}
    wanted = {row.label.prediction_id for row in window.labels if row.representative}
    chosen = np.asarray([place for place, key in enumerate(rows.ids) if str(key) in wanted], dtype=np.int64)
    found = model.of(rows, chosen) if len(chosen) else None
    if found is None:
        return {}
    return {str(rows.ids[i]): (float(f),) for i, f in zip(chosen, found, strict=True) if np.isfinite(f)}


def mae_from_labels(memory: Memory, limit: float | None = None) -> Estimate | None:
    """Mean absolute error from the standing labels that `from_labels` reads, in the target's unit; None for classes.

    Args:
        limit: how near nine in ten answers were to the truth on the reference; None for no limits at every look.
    """
    points, pools = newest_labels(memory)
    errors = np.asarray([np.nan if point.error is None else point.error for point in points], dtype=np.float64)
    if len(points) < LEAST_FOR_MEAN or not np.all(np.isfinite(errors)):
        return None
    groups = groups_of(points)
    if groups is not None and len(np.unique(groups)) < 2:
        return None
    foreseen, pool, whole = _foreseen(memory, points)
    powered = foreseen is not None and len(points) >= LEAST_FOR_PPI
    found, wide = (
        ppi_mean(errors, foreseen, pool, groups, level) if powered else ppi_mean(errors, None, None, groups, level)
        for level in (0.95, CONTRADICTION_LEVEL)
    )
    kind = "ppi" if powered else "labels"
    return Estimate(
        kind=kind,
        metric="mae",
        value=found.value,
        interval=Interval(found.low, found.high, 0.95, METHODS[kind]),
        n=sum(part.rows for part in pools),
        assumption=LABEL_ASSUMPTION,
        labels=len(points),
        # Half the width takes four times the labels.
        labels_needed=3 * len(points),
        figures={
            "trust": found.lam,
            **_limits(wide),
            **_anytime(errors, foreseen if powered else None, pool if whole else None, groups, limit),
        },
    )


def _limits(wide: PpiMean) -> Json:
    """What must not exclude the estimate without labels."""
    return {"low_99": wide.low, "high_99": wide.high}


def _foreseen(memory: Memory, points: Sequence[LabelPoint]) -> tuple[FloatArray | None, FloatArray | None, bool]:
    """Predicted errors of labelled rows and of the rows beside them, and whether these are all of one window."""
    seen = memory.rows_seen
    found = [seen.labelled.get(point.prediction_id) for point in points]
    pools = {pool.start: pool.rows[:, 0] for pool in seen.pools} if seen.kind == KIND else {}
    windows = [window for window in newest_labels(memory)[1] if window.start in pools]
    known = [values[0] for values in found if values is not None]
    if seen.kind != KIND or len(known) < len(found) or not windows:
        return None, None, False
    samples = [pools[window.start] for window in windows]
    taken = in_proportion([len(s) for s in samples], [w.end for w in windows], points)
    pool = np.concatenate([sample[rows] for sample, rows in zip(samples, taken, strict=True)])
    return np.asarray(known), pool, len(windows) == 1 and len(pool) == windows[0].rows


def _anytime(
    errors: FloatArray,
    foreseen: FloatArray | None,
    pool: FloatArray | None,
    groups: AnyArray | None,
    limit: float | None,
) -> Json:
    """Limits at every look of the mean of errors cut at a declared bound; none where rows share groups."""
    if not limit or (groups is not None and len(np.unique(groups)) < len(errors)):
        return {}
    bound = BOUND * limit
    cut = float(np.mean(errors > bound))
    if foreseen is not None and pool is not None:
        bounds, cut = loss_sequence(errors, foreseen, pool, bound)
    else:
        known = MeanSequence.start(0.05, 0.0, bound).update(np.minimum(errors, bound)).current
        bounds = Bounds(known.low, known.high)
    return {"anytime_low": bounds.low, "anytime_high": bounds.high, "cut_at": bound, "cut_share": cut}
