"""Going on from a model that was trained before: its weights and scales, exact resumption, and what is refused."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from backstay.bundle.model import Model, load
from backstay.kernel.errors import BackstayError, NotFound, Tampered
from backstay.kernel.ports import NoProgress
from backstay.kernel.records import Schema
from backstay.settings import TrainSettings
from backstay.train.loop import fit
from backstay.train.network import build
from backstay.train.weights import WEIGHTS_FILE, packed, start_of

CLASSES = ("no", "yes")
PARTS = {"train": np.arange(420), "tune": np.arange(420, 600)}
RECIPE = TrainSettings(epochs=3, dimension=8, batch_size=64, learning_rate=5e-3, patience=9)


def on_from(**more: Any) -> TrainSettings:
    return RECIPE.model_copy(update={"start_from": "champion", **more})


@pytest.fixture(scope="module")
def live(sheet: tuple[pa.Table, Schema], tmp_path_factory: pytest.TempPathFactory) -> Model:
    where = tmp_path_factory.mktemp("live")
    return load(fit(*sheet, PARTS, RECIPE, classes=CLASSES, workdir=where).bundle_directory)


def test_the_file_holds_arrays_alone_and_the_same_weights_are_the_same_bytes(live: Model) -> None:
    content = (live.path / WEIGHTS_FILE).read_bytes()
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        assert all(info.filename.endswith(".npy") for info in file.infolist())
        assert {info.date_time[0] for info in file.infolist()} == {1980}
    begun = start_of(live)
    torch.manual_seed(7)
    network = build(begun.profile, RECIPE, 2)
    begun.into(network)
    assert packed(network.encoder, begun.profile) == content


def test_a_run_begins_where_the_other_ended(sheet: tuple[pa.Table, Schema], live: Model, tmp_path: Path) -> None:
    table, schema = sheet
    still = on_from(learning_rate=1e-12, epochs=1, weight_decay=0.0)
    shifted = table.set_column(0, "a", pa.array(table.column("a").to_numpy() * 3.0))
    out = fit(shifted, schema, PARTS, still, classes=CLASSES, workdir=tmp_path, start=live)
    assert out.figures["started_from"] == live.id
    rows = table.slice(0, 40)
    both = [load(out.bundle_directory).predict(rows).embeddings, live.predict(rows).embeddings]
    assert np.abs(both[0] - both[1]).max() < 1e-5
    assert load(out.bundle_directory).manifest.space_id != live.manifest.space_id


def test_a_frozen_encoder_keeps_space_and_bytes_and_its_head_learns_other_classes(
    sheet: tuple[pa.Table, Schema], live: Model, tmp_path: Path
) -> None:
    table, schema = sheet
    turned = ["off" if y == "yes" else "on" for y in table.column("y").to_pylist()]
    renamed = table.set_column(table.column_names.index("y"), "y", pa.array(turned))
    before = live.predict(table)
    good = (before.labels == np.array(table.column("y").to_pylist(), dtype=object)).mean()
    for objective in ("cross_entropy", "supcon"):
        recipe = on_from(freeze=True, objective=objective)
        out = fit(renamed, schema, PARTS, recipe, classes=("off", "on"), workdir=tmp_path, start=live)
        made = load(out.bundle_directory)
        assert made.manifest.space_id == live.manifest.space_id
        assert made.manifest.files[WEIGHTS_FILE] == live.manifest.files[WEIGHTS_FILE]
        after = made.predict(renamed)
        assert np.abs(after.embeddings - before.embeddings).max() < 1e-6
        assert (after.labels == np.array(turned, dtype=object)).mean() > good - 0.03


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

            def __call__(self, amount: int = 1, note: str = "", **figures: float) -> None:
                self.told += amount
                if self.told == 2:
                    raise Killed

        return Step()


def test_interrupted_and_resumed_is_the_same_bundle(
    sheet: tuple[pa.Table, Schema], live: Model, tmp_path: Path
) -> None:
    found = []
    for name, progress in (("whole", NoProgress()), ("broken", Fails()), ("broken", NoProgress())):
        try:
            out = fit(*sheet, PARTS, on_from(), classes=CLASSES, workdir=tmp_path / name, start=live, progress=progress)
        except Killed:
            assert list((tmp_path / name).glob("*.npz"))
            continue
        found.append(out.model_id)
    assert len(found) == 2
    assert found[0] == found[1]
    assert found[0] != live.id


def test_what_does_not_fit_is_refused(sheet: tuple[pa.Table, Schema], live: Model, tmp_path: Path) -> None:
    table, schema = sheet

    def tried(recipe: TrainSettings, **more: Any) -> None:
        fit(*(more.pop("rows", (table, schema))), PARTS, recipe, classes=CLASSES, workdir=tmp_path, **more)

    with pytest.raises(BackstayError, match="not the one of this recipe"):
        tried(on_from(dimension=16), start=live)
    with pytest.raises(BackstayError, match="not the one of this recipe"):
        tried(on_from(encoder="ft_transformer"), start=live)
    fewer = Schema(schema.columns, ("a", "embedding", "label"), target="y")
    with pytest.raises(BackstayError, match="reads categories"):
        tried(on_from(), start=live, rows=(table, fewer))
    with pytest.raises(BackstayError, match=r"train\.freeze is true"):
        tried(RECIPE.model_copy(update={"freeze": True}))


def test_a_file_that_was_changed_or_never_written_is_refused(live: Model, tmp_path: Path) -> None:
    import shutil
    from dataclasses import replace

    copy = load(shutil.copytree(live.path, tmp_path / live.path.name))
    (copy.path / WEIGHTS_FILE).write_bytes(b"something else")
    with pytest.raises(Tampered):
        start_of(copy)
    files = {name: entry for name, entry in live.manifest.files.items() if name != WEIGHTS_FILE}
    copy.manifest = replace(live.manifest, files=files)
    with pytest.raises(NotFound, match="keeps no weights"):
        start_of(copy)
