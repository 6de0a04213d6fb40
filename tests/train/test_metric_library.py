"""Losses and miners of pytorch-metric-learning by their names: each one works or is refused before training."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from backstay.kernel.errors import BackstayError
from backstay.train.examples import Profile
from backstay.train.objectives.contract import EmbeddingObjective, Problem
from backstay.train.objectives.metric import (
    Remembering,
    TwoViews,
    Unlabelled,
    build,
    losses_offered,
    miners_offered,
    parts_offered,
)
from backstay.train.options import Options

PROBLEM = Problem(Profile(None, (), ("a",), (), (0.0,), (1.0,), {}), 8, 4)
# What the others do without: named here as a user would name it.
NEEDED: dict[str, dict[str, Any]] = {
    "P2SGradLoss": {"descriptors_dim": 8},
    "RankedListLoss": {"margin": 0.4, "Tn": 10.0},
    "ManifoldLoss": {"K": 4},
}


def made(**given: Any) -> Any:
    return build(Options("train.objective_options", given), PROBLEM)


def rows() -> tuple[Tensor, Tensor]:
    z = torch.randn(24, 8, generator=torch.Generator().manual_seed(0))
    return functional.normalize(z, dim=1).requires_grad_(), torch.arange(24) % 4


def gradient(z: Tensor) -> Tensor:
    assert z.grad is not None
    return z.grad


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", sorted(losses_offered()))
def test_each_loss_by_its_name(name: str) -> None:
    z, labels = rows()
    torch.manual_seed(0)
    found = made(loss=name, **NEEDED.get(name, {}))
    again = functional.normalize(z + 0.1, dim=1)
    loss = found.of((z, again)[: found.views], labels, torch.ones(24))
    loss.backward()
    assert torch.isfinite(loss.detach())
    assert torch.isfinite(gradient(z)).all()
    assert float(gradient(z).abs().sum()) > 0


@pytest.mark.parametrize("name", sorted(miners_offered()))
def test_each_miner_by_its_name(name: str) -> None:
    z, labels = rows()
    torch.manual_seed(0)
    loss = made(loss="TripletMarginLoss", miner=name).of((z,), labels, torch.ones(24))
    assert torch.isfinite(loss.detach())


def of_library(module: str, name: str) -> Any:
    return getattr(pytest.importorskip(f"pytorch_metric_learning.{module}"), name)


PARTS: dict[str, dict[str, Any]] = {"ThresholdReducer": {"reducer_low": 0.0}}
LOSS_OF = {"weight_regularizer": "ProxyAnchorLoss"}


@pytest.mark.parametrize(
    ("part", "name"),
    [(p, n) for p, names in parts_offered().items() for n in sorted(names) if n != "ClassWeightedReducer"],
)
def test_each_part_of_a_loss_by_its_name(part: str, name: str) -> None:
    needed = {f"{part}_centers_per_class": 2} if name == "SparseCentersRegularizer" else PARTS.get(name, {})
    found = made(loss=LOSS_OF.get(part, "TripletMarginLoss"), **{part: name}, **needed)
    assert type(getattr(found.inner, part)).__name__ == name


def test_options_of_the_parts_reach_them() -> None:
    z, labels = rows()[0].detach(), rows()[1]
    found = made(loss="ContrastiveLoss", distance="LpDistance", distance_p=1, reducer="MeanReducer", pos_margin=0.1)
    wanted = of_library("losses", "ContrastiveLoss")(
        pos_margin=0.1,
        distance=of_library("distances", "LpDistance")(p=1),
        reducer=of_library("reducers", "MeanReducer")(),
    )
    assert float(found.of((z,), labels, torch.ones(24))) == pytest.approx(float(wanted(z, labels)), rel=1e-6)


def batches_of(z: Tensor, labels: Tensor, found: EmbeddingObjective) -> list[float]:
    return [float(found.of((z[i : i + 8],), labels[i : i + 8], torch.ones(8))) for i in range(0, 24, 8)]


def test_a_memory_compares_with_the_batches_before_as_the_library_does() -> None:
    z, labels = rows()[0].detach(), rows()[1]
    inner = of_library("losses", "ContrastiveLoss")()
    wanted = of_library("losses", "CrossBatchMemory")(inner, 8, memory_size=12)
    found = made(loss="ContrastiveLoss", memory=12)
    assert isinstance(found, Remembering)
    said = batches_of(z, labels, found)
    assert said == pytest.approx([float(wanted(z[i : i + 8], labels[i : i + 8])) for i in (0, 8, 16)], rel=1e-6)
    assert said[1:] != pytest.approx(batches_of(z, labels, made(loss="ContrastiveLoss"))[1:], rel=1e-3)


def test_a_memory_goes_on_from_a_checkpoint() -> None:
    z, labels = rows()[0].detach(), rows()[1]
    whole, first, second = (made(loss="TripletMarginLoss", memory=12, miner="PairMarginMiner") for _ in range(3))
    expected = batches_of(z, labels, whole)
    for i in (0, 8):
        first.of((z[i : i + 8],), labels[i : i + 8], torch.ones(8))
    second.load_state_dict(first.state_dict())
    assert float(second.of((z[16:],), labels[16:], torch.ones(8))) == expected[2]


def test_a_memory_smaller_than_a_batch_is_refused() -> None:
    z, labels = rows()
    with pytest.raises(BackstayError, match="a batch of 24 rows and a memory of 12"):
        made(loss="ContrastiveLoss", memory=12).of((z,), labels, torch.ones(24))


def test_two_views_need_no_labels() -> None:
    z, again = rows()[0].detach(), functional.normalize(rows()[0].detach() + 0.1, dim=1)
    found = made(loss="NTXentLoss", two_views=True, temperature=0.3)
    assert isinstance(found, TwoViews)
    assert (found.views, found.needs_labels, found.sampler) == (2, False, "shuffled")
    pairs = torch.arange(24).repeat(2)
    wanted = of_library("losses", "NTXentLoss")(temperature=0.3)(torch.cat([z, again]), pairs)
    none = torch.full((24,), -1)
    assert float(found.of((z, again), none, torch.ones(24))) == pytest.approx(float(wanted), rel=1e-6)


def test_losses_without_labels() -> None:
    assert isinstance(made(loss="VICRegLoss"), TwoViews)
    alone = made(loss="ManifoldLoss", K=4)
    assert isinstance(alone, Unlabelled)
    assert not isinstance(alone, TwoViews)
    assert float(alone.of((rows()[0][:3].detach(),), torch.arange(3), torch.ones(3))) == 0.0


def test_options_reach_the_loss_and_the_miner() -> None:
    found = made(
        loss="TripletMarginLoss", margin=0.7, triplets_per_anchor=3, miner="PairMarginMiner", miner_pos_margin=0.3
    )
    assert found.inner.margin == 0.7
    assert found.miner is not None
    assert found.miner.pos_margin == 0.3
    proxies = made(loss="ProxyAnchorLoss")
    assert [p.shape for p in proxies.parameters()] == [(4, 8)]


def test_random_choices_follow_the_seed() -> None:
    z, labels = rows()
    found = made(loss="TripletMarginLoss", triplets_per_anchor=1)

    def draw(seed: int) -> float:
        torch.manual_seed(seed)
        return float(found.of((z.detach(),), labels, torch.ones(24)))

    assert draw(1) == draw(1)
    assert len({draw(seed) for seed in range(5)}) > 1


def test_rows_without_weight_are_left_out() -> None:
    z, labels = rows()[0].detach(), rows()[1]
    found = made(loss="ContrastiveLoss")
    weights = (torch.arange(24) < 16).float()
    assert float(found.of((z,), labels, weights)) == pytest.approx(
        float(found.of((z[:16],), labels[:16], torch.ones(16))), rel=1e-6
    )


def test_what_is_refused() -> None:
    for given, complaint in (
        ({}, "loss is ''; known: AngularLoss"),
        ({"loss": "TripletMarginLos"}, "did you mean 'TripletMarginLoss'"),
        ({"loss": "CrossBatchMemory"}, "loss is 'CrossBatchMemory'"),
        ({"loss": "ProxyAnchorLoss", "memory": 64}, "CrossBatchMemory does not take ProxyAnchorLoss"),
        ({"loss": "ArcFaceLoss", "two_views": True}, "SelfSupervisedLoss does not take ArcFaceLoss"),
        ({"loss": "NTXentLoss", "two_views": True, "memory": 64}, "two views of each row, and a memory"),
        ({"loss": "VICRegLoss", "miner": "BatchHardMiner"}, "VICRegLoss reads no labels"),
        ({"loss": "ContrastiveLoss", "distance": "LpDistanc"}, "did you mean 'LpDistance'"),
        ({"loss": "ContrastiveLoss", "distance": "LpDistance", "distance_q": 1}, "no option 'distance_q'"),
        ({"loss": "ContrastiveLoss", "distance_p": 1}, "options for a distance and none is named"),
        ({"loss": "TripletMarginLoss", "miner": "BatchHardMine"}, "did you mean 'BatchHardMiner'"),
        ({"loss": "TripletMarginLoss", "margn": 1}, "TripletMarginLoss has no option 'margn'; did you mean 'margin'"),
        ({"loss": "TripletMarginLoss", "miner": "BatchHardMiner", "miner_x": 1}, "no option 'miner_x'"),
        ({"loss": "TripletMarginLoss", "miner_margin": 1}, "none is named"),
        ({"loss": "HistogramLoss", "n_bins": 10, "delta": 0.5}, "HistogramLoss refuses its options"),
        ({"loss": "P2SGradLoss"}, "P2SGradLoss needs the option 'descriptors_dim'"),
    ):
        with pytest.raises(BackstayError, match=complaint):
            made(**given)


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytorch_metric_learning", None)
    with pytest.raises(BackstayError, match=r"pip install 'backstay\[metric\]'"):
        made(loss="TripletMarginLoss")
