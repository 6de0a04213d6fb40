"""From rows to a bundle for an encoder whose head answers the target itself: what a number and a set of labels share.

Shorter than `train.loop`: no unlabelled rows, no teacher.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from backstay.bundle.manifest import InputSpec, OutputSpec
from backstay.bundle.model import Outputs
from backstay.kernel.records import Task
from backstay.maths.arrays import FloatArray
from backstay.settings import TrainSettings
from backstay.train.direct_epochs import Aimed, Loss, direct_epochs
from backstay.train.examples import Profile, profile_of
from backstay.train.held_out import kept
from backstay.train.network import Network
from backstay.train.network_run import MADE_BY, PARITY_ROWS, files_of, proved, run_key, space_of, torch_settings
from backstay.train.options import Options
from backstay.train.work import Places, Trained, Work, behind_inputs


class Answer(Protocol):
    """A trained network, read as its task reads it."""

    @property
    def figures(self) -> dict[str, Any]:
        """Of the tune part."""

    def graph(self, example: tuple[Tensor, ...]) -> tuple[bytes, tuple[InputSpec, ...], tuple[OutputSpec, ...]]:
        """What is exported. `example` has 2 rows or more."""

    def apart(self, said: Outputs, tensors: tuple[Tensor, ...], embeddings: Tensor) -> tuple[float, int]:
        """See `train.network_run.Apart`."""


class Aim(Protocol):
    """What a task makes of the target."""

    def network(self, profile: Profile, recipe: TrainSettings) -> Network:
        """A fresh one, with a head of this target."""

    def answer(self, network: Network, profile: Profile, tune: tuple[Tensor, ...]) -> Answer:
        """The trained network's, with all that is chosen on the tune part."""


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """What is learned: `truth` [n, k] of all rows of the table, as the head answers it, and what is minimised."""

    task: Task
    aim: Aim
    loss: Loss
    truth: FloatArray


def run(work: Work, target: Target, train_rows: Places, tune_rows: Places) -> Trained:
    """Train on these rows, stop early and choose by those, write a bundle. A run that was killed goes on.

    Raises:
        BackstayError: a loss that is not finite, a collapsed encoder, or an export that answers otherwise than torch.
    """
    recipe, aim = work.recipe, target.aim
    with torch_settings(recipe):
        options = Options("train.encoder_options", recipe.encoder_options)
        profile = profile_of(work.table, work.schema, train_rows, options, work.root)
        network = aim.network(profile, recipe)
        truth = torch.from_numpy(target.truth.astype(np.float32))
        train, tune = (Aimed.of(profile, work.table, truth, work.weights, rows) for rows in (train_rows, tune_rows))
        saved = work.workdir / f"{run_key(work, profile, (*train.content, *tune.content), task=target.task.value)}.npz"
        history = direct_epochs(network, target.loss, train, tune, recipe, saved=saved, progress=work.told)
        answer = aim.answer(network, profile, tune.tensors)
        with work.told.step("export"):
            content, inputs, outputs = answer.graph(tuple(t[:2] for t in train.tensors))
            space = space_of(network, content + profile.tokenizer.encode())
            draft = work.manifest(target.task, inputs, outputs, made_by=MADE_BY, space_id=space)
            content, draft = behind_inputs(content, draft, work.answering)
            check = work.table.take(pa.array(tune_rows[:PARITY_ROWS]))
            parity = proved(network, profile, check, content, draft, answer.apart)
            counts = {"epochs": len(history), "train_rows": len(train_rows), "tune_rows": len(tune_rows)}
            figures = {**kept(history), **answer.figures, **counts}
            trained = work.keep(content, draft, figures, parity=parity, files=files_of(profile))
    saved.unlink(missing_ok=True)
    return trained
