"""Turned classes: where they go, what they look like, and who may not have them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from backstay.kernel.errors import BackstayError
from backstay.settings import TrainSettings
from backstay.train.loop import fit
from backstay.train.part import Part
from backstay.train.quarter_turns import turned


def test_each_turn_is_a_class_of_its_own() -> None:
    pixels = torch.randint(0, 256, (3, 5, 5, 2), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    part = turned(Part((pixels,), torch.tensor([0, 2, -1]), torch.tensor([1.0, 2.0, 3.0])))
    assert part.labels.tolist() == [0, 2, -1, 3, 5, -1, 6, 8, -1, 9, 11, -1]
    assert part.weights.tolist() == [1.0, 2.0, 3.0] * 4
    for turn in range(4):
        for row in range(3):
            expected = np.rot90(pixels[row].numpy(), turn, (0, 1))
            assert np.array_equal(part.tensors[0][3 * turn + row].numpy(), expected)


def recipe(**changes: object) -> TrainSettings:
    given = {"epochs": 2, "objective": "supcon", "dimension": 8, "encoder_options": {"width": 4}, "quarter_turns": True}
    return TrainSettings.model_validate({**given, **changes})


def train(rows, recipe: TrainSettings, folder: Path):  # type: ignore[no-untyped-def] # of a fixture
    table, schema = rows
    order = np.random.default_rng(2).permutation(table.num_rows)
    parts = {"train": order[:400], "tune": order[400:600]}
    classes = tuple(sorted({v.as_py() for v in table.column("y")}))
    return fit(table, schema, parts, recipe, classes=classes, workdir=folder)


@pytest.mark.parametrize("objective", ["supcon", "arcface", "prototypical", "triplet"])
def test_a_turned_run_answers_the_classes_as_they_were(objective: str, scans, tmp_path: Path) -> None:  # type: ignore[no-untyped-def] # fixture
    trained = train(scans, recipe(objective=objective), tmp_path)
    assert trained.figures["train_rows"] == 400
    assert trained.figures["tune_accuracy"] > 0.3


def test_who_may_not(scans, sheet, tmp_path: Path) -> None:  # type: ignore[no-untyped-def] # fixtures
    with pytest.raises(BackstayError, match="scores classes as they are"):
        train(scans, recipe(objective="cross_entropy"), tmp_path)
    with pytest.raises(BackstayError, match="does not learn from classes"):
        train(scans, recipe(objective="nt_xent"), tmp_path)
    with pytest.raises(BackstayError, match="a table"):
        train(sheet, recipe(encoder_options={}), tmp_path)
