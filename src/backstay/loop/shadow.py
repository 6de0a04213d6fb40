"""A shadow challenger: what would retraining gain? Asked of a linear model, in seconds, before the real one is trained.

It reads what the live model says of a row (its embedding and scores) and the plain columns, and is cross-fitted on the
labels for training, so that every row is judged by a shadow that has not seen it or anything of its group. The two are
compared on the same rows, which is sharper than two separate estimates. A shadow that gains nothing proves nothing: the
real challenger may see more. Rows that nobody drew (feedback that came by itself) are left out: who sends it is no
fair sample of the traffic.
"""

from __future__ import annotations

import numpy as np

from backstay.bundle.model import Outputs
from backstay.journal.rows import Rows
from backstay.kernel.ids import fraction
from backstay.kernel.records import Label, Release, Task
from backstay.labels.training import training_labels
from backstay.loop.label import live_log
from backstay.loop.reference import views
from backstay.loop.workspace import Workspace
from backstay.maths.arrays import AnyArray, FloatArray, IntArray
from backstay.maths.logistic import Logistic
from backstay.maths.paired import paired_difference
from backstay.monitor.triggers import Gain

FOLDS = 5
LEAST = 100
"""Labelled rows below which no shadow is fitted."""
LEVELS = 20
LEVEL = 0.90
TINY = 1e-6


def shadow_gain(ws: Workspace, release: Release) -> tuple[Gain | None, str]:
    """Error rates of the live model and of a shadow on the labels for training; None, and why, where that cannot be."""
    record = ws.model_record(release.model_id)
    if not record.classes or record.task is Task.MULTILABEL:
        return None, "no shadow: the live model answers no classes"
    drawn = _drawn(ws)
    with live_log(ws, release.id) as log:
        rows = log.of_ids({label.prediction_id for label in drawn}).whole()
    logged = {str(row_id) for row_id in rows.ids}
    found = [label for label in drawn if label.prediction_id in logged]
    if len(found) < LEAST:
        return None, f"no shadow: {len(found)} labels for training were drawn with a known chance, {LEAST} are needed"
    places = {str(row_id): i for i, row_id in enumerate(rows.ids)}
    chosen = rows.take(np.array([places[label.prediction_id] for label in found], dtype=np.int64))
    truth = np.array([label.value for label in found], dtype=object)
    features = _features(ws, release, chosen)
    if features is None:
        return None, "no shadow: neither embeddings, scores nor inputs are logged"
    groups = np.array([label.group or label.prediction_id for label in found], dtype=object)
    classes, codes = np.unique(truth.astype(str), return_inverse=True)
    if len(classes) < 2:
        return None, f"no shadow: all {len(found)} labels say {classes[0]!r}"
    right = (cross_fitted(features, codes, groups, len(classes)) == codes).astype(np.float64)
    live = (chosen.predictions.astype(str) == truth.astype(str)).astype(np.float64)
    difference = paired_difference(live, right, groups, level=LEVEL)
    gain = Gain(1.0 - live.mean(), 1.0 - right.mean(), difference.one_sided_low, len(found), f"{len(found)} labels")
    return gain, ""


def cross_fitted(features: FloatArray, codes: IntArray, groups: AnyArray, classes: int) -> IntArray:
    """The class that a ridge logistic regression gives each row [n], fitted on the other folds.

    Rows of one group are in one fold, by a hash, so that a later look deals alike.
    """
    folds = np.array([int(fraction(str(group), "shadow") * FOLDS) for group in groups])
    answers = np.full(len(codes), -1, dtype=np.int64)
    for fold in range(FOLDS):
        out = folds == fold
        if not out.any() or out.all():
            continue
        model = Logistic.fit(features[~out], codes[~out], ridge=1.0 + features.shape[1] / 10, classes=classes)
        answers[out] = model.predict_proba(features[out]).argmax(axis=1)
    return answers


def _drawn(ws: Workspace) -> list[Label]:
    """Trusted labels for training whose chance of being drawn is known."""
    labels = training_labels(ws.catalog.labels(ws.name, ws.environment, use="train"), ws.settings.labels)
    census = set(ws.settings.labels.census_sources)
    return [label for label in labels if label.trusted and (label.probability is not None or label.source in census)]


def _features(ws: Workspace, release: Release, rows: Rows) -> FloatArray | None:
    """What the shadow sees [n, d]: embeddings, log scores and plain columns; None where nothing is logged."""
    _, schema = ws.rows_of(str(release.reference_id))
    view = views(rows.inputs, schema, Outputs(rows.predictions, rows.scores, rows.embeddings))
    parts: list[FloatArray] = []
    if view.representation is not None:
        parts.append(view.representation)
    if rows.scores is not None:
        parts.append(np.log(np.maximum(rows.scores.astype(np.float64), TINY)))
    parts += [_column(np.asarray(values)) for values in view.columns.values()]
    return np.column_stack(parts) if parts else None


def _column(values: AnyArray) -> FloatArray:
    """A column as numbers: gaps at the mean with an indicator; the commonest categories as indicators."""
    if values.dtype.kind in "fiub":
        numbers = values.astype(np.float64)
        gaps = ~np.isfinite(numbers)
        middle = float(numbers[~gaps].mean()) if (~gaps).any() else 0.0
        return np.column_stack([np.where(gaps, middle, numbers), gaps])
    names, counts = np.unique([str(v) for v in values], return_counts=True)
    common = names[np.argsort(-counts, kind="stable")[:LEVELS]]
    return np.column_stack([np.array([str(v) == name for v in values], dtype=np.float64) for name in common])
