"""Accuracy and AUC without labels on employment_ma: Backstay beside NannyML's CBPE, same rows, same chunks, same run.

    BACKSTAY_DATA=FOLDER python bench/watch_estimates.py [--peers FOLDER]

The reference is 2015, the traffic 2016 to 2018 in chunks of 5,000 rows. Backstay refuses where the reference is unlike
the rows; CBPE has no such rule, so that it is measured on all chunks and on those that Backstay answers.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sklearn.metrics import roc_auc_score

import backstay
from peers import pinned

ROWS = 5000
METRICS = ("accuracy", "auc")
SIDE = Path(__file__).resolve().parent / "watch_estimates_nannyml.py"


def ours(before: pa.Table, after: pa.Table) -> list[Any]:
    """One window a chunk, a day each."""
    days = np.datetime64("2026-01-05", "us") + (np.arange(after.num_rows) // ROWS) * np.timedelta64(1, "D")
    live = after.drop_columns(["employed"]).append_column("at", pa.array(days, pa.timestamp("us", "UTC")))
    seen = backstay.watch(
        live,
        reference=before,
        prediction="prediction",
        score="predicted_probability",
        positive="1",
        label="employed",
        id="id",
        time="at",
        window_days=1.0,
        ignore=["year", "partition"],
        metrics=["auc"],
    )
    return list(seen.windows)


def theirs(path: Path, peers: Path) -> dict[str, list[float]]:
    """CBPE's estimates by chunk. Usage statistics are turned off: a benchmark tells nobody anything."""
    peer = pinned("nannyml", peers / "nannyml")
    if peer.python is None:
        raise SystemExit(f"NannyML is not there: {peer.why_not}")
    done = subprocess.run(
        [str(peer.python), str(SIDE), str(path), str(ROWS)],
        env={**os.environ, "NML_DISABLE_USAGE_LOGGING": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Label-free estimates on employment_ma beside NannyML's CBPE.")
    parser.add_argument("--peers", type=Path, default=Path(tempfile.gettempdir()) / "peers")
    chosen = parser.parse_args()
    path = Path(os.environ["BACKSTAY_DATA"]) / "employment_ma" / "employment_ma.parquet"
    table = pq.read_table(path)
    before, after = table.filter(pc.equal(table["year"], 2015)), table.filter(pc.greater(table["year"], 2015))
    peer, windows = theirs(path, chosen.peers), ours(before, after)
    truth, chance = after["employed"].to_numpy(), after["predicted_probability"].to_numpy()
    right = after["prediction"].to_numpy() == truth
    chunks = [slice(first, first + ROWS) for first in range(0, after.num_rows, ROWS)]
    print("| metric | chunks answered | Backstay | CBPE, same chunks | CBPE, all chunks | coverage |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for metric in METRICS:
        true = [right[c].mean() if metric == "accuracy" else roc_auc_score(truth[c], chance[c]) for c in chunks]
        told = [next(e for e in w.estimates if e.kind == "label-free" and e.metric == metric) for w in windows]
        answered = [i for i, e in enumerate(told) if e.value is not None]
        mine = np.mean([abs(told[i].value - true[i]) for i in answered])
        same, every = (np.mean([abs(peer[metric][i] - true[i]) for i in p]) for p in (answered, range(len(true))))
        inside = np.mean([told[i].interval.low <= true[i] <= told[i].interval.high for i in answered])
        print(f"| {metric} | {len(answered)}/{len(true)} | {mine:.4f} | {same:.4f} | {every:.4f} | {inside:.0%} |")


if __name__ == "__main__":
    main()
