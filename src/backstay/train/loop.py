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

from backstay.bundle.enhance import ENHANCE_FILE
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
from backstay.train.enhance import enhancer_of, refuse_no_images
from backstay.train.epochs import device_of, run_epochs
from backstay.train.examples import Profile, profile_of, tensors_of
from backstay.train.export import export
from backstay.train.heads.anomaly import AnomalyHead
from backstay.train.heads.examples import ByExamples
from backstay.train.held_out import behind
from backstay.train.network import Network, build, embed
from backstay.train.objectives import OBJECTIVES
from backstay.train.objectives.contract import Objective, Problem
from backstay.train.objectives.distil import Distil
from backstay.train.options import Options
from backstay.train.pairs import JudgedPairs
from backstay.train.part import Part
from backstay.train.quarter_turns import TURNS, refuse_turns
from backstay.train.rebuild import rebuild_of
from backstay.train.rows import (
    judged_of,
    part_of,
    refuse_loners,
    row_weights,
    usable_rows,
    with_unlabelled,
    without_anomalies,
)
from backstay.train.teacher import same_space, width_of
from backstay.train.weights import WEIGHTS_FILE, Start, packed, start_of

PARITY = 1e-4
BY = "train.head_options.by"
_PARITY_ROWS = 256


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
    root: Path = Path(),
    teacher: Model | None = None,
    start: Model | None = None,
    pairs: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.bool_]] | None = None,
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
        root: where relative paths of the recipe begin.
        teacher: the model whose space a student is to live in.
        start: the model whose encoder's weights are gone on from.
        pairs: row numbers of pairs that people judged, first and second, and whether they are the same.

    Raises:
        BackstayError: unlabelled rows for an objective that needs labels, fewer than two classes, too few rows, a loss
            that is not finite, a collapsed encoder, or an export that answers otherwise than torch.
    """
    progress = progress or NoProgress()
    with torch_settings(recipe):
        train_rows, tune_rows, codes = usable_rows(table, schema, parts, classes, unlabelled=True)
        weights = row_weights(sample_weight, table.num_rows)
        options = Options("train.encoder_options", recipe.encoder_options)
        profile = profile_of(table, schema, train_rows, options, root)
        begun = None if start is None else start_of(start)
        profile = profile if begun is None else begun.fitting(profile)
        network = build(profile, recipe, len(classes))
        _begin(network, begun, recipe)
        turns = TURNS if recipe.quarter_turns else 1
        objective = _objective(profile, recipe, turns * len(classes), width_of(teacher))
        if recipe.quarter_turns:
            refuse_turns(profile.shape, profile.kind, objective, recipe.objective)
        _refuse_untrainable(network, objective, recipe)
        if isinstance(network.head, AnomalyHead):
            network.head.named(classes)
            if network.head.by_rebuilding:
                network.rebuild = rebuild_of(objective, recipe.objective, BY, frozen=recipe.freeze)
        if recipe.enhance:
            network.rebuild = rebuild_of(objective, recipe.objective, "train.enhance", frozen=recipe.freeze)
            refuse_no_images(network.rebuild)
        train, tune = (part_of(profile, table, codes, weights, rows, teacher) for rows in (train_rows, tune_rows))
        train = train.labelled() if objective.needs_labels else train
        if isinstance(network.head, AnomalyHead) and not objective.needs_labels:
            train = without_anomalies(train, network.head)
        if unlabelled is not None:
            train = with_unlabelled(train, profile, unlabelled, objective, recipe, teacher)
        if float(train.labelled().weights.sum()) <= 0:
            raise BackstayError("all sample weights of the train part are 0", fix="give some row a weight")
        judged = None if pairs is None else judged_of(profile, table, pairs, recipe)
        if judged is None:
            refuse_loners(train, objective, recipe)
        key = _run_key(profile, train, tune, recipe, classes, data_id, start, judged)
        saved = workdir / f"{key}.npz"
        history = run_epochs(network, objective, train, tune, recipe, saved=saved, progress=progress, pairs=judged)
        with progress.step("export"):
            check = table.take(pa.array(tune_rows[:_PARITY_ROWS]))
            content, draft = _draft(network, profile, train, classes, recipe, data_id, reference_data_id)
            content, draft = behind_inputs(content, draft, answering)
            shared = None
            if teacher is not None and isinstance(objective, Distil):
                shared = same_space(embed(network, tune.tensors), tune, train.labelled(), objective.margin, recipe.seed)
                if shared.passed and teacher.manifest.space_id:
                    draft = replace(draft, space_id=teacher.manifest.space_id)
            if recipe.freeze and begun is not None:
                draft = replace(draft, space_id=begun.space_id)
            parity = _parity(network, profile, check, content, draft)
            directory = bundles or workdir / "bundles"
            files = {**files_of(profile), WEIGHTS_FILE: packed(network.encoder, profile)}
            if recipe.enhance:
                files[ENHANCE_FILE] = enhancer_of(network, tune.tensors[0][:_PARITY_ROWS])
            model_id = write_bundle(directory, content, draft, files=files)
    saved.unlink(missing_ok=True)
    kept = min(reversed(history), key=behind)  # of equals the last, whose weights are kept
    figures: dict[str, Any] = {
        **kept,
        "epochs": len(history),
        "train_rows": len(train),
        "tune_rows": len(tune),
        "parity": parity,
    }
    if judged is not None:
        figures["judged_pairs"] = len(judged.same)
    if begun is not None:
        figures["started_from"] = begun.model_id
    if profile.text and begun is None:
        figures["cut_texts"] = profile.cut
    if teacher is not None and shared is not None:
        figures |= {"teacher": teacher.id, **shared.figures()}
    if profile.weights:
        figures["encoder_weights"] = profile.weights
    return Trained(directory / model_id, model_id, figures, parity)


def _begin(network: Network, start: Start | None, recipe: TrainSettings) -> None:
    """Put in the weights that the recipe begins with, and hold them still where it says so."""
    if start is not None:
        start.into(network)
    if recipe.freeze:
        if start is None:
            raise BackstayError(
                "train.freeze is true, and the encoder starts from drawn weights, which nobody should keep",
                fix='set train.start_from = "champion" or a model\'s id, or freeze = false',
            )
        network.freeze()


def files_of(profile: Profile) -> dict[str, bytes]:
    """What the bundle holds beside the graph: the tokenizer of a text model."""
    return {TOKENIZER_FILE: profile.tokenizer.encode()} if profile.text else {}


@contextmanager
def torch_settings(recipe: TrainSettings) -> Iterator[None]:
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


def _objective(profile: Profile, recipe: TrainSettings, classes: int, taught: int = 0) -> Objective:
    """The recipe's objective. Its parameters are drawn after the network's, so the network begins alike for all."""
    options = Options("train.objective_options", recipe.objective_options, {"temperature": recipe.temperature})
    objective: Objective = OBJECTIVES[recipe.objective](options, Problem(profile, recipe.dimension, classes, taught))
    return objective


def _refuse_untrainable(network: Network, objective: Objective, recipe: TrainSettings) -> None:
    """An objective that learns through the head needs one that it can change."""
    if objective.trains_head and not getattr(network.head, "trainable", True):
        raise BackstayError(
            f"the objective {recipe.objective!r} trains the head, and the head {recipe.head!r} is made of examples",
            fix='set train.objective = "supcon", or another one that trains the encoder alone',
        )


def _run_key(
    profile: Profile,
    train: Part,
    tune: Part,
    recipe: TrainSettings,
    classes: tuple[str, ...],
    data_id: str | None,
    start: Model | None,
    judged: JudgedPairs | None,
) -> str:
    """Names the run by everything that decides its outcome, so that only the same run is ever resumed."""
    content = hashlib.sha256()
    for part in (train, tune):
        aims = () if part.aims is None else (part.aims,)
        for tensor in (*part.tensors, part.labels, part.weights, *aims):
            content.update(str(tuple(tensor.shape)).encode())
            content.update(tensor.numpy().tobytes())
    if judged is not None:
        for tensor in (*judged.first, *judged.second, judged.same):
            content.update(tensor.numpy().tobytes())
    whole = {
        "content": content.hexdigest(),
        "recipe": recipe.model_dump(mode="json"),
        "classes": list(classes),
        "data": data_id,
        "start": None if start is None else start.id,
        "versions": _versions(),
        "profile": encode(replace(profile, source="")),
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
        format_version=format_for(inputs, outputs),
        task=Task.CLASSIFICATION.value,
        inputs=inputs,
        outputs=outputs,
        classes=classes,
        space_id=space_of(network, content + profile.tokenizer.encode()),
        recipe=recipe.model_dump(mode="json"),
        data_id=data_id,
        reference_data_id=reference_data_id,
        versions=_versions(),
        none_label=network.head.answer_beyond if isinstance(network.head, ByExamples) else "",
    )


def space_of(network: Network, content: bytes) -> str:
    """The encoder's own name for its space where training cannot change it, else one of these very bytes."""
    fixed = str(getattr(network.encoder, "space", ""))
    return fixed or content_id("space", hashlib.sha256(content).hexdigest())


def behind_inputs(content: bytes, draft: Manifest, wanted: tuple[InputSpec, ...]) -> tuple[bytes, Manifest]:
    """Behind the champion's inputs, where they hold what this model reads; else as it is, and the gate will tell."""
    if not wanted or draft.inputs == wanted:
        return content, draft
    changed = with_inputs(content, draft.inputs, wanted)
    if changed is None:
        return content, draft
    inputs = answered(draft.inputs, wanted)
    return changed, replace(draft, inputs=inputs, format_version=format_for(inputs, draft.outputs))


@torch.no_grad()
def _parity(network: Network, profile: Profile, table: pa.Table, content: bytes, draft: Manifest) -> float:
    """Largest difference between torch and the exported graph on these rows, from raw columns to scores."""
    tensors = tensors_of(profile, table)
    embeddings, scores, _ = network.eval()(*tensors)
    tokens = Tokens(profile.tokenizer.encode()) if profile.text else None
    said = Model(Path(), draft, open_session(content), tokens).run(arrays_for(draft, table))
    if said.scores is None or said.embeddings is None:
        raise BackstayError(
            "the exported model lacks scores or embeddings", fix="report this: it is a fault of Backstay"
        )
    settled = np.ones(len(scores), dtype=bool)
    if isinstance(network.head, ByExamples):
        settled = network.head.settled(embeddings).numpy()
    elif isinstance(network.head, AnomalyHead):
        settled = network.head.settled(network.told(embeddings, tensors)).numpy()
    gap = max(
        float(np.max(np.abs(said.scores - scores.numpy())[settled], initial=0.0)),
        float(np.max(np.abs(said.embeddings - embeddings.numpy()))),
    )
    if not gap <= PARITY:
        raise BackstayError(
            f"the exported model differs from the trained one by {gap:.2g}, allowed is {PARITY:.0e}",
            fix="lower train.learning_rate, or report it with the recipe; nothing was released",
        )
    return gap
