"""Rows and a recipe in, a bundle out, for models that answer a number and have no encoder: the twin of `classical.fit`.

The target is standardised by its training rows; the graph undoes that, so that the bundle answers in the target's unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from backstay.bundle.inputs import arrays_for, table_from
from backstay.bundle.manifest import InputSpec, Manifest, format_for
from backstay.bundle.model import Model, open_session
from backstay.bundle.numbers import target_values
from backstay.bundle.write import write_bundle
from backstay.kernel.errors import BackstayError
from backstay.kernel.ports import NoProgress, Progress
from backstay.kernel.records import Schema, Task
from backstay.maths.arrays import FloatArray
from backstay.settings import TrainSettings
from backstay.train.classical import levels_of, refuse_other_kinds, rows_of, threads
from backstay.train.convert.graph import Graph
from backstay.train.convert.parity import LIMIT, harder
from backstay.train.estimators.contract import Problem, Rows
from backstay.train.estimators.numbers import REGRESSORS, Regressor
from backstay.train.estimators.reading import codes_of, numbers_of, refuse_infinite, write_reading
from backstay.train.examples import Profile, profile_of
from backstay.train.export import input_specs
from backstay.train.loop import Trained, behind_inputs
from backstay.train.options import Options
from backstay.train.rows import row_weights
from backstay.train.values import Scale, value_output

_PARITY_ROWS = 2000


def fit(
    table: pa.Table,
    schema: Schema,
    parts: dict[str, npt.NDArray[np.int64]],
    recipe: TrainSettings,
    *,
    workdir: Path,
    bundles: Path | None = None,
    progress: Progress | None = None,
    data_id: str | None = None,
    reference_data_id: str | None = None,
    sample_weight: npt.NDArray[np.float64] | None = None,
    answering: tuple[InputSpec, ...] = (),
) -> Trained:
    """Train on `parts["train"]`, choose on `parts["tune"]`, write a bundle. Arguments: `train.loop.fit`; no classes.

    Raises:
        BackstayError: an unknown model or option, columns that it cannot read, a target that is not numbers, too few
            rows, or a graph that answers otherwise than scikit-learn.
    """
    progress = progress or NoProgress()
    make = REGRESSORS[recipe.model]
    refuse_other_kinds(schema, recipe)
    if schema.target is None or schema.target not in table.column_names:
        raise BackstayError("the rows have no target column", fix="name it with data.target")
    y = target_values(table.column(schema.target), schema.target)
    weights = row_weights(sample_weight, table.num_rows).astype(np.float64)
    train_rows, tune_rows = (np.asarray(parts[name], dtype=np.int64) for name in ("train", "tune"))
    train_rows = train_rows[weights[train_rows] > 0]
    scale = Scale.of(y[train_rows], len(tune_rows))
    profile = profile_of(table, schema, train_rows)
    nothing = np.zeros(table.num_rows, dtype=np.int64)
    train, tune = (rows_of(profile, table, rows, nothing, weights) for rows in (train_rows, tune_rows))
    refuse_infinite(profile, train.numbers)
    refuse_infinite(profile, tune.numbers)
    options = Options("train.model_options", recipe.model_options)
    estimator: Regressor = make(Problem(len(profile.numbers), levels_of(profile), 1, recipe.seed), options)
    options.done()
    with progress.step("train"), threads(recipe.threads):
        figures = estimator.fit(train, scale.down(y[train_rows]), tune, scale.down(y[tune_rows]))
    with progress.step("export"):
        fitted = _Fitted(estimator, profile, scale)
        content, draft = _draft(fitted, recipe, data_id, reference_data_id)
        check = table.take(pa.array(tune_rows[:_PARITY_ROWS])).select(list(schema.features))
        parity = max(_parity(fitted, rows, content, draft) for rows in (check, harder(check, seed=recipe.seed)))
        content, successor = behind_inputs(content, draft, answering)
        if successor.inputs != draft.inputs:
            # Other inputs may round: what the graph is then asked is what scikit-learn is asked.
            seen = table_from(successor, arrays_for(successor, check))
            parity = max(parity, _parity(fitted, seen, content, successor))
        directory = bundles or workdir / "bundles"
        model_id = write_bundle(directory, content, successor)
    found = {
        **figures,
        "tune_mae": float(np.mean(np.abs(scale.up(estimator.values(tune)) - y[tune_rows]))),
        "train_rows": len(train_rows),
        "tune_rows": len(tune_rows),
        "parity": parity,
    }
    return Trained(directory / model_id, model_id, found, parity)


@dataclass(frozen=True)
class _Fitted:
    """A fitted estimator and the scale of its target: what the graph must answer."""

    estimator: Regressor
    profile: Profile
    scale: Scale

    def values(self, table: pa.Table) -> FloatArray:
        """scikit-learn's own answers [n], in the target's unit."""
        nothing = np.zeros(table.num_rows)
        rows = Rows(numbers_of(self.profile, table), codes_of(self.profile, table), nothing.astype(np.int64), nothing)
        return self.scale.up(self.estimator.values(rows))


def _draft(
    fitted: _Fitted, recipe: TrainSettings, data_id: str | None, reference_data_id: str | None
) -> tuple[bytes, Manifest]:
    graph = Graph()
    inputs = input_specs(fitted.profile)
    made = fitted.estimator.write(graph, write_reading(graph, fitted.profile, inputs))
    spread, centre = (graph.constant(np.array([[v]])) for v in (fitted.scale.spread, fitted.scale.centre))
    value = graph.op(
        "Reshape",
        graph.op("Add", graph.op("Mul", made, spread), centre),
        graph.constant(np.array([-1], np.int64)),
    )
    output = value_output(fitted.profile)
    content = graph.model({output.name: (value, output)})
    return content, Manifest(
        format_version=format_for(inputs, (output,)),
        task=Task.REGRESSION.value,
        inputs=inputs,
        outputs=(output,),
        classes=(),
        recipe=recipe.model_dump(mode="json"),
        data_id=data_id,
        reference_data_id=reference_data_id,
        versions={name: version(name) for name in ("backstay", "scikit-learn", "onnx", "numpy")},
    )


def _parity(fitted: _Fitted, table: pa.Table, content: bytes, draft: Manifest) -> float:
    """Largest difference of the graph from scikit-learn on these rows, as a share of the target's spread."""
    found = Model(Path(), draft, open_session(content)).run(arrays_for(draft, table)).numbers
    wanted = fitted.values(table)
    gap = float("inf") if found is None else float(np.max(np.abs(found - wanted), initial=0.0)) / fitted.scale.spread
    if not gap <= LIMIT:
        raise BackstayError(
            f"the ONNX graph differs from scikit-learn by {gap:.2g} of the target's spread, allowed is {LIMIT:.0e}",
            fix="nothing was kept: report it with the model's name",
        )
    return gap
