"""Rows and a recipe in, a bundle out, for models that answer a number and have no encoder: the twin of `classical.fit`.

The target is standardised by its training rows; the graph undoes that, so that the bundle answers in the target's unit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from backstay.bundle.manifest import Manifest
from backstay.bundle.numbers import target_values
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Task
from backstay.train.convert.graph import Graph
from backstay.train.convert.parity import LIMIT, answers
from backstay.train.estimators.numbers import REGRESSORS, Regressor
from backstay.train.estimators.reading import write_reading
from backstay.train.examples import Profile
from backstay.train.export import input_specs
from backstay.train.table_rows import MADE_BY, TableRows, shelved, threads, unlabelled
from backstay.train.values import Scale, value_output
from backstay.train.work import Trained, Work, takes


@takes(Work)
def fit(work: Work) -> Trained:
    """Train on `parts["train"]`, choose on `parts["tune"]`, write a bundle. Arguments: `train.work.Work`; no classes.

    Raises:
        BackstayError: an unknown model or option, columns that it cannot read, a target that is not numbers, too few
            rows, a library that is not there, or a graph that answers otherwise than what was fitted.
    """
    build = shelved(REGRESSORS, work)
    y = target_values(work.target, str(work.schema.target))
    train_rows, tune_rows = work.weighty()
    scale = Scale.of(y[train_rows], len(tune_rows))
    rows = TableRows.of(work, train_rows, tune_rows)
    estimator: Regressor = rows.model(build, work, 1)
    with work.told.step("train"), threads(work.recipe.threads):
        figures = estimator.fit(rows.train, scale.down(y[train_rows]), rows.tune, scale.down(y[tune_rows]))
    found = scale.up(estimator.values(rows.tune))
    mae = {"tune_mae": float(np.mean(np.abs(found - y[tune_rows])))}
    return rows.keep(work, _Fitted(estimator, rows.profile, scale), {**figures, **mae})


@dataclass(frozen=True)
class _Fitted:
    """A fitted estimator and the scale of its target: what the graph must answer."""

    estimator: Regressor
    profile: Profile
    scale: Scale

    def draft(self, work: Work) -> tuple[bytes, Manifest]:
        graph, inputs, output = Graph(), input_specs(self.profile), value_output(self.profile)
        made = self.estimator.write(graph, write_reading(graph, self.profile, inputs))
        spread, centre = (graph.constant(np.array([[v]])) for v in (self.scale.spread, self.scale.centre))
        value = graph.op(
            "Reshape",
            graph.op("Add", graph.op("Mul", made, spread), centre),
            graph.constant(np.array([-1], np.int64)),
        )
        content = graph.model({output.name: (value, output)})
        return content, work.manifest(Task.REGRESSION, inputs, (output,), made_by=MADE_BY)

    def gap(self, table: pa.Table, content: bytes, draft: Manifest) -> float:
        """Largest difference of the graph from the fitted model on these rows, as a share of the target's spread."""
        found = answers(content, draft, table).numbers
        wanted = self.scale.up(self.estimator.values(unlabelled(self.profile, table)))
        gap = float("inf") if found is None else float(np.max(np.abs(found - wanted), initial=0.0)) / self.scale.spread
        if not gap <= LIMIT:
            raise BackstayError(
                f"the ONNX graph differs from the fitted model by {gap:.2g} of the target's spread, allowed is "
                f"{LIMIT:.0e}",
                fix="nothing was kept: report it with the model's name",
            )
        return gap
