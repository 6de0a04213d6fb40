"""The tables of docs/anomalies.md and docs/images.md, on scikit-learn's digits: `python bench/learn_anomalies.py`."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
from sklearn.datasets import load_digits

from backstay.bundle.model import Model, load
from backstay.data.images import image_array
from backstay.evaluate.enhancement import damaged, psnr
from backstay.evaluate.ranks import raw_distance
from backstay.kernel.records import Column, ColumnKind, Schema
from backstay.maths.classification import auc
from backstay.settings import TrainSettings
from backstay.train.loop import fit

SCHEMA = Schema(
    (Column("image", ColumnKind.IMAGE, shape=(8, 8, 1)), Column("y", ColumnKind.CATEGORY)), ("image",), target="y"
)
SPLITS = 5
USUAL = {"epochs": 30, "patience": 30, "batch_size": 64, "learning_rate": 0.003}


def main() -> None:
    """Print both tables."""
    digits = load_digits()
    pixels = (digits.images * 15.9).astype(np.uint8)[..., None]
    nines = digits.target == 9
    raw = [raw_distances(pixels, nines, split) for split in range(SPLITS)]
    print(f"raw rows: auc {np.mean(raw):.3f} ({min(raw):.3f} to {max(raw):.3f})", flush=True)
    for by, objective in (
        ("neighbours", "nt_xent"),
        ("neighbours", "denoising"),
        ("reconstruction", "denoising"),
        ("reconstruction", "variational"),
    ):
        found = np.array([anomalies(pixels, nines, by, objective, split) for split in range(SPLITS)])
        told = " ".join(f"{value:.3f}" for value in (*found.mean(axis=0), found[:, 0].min(), found[:, 0].max()))
        print(f"{objective} {by}: auc, normal called, nines called, least auc, most: {told}", flush=True)
    for objective in ("denoising", "variational"):
        for dimension in (16, 64):
            enhanced(pixels, [str(d) for d in digits.target], objective, dimension)


def raw_distances(pixels: np.ndarray, odd: np.ndarray, split: int) -> float:
    """AUC of the control: the distance of the pixels to those of the five nearest normal training images."""
    order = np.random.default_rng(split).permutation(len(odd))
    train, asked = np.sort(order[:1000]), np.sort(order[1400:])
    flat = pixels.reshape(len(pixels), -1) / np.float32(255)
    far = raw_distance(flat[train[~odd[train]]], flat[asked], k=5)
    return auc(odd[asked].astype(np.int64), np.column_stack([-far, far]))


def anomalies(pixels: np.ndarray, odd: np.ndarray, by: str, objective: str, split: int) -> tuple[float, float, float]:
    """AUC on the rows to measure, and the shares of normal and of odd ones that were called anomalous."""
    order = np.random.default_rng(split).permutation(len(odd))
    parts = {"train": np.sort(order[:1000]), "tune": np.sort(order[1000:1400])}
    asked = np.sort(order[1400:])
    table = pa.table({"image": image_array(pixels), "y": np.where(odd, "other", "known").tolist()})
    options = {"by": by, "normal": "known"}
    recipe = TrainSettings(head="anomaly", objective=objective, dimension=32, seed=split, head_options=options, **USUAL)
    outputs = trained(table, parts, recipe, ("known", "other")).predict(table.take(pa.array(asked)))
    called = outputs.labels == "other"
    figure = auc(odd[asked].astype(np.int64), outputs.scores.astype(np.float64))
    return figure, float(called[~odd[asked]].mean()), float(called[odd[asked]].mean())


def enhanced(pixels: np.ndarray, labels: list[str], objective: str, dimension: int) -> None:
    """Print mean PSNR of what goes in and of what comes out, with and without black pixels."""
    table = pa.table({"image": image_array(pixels), "y": labels})
    parts = {"train": np.arange(1000), "tune": np.arange(1000, 1300)}
    recipe = TrainSettings(objective=objective, enhance=True, dimension=dimension, **USUAL)
    enhancer = trained(table, parts, recipe, tuple("0123456789")).enhancer
    assert enhancer is not None
    for hidden in (0.3, 0.0):
        given = damaged(pixels[1300:], hidden=hidden)
        before, after = (psnr(pixels[1300:], images).mean() for images in (given, enhancer.run(given)))
        print(f"{objective} {dimension}, {hidden:.0%} black and noise: {before:.1f} in, {after:.1f} out", flush=True)


def trained(table: pa.Table, parts: dict[str, np.ndarray], recipe: TrainSettings, classes: tuple[str, ...]) -> Model:
    """The model of this recipe."""
    with tempfile.TemporaryDirectory() as folder:
        return load(fit(table, SCHEMA, parts, recipe, classes=classes, workdir=Path(folder)).bundle_directory)


if __name__ == "__main__":
    main()
