"""The shelf of heads, what turns embeddings into scores: `build(dimension, classes, options)` answers a torch module
with `scores`, `fit` and `calibrate` (see heads/linear.py)."""

from backstay.kernel.registry import Shelf

HEADS = Shelf(
    "head",
    "backstay.heads",
    {
        "anomaly": "backstay.train.heads.anomaly:build",
        "knn": "backstay.train.heads.knn:build",
        "linear": "backstay.train.heads.linear:build",
        "prototype": "backstay.train.heads.prototype:build",
    },
)
