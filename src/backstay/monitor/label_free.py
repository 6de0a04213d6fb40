"""How accurate is the model now, without labels? From its scores, while that can be believed; refused otherwise."""

from __future__ import annotations

import numpy as np

from backstay.kernel.errors import BackstayError
from backstay.kernel.ids import digest
from backstay.kernel.records import Estimate, Interval
from backstay.maths.arrays import AnyArray
from backstay.maths.labelfree import ASSUMPTION, LabelFree, estimate_accuracy
from backstay.monitor.fitted import Detectors
from backstay.monitor.reference import Reference
from backstay.monitor.traffic import WindowData
from backstay.settings import Settings

DRAWS = 100
# The luck of a fixed sample of the reference is in every estimate: of 4,000 rows it is a standard error of .006.
MOST_REFERENCE_ROWS = 100_000
MOST_WINDOW_ROWS = 10_000


def without_labels(
    detectors: Detectors, window: WindowData, settings: Settings, more_refusals: tuple[str, ...], labels_wanted: int
) -> Estimate:
    """The label-free estimate of this window, or a refusal that says why and how many labels would replace it."""
    reference = detectors.reference
    lacks = _lacking(detectors, window, settings)
    if lacks:
        return _refused(window, (*lacks, *more_refusals), labels_wanted, None)
    try:
        found = _estimate(detectors, reference, window)
    except BackstayError as error:
        return _refused(window, (str(error), *more_refusals), labels_wanted, None)
    refusals = (*found.reasons, *more_refusals)
    if refusals or found.estimate is None or found.low is None or found.high is None:
        return _refused(window, refusals, labels_wanted, found)
    return Estimate(
        kind="label-free",
        metric="accuracy",
        value=found.estimate,
        interval=Interval(found.low, found.high, 0.95, "weighted Platt, bootstrap"),
        n=found.n,
        assumption=ASSUMPTION,
        figures=_figures(found),
    )


def _lacking(detectors: Detectors, window: WindowData, settings: Settings) -> tuple[str, ...]:
    reference, minimum = detectors.reference, settings.watch.label_free_minimum
    found = []
    if reference.limit is not None:
        return ("a model of numbers gives no chance of being right: only labels tell how far it is off",)
    if reference.members is not None:
        return ("a chance for each label is no chance that the whole set is right: only labels tell",)
    if reference.scores is None or window.scores is None:
        found.append("the model gives no scores")
    if detectors.space is None or not detectors.space.reads(window):
        found.append("neither inputs nor embeddings are known")
    if len(reference.labelled) < minimum:
        found.append(f"only {len(reference.labelled)} labelled reference rows: at least {minimum} are needed")
    return tuple(found)


def _estimate(detectors: Detectors, reference: Reference, window: WindowData) -> LabelFree:
    known = draw_rows(reference.labelled, MOST_REFERENCE_ROWS, "label-free reference")
    live = draw_rows(np.arange(len(window)), MOST_WINDOW_ROWS, f"label-free {window.start.isoformat()}")
    space = detectors.space
    inputs = None if space is None else space.rows(reference, known)
    target = None if space is None else space.rows(window, live)
    if reference.scores is None or reference.correct is None or window.scores is None:
        raise BackstayError("the label-free estimate lacks scores or labels", fix="log scores with every prediction")
    if inputs is None or target is None:
        raise BackstayError("the label-free estimate lacks inputs", fix="log inputs with every prediction")
    codes, window_codes = reference.codes, window.codes
    return estimate_accuracy(
        reference.scores[known],
        reference.correct[known],
        inputs,
        np.asarray(window.scores[live], dtype=np.float64),
        target,
        rng=seeded(f"bootstrap {window.start.isoformat()}"),
        reference_groups=None if codes is None else codes[known],
        target_groups=None if window_codes is None else window_codes[live],
        draws=DRAWS,
    )


def _refused(window: WindowData, reasons: tuple[str, ...], wanted: int, found: LabelFree | None) -> Estimate:
    return Estimate(
        kind="label-free",
        metric="accuracy",
        value=None,
        interval=None,
        n=window.rows,
        assumption=ASSUMPTION,
        refusals=reasons,
        labels_needed=wanted,
        figures={} if found is None else _figures(found),
    )


def _figures(found: LabelFree) -> dict[str, float | int | None]:
    """`withheld` is what would have been said: for a timeline that shows what labels have corrected."""
    return {
        "ess_ratio": found.ess_ratio,
        "outlier_share": found.outlier_share,
        "reference_rows": found.n_reference,
        "withheld": found.estimate,
    }


def seeded(purpose: str) -> np.random.Generator:
    """Chance that is the same whenever the same window is watched: a restart changes no figure."""
    return np.random.Generator(np.random.PCG64(int(digest(purpose)[:16], 16)))


def draw_rows(rows: AnyArray, most: int, purpose: str) -> AnyArray:
    """At most so many of these row numbers, drawn by the purpose."""
    if len(rows) <= most:
        return rows
    return np.sort(seeded(purpose).choice(rows, most, replace=False))
