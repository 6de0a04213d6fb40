"""The linear head: an option of heads that are made of examples says where it belongs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from backstay.kernel.errors import BackstayError
from backstay.train.heads.linear import RIDGES, LinearHead, build
from backstay.train.options import Options


@pytest.mark.parametrize("given", [{"none_of_these": 0.05}, {"none_label": "other"}])
def test_none_of_these_points_to_the_heads_that_have_it(given: dict[str, float | str]) -> None:
    with pytest.raises(BackstayError, match="the head is linear") as caught:
        build(4, 2, Options("train.head_options", given))
    assert caught.value.fix == 'set train.head = "knn" or "prototype"'


def test_another_option_is_still_named_with_the_nearest() -> None:
    with pytest.raises(BackstayError, match="no key 'rigde'") as caught:
        build(4, 2, Options("train.head_options", {"rigde": 0.1}))
    assert "ridge" in str(caught.value.fix)


def crowded(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    """Unit embeddings of six classes that all lie in one narrow cone, as those learned without labels often do."""
    generator = torch.Generator().manual_seed(seed)
    means = torch.ones(6, 16) + 0.02 * torch.randn(6, 16, generator=torch.Generator().manual_seed(9))
    labels = torch.randint(0, 6, (rows,), generator=generator)
    noise = 0.015 * torch.randn(rows, 16, generator=generator)
    return functional.normalize(means[labels] + noise, dim=1), labels


def accuracy(head: LinearHead, x: Tensor, labels: Tensor) -> float:
    return float((head(x).argmax(dim=1) == labels).float().mean())


def fitted(options: dict[str, float], held: int = 120) -> LinearHead:
    (x, labels), (held_x, held_labels) = crowded(240, 0), crowded(held, 1)
    head = build(16, 6, Options("train.head_options", dict(options)))
    head.fit_choosing(x, labels, torch.ones(len(x)), held_x, held_labels)
    return head


def test_the_ridge_is_chosen_by_the_tune_rows() -> None:
    chosen, strong, unseen = fitted({}), fitted({"ridge": 1e-4}), crowded(600, 2)
    assert chosen.ridge in RIDGES[2:]
    assert accuracy(chosen, *unseen) > accuracy(strong, *unseen) + 0.02
    again = fitted({})
    assert again.ridge == chosen.ridge
    assert torch.equal(again.linear.weight, chosen.linear.weight)


def test_a_ridge_that_was_given_is_kept_and_few_rows_choose_none() -> None:
    assert fitted({"ridge": 1e-4}).ridge == 1e-4
    assert fitted({}, held=19).ridge == 1e-4


def test_noise_in_the_labels_is_answered_by_a_strong_ridge() -> None:
    generator = torch.Generator().manual_seed(4)
    x = functional.normalize(torch.randn(120, 24, generator=generator), dim=1)
    labels = torch.randint(0, 2, (120,), generator=generator)
    head = build(24, 2, Options("train.head_options", {}))
    head.fit_choosing(x[:60], labels[:60], torch.ones(60), x[60:], labels[60:])
    head.calibrate(head(x[60:]), labels[60:])
    assert float((head.scores(head(x)) - 0.5).abs().max().detach()) < 0.3
