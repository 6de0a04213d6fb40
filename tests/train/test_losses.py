"""Losses and miners against loops that spell out their definition."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from backstay.train.miners import all_triplets, nearest_semi_hard_triplets, semi_hard_triplets
from backstay.train.objectives.arcface import arcface_loss
from backstay.train.objectives.contrastive import contrastive_loss
from backstay.train.objectives.nt_xent import NTXent, nt_xent_loss
from backstay.train.objectives.prototypical import prototypical_loss
from backstay.train.objectives.triplet import distances_of, triplet_loss
from backstay.train.objectives.vicreg import vicreg_loss


def unit(rows: int, seed: int, width: int = 5) -> Tensor:
    raw = torch.randn(rows, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return functional.normalize(raw, dim=1)


def test_prototypical_equals_its_definition() -> None:
    z, labels = unit(11, 0), torch.tensor([7, 2, 2, 7, 4, 7, 2, 4, -1, 7, 4])
    weights = torch.tensor([1, 2, 1, 3, 1, 1, 0.5, 1, 9, 2, 1], dtype=torch.float64)
    shots, temperature = 2, 0.3
    members = {c: [i for i in range(11) if labels[i] == c] for c in (2, 4, 7)}
    centres = {
        c: sum(weights[i] * z[i] for i in rows[:shots]) / sum(weights[i] for i in rows[:shots])
        for c, rows in members.items()
    }
    total, share = 0.0, 0.0
    for c, rows in members.items():
        for i in rows[shots:]:
            scores = {k: math.exp(-float((z[i] - m).square().sum()) / temperature) for k, m in centres.items()}
            total += -float(weights[i]) * math.log(scores[c] / sum(scores.values()))
            share += float(weights[i])
    assert float(prototypical_loss(z, labels, weights, shots, temperature)) == pytest.approx(total / share, rel=1e-9)

    def loss(x: Tensor) -> Tensor:
        return prototypical_loss(functional.normalize(x, dim=1), labels, weights, shots, temperature)

    assert torch.autograd.gradcheck(loss, (z.clone().requires_grad_(),))


def test_weights_are_shares_in_every_loss() -> None:
    """A weight of 2 on all rows changes nothing; a weight of 0 takes a row out of the mean."""
    labels, one, two = torch.tensor([0, 0, 1, 1, 2, 2]), unit(6, 1), unit(6, 2)
    centres, even = unit(3, 3), torch.ones(6, dtype=torch.float64)
    gaps = distances_of(one)
    same = (labels[:, None] == labels[None, :]) & ~torch.eye(6, dtype=torch.bool)
    different = labels[:, None] != labels[None, :]
    losses = [
        lambda w: triplet_loss(gaps, all_triplets(labels), w, 0.5),
        lambda w: contrastive_loss(gaps, same, different, w, 1.5),
        lambda w: nt_xent_loss(one, two, w, 0.5),
        lambda w: arcface_loss(one, centres, labels, w, 0.3, 4.0),
        lambda w: vicreg_loss(one, two, w, 25.0, 0.0, 0.0),
        lambda w: prototypical_loss(one, labels, w, 1, 0.5),
    ]
    lean = torch.tensor([1, 1, 1, 1, 1, 0.0], dtype=torch.float64)
    for loss in losses:
        assert float(loss(2 * even)) == pytest.approx(float(loss(even)), rel=1e-12)
        assert float(loss(lean)) != pytest.approx(float(loss(even)), rel=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_the_nearest_semi_hard_negative(seed: int) -> None:
    labels = torch.randint(0, 3, (14,), generator=torch.Generator().manual_seed(seed))
    distances = distances_of(unit(14, seed))
    expected = set()
    for a in range(14):
        others = sorted((float(distances[a, n]), n) for n in range(14) if labels[n] != labels[a])
        for p in range(14):
            if p == a or labels[p] != labels[a] or not others:
                continue
            farther = [n for gap, n in others if gap > float(distances[a, p])]
            expected.add((a, p, farther[0] if farther else others[-1][1]))
    found = nearest_semi_hard_triplets(distances, labels)
    assert set(zip(*(t.tolist() for t in found), strict=True)) == expected
    assert len(found[0]) == len(expected)


def test_semi_hard_bounds() -> None:
    distances = torch.tensor([[0.0, 0.5, 0.5, 0.6, 0.7, 0.9]])
    distances = torch.cat([distances, torch.zeros(5, 6)])
    distances[:, 0] = distances[0]
    labels = torch.tensor([0, 0, 1, 2, 3, 4])
    a, p, n = semi_hard_triplets(distances, labels, 0.2)
    # As near as the positive is not farther; the margin itself is still within.
    assert {int(x) for x in n[(a == 0) & (p == 1)]} <= {3, 4}
    assert 3 in n[(a == 0) & (p == 1)].tolist()


def test_pairs_that_coincide_have_finite_slopes() -> None:
    z = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], requires_grad=True)
    triplet_loss(distances_of(z), all_triplets(torch.tensor([0, 0, 1])), torch.ones(3), 2.0).backward()
    assert torch.isfinite(z.grad).all()
    centre = torch.tensor([[3.0, 0.0], [0.0, 1.0]])
    z = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], requires_grad=True)
    arcface_loss(z, centre, torch.tensor([0, 0]), torch.ones(2), 0.3, 16.0).backward()
    assert torch.isfinite(z.grad).all()


def test_the_simclr_loss_of_agreeing_views_is_lower_and_needs_no_projection() -> None:
    one, two = unit(8, 4), unit(8, 5)
    even = torch.ones(8)
    assert float(nt_xent_loss(one, one, even, 0.2)) < float(nt_xent_loss(one, two, even, 0.2))
    plain = NTXent(0.2, 5, 0)
    assert not list(plain.parameters())
    assert float(plain.of((one, two), torch.zeros(8), even)) == pytest.approx(
        float(nt_xent_loss(one, two, even, 0.2)), rel=1e-12
    )
