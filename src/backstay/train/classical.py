"""Rows and a recipe in, a bundle out, for models without an encoder: the twin of `train.loop.fit`.

The bundle has a label and scores and no embedding. Reading of columns, model and calibration are one graph.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from threadpoolctl import threadpool_limits

from backstay.bundle.inputs import arrays_for, table_from
from backstay.bundle.manifest import InputSpec, Manifest, format_for
from backstay.bundle.model import Model, open_session
from backstay.bundle.write import write_bundle
from backstay.kernel.errors import BackstayError
from backstay.kernel.ports import NoProgress, Progress
from backstay.kernel.records import ColumnKind, Schema, Task
from backstay.maths.arrays import FloatArray, IntArray
from backstay.settings import TrainSettings
from backstay.train.convert.answer import (
    Calibration,
    calibrated,
    calibration_of,
    finish,
    write_calibrated,
    write_spread,
)
from backstay.train.convert.graph import Graph
from backstay.train.convert.parity import harder, require_parity
from backstay.train.estimators import ESTIMATORS
from backstay.train.estimators.contract import Estimator, Problem, Rows
from backstay.train.estimators.reading import codes_of, numbers_of, refuse_infinite, write_reading
from backstay.train.examples import Profile, profile_of
from backstay.train.export import input_specs
from backstay.train.loop import Trained, behind_inputs
from backstay.train.options import Options
from backstay.train.rows import row_weights, usable_rows

_PARITY_ROWS = 2000
_TABLE_KINDS = (ColumnKind.NUMBER, ColumnKind.INTEGER, ColumnKind.CATEGORY, ColumnKind.BOOLEAN)


def fit(
    table: pa.Table,
    schema: Schema,
    parts: dict[str, npt.NDArray[np.int64]],
    recipe: TrainSettings,
    *,
    classes: tuple[str, ...],
    workdir: Path,
    bundles: Path | None = None,
    progress: Progress | None = None,
    data_id: str | None = None,
    reference_data_id: str | None = None,
    sample_weight: npt.NDArray[np.float64] | None = None,
    answering: tuple[InputSpec, ...] = (),
) -> Trained:
    """Train on `parts["train"]`, choose and calibrate on `parts["tune"]`, write a bundle. Arguments: `train.loop.fit`.

    Raises:
        BackstayError: an unknown model or option, columns that it cannot read, too few rows, or a graph that answers
            otherwise than scikit-learn.
    """
    progress = progress or NoProgress()
    make = ESTIMATORS[recipe.model]
    refuse_other_kinds(schema, recipe)
    train_rows, tune_rows, codes = usable_rows(table, schema, parts, classes)
    weights = row_weights(sample_weight, table.num_rows).astype(np.float64)
    train_rows = train_rows[(codes[train_rows] >= 0) & (weights[train_rows] > 0)]
    present = np.unique(codes[train_rows])
    if len(present) < 2:
        raise BackstayError(
            f"the train part has rows of weight above 0 of {len(present)} class{'' if len(present) == 1 else 'es'}",
            fix="give rows of two classes or more a weight",
        )
    tune_rows = tune_rows[np.isin(codes[tune_rows], present)]
    profile = profile_of(table, schema, train_rows)
    labels = np.searchsorted(present, codes)
    train, tune = (rows_of(profile, table, rows, labels, weights) for rows in (train_rows, tune_rows))
    refuse_infinite(profile, train.numbers)
    refuse_infinite(profile, tune.numbers)
    problem = Problem(len(profile.numbers), levels_of(profile), len(present), recipe.seed)
    options = Options("train.model_options", recipe.model_options)
    estimator: Estimator = make(problem, options)
    options.done()
    with progress.step("train"), threads(recipe.threads):
        figures = estimator.fit(train, tune)
    with progress.step("export"):
        fitted = _Fitted.calibrated(estimator, profile, present, classes, tune)
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
    counts = {"train_rows": len(train_rows), "tune_rows": len(tune_rows)}
    return Trained(directory / model_id, model_id, {**figures, **counts, "parity": parity}, parity)


@dataclass(frozen=True)
class _Fitted:
    """A fitted estimator and its calibration: what the graph must answer."""

    estimator: Estimator
    profile: Profile
    present: IntArray
    classes: tuple[str, ...]
    calibration: Calibration

    @classmethod
    def calibrated(
        cls, estimator: Estimator, profile: Profile, present: IntArray, classes: tuple[str, ...], tune: Rows
    ) -> _Fitted:
        """The calibration is over all classes of the model; one without rows keeps a score near 0."""
        spread = estimator.probabilities(tune) @ np.eye(len(classes))[present]
        return cls(estimator, profile, present, classes, calibration_of(spread, present[tune.labels]))

    def scores(self, table: pa.Table) -> FloatArray:
        """Calibrated scores of scikit-learn's own answers [n, classes]."""
        numbers, codes = numbers_of(self.profile, table), codes_of(self.profile, table)
        nothing = np.zeros(table.num_rows)
        rows = Rows(numbers, codes, nothing.astype(np.int64), nothing)
        spread = self.estimator.probabilities(rows) @ np.eye(len(self.classes))[self.present]
        return calibrated(self.calibration, spread)


def _draft(
    fitted: _Fitted, recipe: TrainSettings, data_id: str | None, reference_data_id: str | None
) -> tuple[bytes, Manifest]:
    graph = Graph()
    inputs = input_specs(fitted.profile)
    made = fitted.estimator.write(graph, write_reading(graph, fitted.profile, inputs))
    spread = write_spread(graph, made, fitted.present.tolist(), len(fitted.classes))
    content, outputs = finish(graph, write_calibrated(graph, fitted.calibration, spread), fitted.classes)
    return content, Manifest(
        format_version=format_for(inputs),
        task=Task.CLASSIFICATION.value,
        inputs=inputs,
        outputs=outputs,
        classes=fitted.classes,
        recipe=recipe.model_dump(mode="json"),
        data_id=data_id,
        reference_data_id=reference_data_id,
        versions={name: version(name) for name in ("backstay", "scikit-learn", "onnx", "numpy")},
    )


def _parity(fitted: _Fitted, table: pa.Table, content: bytes, draft: Manifest) -> float:
    """Largest difference of the graph, from raw columns to scores, from scikit-learn on these rows."""
    found = Model(Path(), draft, open_session(content)).run(arrays_for(draft, table)).scores
    wide = None if found is None else found.astype(np.float64)
    return require_parity(fitted.scores(table), wide, rows=table, what="scikit-learn")


def refuse_other_kinds(schema: Schema, recipe: TrainSettings) -> None:
    for name in schema.features:
        kind = schema.column(name).kind
        if kind not in _TABLE_KINDS:
            raise BackstayError(
                f"the feature {name!r} is {kind.value}; train.model = {recipe.model!r} reads numbers and categories",
                fix='use train.model = "encoder", or put the column under data.ignore',
            )


def rows_of(
    profile: Profile,
    table: pa.Table,
    rows: npt.NDArray[np.int64],
    labels: IntArray,
    weights: FloatArray,
) -> Rows:
    taken = table.take(pa.array(rows))
    return Rows(numbers_of(profile, taken), codes_of(profile, taken), labels[rows], weights[rows])


def levels_of(profile: Profile) -> tuple[int, ...]:
    return tuple(len(profile.levels[name]) for name in profile.categories)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """scikit-learn's threads, as the recipe says: sums are added in another order by another number of them."""
    with threadpool_limits(count):
        yield
