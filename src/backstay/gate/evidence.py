"""Finding the figure that a rule reads, and refusing where it is missing or not a number."""

from __future__ import annotations

import math

from backstay.kernel.records import Comparison, Measurement, Report, RuleOutcome

# Figures of which less is better, and a share of something of which more is: asked for from the wrong side, a bar
# would pass whatever is bad enough.
LOWER = frozenset(
    {
        *("log_loss", "calibration_error", "called_none"),
        *("mae", "rmse", "median_absolute_error", "hamming_loss"),
    }
)
HIGHER = frozenset(
    {
        *("accuracy", "balanced_accuracy", "precision", "recall", "f1", "auc", "unknown_recall", "unknown_auc"),
        *("recall_at_1", "map_at_r", "silhouette", "knn_accuracy", "psnr"),
        *("r2", "skill", "micro_f1", "macro_f1", "mean_average_precision", "subset_accuracy", "jaccard"),
    }
)


def refused(rule: str, message: str, **evidence: object) -> RuleOutcome:
    """The rule says no."""
    return RuleOutcome(rule, False, message, dict(evidence))


def measurement(report: Report, metric: str) -> Measurement | None:
    """The model's figure over all rows; None when it is missing, has no interval, or is not a number."""
    found = report.find(metric)
    if found is None or found.interval is None:
        return None
    figures = (found.value, found.interval.low, found.interval.high, found.n)
    return found if all(is_number(f) for f in figures) else None


def comparisons(report: Report, metric: str, against: str | None, *, sliced: bool) -> list[Comparison]:
    """Paired differences against a baseline: over all rows, or slice by slice."""
    return [c for c in report.comparisons if c.metric == metric and c.against == against and bool(c.slice) is sliced]


def not_compared(report: Report, metric: str, champion: str) -> str:
    """Why a rule that reads `metric` beside the champion says no, and which figures it could read."""
    there = sorted({c.metric for c in report.comparisons if c.against == champion and not c.slice} - {metric})
    could = f"; compared are {', '.join(there)}" if there else ""
    return f"{metric} was not compared with the champion on the same rows, or is not a number{could}"


def sound(c: Comparison) -> bool:
    """Every figure that a decision rests on is a number."""
    return all(is_number(v) for v in (c.difference, c.one_sided_low, c.p_better, c.p_worse, c.n))


def is_number(value: object) -> bool:
    """Finite, and a number at all: a report that was read back may hold anything."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def facts(c: Comparison) -> dict[str, object]:
    """A comparison as the evidence of an outcome."""
    return {
        "difference": c.difference,
        "one_sided_low": c.one_sided_low,
        "p_better": c.p_better,
        "p_worse": c.p_worse,
        "n": c.n,
        "data": c.data_id,
        "against": c.against,
        "slice": c.slice,
    }
