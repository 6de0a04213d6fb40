"""Training on a GPU, as far as it can be seen without one: what lies where, what is asked for, and what comes back."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.train.fake_gpu import CPU, GPU, Drawn, Elsewhere, FakeGPU
from tests.train.shelves import (
    CLASSES,
    LABELS,
    NAMES,
    QUICK,
    SPLIT,
    made,
    parts,
    prepared,
    with_target,
)
from tests.train.shelves import recipe_of as contract_recipe

from backstay.kernel.errors import BackstayError
from backstay.kernel.ports import NoProgress
from backstay.settings import Settings
from backstay.train import checkpoint, course, epochs, set_loop, value_loop
from backstay.train.direct_epochs import Aimed, direct_epochs
from backstay.train.epochs import run_epochs
from backstay.train.loop import fit
from backstay.train.network import Network
from backstay.train.objectives.contract import Objective
from backstay.train.pairs import JudgedPairs
from backstay.train.set_network import build_sets
from backstay.train.set_network import loss_of as loss_of_sets
from backstay.train.value_network import build_value, loss_of

Figures = list[dict[str, float]]
WHOLE = ("bigan", "variational", "denoising", "masked")
"""What rebuilds rows does without half precision."""


class Room:
    """A machine with such a GPU, where a recipe asks for one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gpu = FakeGPU()
        self.halves: list[str] = []
        real = torch.autocast

        def autocast(device_type: str, dtype: torch.dtype) -> Any:
            assert dtype == torch.bfloat16
            self.halves.append(device_type)
            return nullcontext() if device_type == "cuda" else real("cpu", dtype=dtype)

        monkeypatch.setattr(course, "device_of", lambda recipe: CPU if recipe.device == "cpu" else GPU)
        monkeypatch.setattr(torch, "Generator", Drawn)
        monkeypatch.setattr(torch, "autocast", autocast)


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Room:
    # The head's fit and calibration are the CPU's; one test has them.
    monkeypatch.setattr(epochs, "_finish", lambda *_: None)
    return Room(monkeypatch)


def recipe_of(objective: str, encoder: str, **more: Any) -> Any:
    return contract_recipe(objective, encoder, **{"device": "cuda", "epochs": 1, **more})


def train(room: Room, objective: str, encoder: str, saved: Path, **more: Any) -> tuple[Network, Objective, Figures]:
    network, found, _ = made(objective, encoder)
    pairs = more.pop("pairs", None)
    recipe = recipe_of(objective, encoder, **more)
    with room.gpu:
        history = run_epochs(network, found, *parts(encoder), recipe, saved=saved, progress=NoProgress(), pairs=pairs)
        assert {t.device for t in network.state_dict().values()} == {CPU}
    return network, found, history


@pytest.mark.parametrize(("objective", "encoder"), QUICK)
def test_all_that_a_step_makes_lies_on_the_gpu(objective: str, encoder: str, room: Room, tmp_path: Path) -> None:
    _, _, history = train(room, objective, encoder, tmp_path / "run.npz")
    assert all(np.isfinite(v) for h in history for v in h.values())
    assert set(room.halves) == (set() if objective in WHOLE else {"cuda"})


@pytest.mark.parametrize("more", [{"cached_rows": 8}, {"samples_per_class": 4}, {"schedule": "one_cycle"}])
def test_so_does_what_settings_add(more: dict[str, Any], room: Room, tmp_path: Path) -> None:
    assert len(train(room, "nt_xent", "conv", tmp_path / "run.npz", flip=True, **more)[2]) == 1


def test_the_head_is_made_when_all_is_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network, _, _ = train(Room(monkeypatch), "supcon", "mlp", tmp_path / "run.npz")
    assert float(network.head.slope) > 0


def test_so_do_judged_pairs_and_quarter_turns(room: Room, tmp_path: Path) -> None:
    _, (pixels,) = prepared("conv")
    pairs = JudgedPairs((pixels[:6],), (pixels[6:12],), torch.arange(6) % 2 == 0, 1.0)
    more = {"pairs": pairs, "quarter_turns": True, "augmentation_options": {"crop": 0.5, "warp": 0.05}}
    assert len(train(room, "supcon", "conv", tmp_path / "run.npz", **more)[2]) == 1


def direct(room: Room, task: str, encoder: str, saved: Path, **more: Any) -> tuple[Network, Figures]:
    profile, tensors = prepared(encoder)
    head = {"value": "huber", "labels": "binary_cross_entropy"}[task]
    recipe = recipe_of(head, encoder, **more).model_copy(update={"head": task})
    torch.manual_seed(0)
    if task == "value":
        network, loss, truth = build_value(profile, recipe), loss_of(recipe), LABELS.float()[:, None] - 1
    else:
        shares = np.full(CLASSES, 1 / CLASSES)
        network, loss = build_sets(profile, recipe, shares), loss_of_sets(recipe)
        truth = torch.nn.functional.one_hot(LABELS, CLASSES).float()
    rows = [Aimed(tuple(t[p] for t in tensors), truth[p], torch.ones(len(p))) for p in SPLIT.values()]
    with room.gpu:
        history = direct_epochs(network, loss, *rows, recipe, saved=saved, progress=NoProgress())
        assert {t.device for t in network.state_dict().values()} == {CPU}
    return network, history


@pytest.mark.parametrize(
    ("task", "encoder"),
    [("value", "mlp"), ("value", "conv"), ("value", "text"), ("value", "patches"), ("labels", "mlp")],
)
def test_numbers_and_sets_of_labels_are_learned_there_too(task: str, encoder: str, room: Room, tmp_path: Path) -> None:
    _, history = direct(room, task, encoder, tmp_path / "run.npz")
    assert len(history) == 1
    assert all(np.isfinite(v) for h in history for v in h.values())
    assert set(room.halves) == {"cuda"}


@pytest.mark.parametrize("task", ["value", "labels"])
def test_half_precision_on_a_cpu_is_a_setting_of_theirs_too(task: str, room: Room, tmp_path: Path) -> None:
    direct(room, task, "mlp", tmp_path / "full.npz", device="cpu")
    assert room.halves == []
    network, history = direct(room, task, "mlp", tmp_path / "half.npz", device="cpu", half=True)
    assert set(room.halves) == {"cpu"}
    assert {t.dtype for t in network.state_dict().values() if t.is_floating_point()} == {torch.float32}
    assert np.isfinite(history[-1]["tune_loss"])


@pytest.mark.parametrize(("first", "then"), [("cuda", "cpu"), ("cpu", "cuda")])
def test_a_run_begun_on_one_goes_on_on_the_other(
    first: str, then: str, room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped(Exception):
        pass

    real, saves = checkpoint.save, []

    def save(*given: Any) -> None:
        real(*given)
        saves.append(given)
        if len(saves) == 1:
            raise Stopped

    monkeypatch.setattr(checkpoint, "save", save)
    two = {"epochs": 2, "patience": 2}
    with pytest.raises(Stopped):
        train(room, "supcon", "mlp", tmp_path / "run.npz", device=first, **two)
    _, _, history = train(room, "supcon", "mlp", tmp_path / "run.npz", device=then, **two)
    assert len(saves) == len(history) == 2
    saves.clear()
    with pytest.raises(Stopped):
        direct(room, "value", "mlp", tmp_path / "direct.npz", device=first, **two)
    assert len(direct(room, "value", "mlp", tmp_path / "direct.npz", device=then, **two)[1]) == len(saves) == 2


@pytest.mark.parametrize("mutant", ["weights", "made", "generator"])
def test_what_lies_elsewhere_is_found(mutant: str, room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mutants: the network left behind, a tensor made on the CPU, chance drawn there."""
    if mutant == "weights":
        monkeypatch.setattr(torch.nn.Module, "to", lambda self, *_: self)
    elif mutant == "made":
        network, _, _ = made("supcon", "mlp")
        real = type(network.encoder).forward
        lost = lambda self, *tensors: real(self, *tensors) + torch.zeros(8, device="cpu")  # noqa: E731 # in one place
        monkeypatch.setattr(type(network.encoder), "forward", lost)
    else:
        monkeypatch.setattr(torch, "Generator", lambda *_: Drawn())
    with pytest.raises(Elsewhere):
        train(room, "supcon", "mlp", tmp_path / "run.npz")


def test_numpy_of_what_lies_there_is_found() -> None:
    with FakeGPU():
        there = torch.ones(3).to("cuda")
        assert there.cpu().numpy().tolist() == [1, 1, 1]
        with pytest.raises(Elsewhere):
            there.numpy()


LEARN = {"classification": fit, "regression": value_loop.fit, "multilabel": set_loop.fit}


@pytest.mark.parametrize("task", LEARN)
def test_a_gpu_that_is_asked_for_and_not_there_is_an_error(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    table, schema = with_target("table", numeric=task == "regression")
    recipe = Settings.model_validate({"task": task, "train": {"device": "cuda", "epochs": 1}}).train
    named = {} if task == "regression" else {"classes": NAMES}
    with pytest.raises(
        BackstayError, match=r'train\.device is "cuda" and torch sees no GPU; set it to "auto" or "cpu"'
    ):
        LEARN[task](table, schema, SPLIT, recipe, workdir=tmp_path, **named)
    assert not list(tmp_path.iterdir())
    if task != "classification":
        recipe = recipe.model_copy(update={"device": "auto", "dimension": 4})
        assert LEARN[task](table, schema, SPLIT, recipe, workdir=tmp_path, **named).figures["epochs"] == 1
