"""What every objective keeps with every encoder: finite losses, gradients, repeatability, odd batches, resumption."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import Tensor

from backstay.kernel.errors import BackstayError
from backstay.kernel.ports import NoProgress
from backstay.kernel.records import Column, ColumnKind, Schema
from backstay.settings import TrainSettings
from backstay.train.encoders import ENCODERS
from backstay.train.epochs import run_epochs
from backstay.train.examples import Profile, profile_of, tensors_of
from backstay.train.loop import fit
from backstay.train.network import Network, build
from backstay.train.objectives import OBJECTIVES
from backstay.train.objectives.contract import Batch, Objective, Problem
from backstay.train.options import Options
from backstay.train.part import Part

ROWS, CLASSES, DIMENSION = 48, 3, 8
# What an encoder of the shelf reads. A new one must be named here, or the suite does not pass.
# A pre-trained one needs a folder: test_pretrained.py makes it and steps with every objective.
READS = {"conv": "image", "mlp": "table", "ft_transformer": "table", "text": "text", "bag": "text", "vectors": "vector"}
OPTIONS: dict[str, dict[str, Any]] = {
    "metric": {"loss": "ProxyAnchorLoss"},
    "prototypical": {"ways": 3, "shots": 2, "queries": 2},
}
PAIRS = [(o, e) for o in OBJECTIVES.built_in for e in READS]


@cache
def rows(kind: str) -> tuple[pa.Table, Schema]:
    """A few rows of three classes that can be told apart."""
    rng = np.random.default_rng(0)
    y = np.arange(ROWS) % CLASSES
    target = Column("y", ColumnKind.CATEGORY)
    if kind == "image":
        pixels = (rng.integers(0, 60, (ROWS, 6, 6, 1)) + 60 * y[:, None, None, None]).astype(np.uint8)
        storage = pa.FixedSizeListArray.from_arrays(pa.array(pixels.reshape(-1)), 36)
        column = pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(pa.uint8(), (6, 6, 1)), storage)
        return pa.table({"x": column}), Schema((Column("x", ColumnKind.IMAGE, shape=(6, 6, 1)), target), ("x",), "y")
    if kind == "text":
        words = ["red apple pie", "blue ocean wave", "green forest path"]
        said = [f"{words[c]} number {i % 7}" for i, c in enumerate(y)]
        return pa.table({"x": said}), Schema((Column("x", ColumnKind.TEXT), target), ("x",), "y")
    numbers = rng.normal(size=(ROWS, 4)) + y[:, None]
    if kind == "vector":
        wide = pa.FixedSizeListArray.from_arrays(pa.array(numbers.astype(np.float32).reshape(-1)), 4)
        return pa.table({"x": wide}), Schema((Column("x", ColumnKind.VECTOR, shape=(4,)), target), ("x",), "y")
    numbers[::5, 1] = np.nan
    table = pa.table(
        {"a": numbers[:, 0], "b": pa.array(numbers[:, 1], from_pandas=True), "c": [f"k{v % 2}" for v in y]}
    )
    columns = (
        Column("a", ColumnKind.NUMBER),
        Column("b", ColumnKind.NUMBER),
        Column("c", ColumnKind.CATEGORY),
        target,
    )
    return table, Schema(columns, ("a", "b", "c"), "y")


@cache
def prepared(kind: str) -> tuple[Profile, tuple[Tensor, ...]]:
    table, schema = rows(kind)
    profile = profile_of(table, schema, np.arange(ROWS), Options("train.encoder_options", {}))
    return profile, tensors_of(profile, table)


LABELS = torch.arange(ROWS) % CLASSES
AIMS = torch.nn.functional.normalize(torch.randn(ROWS, DIMENSION, generator=torch.Generator().manual_seed(3)), dim=1)


def recipe_of(objective: str, encoder: str, **more: Any) -> TrainSettings:
    return TrainSettings(
        objective=objective,
        encoder=encoder,
        dimension=DIMENSION,
        batch_size=16,
        objective_options=OPTIONS.get(objective, {}),
        **more,
    )


def made(objective: str, encoder: str) -> tuple[Network, Objective, tuple[Tensor, ...]]:
    """A fresh pair by the seed 0; skipped where the objective says that it is not for such rows."""
    profile, tensors = prepared(READS[encoder])
    torch.manual_seed(0)
    network = build(profile, recipe_of(objective, encoder), CLASSES)
    try:
        options = Options("train.objective_options", OPTIONS.get(objective, {}))
        found = OBJECTIVES[objective](options, Problem(profile, DIMENSION, CLASSES, DIMENSION))
    except BackstayError as refusal:
        pytest.skip(f"{objective} is not for {READS[encoder]} rows: {refusal}")
    return network.train(), found.train(), tensors


def batch_of(tensors: tuple[Tensor, ...], chosen: Tensor, labels: Tensor | None = None, cached: int = 0) -> Batch:
    found = LABELS[chosen] if labels is None else labels
    generator = torch.Generator().manual_seed(1)
    return Batch(
        tuple(t[chosen] for t in tensors), found, torch.ones(len(chosen)), generator, 1.0, cached, aims=AIMS[chosen]
    )


def gradients(network: Network, objective: Objective, batch: Batch) -> tuple[float, list[Tensor]]:
    torch.manual_seed(2)
    loss = objective.loss(network, batch)
    assert loss.dim() == 0
    network.zero_grad()
    objective.zero_grad()
    loss.backward()
    found = [p.grad for p in network.encoder.parameters()]
    return float(loss.detach()), [g.clone() for g in found if g is not None]


@pytest.mark.parametrize(("objective", "encoder"), PAIRS)
def test_a_step_is_finite_reaches_the_encoder_and_can_be_repeated(objective: str, encoder: str) -> None:
    network, own, tensors = made(objective, encoder)
    loss, found = gradients(network, own, batch_of(tensors, torch.arange(12)))
    assert np.isfinite(loss)
    assert found
    assert all(torch.isfinite(g).all() for g in found)
    assert sum(float(g.abs().sum()) for g in found) > 0
    network, own, _ = made(objective, encoder)
    again, same = gradients(network, own, batch_of(tensors, torch.arange(12)))
    assert again == loss
    assert all(torch.equal(one, two) for one, two in zip(found, same, strict=True))


@pytest.mark.parametrize(("objective", "encoder"), PAIRS)
def test_odd_batches_do_not_break_it(objective: str, encoder: str) -> None:
    network, found, tensors = made(objective, encoder)
    one_class = torch.nonzero(LABELS == 1)[:6, 0]
    for chosen, labels in ((one_class, None), (torch.tensor([4]), None), (torch.arange(5), torch.full((5,), -1))):
        if labels is not None and found.needs_labels:
            continue
        loss, slopes = gradients(network, found, batch_of(tensors, chosen, labels))
        assert np.isfinite(loss)
        assert all(torch.isfinite(g).all() for g in slopes)


@pytest.mark.parametrize("objective", OBJECTIVES.built_in)
def test_rows_without_weight_do_not_count(objective: str) -> None:
    network, found, tensors = made(objective, "mlp")
    generator = torch.Generator().manual_seed(1)
    loss = found.loss(network, Batch(tensors, LABELS, torch.zeros(ROWS), generator, aims=AIMS))
    assert np.isfinite(float(loss.detach()))


def parts(encoder: str) -> tuple[Part, Part]:
    _, tensors = prepared(READS[encoder])
    whole = Part(tensors, LABELS, torch.ones(ROWS), AIMS)
    return whole.take(torch.arange(36)), whole.take(torch.arange(36, ROWS))


@pytest.mark.parametrize("objective", OBJECTIVES.built_in)
def test_an_encoder_that_answers_nan_is_refused(objective: str, tmp_path, monkeypatch) -> None:
    network, found, _ = made(objective, "mlp")
    real = network.encoder.forward
    monkeypatch.setattr(network.encoder, "forward", lambda *tensors: real(*tensors) * float("nan"))
    with pytest.raises(BackstayError, match="became nan"):
        run_epochs(
            network,
            found,
            *parts("mlp"),
            recipe_of(objective, "mlp", epochs=1),
            saved=tmp_path / "run.npz",
            progress=NoProgress(),
        )


class Killed(Exception):
    """The power fails."""


class Fails(NoProgress):
    """Fails while the second epoch of training is being told of."""

    def step(self, name: str, total: int | None = None) -> Any:
        class Step:
            told = 0

            def __enter__(self) -> Any:
                return self

            def __exit__(self, *_: object) -> None:
                return None

            def __call__(self, amount: int = 1, note: str = "") -> None:
                self.told += amount
                if self.told == 2:
                    raise Killed

        return Step()


@pytest.mark.parametrize("objective", OBJECTIVES.built_in)
def test_interrupted_and_resumed_is_the_same_network(objective: str, tmp_path) -> None:
    recipe = recipe_of(objective, "mlp", epochs=4, patience=4)
    ends = []
    for name, progress in (("whole", NoProgress()), ("broken", Fails()), ("broken", NoProgress())):
        network, found, _ = made(objective, "mlp")
        torch.manual_seed(len(ends))  # what the process drew before must not matter
        try:
            history = run_epochs(
                network, found, *parts("mlp"), recipe, saved=tmp_path / f"{name}.npz", progress=progress
            )
        except Killed:
            continue
        ends.append((history, network.state_dict(), found.state_dict()))
    (whole, weights, own), (resumed, same, own_too) = ends
    assert whole == resumed
    assert len(whole) == 4
    assert all(torch.equal(weights[k], same[k]) for k in weights)
    assert all(torch.equal(own[k], own_too[k]) for k in own)


def test_every_encoder_of_the_shelf_is_in_the_suite() -> None:
    assert set(ENCODERS.built_in) <= {*READS, "pretrained"}


@pytest.mark.slow
@pytest.mark.parametrize("objective", [o for o in OBJECTIVES.built_in if o != "distil"])  # which test_distil.py does
def test_interrupted_and_resumed_is_the_same_bundle(objective: str, tmp_path) -> None:
    table, schema = rows("table")
    table = table.append_column("y", pa.array([f"c{c}" for c in LABELS.tolist()]))
    recipe = recipe_of(objective, "mlp", epochs=4)
    found = []
    for name, progress in (("whole", NoProgress()), ("broken", Fails()), ("broken", NoProgress())):
        try:
            trained = fit(
                table,
                schema,
                {"train": np.arange(36), "tune": np.arange(36, ROWS)},
                recipe,
                classes=("c0", "c1", "c2"),
                workdir=tmp_path / name,
                progress=progress,
            )
        except Killed:
            assert list((tmp_path / name).glob("*.npz"))
            continue
        found.append(trained.model_id)
    assert len(found) == 2
    assert found[0] == found[1]
