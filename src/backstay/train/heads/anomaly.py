"""How unlike the normal rows a row is, as a rank among held-out normal rows: for two classes, one of them normal.

    strangeness = mean cosine distance to the k nearest normal training rows         by = "neighbours"
                = misfit of the row as the decoder rebuilds it from its embedding    by = "reconstruction"
    p = (1 + how many of the n normal tune rows are at least as strange) / (n + 1)

The scores are p for the normal class and 1 - p for the other; a row is called anomalous where p is at most `level`. Of
normal rows at most the share `level` is called so, on average and for any distribution, as long as they are
exchangeable with the tune part (split conformal prediction; docs/anomalies.md). Anomalies teach the head nothing: with
an objective without labels the encoder does not see them either, so kinds that nobody has met are found as well.
Reconstruction needs the objective "denoising" or "variational".
**Prefer it:** where anomalies are few or of ever new kinds.
**Wrong:** with some hundreds of labelled ones of the kinds that matter, where a classifier is better. It is wrong to
read 1 - p as the chance of an anomaly: log loss and calibration say so, `auc` is the figure to look at.
**Cost:** as the head `knn`, or a decoder of about the encoder's size.
**Source:** Ramaswamy, Rastogi & Shim 2000 (neighbours); Sakurada & Yairi 2014 (reconstruction); Laxhammar & Falkman
2010 (the rank).
**Options:** by ("neighbours"); normal, the normal class (the one with more training rows, where it is left out); level
(0.05); k (5) and gallery (10000), the most training rows that are kept, by neighbours.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from backstay.kernel.errors import BackstayError, nearest
from backstay.train.options import Options

_BLOCK = 1024
# What ONNX Runtime and torch may differ in a strangeness, given to the held-out rows: the level stays kept.
_SLACK, _SHARE = 2e-6, 1e-5
# Ranks that differ by less are the same.
_EQUAL = 1e-6


class AnomalyHead(nn.Module):
    """Strangeness [rows], and scores [rows, 2] of it."""

    trainable = False
    known: Tensor

    def __init__(
        self, dimension: int, *, by_rebuilding: bool, level: float, k: int = 5, most: int = 10_000, name: str = ""
    ) -> None:
        super().__init__()
        self.by_rebuilding, self.level, self.k, self.most, self.name = by_rebuilding, level, k, most, name
        # A parameter, though no objective moves it: an encoder may have none, and there must be one to train.
        self.gallery = nn.Parameter(torch.zeros(0, dimension), requires_grad=False)
        self.register_buffer("known", torch.zeros(0))
        self.normal = -1

    def named(self, classes: tuple[str, ...]) -> None:
        """Take the place of the normal class among these. Raises BackstayError where it is none of them."""
        if self.name and self.name not in classes:
            raise BackstayError(f"head_options.normal is {self.name!r}, no class", fix=nearest(self.name, classes))
        if self.name:
            self.normal = classes.index(self.name)

    def normal_of(self, labels: Tensor) -> int:
        """The place of the normal class: as it was named, else that with more of these rows."""
        if self.normal < 0:
            self.normal = int(torch.bincount(labels[labels >= 0]).argmax())
        return self.normal

    def forward(self, given: Tensor) -> Tensor:
        """Strangeness of embeddings [rows, dimension]; or what it is already, where rows are rebuilt."""
        if self.by_rebuilding:
            return given
        near = (given @ self.gallery.T).topk(min(self.k, len(self.gallery)), dim=1).values
        return 1.0 - near.mean(dim=1)

    def ranks(self, strangeness: Tensor) -> Tensor:
        """p of each row [rows], in (0, 1]."""
        least = strangeness - _SLACK - _SHARE * strangeness.abs()
        beyond = (self.known[None, :] >= least[:, None]).float().sum(dim=1)
        return (1.0 + beyond) / (1.0 + len(self.known))

    def scores(self, strangeness: Tensor) -> Tensor:
        """p at the place of the normal class, 1 - p at the other."""
        p = self.ranks(strangeness)[:, None]
        return torch.cat([1.0 - p, p] if self.normal == 1 else [p, 1.0 - p], dim=1)

    def chosen(self, scores: Tensor) -> Tensor:
        """The class that is answered: anomalous where p is at most the level."""
        odd = (scores[:, self.normal] <= self.level + _EQUAL).long()
        return odd if self.normal == 0 else 1 - odd

    @torch.no_grad()
    def settled(self, strangeness: Tensor) -> Tensor:
        """Rows [n] whose rank no rounding decides."""
        least = strangeness - _SLACK - _SHARE * strangeness.abs()
        room = 0.5 * (_SLACK + _SHARE * strangeness.abs())
        return torch.cat(
            [
                ((self.known[None, :] - at[:, None]).abs() > near[:, None]).all(dim=1)
                for at, near in zip(torch.split(least, _BLOCK), torch.split(room, _BLOCK), strict=True)
            ]
        )

    @torch.no_grad()
    def fit(self, embeddings: Tensor, labels: Tensor, weights: Tensor) -> None:
        """Keep normal rows, at even steps where there are too many. Rows of weight 0 are left out."""
        mine = torch.nonzero((labels == self.normal_of(labels)) & (weights > 0))[:, 0]
        if len(mine) <= self.k:
            raise BackstayError(
                f"{len(mine)} normal rows to train on, and the {self.k} nearest are asked for",
                fix="give more rows of the normal class, or lower train.head_options.k",
            )
        if not self.by_rebuilding:
            steps = torch.linspace(0, len(mine) - 1, min(self.most, len(mine))).round().long()
            self.gallery.data = embeddings[mine[steps]].clone()

    @torch.no_grad()
    def calibrate(self, strangeness: Tensor, labels: Tensor) -> None:
        """Take the normal rows of the tune part as those that ranks are counted among."""
        mine = strangeness[labels == self.normal_of(labels)]
        needed = round(1.0 / self.level) - 1
        if len(mine) < needed:
            raise BackstayError(
                f"a level of {self.level:g} cannot be kept with {len(mine)} normal rows in the tune part",
                fix=f"give {needed} or more, or raise train.head_options.level",
            )
        self.known = mine.sort().values.clone()


def build(dimension: int, classes: int, options: Options) -> AnomalyHead:
    """Options: by, normal, level, k, gallery."""
    by = options.choice("by", "neighbours", ("neighbours", "reconstruction"))
    level = options.number("level", 0.05, low=0.0001, high=0.5)
    name = options.text("normal", "")
    k = options.whole("k", 5, low=1, high=1000)
    most = options.whole("gallery", 10_000, low=2, high=1_000_000)
    options.done()
    if classes != 2:
        raise BackstayError(
            f'the head "anomaly" tells two classes apart, normal or not, and there are {classes}',
            fix="make the target a column of two values",
        )
    return AnomalyHead(dimension, by_rebuilding=by == "reconstruction", level=level, k=k, most=most, name=name)
