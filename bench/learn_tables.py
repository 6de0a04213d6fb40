"""Adult (census income): boosted trees beside scikit-learn's own, and an encoder that learns from unlabelled rows.

With 1% of the labels, self-supervision on all training rows is set beside boosting on that 1%, whichever is better.
Recipes were chosen on a split of the training rows (`--select` repeats the choice); the test rows are read once a seed.
The trainings of a recipe run in a process of their own, one thread. Writes docs/benchmarks.md.

    BACKSTAY_DATA=FOLDER python bench/learn_tables.py
    BACKSTAY_DATA=FOLDER python bench/learn_tables.py --select   # candidates on a split; writes nothing
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
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

import page
from backstay.kernel.records import RuleOutcome
from backstay.loop.encoder_controls import EncoderRows
from learn import HERE, child
from learn_figures import figure
from learn_policy import verdict
from learn_tables_side import CLASSES

SCRIPTS = ("learn_tables.py", "learn_tables_side.py", "learn_policy.py", "learn_figures.py")
PACKAGES = ("backstay", "torch", "scikit-learn", "onnxruntime", "numpy")
HELD_OUT = 6000
FEW = 0.01
TREES: dict[str, Any] = {"model": "gradient_boosting"}
FEW_TREES: dict[str, Any] = {"model": "gradient_boosting", "model_options": {"learning_rate": 0.05, "leaf_rows": 10}}
FEW_LINEAR: dict[str, Any] = {"model": "logistic_regression"}
RECIPE: dict[str, Any] = {
    "encoder": "mlp",
    "objective": "scarf",
    "dimension": 64,
    "epochs": 5,
    "patience": 5,
    "batch_size": 256,
    "learning_rate": 0.002,
    "schedule": "one_cycle",
}
CANDIDATES: dict[str, dict[str, Any]] = {
    "boosting": TREES,
    "boosting, slower, smaller leaves": FEW_TREES,
    "logistic regression": FEW_LINEAR,
    "scarf": RECIPE,
    "masked": {**RECIPE, "objective": "masked"},
    "denoising": {**RECIPE, "objective": "denoising"},
}
Scores = npt.NDArray[np.float64]


class Side:
    """One training: its scores on the test rows, its cost, and what the policy says of an encoder."""

    def __init__(self, made: dict[str, Any], spent: float) -> None:
        self.spent, self.labelled = spent, int(made["labelled"])
        self.scores = np.asarray(made["scores"], dtype=np.float64)
        self.truth = made["truth"].astype(np.int64)
        self.right = (self.scores.argmax(axis=1) == self.truth).astype(np.float64)
        self.auc = float(roc_auc_score(self.truth, self.scores[:, 1]))
        self.outcome: RuleOutcome | None = None
        self.line: Scores | None = None
        if "gallery" in made:
            known = made["known"].astype(np.int64)
            spaces = EncoderRows(
                known,
                (made["gallery"], made["queries"]),
                (made["untrained_gallery"], made["untrained_queries"]),
            )
            most = np.eye(len(CLASSES))[np.full(len(self.truth), np.bincount(known).argmax())]
            controls = {"majority": most, **{name: made[name] for name in ("raw_knn", "raw_linear")}}
            self.line = (made["raw_linear"].argmax(axis=1) == self.truth).astype(np.float64)
            self.outcome, _ = verdict(self.scores, self.truth, CLASSES, controls, spaces)


def sides(data: Path, scratch: Path, recipe: dict[str, Any], share: float, seeds: int) -> list[Side]:
    """The trainings of one recipe; the seed draws the labelled rows as well."""
    told_to, out = scratch / "recipe.json", scratch / "out.npz"
    told_to.write_text(json.dumps(recipe))
    told = child("learn_tables_side.py", data, out, told_to, share, seeds)
    found = []
    for seed, spent in enumerate(told["cpu_seconds"]):
        with np.load(out.with_suffix(f".{seed}.npz")) as file:
            found.append(Side({name: file[name] for name in file.files}, spent))
    return found


def split(data: Path, scratch: Path) -> Path:
    """The training rows alone, cut into others to train and to test on."""
    table = pq.read_table(data)
    table = table.filter(pa.array([s == "train" for s in table.column("split").to_pylist()]))
    held = np.zeros(table.num_rows, dtype=bool)
    held[np.random.default_rng(99).permutation(table.num_rows)[:HELD_OUT]] = True
    place = table.column_names.index("split")
    path = scratch / "split.parquet"
    pq.write_table(table.set_column(place, "split", pa.array(np.where(held, "test", "train").tolist())), path)
    return path


def select(data: Path, scratch: Path, seeds: int, names: list[str]) -> str:
    """Candidates at 1% of the labels on the split."""
    cut, rows = split(data, scratch), []
    for name in names:
        recipe = CANDIDATES[name]
        found = sides(cut, scratch, recipe, FEW, seeds)
        spent = float(np.median([s.spent for s in found]))
        passed = [s.outcome.passed for s in found if s.outcome is not None]
        figures = [f"{np.mean([s.right.mean() for s in found]):.4f}", f"{np.mean([s.auc for s in found]):.4f}"]
        rows.append([name, *figures, f"{spent:.1f}", f"{sum(passed)} of {len(passed)}" if passed else ""])
        print(rows[-1], flush=True)
    heads = [f"1% of labels, split of the training rows, {seeds} seeds", "accuracy", "AUC", "CPU s", "policy passes"]
    return page.table(heads, rows)


def apart(ours: list[Scores], other: list[Scores]) -> str:
    """Which rows each side has right, seed by seed: the mean difference, and 95% from each side."""
    above, below = (
        figure(np.stack(d))
        for d in ([a - b for a, b in zip(ours, other, strict=True)], [b - a for a, b in zip(ours, other, strict=True)])
    )
    return f"accuracy {above.mean:+.4f} (95% from each side: {above.low:+.4f} to {-below.low:+.4f})"


def theirs(data: Path) -> tuple[Scores, Scores]:
    """scikit-learn's boosting as it comes, on all training rows: probability of class 1 on the test rows, and truth."""
    frame = pq.read_table(data).to_pandas()
    names = [c for c in frame.columns if c not in ("income", "split")]
    for name in names:
        if frame[name].dtype == object or str(frame[name].dtype) in ("str", "string"):
            frame[name] = frame[name].astype("category")
    known, test = frame[frame["split"] == "train"], frame[frame["split"] == "test"]
    model = HistGradientBoostingClassifier(categorical_features="from_dtype", random_state=0)
    model.fit(known[names], known["income"].astype(int))
    return model.predict_proba(test[names])[:, 1], test["income"].astype(int).to_numpy()


TOLD = """Adult, official split, {seeds} seeds. Lower bounds are one-sided, 95%, over test rows and seeds together; AUC
is a mean over seeds and its least. **scikit-learn** is `HistGradientBoostingClassifier` as it comes, on all training
rows; Backstay's takes a tenth of them to say how many trees, and answers through its ONNX graph. With **1% of the
labels** ({labelled} rows, drawn anew by each seed; a fifth of them is held out for early stopping and calibration) the
encoder learns from all other training rows without their labels, and its head from the labelled ones. Recipes were
chosen on a split of the training rows whose labels are many more than the 1%: choosing had more labels than learning,
for all rows of the table alike. Default policy: `beats_controls` with its usual margin, the control `raw_linear` among
them."""


def report(data: Path, scratch: Path, seeds: int) -> str:
    """The section for the page."""
    lines = []
    known, truth = theirs(data)
    own = (known > 0.5) == truth
    lines.append(
        ["all labels: scikit-learn", f"{own.mean():.4f}", "", f"{roc_auc_score(truth, known):.4f}", "", "", ""]
    )
    kinds = {
        "all labels: `gradient_boosting`": (TREES, 1.0),
        "1%: `gradient_boosting`": (FEW_TREES, FEW),
        "1%: `logistic_regression`": (FEW_LINEAR, FEW),
        f"1%: `{RECIPE['objective']}` and a linear head": (RECIPE, FEW),
    }
    found = {name: sides(data, scratch, r, share, seeds) for name, (r, share) in kinds.items()}
    for name, runs in found.items():
        shown = figure(np.stack([s.right for s in runs]))
        spent = float(np.median([s.spent for s in runs]))
        passed = [s.outcome.passed for s in runs if s.outcome is not None]
        auc = [s.auc for s in runs]
        policy = f"passes {sum(passed)} of {len(passed)}" if passed else ""
        cells = [f"{shown.mean:.4f}", f"{shown.low:.4f}", f"{np.mean(auc):.4f}", f"{min(auc):.4f}", f"{spent:.1f}"]
        lines.append([name, *cells, policy])
    whole, trees, _, encoder = found.values()
    even = apart([run.right for run in whole], [own.astype(np.float64)] * seeds)
    behind = apart([run.right for run in encoder], [run.right for run in trees])
    line = [run.line for run in encoder if run.line is not None]
    beside = apart([run.right for run in encoder], line)
    by_auc = float(np.mean([a.auc - b.auc for a, b in zip(encoder, trees, strict=True)]))
    outcome = encoder[0].outcome
    more = (
        f"All labels, Backstay's boosting less scikit-learn's on the same rows: {even}. Of 1%, self-supervision less "
        f"boosting on the same labels: {behind}, AUC {by_auc:+.4f}. Self-supervision less the control `raw_linear`, a "
        f"logistic regression on the rows that its head learned from ({np.mean(line):.4f}): {beside}. Of seed 0 the "
        "policy says: "
        f"{'' if outcome is None else outcome.message}."
    )
    heads = ["who", "accuracy", "lower bound", "AUC", "least", "CPU s", "default policy"]
    made_by = page.provenance("python bench/learn_tables.py", [HERE / name for name in SCRIPTS], PACKAGES, [])
    told = TOLD.format(seeds=seeds, labelled=trees[0].labelled)
    return "\n\n".join(("### Tables", told, page.table(heads, lines), more, made_by))


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure boosting and self-supervision on Adult.")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--candidates", nargs="+", default=list(CANDIDATES), help="with --select: these alone")
    parser.add_argument("--select", action="store_true", help="compare candidates on a split of the training rows")
    given = parser.parse_args()
    data = Path(os.environ["BACKSTAY_DATA"]).resolve() / "adult" / "adult.parquet"
    with tempfile.TemporaryDirectory(prefix="backstay-bench-") as folder:
        if given.select:
            print(select(data, Path(folder), given.seeds, given.candidates))
            return
        text = report(data, Path(folder), given.seeds)
    print(text)
    page.write_section("learn_tables", text)


if __name__ == "__main__":
    main()
