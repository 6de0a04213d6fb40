"""Sets of labels as answers: figures with intervals, and two models on the same rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from backstay.evaluate.metrics.sets import SET_METRICS, SetMetric, micro_f1
from backstay.evaluate.paired import compare_by_row
from backstay.evaluate.slices import slice_rows
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Comparison, Interval, Measurement
from backstay.maths.arrays import AnyArray, BoolArray, FloatArray, IntArray
from backstay.maths.clusters import clusters
from backstay.maths.intervals import bias_corrected, clopper_pearson, proportion

USUAL = ("micro_f1", "macro_f1", "mean_average_precision", "subset_accuracy", "jaccard", "hamming_loss")
SLICED = ("micro_f1", "subset_accuracy", "jaccard")
COMPARED = ("micro_f1", "subset_accuracy", "jaccard", "hamming_loss")
OF_OTHERS = ("micro_f1", "subset_accuracy", "jaccard", "hamming_loss")
DRAWS = (100, 400)
# Elements of rows by labels that all draws together may pass over: many rows of many labels get fewer draws.
WORK = 200_000_000
LEVEL = 0.95
NAN = float("nan")


@dataclass(frozen=True, eq=False)
class SetCase:
    """Rows [n] and labels [k]: which labels are true, which the model says, and how likely it takes each.

    Args:
        truth, predicted: [n, k]. scores: [n, k]; None where unknown. groups: codes of rows that depend on each other.
    """

    truth: BoolArray
    predicted: BoolArray
    scores: FloatArray | None
    groups: IntArray | None

    def __post_init__(self) -> None:
        shapes = {self.truth.shape, self.predicted.shape, *([] if self.scores is None else [self.scores.shape])}
        if len(shapes) > 1:
            raise BackstayError(f"true sets and answers of the shapes {shapes}", fix="give one row and label for each")

    def __len__(self) -> int:
        return len(self.truth)

    @cached_property
    def right(self) -> FloatArray:
        """Labels both answered and true [n]."""
        return np.asarray((self.truth & self.predicted).sum(axis=1), dtype=np.float64)

    @cached_property
    def said(self) -> FloatArray:
        """Labels answered [n]."""
        return np.asarray(self.predicted.sum(axis=1), dtype=np.float64)

    @cached_property
    def true(self) -> FloatArray:
        """Labels true [n]."""
        return np.asarray(self.truth.sum(axis=1), dtype=np.float64)

    @cached_property
    def exact(self) -> FloatArray:
        """1 where the set is answered label for label [n]."""
        return np.asarray((self.truth == self.predicted).all(axis=1), dtype=np.float64)

    @cached_property
    def overlap(self) -> FloatArray:
        """Labels in both sets as a share of those in either; 1 where both are empty [n]."""
        either = self.said + self.true - self.right
        return np.where(either > 0.0, self.right / np.maximum(either, 1.0), 1.0)

    @cached_property
    def wrong(self) -> FloatArray:
        """Share of the labels on which answer and truth differ [n]."""
        return np.asarray((self.truth != self.predicted).mean(axis=1), dtype=np.float64)

    @cached_property
    def ranking(self) -> tuple[IntArray, IntArray] | None:
        """Rows by falling chance of each label [n, k], and where each one's equals end; None without finite chances."""
        if self.scores is None or not np.isfinite(self.scores).all():
            return None
        order = np.argsort(-self.scores, axis=0, kind="stable")
        ranked = np.take_along_axis(self.scores, order, axis=0)
        last = np.vstack([ranked[:-1] > ranked[1:], np.ones((1, ranked.shape[1]), dtype=np.bool_)])
        places = np.where(last, np.arange(len(ranked))[:, None], len(ranked))
        ends = np.minimum.accumulate(places[::-1], axis=0)[::-1]
        return order, ends

    def take(self, chosen: AnyArray) -> SetCase:
        """These rows."""
        groups = None if self.groups is None else self.groups[chosen]
        scores = None if self.scores is None else self.scores[chosen]
        return SetCase(self.truth[chosen], self.predicted[chosen], scores, groups)


def measure_sets(
    case: SetCase,
    *,
    data_id: str,
    slices: Mapping[str, AnyArray],
    metrics: Sequence[str] | None = None,
    of: str = "model",
    seed: int = 0,
) -> tuple[Measurement, ...]:
    """Figures of a case with 95% intervals: bootstrap over groups or rows (bias-corrected percentiles), and the exact
    one of subset accuracy. With fewer than two groups a figure has no interval, and a gate refuses it."""
    wanted = USUAL if metrics is None else tuple(metrics)
    found = _measurements(wanted, case, data_id, "", of, seed)
    for part, rows in slice_rows(slices, len(case)):
        inside = tuple(name for name in SLICED if name in wanted)
        found += _measurements(inside, case.take(rows), data_id, part, of, seed)
    return tuple(found)


def _measurements(
    names: Sequence[str], case: SetCase, data_id: str, part: str, of: str, seed: int
) -> list[Measurement]:
    metrics: dict[str, SetMetric] = {name: SET_METRICS[name] for name in names}
    once = np.ones(len(case))
    values = {name: metric(case, once) if len(case) else NAN for name, metric in metrics.items()}
    draws = _draws(metrics, case, seed) if len(case) else {}
    found = []
    for name, value in values.items():
        interval = _interval(name, value, draws.get(name), case) if np.isfinite(value) else None
        found.append(Measurement(name, value, interval, len(case), data_id, part, of))
    return found


def _draws(metrics: Mapping[str, SetMetric], case: SetCase, seed: int) -> dict[str, FloatArray]:
    """Each figure over drawn groups; the same draws for all figures. Empty with fewer than two groups."""
    grouping = clusters(case.groups, len(case))
    if grouping.count < 2:
        return {}
    rng = np.random.default_rng(seed)
    count = int(np.clip(WORK / max(case.truth.size, 1), *DRAWS))
    found: dict[str, list[float]] = {name: [] for name in metrics}
    for _ in range(count):
        drawn = np.bincount(rng.integers(0, grouping.count, grouping.count), minlength=grouping.count)
        weights = drawn[grouping.codes].astype(np.float64)
        for name, metric in metrics.items():
            found[name].append(metric(case, weights))
    return {name: np.array(values)[np.isfinite(values)] for name, values in found.items()}


def _interval(name: str, value: float, draws: FloatArray | None, case: SetCase) -> Interval | None:
    if draws is None or len(draws) < DRAWS[0] // 2:
        return None
    if name == "subset_accuracy":
        bounds = proportion(case.exact, case.groups)
        return Interval(bounds.low, bounds.high, LEVEL, "Clopper-Pearson")
    if np.ptp(draws) == 0.0:
        # Rows that are all alike show no error at all: then their number decides.
        groups = clusters(case.groups, len(case)).count
        bounds = clopper_pearson(value * groups, groups)
        return Interval(bounds.low, bounds.high, LEVEL, "Clopper-Pearson")
    bounds = bias_corrected(draws, value)
    return Interval(bounds.low, bounds.high, LEVEL, "bootstrap")


def compare_sets(
    challenger: SetCase, baseline: SetCase, *, against: str, data_id: str, slices: Mapping[str, AnyArray]
) -> tuple[Comparison, ...]:
    """Differences on the same rows, so that positive is better (of `hamming_loss` too).

    Of subset accuracy exact where rows are independent; of the means a t interval over rows or groups; micro F1 is a
    ratio of means and is compared by its linear part (the delta method), which asks for some hundred labels.
    Raises BackstayError when the two were not measured on the same rows and labels.
    """
    if not np.array_equal(challenger.truth, baseline.truth):
        raise BackstayError("the two models were not measured on the same rows", fix="measure both on one table")
    parts: list[tuple[str, AnyArray]] = [("", np.arange(len(challenger))), *slice_rows(slices, len(challenger))]
    found = []
    for part, rows in parts:
        ours, theirs = challenger.take(rows), baseline.take(rows)
        found += [
            compare_by_row(m, _by_row(m, ours), _by_row(m, theirs), ours.groups, against, data_id, part)
            for m in COMPARED
        ]
    return tuple(found)


def _by_row(metric: str, case: SetCase) -> FloatArray:
    """What each row adds to the figure [n], higher is better; the mean is the figure (of `hamming_loss` its negative).

    Of micro F1 = 2 sum(right) / sum(said + true) it is the figure plus each row's influence on it.
    """
    if metric == "micro_f1":
        figure = micro_f1(case, np.ones(len(case)))
        sizes = case.said + case.true
        if not np.isfinite(figure):
            return np.full(len(case), NAN)
        return np.asarray(figure + (2.0 * case.right - figure * sizes) / sizes.mean())
    return {"subset_accuracy": case.exact, "jaccard": case.overlap, "hamming_loss": -case.wrong}[metric]
