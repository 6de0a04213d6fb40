"""A collapsed run is stopped and named, never released: under every objective, and by the ways that lead there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from backstay.bundle.sets import texts_of
from backstay.kernel.errors import BackstayError
from backstay.kernel.ports import NoProgress
from backstay.kernel.records import Column, ColumnKind, Schema
from backstay.settings import Settings, TrainSettings
from backstay.train import set_loop, value_loop
from backstay.train.encoders.mlp import TableEncoder
from backstay.train.epochs import run_epochs
from backstay.train.examples import profile_of, tensors_of
from backstay.train.loop import fit
from backstay.train.network import build
from backstay.train.objectives import OBJECTIVES
from backstay.train.objectives.contract import Problem
from backstay.train.options import Options
from backstay.train.part import Part

ROWS, CLASSES = 300, 3
PARTS = {"train": np.arange(200), "tune": np.arange(200, ROWS)}
NEEDED: dict[str, dict[str, Any]] = {
    "metric": {"loss": "ProxyAnchorLoss"},
    "prototypical": {"ways": 3, "shots": 2, "queries": 2},
}
LABELS = np.arange(ROWS) % CLASSES


@pytest.fixture(scope="module")
def numbers() -> tuple[pa.Table, Schema]:
    x = np.random.default_rng(0).normal(size=(ROWS, 4)) + LABELS[:, None]
    table = pa.table({**{f"x{i}": x[:, i] for i in range(4)}, "y": [f"c{c}" for c in LABELS]})
    features = tuple(f"x{i}" for i in range(4))
    columns = (*(Column(name, ColumnKind.NUMBER) for name in features), Column("y", ColumnKind.CATEGORY))
    return table, Schema(columns, features, target="y")


def flat(tensors: tuple[torch.Tensor, ...], network: TableEncoder) -> torch.Tensor:
    """One point for every row, with a graph so that the optimiser has something to do."""
    point = torch.zeros(len(tensors[0]), 8)
    point[:, 0] = 1
    return point + 0 * sum(p.sum() for p in network.parameters())


@pytest.mark.parametrize("objective", OBJECTIVES.built_in)
def test_under_every_objective(objective: str, numbers, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(TableEncoder, "forward", lambda self, *tensors: flat(tensors, self))
    table, schema = numbers
    profile = profile_of(table, schema, PARTS["train"], Options("train.encoder_options", {}))
    recipe = TrainSettings(objective=objective, dimension=8, epochs=4, objective_options=NEEDED.get(objective, {}))
    torch.manual_seed(0)
    network = build(profile, recipe, CLASSES)
    aims = torch.nn.functional.normalize(torch.randn(ROWS, 8), dim=1)
    whole = Part(tensors_of(profile, table), torch.from_numpy(LABELS), torch.ones(ROWS), aims)
    options = Options("train.objective_options", NEEDED.get(objective, {}))
    found = OBJECTIVES[objective](options, Problem(profile, 8, CLASSES, 8))
    with pytest.raises(
        BackstayError, match=f"the encoder has collapsed under the objective '{objective}': after epoch 2"
    ):
        run_epochs(
            network,
            found,
            whole.take(torch.arange(200)),
            whole.take(torch.arange(200, ROWS)),
            recipe,
            saved=tmp_path / "run.npz",
            progress=NoProgress(),
        )


@pytest.mark.parametrize(
    ("objective", "options"),
    [
        ("contrastive", {"margin": 0.001}),  # nothing pushes apart
        ("triplet", {"margin": 0.001, "mining": "hard"}),
        ("triplet", {"margin": 2.0, "mining": "hard"}),  # asks for more than there is, and every row goes to the middle
        ("vicreg", {"variance": 0.0}),  # nothing keeps a feature in use
        ("vicreg", {"variance": 0.0, "covariance": 0.0, "invariance": 100.0}),
        ("variational", {"beta": 1000.0}),  # the prior alone counts
    ],
)
def test_by_settings_that_lead_there(objective: str, options: dict[str, Any], numbers, tmp_path: Path) -> None:
    table, schema = numbers
    recipe = TrainSettings(
        objective=objective,
        objective_options=options,
        dimension=8,
        batch_size=32,
        epochs=12,
        patience=12,
        learning_rate=5e-3,
    )
    with pytest.raises(
        BackstayError, match=f"collapsed under the objective '{objective}'.*put train.objective_options"
    ):
        fit(table, schema, PARTS, recipe, classes=("c0", "c1", "c2"), workdir=tmp_path)
    assert not (tmp_path / "bundles").exists()


def test_one_that_falls_in_its_last_epoch_is_not_kept_either(numbers, tmp_path: Path, monkeypatch) -> None:
    """Two epochs in a row condemn a run; where the weights that would be kept are a point, one is enough."""
    table, schema = numbers
    real, seen = TableEncoder.forward, []

    def falls(self: TableEncoder, *tensors: torch.Tensor) -> torch.Tensor:
        if self.training:
            seen.append(len(tensors[0]))
        return flat(tensors, self) if sum(seen) > 400 else real(self, *tensors)

    monkeypatch.setattr(TableEncoder, "forward", falls)
    monkeypatch.setattr("backstay.train.held_out.behind", lambda _: 1.0)  # so the last is kept
    recipe = TrainSettings(dimension=8, batch_size=50, epochs=3)
    with pytest.raises(BackstayError, match="collapsed under the objective 'cross_entropy': after epoch 3"):
        fit(table, schema, PARTS, recipe, classes=("c0", "c1", "c2"), workdir=tmp_path)
    assert not (tmp_path / "bundles").exists()


@pytest.fixture
def told(numbers, tmp_path: Path) -> Any:
    """A run towards numbers or sets of labels on these rows, which leaves no bundle."""

    def run(task: str) -> None:
        table, schema = numbers
        sets = texts_of(np.eye(CLASSES, dtype=bool)[LABELS], ("a", "b", "c"))
        target = (LABELS * 1.5 if task == "regression" else sets).tolist()
        table = table.set_column(table.column_names.index("y"), "y", pa.array(target))
        recipe = Settings.model_validate({"task": task, "train": {"dimension": 8, "epochs": 6, "batch_size": 50}}).train
        named = {"classes": ("a", "b", "c")} if task == "multilabel" else {}
        learn = {"regression": value_loop.fit, "multilabel": set_loop.fit}[task]
        try:
            learn(table, schema, PARTS, recipe, workdir=tmp_path, **named)
        finally:
            assert not (tmp_path / "bundles").exists()

    return run


@pytest.mark.parametrize(("task", "objective"), [("regression", "huber"), ("multilabel", "binary_cross_entropy")])
def test_towards_numbers_and_sets_as_soon_as_towards_classes(task: str, objective: str, told, monkeypatch) -> None:
    """After the second epoch of six, by the same figures, and in the same words."""
    monkeypatch.setattr(TableEncoder, "forward", lambda self, *tensors: flat(tensors, self))
    with pytest.raises(
        BackstayError,
        match=rf"collapsed under the objective '{objective}': after epoch 2 all rows .* \(feature standard deviation "
        r"0\.0000 of 1, effective rank 0\.0\); lower train\.learning_rate",
    ):
        told(task)


@pytest.mark.parametrize("task", ["regression", "multilabel"])
def test_a_loss_that_is_no_number_stops_them_too(task: str, told, monkeypatch) -> None:
    monkeypatch.setattr(TableEncoder, "forward", lambda self, *tensors: flat(tensors, self) * float("nan"))
    with pytest.raises(BackstayError, match="the loss became nan in epoch 1"):
        told(task)
