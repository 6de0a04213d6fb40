"""A student in its teacher's space: the loss by plain loops, and digits asked of the teacher's gallery."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch.nn import functional

from backstay.bundle.manifest import Manifest
from backstay.bundle.model import Model, load
from backstay.kernel.errors import BackstayError
from backstay.kernel.ports import NoProgress
from backstay.kernel.records import Schema
from backstay.settings import TrainSettings
from backstay.train.examples import profile_of, tensors_of
from backstay.train.held_out import Look
from backstay.train.loop import fit
from backstay.train.network import build, embed
from backstay.train.objectives.distil import Distil, distil_loss
from backstay.train.options import Options
from backstay.train.part import Part
from backstay.train.teacher import same_space

DIMENSION = 16
CLASSES = tuple("0123456789")
PARTS = {"train": np.arange(900), "tune": np.arange(900, 1300)}
FRESH = np.arange(1300, 1797)
RECIPE = {"dimension": DIMENSION, "batch_size": 64, "patience": 9, "learning_rate": 3e-3, "augmentation": 0.0}


def vectors(n: int, seed: int) -> torch.Tensor:
    return functional.normalize(torch.randn(n, 5, generator=torch.Generator().manual_seed(seed)).double(), dim=1)


def test_the_loss_is_that_of_plain_loops() -> None:
    z, t = vectors(7, 0), vectors(7, 1)
    w = torch.rand(7, generator=torch.Generator().manual_seed(2)).double()
    match = sum(float(w[i] * ((z[i] - t[i]) ** 2).sum()) for i in range(7)) / float(w.sum())
    top, under = 0.0, 0.0
    for i in range(7):
        for j in range(i + 1, 7):
            top += float(w[i] * w[j] * (z[i] @ z[j] - t[i] @ t[j]) ** 2)
            under += float(w[i] * w[j])
    assert float(distil_loss(z, t, w, 0.7)) == pytest.approx(match + 0.7 * top / under, abs=1e-12)
    assert float(distil_loss(t, t, w, 1.0)) == pytest.approx(0.0, abs=1e-12)
    assert torch.autograd.gradcheck(
        lambda free: distil_loss(functional.normalize(free, dim=1), t, w, 0.7), (z.clone().requires_grad_(),)
    )


@pytest.fixture(scope="module")
def teacher(scans: tuple[pa.Table, Schema], tmp_path_factory: pytest.TempPathFactory) -> Model:
    table, schema = scans
    recipe = TrainSettings(objective="supcon", epochs=9, **RECIPE)
    return load(
        fit(table, schema, PARTS, recipe, classes=CLASSES, workdir=tmp_path_factory.mktemp("teacher")).bundle_directory
    )


def student_of(epochs: int, **options: Any) -> TrainSettings:
    return TrainSettings(
        objective="distil", epochs=epochs, encoder_options={"width": 12}, objective_options=options, **RECIPE
    )


@pytest.fixture(scope="module")
def student(scans: tuple[pa.Table, Schema], teacher: Model, tmp_path_factory: pytest.TempPathFactory) -> Any:
    table, schema = scans
    recipe = student_of(12, margin=0.05)
    where = tmp_path_factory.mktemp("student")
    return fit(table, schema, PARTS, recipe, classes=CLASSES, workdir=where, teacher=teacher)


def nearest(queries: np.ndarray, gallery: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return labels[(queries @ gallery.T).argmax(axis=1)]


def test_a_student_asks_the_teachers_gallery_as_well_as_the_teacher(
    scans: tuple[pa.Table, Schema], teacher: Model, student: Any
) -> None:
    table, _ = scans
    small = load(student.bundle_directory)
    labels = np.array(table.column("y").to_pylist())
    gallery = teacher.predict(table.take(pa.array(PARTS["train"]))).embeddings
    asked, truth = table.take(pa.array(FRESH)), labels[FRESH]
    found = {}
    for name, model in {"teacher": teacher, "student": small}.items():
        guesses = nearest(model.predict(asked).embeddings, gallery, labels[PARTS["train"]])
        found[name] = float((guesses == truth).mean())
    assert found["student"] > found["teacher"] - 0.04
    assert found["student"] > 0.9
    size = {m.id: (m.path / "model.onnx").stat().st_size for m in (teacher, small)}
    assert size[small.id] < size[teacher.id] / 3
    assert student.figures["same_space"]
    assert student.figures["teacher"] == teacher.id
    assert small.manifest.space_id == teacher.manifest.space_id
    assert student.figures["student_behind_low"] <= student.figures["student_knn"] - student.figures["teacher_knn"]


def test_a_student_that_has_not_arrived_has_a_space_of_its_own(
    scans: tuple[pa.Table, Schema], teacher: Model, tmp_path: Path
) -> None:
    table, schema = scans
    recipe = student_of(1).model_copy(update={"learning_rate": 1e-6})
    out = fit(table, schema, PARTS, recipe, classes=CLASSES, workdir=tmp_path, teacher=teacher)
    assert not out.figures["same_space"]
    assert out.figures["student_knn"] < out.figures["teacher_knn"] - 0.3
    assert Manifest.read(out.bundle_directory / "manifest.json").space_id != teacher.manifest.space_id


def test_as_good_a_space_of_its_own_is_not_the_teachers(teacher: Model, scans: tuple[pa.Table, Schema]) -> None:
    table, _ = scans
    rows = table.take(pa.array(np.arange(900)))
    aims = torch.from_numpy(teacher.predict(rows).embeddings)
    labels = torch.tensor([int(v) for v in rows.column("y").to_pylist()])
    train, tune = (Part((), labels[s], torch.ones(len(labels[s])), aims[s]) for s in (slice(0, 600), slice(600, 900)))
    turned = torch.linalg.qr(torch.randn(DIMENSION, DIMENSION, generator=torch.Generator().manual_seed(0)))[0]
    assert same_space(tune.aims, tune, train, 0.02, 0).passed
    assert not same_space(tune.aims @ turned, tune, train, 0.02, 0).passed


def test_epochs_are_watched_in_the_teachers_gallery_not_the_students_own(
    teacher: Model, scans: tuple[pa.Table, Schema]
) -> None:
    table, schema = scans
    profile = profile_of(table, schema, PARTS["train"], Options("train.encoder_options", {}))
    aims = torch.from_numpy(teacher.predict(table).embeddings)
    labels = torch.tensor([int(v) for v in table.column("y").to_pylist()])
    pixels = tensors_of(profile, table)[0]
    train, tune = (Part((pixels[s],), labels[s], torch.ones(len(labels[s])), aims[s]) for s in PARTS.values())
    recipe = student_of(1)
    network = build(profile, recipe, len(CLASSES))  # drawn weights: a space of its own
    objective = Distil(1.0, 0.02)
    told = Look.of(train, tune, objective, recipe).figures(network, objective)
    space = same_space(embed(network, tune.tensors), tune, train, 0.02, 0)
    assert told["tune_knn"] == pytest.approx(space.student)
    own = [replace(part, aims=None) for part in (train, tune)]
    assert Look.of(own[0], own[1], objective, recipe).figures(network, objective)["tune_knn"] > told["tune_knn"] + 0.3


class Killed(Exception):
    """The power fails."""


class Fails(NoProgress):
    """Fails while an epoch of training is being told of."""

    def step(self, name: str, total: int | None = None) -> Any:
        class Step:
            def __enter__(self) -> Any:
                return self

            def __exit__(self, *_: object) -> None:
                return None

            def __call__(self, amount: int = 1, note: str = "", **figures: float) -> None:
                raise Killed

        return Step()


def test_interrupted_and_resumed_is_the_same_bundle(
    scans: tuple[pa.Table, Schema], teacher: Model, tmp_path: Path
) -> None:
    table, schema = scans
    few = {"train": np.arange(100), "tune": np.arange(900, 950)}
    found = []
    for name, progress in (("whole", NoProgress()), ("broken", Fails()), ("broken", NoProgress())):
        try:
            out = fit(
                table,
                schema,
                few,
                student_of(3),
                classes=CLASSES,
                workdir=tmp_path / name,
                teacher=teacher,
                progress=progress,
            )
        except Killed:
            continue
        found.append(out.model_id)
    assert len(found) == 2
    assert found[0] == found[1]


def test_what_cannot_be_is_refused(scans: tuple[pa.Table, Schema], teacher: Model, tmp_path: Path) -> None:
    table, schema = scans
    with pytest.raises(BackstayError, match="needs a teacher"):
        fit(table, schema, PARTS, student_of(1), classes=CLASSES, workdir=tmp_path)
    wide = student_of(1).model_copy(update={"dimension": 8})
    with pytest.raises(BackstayError, match="16 numbers") as refusal:
        fit(table, schema, PARTS, wide, classes=CLASSES, workdir=tmp_path, teacher=teacher)
    assert refusal.value.fix == "set train.dimension = 16"
