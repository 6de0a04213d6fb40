"""The metrics that the gate's policy reads, beside accuracy: estimated without labels while that can be believed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Estimate, Interval, Json
from backstay.maths.arrays import AnyArray, IntArray
from backstay.maths.labelfree import ASSUMPTION
from backstay.maths.labelfree_metrics import METRICS, LabelFreeMetrics, Scored, estimate_metrics
from backstay.monitor.fitted import Detectors
from backstay.monitor.label_free import MOST_REFERENCE_ROWS, MOST_WINDOW_ROWS, draw_rows, seeded
from backstay.monitor.reference import Reference
from backstay.monitor.traffic import WindowData
from backstay.settings import Settings

DRAWS = 60
METHOD = "weighted Platt by class, bootstrap"


def asked(settings: Settings) -> tuple[str, ...]:
    """Metrics of the gate's rules that can be estimated without labels, other than accuracy, in order of their name."""
    return tuple(sorted({rule.metric for rule in settings.gate.rules} & set(METRICS) - {"accuracy"}))


def without_labels_by_metric(
    detectors: Detectors,
    window: WindowData,
    settings: Settings,
    accuracy: Estimate,
    labelled: Mapping[str, Estimate] = MappingProxyType({}),
) -> tuple[Estimate, ...]:
    """One estimate a metric that the policy asks for; refused, with the reasons, wherever that of accuracy is.

    Args:
        labelled: the same metrics by labels, which may contradict it.
    """
    names = asked(settings)
    if not names:
        return ()
    if accuracy.value is None:
        return tuple(_refused(name, window, accuracy.refusals, accuracy.labels_needed) for name in names)
    try:
        found = _estimate(detectors, window, names)
    except BackstayError as error:
        return tuple(_refused(name, window, (str(error),), accuracy.labels_needed) for name in names)
    told = (_told(name, window, found, detectors.reference) for name in names)
    return tuple(_unless_contradicted(estimate, labelled.get(estimate.metric), window) for estimate in told)


def _estimate(detectors: Detectors, window: WindowData, names: tuple[str, ...]) -> LabelFreeMetrics:
    reference, space = detectors.reference, detectors.space
    truth = reference_truth(reference)
    if truth is None or reference.scores is None or window.scores is None or space is None:
        raise BackstayError("the true classes of the reference are not known", fix="give a reference with its labels")
    usable = np.intersect1d(reference.labelled, np.flatnonzero(truth >= 0))
    if len(usable) == 0:
        raise BackstayError("no reference row has a class that the model knows", fix="give a labelled reference")
    known = draw_rows(usable, MOST_REFERENCE_ROWS, "metrics reference")
    live = draw_rows(np.arange(len(window)), MOST_WINDOW_ROWS, f"metrics {window.start.isoformat()}")
    inputs, live_inputs = space.rows(reference, known), space.rows(window, live)
    if inputs is None or live_inputs is None:
        raise BackstayError("the metrics lack inputs", fix="log inputs with every prediction")
    codes, live_codes = reference.codes, window.codes
    return estimate_metrics(
        Scored(reference.scores[known], inputs, None if codes is None else codes[known]),
        truth[known],
        Scored(
            np.asarray(window.scores[live], dtype=np.float64),
            live_inputs,
            None if live_codes is None else live_codes[live],
        ),
        positions(window.predicted[live], reference.classes),
        names,
        rng=seeded(f"metrics bootstrap {window.start.isoformat()}"),
        draws=DRAWS,
    )


def reference_truth(reference: Reference) -> IntArray | None:
    """True class positions [n], -1 unknown: as given, or of two classes from what was answered and whether rightly."""
    if reference.truth is not None:
        return positions(reference.truth, reference.classes)
    if reference.correct is None or len(reference.classes) != 2:
        return None
    answers = positions(reference.predicted, reference.classes)
    return np.where(answers < 0, -1, np.where(reference.correct == 1.0, answers, 1 - answers))


def positions(names: AnyArray, classes: tuple[str, ...]) -> IntArray:
    places = {name: place for place, name in enumerate(classes)}
    return np.asarray([places.get(str(name), -1) for name in names], dtype=np.int64)


def _told(name: str, window: WindowData, found: LabelFreeMetrics, reference: Reference) -> Estimate:
    if found.reasons:
        return _refused(name, window, found.reasons, 0)
    if name not in found.metrics:
        why = f"{name} is not defined for some of the answers that these rows may deserve"
        return _refused(name, window, (why,), 0)
    value, bounds = found.metrics[name].value, found.metrics[name].bounds
    return Estimate(
        kind="label-free",
        metric=name,
        value=value,
        interval=Interval(bounds.low, bounds.high, 0.95, METHOD),
        n=window.rows,
        assumption=ASSUMPTION,
        figures=_confusion(found, reference),
    )


def _unless_contradicted(free: Estimate, labelled: Estimate | None, window: WindowData) -> Estimate:
    """Refused where it lies outside the 99% interval of labels, as accuracy is."""
    if free.value is None or labelled is None or labelled.value is None:
        return free
    low, high = (float(labelled.figures[name]) for name in ("low_99", "high_99"))
    if low <= free.value <= high:
        return free
    why = (
        f"labels put {free.metric} between {low:.3f} and {high:.3f} where scores alone promise {free.value:.3f}: "
        "the classes no longer go with the scores as they did"
    )
    refused = _refused(free.metric, window, (why,), 0)
    return replace(refused, figures={**free.figures, "withheld": free.value})


def _confusion(found: LabelFreeMetrics, reference: Reference) -> Json:
    """Shares of all rows, by true class (first) and answer, with limits."""
    if found.confusion is None or found.confusion_low is None or found.confusion_high is None:
        return {}
    tables = {"value": found.confusion, "low": found.confusion_low, "high": found.confusion_high}
    return {
        "classes": list(reference.classes),
        "confusion": {side: np.round(table, 5).tolist() for side, table in tables.items()},
    }


def _refused(name: str, window: WindowData, reasons: tuple[str, ...], wanted: int) -> Estimate:
    return Estimate(
        kind="label-free",
        metric=name,
        value=None,
        interval=None,
        n=window.rows,
        assumption=ASSUMPTION,
        refusals=reasons,
        labels_needed=wanted,
    )
