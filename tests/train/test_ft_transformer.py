"""The table transformer: gaps and unseen categories answer, columns matter, and the graph says the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from backstay.bundle.model import load
from backstay.kernel.errors import BackstayError
from backstay.settings import TrainSettings
from backstay.train.encoders.ft_transformer import FTTransformer, build
from backstay.train.examples import profile_of
from backstay.train.loop import fit
from backstay.train.network_run import PARITY
from backstay.train.options import Options


def made(numbers: int = 2, levels: tuple[int, ...] = (4,)) -> FTTransformer:
    torch.manual_seed(0)
    return FTTransformer(numbers, levels, 5, width=8, blocks=1, heads=2).eval()


def test_a_gap_is_a_token_of_its_own() -> None:
    encoder = made()
    codes = torch.tensor([[0], [0]])
    gap, nought = encoder(torch.tensor([[float("nan"), 1.0], [0.0, 1.0]]), codes)
    assert torch.isfinite(gap).all()
    assert not torch.allclose(gap, nought, atol=1e-4)
    assert float(gap.detach().norm()) == pytest.approx(1, abs=1e-5)


def test_a_gap_has_a_gradient_and_no_nan() -> None:
    encoder = made().train()
    encoder(torch.tensor([[float("nan"), 1.0]]), torch.tensor([[1]])).sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    assert float(encoder.missing.grad[0].abs().sum()) > 0
    assert float(encoder.missing.grad[1].abs().sum()) == 0


def test_equal_values_in_different_columns_differ() -> None:
    one, two = made(2, ())(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    assert not torch.allclose(one, two, atol=1e-4)


def test_learned_exported_and_equal(sheet, tmp_path: Path) -> None:
    table, schema = sheet
    recipe = TrainSettings(encoder="ft_transformer", epochs=8, batch_size=64, learning_rate=3e-3)
    parts = {"train": np.arange(400), "tune": np.arange(400, 500)}
    trained = fit(table, schema, parts, recipe, classes=("no", "yes"), workdir=tmp_path)
    assert trained.parity <= PARITY
    model = load(trained.bundle_directory, expected_id=trained.model_id)
    held_out = table.slice(500)
    assert np.mean(model.predict(held_out).labels == np.array(held_out["y"].to_pylist())) > 0.8
    odd = pa.table({"a": [None], "embedding": pa.array([None], pa.float64()), "label": ["never seen"], "d": [None]})
    assert np.isfinite(model.predict(odd).scores).all()


def test_what_is_refused(sheet, scans) -> None:
    rows = np.arange(100)
    with pytest.raises(BackstayError, match="reads tables"):
        build(profile_of(*scans, rows), 8, Options("train.encoder_options", {}))
    with pytest.raises(BackstayError, match="width is 10, which 4 heads cannot share"):
        build(profile_of(*sheet, rows), 8, Options("train.encoder_options", {"width": 10}))
