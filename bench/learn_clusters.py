"""Clusters of digits that nothing learned from: by their pixels, and where an encoder puts them; beside scikit-learn.

`python bench/learn_clusters.py [SPLITS]`: scikit-learn's 1,797 digits, 1,000 to learn from and 797 to cluster, drawn
anew for each split. Figures are means over the splits, with the least and the largest.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.metrics import adjusted_rand_score

import backstay
from backstay.maths.cosine import unit_rows

LEARNED = 1000
RECIPES = {
    "pixels": None,
    "supcon": 'objective = "supcon"\nepochs = 15\ndimension = 16',
    "cross_entropy": 'objective = "cross_entropy"\nepochs = 15\ndimension = 16',
}
PROJECT = """
version = 1
name = "digits"
[data]
source = "learn.parquet"
target = "y"
id = "id"
[train]
seed = {seed}
{recipe}
[gate]
rules = []
"""


def split(seed: int) -> tuple[pa.Table, pa.Table]:
    pixels, digit = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(pixels))
    whole = pa.table(
        {
            "id": [f"d-{i}" for i in order],
            "v": (pixels[order] / 16).tolist(),
            "y": [str(value) for value in digit[order]],
        }
    )
    return whole.slice(0, LEARNED), whole.slice(LEARNED)


def one(name: str, seed: int) -> dict[str, float]:
    """Figures of one split: K chosen, and with ten clusters those against the digits."""
    learn, held = split(seed)
    with tempfile.TemporaryDirectory() as there:
        folder = Path(there)
        (folder / "backstay.toml").write_text(PROJECT.format(seed=seed, recipe=RECIPES[name] or ""))
        pq.write_table(learn, folder / "learn.parquet")
        project = backstay.open(folder, actor="bench")
        if RECIPES[name] is None:
            asked, vectors = {"vectors": "v"}, np.array(held["v"].to_pylist())
        else:
            record = project.models.run().model
            asked = {"candidate": record.id}
            vectors = project.ws.load_model(record).predict(held).embeddings
        chosen = project.models.cluster(held, **asked)
        start = time.process_time()
        ten = project.models.cluster(held, clusters=10, **asked)
        seconds = time.process_time() - start
    theirs = KMeans(10, n_init=10, random_state=seed).fit_predict(unit_rows(vectors, "row").astype(np.float64))
    return {
        "K chosen": chosen.clusters,
        "purity": ten.against.purity,
        "adjusted Rand": ten.against.adjusted_rand,
        "scikit-learn's": adjusted_rand_score(held["y"].to_pylist(), theirs),
        "silhouette": ten.silhouette,
        "steadiness": ten.steadiness,
        "CPU seconds": seconds,
    }


def main() -> int:
    splits = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    for place, name in enumerate(RECIPES):
        found = [one(name, seed) for seed in range(splits)]
        if place == 0:
            sys.stdout.write("| space | " + " | ".join(found[0]) + " |\n|" + "---|" * (len(found[0]) + 1) + "\n")
        columns = {key: [each[key] for each in found] for key in found[0]}
        told = [f"{np.mean(v):.3g} ({np.min(v):.3g} to {np.max(v):.3g})" for v in columns.values()]
        sys.stdout.write(f"| {name} | " + " | ".join(told) + " |\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
