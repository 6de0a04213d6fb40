"""The anomaly head: ranks are counted as a loop counts them, its level holds, the graph answers alike, kinds that it
never met are found, and it says no where it must."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch

from backstay.bundle.model import load
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Column, ColumnKind, Schema
from backstay.settings import TrainSettings
from backstay.train.decoders import table_losses
from backstay.train.heads.anomaly import AnomalyHead, build
from backstay.train.loop import fit
from backstay.train.options import Options
from backstay.train.rebuild import rebuild_of

CLASSES = ("fault", "good")
PARTS = {"train": np.arange(600), "tune": np.arange(600, 900)}


def head(**options: object) -> AnomalyHead:
    return build(4, 2, Options("train.head_options", options))


def unit(n: int, seed: int) -> torch.Tensor:
    rows = torch.randn(n, 4, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(rows, dim=1)


def test_ranks_are_what_a_loop_counts():
    rows, tune, asked = unit(40, 0), unit(19, 1), unit(12, 2)
    made = head(k=3, normal="good")
    made.named(CLASSES)
    labels = torch.tensor([1] * 30 + [0] * 10)
    made.fit(rows, labels, torch.ones(40))
    of_tune = torch.tensor([1] * 19)
    made.calibrate(made(tune), of_tune)

    def strange(row: torch.Tensor) -> float:
        near = sorted(1.0 - float(row.double() @ known.double()) for known in rows[:30])[:3]
        return sum(near) / 3

    held_out = [strange(row) for row in tune]
    for row, scores in zip(asked, made.scores(made(asked)), strict=True):
        p = (1 + sum(d >= strange(row) for d in held_out)) / 20
        assert float(scores[1]) == pytest.approx(p, abs=1e-6)
        assert float(scores[0]) == pytest.approx(1 - p, abs=1e-6)
        assert CLASSES[int(made.chosen(scores[None])[0])] == ("fault" if p <= 0.05 + 1e-9 else "good")


def test_of_normal_rows_no_more_than_the_level_are_called_anomalous():
    shares = []
    for seed in range(60):
        made = head(level=0.1, k=2)
        made.fit(unit(50, 3 * seed), torch.zeros(50, dtype=torch.int64), torch.ones(50))
        made.calibrate(made(unit(39, 3 * seed + 1)), torch.zeros(39, dtype=torch.int64))
        scores = made.scores(made(unit(200, 3 * seed + 2)))
        shares.append(float((made.chosen(scores) == 1).double().mean()))
    error = np.std(shares) / np.sqrt(len(shares))
    assert abs(np.mean(shares) - 0.1) < 4 * error
    # One held-out row less among those that ranks are counted with would break the promise.
    assert error < 0.01


def test_rows_that_are_not_normal_or_weigh_nothing_are_not_kept():
    made = head(k=1)
    made.fit(unit(10, 0), torch.tensor([0, 0, 0, 0, 0, 0, 0, 1, 1, 1]), torch.tensor([1.0] * 5 + [0.0] * 2 + [1.0] * 3))
    assert made.normal == 0
    assert torch.equal(made.gallery.data, unit(10, 0)[:5])
    few = head(k=1, gallery=3)
    few.fit(unit(10, 0), torch.zeros(10, dtype=torch.int64), torch.ones(10))
    assert torch.equal(few.gallery.data, unit(10, 0)[[0, 4, 9]])


def parts_of(n: int, seed: int, *, kinds: int) -> pa.Table:
    """Good parts lie near a plane in five numbers; a fault of kind j leaves it along axis j. One in ten is a fault."""
    rng = np.random.default_rng(seed)
    plane = rng.normal(size=(n, 2)) @ np.array([[1.0, 0.5, -0.5, 1.0, 0.0], [0.0, 1.0, 1.0, -0.5, 0.5]])
    x = plane + 0.1 * rng.normal(size=(n, 5))
    fault = rng.random(n) < 0.1
    kind = rng.integers(kinds, size=n)
    x[np.flatnonzero(fault), kind[fault]] += 3.0
    columns = {f"x{i}": x[:, i] for i in range(5)}
    return pa.table({**columns, "state": np.where(fault, "fault", "good").tolist()})


SCHEMA = Schema(
    columns=(*(Column(f"x{i}", ColumnKind.NUMBER) for i in range(5)), Column("state", ColumnKind.CATEGORY)),
    features=tuple(f"x{i}" for i in range(5)),
    target="state",
)


@pytest.mark.parametrize(
    ("by", "objective", "least"),
    [
        ("neighbours", "denoising", 0.65),
        pytest.param("reconstruction", "variational", 0.8, marks=pytest.mark.slow),
    ],
)
def test_faults_of_a_kind_never_met_are_found(tmp_path, by, objective, least):
    table = parts_of(900, 0, kinds=1)
    recipe = TrainSettings(
        head="anomaly",
        objective=objective,
        epochs=12,
        patience=12,
        dimension=8,
        batch_size=64,
        learning_rate=0.01,
        head_options={"by": by, "normal": "good"},
    )
    trained = fit(table, SCHEMA, PARTS, recipe, classes=CLASSES, workdir=tmp_path)
    assert trained.parity < 1e-4
    model = load(trained.bundle_directory)
    asked = parts_of(1500, 1, kinds=5)
    outputs = model.predict(asked)
    fault = np.array([s == "fault" for s in asked.column("state").to_pylist()])
    strange = outputs.scores[:, 0]
    auc = np.mean([(strange[fault] > s).mean() + (strange[fault] == s).mean() / 2 for s in strange[~fault]])
    assert auc > least
    called = outputs.labels == "fault"
    assert 0.01 < called[~fault].mean() < 0.12
    assert np.array_equal(called, outputs.scores[:, 1] <= 0.05 + 1e-6)


def test_rebuilt_categories_are_exported(tmp_path):
    table = parts_of(900, 0, kinds=1)
    shifts = np.random.default_rng(2).choice(["early", "late", "night"], 900).tolist()
    shift = Column("shift", ColumnKind.CATEGORY)
    schema = Schema(columns=(*SCHEMA.columns, shift), features=(*SCHEMA.features, "shift"), target="state")
    recipe = TrainSettings(
        head="anomaly",
        objective="denoising",
        epochs=2,
        dimension=8,
        head_options={"by": "reconstruction", "normal": "good"},
    )
    mixed = table.append_column("shift", pa.array(shifts))
    trained = fit(mixed, schema, PARTS, recipe, classes=CLASSES, workdir=tmp_path)
    assert trained.parity < 1e-4


def test_losses_of_categories_are_cross_entropies():
    numbers, codes = torch.randn(5, 2), torch.tensor([[0, 3], [1, 0], [2, 1], [0, 2], [1, 1]])
    told = (torch.randn(5, 2), torch.randn(5, 3), torch.randn(5, 4))
    losses, there = table_losses(told, (numbers, codes), 2, 2)
    for place in (0, 1):
        wanted = torch.nn.functional.cross_entropy(told[1 + place], codes[:, place], reduction="none")
        torch.testing.assert_close(losses[:, 2 + place], wanted)
    assert bool(there.all())


def test_what_it_cannot_do_is_refused(tmp_path):
    table = parts_of(900, 0, kinds=1)

    def run(**changes: object) -> None:
        recipe = TrainSettings(**{"head": "anomaly", "objective": "denoising", "epochs": 1, "dimension": 8, **changes})
        fit(table, SCHEMA, PARTS, recipe, classes=CLASSES, workdir=tmp_path)

    with pytest.raises(BackstayError, match="is made of examples"):
        run(objective="cross_entropy")
    with pytest.raises(BackstayError, match="'nt_xent' does not learn to"):
        run(objective="nt_xent", head_options={"by": "reconstruction"})
    with pytest.raises(BackstayError, match="normal is 'god'"):
        run(head_options={"normal": "god"})
    with pytest.raises(BackstayError, match=r"0\.001 cannot be kept with 2\d\d normal rows"):
        run(head_options={"level": 0.001})
    with pytest.raises(BackstayError, match="encoder that stays as it is no decoder is trained"):
        rebuild_of(object(), "denoising", "train.enhance", frozen=True)
    with pytest.raises(BackstayError, match="there are 3"):
        build(4, 3, Options("train.head_options", {}))
