"""One training of bench/learn_unlabelled.py by Backstay's own trainer, in a process of its own.

Prints one JSON line: CPU-seconds of the whole `fit`, head and export included. Writes the scores of the bundle's own
linear head on the test rows, and embeddings of gallery and test rows, as the exported ONNX graph answers them and as
the same encoder does untrained. Labels fit the head and, on held-out rows, calibrate it and say which epoch is kept; no
step learns from them.

    python bench/learn_unlabelled_side.py FASHION.npz OUT.npz RECIPE.json
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from backstay.bundle.model import load
from backstay.kernel.records import Column, ColumnKind, Schema
from backstay.settings import TrainSettings
from backstay.train.loop import fit
from backstay.train.untrained import untrained_embeddings
from learn_fashion import CLASSES, table_of

ROWS, TUNE_ROWS = 20_000, 2000


def main() -> None:
    data, out, recipe_file = map(Path, sys.argv[1:])
    recipe = TrainSettings.model_validate_json(recipe_file.read_text())
    with np.load(data) as file:
        x_train, y_train, x_test, y_test = (file[n] for n in ("x_train", "y_train", "x_test", "y_test"))
    # The same 20,000 rows for every seed; the held-out rows are others.
    order = np.random.default_rng(0).permutation(len(x_train))
    parts = {"train": np.sort(order[:ROWS]), "tune": np.sort(order[ROWS : ROWS + TUNE_ROWS])}
    schema = Schema(
        (Column("image", ColumnKind.IMAGE, False, (28, 28, 1)), Column("label", ColumnKind.CATEGORY)),
        ("image",),
        "label",
    )
    table, queries = table_of(x_train, y_train), table_of(x_test, y_test)
    gallery = table.take(parts["train"])
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        began = time.process_time()
        trained = fit(table, schema, parts, recipe, classes=CLASSES, workdir=folder)
        spent = time.process_time() - began
        model = load(trained.bundle_directory)
        known, asked = model.predict(gallery).embeddings, model.predict(queries)
        drawn = untrained_embeddings(table, schema, parts["train"], recipe, (gallery, queries), classes=len(CLASSES))
    np.savez(
        out,
        rows=parts["train"],
        gallery=known,
        known=y_train[parts["train"]],
        queries=asked.embeddings,
        scores=asked.scores,
        truth=y_test,
        untrained_gallery=drawn[0],
        untrained_queries=drawn[1],
    )
    images = trained.figures["epochs"] * ROWS
    print(json.dumps({"cpu_seconds": spent, "images_per_cpu_second": images / spent, **trained.figures}))


if __name__ == "__main__":
    main()
