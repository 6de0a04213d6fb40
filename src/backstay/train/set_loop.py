"""Rows and a recipe in, a bundle out, for an encoder that answers sets of labels: the twin of `train.value_loop.fit`.

Shorter than `train.loop.fit`: no checkpoint, no unlabelled rows, no teacher, CPU only.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

from backstay.bundle.inputs import arrays_for
from backstay.bundle.manifest import InputSpec, Manifest, format_for
from backstay.bundle.model import Model, open_session
from backstay.bundle.sets import members
from backstay.bundle.tokens import Tokens
from backstay.bundle.write import write_bundle
from backstay.kernel.errors import BackstayError
from backstay.kernel.ports import NoProgress, Progress
from backstay.kernel.records import Schema, Task
from backstay.maths.arrays import FloatArray
from backstay.maths.thresholds import best_f1_thresholds
from backstay.settings import TrainSettings
from backstay.train.direct_epochs import Aimed, direct_epochs
from backstay.train.examples import Profile, profile_of, tensors_of
from backstay.train.loop import Trained, behind_inputs, files_of, space_of, torch_settings
from backstay.train.network import Network, embed
from backstay.train.options import Options
from backstay.train.rows import row_weights
from backstay.train.set_network import build_sets, export_sets, loss_of
from backstay.train.sets import refuse_few, set_figures

_PARITY_ROWS = 256
PARITY = 1e-4


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
    root: Path = Path(),
) -> Trained:
    """Train on `parts["train"]`, stop early and choose each label's cut on `parts["tune"]`, write a bundle.

    Args:
        classes: the labels that sets are made of, in the order of the scores. Others: `train.loop.fit`.

    Raises:
        BackstayError: an objective or head of classes, a label that no row of weight has, too few rows, a loss that is
            not finite, a collapsed encoder, or an export that answers otherwise than torch.
    """
    progress = progress or NoProgress()
    if recipe.device == "cuda":
        raise BackstayError("a multi-label model is trained on a CPU only", fix='set train.device = "cpu"')
    if schema.target is None or schema.target not in table.column_names:
        raise BackstayError("the rows have no target column", fix="name it with data.target")
    loss = loss_of(recipe)
    there = members(table.column(schema.target).to_pylist(), classes)
    weights = row_weights(sample_weight, table.num_rows)
    train_rows, tune_rows = (np.asarray(parts[name], dtype=np.int64) for name in ("train", "tune"))
    train_rows = train_rows[weights[train_rows] > 0]
    refuse_few(there[train_rows], len(tune_rows), classes)
    with torch_settings(recipe):
        options = Options("train.encoder_options", recipe.encoder_options)
        profile = profile_of(table, schema, train_rows, options, root)
        network = build_sets(profile, recipe, there[train_rows].mean(axis=0))
        truth = torch.from_numpy(there.astype(np.float32))
        train, tune = (Aimed.of(profile, table, truth, weights, rows) for rows in (train_rows, tune_rows))
        history = direct_epochs(network, loss, train, tune, recipe, progress)
        scores = _scores(network, tune.tensors)
        thresholds = best_f1_thresholds(scores, there[tune_rows])
        with progress.step("export"):
            made = _Made(network, profile, classes, thresholds)
            content, draft = made.draft(train, recipe, data_id, reference_data_id)
            content, draft = behind_inputs(content, draft, answering)
            parity = made.parity(table.take(pa.array(tune_rows[:_PARITY_ROWS])), content, draft)
            directory = bundles or workdir / "bundles"
            model_id = write_bundle(directory, content, draft, files=files_of(profile))
    kept = min(reversed(history), key=lambda epoch: epoch["tune_loss"])
    figures = {
        **kept,
        **set_figures(scores, there[tune_rows], thresholds, classes),
        "epochs": len(history),
        "train_rows": len(train_rows),
        "tune_rows": len(tune_rows),
        "parity": parity,
    }
    return Trained(directory / model_id, model_id, figures, parity)


@torch.no_grad()
def _scores(network: Network, tensors: tuple[Tensor, ...]) -> FloatArray:
    found: Tensor = network.head.scores(network.head(embed(network, tensors)))  # type: ignore[operator] # as in Network
    return np.asarray(found.double().numpy(), dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class _Made:
    """What was trained, and the cut of each label."""

    network: Network
    profile: Profile
    classes: tuple[str, ...]
    thresholds: FloatArray

    def draft(
        self, train: Aimed, recipe: TrainSettings, data_id: str | None, reference_data_id: str | None
    ) -> tuple[bytes, Manifest]:
        example = tuple(t[:2] for t in train.tensors)
        content, inputs, outputs = export_sets(self.network, self.profile, example, self.thresholds)
        return content, Manifest(
            format_version=format_for(inputs, outputs),
            task=Task.MULTILABEL.value,
            inputs=inputs,
            outputs=outputs,
            classes=self.classes,
            space_id=space_of(self.network, content + self.profile.tokenizer.encode()),
            recipe=recipe.model_dump(mode="json"),
            data_id=data_id,
            reference_data_id=reference_data_id,
            versions={name: version(name) for name in ("backstay", "torch", "onnx", "onnxscript", "numpy")},
        )

    def parity(self, table: pa.Table, content: bytes, draft: Manifest) -> float:
        """Largest difference between torch and the graph over scores and embeddings; and the sets must be the same.

        A score that lies as near to its cut as the two may differ may fall on either side.
        """
        tensors = tensors_of(self.profile, table)
        tokens = Tokens(self.profile.tokenizer.encode()) if self.profile.text else None
        said = Model(Path(), draft, open_session(content), tokens).run(arrays_for(draft, table))
        if said.scores is None or said.embeddings is None or said.members is None:
            raise BackstayError("the exported model lacks an output", fix="report it: a fault of Backstay")
        scores = _scores(self.network, tensors)
        gap = max(
            float(np.max(np.abs(said.scores - scores))),
            float(np.max(np.abs(said.embeddings - embed(self.network, tensors).numpy()))),
        )
        other = (said.members != (scores >= self.thresholds)) & (np.abs(scores - self.thresholds) > PARITY)
        if not gap <= PARITY or bool(other.any()):
            raise BackstayError(
                f"the exported model differs from the trained one by {gap:.2g} and in {int(other.sum())} labels, "
                f"allowed are {PARITY:.0e} and none",
                fix="lower train.learning_rate, or report it with the recipe; nothing was released",
            )
        return gap
