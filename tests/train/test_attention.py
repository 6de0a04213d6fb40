from __future__ import annotations

import pytest
import torch
from torch import Tensor

from backstay.train.encoders.attention import Block


def by_hand(block: Block, x: Tensor, seen: Tensor) -> Tensor:
    """Softmax of scaled products over the tokens that are there, head by head and token by token."""
    rows, tokens, width = x.shape
    asked, size = block.ask(x), width // block.heads
    found = torch.zeros_like(x)
    for row in range(rows):
        there = [j for j in range(tokens) if bool(seen[row, j])]
        for head in range(block.heads):
            places = slice(size * head, size * (head + 1))
            q, k, v = (asked[row, :, width * i : width * (i + 1)][:, places] for i in range(3))
            for i in range(tokens):
                weight = torch.stack([torch.exp(q[i] @ k[j] / size**0.5) for j in there])
                found[row, i, places] = sum(w * v[j] for j, w in zip(there, weight / weight.sum(), strict=True))
    return block.join(found)


@pytest.mark.parametrize("absent", [0, 1, 2])
def test_attention_is_its_definition(absent: int) -> None:
    block = Block(8, 2, 0.0)
    x = torch.randn(2, 4, 8, generator=torch.Generator().manual_seed(1))
    seen = torch.ones(2, 4, dtype=torch.bool)
    seen[0, 4 - absent :] = False
    torch.testing.assert_close(block.attend(x, seen), by_hand(block, x, seen))
    if not absent:
        torch.testing.assert_close(block.attend(x), by_hand(block, x, seen))


def test_what_is_absent_changes_nothing() -> None:
    block = Block(8, 2, 0.0).eval()
    x = torch.randn(1, 4, 8, generator=torch.Generator().manual_seed(2))
    seen = torch.tensor([[True, True, False, False]])
    other = x.clone()
    other[0, 2:] *= -1.0
    torch.testing.assert_close(block(x, seen)[0, :2], block(other, seen)[0, :2])
    assert not torch.allclose(block(x)[0, :2], block(other)[0, :2])
