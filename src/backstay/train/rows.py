"""Which rows a run learns from and is tuned by, with their codes, weights and aims, ready for torch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor
from torch.nn import functional

from backstay.bundle.model import Model
from backstay.kernel.errors import BackstayError
from backstay.settings import TrainSettings
from backstay.train.examples import Profile, class_codes, tensors_of
from backstay.train.heads.anomaly import AnomalyHead
from backstay.train.objectives.contract import Objective
from backstay.train.pairs import JudgedPairs
from backstay.train.part import Part
from backstay.train.teacher import aims_of
from backstay.train.work import Work

_LEAST_TUNE_ROWS = 2


def usable_rows(
    work: Work, *, unlabelled: bool = False
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Labelled rows of both parts (of train the unlabelled too, where asked for), and the class codes of the table."""
    target, classes = work.target, work.classes
    if len(classes) < 2 or len(set(classes)) != len(classes):
        raise BackstayError(
            f"the target has {len(set(classes))} class{'' if len(set(classes)) == 1 else 'es'} "
            f"({', '.join(classes[:5])}), a classifier needs two different ones or more",
            fix="give rows of another class, or check data.target",
        )
    codes = class_codes(target, classes)
    train, tune = (np.asarray(work.parts[name], dtype=np.int64) for name in ("train", "tune"))
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


def part_of(
    profile: Profile,
    table: pa.Table,
    codes: npt.NDArray[np.int64],
    weights: npt.NDArray[np.float32],
    rows: npt.NDArray[np.int64],
    teacher: Model | None,
) -> Part:
    """These rows of the table, with the teacher's embeddings where there is a teacher."""
    taken = table.take(pa.array(rows))
    aims = None if teacher is None else aims_of(teacher, taken)
    return Part(tensors_of(profile, taken), torch.from_numpy(codes[rows]), torch.from_numpy(weights[rows]), aims)


def judged_of(
    profile: Profile,
    table: pa.Table,
    pairs: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.bool_]],
    recipe: TrainSettings,
) -> JudgedPairs:
    """The rows of these pairs."""
    sides = [tensors_of(profile, table.take(pa.array(rows))) for rows in pairs[:2]]
    return JudgedPairs(sides[0], sides[1], torch.from_numpy(pairs[2]), recipe.pairs_weight)


def refuse_loners(train: Part, objective: Objective, recipe: TrainSettings) -> None:
    """An objective that pulls rows of one class together needs two rows of some class, or its loss is 0 for good."""
    if not objective.needs_partners:
        return
    known = train.labels[train.labels >= 0]
    of_class = torch.bincount(known)
    anchors = (of_class[known] > 1) & (train.weights[train.labels >= 0] > 0)
    if not bool(anchors.any()):
        raise BackstayError(
            f"there is no positive pair in the training rows: each of the {len(known)} labelled ones is alone in its "
            f"class or has weight 0, and the objective {recipe.objective!r} learns from rows of one class",
            fix='give two rows or more of a class, or set train.objective = "cross_entropy" or one without labels',
        )


def refuse_unlabelled(unlabelled: pa.Table, recipe: TrainSettings) -> None:
    """Nothing here would learn from these rows."""
    raise BackstayError(
        f"there are {unlabelled.num_rows} unlabelled rows, and the objective {recipe.objective!r} needs labels",
        fix='take data.unlabelled out, choose a train.objective that learns without labels, or encoder = "patches"',
    )


def with_unlabelled(
    train: Part,
    profile: Profile,
    unlabelled: pa.Table,
    teacher: Model | None,
) -> Part:
    """These rows behind those of the train part, with the label -1."""
    given, added = train.tensors, tensors_of(profile, unlabelled)
    if profile.text:  # the codes of each set are as wide as its longest text
        width = max(codes.shape[1] for codes in (*given, *added))
        given, added = (tuple(_filled(codes, width, profile.padding) for codes in one) for one in (given, added))
    count = unlabelled.num_rows
    return Part(
        tuple(torch.cat(pair) for pair in zip(given, added, strict=True)),
        torch.cat([train.labels, train.labels.new_full((count,), -1)]),
        torch.cat([train.weights, train.weights.new_ones(count)]),
        None if train.aims is None or teacher is None else torch.cat([train.aims, aims_of(teacher, unlabelled)]),
    )


def _filled(codes: Tensor, width: int, padding: int) -> Tensor:
    """Codes [n, length] with padding behind, up to [n, width]."""
    return functional.pad(codes, (0, width - codes.shape[1]), value=padding)


def without_anomalies(train: Part, head: AnomalyHead) -> Part:
    """The same rows with a weight of 0 for those that are known to be anomalous: they are not to be learned from."""
    normal = head.normal_of(train.labels)
    return replace(train, weights=train.weights * ((train.labels == normal) | (train.labels < 0)))
