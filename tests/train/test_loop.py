"""Rows in, bundle out: quality, parity, determinism, resumption, and what is refused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from backstay.bundle.inputs import arrays_for, table_from
from backstay.bundle.model import load
from backstay.kernel.errors import BackstayError, NotFound
from backstay.kernel.ports import NoProgress
from backstay.settings import TrainSettings
from backstay.train.encoders.mlp import TableEncoder
from backstay.train.loop import fit
from backstay.train.network_run import PARITY
from backstay.train.work import Trained

QUICK = TrainSettings(epochs=3, batch_size=64)
PARTS = {"train": np.arange(400), "tune": np.arange(400, 500)}


def train(sheet, tmp_path: Path, recipe=QUICK, classes=("no", "yes"), parts=PARTS, **more) -> Trained:
    table, schema = sheet
    return fit(table, schema, parts, recipe, classes=classes, workdir=tmp_path, **more)


@pytest.mark.parametrize("objective", ["supcon", "cross_entropy"])
def test_tables_are_learned_and_exported_whole(sheet, tmp_path: Path, objective: str) -> None:
    recipe = TrainSettings(epochs=8, batch_size=64, objective=objective)
    trained = train(sheet, tmp_path, recipe)
    assert trained.parity <= PARITY
    assert not list(tmp_path.glob("*.npz"))
    model = load(trained.bundle_directory, expected_id=trained.model_id)
    held_out = sheet[0].slice(500)
    outputs = model.predict(held_out)
    assert np.mean(outputs.labels == np.array(held_out["y"].to_pylist())) > 0.8
    assert outputs.scores is not None
    assert outputs.embeddings is not None
    np.testing.assert_allclose(outputs.scores.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(outputs.embeddings, axis=1), 1, atol=1e-5)
    assert [(o.name, o.role) for o in model.manifest.outputs] == [
        ("label", "label"),
        ("scores", "scores"),
        ("embedding", "embedding"),
    ]
    odd = pa.table(
        {
            "a": [None, float("inf"), 0.0],
            "embedding": pa.array([None, 1.0, -1e300]),
            "label": [None, "never seen", "ü"],
            "d": [None, True, False],
        }
    )
    answers = model.predict(odd)
    assert answers.scores is not None
    assert np.isfinite(answers.scores).all()
    back = table_from(model.manifest, arrays_for(model.manifest, held_out))
    assert back.column("a").to_pylist() == held_out.column("a").to_pylist()
    assert b"/train/" not in (trained.bundle_directory / "model.onnx").read_bytes()


@pytest.mark.parametrize(("name", "task"), [("huber", "regression"), ("binary_cross_entropy", "multilabel")])
def test_an_objective_of_another_task_says_which(sheet, tmp_path: Path, name: str, task: str) -> None:
    with pytest.raises(BackstayError, match=f'"{name}" is of targets that are') as refusal:
        train(sheet, tmp_path, TrainSettings(objective=name))
    assert f'task = "{task}"' in refusal.value.fix


def test_scans_are_learned_by_supcon(scans, tmp_path: Path) -> None:
    table, schema = scans
    order = np.random.default_rng(0).permutation(table.num_rows)
    recipe = TrainSettings(objective="supcon", epochs=8)
    trained = fit(
        table,
        schema,
        {"train": order[:1200], "tune": order[1200:1500]},
        recipe,
        classes=tuple("0123456789"),
        workdir=tmp_path,
    )
    held_out = table.take(pa.array(order[1500:]))
    outputs = load(trained.bundle_directory).predict(held_out)
    assert np.mean(outputs.labels == np.array(held_out["y"].to_pylist())) > 0.95
    assert trained.figures["effective_rank"] > 3


SCRIPT = """
import sys
from pathlib import Path
import numpy as np, pyarrow as pa
from backstay.kernel.records import Column, ColumnKind, Schema
from backstay.settings import TrainSettings
from backstay.train import checkpoint
from backstay.train.loop import fit
import os, signal

folder, kill_after = Path(sys.argv[1]), int(sys.argv[2])
written, real = 0, checkpoint.save

def save(*arguments):
    global written
    real(*arguments)
    written += 1
    if written == kill_after:
        os.kill(os.getpid(), signal.SIGKILL)

checkpoint.save = save
rng = np.random.default_rng(3)
x = rng.normal(size=(200, 3))
table = pa.table({**{f"x{i}": x[:, i] for i in range(3)}, "y": np.where(x[:, 0] > 0, "u", "v").tolist()})
columns = (*(Column(f"x{i}", ColumnKind.NUMBER) for i in range(3)), Column("y", ColumnKind.CATEGORY))
schema = Schema(columns, ("x0", "x1", "x2"), target="y")
parts = {"train": np.arange(150), "tune": np.arange(150, 200)}
recipe = TrainSettings(epochs=4, batch_size=32, dimension=8)
print(fit(table, schema, parts, recipe, classes=("u", "v"), workdir=folder).model_id)
"""


def launch(folder: Path, kill_after: int) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONHASHSEED": str(kill_after + 1)}
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder), str(kill_after)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
    )


def test_a_killed_run_resumed_gives_the_same_model_as_another_process(tmp_path: Path) -> None:
    killed = launch(tmp_path / "killed", 2)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(list((tmp_path / "killed").glob("*.npz"))) == 1
    resumed, whole = launch(tmp_path / "killed", 0), launch(tmp_path / "whole", 0)
    assert resumed.stdout.strip().startswith("model-"), resumed.stderr
    assert resumed.stdout == whole.stdout


def test_a_damaged_checkpoint_starts_afresh_and_another_seed_is_another_model(sheet, tmp_path: Path) -> None:
    first = train(sheet, tmp_path / "a", QUICK)

    class Vandal(NoProgress):
        def step(self, name, total=None):
            for path in (tmp_path / "b").glob("*.npz"):
                path.write_bytes(b"PK\x03\x04 torn")
            return super().step(name, total)

    assert train(sheet, tmp_path / "b", QUICK, progress=Vandal()).model_id == first.model_id
    assert train(sheet, tmp_path / "c", QUICK.model_copy(update={"seed": 1})).model_id != first.model_id


def test_a_collapsed_run_is_stopped_and_named(sheet, tmp_path: Path, monkeypatch) -> None:
    def point(self, *tensors):
        flat = torch.zeros(len(tensors[0]), 64)
        flat[:, 0] = 1
        return flat + 0 * self.body[-1].bias

    monkeypatch.setattr(TableEncoder, "forward", point)
    with pytest.raises(BackstayError, match="the encoder has collapsed"):
        train(sheet, tmp_path)
    assert not (tmp_path / "bundles").exists()


def test_an_export_that_answers_otherwise_is_refused(sheet, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("backstay.train.network_run.PARITY", -1.0)
    with pytest.raises(BackstayError, match="differs from the trained one"):
        train(sheet, tmp_path)
    assert not (tmp_path / "bundles").exists()


def test_weights_change_what_is_learned(sheet, tmp_path: Path) -> None:
    table, _ = sheet
    yes = np.array(table["y"].to_pylist()) == "yes"
    lean = train(sheet, tmp_path, sample_weight=np.where(yes, 1.0, 0.01))
    even = train(sheet, tmp_path)
    assert lean.model_id != even.model_id
    for bad in (np.full(600, np.nan), np.full(600, -1.0), np.ones(3)):
        with pytest.raises(BackstayError, match="sample weights"):
            train(sheet, tmp_path, sample_weight=bad)
    with pytest.raises(BackstayError, match="weights of the train part are 0"):
        train(sheet, tmp_path, sample_weight=np.zeros(600))


def test_too_little_to_learn_from(sheet, tmp_path: Path) -> None:
    table, schema = sheet
    with pytest.raises(BackstayError, match="1 class "):
        train(sheet, tmp_path, classes=("yes",))
    with pytest.raises(BackstayError, match="1 labelled rows of 1 class"):
        train(sheet, tmp_path, parts={**PARTS, "train": np.array([0])})
    with pytest.raises(BackstayError, match="0 labelled rows of 0 classes"):
        train(sheet, tmp_path, classes=("maybe", "never"))
    with pytest.raises(BackstayError, match="tune part has 0"):
        train(sheet, tmp_path, parts={**PARTS, "tune": np.array([], dtype=np.int64)})
    with pytest.raises(BackstayError, match="no target column"):
        fit(table.drop_columns(["y"]), schema, PARTS, QUICK, classes=("no", "yes"), workdir=tmp_path)
    with pytest.raises(NotFound, match="no encoder named 'convv'"):
        train(sheet, tmp_path, QUICK.model_copy(update={"encoder": "convv"}))


def test_rows_that_are_all_alone_in_their_class_are_refused_where_pairs_are_needed(sheet, tmp_path: Path) -> None:
    """Such a run stands at loss 0 from its first step on, and would release the encoder as it was drawn."""
    parts = {**PARTS, "train": np.array([0, 1])}
    table, schema = sheet
    alone = table.set_column(4, "y", pa.array(["no", "yes", *table["y"].to_pylist()[2:]]))
    recipe = QUICK.model_copy(update={"objective": "supcon"})
    with pytest.raises(BackstayError, match="no positive pair in the training rows: each of the 2 labelled ones"):
        train((alone, schema), tmp_path, recipe, parts=parts)
    weights = np.ones(600)
    pair = np.concatenate([[0, 1], [i for i in range(2, 400) if table["y"][i].as_py() == "no"][:1]])
    weights[[0, pair[-1]]] = 0.0
    with pytest.raises(BackstayError, match="or has weight 0"):
        train((alone, schema), tmp_path, recipe, parts={**PARTS, "train": pair}, sample_weight=weights)
    assert train((alone, schema), tmp_path, recipe, parts={**PARTS, "train": pair}).figures["train_rows"] == 3


def test_a_loss_that_is_not_a_number_stops_the_run(sheet, tmp_path: Path, monkeypatch) -> None:
    real = TableEncoder.forward
    monkeypatch.setattr(TableEncoder, "forward", lambda self, *tensors: real(self, *tensors) * float("nan"))
    with pytest.raises(BackstayError, match=r"the loss became nan in epoch 1; lower train\.learning_rate"):
        train(sheet, tmp_path)


def test_the_process_keeps_its_own_torch_settings(sheet, tmp_path: Path) -> None:
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    train(sheet, tmp_path)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()
