"""Rows and a recipe in, a bundle out. The same data, recipe, seed, threads and versions give the same model id."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from torch import Tensor

from backstay.bundle.enhance import ENHANCE_FILE
from backstay.bundle.manifest import Manifest
from backstay.bundle.model import Model, Outputs
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Task
from backstay.settings import TrainSettings
from backstay.settings.train import UNTRAINED_HEADS
from backstay.train.enhance import enhancer_of, refuse_no_images
from backstay.train.epochs import run_epochs
from backstay.train.examples import Profile, profile_of
from backstay.train.export import export
from backstay.train.fitted import is_to_learn, learns_nothing
from backstay.train.heads.anomaly import AnomalyHead
from backstay.train.heads.examples import ByExamples
from backstay.train.held_out import kept
from backstay.train.network import Network, build, embed
from backstay.train.network_run import (
    MADE_BY,
    PARITY_ROWS,
    files_of,
    largest_gap,
    proved,
    run_key,
    space_of,
    torch_settings,
)
from backstay.train.objectives import OBJECTIVES
from backstay.train.objectives.contract import Objective, Problem
from backstay.train.objectives.distil import Distil
from backstay.train.options import Options
from backstay.train.part import Part
from backstay.train.quarter_turns import TURNS, refuse_turns
from backstay.train.rebuild import rebuild_of
from backstay.train.rows import (
    judged_of,
    part_of,
    refuse_loners,
    refuse_unlabelled,
    usable_rows,
    with_unlabelled,
    without_anomalies,
)
from backstay.train.teacher import same_space, width_of
from backstay.train.weights import WEIGHTS_FILE, Start, packed, start_of
from backstay.train.work import Places, Trained, Work, behind_inputs, takes

BY = "train.head_options.by"
# Objectives of other tasks: what their targets are, and the task's name.
OF_OTHER_TASKS = {
    "huber": ("numbers", "regression"),
    "squared": ("numbers", "regression"),
    "binary_cross_entropy": ("sets of labels", "multilabel"),
}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ClassWork(Work):
    """What a run is asked whose encoder learns classes.

    Args:
        unlabelled: rows with the features only, to learn from as well; rows of the table without a target of
            `classes` are taken for such rows too.
        teacher: the model whose space a student is to live in.
        start: the model whose encoder's weights are gone on from.
        pairs: row numbers of pairs that people judged, first and second, and whether they are the same.
    """

    unlabelled: pa.Table | None = None
    teacher: Model | None = None
    start: Model | None = None
    pairs: tuple[Places, Places, npt.NDArray[np.bool_]] | None = None


@takes(ClassWork)
def fit(work: ClassWork) -> Trained:
    """Train on `parts["train"]`, stop early and calibrate on `parts["tune"]`, write a bundle. Arguments: `ClassWork`.

    A run that was killed goes on from its last epoch and ends at the same model id.

    Raises:
        BackstayError: unlabelled rows that nothing would learn from, fewer than two classes, too few rows, a loss
            that is not finite, a collapsed encoder, or an export that answers otherwise than torch.
    """
    table, recipe, teacher = work.table, work.recipe, work.teacher
    with torch_settings(recipe):
        train_rows, tune_rows, codes = usable_rows(work, unlabelled=True)
        options = Options("train.encoder_options", recipe.encoder_options)
        profile = profile_of(table, work.schema, train_rows, options, work.root)
        begun = None if work.start is None else start_of(work.start)
        profile = profile if begun is None else begun.fitting(profile)
        network, objective = _learner(work, profile, begun)
        train, tune = (part_of(profile, table, codes, work.weights, rows, teacher) for rows in (train_rows, tune_rows))
        train = _taught(work, profile, train, network, objective)
        judged = None if work.pairs is None else judged_of(profile, table, work.pairs, recipe)
        if judged is None:
            refuse_loners(train, objective, recipe)
        decisive = (*train.content, *tune.content, *(() if judged is None else judged.content))
        key = run_key(work, profile, decisive, start=None if work.start is None else work.start.id)
        saved = work.workdir / f"{key}.npz"
        history = run_epochs(network, objective, train, tune, recipe, saved=saved, progress=work.told, pairs=judged)
        figures: dict[str, Any] = {**kept(history), "epochs": len(history)}
        figures |= {"train_rows": len(train), "tune_rows": len(tune)}
        if judged is not None:
            figures["judged_pairs"] = len(judged.same)
        figures |= _beginnings(profile, begun)
        with work.told.step("export"):
            content, draft = _draft(work, network, profile, train)
            content, draft = behind_inputs(content, draft, work.answering)
            if teacher is not None and isinstance(objective, Distil):
                shared = same_space(embed(network, tune.tensors), tune, train.labelled(), objective.margin, recipe.seed)
                figures |= {"teacher": teacher.id, **shared.figures()}
                if shared.passed and teacher.manifest.space_id:
                    draft = replace(draft, space_id=teacher.manifest.space_id)
            if recipe.freeze and begun is not None:
                draft = replace(draft, space_id=begun.space_id)
            check = table.take(pa.array(tune_rows[:PARITY_ROWS]))
            parity = proved(network, profile, check, content, draft, partial(_apart, network))
            files = {**files_of(profile), WEIGHTS_FILE: packed(network.encoder, profile)}
            if recipe.enhance:
                files[ENHANCE_FILE] = enhancer_of(network, tune.tensors[0][:PARITY_ROWS])
            trained = work.keep(content, draft, figures, parity=parity, files=files)
    saved.unlink(missing_ok=True)
    return trained


def _learner(work: ClassWork, profile: Profile, begun: Start | None) -> tuple[Network, Objective]:
    """The network as it begins, and the objective. Raises BackstayError where the two do not go together."""
    recipe = work.recipe
    network = build(profile, recipe, len(work.classes))
    _begin(network, begun, recipe)
    turns = TURNS if recipe.quarter_turns else 1
    objective = _objective(profile, recipe, turns * len(work.classes), width_of(work.teacher))
    if recipe.quarter_turns:
        refuse_turns(profile.shape, profile.kind, objective, recipe.objective)
    _refuse_untrainable(network, objective, recipe)
    still = recipe.freeze or learns_nothing(network)
    if isinstance(network.head, AnomalyHead):
        network.head.named(work.classes)
        if network.head.by_rebuilding:
            network.rebuild = rebuild_of(objective, recipe.objective, BY, frozen=still)
    if recipe.enhance:
        network.rebuild = rebuild_of(objective, recipe.objective, "train.enhance", frozen=still)
        refuse_no_images(network.rebuild)
    return network, objective


def _taught(work: ClassWork, profile: Profile, train: Part, network: Network, objective: Objective) -> Part:
    """The rows that the encoder or the objective learns from."""
    only_labelled = objective.needs_labels and not is_to_learn(network)
    train = train.labelled() if only_labelled else train
    if isinstance(network.head, AnomalyHead) and not objective.needs_labels:
        train = without_anomalies(train, network.head)
    if work.unlabelled is not None:
        if only_labelled:
            refuse_unlabelled(work.unlabelled, work.recipe)
        train = with_unlabelled(train, profile, work.unlabelled, work.teacher)
    if float(train.labelled().weights.sum()) <= 0:
        raise BackstayError("all sample weights of the train part are 0", fix="give some row a weight")
    return train


def _beginnings(profile: Profile, begun: Start | None) -> dict[str, Any]:
    """What the run began with, as far as it is not plain rows and drawn weights."""
    found: dict[str, Any] = {} if begun is None else {"started_from": begun.model_id}
    if profile.text and begun is None:
        found["cut_texts"] = profile.cut
    if profile.weights:
        found["encoder_weights"] = profile.weights
    return found


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


def _objective(profile: Profile, recipe: TrainSettings, classes: int, taught: int = 0) -> Objective:
    """The recipe's objective. Its parameters are drawn after the network's, so the network begins alike for all."""
    elsewhere = OF_OTHER_TASKS.get(recipe.objective)
    if elsewhere is not None and recipe.objective not in OBJECTIVES:
        raise BackstayError(
            f'train.objective = "{recipe.objective}" is of targets that are {elsewhere[0]}, and this one is a class',
            fix=f'set task = "{elsewhere[1]}", or take an objective of classes, such as "cross_entropy"',
        )
    options = Options("train.objective_options", recipe.objective_options, {"temperature": recipe.temperature})
    objective: Objective = OBJECTIVES[recipe.objective](options, Problem(profile, recipe.dimension, classes, taught))
    return objective


def _refuse_untrainable(network: Network, objective: Objective, recipe: TrainSettings) -> None:
    """An objective that learns through the head needs one that it can change."""
    if objective.trains_head and not getattr(network.head, "trainable", True):
        usual = UNTRAINED_HEADS.get(recipe.head, "supcon")
        raise BackstayError(
            f"the objective {recipe.objective!r} trains the head, and the head {recipe.head!r} is made of examples",
            fix=f'set train.objective = "{usual}", which it is where none is named, or another one that trains the '
            "encoder alone",
        )


def _draft(work: ClassWork, network: Network, profile: Profile, train: Part) -> tuple[bytes, Manifest]:
    content, inputs, outputs = export(network, profile, tuple(t[:2] for t in train.tensors), work.classes)
    return content, work.manifest(
        Task.CLASSIFICATION,
        inputs,
        outputs,
        made_by=MADE_BY,
        space_id=space_of(network, content + profile.tokenizer.encode()),
        none_label=network.head.answer_beyond if isinstance(network.head, ByExamples) else "",
    )


def _apart(network: Network, said: Outputs, tensors: tuple[Tensor, ...], embeddings: Tensor) -> tuple[float, int]:
    """Of scores, but for rows of which a head of examples cannot be sure."""
    told = network.told(embeddings, tensors)
    wanted = network.head.scores(told).numpy()  # type: ignore[operator] # a head of the shelf has `scores`
    settled = np.ones(len(wanted), dtype=bool)
    if isinstance(network.head, ByExamples):
        settled = network.head.settled(embeddings).numpy()
    elif isinstance(network.head, AnomalyHead):
        settled = network.head.settled(told).numpy()
    return (float("inf") if said.scores is None else largest_gap(said.scores[settled], wanted[settled])), 0
