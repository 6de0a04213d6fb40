"""One training of bench/learn.py on Fashion-MNIST by Backstay's own trainer, in a process of its own.

Prints one JSON line: images a CPU-second of the training step (held-out looks and checkpoints included), and where the
embeddings of gallery and test rows were written, as the exported ONNX graph answers them.

    python bench/learn_fashion.py FASHION.npz OUT.npz RECIPE.json
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa

from backstay.bundle.model import load
from backstay.data.images import image_array
from backstay.kernel.ports import NoProgress, Tick
from backstay.kernel.records import Column, ColumnKind, Schema
from backstay.settings import TrainSettings
from backstay.train.loop import fit

TUNE_ROWS = 2000
CLASSES = tuple(str(i) for i in range(10))


class Stopwatch(NoProgress):
    """CPU time of the step called train."""

    def __init__(self) -> None:
        self.spent = 0.0

    def step(self, name: str, total: int | None = None) -> AbstractContextManager[Tick]:
        return self._timed(name, total)

    @contextmanager
    def _timed(self, name: str, total: int | None) -> Iterator[Tick]:
        began = time.process_time()
        with super().step(name, total) as tick:
            yield tick
        if name == "train":
            self.spent += time.process_time() - began


def table_of(images: np.ndarray, labels: np.ndarray) -> pa.Table:  # type: ignore[type-arg] # of any integers
    return pa.table({"image": image_array(images[..., None]), "label": [CLASSES[i] for i in labels]})


def main() -> None:
    data, out, recipe_file = map(Path, sys.argv[1:])
    recipe = TrainSettings.model_validate_json(recipe_file.read_text())
    with np.load(data) as file:
        x_train, y_train, x_test, y_test = (file[n] for n in ("x_train", "y_train", "x_test", "y_test"))
    order = np.random.default_rng(recipe.seed).permutation(len(x_train))
    parts = {"tune": order[:TUNE_ROWS], "train": order[TUNE_ROWS:]}
    schema = Schema(
        (Column("image", ColumnKind.IMAGE, False, (28, 28, 1)), Column("label", ColumnKind.CATEGORY)),
        ("image",),
        "label",
    )
    table, watch = table_of(x_train, y_train), Stopwatch()
    with tempfile.TemporaryDirectory() as scratch:
        trained = fit(table, schema, parts, recipe, classes=CLASSES, workdir=Path(scratch), progress=watch)
        model = load(trained.bundle_directory)
        gallery = model.predict(table).embeddings
        queries = model.predict(table_of(x_test, y_test)).embeddings
    np.savez(out, gallery=gallery, known=y_train, queries=queries, truth=y_test)
    images = trained.figures["epochs"] * len(parts["train"])
    print(json.dumps({"cpu_seconds": watch.spent, "images_per_cpu_second": images / watch.spent, **trained.figures}))


if __name__ == "__main__":
    main()
