"""Rows and a recipe in, a bundle out, for models without an encoder: the twin of `train.loop.fit`.

The bundle has a label and scores and no embedding. Reading of columns, model and calibration are one graph.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from backstay.bundle.manifest import Manifest
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Task
from backstay.maths.arrays import FloatArray, IntArray
from backstay.train.convert.answer import (
    Calibration,
    calibrated,
    calibration_of,
    finish,
    write_calibrated,
    write_spread,
)
from backstay.train.convert.graph import Graph
from backstay.train.convert.parity import answers, require_parity
from backstay.train.estimators import ESTIMATORS
from backstay.train.estimators.contract import Estimator, Rows
from backstay.train.estimators.reading import write_reading
from backstay.train.examples import Profile
from backstay.train.export import input_specs
from backstay.train.rows import usable_rows
from backstay.train.table_rows import MADE_BY, TableRows, shelved, threads, unlabelled
from backstay.train.work import Trained, Work, takes


@takes(Work)
def fit(work: Work) -> Trained:
    """Train on `parts["train"]`, choose and calibrate on `parts["tune"]`, write a bundle. Arguments: `train.work.Work`.

    Raises:
        BackstayError: an unknown model or option, columns that it cannot read, too few rows, or a graph that answers
            otherwise than scikit-learn.
    """
    build = shelved(ESTIMATORS, work)
    train_rows, tune_rows, codes = usable_rows(work)
    train_rows = train_rows[work.weights[train_rows] > 0]
    present = np.unique(codes[train_rows])
    if len(present) < 2:
        raise BackstayError(
            f"the train part has rows of weight above 0 of {len(present)} class{'' if len(present) == 1 else 'es'}",
            fix="give rows of two classes or more a weight",
        )
    tune_rows = tune_rows[np.isin(codes[tune_rows], present)]
    rows = TableRows.of(work, train_rows, tune_rows, np.searchsorted(present, codes))
    estimator: Estimator = rows.model(build, work, len(present))
    with work.told.step("train"), threads(work.recipe.threads):
        figures = estimator.fit(rows.train, rows.tune)
    return rows.keep(work, _Fitted.calibrated(estimator, rows, present, work.classes), figures)


@dataclass(frozen=True)
class _Fitted:
    """A fitted estimator and its calibration: what the graph must answer."""

    estimator: Estimator
    profile: Profile
    present: IntArray
    classes: tuple[str, ...]
    calibration: Calibration

    @classmethod
    def calibrated(cls, estimator: Estimator, rows: TableRows, present: IntArray, classes: tuple[str, ...]) -> _Fitted:
        """The calibration is over all classes of the model; one without rows keeps a score near 0."""
        spread = estimator.probabilities(rows.tune) @ np.eye(len(classes))[present]
        calibration = calibration_of(spread, present[rows.tune.labels])
        return cls(estimator, rows.profile, present, classes, calibration)

    def scores(self, rows: Rows) -> FloatArray:
        """Calibrated scores of scikit-learn's own answers [n, classes]."""
        spread = self.estimator.probabilities(rows) @ np.eye(len(self.classes))[self.present]
        return calibrated(self.calibration, spread)

    def draft(self, work: Work) -> tuple[bytes, Manifest]:
        graph, inputs = Graph(), input_specs(self.profile)
        made = self.estimator.write(graph, write_reading(graph, self.profile, inputs))
        spread = write_spread(graph, made, self.present.tolist(), len(self.classes))
        content, outputs = finish(graph, write_calibrated(graph, self.calibration, spread), self.classes)
        return content, work.manifest(Task.CLASSIFICATION, inputs, outputs, made_by=MADE_BY)

    def gap(self, table: pa.Table, content: bytes, draft: Manifest) -> float:
        """Largest difference of the graph, from raw columns to scores, from scikit-learn on these rows."""
        found = answers(content, draft, table).scores
        wide = None if found is None else found.astype(np.float64)
        return require_parity(self.scores(unlabelled(self.profile, table)), wide, rows=table, what="scikit-learn")
