"""How far off the numbers of a regression are: the mean absolute error without labels, while that can be believed."""

from __future__ import annotations

import numpy as np

from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Estimate, Interval, Json
from backstay.maths.labelfree import LabelFree
from backstay.maths.labelfree_losses import Described, estimate_loss
from backstay.monitor.error_model import Directions
from backstay.monitor.fitted import Detectors
from backstay.monitor.label_free import MOST_REFERENCE_ROWS, MOST_WINDOW_ROWS, draw_rows, seeded
from backstay.monitor.traffic import WindowData
from backstay.settings import Settings

DRAWS = 60
METHOD = "weighted ridge on answer and inputs, bootstrap"
ASSUMPTION = "valid only if the size of errors, given answer and inputs, has not changed"


def mae_without_labels(
    detectors: Detectors,
    window: WindowData,
    settings: Settings,
    more_refusals: tuple[str, ...],
    labelled: Estimate | None,
    labels_wanted: int,
) -> Estimate | None:
    """The label-free estimate of the window's mean absolute error, or a refusal that says why; None for classes.

    Args:
        more_refusals: why nothing is to be estimated without labels now (stale ones, an alarm of the labelled errors).
        labelled: the mean error by labels, which may contradict it.
    """
    reference = detectors.reference
    if reference.limit is None:
        return None
    lacks = _lacking(detectors, window, settings)
    found: LabelFree | None = None
    if not lacks:
        try:
            found = _estimate(detectors, window)
        except BackstayError as error:
            lacks = (str(error),)
    reasons = (*lacks, *(() if found is None else found.reasons), *more_refusals)
    reasons += () if found is None else _contradiction(found, labelled)
    figures = {} if found is None else _figures(found)
    if reasons or found is None or found.estimate is None or found.low is None or found.high is None:
        return Estimate(
            kind="label-free",
            metric="mae",
            value=None,
            interval=None,
            n=window.rows,
            assumption=ASSUMPTION,
            refusals=reasons,
            labels_needed=labels_wanted,
            figures=figures,
        )
    return Estimate(
        kind="label-free",
        metric="mae",
        value=found.estimate,
        interval=Interval(found.low, found.high, 0.95, METHOD),
        n=window.rows,
        assumption=ASSUMPTION,
        figures=figures,
    )


def _lacking(detectors: Detectors, window: WindowData, settings: Settings) -> tuple[str, ...]:
    reference, minimum = detectors.reference, settings.watch.label_free_minimum
    found = []
    if reference.errors is None or reference.numbers is None or window.numbers is None:
        found.append("the answers are not known as numbers")
    if detectors.space is None or not detectors.space.reads(window):
        found.append("neither inputs nor embeddings are known")
    known = 0 if reference.errors is None else int(np.isfinite(reference.errors).sum())
    if known < minimum:
        found.append(f"only {known} reference rows of which the error is known: at least {minimum} are needed")
    return tuple(found)


def _estimate(detectors: Detectors, window: WindowData) -> LabelFree:
    reference, space = detectors.reference, detectors.space
    if reference.errors is None or reference.numbers is None or window.numbers is None or space is None:
        raise BackstayError("the answers are not known as numbers", fix="log numbers with every prediction")
    usable = np.flatnonzero(np.isfinite(reference.errors) & np.isfinite(reference.numbers))
    live = np.flatnonzero(np.isfinite(window.numbers))
    if len(live) < len(window):
        raise BackstayError(
            f"{len(window) - len(live)} answers of the window are no numbers", fix="look at the model's inputs"
        )
    known = draw_rows(usable, MOST_REFERENCE_ROWS, "mae reference")
    live = draw_rows(live, MOST_WINDOW_ROWS, f"mae {window.start.isoformat()}")
    inputs, live_inputs = space.rows(reference, known), space.rows(window, live)
    if inputs is None or live_inputs is None:
        raise BackstayError("the estimate of errors lacks inputs", fix="log inputs with every prediction")
    directions = Directions.of(inputs)
    narrow, live_narrow = directions.narrowed(inputs), directions.narrowed(live_inputs)
    codes, live_codes = reference.codes, window.codes
    return estimate_loss(
        Described(np.column_stack([reference.numbers[known], narrow]), inputs, None if codes is None else codes[known]),
        reference.errors[known],
        Described(
            np.column_stack([window.numbers[live], live_narrow]),
            live_inputs,
            None if live_codes is None else live_codes[live],
        ),
        rng=seeded(f"mae bootstrap {window.start.isoformat()}"),
        draws=DRAWS,
    )


def _contradiction(found: LabelFree, labelled: Estimate | None) -> tuple[str, ...]:
    """Labels contradict the estimate when it lies outside their 99% interval."""
    if labelled is None or found.estimate is None:
        return ()
    low, high = (float(labelled.figures[name]) for name in ("low_99", "high_99"))
    if low <= found.estimate <= high:
        return ()
    return (
        f"labels put the mean error between {low:.4g} and {high:.4g} where inputs alone promise "
        f"{found.estimate:.4g}: errors no longer go with the inputs as they did",
    )


def _figures(found: LabelFree) -> Json:
    return {
        "ess_ratio": found.ess_ratio,
        "outlier_share": found.outlier_share,
        "reference_rows": found.n_reference,
        "withheld": found.estimate,
    }
