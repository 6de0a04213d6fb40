"""The trainings of one recipe of bench/learn_tables.py by Backstay's own trainer, a process for all its seeds.

Prints one JSON line: CPU-seconds of each training, export included. Writes, for each seed, the bundle's scores on the
test rows and, of an encoder, what the policy's controls need. With a share of labels below 1 the other training rows
are given without theirs, where the objective learns from such.

    python bench/learn_tables_side.py ADULT.parquet OUT RECIPE.json SHARE SEEDS
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from backstay.bundle.model import Model, load
from backstay.data.schema import conform, infer_schema
from backstay.evaluate.controls import raw_knn, raw_matrix
from backstay.evaluate.linear_controls import raw_linear
from backstay.kernel.records import Schema
from backstay.settings import TrainSettings
from backstay.settings.train import ENCODER
from backstay.train import classical, loop
from backstay.train.untrained import untrained_embeddings
from learn_policy import GATE_NEIGHBOURS

CLASSES = ("0", "1")
TUNE_SHARE = 0.2


def read(data: Path) -> tuple[pa.Table, pa.Table, Schema]:
    """Training rows, test rows, and what their columns are."""
    whole = pq.read_table(data)
    split = np.array(whole.column("split").to_pylist())
    income = pa.array([str(v) for v in whole.column("income").to_pylist()])
    whole = whole.set_column(whole.column_names.index("income"), "income", income).drop_columns(["split"])
    schema = infer_schema(whole, target="income", kinds={"income": "category"})
    whole = conform(whole, schema)
    return whole.filter(pa.array(split == "train")), whole.filter(pa.array(split == "test")), schema


def codes_of(table: pa.Table) -> npt.NDArray[np.int64]:
    return np.array([CLASSES.index(v) for v in table.column("income").to_pylist()], dtype=np.int64)


def spaces(model: Model, rows: pa.Table, test: pa.Table, schema: Schema, recipe: TrainSettings) -> dict[str, Any]:
    """What the policy's controls of an encoder need, `rows` being those that it learned from with labels."""
    every = np.arange(rows.num_rows)
    drawn = untrained_embeddings(rows, schema, every, recipe, (rows, test), classes=len(CLASSES))
    raw, codes = raw_matrix(pa.concat_tables([rows, test]), schema), codes_of(rows)
    near = raw_knn(raw[: len(rows)], codes, raw[len(rows) :], k=GATE_NEIGHBOURS, classes=len(CLASSES))
    return {
        "known": codes,
        "gallery": model.predict(rows).embeddings,
        "untrained_gallery": drawn[0],
        "untrained_queries": drawn[1],
        "raw_knn": near,
        "raw_linear": raw_linear(raw[: len(rows)], codes, raw[len(rows) :], classes=len(CLASSES)),
    }


def one(tables: tuple[pa.Table, pa.Table, Schema], recipe: TrainSettings, share: float, out: Path) -> float:
    """One training by the recipe's seed, which draws the labelled rows as well; its CPU-seconds."""
    known, test, schema = tables
    order = np.random.default_rng(recipe.seed).permutation(known.num_rows)
    labelled, rest = np.split(order, [round(share * len(order))])
    rows = known.take(pa.array(labelled))
    tune = round((TUNE_SHARE if share < 1 else TUNE_SHARE / 2) * len(labelled))
    parts = {"tune": np.arange(tune), "train": np.arange(tune, len(labelled))}
    began = time.process_time()
    with tempfile.TemporaryDirectory() as scratch:
        if recipe.model != ENCODER:
            trained = classical.fit(rows, schema, parts, recipe, classes=CLASSES, workdir=Path(scratch))
        else:
            more = known.take(pa.array(np.sort(rest))).select(list(schema.features))
            unlabelled = None if recipe.objective == "cross_entropy" else more
            trained = loop.fit(
                rows, schema, parts, recipe, classes=CLASSES, workdir=Path(scratch), unlabelled=unlabelled
            )
        spent = time.process_time() - began
        model = load(trained.bundle_directory)
        answers = model.predict(test)
        made = {"truth": codes_of(test), "scores": answers.scores, "labelled": len(labelled)}
        if recipe.model == ENCODER:
            made |= {
                "queries": answers.embeddings,
                **spaces(model, rows.take(pa.array(parts["train"])), test, schema, recipe),
            }
    np.savez(out, **made)
    return spent


def main() -> None:
    data, out, recipe_file = map(Path, sys.argv[1:4])
    recipe = TrainSettings.model_validate_json(recipe_file.read_text())
    tables, share, seeds = read(data), float(sys.argv[4]), int(sys.argv[5])
    spent = [
        one(tables, recipe.model_copy(update={"seed": seed}), share, out.with_suffix(f".{seed}.npz"))
        for seed in range(seeds)
    ]
    print(json.dumps({"cpu_seconds": spent, "images_per_cpu_second": tables[0].num_rows * seeds / sum(spent)}))


if __name__ == "__main__":
    main()
