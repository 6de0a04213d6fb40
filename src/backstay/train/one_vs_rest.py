"""Rows and a recipe in, a bundle out, for sets of labels without an encoder: one model a label, all in one graph.

Each label is learned on its own, "has it" against "has it not", by the model that `train.model` names (Rifkin & Klautau
2004). The bundle has members and scores and no embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from onnx import TensorProto

from backstay.bundle.manifest import Manifest, OutputSpec
from backstay.bundle.sets import members
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Task
from backstay.maths.arrays import BoolArray, FloatArray
from backstay.maths.thresholds import best_f1_thresholds
from backstay.train.convert.graph import Graph
from backstay.train.convert.parity import LIMIT, answers, require_parity
from backstay.train.estimators import ESTIMATORS
from backstay.train.estimators.contract import Estimator, Rows
from backstay.train.estimators.reading import write_reading
from backstay.train.examples import Profile
from backstay.train.export import input_specs
from backstay.train.sets import members_name, refuse_few, set_figures
from backstay.train.table_rows import MADE_BY, TableRows, shelved, threads, unlabelled
from backstay.train.work import Trained, Work, takes


@takes(Work)
def fit(work: Work) -> Trained:
    """Train one model a label on `parts["train"]`, choose each label's cut on `parts["tune"]`, write a bundle.

    Arguments: `train.work.Work`.

    Raises:
        BackstayError: an unknown model or option, columns that it cannot read, too few rows, a label that no row of
            weight has or that every one has, or a graph that answers otherwise than scikit-learn.
    """
    build = shelved(ESTIMATORS, work)
    there = members(work.target.to_pylist(), work.classes)
    train_rows, tune_rows = work.weighty()
    refuse_few(there[train_rows], len(tune_rows), work.classes)
    _refuse_ubiquitous(there[train_rows], work.classes)
    rows = TableRows.of(work, train_rows, tune_rows)
    estimators: list[Estimator] = []
    with work.told.step("train", total=len(work.classes)) as tick, threads(work.recipe.threads):
        for place, name in enumerate(work.classes):
            estimator: Estimator = rows.model(build, work, 2)
            has_it = there[:, place].astype(np.int64)
            train, tune = replace(rows.train, labels=has_it[train_rows]), replace(rows.tune, labels=has_it[tune_rows])
            estimator.fit(train, tune)
            estimators.append(estimator)
            tick(1, note=name)
        scores = _scores(estimators, rows.tune)
    thresholds = best_f1_thresholds(scores, there[tune_rows])
    fitted = _Fitted(tuple(estimators), rows.profile, work.classes, thresholds)
    return rows.keep(work, fitted, set_figures(scores, there[tune_rows], thresholds, work.classes))


def _refuse_ubiquitous(there: BoolArray, classes: tuple[str, ...]) -> None:
    always = [name for name, n in zip(classes, there.sum(axis=0), strict=True) if n == len(there)]
    if always:
        raise BackstayError(
            f"every row of the train part has the label {always[0]!r}, so there is nothing to tell it from",
            fix="leave it out of the sets",
        )


def _scores(estimators: Sequence[Estimator], rows: Rows) -> FloatArray:
    """scikit-learn's own chances [n, labels]."""
    return np.column_stack([estimator.probabilities(rows)[:, 1] for estimator in estimators])


@dataclass(frozen=True, slots=True, eq=False)
class _Fitted:
    """A fitted model for each label, and the cut of each: what the graph must answer."""

    estimators: tuple[Estimator, ...]
    profile: Profile
    classes: tuple[str, ...]
    thresholds: FloatArray

    def draft(self, work: Work) -> tuple[bytes, Manifest]:
        graph, inputs, labels = Graph(), input_specs(self.profile), len(self.classes)
        tensors = write_reading(graph, self.profile, inputs)
        each = [graph.columns(estimator.write(graph, tensors), [1]) for estimator in self.estimators]
        scores = graph.op("Cast", graph.side_by_side(each), to=TensorProto.FLOAT)
        said = graph.op("GreaterOrEqual", scores, graph.constant(self.thresholds.astype(np.float32)))
        outputs = (
            OutputSpec(members_name(self.profile), "BOOL", (-1, labels), "members"),
            OutputSpec("scores", "FP32", (-1, labels), "scores"),
        )
        content = graph.model({outputs[0].name: (said, outputs[0]), "scores": (scores, outputs[1])})
        return content, work.manifest(Task.MULTILABEL, inputs, outputs, made_by=MADE_BY)

    def gap(self, table: pa.Table, content: bytes, draft: Manifest) -> float:
        """Largest difference of the graph's chances from scikit-learn's on these rows; the sets must be the same."""
        found, wanted = answers(content, draft, table), _scores(self.estimators, unlabelled(self.profile, table))
        wide = None if found.scores is None else found.scores.astype(np.float64)
        gap = require_parity(wanted, wide, rows=table, what="scikit-learn")
        sure = np.abs(wanted - self.thresholds) > LIMIT
        if found.members is None or bool(np.any(found.members[sure] != (wanted >= self.thresholds)[sure])):
            raise BackstayError(
                "the ONNX graph answers other sets than scikit-learn", fix="report it; nothing was kept"
            )
        return gap
