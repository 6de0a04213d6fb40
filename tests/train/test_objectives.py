"""Losses against plain loops, heads against scipy's optimum, collapse figures against their meaning."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from backstay.train.augment import augment, images
from backstay.train.collapse import COLLAPSED, collapse_figures
from backstay.train.heads.linear import LinearHead
from backstay.train.held_out import stopped
from backstay.train.objectives.contract import pieces_of
from backstay.train.objectives.cross_entropy import cross_entropy_loss
from backstay.train.objectives.supcon import supcon_loss


def plain_supcon(z: torch.Tensor, labels: list[int], weights: list[float], temperature: float) -> float:
    total, share = 0.0, 0.0
    for i in range(len(labels)):
        partners = [p for p in range(len(labels)) if p != i and labels[p] == labels[i]]
        if not partners:
            continue
        others = [math.exp(float(z[i] @ z[a]) / temperature) for a in range(len(labels)) if a != i]
        each = [math.log(math.exp(float(z[i] @ z[p]) / temperature) / sum(others)) for p in partners]
        total += -weights[i] * sum(each) / len(each)
        share += weights[i]
    return total / share


def test_supcon_equals_its_definition_in_value_and_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    labels, weights = [0, 1, 0, 2, 1, 0], [1.0, 2.0, 0.5, 1.0, 0.0, 1.0]
    raw = torch.randn(6, 4, generator=generator, dtype=torch.float64, requires_grad=True)

    def loss(x: torch.Tensor) -> torch.Tensor:
        return supcon_loss(functional.normalize(x, dim=1), torch.tensor(labels), torch.tensor(weights), 0.3)

    expected = plain_supcon(functional.normalize(raw.detach(), dim=1), labels, weights, 0.3)
    assert float(loss(raw.detach())) == pytest.approx(expected, rel=1e-9)
    assert torch.autograd.gradcheck(loss, (raw,))


def test_supcon_without_partners_is_zero_with_a_finite_gradient() -> None:
    z = functional.normalize(torch.eye(3), dim=1).requires_grad_()
    loss = supcon_loss(z, torch.tensor([0, 1, 2]), torch.ones(3), 0.1)
    loss.backward()
    assert float(loss.detach()) == 0
    assert torch.isfinite(z.grad).all()


def test_cross_entropy_is_weighted() -> None:
    logits, labels = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0])
    loss = cross_entropy_loss(logits, labels, torch.tensor([3.0, 1.0]))
    expected = (3 * math.log(1 + math.exp(-2)) + math.log(1 + math.e)) / 4
    assert float(loss) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("classes", [2, 3])
def test_calibration_undoes_overconfidence(classes: int) -> None:
    generator = torch.Generator().manual_seed(1)
    true = torch.randn(4000, classes, generator=generator)
    labels = torch.multinomial(functional.softmax(true, dim=1), 1, generator=generator)[:, 0]
    head = LinearHead(4, classes)
    head.calibrate(5 * true, labels)
    assert float(head.slope) == pytest.approx(0.2, rel=0.15)
    scores = head.scores(5 * true)
    assert torch.allclose(scores.sum(dim=1), torch.ones(4000), atol=1e-5)
    assert float((scores - functional.softmax(true, dim=1)).abs().mean()) < 0.02


@pytest.mark.parametrize("ridge", [1e-4, 1e-2])
def test_the_head_is_fitted_to_its_optimum(ridge: float) -> None:
    generator = torch.Generator().manual_seed(2)
    x = functional.normalize(torch.randn(300, 3, generator=generator), dim=1)
    labels = (x[:, 0] + 0.3 * torch.randn(300, generator=generator) > 0).long()
    head = LinearHead(3, 2, ridge)
    head.fit(x, labels, torch.ones(300))
    loss = functional.cross_entropy(head(x), labels) + ridge * head.linear.weight.square().sum()
    loss.backward()
    assert float(head.linear.weight.grad.abs().max()) < 1e-3
    assert float(head.linear.bias.grad.abs().max()) < 1e-3


def test_collapse_figures() -> None:
    generator = torch.Generator().manual_seed(3)
    spread = functional.normalize(torch.randn(2000, 16, generator=generator), dim=1)
    deviation, rank = collapse_figures(spread)
    assert deviation == pytest.approx(1, abs=0.02)
    assert rank == pytest.approx(16, abs=0.5)
    point = functional.normalize(torch.ones(100, 16) + 1e-4 * torch.randn(100, 16, generator=generator), dim=1)
    assert collapse_figures(point)[0] < COLLAPSED
    line = spread[:1] * torch.tensor([1.0, -1.0]).repeat(50)[:, None]
    deviation, rank = collapse_figures(line)
    assert rank == pytest.approx(1, abs=1e-3)
    assert deviation > COLLAPSED


def test_changed_images_stay_images_and_are_seeded() -> None:
    pixels = torch.randint(0, 256, (5, 9, 7, 3), dtype=torch.uint8)
    one, two = (images(pixels, torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(one, two)
    assert one.shape == pixels.shape
    assert 0 <= float(one.min()) <= float(one.max()) <= 255
    assert not torch.equal(one, pixels.float())


def test_changed_tables_keep_gaps() -> None:
    numbers, codes = torch.tensor([[float("nan"), 1.0]] * 200), torch.full((200, 1), 5)
    changed, dropped = augment((numbers, codes), torch.Generator().manual_seed(5))
    assert torch.isnan(changed[:, 0]).all()
    assert float((changed[:, 1] - 1).std()) == pytest.approx(0.05, rel=0.3)
    assert set(dropped.unique().tolist()) == {0, 5}


def test_every_row_is_in_one_batch_and_none_is_lonely() -> None:
    batches = pieces_of(torch.arange(65), 32)
    assert [len(b) for b in batches] == [32, 33]
    assert torch.equal(torch.cat(batches), torch.arange(65))
    assert [len(b) for b in pieces_of(torch.arange(3), 32)] == [3]


def test_patience() -> None:
    history = [{"tune_loss": v} for v in (1.0, 0.5, 0.6, 0.7)]
    assert stopped(history, 2)
    assert not stopped(history, 3)
    assert not stopped([*history, {"tune_loss": 0.4}], 2)
