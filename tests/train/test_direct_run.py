"""Runs towards numbers and sets of labels that are stopped at any epoch end at the very bundle of one that was not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import Tensor

from backstay.bundle.sets import texts_of
from backstay.data.schema import conform, infer_schema
from backstay.kernel.ports import NoProgress
from backstay.kernel.records import Schema
from backstay.settings import Settings, TrainSettings
from backstay.train import checkpoint, set_loop, value_loop
from backstay.train.direct_epochs import Aimed, direct_epochs
from backstay.train.examples import profile_of
from backstay.train.network_run import run_key, torch_settings
from backstay.train.value_network import build_value, loss_of
from backstay.train.work import Trained, Work

LABELS = ("p", "q")
EPOCHS = 3
PARTS = {"train": np.arange(90), "tune": np.arange(90, 120)}
TASKS = {"regression": value_loop.fit, "multilabel": set_loop.fit}


def rows(task: str) -> tuple[pa.Table, Schema]:
    x = np.random.default_rng(5).normal(size=(120, 2))
    target = 9 + 4 * x[:, 0] if task == "regression" else texts_of(x > 0, LABELS).tolist()
    table = pa.table({"a": x[:, 0], "b": x[:, 1], "y": target})
    schema = infer_schema(table, target="y", task=task)
    return conform(table, schema), schema


def recipe_of(task: str, **changes: Any) -> TrainSettings:
    usual = {"dimension": 4, "epochs": EPOCHS, "patience": EPOCHS, "batch_size": 30, **changes}
    return Settings.model_validate({"task": task, "train": usual}).train


def train(task: str, folder: Path) -> Trained:
    table, schema = rows(task)
    named = {"classes": LABELS} if task == "multilabel" else {}
    return TASKS[task](table, schema, PARTS, recipe_of(task), workdir=folder, **named)


class Stopped(Exception):
    """What a killed process would not even raise."""


@dataclass
class Saves:
    """How many epochs have been saved, and after how many the run is stopped."""

    done: int = 0
    stop: int = 0

    def until(self, epochs: int) -> None:
        self.done, self.stop = 0, epochs


@pytest.fixture
def saves(monkeypatch: pytest.MonkeyPatch) -> Saves:
    real, found = checkpoint.save, Saves()

    def save(*given: Any) -> None:
        real(*given)
        found.done += 1
        if found.done == found.stop:
            raise Stopped

    monkeypatch.setattr(checkpoint, "save", save)
    return found


@pytest.mark.parametrize("task", TASKS)
def test_a_run_that_was_stopped_goes_on_and_ends_at_the_same_bundle(task: str, tmp_path: Path, saves: Saves) -> None:
    whole = train(task, tmp_path / "whole")
    saves.until(2)
    with pytest.raises(Stopped):
        train(task, tmp_path / "broken")
    assert len(list((tmp_path / "broken").glob("run-*.npz"))) == 1
    saves.until(0)
    resumed = train(task, tmp_path / "broken")
    assert saves.done == EPOCHS - 2
    assert (resumed.model_id, resumed.figures) == (whole.model_id, whole.figures)
    assert not list(tmp_path.glob("*/*.npz"))


def epochs(saved: Path, **changes: Any) -> tuple[list[dict[str, float]], list[Tensor]]:
    """The epochs alone, towards numbers: their figures, and the weights that stay."""
    table, schema = rows("regression")
    recipe = recipe_of("regression", **changes)
    with torch_settings(recipe):
        profile = profile_of(table, schema, PARTS["train"])
        network = build_value(profile, recipe)
        truth = torch.from_numpy(table.column("y").to_numpy().astype(np.float32))[:, None] - 9
        weights = np.ones(table.num_rows, np.float32)
        train, tune = (Aimed.of(profile, table, truth, weights, PARTS[name]) for name in ("train", "tune"))
        found = direct_epochs(network, loss_of(recipe), train, tune, recipe, saved=saved, progress=NoProgress())
    return found, [v for _, v in sorted(network.state_dict().items())]


def stopped(saves: Saves, after: int, saved: Path, **changes: Any) -> None:
    saves.until(after)
    with pytest.raises(Stopped):
        epochs(saved, **changes)
    saves.until(0)


@pytest.mark.parametrize("after", range(1, EPOCHS + 1))
def test_they_go_on_from_wherever_they_were_stopped(after: int, tmp_path: Path, saves: Saves) -> None:
    whole = epochs(tmp_path / "whole.npz")
    stopped(saves, after, tmp_path / "broken.npz")
    again = epochs(tmp_path / "broken.npz")
    assert saves.done == EPOCHS - after
    assert again[0] == whole[0]
    assert all(torch.equal(a, b) for a, b in zip(again[1], whole[1], strict=True))


def test_they_do_not_go_on_where_they_would_have_ended(tmp_path: Path, saves: Saves) -> None:
    wild = {"learning_rate": 0.3, "epochs": 60, "patience": 1}
    whole = epochs(tmp_path / "whole.npz", **wild)
    last = saves.done
    assert last == len(whole[0]) < 60
    stopped(saves, last, tmp_path / "broken.npz", **wild)
    again = epochs(tmp_path / "broken.npz", **wild)
    assert saves.done == 0
    assert again[0] == whole[0]
    assert all(torch.equal(a, b) for a, b in zip(again[1], whole[1], strict=True))


def test_what_is_not_brought_back_shows(tmp_path: Path, saves: Saves, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mutant: weights without the optimiser's moments."""
    whole = epochs(tmp_path / "whole.npz")
    stopped(saves, 2, tmp_path / "broken.npz")
    monkeypatch.setattr(torch.optim.AdamW, "load_state_dict", lambda *_: None)
    assert epochs(tmp_path / "broken.npz")[0] != whole[0]


def test_a_damaged_checkpoint_begins_afresh(tmp_path: Path, saves: Saves) -> None:
    whole = epochs(tmp_path / "whole.npz")
    stopped(saves, 2, tmp_path / "broken.npz")
    saved = (tmp_path / "broken.npz").read_bytes()
    (tmp_path / "broken.npz").write_bytes(saved[:-100])
    assert epochs(tmp_path / "broken.npz")[0] == whole[0]
    assert saves.done == EPOCHS


def test_only_the_same_run_is_gone_on_with(tmp_path: Path) -> None:
    """Another seed, other rows, another task, other labels: each has a name of its own."""
    table, schema = rows("regression")
    profile = profile_of(table, schema, PARTS["train"])
    recipe = recipe_of("regression")
    work = Work(table, schema, PARTS, recipe, workdir=tmp_path, classes=LABELS)
    tensor = torch.arange(6.0)
    names = {
        run_key(work, profile, (tensor,), task="regression"),
        run_key(work, profile, (tensor,), task="multilabel"),
        run_key(work, profile, (tensor.reshape(2, 3),), task="regression"),
        run_key(work, profile, (tensor + 1,), task="regression"),
        run_key(replace(work, recipe=recipe.model_copy(update={"seed": 1})), profile, (tensor,), task="regression"),
        run_key(replace(work, classes=("p",)), profile, (tensor,), task="regression"),
        run_key(work, replace(profile, means=(1.0, 2.0)), (tensor,), task="regression"),
    }
    assert len(names) == 7
    there = replace(work, root=Path("elsewhere"), workdir=tmp_path / "elsewhere")
    assert run_key(there, replace(profile, source="elsewhere"), (tensor,), task="regression") in names
