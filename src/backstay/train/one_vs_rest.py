"""Rows and a recipe in, a bundle out, for sets of labels without an encoder: one model a label, all in one graph.

Each label is learned on its own, "has it" against "has it not", by the model that `train.model` names (Rifkin & Klautau
2004). The bundle has members and scores and no embedding.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from onnx import TensorProto

from backstay.bundle.inputs import arrays_for, table_from
from backstay.bundle.manifest import InputSpec, Manifest, OutputSpec, format_for
from backstay.bundle.model import Model, open_session
from backstay.bundle.sets import members
from backstay.bundle.write import write_bundle
from backstay.kernel.errors import BackstayError
from backstay.kernel.ports import NoProgress, Progress
from backstay.kernel.records import Schema, Task
from backstay.maths.arrays import BoolArray, FloatArray
from backstay.maths.thresholds import best_f1_thresholds
from backstay.settings import TrainSettings
from backstay.train.classical import levels_of, refuse_other_kinds, rows_of, threads
from backstay.train.convert.graph import Graph
from backstay.train.convert.parity import LIMIT, harder, require_parity
from backstay.train.estimators import ESTIMATORS
from backstay.train.estimators.contract import Estimator, Problem, Rows
from backstay.train.estimators.reading import codes_of, numbers_of, refuse_infinite, write_reading
from backstay.train.examples import Profile, profile_of
from backstay.train.export import input_specs
from backstay.train.loop import Trained, behind_inputs
from backstay.train.options import Options
from backstay.train.rows import row_weights
from backstay.train.sets import members_name, refuse_few, set_figures

_PARITY_ROWS = 2000


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
    """Train one model a label on `parts["train"]`, choose each label's cut on `parts["tune"]`, write a bundle.

    Args:
        classes: the labels that sets are made of, in the order of the scores. Others: `train.loop.fit`.

    Raises:
        BackstayError: an unknown model or option, columns that it cannot read, too few rows, a label that no row of
            weight has or that every one has, or a graph that answers otherwise than scikit-learn.
    """
    progress = progress or NoProgress()
    make = ESTIMATORS[recipe.model]
    refuse_other_kinds(schema, recipe)
    if schema.target is None or schema.target not in table.column_names:
        raise BackstayError("the rows have no target column", fix="name it with data.target")
    there = members(table.column(schema.target).to_pylist(), classes)
    weights = row_weights(sample_weight, table.num_rows).astype(np.float64)
    train_rows, tune_rows = (np.asarray(parts[name], dtype=np.int64) for name in ("train", "tune"))
    train_rows = train_rows[weights[train_rows] > 0]
    refuse_few(there[train_rows], len(tune_rows), classes)
    _refuse_ubiquitous(there[train_rows], classes)
    profile = profile_of(table, schema, train_rows)
    estimators: list[Estimator] = []
    chances: list[FloatArray] = []
    with progress.step("train", total=len(classes)) as tick, threads(recipe.threads):
        for place, name in enumerate(classes):
            labels = there[:, place].astype(np.int64)
            train, tune = (rows_of(profile, table, rows, labels, weights) for rows in (train_rows, tune_rows))
            refuse_infinite(profile, train.numbers)
            refuse_infinite(profile, tune.numbers)
            options = Options("train.model_options", recipe.model_options)
            estimator: Estimator = make(Problem(len(profile.numbers), levels_of(profile), 2, recipe.seed), options)
            options.done()
            estimator.fit(train, tune)
            estimators.append(estimator)
            chances.append(estimator.probabilities(tune)[:, 1])
            tick(1, note=name)
    scores = np.column_stack(chances)
    thresholds = best_f1_thresholds(scores, there[tune_rows])
    with progress.step("export"):
        made = _Made(tuple(estimators), profile, classes, thresholds)
        content, draft = made.draft(recipe, data_id, reference_data_id)
        check = table.take(pa.array(tune_rows[:_PARITY_ROWS])).select(list(schema.features))
        parity = max(made.parity(rows, content, draft) for rows in (check, harder(check, seed=recipe.seed)))
        content, successor = behind_inputs(content, draft, answering)
        if successor.inputs != draft.inputs:
            # Other inputs may round: what the graph is then asked is what scikit-learn is asked.
            seen = table_from(successor, arrays_for(successor, check))
            parity = max(parity, made.parity(seen, content, successor))
        directory = bundles or workdir / "bundles"
        model_id = write_bundle(directory, content, successor)
    figures = {
        **set_figures(scores, there[tune_rows], thresholds, classes),
        "train_rows": len(train_rows),
        "tune_rows": len(tune_rows),
        "parity": parity,
    }
    return Trained(directory / model_id, model_id, figures, parity)


def _refuse_ubiquitous(there: BoolArray, classes: tuple[str, ...]) -> None:
    always = [name for name, n in zip(classes, there.sum(axis=0), strict=True) if n == len(there)]
    if always:
        raise BackstayError(
            f"every row of the train part has the label {always[0]!r}, so there is nothing to tell it from",
            fix="leave it out of the sets",
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Made:
    """A fitted model for each label, and the cut of each: what the graph must answer."""

    estimators: tuple[Estimator, ...]
    profile: Profile
    classes: tuple[str, ...]
    thresholds: FloatArray

    def scores(self, table: pa.Table) -> FloatArray:
        """scikit-learn's own chances [n, labels]."""
        nothing = np.zeros(table.num_rows)
        rows = Rows(numbers_of(self.profile, table), codes_of(self.profile, table), nothing.astype(np.int64), nothing)
        return np.column_stack([estimator.probabilities(rows)[:, 1] for estimator in self.estimators])

    def draft(
        self, recipe: TrainSettings, data_id: str | None, reference_data_id: str | None
    ) -> tuple[bytes, Manifest]:
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
        return content, Manifest(
            format_version=format_for(inputs, outputs),
            task=Task.MULTILABEL.value,
            inputs=inputs,
            outputs=outputs,
            classes=self.classes,
            recipe=recipe.model_dump(mode="json"),
            data_id=data_id,
            reference_data_id=reference_data_id,
            versions={name: version(name) for name in ("backstay", "scikit-learn", "onnx", "numpy")},
        )

    def parity(self, table: pa.Table, content: bytes, draft: Manifest) -> float:
        """Largest difference of the graph's chances from scikit-learn's on these rows; the sets must be the same."""
        found = Model(Path(), draft, open_session(content)).run(arrays_for(draft, table))
        wanted = self.scores(table)
        wide = None if found.scores is None else found.scores.astype(np.float64)
        gap = require_parity(wanted, wide, rows=table, what="scikit-learn")
        sure = np.abs(wanted - self.thresholds) > LIMIT
        if found.members is None or bool(np.any(found.members[sure] != (wanted >= self.thresholds)[sure])):
            raise BackstayError(
                "the ONNX graph answers other sets than scikit-learn", fix="report it; nothing was kept"
            )
        return gap
