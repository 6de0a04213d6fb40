"""Rows and a recipe in, a bundle out, for an encoder that answers a number: the twin of `train.loop.fit`.

Shorter than its twin: no checkpoint (a run that was killed begins again), no unlabelled rows, no teacher, CPU only.
"""

from __future__ import annotations

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
from backstay.bundle.numbers import target_values
from backstay.bundle.tokens import Tokens
from backstay.bundle.write import write_bundle
from backstay.kernel.errors import BackstayError
from backstay.kernel.ports import NoProgress, Progress
from backstay.kernel.records import Schema, Task
from backstay.maths.arrays import FloatArray
from backstay.settings import TrainSettings
from backstay.train.direct_epochs import Aimed, direct_epochs
from backstay.train.examples import Profile, profile_of, tensors_of
from backstay.train.loop import Trained, behind_inputs, files_of, space_of, torch_settings
from backstay.train.network import Network, embed
from backstay.train.options import Options
from backstay.train.rows import row_weights
from backstay.train.value_network import build_value, export_value, loss_of
from backstay.train.values import Scale

_PARITY_ROWS = 256
PARITY = 1e-4


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
    root: Path = Path(),
) -> Trained:
    """Train on `parts["train"]`, stop early on `parts["tune"]`, write a bundle. Arguments: `train.loop.fit`.

    Raises:
        BackstayError: an objective or head of classes, a target that is not numbers, too few rows, a loss that is not
            finite, a collapsed encoder, or an export that answers otherwise than torch.
    """
    progress = progress or NoProgress()
    if recipe.device == "cuda":
        raise BackstayError("a regression is trained on a CPU only", fix='set train.device = "cpu"')
    if schema.target is None or schema.target not in table.column_names:
        raise BackstayError("the rows have no target column", fix="name it with data.target")
    loss = loss_of(recipe)
    y = target_values(table.column(schema.target), schema.target)
    weights = row_weights(sample_weight, table.num_rows)
    train_rows, tune_rows = (np.asarray(parts[name], dtype=np.int64) for name in ("train", "tune"))
    train_rows = train_rows[weights[train_rows] > 0]
    scale = Scale.of(y[train_rows], len(tune_rows))
    with torch_settings(recipe):
        options = Options("train.encoder_options", recipe.encoder_options)
        profile = profile_of(table, schema, train_rows, options, root)
        network = build_value(profile, recipe)
        truth = torch.from_numpy(scale.down(y).astype(np.float32))[:, None]
        train, tune = (Aimed.of(profile, table, truth, weights, rows) for rows in (train_rows, tune_rows))
        history = direct_epochs(network, loss, train, tune, recipe, progress)
        with progress.step("export"):
            check = table.take(pa.array(tune_rows[:_PARITY_ROWS]))
            content, draft = _draft(network, profile, train, scale, recipe, data_id, reference_data_id)
            content, draft = behind_inputs(content, draft, answering)
            parity = _parity(network, profile, scale, check, content, draft)
            directory = bundles or workdir / "bundles"
            model_id = write_bundle(directory, content, draft, files=files_of(profile))
        found = scale.up(_values(network, tune.tensors))
    figures = {
        **min(reversed(history), key=lambda epoch: epoch["tune_loss"]),
        "tune_mae": float(np.mean(np.abs(found - y[tune_rows]))),
        "epochs": len(history),
        "train_rows": len(train_rows),
        "tune_rows": len(tune_rows),
        "parity": parity,
    }
    return Trained(directory / model_id, model_id, figures, parity)


@torch.no_grad()
def _values(network: Network, tensors: tuple[Tensor, ...]) -> FloatArray:
    found = network.head(embed(network, tensors))[:, 0]
    return np.asarray(found.double().numpy(), dtype=np.float64)


def _draft(
    network: Network,
    profile: Profile,
    train: Aimed,
    scale: Scale,
    recipe: TrainSettings,
    data_id: str | None,
    reference_data_id: str | None,
) -> tuple[bytes, Manifest]:
    content, inputs, outputs = export_value(network, profile, tuple(t[:2] for t in train.tensors), scale)
    return content, Manifest(
        format_version=format_for(inputs, outputs),
        task=Task.REGRESSION.value,
        inputs=inputs,
        outputs=outputs,
        classes=(),
        space_id=space_of(network, content + profile.tokenizer.encode()),
        recipe=recipe.model_dump(mode="json"),
        data_id=data_id,
        reference_data_id=reference_data_id,
        versions={name: version(name) for name in ("backstay", "torch", "onnx", "onnxscript", "numpy")},
    )


def _parity(
    network: Network, profile: Profile, scale: Scale, table: pa.Table, content: bytes, draft: Manifest
) -> float:
    """Largest difference between torch and the graph: of embeddings, and of answers as a share of the spread."""
    tensors = tensors_of(profile, table)
    tokens = Tokens(profile.tokenizer.encode()) if profile.text else None
    said = Model(Path(), draft, open_session(content), tokens).run(arrays_for(draft, table))
    if said.numbers is None or said.embeddings is None:
        raise BackstayError("the exported model lacks its value or embeddings", fix="report it: a fault of Backstay")
    gap = max(
        float(np.max(np.abs(said.numbers - scale.up(_values(network, tensors))))) / scale.spread,
        float(np.max(np.abs(said.embeddings - embed(network, tensors).numpy()))),
    )
    if not gap <= PARITY:
        raise BackstayError(
            f"the exported model differs from the trained one by {gap:.2g}, allowed is {PARITY:.0e}",
            fix="lower train.learning_rate, or report it with the recipe; nothing was released",
        )
    return gap
