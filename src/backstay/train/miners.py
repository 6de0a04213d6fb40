"""Which triplets of a batch are worth learning from: (anchor, positive, negative) as three tensors of row numbers.

An anchor and its positive are two rows of one class, a negative is a row of another.
"""

from __future__ import annotations

import torch
from torch import Tensor

Triplets = tuple[Tensor, Tensor, Tensor]


def all_triplets(labels: Tensor) -> Triplets:
    """Every triplet, in the order of anchor, positive, negative."""
    positive, negative = _relations(labels)
    anchors, positives, negatives = torch.nonzero(positive[:, :, None] & negative[:, None, :], as_tuple=True)
    return anchors, positives, negatives


def hardest_triplets(distances: Tensor, labels: Tensor) -> Triplets:
    """For each anchor its farthest positive and its nearest negative (batch-hard, Hermans et al. 2017).

    Args:
        distances: [n, n].
        labels: class codes [n]; an anchor without a positive or a negative is left out.
    """
    positive, negative = _relations(labels)
    anchors = torch.nonzero(positive.any(dim=1) & negative.any(dim=1))[:, 0]
    farthest = distances.masked_fill(~positive, float("-inf")).argmax(dim=1)
    nearest = distances.masked_fill(~negative, float("inf")).argmin(dim=1)
    return anchors, farthest[anchors], nearest[anchors]


def semi_hard_triplets(distances: Tensor, labels: Tensor, margin: float) -> Triplets:
    """Every triplet whose negative is farther than the positive, by no more than the margin (Schroff et al. 2015)."""
    anchors, positives, spans = _pairs(distances, labels)
    _, negative = _relations(labels)
    reach = distances[anchors]
    wanted = negative[anchors] & (reach > spans[:, None]) & (reach <= spans[:, None] + margin)
    places, negatives = torch.nonzero(wanted, as_tuple=True)
    return anchors[places], positives[places], negatives


def nearest_semi_hard_triplets(distances: Tensor, labels: Tensor) -> Triplets:
    """For each pair of anchor and positive one negative: the nearest that is farther than the positive, or the
    farthest of all where none is (FaceNet's choice, Schroff et al. 2015).

    n times fewer triplets than `semi_hard_triplets`, found by sorting and looking up: n^2 log n instead of n^3.
    """
    anchors, positives, spans = _pairs(distances, labels)
    _, negative = _relations(labels)
    ordered, places = distances.masked_fill(~negative, float("inf")).sort(dim=1)
    count = negative.sum(dim=1)
    # The first place with a distance above the pair's, in the anchor's own sorted row; kept within its negatives.
    grid = torch.full_like(distances, float("inf"))
    grid[anchors, positives] = spans
    found = torch.searchsorted(ordered.contiguous(), grid, right=True)[anchors, positives]
    found = torch.minimum(found, count[anchors] - 1)
    usable = count[anchors] > 0
    return anchors[usable], positives[usable], places[anchors[usable], found[usable]]


def _relations(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Which rows [n, n] are positives and which are negatives of each other."""
    same = labels[:, None] == labels[None, :]
    own = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    return same & ~own, ~same


def _pairs(distances: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Anchor, positive, and the distance between them, of every pair of a class."""
    anchors, positives = torch.nonzero(_relations(labels)[0], as_tuple=True)
    return anchors, positives, distances[anchors, positives]
