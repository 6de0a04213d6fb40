"""Rows and a recipe in, a bundle out, for an encoder that answers a number: the twin of `train.loop.fit`.

Shorter than its twin: no checkpoint (a run that was killed begins again), no unlabelled rows, no teacher, CPU only.
"""

from __future__ import annotations

import math
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
from backstay.kernel.ids import digest
from backstay.kernel.ports import NoProgress, Progress
from backstay.kernel.records import Schema, Task
from backstay.maths.arrays import FloatArray
from backstay.settings import TrainSettings
from backstay.train.augmentations.images import Changes
from backstay.train.collapse import COLLAPSED, collapse_figures
from backstay.train.epochs import step_size
from backstay.train.examples import Profile, profile_of, tensors_of
from backstay.train.loop import Trained, behind_inputs, files_of, space_of, torch_settings
from backstay.train.network import Network, embed
from backstay.train.objectives.contract import Batch, embed_view, pieces_of
from backstay.train.options import Options
from backstay.train.rows import row_weights
from backstay.train.value_network import Loss, build_value, export_value, loss_of
from backstay.train.values import Scale

_PARITY_ROWS = 256
PARITY = 1e-4
_GRADIENT_NORM = 5.0


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
        truth = torch.from_numpy(scale.down(y).astype(np.float32))
        train = _Rows(_tensors(profile, table, train_rows), truth[train_rows], torch.from_numpy(weights[train_rows]))
        tune = _Rows(_tensors(profile, table, tune_rows), truth[tune_rows], torch.from_numpy(weights[tune_rows]))
        history = _epochs(network, loss, train, tune, recipe, progress)
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


class _Rows:
    """Inputs of the encoder, standardised targets [n] and weights [n]."""

    def __init__(self, tensors: tuple[Tensor, ...], truth: Tensor, weights: Tensor) -> None:
        self.tensors = tensors
        self.truth = truth
        self.weights = weights


def _tensors(profile: Profile, table: pa.Table, rows: npt.NDArray[np.int64]) -> tuple[Tensor, ...]:
    return tensors_of(profile, table.take(pa.array(rows)))


def _epochs(
    network: Network, loss: Loss, train: _Rows, tune: _Rows, recipe: TrainSettings, progress: Progress
) -> list[dict[str, float]]:
    """Train until the tune loss has not fallen for `patience` epochs; the best epoch's weights stay."""
    optimiser = torch.optim.AdamW(network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    history: list[dict[str, float]] = []
    best: dict[str, Tensor] = {}
    with progress.step("train", total=recipe.epochs) as tick:
        for epoch in range(recipe.epochs):
            lost = _epoch(network, optimiser, loss, train, recipe, epoch)
            with torch.no_grad():
                held_out = embed(network, tune.tensors)
                each = loss(network.head(held_out)[:, 0], tune.truth)
            deviation, rank = collapse_figures(held_out)
            tuned = float(each.mean())
            if not (math.isfinite(lost) and math.isfinite(tuned)):
                raise BackstayError(f"the loss became {lost} in epoch {epoch + 1}", fix="lower train.learning_rate")
            history.append({"loss": lost, "tune_loss": tuned, "feature_std": deviation, "effective_rank": rank})
            if tuned <= min(h["tune_loss"] for h in history):
                best = {k: v.detach().clone() for k, v in network.state_dict().items()}
            tick(1, note=f"loss {lost:.3f}, tune {tuned:.3f}")
            if len(history) - int(np.argmin([h["tune_loss"] for h in history])) > recipe.patience:
                break
    network.load_state_dict(best)
    if all(h["feature_std"] < COLLAPSED for h in history[-2:]):
        raise BackstayError(
            "the encoder has collapsed: all rows have nearly the same embedding",
            fix="lower train.learning_rate or train.weight_decay",
        )
    return history


def _epoch(
    network: Network,
    optimiser: torch.optim.Optimizer,
    loss: Loss,
    train: _Rows,
    recipe: TrainSettings,
    epoch: int,
) -> float:
    network.train()
    seed = int(digest([recipe.seed, epoch])[:13], 16)
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)  # dropout; the caller puts the global generator back
    changes = Changes.of(Options("train.augmentation_options", recipe.augmentation_options), recipe.flip)
    order = pieces_of(torch.randperm(len(train.truth), generator=generator), recipe.batch_size)
    total = 0.0
    for place, rows in enumerate(order):
        for group in optimiser.param_groups:
            group["lr"] = step_size(recipe, epoch, place / len(order))
        batch = Batch(
            tuple(t[rows] for t in train.tensors),
            torch.zeros(len(rows), dtype=torch.int64),
            train.weights[rows],
            generator,
            recipe.augmentation,
            recipe.cached_rows,
            network.kind,
            changes,
        )
        values = network.head(embed_view(network, batch))[:, 0]
        each = loss(values, train.truth[rows]) * batch.weights
        mean = each.sum() / batch.weights.sum().clamp(min=1e-12)
        optimiser.zero_grad()
        mean.backward()  # type: ignore[no-untyped-call] # torch does not annotate it
        torch.nn.utils.clip_grad_norm_(network.parameters(), _GRADIENT_NORM)
        optimiser.step()
        total += float(mean.detach()) * len(rows)
    return total / len(train.truth)


@torch.no_grad()
def _values(network: Network, tensors: tuple[Tensor, ...]) -> FloatArray:
    found = network.head(embed(network, tensors))[:, 0]
    return np.asarray(found.double().numpy(), dtype=np.float64)


def _draft(
    network: Network,
    profile: Profile,
    train: _Rows,
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
