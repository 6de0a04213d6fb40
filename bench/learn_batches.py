"""What a batch costs by objective: milliseconds of one thread for loss and gradient of 256 rows, with the encoder and
without it.

Rows are made by the script. Without the encoder its place is taken by the embeddings themselves, so that what is left
is the objective's own: copies of rows, comparisons, decoders. Objectives take turns, so that a busy minute falls on
all. Writes docs/benchmarks.md.

    python bench/learn_batches.py             # some three minutes
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn
from torch.nn import functional

import page
from backstay.data.images import image_array
from backstay.kernel.records import Column, ColumnKind, Schema
from backstay.settings import TrainSettings
from backstay.train.examples import profile_of, tensors_of
from backstay.train.network import Network, build
from backstay.train.objectives import OBJECTIVES
from backstay.train.objectives.contract import Batch, Objective, Problem
from backstay.train.options import Options

HERE = Path(__file__).resolve()
PACKAGES = ("backstay", "torch", "numpy", "pytorch-metric-learning")
ROWS, CLASSES, DIMENSION = 256, 32, 64
ENCODERS = {"image": "conv", "table": "mlp"}
OF_TABLES = ("masked", "scarf")
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "`cross_entropy`": ("cross_entropy", {}),
    "`arcface`": ("arcface", {}),
    "`prototypical`, 5 examples and 3 questions": ("prototypical", {"ways": CLASSES, "shots": 5, "queries": 3}),
    "`supcon`": ("supcon", {}),
    "`contrastive`": ("contrastive", {}),
    "`triplet`, semi_hard": ("triplet", {}),
    "`triplet`, hard": ("triplet", {"mining": "hard"}),
    "`triplet`, semi_hard_all": ("triplet", {"mining": "semi_hard_all"}),
    "`metric`, SupConLoss": ("metric", {"loss": "SupConLoss"}),
    "`metric`, TripletMarginLoss with its miner": (
        "metric",
        {"loss": "TripletMarginLoss", "miner": "TripletMarginMiner", "miner_type_of_triplets": "semihard"},
    ),
    "`distil`": ("distil", {}),
    "`nt_xent`": ("nt_xent", {}),
    "`vicreg`": ("vicreg", {}),
    "`denoising`": ("denoising", {}),
    "`variational`": ("variational", {}),
    "`bigan`": ("bigan", {}),
    "`masked`": ("masked", {}),
    "`scarf`": ("scarf", {}),
}


class Given(nn.Module):
    """Embeddings of nobody's making, in the encoder's place."""

    def __init__(self) -> None:
        super().__init__()
        self.points = nn.Parameter(torch.randn(ROWS, DIMENSION))

    def forward(self, *tensors: Tensor) -> Tensor:
        return functional.normalize(self.points[: len(tensors[0])], dim=1)


def made(kind: str) -> tuple[pa.Table, Schema]:
    """Rows of 32 classes by a fixed seed: grey pictures of 28 x 28, or 20 numbers and 4 categories."""
    rng = np.random.default_rng(0)
    target = Column("y", ColumnKind.CATEGORY)
    if kind == "image":
        pixels = image_array(rng.integers(0, 256, (ROWS, 28, 28, 1)).astype(np.uint8))
        return pa.table({"x": pixels}), Schema((Column("x", ColumnKind.IMAGE, shape=(28, 28, 1)), target), ("x",), "y")
    columns = {f"n{i}": pa.array(rng.normal(size=ROWS)) for i in range(20)}
    columns |= {f"c{i}": pa.array([f"k{v}" for v in rng.integers(0, 7, ROWS)]) for i in range(4)}
    known = tuple(Column(n, ColumnKind.NUMBER if n[0] == "n" else ColumnKind.CATEGORY) for n in columns)
    return pa.table(columns), Schema((*known, target), tuple(columns), "y")


class Step:
    """One objective on one kind of rows, ready to be timed."""

    def __init__(self, kind: str, name: str, options: dict[str, Any], *, encoder: bool) -> None:
        table, schema = made(kind)
        profile = profile_of(table, schema, np.arange(ROWS), Options("train.encoder_options", {}))
        torch.manual_seed(0)
        recipe = TrainSettings(encoder=ENCODERS[kind], dimension=DIMENSION)
        self.network: Network = build(profile, recipe, CLASSES).train()
        if not encoder:
            self.network.encoder = Given()
        given = Options("train.objective_options", options)
        problem = Problem(profile, DIMENSION, CLASSES, DIMENSION)
        self.objective: Objective = OBJECTIVES[name](given, problem).train()
        aims = functional.normalize(torch.randn(ROWS, DIMENSION), dim=1)
        self.batch = Batch(
            tensors_of(profile, table),
            torch.arange(ROWS) % CLASSES,
            torch.ones(ROWS),
            torch.Generator().manual_seed(0),
            kind=kind,
            aims=aims,
        )

    def milliseconds(self) -> float:
        """Of CPU time, for a loss and its gradient."""
        begun = time.process_time()
        self.network.zero_grad()
        self.objective.zero_grad()
        self.objective.loss(self.network, self.batch).backward()
        return (time.process_time() - begun) * 1e3


def measured(rounds: int) -> dict[tuple[str, str, bool], float]:
    """The median of each case by kind of rows, with the encoder and without."""
    steps = {
        (case, kind, encoder): Step(kind, name, options, encoder=encoder)
        for case, (name, options) in CASES.items()
        for kind in ENCODERS
        for encoder in (True, False)
        if kind == "table" or name not in OF_TABLES
    }
    found: dict[tuple[str, str, bool], list[float]] = {key: [] for key in steps}
    for place in range(rounds + 2):
        for key, step in steps.items():
            spent = step.milliseconds()
            if place >= 2:
                found[key].append(spent)
        print(f"round {place}", file=sys.stderr, flush=True)
    return {key: float(np.median(values)) for key, values in found.items()}


TOLD = """Loss and gradient of {rows} rows of {classes} classes, {dimension} dimensions, one thread; milliseconds of
CPU time, medians of {rounds} rounds in turns. **Whole** is with the encoder: `conv` as it comes on grey pictures of
28 x 28, `mlp` on 20 numbers and 4 categories. **Own** has embeddings in the encoder's place: copies of rows,
comparisons and decoders are left. The optimiser's step comes on top."""


def report(rounds: int) -> str:
    """The section for the page."""
    torch.set_num_threads(1)
    found = measured(rounds)
    lines = []
    for case in CASES:
        cells = [found.get((case, kind, encoder)) for kind in ENCODERS for encoder in (True, False)]
        lines.append([case, *("" if cell is None else f"{cell:.1f}" for cell in cells)])
    heads = ["objective", "images: whole, ms", "own, ms", "tables: whole, ms", "own, ms"]
    told = TOLD.format(rows=ROWS, classes=CLASSES, dimension=DIMENSION, rounds=rounds)
    made_by = page.provenance("python bench/learn_batches.py", [HERE], PACKAGES, [])
    return "\n\n".join(("### A batch by objective", told, page.table(heads, lines), made_by))


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what a batch costs by objective.")
    parser.add_argument("--rounds", type=int, default=30)
    given = parser.parse_args()
    text = report(given.rounds)
    print(text)
    page.write_section("learn_batches", text)


if __name__ == "__main__":
    main()
