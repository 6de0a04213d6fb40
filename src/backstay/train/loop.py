"""Rows and a recipe in, a bundle out. The same data, recipe, seed, threads and versions give the same model id."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from backstay.bundle.inputs import arrays_for
from backstay.bundle.manifest import InputSpec, Manifest, format_for
from backstay.bundle.model import Model, open_session
from backstay.bundle.signature import answered, with_inputs
from backstay.bundle.tokens import TOKENIZER_FILE, Tokens
from backstay.bundle.write import write_bundle
from backstay.kernel.codec import encode
from backstay.kernel.errors import BackstayError
from backstay.kernel.ids import content_id, digest
from backstay.kernel.ports import NoProgress, Progress
from backstay.kernel.records import Schema, Task
from backstay.settings import TrainSettings
from backstay.train.epochs import device_of, run_epochs
from backstay.train.examples import Profile, class_codes, profile_of, tensors_of
from backstay.train.export import export
from backstay.train.held_out import behind
from backstay.train.network import Network, build
from backstay.train.objectives import OBJECTIVES
from backstay.train.objectives.contract import Objective, Problem
from backstay.train.options import Options
from backstay.train.part import Part

PARITY = 1e-4
_PARITY_ROWS = 256
_LEAST_TUNE_ROWS = 2


@dataclass(frozen=True, slots=True)
class Trained:
    """What a run left.

    Args:
        bundle_directory: the folder of the bundle, named by the model's id.
        figures: loss, tune loss and accuracy, collapse figures of the kept epoch, epochs, rows.
        parity: largest difference between torch and ONNX Runtime over scores and embeddings.
    """

    bundle_directory: Path
    model_id: str
    figures: dict[str, Any]
    parity: float


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
    unlabelled: pa.Table | None = None,
) -> Trained:
    """Train on `parts["train"]`, stop early and calibrate on `parts["tune"]`, write a bundle.

    A run that was killed goes on from its last epoch and ends at the same model id.

    Args:
        parts: row numbers of "train" and "tune".
        classes: the target's values, in the order of the scores.
        workdir: where checkpoints are kept while the run lasts.
        bundles: where the bundle goes; `workdir/bundles` when not given.
        sample_weight: a weight >= 0 for each row of the table.
        answering: the inputs of the model that this one is to succeed; the bundle takes the same where it can.
        unlabelled: rows with the features only, to learn from as well; rows of the table without a target of
            `classes` are taken for such rows too.

    Raises:
        BackstayError: unlabelled rows for an objective that needs labels, fewer than two classes, too few rows, a loss
            that is not finite, a collapsed encoder, or an export that answers otherwise than torch.
    """
    progress = progress or NoProgress()
    with _torch_settings(recipe):
        train_rows, tune_rows, codes = usable_rows(table, schema, parts, classes, unlabelled=True)
        weights = row_weights(sample_weight, table.num_rows)
        profile = profile_of(table, schema, train_rows, Options("train.encoder_options", recipe.encoder_options))
        network = build(profile, recipe, len(classes))
        objective = _objective(profile, recipe, len(classes))
        train, tune = (_part(profile, table, codes, weights, rows) for rows in (train_rows, tune_rows))
        train = train.labelled() if objective.needs_labels else train
        if unlabelled is not None:
            train = _with_unlabelled(train, profile, unlabelled, objective, recipe)
        if float(train.labelled().weights.sum()) <= 0:
            raise BackstayError("all sample weights of the train part are 0", fix="give some row a weight")
        key = _run_key(profile, train, tune, recipe, classes, data_id)
        saved = workdir / f"{key}.npz"
        history = run_epochs(network, objective, train, tune, recipe, saved=saved, progress=progress)
        with progress.step("export"):
            check = table.take(pa.array(tune_rows[:_PARITY_ROWS]))
            content, draft = _draft(network, profile, train, classes, recipe, data_id, reference_data_id)
            content, draft = behind_inputs(content, draft, answering)
            parity = _parity(network, profile, check, content, draft)
            directory = bundles or workdir / "bundles"
            model_id = write_bundle(directory, content, draft, files=files_of(profile))
    saved.unlink(missing_ok=True)
    kept = min(reversed(history), key=behind)  # of equals the last, whose weights are kept
    figures = {**kept, "epochs": len(history), "train_rows": len(train), "tune_rows": len(tune), "parity": parity}
    if profile.text:
        figures["cut_texts"] = profile.cut
    return Trained(directory / model_id, model_id, figures, parity)


def files_of(profile: Profile) -> dict[str, bytes]:
    """What the bundle holds beside the graph: the tokenizer of a text model."""
    return {TOKENIZER_FILE: profile.tokenizer.encode()} if profile.text else {}


@contextmanager
def _torch_settings(recipe: TrainSettings) -> Iterator[None]:
    """Threads, seed and deterministic algorithms of the recipe; what the process had before comes back after."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng(devices=[]):
        try:
            torch.set_num_threads(recipe.threads)
            torch.use_deterministic_algorithms(device_of(recipe).type == "cpu")
            torch.manual_seed(recipe.seed)
            yield
        finally:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(strict)


def _objective(profile: Profile, recipe: TrainSettings, classes: int) -> Objective:
    """The recipe's objective. Its parameters are drawn after the network's, so the network begins alike for all."""
    options = Options("train.objective_options", recipe.objective_options, {"temperature": recipe.temperature})
    objective: Objective = OBJECTIVES[recipe.objective](options, Problem(profile, recipe.dimension, classes))
    return objective


def usable_rows(
    table: pa.Table,
    schema: Schema,
    parts: dict[str, npt.NDArray[np.int64]],
    classes: tuple[str, ...],
    *,
    unlabelled: bool = False,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Labelled rows of both parts (of train the unlabelled too, where asked for), and the class codes of the table."""
    if schema.target is None or schema.target not in table.column_names:
        raise BackstayError("the rows have no target column", fix="name it with data.target")
    if len(classes) < 2 or len(set(classes)) != len(classes):
        raise BackstayError(
            f"the target has {len(set(classes))} class{'' if len(set(classes)) == 1 else 'es'} "
            f"({', '.join(classes[:5])}), a classifier needs two different ones or more",
            fix="give rows of another class, or check data.target",
        )
    codes = class_codes(table.column(schema.target), classes)
    train, tune = (np.asarray(parts[name], dtype=np.int64) for name in ("train", "tune"))
    tune, labelled = tune[codes[tune] >= 0], train[codes[train] >= 0]
    present = {classes[c] for c in np.unique(codes[labelled])}
    if len(present) < 2:
        raise BackstayError(
            f"the train part has {len(labelled)} labelled rows of {len(present)} "
            f"class{'' if len(present) == 1 else 'es'}",
            fix="give more rows, of two classes or more",
        )
    if len(tune) < _LEAST_TUNE_ROWS:
        raise BackstayError(
            f"the tune part has {len(tune)} labelled rows, early stopping and calibration need some",
            fix="give more rows, or raise data.split.tune",
        )
    return train if unlabelled else labelled, tune, codes


def row_weights(given: npt.NDArray[np.float64] | None, rows: int) -> npt.NDArray[np.float32]:
    if given is None:
        return np.ones(rows, np.float32)
    weights = np.asarray(given, dtype=np.float32)
    if weights.shape != (rows,) or not np.all(np.isfinite(weights)) or np.any(weights < 0):
        raise BackstayError(
            f"the sample weights have shape {weights.shape} or hold values that are negative or NaN",
            fix=f"give one weight of 0 or more for each of the {rows} rows",
        )
    return weights


def _part(
    profile: Profile,
    table: pa.Table,
    codes: npt.NDArray[np.int64],
    weights: npt.NDArray[np.float32],
    rows: npt.NDArray[np.int64],
) -> Part:
    tensors = tensors_of(profile, table.take(pa.array(rows)))
    return Part(tensors, torch.from_numpy(codes[rows]), torch.from_numpy(weights[rows]))


def _with_unlabelled(
    train: Part, profile: Profile, unlabelled: pa.Table, objective: Objective, recipe: TrainSettings
) -> Part:
    """These rows behind those of the train part, with the label -1."""
    if objective.needs_labels:
        raise BackstayError(
            f"there are {unlabelled.num_rows} unlabelled rows, and the objective {recipe.objective!r} needs labels",
            fix="take data.unlabelled out, or choose a train.objective that learns without labels",
        )
    added = tensors_of(profile, unlabelled)
    count = unlabelled.num_rows
    return Part(
        tuple(torch.cat(pair) for pair in zip(train.tensors, added, strict=True)),
        torch.cat([train.labels, train.labels.new_full((count,), -1)]),
        torch.cat([train.weights, train.weights.new_ones(count)]),
    )


def _run_key(
    profile: Profile, train: Part, tune: Part, recipe: TrainSettings, classes: tuple[str, ...], data_id: str | None
) -> str:
    """Names the run by everything that decides its outcome, so that only the same run is ever resumed."""
    content = hashlib.sha256()
    for part in (train, tune):
        for tensor in (*part.tensors, part.labels, part.weights):
            content.update(str(tuple(tensor.shape)).encode())
            content.update(tensor.numpy().tobytes())
    whole = {
        "content": content.hexdigest(),
        "recipe": recipe.model_dump(mode="json"),
        "classes": list(classes),
        "data": data_id,
        "versions": _versions(),
        "profile": encode(profile),
    }
    return content_id("run", digest(whole))


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("backstay", "torch", "onnx", "onnxscript", "numpy")}


def _draft(
    network: Network,
    profile: Profile,
    train: Part,
    classes: tuple[str, ...],
    recipe: TrainSettings,
    data_id: str | None,
    reference_data_id: str | None,
) -> tuple[bytes, Manifest]:
    content, inputs, outputs = export(network, profile, tuple(t[:2] for t in train.tensors), classes)
    return content, Manifest(
        format_version=format_for(inputs),
        task=Task.CLASSIFICATION.value,
        inputs=inputs,
        outputs=outputs,
        classes=classes,
        space_id=content_id("space", hashlib.sha256(content + profile.tokenizer.encode()).hexdigest()),
        recipe=recipe.model_dump(mode="json"),
        data_id=data_id,
        reference_data_id=reference_data_id,
        versions=_versions(),
    )


def behind_inputs(content: bytes, draft: Manifest, wanted: tuple[InputSpec, ...]) -> tuple[bytes, Manifest]:
    """Behind the champion's inputs, where they hold what this model reads; else as it is, and the gate will tell."""
    if not wanted or draft.inputs == wanted:
        return content, draft
    changed = with_inputs(content, draft.inputs, wanted)
    if changed is None:
        return content, draft
    inputs = answered(draft.inputs, wanted)
    return changed, replace(draft, inputs=inputs, format_version=format_for(inputs))


@torch.no_grad()
def _parity(network: Network, profile: Profile, table: pa.Table, content: bytes, draft: Manifest) -> float:
    """Largest difference between torch and the exported graph on these rows, from raw columns to scores."""
    embeddings, scores, _ = network.eval()(*tensors_of(profile, table))
    tokens = Tokens(profile.tokenizer.encode()) if profile.text else None
    said = Model(Path(), draft, open_session(content), tokens).run(arrays_for(draft, table))
    if said.scores is None or said.embeddings is None:
        raise BackstayError(
            "the exported model lacks scores or embeddings", fix="report this: it is a fault of Backstay"
        )
    gap = max(
        float(np.max(np.abs(said.scores - scores.numpy()))),
        float(np.max(np.abs(said.embeddings - embeddings.numpy()))),
    )
    if not gap <= PARITY:
        raise BackstayError(
            f"the exported model differs from the trained one by {gap:.2g}, allowed is {PARITY:.0e}",
            fix="lower train.learning_rate, or report it with the recipe; nothing was released",
        )
    return gap
