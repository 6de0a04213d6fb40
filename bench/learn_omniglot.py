"""One training of bench/learn_few_shot.py on Omniglot by Backstay's own trainer, in a process of its own.

Prints one JSON line: CPU-seconds of the training step, and where the embeddings of support and query images were
written, as the exported ONNX graph answers them.

    python bench/learn_omniglot.py IMAGES.npz OUT.npz RECIPE.json

IMAGES.npz holds x, y and drawer of the training characters, support and query images [runs, ways, 28, 28].
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa

from backstay.bundle.model import load
from backstay.data.images import image_array
from backstay.kernel.records import Column, ColumnKind, Schema
from backstay.settings import TrainSettings
from backstay.train.loop import fit
from learn_fashion import Stopwatch

TUNE_DRAWER = 20


def main() -> None:
    data, out, recipe_file = map(Path, sys.argv[1:])
    recipe = TrainSettings.model_validate_json(recipe_file.read_text())
    with np.load(data) as file:
        x, y, drawer, support, query = (file[n] for n in ("x", "y", "drawer", "support", "query"))
    names = [f"c{code:03d}" for code in y]
    table = pa.table({"image": image_array(x[..., None]), "character": names})
    parts = {"tune": np.flatnonzero(drawer == TUNE_DRAWER), "train": np.flatnonzero(drawer != TUNE_DRAWER)}
    schema = Schema(
        (Column("image", ColumnKind.IMAGE, False, (28, 28, 1)), Column("character", ColumnKind.CATEGORY)),
        ("image",),
        "character",
    )
    watch, classes = Stopwatch(), tuple(sorted(set(names)))
    with tempfile.TemporaryDirectory() as scratch:
        trained = fit(table, schema, parts, recipe, classes=classes, workdir=Path(scratch), progress=watch)
        model = load(trained.bundle_directory)
        told = [
            model.predict(pa.table({"image": image_array(part.reshape(-1, 28, 28, 1))})).embeddings
            for part in (support, query)
        ]
    shapes = (support.shape[:2], query.shape[:2])
    np.savez(out, support=told[0].reshape(*shapes[0], -1), query=told[1].reshape(*shapes[1], -1))
    rows = len(parts["train"]) * (4 if recipe.quarter_turns else 1) * trained.figures["epochs"]
    print(json.dumps({"cpu_seconds": watch.spent, "images_per_cpu_second": rows / watch.spent, **trained.figures}))


if __name__ == "__main__":
    main()
