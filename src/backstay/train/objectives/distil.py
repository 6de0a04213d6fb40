"""A small encoder learns to answer with the embeddings of a large one: distillation into the teacher's space.

**Pulls together:** a row's embedding and the place where the teacher puts that row.
**Pushes apart:** rows as far as the teacher has them apart: the second term asks for the teacher's similarity of each
pair, be it small or large.
**Formula:**

    loss = mean over rows of |z_i - t_i|^2  +  relation * mean over pairs i < j of (z_i.z_j - t_i.t_j)^2

z is the student's embedding of a (changed) row, t the teacher's of the row as it is. The first term lets an index of
the teacher's embeddings be asked with the student's; the second keeps the distances among rows, which say more than
each place alone where the student is too small to match. No labels are used: `data.unlabelled` rows teach as well. The
head is fitted afterwards.

The run measures whether the index stays valid: on the tuning rows, the class of each by its 20 nearest among the
teacher's embeddings of the training rows, asked once with the student's embedding (`student_knn`) and once with the
teacher's (`teacher_knn`). Where the lower 95% bound of their paired difference (`student_behind_low`) is above
-margin, the model has the teacher's `space_id` (`same_space`), else a new one: the report and `backstay run` say
which, and whether the gallery is to be indexed again. Fewer than some 150 tuning rows cannot show 0.02. The tuning
rows have chosen the epoch too, by the same question, so the bound is a little optimistic; the gate judges the model on
rows of its own.
**Prefer it:** where the live model is too slow or large, and an index of its embeddings is to stay.
**Wrong:** where the teacher is wrong, for its errors are learned too; or where the student is better off with a space
of its own (`supcon`).
**Cost:** the teacher answers every row once; then n rows cost n^2 products. Measured: 1.9 ms of CPU time for 256 rows
beside the encoder's (docs/benchmarks.md).
**Source:** Park et al. 2019, arXiv 1904.05068 (relations); Passalis & Tefas 2018; Romero et al. 2015, arXiv 1412.6550
(matching).
**Options:** `teacher` ("champion", the live model, or a model's id), `relation` (1), `margin` (0.02, a share of rows).
`train.dimension` is that of the teacher's embeddings.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from backstay.kernel.errors import BackstayError
from backstay.train.network import Network
from backstay.train.objectives.contract import Batch, Objective, Problem, embed_view
from backstay.train.options import Options

CHAMPION = "champion"


def distil_loss(embeddings: Tensor, aims: Tensor, weights: Tensor, relation: float) -> Tensor:
    """Weighted mean squared distance to the aims, plus `relation` times that of the similarities of all pairs.

    Args:
        embeddings, aims: [n, d], of length 1.
        weights: of each row [n]; a pair has the product of both.
    """
    match = ((embeddings - aims).square().sum(dim=1) * weights).sum() / weights.sum().clamp(min=1e-12)
    pairs = (weights[:, None] * weights[None, :]).triu(diagonal=1)
    gaps = (embeddings @ embeddings.T - aims @ aims.T).square()
    total: Tensor = match + relation * (gaps * pairs).sum() / pairs.sum().clamp(min=1e-12)
    return total


class Distil(Objective):
    """`distil_loss` of one view. `margin` is what the student may be behind and still have the teacher's space."""

    needs_labels: ClassVar[bool] = False

    def __init__(self, relation: float, margin: float) -> None:
        super().__init__()
        self.relation = relation
        self.margin = margin

    def loss(self, network: Network, batch: Batch) -> Tensor:
        if batch.aims is None:
            raise BackstayError(
                "these rows have no embeddings of a teacher", fix="report this: it is a fault of Backstay"
            )
        return distil_loss(embed_view(network, batch), batch.aims, batch.weights, self.relation)


def teacher_named(options: Options) -> str:
    """The teacher of these options: "champion" or a model's id."""
    return options.text("teacher", CHAMPION)


def build(options: Options, problem: Problem) -> Distil:
    """Options: `teacher`, `relation`, `margin`."""
    teacher_named(options)
    relation = options.number("relation", 1.0, low=0.0)
    margin = options.number("margin", 0.02, low=0.0, high=1.0)
    options.done()
    if not problem.taught:
        raise BackstayError(
            'the objective "distil" needs a teacher, and none is at hand',
            fix="promote one first, or name a model of this project: train.objective_options.teacher",
        )
    if problem.taught != problem.dimension:
        raise BackstayError(
            f"the teacher's embeddings have {problem.taught} numbers, and train.dimension is {problem.dimension}",
            fix=f"set train.dimension = {problem.taught}",
        )
    return Distil(relation, margin)
