"""The loss of judged pairs: by a plain loop, and what an encoder learns from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from backstay.bundle.model import load
from backstay.data.schema import conform, infer_schema
from backstay.settings import TrainSettings
from backstay.train.loop import fit
from backstay.train.pairs import pair_loss


def test_the_loss_is_that_of_a_plain_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.nn.functional.normalize(torch.randn(9, 4, generator=generator).double(), dim=1) for _ in range(2))
    b[0], b[1] = a[0], a[1]
    same = torch.tensor([True, False, True, False, True, False, False, True, False])
    expected = 0.0
    for i in range(9):
        apart = float((a[i] - b[i]).norm())
        expected += apart**2 if same[i] else max(0.0, 1.0 - apart) ** 2
    assert float(pair_loss(a, b, same)) == pytest.approx(expected / 9, abs=1e-5)
    free = a.clone().requires_grad_()
    pair_loss(free, b, same).backward()
    assert torch.isfinite(free.grad).all()
    assert torch.autograd.gradcheck(lambda x: pair_loss(x, b[2:], same[2:]), (a[2:].clone().requires_grad_(),))


def test_an_encoder_learns_what_pairs_say_and_labels_do_not(tmp_path: Path) -> None:
    """Labels are about `a` alone; pairs say that rows are the same or different by the sign of `b`."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 2))
    table = pa.table({"a": x[:, 0], "b": x[:, 1], "y": np.where(x[:, 0] > 0, "p", "q").tolist()})
    schema = infer_schema(table, target="y")
    table = conform(table, schema)
    parts = {"train": np.arange(300), "tune": np.arange(300, 400)}
    recipe = TrainSettings(epochs=6, dimension=8, batch_size=32, learning_rate=5e-3, patience=9, pairs_weight=3.0)
    first, second = rng.integers(0, 300, (2, 600))
    above = x[:, 1] > 0
    same = above[first] == above[second]
    apart = {}
    for name, pairs in {"with": (first, second, same), "without": None}.items():
        out = fit(table, schema, parts, recipe, classes=("p", "q"), workdir=tmp_path, pairs=pairs)
        made = load(out.bundle_directory).predict(table.slice(300)).embeddings
        likeness, alike = made @ made.T, above[300:, None] == above[None, 300:]
        apart[name] = float(likeness[alike].mean() - likeness[~alike].mean())
        assert out.figures.get("judged_pairs") == (600 if pairs else None)
    assert apart["with"] > apart["without"] + 0.2
