"""NannyML's CBPE on employment_ma, in an environment of its own: estimates by chunk, as JSON on standard output.

python bench/watch_estimates_nannyml.py EMPLOYMENT.parquet ROWS
"""

from __future__ import annotations

import json
import sys
import warnings

import nannyml
import pandas as pd

warnings.simplefilter("ignore")

table = pd.read_parquet(sys.argv[1])
before = table[table["year"] == 2015].reset_index(drop=True)
after = table[table["year"] > 2015].reset_index(drop=True)
estimator = nannyml.CBPE(
    problem_type="classification_binary",
    y_pred_proba="predicted_probability",
    y_pred="prediction",
    y_true="employed",
    metrics=["roc_auc", "accuracy"],
    chunk_size=int(sys.argv[2]),
).fit(before)
chunks = estimator.estimate(after).to_df()
chunks = chunks[chunks["chunk", "period"] == "analysis"]
found = {ours: chunks[theirs, "value"].tolist() for ours, theirs in (("accuracy", "accuracy"), ("auc", "roc_auc"))}
print(json.dumps(found))
