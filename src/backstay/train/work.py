"""What every `fit` is asked and what it leaves: rows, a recipe, where the bundle goes and what it says of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import wraps
from importlib.metadata import version
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from backstay.bundle.manifest import SEVERAL_TOKENIZERS, InputSpec, Manifest, OutputSpec, format_for
from backstay.bundle.signature import answered, with_inputs
from backstay.bundle.write import write_bundle
from backstay.kernel.errors import BackstayError
from backstay.kernel.ports import NoProgress, Progress
from backstay.kernel.records import Schema, Task
from backstay.settings import TrainSettings

Places = npt.NDArray[np.int64]
"""Row numbers [n]."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What a run left.

    Args:
        bundle_directory: the folder of the bundle, named by the model's id.
        figures: losses and figures of the kept epoch or model, and how many rows it was made of.
        parity: largest difference between the trained model and its graph.
    """

    bundle_directory: Path
    model_id: str
    figures: dict[str, Any]
    parity: float


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """What a run is asked.

    Args:
        parts: row numbers of "train" and "tune".
        workdir: where checkpoints are kept while the run lasts.
        classes: the target's values, or the labels that its sets are made of, in the order of the scores.
        bundles: where the bundle goes; `workdir/bundles` when not given.
        sample_weight: a weight >= 0 for each row of the table.
        answering: the inputs of the model that this one is to succeed; the bundle takes the same where it can.
        root: where relative paths of the recipe begin.
    """

    table: pa.Table
    schema: Schema
    parts: Mapping[str, Places]
    recipe: TrainSettings
    _: KW_ONLY
    workdir: Path
    classes: tuple[str, ...] = ()
    bundles: Path | None = None
    progress: Progress | None = None
    data_id: str | None = None
    reference_data_id: str | None = None
    sample_weight: npt.NDArray[np.float64] | None = None
    answering: tuple[InputSpec, ...] = ()
    root: Path = field(default_factory=Path)

    @property
    def told(self) -> Progress:
        """Whom progress is told."""
        return self.progress or NoProgress()

    @property
    def target(self) -> pa.ChunkedArray:
        """The column that is learned. Raises BackstayError where there is none."""
        name = self.schema.target
        if name is None or name not in self.table.column_names:
            raise BackstayError("the rows have no target column", fix="name it with data.target")
        return self.table.column(name)

    @property
    def weights(self) -> npt.NDArray[np.float32]:
        """A weight for each row of the table, 1 where none are given. Raises BackstayError for negative ones."""
        rows = self.table.num_rows
        if self.sample_weight is None:
            return np.ones(rows, np.float32)
        weights = np.asarray(self.sample_weight, dtype=np.float32)
        if weights.shape != (rows,) or not np.all(np.isfinite(weights)) or np.any(weights < 0):
            raise BackstayError(
                f"the sample weights have shape {weights.shape} or hold values that are negative or NaN",
                fix=f"give one weight of 0 or more for each of the {rows} rows",
            )
        return weights

    def weighty(self) -> tuple[Places, Places]:
        """Rows of the train part that have a weight above 0, and all rows of the tune part."""
        train, tune = (np.asarray(self.parts[name], dtype=np.int64) for name in ("train", "tune"))
        return train[self.weights[train] > 0], tune

    def manifest(
        self,
        task: Task,
        inputs: tuple[InputSpec, ...],
        outputs: tuple[OutputSpec, ...],
        *,
        made_by: tuple[str, ...],
        space_id: str = "",
        none_label: str = "",
    ) -> Manifest:
        """What the bundle says of itself. `made_by`: the packages whose versions decide what was made."""
        return Manifest(
            format_version=format_for(inputs, outputs),
            task=task.value,
            inputs=inputs,
            outputs=outputs,
            classes=self.classes,
            space_id=space_id,
            recipe=self.recipe.model_dump(mode="json"),
            data_id=self.data_id,
            reference_data_id=self.reference_data_id,
            versions=versions(made_by),
            none_label=none_label,
        )

    def keep(
        self,
        content: bytes,
        draft: Manifest,
        figures: Mapping[str, Any],
        *,
        parity: float,
        files: Mapping[str, bytes] | None = None,
    ) -> Trained:
        """Write the bundle. `files`: what is in it beside the graph."""
        directory = self.bundles or self.workdir / "bundles"
        model_id = write_bundle(directory, content, draft, files=files)
        return Trained(directory / model_id, model_id, {**figures, "parity": parity}, parity)


_P = ParamSpec("_P")
_W = TypeVar("_W")


def takes(work: Callable[_P, _W]) -> Callable[[Callable[[_W], Trained]], Callable[_P, Trained]]:
    """Let what works on a `Work` be called with the arguments that it is made of, which are told in one place only."""

    def with_arguments(learn: Callable[[_W], Trained]) -> Callable[_P, Trained]:
        @wraps(learn)
        def fit(*args: _P.args, **kwargs: _P.kwargs) -> Trained:
            return learn(work(*args, **kwargs))

        return fit

    return with_arguments


def versions(names: tuple[str, ...]) -> dict[str, str]:
    """Of the installed packages with these names."""
    return {name: version(name) for name in names}


def behind_inputs(content: bytes, draft: Manifest, wanted: tuple[InputSpec, ...]) -> tuple[bytes, Manifest]:
    """Behind the champion's inputs, where they hold what this model reads; else as it is, and the gate will tell."""
    if not wanted or draft.inputs == wanted:
        return content, draft
    changed = with_inputs(content, draft.inputs, wanted)
    if changed is None:
        return content, draft
    inputs = answered(draft.inputs, wanted)
    several = draft.format_version == SEVERAL_TOKENIZERS
    version = SEVERAL_TOKENIZERS if several else format_for(inputs, draft.outputs)
    return changed, replace(draft, inputs=inputs, format_version=version)
