"""One training of bench/learn_text.py by Backstay's own trainer, in a process of its own.

Prints one JSON line: CPU-seconds of the training, export included. Writes what the bundle answers to the test rows
(those out of scope apart) and to its training rows, and the embeddings of the same encoder untrained.

    python bench/learn_text_side.py TEXTS.parquet OUT.npz RECIPE.json EACH SEED

EACH is how many rows a class there are to learn from, 0 for all. The file has the columns text, label, part (train or
test) and oos. Rows out of scope teach nothing.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from backstay.bundle.model import load
from backstay.kernel.records import Column, ColumnKind, Schema
from backstay.settings import TrainSettings
from backstay.train.loop import fit
from backstay.train.untrained import untrained_embeddings

TUNE_SHARE = 0.1
SCHEMA = Schema((Column("text", ColumnKind.TEXT), Column("label", ColumnKind.CATEGORY)), ("text",), "label")


def parts_of(data: Path, each: int, seed: int) -> tuple[pa.Table, pa.Table, pa.Table, tuple[str, ...]]:
    """Rows to learn from in the seed's order, test rows in scope, test rows out of scope, and the classes."""
    table = pq.read_table(data)
    part, oos = (np.array(table.column(name).to_pylist()) for name in ("part", "oos"))
    names = np.array(table.column("label").to_pylist(), dtype=object)
    order = np.random.default_rng(seed).permutation(np.flatnonzero((part == "train") & ~oos))
    if each:
        order = np.sort(np.concatenate([order[names[order] == name][:each] for name in sorted(set(names[order]))]))
        order = np.random.default_rng(seed).permutation(order)
    wanted = (order, np.flatnonzero((part == "test") & ~oos), np.flatnonzero((part == "test") & oos))
    known, test, outside = (table.take(pa.array(rows)).select(["text", "label"]) for rows in wanted)
    return known, test, outside, tuple(sorted(set(names[order])))


def positions(table: pa.Table, classes: tuple[str, ...]) -> npt.NDArray[np.int64]:
    """The labels as positions in `classes`."""
    places = {name: place for place, name in enumerate(classes)}
    return np.array([places[name] for name in table.column("label").to_pylist()], dtype=np.int64)


def main() -> None:
    data, out, recipe_file = map(Path, sys.argv[1:4])
    each, seed = map(int, sys.argv[4:6])
    recipe = TrainSettings.model_validate_json(recipe_file.read_text())
    known, test, outside, classes = parts_of(data, each, seed)
    tune = round(TUNE_SHARE * known.num_rows)
    parts = {"tune": np.arange(tune), "train": np.arange(tune, known.num_rows)}
    began = time.process_time()
    with tempfile.TemporaryDirectory() as scratch:
        trained = fit(known, SCHEMA, parts, recipe, classes=classes, workdir=Path(scratch))
        spent = time.process_time() - began
        model = load(trained.bundle_directory)
        gallery, asked = model.predict(known), model.predict(test)
        drawn = untrained_embeddings(known, SCHEMA, parts["train"], recipe, (known, test), classes=len(classes))
        made = {
            "known": positions(known, classes),
            "truth": positions(test, classes),
            "gallery": gallery.embeddings,
            "queries": asked.embeddings,
            "scores": asked.scores,
            "untrained_gallery": drawn[0],
            "untrained_queries": drawn[1],
        }
        if outside.num_rows:
            strange = model.predict(outside)
            made |= {"strange": strange.embeddings, "strange_scores": strange.scores}
    np.savez(out, **made)
    rows = trained.figures["epochs"] * len(parts["train"])
    print(json.dumps({"cpu_seconds": spent, "images_per_cpu_second": rows / spent, **trained.figures}))


if __name__ == "__main__":
    main()
