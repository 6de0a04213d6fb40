"""The model that a student learns from: its embeddings as aims, and whether the student has come to live among them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor
from torch.nn import functional

from backstay.bundle.model import Model
from backstay.kernel.errors import BackstayError
from backstay.maths.paired import paired_difference
from backstay.train.held_out import nearest_classes
from backstay.train.part import Part

_GALLERY = 5000
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class SameSpace:
    """Whether an index of the teacher's embeddings can be asked with the student's.

    Args:
        student, teacher: share of held-out rows whose nearest neighbours in the teacher's gallery are of their class.
        low: one-sided lower bound, at 95%, of the difference of the two on the same rows.
        passed: the bound is above -margin.
    """

    student: float
    teacher: float
    low: float
    passed: bool

    def figures(self) -> dict[str, Any]:
        """As the run's record has them."""
        return {
            "student_knn": self.student,
            "teacher_knn": self.teacher,
            "student_behind_low": self.low,
            "same_space": self.passed,
        }


def width_of(teacher: Model | None) -> int:
    """Numbers in its embeddings; 0 without a teacher. Raises BackstayError for a teacher that has none."""
    if teacher is None:
        return 0
    output = teacher.manifest.output("embedding")
    if output is None:
        raise BackstayError(
            f"the teacher {teacher.id} answers no embeddings", fix="name a model that does, one that was trained here"
        )
    return output.shape[-1]


def aims_of(teacher: Model, table: pa.Table) -> Tensor:
    """The teacher's embeddings of these rows [n, d], at length 1."""
    found: npt.NDArray[np.float32] | None = teacher.predict(table).embeddings
    if found is None or not np.isfinite(found).all():
        raise BackstayError(
            f"the teacher {teacher.id} answers embeddings that are not numbers for some rows",
            fix="leave those rows out, or name another teacher",
        )
    return functional.normalize(torch.from_numpy(np.array(found)), dim=1)


def same_space(embeddings: Tensor, tune: Part, train: Part, margin: float, seed: int) -> SameSpace:
    """Ask the teacher's gallery of training rows with both embeddings of each held-out row.

    Args:
        embeddings: the student's, of the rows of `tune` [n, d].
        tune, train: labelled rows with the teacher's aims.
        seed: draws the gallery, of 5000 rows at most.

    Raises:
        BackstayError: a part has no aims.
    """
    if tune.aims is None or train.aims is None:
        raise BackstayError("these rows have no embeddings of a teacher", fix="report this: it is a fault of Backstay")
    chosen = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))[:_GALLERY]
    gallery, known = train.aims[chosen], train.labels[chosen]
    classes = 1 + int(max(known.max(), tune.labels.max()))
    right = [
        (nearest_classes(queries, gallery, known, classes) == tune.labels).double().numpy()
        for queries in (tune.aims, embeddings)
    ]
    low = paired_difference(right[0], right[1], level=LEVEL).one_sided_low
    return SameSpace(float(right[1].mean()), float(right[0].mean()), float(low), bool(low > -margin))
