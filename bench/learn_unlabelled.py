"""Fashion-MNIST without labels: what the shelf learns from 20,000 images, by patches or by self-supervised objectives.

`--select` compares candidates on a split of the training rows, with what the usual policy says of each; the test rows
are read once a seed. Each training runs in a process of its own, one thread. Writes docs/benchmarks.md.

    BACKSTAY_DATA=FOLDER python bench/learn_unlabelled.py
    BACKSTAY_DATA=FOLDER python bench/learn_unlabelled.py --select   # candidates on a split; writes nothing
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import page
from backstay.evaluate.controls import majority, raw_knn
from backstay.kernel.records import RuleOutcome
from backstay.loop.encoder_controls import EncoderRows
from learn import HERE, child, split
from learn_fashion import CLASSES
from learn_figures import figure, knn_correct
from learn_policy import GATE_NEIGHBOURS, verdict

SCRIPTS = ("learn_unlabelled.py", "learn_unlabelled_side.py", "learn_fashion.py", "learn_figures.py", "learn_policy.py")
PACKAGES = ("backstay", "torch", "onnxruntime", "numpy")
MOST_CPU_SECONDS = 300.0
RECIPE: dict[str, Any] = {
    "encoder": "patches",
    "dimension": 256,
    "head_options": {"ridge": 1e-6},
    "augmentation": 0.0,
}
BY_STEPS: dict[str, Any] = {
    "encoder": "conv",
    "encoder_options": {"halving": "pool", "width": 27},
    "dimension": 128,
    "epochs": 8,
    "patience": 1000,
    "learning_rate": 0.003,
    "schedule": "one_cycle",
}
TWO_VIEWS: dict[str, Any] = {
    **BY_STEPS,
    "objective": "nt_xent",
    "augmentation": 1.0,
    "augmentation_options": {"crop": 0.3},
    "flip": True,
    "temperature": 0.2,
    "half": True,
}
REBUILT: dict[str, Any] = {**BY_STEPS, "objective": "denoising", "objective_options": {"hidden": 0.5}}
CANDIDATES: dict[str, dict[str, Any]] = {
    "patches": {},
    "patches, every second place": {"encoder_options": {"step": 2}},
    "patches, 128 dimensions": {"dimension": 128},
    "NT-Xent, 8 epochs": TWO_VIEWS,
    "NT-Xent, 1 epoch": {**TWO_VIEWS, "epochs": 1},
    "VICReg, 8 epochs": {**TWO_VIEWS, "objective": "vicreg"},
    "denoising, 2 epochs": {**REBUILT, "epochs": 2, "augmentation": 0.5},
    "denoising, 8 epochs": {**REBUILT, "augmentation": 0.5},
    "variational, 8 epochs": {**REBUILT, "objective": "variational", "objective_options": {}, "augmentation": 0.5},
}

Right = npt.NDArray[np.float64]


class Side:
    """One training: which test rows it has right by neighbours and by the head, its cost, and what the policy says."""

    def __init__(self, made: dict[str, Any], told: dict[str, Any], pixels: tuple[npt.NDArray[np.float32], ...]) -> None:
        known, truth = made["known"].astype(np.int64), made["truth"].astype(np.int64)
        self.told = told
        self.knn: Right = knn_correct(made["gallery"], known, made["queries"], truth)
        self.linear: Right = (made["scores"].argmax(axis=1) == truth).astype(np.float64)
        self.raw: Right = knn_correct(pixels[0], known, pixels[1], truth)
        self.untrained: Right = knn_correct(made["untrained_gallery"], known, made["untrained_queries"], truth)
        self.outcome = policy(made, known, truth, pixels)


def policy(
    made: dict[str, Any],
    known: npt.NDArray[np.int64],
    truth: npt.NDArray[np.int64],
    pixels: tuple[npt.NDArray[np.float32], ...],
) -> RuleOutcome:
    """What `beats_controls` of the usual policy says of this model."""
    commonest = np.eye(len(CLASSES))[majority(known, len(truth))]
    raw = raw_knn(pixels[0], known, pixels[1], k=GATE_NEIGHBOURS, classes=len(CLASSES))
    spaces = EncoderRows(
        known, (made["gallery"], made["queries"]), (made["untrained_gallery"], made["untrained_queries"])
    )
    return verdict(made["scores"], truth, CLASSES, {"majority": commonest, "raw_knn": raw}, spaces)[0]


def side(data: Path, scratch: Path, changes: dict[str, Any]) -> Side:
    """One training of the recipe with these changes."""
    recipe = scratch / "recipe.json"
    recipe.write_text(json.dumps({**RECIPE, **changes}))
    told = child("learn_unlabelled_side.py", data, scratch / "out.npz", recipe)
    with np.load(scratch / "out.npz") as file:
        made = {name: file[name] for name in file.files}
    with np.load(data) as file:
        rows = (file["x_train"][made["rows"]], file["x_test"])
    pixels = tuple(part.reshape(len(part), -1).astype(np.float32) / 255 for part in rows)
    return Side(made, told, pixels)


def select(data: Path, scratch: Path) -> str:
    """Candidates on the split, with the policy's word on each."""
    cut, rows = split(data, scratch), []
    for name, changes in CANDIDATES.items():
        found = side(cut, scratch, {**changes, "seed": 0})
        figures = [f"{found.knn.mean():.4f}", f"{found.linear.mean():.4f}", f"{found.told['cpu_seconds']:.0f}"]
        rows.append([name, *figures, "passes" if found.outcome.passed else "refused"])
        print(f"{name}: {figures} {found.outcome.message}", flush=True)
    heads = ["recipe, on a split of the training rows, seed 0", "kNN-20", "linear", "CPU s", "usual policy"]
    return page.table(heads, rows)


TOLD = """Fashion-MNIST, 20,000 training images without labels, {seeds} seeds. kNN-20 of the test rows among the 20,000;
linear is the bundle's own head, logistic regression on frozen embeddings of the 20,000. The encoder is `patches` as it
comes, 256 dimensions. Labels fit head and neighbours, and 2,000 other training rows calibrate the head; the encoder
sees none. CPU seconds are of the whole `train.loop.fit`, head and export included. Lower bounds are one-sided, 95%,
over test rows and seeds together. `--select` compares candidates on a split of the training rows. **Usual
policy** is what `beats_controls` says with its default margin, by the gate's own figures on the same rows."""


def report(data: Path, scratch: Path, seeds: int) -> str:
    """The section for the page."""
    found = [side(data, scratch, {"seed": seed}) for seed in range(seeds)]
    spent = float(np.median([s.told["cpu_seconds"] for s in found]))
    if max(s.told["cpu_seconds"] for s in found) > MOST_CPU_SECONDS:
        raise RuntimeError("a seed took more CPU-seconds than the budget")
    knn, linear = (figure(np.stack([getattr(s, name) for s in found])) for name in ("knn", "linear"))
    above = figure(np.stack([s.knn - s.raw for s in found]))
    passed = sum(s.outcome.passed for s in found)
    lines = [
        ["Backstay", f"{knn.mean:.4f}", f"{knn.low:.4f}", f"{linear.mean:.4f}", f"{linear.low:.4f}", f"{spent:.0f}"],
        ["the same encoder untrained", f"{found[0].untrained.mean():.4f}", "", "", "", ""],
        ["raw pixels", f"{found[0].raw.mean():.4f}", "", "", "", ""],
    ]
    heads = ["who", "kNN-20", "lower bound", "linear", "lower bound", "CPU s"]
    more = (
        f"Neighbours above those of raw pixels by {above.mean:.4f}, at least {above.low:.4f}. The usual policy passes "
        f"{passed} of {seeds} seeds; of seed 0 it says: {found[0].outcome.message}."
    )
    made_by = page.provenance("python bench/learn_unlabelled.py", [HERE / name for name in SCRIPTS], PACKAGES, [])
    told = TOLD.format(seeds=seeds)
    return "\n\n".join(("### Without labels", told, page.table(heads, lines), more, made_by))


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure self-supervised objectives on Fashion-MNIST.")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--select", action="store_true", help="compare candidates on a split of the training rows")
    given = parser.parse_args()
    data = Path(os.environ["BACKSTAY_DATA"]).resolve() / "fashion_mnist" / "fashion_mnist.npz"
    with tempfile.TemporaryDirectory(prefix="backstay-bench-") as folder:
        if given.select:
            print(select(data, Path(folder)))
            return
        text = report(data, Path(folder), given.seeds)
    print(text)
    page.write_section("learn_unlabelled", text)


if __name__ == "__main__":
    main()
