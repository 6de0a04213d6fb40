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
from backstay.train.objectives.contract import Problem
from backstay.train.objectives.metric import Metric, build, losses_offered, miners_offered
from backstay.train.options import Options

PROBLEM = Problem(Profile(None, (), ("a",), (), (0.0,), (1.0,), {}), 8, 4)
# What the others do without: named here as a user would name it.
NEEDED: dict[str, dict[str, Any]] = {
    "P2SGradLoss": {"descriptors_dim": 8},
    "RankedListLoss": {"margin": 0.4, "Tn": 10.0},
}


def made(**given: Any) -> Metric:
    return build(Options("train.objective_options", given), PROBLEM)


def rows() -> tuple[Tensor, Tensor]:
    z = torch.randn(24, 8, generator=torch.Generator().manual_seed(0))
    return functional.normalize(z, dim=1).requires_grad_(), torch.arange(24) % 4


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", sorted(losses_offered()))
def test_each_loss_by_its_name(name: str) -> None:
    z, labels = rows()
    torch.manual_seed(0)
    loss = made(loss=name, **NEEDED.get(name, {})).of((z,), labels, torch.ones(24))
    loss.backward()
    assert torch.isfinite(loss.detach())
    assert torch.isfinite(z.grad).all()
    assert float(z.grad.abs().sum()) > 0


@pytest.mark.parametrize("name", sorted(miners_offered()))
def test_each_miner_by_its_name(name: str) -> None:
    z, labels = rows()
    torch.manual_seed(0)
    loss = made(loss="TripletMarginLoss", miner=name).of((z,), labels, torch.ones(24))
    assert torch.isfinite(loss.detach())


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
        ({"loss": "TripletMarginLoss", "miner": "BatchHardMine"}, "did you mean 'BatchHardMiner'"),
        ({"loss": "TripletMarginLoss", "margn": 1}, "TripletMarginLoss has no option 'margn'; did you mean 'margin'"),
        ({"loss": "TripletMarginLoss", "miner": "BatchHardMiner", "miner_x": 1}, "no option 'miner_x'"),
        ({"loss": "TripletMarginLoss", "miner_margin": 1}, "none is named"),
        ({"loss": "HistogramLoss", "n_bins": 10, "delta": 0.5}, "HistogramLoss refuses its options"),
        ({"loss": "P2SGradLoss"}, "P2SGradLoss needs the option 'descriptors_dim'"),
    ):
        with pytest.raises(BackstayError, match=complaint):
            made(**given)


def test_without_the_library_the_extra_is_named(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pytorch_metric_learning", None)
    with pytest.raises(BackstayError, match=r"pip install 'backstay\[metric\]'"):
        made(loss="TripletMarginLoss")
