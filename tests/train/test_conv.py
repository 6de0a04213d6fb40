"""The convolutional encoder: each way of halving ends at about 4x4, whatever the picture's shape."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from backstay.kernel.errors import BackstayError
from backstay.train.encoders import ENCODERS
from backstay.train.encoders.conv import ConvEncoder
from backstay.train.examples import Profile
from backstay.train.options import Options


@pytest.mark.parametrize("halving", ["stride", "pool", "deep"])
@pytest.mark.parametrize("shape", [(28, 28, 1), (12, 10, 1), (96, 64, 3), (4, 3, 1), (5, 41, 2)])
def test_any_shape_becomes_about_4_by_4_and_a_unit_embedding(halving: str, shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    channels = torch.ones(shape[2])
    encoder = ConvEncoder(shape, channels / 2, channels / 3, 16, width=4, halving=halving).eval()
    seen: list[torch.Tensor] = []
    encoder.body.register_forward_hook(lambda _, __, out: seen.append(out))
    pixels = torch.randint(0, 256, (3, *shape), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    with torch.no_grad():
        embeddings = encoder(pixels)
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(3))
    assert max(seen[0].shape[2:]) in {2, 3, 4}
    assert encoder.out.in_features == seen[0][0].numel()


def test_deep_has_two_convolutions_a_size() -> None:
    ones = torch.ones(1)
    deep = ConvEncoder((28, 28, 1), ones, ones, 16, width=4, halving="deep")
    found = [(m.in_channels, m.out_channels, m.stride[0]) for m in deep.body if isinstance(m, nn.Conv2d)]
    assert found == [(1, 4, 2), (4, 4, 1), (4, 8, 1), (8, 8, 1), (8, 12, 1)]
    assert sum(isinstance(m, nn.MaxPool2d) for m in deep.body) == 2


def test_an_unknown_halving_is_refused() -> None:
    profile = Profile("scan", (12, 10, 1), (), (), (0.5,), (0.3,), {})
    with pytest.raises(BackstayError, match="halving is 'depth'"):
        ENCODERS["conv"](profile, 8, Options("train.encoder_options", {"halving": "depth"}))
