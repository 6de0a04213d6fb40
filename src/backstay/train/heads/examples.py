"""What heads that answer by examples have in common: the limit beyond which a row is of none of the classes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from backstay.bundle.heads import ExampleHead
from backstay.bundle.manifest import NONE
from backstay.kernel.errors import BackstayError
from backstay.maths.conformal import conformal_limit
from backstay.train.options import Options

_BLOCK = 1024
# What ONNX Runtime and torch may differ in a cosine: it is given to the known rows, so the share stays kept.
_ROUNDING = 1e-6
_TIE = 1e-5
_EVEN = np.geomspace(1e-4, 0.5, 60)
_FLOOR = 1e-12
NEVER = -1e9


class ByExamples(nn.Module):
    """A head that holds points on the unit sphere.

    Args:
        none_of_these: the share of rows of known classes that may be called none of them; 0 for no limit.
        none_label: what rows beyond the limit are answered with.
    """

    trainable = True
    """Whether an objective may train it; otherwise it is fitted when the encoder has learned."""
    voters = 1
    """How many of the nearest points vote."""

    def __init__(self, none_of_these: float, none_label: str) -> None:
        super().__init__()
        self.none_of_these = none_of_these
        self.none_label = none_label
        self.limit: float | None = None

    def points(self) -> Tensor:
        """The unit vectors [m, dimension]."""
        raise NotImplementedError

    def exported(self, classes: tuple[str, ...]) -> ExampleHead:
        """What the bundle's graph is to hold."""
        raise NotImplementedError

    @property
    def answer_beyond(self) -> str:
        """What rows beyond the limit are answered with; "" where there is no limit."""
        return "" if self.limit is None else self.none_label

    def limits(self) -> npt.NDArray[np.float32] | None:
        """The limit of every point [m], None where there is none."""
        return None if self.limit is None else np.full(len(self.points()), self.limit, dtype=np.float32)

    def bound(self, embeddings: Tensor) -> None:
        """Set the limit by the rows of the tune part, which the points were not made of."""
        if not self.none_of_these:
            return
        try:
            found = conformal_limit(self.distances(embeddings).double().numpy(), self.none_of_these)
        except BackstayError as error:
            raise BackstayError(
                f"train.head_options.none_of_these: {error.what}",
                fix=f"{error.fix} rows in the tune part, or raise none_of_these",
            ) from error
        self.limit = found + _ROUNDING

    @torch.no_grad()
    def settled(self, embeddings: Tensor) -> Tensor:
        """Rows [n] of which it is sure who votes: no point lies where rounding decides, of the nearest that matter."""
        points = self.points()
        k = min(self.voters, len(points))
        near = (embeddings @ points.T).topk(min(k + 1, len(points)), dim=1).values
        sure = torch.ones(len(near), dtype=torch.bool)
        if k < len(points):
            sure = near[:, k - 1] - near[:, k] > _TIE
        if self.limit is not None:
            sure &= ((near + self.limit - 1.0).abs() > _TIE).all(dim=1)
        return sure

    def voting(self, similarity: Tensor) -> Tensor | None:
        """Which points vote on each row [n, m]: those that hold it, or all where none does. None without a limit."""
        if self.limit is None:
            return None
        holds = similarity + self.limit >= 1.0
        return holds | ~holds.any(dim=1, keepdim=True)

    @torch.no_grad()
    def distances(self, embeddings: Tensor) -> Tensor:
        """Cosine distance of each row to the nearest point [n], in [0, 2]."""
        points = self.points().T
        return torch.cat([1.0 - (block @ points).amax(dim=1) for block in torch.split(embeddings, _BLOCK)])


def none_options(options: Options) -> tuple[float, str]:
    """The options that all of these heads have."""
    share = options.number("none_of_these", 0.0, low=0.0, high=0.5)
    return share, options.text("none_label", NONE)


def even_share(votes: Tensor, labels: Tensor) -> float:
    """The share of scores to spread evenly over the classes: the best of a fixed list by log loss on these rows.

    Args:
        votes: [n, classes], of which that of the true class may be 0.
    """
    true = votes.detach().double().numpy()[np.arange(len(labels)), labels.numpy()]
    losses = [-np.log(np.maximum(true * (1 - e) + e / votes.shape[1], _FLOOR)).mean() for e in _EVEN]
    return float(_EVEN[int(np.argmin(losses))])
