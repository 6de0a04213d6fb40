"""What the trainer reaches on real data, beside its controls and a plain loop, and what it costs.

Recipes were chosen on splits of the training rows (`--select` repeats the choice); the test rows are read once a seed.
Each training runs in a process of its own, one thread, in turns with its peer. Writes docs/benchmarks.md.

    BACKSTAY_DATA=FOLDER python bench/learn.py            # about half an hour
    BACKSTAY_DATA=FOLDER python bench/learn.py --select   # candidates on a split, about ten minutes; writes nothing
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import page
from learn_figures import Figure, figure, knn_correct

HERE = Path(__file__).resolve().parent
SCRIPTS = ("learn.py", "learn_plain.py", "learn_fashion.py", "learn_figures.py")
PACKAGES = ("backstay", "torch", "onnxruntime", "numpy", "pytorch-metric-learning")
MOST_SECONDS = 1500.0
WIDTH, DIMENSION, EPOCHS, BATCH = 27, 32, 3, 256
RECIPE: dict[str, Any] = {
    "encoder": "conv",
    "encoder_options": {"halving": "pool", "width": WIDTH},
    "objective": "supcon",
    "dimension": DIMENSION,
    "epochs": EPOCHS,
    "batch_size": BATCH,
    "learning_rate": 0.008,
    "schedule": "one_cycle",
    "augmentation": 0.0,
}
CANDIDATES: dict[str, dict[str, Any]] = {
    "chosen": {},
    "step size .003": {"learning_rate": 0.003},
    "cosine by epochs, .003": {"learning_rate": 0.003, "schedule": "cosine"},
    "halving by stride": {"encoder_options": {"halving": "stride", "width": 32}},
    "augmented": {"augmentation": 0.5},
}
PLAIN_RATES = (0.001, 0.003, 0.008)
HELD_OUT = 10_000


def child(script: str, *arguments: object) -> dict[str, Any]:
    """One training in a fresh process; what it printed last."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    command = [sys.executable, str(HERE / script), *map(str, arguments)]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=MOST_SECONDS, cwd=HERE
    )
    if done.returncode != 0:
        raise RuntimeError(f"{script} ended with {done.returncode}: {done.stderr[-2000:]}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"{script} {told['images_per_cpu_second']:.0f} images/CPU-s", file=sys.stderr)
    return told


def ours(
    data: Path, scratch: Path, seed: int, changes: dict[str, Any]
) -> tuple[npt.NDArray[np.float64], dict[str, Any]]:
    """Which test rows the kNN of our embeddings has right, and what the training cost."""
    recipe = scratch / "recipe.json"
    recipe.write_text(json.dumps({**RECIPE, **changes, "seed": seed}))
    told = child("learn_fashion.py", data, scratch / "ours.npz", recipe)
    with np.load(scratch / "ours.npz") as file:
        known, truth = file["known"].astype(np.int64), file["truth"].astype(np.int64)
        return knn_correct(file["gallery"], known, file["queries"], truth), told


def plain(data: Path, scratch: Path, seed: int, rate: float) -> tuple[npt.NDArray[np.float64], dict[str, Any]]:
    """The same of the plain loop."""
    told = child("learn_plain.py", data, scratch / "plain.npz", seed, WIDTH, DIMENSION, EPOCHS, BATCH, rate)
    with np.load(data) as file, np.load(scratch / "plain.npz") as made:
        known, truth = file["y_train"].astype(np.int64), file["y_test"].astype(np.int64)
        return knn_correct(made["gallery"], known, made["queries"], truth), told


def raw(data: Path) -> npt.NDArray[np.float64]:
    """kNN on pixels: what an encoder must beat."""
    with np.load(data) as file:
        gallery, queries = (file[n].reshape(len(file[n]), -1).astype(np.float32) / 255 for n in ("x_train", "x_test"))
        return knn_correct(gallery, file["y_train"].astype(np.int64), queries, file["y_test"].astype(np.int64))


def split(data: Path, scratch: Path) -> Path:
    """The training rows alone, cut into others to train and to test on."""
    with np.load(data) as file:
        x, y = file["x_train"], file["y_train"]
    order = np.random.default_rng(99).permutation(len(x))
    held, rest = order[:HELD_OUT], order[HELD_OUT:]
    path = scratch / "split.npz"
    np.savez(path, x_train=x[rest], y_train=y[rest], x_test=x[held], y_test=y[held])
    return path


def select(data: Path, scratch: Path) -> str:
    """Candidates of both sides on the split."""
    cut = split(data, scratch)
    rows = [[name, f"{ours(cut, scratch, 0, changes)[0].mean():.4f}"] for name, changes in CANDIDATES.items()]
    rows += [
        [f"plain loop, step size {rate:g}", f"{plain(cut, scratch, 0, rate)[0].mean():.4f}"] for rate in PLAIN_RATES
    ]
    return page.table(["recipe, on a split of the training rows, seed 0", "kNN-20"], rows)


TOLD = """Fashion-MNIST, official split, supervised contrastive loss, an encoder of 94,559 parameters, {epochs} epochs,
{seeds} seeds. kNN-20 of the test rows' embeddings among the training rows'; the lower bound is one-sided, 95%, over
test rows and seeds together. **Backstay** is `train.loop.fit` as it comes: held-out look and checkpoint each epoch
inside the measured time, embeddings as the exported ONNX graph answers them. The **plain loop** is what one writes
with PyTorch and pytorch-metric-learning: the same layers, Adam, no checkpoint, no held-out rows; its step size was the
best of {rates} on the same split of the training rows on which our recipe was chosen."""


def report(data: Path, scratch: Path, seeds: int) -> str:
    """Both sides in turns over the seeds; the section for the page."""
    cut = split(data, scratch)
    rate = max(PLAIN_RATES, key=lambda r: float(plain(cut, scratch, 0, r)[0].mean()))
    right: dict[str, list[npt.NDArray[np.float64]]] = {"ours": [], "plain": []}
    cost: dict[str, list[dict[str, Any]]] = {"ours": [], "plain": []}
    for seed in range(seeds):
        for side in ("ours", "plain") if seed % 2 == 0 else ("plain", "ours"):
            found, told = ours(data, scratch, seed, {}) if side == "ours" else plain(data, scratch, seed, rate)
            right[side].append(found)
            cost[side].append(told)
    ratios = [
        a["images_per_cpu_second"] / b["images_per_cpu_second"]
        for a, b in zip(cost["ours"], cost["plain"], strict=True)
    ]
    lines = [
        ["Backstay", *_cells(figure(np.stack(right["ours"])), cost["ours"])],
        [f"plain loop, step size {rate:g}", *_cells(figure(np.stack(right["plain"])), cost["plain"])],
        ["raw pixels", f"{raw(data).mean():.4f}", "", "", "", ""],
    ]
    heads = ["who", "kNN-20", "lower bound", "between seeds", "CPU s", "images / CPU-s"]
    told = TOLD.format(epochs=EPOCHS, seeds=seeds, rates=", ".join(f"{r:g}" for r in PLAIN_RATES))
    middle = sorted(ratios)[len(ratios) // 2]
    speed = (
        f"Images a CPU-second, Backstay over the plain loop within a seed: median {middle:.2f} "
        f"({min(ratios):.2f} to {max(ratios):.2f})."
    )
    made = page.provenance("python bench/learn.py", [HERE / name for name in SCRIPTS], PACKAGES, [])
    return "\n\n".join(("## Learning", told, page.table(heads, lines), speed, made))


def _cells(found: Figure, cost: list[dict[str, Any]]) -> list[str]:
    spent = float(np.median([c["cpu_seconds"] for c in cost]))
    speed = float(np.median([c["images_per_cpu_second"] for c in cost]))
    return [f"{found.mean:.4f}", f"{found.low:.4f}", f"{found.between_seeds:.4f}", f"{spent:.1f}", f"{speed:.0f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the trainer on Fashion-MNIST beside a plain loop.")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--select", action="store_true", help="compare candidates on a split of the training rows")
    given = parser.parse_args()
    data = Path(os.environ["BACKSTAY_DATA"]).resolve() / "fashion_mnist" / "fashion_mnist.npz"
    with tempfile.TemporaryDirectory(prefix="backstay-bench-") as scratch:
        if given.select:
            print(select(data, Path(scratch)))
            return
        text = report(data, Path(scratch), given.seeds)
    print(text)
    page.write_section("learn", text)


if __name__ == "__main__":
    main()
