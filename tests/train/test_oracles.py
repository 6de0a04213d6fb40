"""Losses equal those of pytorch-metric-learning and lightly in value and gradient, in double precision."""

from __future__ import annotations

import importlib.util
import os
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from pytorch_metric_learning import losses, miners, reducers
from torch import Tensor
from torch.nn import functional

from backstay.train.miners import all_triplets, hardest_triplets, semi_hard_triplets
from backstay.train.objectives.arcface import arcface_loss
from backstay.train.objectives.contrastive import Contrastive
from backstay.train.objectives.nt_xent import nt_xent_loss
from backstay.train.objectives.supcon import supcon_loss
from backstay.train.objectives.triplet import Triplet, distances_of
from backstay.train.objectives.vicreg import vicreg_loss

ROWS, WIDTH, CLASSES = 48, 16, 5
EVEN = torch.ones(ROWS, dtype=torch.float64)


def cloud(seed: int, rows: int = ROWS) -> Tensor:
    return torch.randn(rows, WIDTH, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def codes() -> Tensor:
    return torch.randint(0, CLASSES, (ROWS,), generator=torch.Generator().manual_seed(9))


def agree(ours: Callable[..., Tensor], theirs: Callable[..., Tensor], *raw: Tensor) -> None:
    """The same value, and the same gradient with respect to each input."""
    values, gradients = [], []
    for loss in (ours, theirs):
        inputs = [x.clone().requires_grad_() for x in raw]
        value = loss(*inputs)
        gradients.append(torch.autograd.grad(value, inputs))
        values.append(float(value.detach()))
    assert values[0] == pytest.approx(values[1], rel=1e-9)
    assert values[0] > 0
    for one, two in zip(*gradients, strict=True):
        assert float(two.abs().max()) > 1e-6
        torch.testing.assert_close(one, two, rtol=1e-6, atol=1e-9)


def unit(x: Tensor) -> Tensor:
    return functional.normalize(x, dim=1)


def test_supcon() -> None:
    labels = codes()
    theirs = losses.SupConLoss(temperature=0.3)
    agree(lambda x: supcon_loss(unit(x), labels, EVEN, 0.3), lambda x: theirs(x, labels), cloud(0))


def test_nt_xent() -> None:
    theirs = losses.NTXentLoss(temperature=0.3)
    twice = torch.arange(ROWS).repeat(2)
    agree(
        lambda x, y: nt_xent_loss(unit(x), unit(y), EVEN, 0.3),
        lambda x, y: theirs(torch.cat([x, y]), twice),
        cloud(1),
        cloud(2),
    )


def test_contrastive() -> None:
    labels = codes()
    theirs = losses.ContrastiveLoss(pos_margin=0.3, neg_margin=1.3)
    ours = Contrastive(margin=1.3, inner=0.3)
    agree(lambda x: ours.of((unit(x),), labels, EVEN), lambda x: theirs(x, labels), cloud(3))


def test_contrastive_with_squares_as_in_the_paper() -> None:
    labels = codes()
    ours = Contrastive(margin=1.3, power=2)

    def plain(x: Tensor) -> Tensor:
        z, pull, push = unit(x), [], []
        for i in range(ROWS):
            for j in range(ROWS):
                gap = (z[i] - z[j]).norm() if i != j else torch.zeros(())
                if i != j and labels[i] == labels[j]:
                    pull.append(gap**2)
                elif i != j and float(gap.detach()) < 1.3:
                    push.append((1.3 - gap) ** 2)
        return torch.stack(pull).mean() + torch.stack(push).mean()

    agree(lambda x: ours.of((unit(x),), labels, EVEN), plain, cloud(3))


@pytest.mark.parametrize("mining", ["all", "hard", "semi_hard_all"])
def test_triplet(mining: str) -> None:
    labels = codes()
    miner = {
        "all": None,
        "hard": miners.BatchHardMiner(),
        "semi_hard_all": miners.TripletMarginMiner(margin=0.2, type_of_triplets="semihard"),
    }[mining]
    theirs = losses.TripletMarginLoss(margin=0.2, reducer=reducers.AvgNonZeroReducer())
    ours = Triplet(mining, 0.2)
    agree(
        lambda x: ours.of((unit(x),), labels, EVEN),
        lambda x: theirs(x, labels, None if miner is None else miner(x, labels)),
        cloud(4),
    )


def test_miners_find_the_same_triplets() -> None:
    z, labels = unit(cloud(5)), codes()
    distances = distances_of(z)
    hard = miners.BatchHardMiner()(z, labels)
    semi = miners.TripletMarginMiner(margin=0.2, type_of_triplets="semihard")(z, labels)
    every = miners.TripletMarginMiner(margin=9.0, type_of_triplets="all")(z, labels)
    for ours, theirs in (
        (hardest_triplets(distances, labels), hard),
        (semi_hard_triplets(distances, labels, 0.2), semi),
        (all_triplets(labels), every),
    ):
        assert set(zip(*(t.tolist() for t in ours), strict=True)) == set(
            zip(*(t.tolist() for t in theirs), strict=True)
        )


def test_arcface() -> None:
    labels = codes()
    theirs = losses.ArcFaceLoss(CLASSES, WIDTH, margin=40.0, scale=16.0)
    margin = 40.0 * torch.pi / 180

    def other(x: Tensor, centres: Tensor) -> Tensor:
        del theirs.W  # its own parameter, so that the gradient reaches ours
        theirs.W = centres.T
        theirs.cast_types = lambda dtype, device: None
        return theirs(x, labels)

    raw = cloud(6)
    centres = cloud(7, CLASSES)
    # Two rows opposite their class's centre reach the part beyond 180 degrees.
    raw[:2] = -centres[labels[:2]] + 0.1 * raw[:2]
    agree(lambda x, c: arcface_loss(unit(x), c, labels, EVEN, margin, 16.0), other, raw, centres)


def test_vicreg() -> None:
    theirs = losses.VICRegLoss()
    agree(lambda x, y: vicreg_loss(x, y, EVEN), lambda x, y: theirs(x, ref_emb=y), 0.7 * cloud(7), 0.7 * cloud(8))


@pytest.fixture
def lightly(monkeypatch) -> Iterator[Callable[[str], types.ModuleType]]:
    """Modules of lightly by path: its package asks for torchvision, which losses do not need."""
    found = importlib.util.find_spec("lightly")
    if found is None and "BACKSTAY_ORACLES" not in os.environ:
        # No extra can name it without what it depends on; `make test` installs it, and is told not to go without.
        pytest.skip("lightly is not installed: `make test` does that (pip install --no-deps lightly)")
    assert found is not None
    assert found.submodule_search_locations is not None
    root = Path(found.submodule_search_locations[0])
    before = set(sys.modules)
    for name in ("lightly", "lightly.loss", "lightly.models", "lightly.models.modules", "lightly.utils"):
        package = types.ModuleType(name)
        package.__path__ = [str(root.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = package
    torchvision = types.ModuleType("torchvision")
    torchvision.ops = types.ModuleType("torchvision.ops")
    torchvision.ops.StochasticDepth = torch.nn.Identity
    monkeypatch.setitem(sys.modules, "torchvision", torchvision)
    monkeypatch.setitem(sys.modules, "torchvision.ops", torchvision.ops)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if name == "lightly" or name.startswith("lightly."):
            del sys.modules[name]


def test_lightly_says_the_same(lightly: Callable[[str], types.ModuleType]) -> None:
    nt_xent = lightly("lightly.loss.ntx_ent_loss").NTXentLoss(temperature=0.3)
    agree(lambda x, y: nt_xent_loss(unit(x), unit(y), EVEN, 0.3), nt_xent, cloud(1), cloud(2))
    vicreg = lightly("lightly.loss.vicreg_loss").VICRegLoss()
    agree(lambda x, y: vicreg_loss(x, y, EVEN), vicreg, 0.7 * cloud(7), 0.7 * cloud(8))
