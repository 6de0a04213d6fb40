"""Half precision on a CPU: a little coarser in training, float32 in everything that is kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from backstay.settings import TrainSettings
from backstay.train.encoders.conv import ConvEncoder
from backstay.train.heads.linear import LinearHead
from backstay.train.loop import fit
from backstay.train.network import Network
from backstay.train.objectives.contract import Batch, embed_view


def test_the_encoder_alone_is_coarser() -> None:
    torch.manual_seed(0)
    pixels = torch.randint(0, 256, (32, 12, 12, 1), dtype=torch.uint8)
    encoder = ConvEncoder((12, 12, 1), torch.tensor([0.5]), torch.tensor([0.3]), 16, width=8)
    network = Network(encoder, LinearHead(16, 2), "image")
    batch = Batch((pixels,), torch.zeros(32, dtype=torch.long), torch.ones(32), torch.Generator(), 0.0, kind="image")
    full = embed_view(network, batch)
    network.half_precision = True
    half = embed_view(network, batch)
    assert half.dtype == torch.float32
    assert 1e-6 < float((half - full).detach().abs().max()) < 0.05
    torch.testing.assert_close(half.norm(dim=1), torch.ones(32))
    half.square()[:, 0].sum().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in encoder.parameters())


def test_a_half_run_learns_and_repeats(scans, tmp_path: Path) -> None:  # type: ignore[no-untyped-def] # fixture
    table, schema = scans
    order = np.random.default_rng(2).permutation(table.num_rows)
    parts = {"train": order[:600], "tune": order[600:900]}
    classes = tuple(sorted({v.as_py() for v in table.column("y")}))
    recipe = TrainSettings(
        epochs=3, objective="supcon", dimension=8, encoder_options={"width": 8}, half=True, learning_rate=0.005
    )
    one, two = (fit(table, schema, parts, recipe, classes=classes, workdir=tmp_path / name) for name in ("one", "two"))
    assert one.model_id == two.model_id
    assert one.figures["tune_accuracy"] > 0.6
    assert one.parity < 1e-4
