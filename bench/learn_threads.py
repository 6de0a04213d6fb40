"""What a second thread brings to training, and what it costs: a small convolutional encoder, and an MLP on a table.

Rows are made by the script. One thread and two take turns, in this order and then in the other, each training in a
process of its own that reads nothing but `train.threads`. What counts is the ratio of two neighbours. Writes
docs/benchmarks.md.

    python bench/learn_threads.py             # some five minutes
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import page
from backstay.data.images import image_array
from backstay.kernel.ports import NoProgress, Tick
from backstay.kernel.records import Column, ColumnKind, Schema
from backstay.settings import TrainSettings
from backstay.train.loop import fit

HERE = Path(__file__).resolve()
PACKAGES = ("backstay", "torch", "numpy")
CLASSES = tuple(str(i) for i in range(10))
THREADS = (1, 2)
TUNE_ROWS = 500
KINDS: dict[str, tuple[int, dict[str, Any]]] = {
    "`conv`, images of 28 x 28": (
        8_000,
        {"encoder": "conv", "objective": "supcon", "dimension": 32, "batch_size": 256, "epochs": 2},
    ),
    "`mlp`, 20 numbers and 4 categories": (
        40_000,
        {"encoder": "mlp", "objective": "cross_entropy", "dimension": 64, "batch_size": 256, "epochs": 4},
    ),
}


class Stopwatch(NoProgress):
    """Seconds of the clock and of the CPU in the step called train."""

    def __init__(self) -> None:
        self.clock = self.cpu = 0.0

    def step(self, name: str, total: int | None = None) -> AbstractContextManager[Tick]:
        return self._timed(name, total)

    @contextmanager
    def _timed(self, name: str, total: int | None) -> Iterator[Tick]:
        clock, cpu = time.monotonic(), time.process_time()
        with super().step(name, total) as tick:
            yield tick
        if name == "train":
            self.clock += time.monotonic() - clock
            self.cpu += time.process_time() - cpu


def made(kind: str, rows: int) -> tuple[pa.Table, Schema]:
    """Rows of ten classes that can be told apart, by a fixed seed."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, len(CLASSES), rows)
    target = Column("y", ColumnKind.CATEGORY)
    labels = pa.array([CLASSES[c] for c in codes])
    if "conv" in kind:
        shown = rng.normal(size=(len(CLASSES), 28, 28, 1))[codes] * 40 + rng.normal(size=(rows, 28, 28, 1)) * 40 + 128
        pixels = image_array(np.clip(shown, 0, 255).astype(np.uint8))
        return pa.table({"x": pixels, "y": labels}), Schema(
            (Column("x", ColumnKind.IMAGE, shape=(28, 28, 1)), target), ("x",), "y"
        )
    numbers = rng.normal(size=(len(CLASSES), 20))[codes] + rng.normal(size=(rows, 20)) * 2
    words = [[f"k{(c + d) % 7}" for c, d in zip(codes, rng.integers(0, 4, rows), strict=True)] for _ in range(4)]
    columns = {f"n{i}": pa.array(numbers[:, i]) for i in range(20)} | {
        f"c{i}": pa.array(w) for i, w in enumerate(words)
    }
    known = tuple(Column(n, ColumnKind.NUMBER if n[0] == "n" else ColumnKind.CATEGORY) for n in columns)
    return pa.table({**columns, "y": labels}), Schema((*known, target), tuple(columns), "y")


def one(kind: str, threads: int) -> None:
    """One training; prints what it cost."""
    rows, recipe = KINDS[kind]
    table, schema = made(kind, rows)
    parts = {"tune": np.arange(TUNE_ROWS), "train": np.arange(TUNE_ROWS, rows)}
    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as scratch:
        settings = TrainSettings(**recipe, patience=1000, threads=threads)
        fit(table, schema, parts, settings, classes=CLASSES, workdir=Path(scratch), progress=watch)
    learned = (rows - TUNE_ROWS) * recipe["epochs"]
    print(json.dumps({"rate": learned / watch.clock, "cpu": watch.cpu}))


def child(kind: str, threads: int) -> dict[str, float]:
    """One training in a fresh process without any of the environment's own limits of threads."""
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS") and k != "OMP_WAIT_POLICY"}
    command = [sys.executable, str(HERE), "--one", kind, "--threads", str(threads)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=HERE.parent)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(f"{kind}, {threads}: {found['rate']:,.0f} rows/s, {found['cpu']:.1f} CPU-s", file=sys.stderr, flush=True)
    return found


TOLD = """The trainer's step alone, without export: rows a second by the clock (images, of the first), and seconds of
all cores together. {rounds} rounds, one thread before two and two before one in turns; medians, and of the ratios
within a round the least and the most. The machine has {cores} cores and other work on it, as one that serves has: a
second thread then waits for a core, and the first waits for it."""


def report(rounds: int) -> str:
    """The section for the page."""
    lines = []
    for kind in KINDS:
        found: dict[int, list[dict[str, float]]] = {n: [] for n in THREADS}
        for place in range(rounds):
            for threads in THREADS if place % 2 == 0 else THREADS[::-1]:
                found[threads].append(child(kind, threads))
        cells = [
            f"{np.median([f[what] for f in found[n]]):,.{0 if what == 'rate' else 1}f}"
            for what in ("rate", "cpu")
            for n in THREADS
        ]
        for what in ("rate", "cpu"):
            ratios = [b[what] / a[what] for a, b in zip(found[1], found[2], strict=True)]
            cells.append(f"{np.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
        lines.append([kind, *cells])
    heads = ["what", "rows/s, 1 thread", "2 threads", "CPU s, 1 thread", "2 threads", "rows/s, 2 to 1", "CPU s, 2 to 1"]
    made_by = page.provenance("python bench/learn_threads.py", [HERE], PACKAGES, [])
    told = TOLD.format(rounds=rounds, cores=os.cpu_count())
    return "\n\n".join(("### Threads of training", told, page.table(heads, lines), made_by))


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure training with one thread and with two.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=1, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        one(given.one, given.threads)
        return
    text = report(given.rounds)
    print(text)
    page.write_section("learn_threads", text)


if __name__ == "__main__":
    main()
