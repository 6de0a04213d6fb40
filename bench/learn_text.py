"""Texts from scratch: banking77 with all labels and with 10 a class, and what is out of scope in CLINC150.

Beside each training stands `tf_idf_linear`, the control that the default policy measures of texts. Recipes were chosen
on splits of the training rows and, of CLINC150, on its official validation rows (`--select` repeats the choice); the
test rows are read once a seed, and no row out of scope is learned from. Each training runs in a process of its own, one
thread. Writes docs/benchmarks.md.

    BACKSTAY_DATA=FOLDER python bench/learn_text.py
    BACKSTAY_DATA=FOLDER python bench/learn_text.py --select   # candidates; writes nothing
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

import page
from backstay.evaluate.controls import raw_knn, raw_matrix, tf_idf_linear
from backstay.kernel.records import Comparison, RuleOutcome
from backstay.loop.encoder_controls import EncoderRows
from learn import HERE, child
from learn_figures import figure
from learn_policy import GATE_NEIGHBOURS, verdict
from learn_ranks import area, placements
from learn_text_side import SCHEMA, parts_of, positions

SCRIPTS = ("learn_text.py", "learn_text_side.py", "learn_policy.py", "learn_ranks.py", "learn_figures.py")
PACKAGES = ("backstay", "torch", "tokenizers", "onnxruntime", "numpy")
HELD_OUT, FEW = 2000, 10
NEAREST = 5
RECIPE: dict[str, Any] = {
    "encoder": "bag",
    "dimension": 128,
    "epochs": 12,
    "patience": 12,
    "batch_size": 128,
    "learning_rate": 0.003,
    "schedule": "one_cycle",
}
FEW_RECIPE: dict[str, Any] = {**RECIPE, "epochs": 30, "patience": 30, "batch_size": 32}
TERMS: dict[str, Any] = {"encoder": "terms", "learning_rate": 0.01}
CLINC_RECIPE: dict[str, Any] = {**RECIPE, "epochs": 8, "patience": 8}
CANDIDATES: dict[str, dict[str, Any]] = {
    "chosen": {},
    "larger steps": {"learning_rate": 0.006},
    "more hidden": {"augmentation": 3.0},
    "no windows": {"encoder_options": {"windows": 0}},
    "terms": TERMS,
    "transformer": {"encoder": "text", "batch_size": 64, "learning_rate": 0.002},
}
HEADS = ["who", "accuracy", "lower bound", "CPU s", "default policy"]
Floats = npt.NDArray[np.float64]
Strange = Callable[[Mapping[str, Any], str], Floats]


def unsure(made: Mapping[str, Any], which: str) -> Floats:
    """1 less the highest probability."""
    scores = made["scores" if which == "inside" else "strange_scores"]
    return 1.0 - np.asarray(scores, dtype=np.float64).max(axis=1)


def far(made: Mapping[str, Any], which: str) -> Floats:
    """1 less the mean cosine to the nearest training rows."""
    asked = made["queries" if which == "inside" else "strange"]
    near = np.partition(asked @ made["gallery"].T, -NEAREST, axis=1)[:, -NEAREST:]
    return 1.0 - near.mean(axis=1).astype(np.float64)


def centre(made: Mapping[str, Any], which: str) -> Floats:
    """1 less the cosine to the nearest class mean of training rows."""
    asked, known = made["queries" if which == "inside" else "strange"], made["known"]
    means = np.stack([made["gallery"][known == code].mean(axis=0) for code in range(int(known.max()) + 1)])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    return 1.0 - (asked @ means.T).max(axis=1).astype(np.float64)


STRANGE: dict[str, Strange] = {
    "1 - highest probability": unsure,
    f"distance to {NEAREST} nearest rows": far,
    "distance to the nearest class mean": centre,
}
CHOSEN = f"distance to {NEAREST} nearest rows"


def told_apart(table: pa.Table, label: str, part: list[str], oos: list[bool]) -> pa.Table:
    """The columns that a side reads."""
    return pa.table({"text": table.column("text"), "label": table.column(label), "part": part, "oos": oos})


def banking(data: Path, out: Path, *, cut: bool) -> Path:
    """banking77: its official parts, or its training rows alone, some of them to test on."""
    table = pq.read_table(data / "banking77" / "banking77.parquet")
    part = table.column("split").to_pylist()
    if cut:
        table = table.filter(pa.array([p == "train" for p in part]))
        held = set(np.random.default_rng(99).permutation(table.num_rows)[:HELD_OUT].tolist())
        part = ["test" if i in held else "train" for i in range(table.num_rows)]
    pq.write_table(told_apart(table, "category", part, [False] * table.num_rows), out)
    return out


def clinc(data: Path, out: Path, *, cut: bool) -> Path:
    """CLINC150: training rows in scope, and its test rows, or its validation rows to test on."""
    table, asked = pq.read_table(data / "clinc150" / "clinc150.parquet"), "val" if cut else "test"
    table = table.filter(pa.array([s in ("train", asked) for s in table.column("split").to_pylist()]))
    part = ["train" if s == "train" else "test" for s in table.column("split").to_pylist()]
    pq.write_table(told_apart(table, "intent", part, [bool(v) for v in table.column("oos").to_pylist()]), out)
    return out


def side(texts: Path, scratch: Path, recipe: dict[str, Any], each: int, seed: int) -> dict[str, Any]:
    """What one training's bundle answers, and under "told" its cost."""
    told_to = scratch / "recipe.json"
    told_to.write_text(json.dumps({**recipe, "seed": seed}))
    told = child("learn_text_side.py", texts, scratch / "out.npz", told_to, each, seed)
    with np.load(scratch / "out.npz") as file:
        return {**{name: file[name] for name in file.files}, "told": told}


class Linear:
    """The control: its scores on rows in scope and out of scope, and its CPU-seconds; a sample is answered once."""

    def __init__(self, texts: Path, each: int) -> None:
        self._texts, self._each = texts, each
        self._all: tuple[Floats, Floats, float] | None = None

    def answers(self, seed: int) -> tuple[Floats, Floats, float]:
        """All rows are the same rows for every seed; few are drawn anew."""
        if self._all is not None:
            return self._all
        known, test, outside, classes = parts_of(self._texts, self._each, seed)
        said = [table.column("text").to_pylist() for table in (known, test, outside)]
        began = time.process_time()
        found = tf_idf_linear(said[0], positions(known, classes), said[1] + said[2], classes=len(classes))
        answered = (found[: len(said[1])], found[len(said[1]) :], time.process_time() - began)
        if not self._each:
            self._all = answered
        return answered


def decided(
    texts: Path, made: Mapping[str, Any], linear: Floats, each: int, seed: int
) -> tuple[RuleOutcome, Comparison]:
    """What the default policy says of this training, and its paired difference to the linear model."""
    known, test, _, classes = parts_of(texts, each, seed)
    raw = raw_matrix(pa.concat_tables([known, test]), SCHEMA)
    codes, size = made["known"].astype(np.int64), known.num_rows
    neighbours = raw_knn(raw[:size], codes, raw[size:], k=GATE_NEIGHBOURS, classes=len(classes))
    most = np.eye(len(classes))[np.full(test.num_rows, np.bincount(codes).argmax())]
    spaces = EncoderRows(
        codes, (made["gallery"], made["queries"]), (made["untrained_gallery"], made["untrained_queries"])
    )
    controls = {"majority": most, "raw_knn": neighbours, "tf_idf_linear": linear}
    outcome, beside = verdict(made["scores"], made["truth"].astype(np.int64), classes, controls, spaces)
    return outcome, beside["tf_idf_linear"]


def right(scores: npt.NDArray[np.floating], truth: npt.NDArray[np.int64]) -> Floats:
    return (scores.argmax(axis=1) == truth).astype(np.float64)


def select(data: Path, scratch: Path, which: str, names: tuple[str, ...]) -> str:
    """Candidates, one seed each."""
    rows = []
    cut = banking(data, scratch / "banking.parquet", cut=True)
    whole = clinc(data, scratch / "clinc.parquet", cut=True)
    cases = {"all": (cut, 0, RECIPE), "few": (cut, FEW, FEW_RECIPE), "clinc": (whole, 0, CLINC_RECIPE)}
    for case in cases if which == "every" else (which,):
        texts, each, recipe = cases[case]
        for name in names:
            made = side(texts, scratch, {**recipe, **CANDIDATES[name]}, each, 0)
            found = f"{right(made['scores'], made['truth']).mean():.4f}"
            areas = [
                f"{placements(score(made, 'inside'), score(made, 'outside'))[0].mean():.4f}" if case == "clinc" else ""
                for score in STRANGE.values()
            ]
            rows.append([f"{case}: {name}", found, *areas, f"{made['told']['cpu_seconds']:.0f}"])
            print(rows[-1], flush=True)
    return page.table(["candidate, seed 0", "accuracy", *(f"AUROC, {name}" for name in STRANGE), "CPU s"], rows)


def policy_rows(data: Path, scratch: Path, seeds: int, changes: dict[str, Any]) -> tuple[list[list[str]], list[str]]:
    """banking77 at both sizes: a line for each side, and what the policy said."""
    texts, lines, told = banking(data, scratch / "banking.parquet", cut=False), [], []
    for size, each, usual in (("all labels", 0, RECIPE), (f"{FEW} a class", FEW, FEW_RECIPE)):
        recipe = {**usual, **changes}
        control, ours, theirs, spent, outcomes, compared = Linear(texts, each), [], [], [], [], []
        seconds = []
        for seed in range(seeds):
            made = side(texts, scratch, recipe, each, seed)
            linear, _, took = control.answers(seed)
            outcome, beside = decided(texts, made, linear, each, seed)
            truth = made["truth"].astype(np.int64)
            ours.append(right(made["scores"], truth))
            theirs.append(right(linear, truth))
            spent.append(made["told"]["cpu_seconds"])
            seconds.append(took)
            outcomes.append(outcome)
            compared.append(beside)
        a, b, apart = (figure(np.stack(v)) for v in (ours, theirs, [x - y for x, y in zip(ours, theirs, strict=True)]))
        more = figure(np.stack([y - x for x, y in zip(ours, theirs, strict=True)]))
        passed = sum(o.passed for o in outcomes)
        policy = f"passes {passed} of {seeds}"
        lines.append(
            [f"{size}: `{recipe['encoder']}`", f"{a.mean:.4f}", f"{a.low:.4f}", f"{np.median(spent):.1f}", policy]
        )
        lines.append([f"{size}: `tf_idf_linear`", f"{b.mean:.4f}", f"{b.low:.4f}", f"{np.median(seconds):.1f}", ""])
        first = compared[0]
        told.append(
            f"{size.capitalize()}: encoder less linear model {apart.mean:+.4f} (95% a side: {apart.low:+.4f} to "
            f"{-more.low:+.4f}); of seed 0 the gate has {first.difference:+.4f}, one-sided lower bound "
            f"{first.one_sided_low:+.4f}, and says: {outcomes[0].message}."
        )
    return lines, told


def scope_rows(data: Path, scratch: Path, seeds: int) -> list[list[str]]:
    """CLINC150: a line for each score."""
    texts = clinc(data, scratch / "clinc.parquet", cut=False)
    found = [side(texts, scratch, CLINC_RECIPE, 0, seed) for seed in range(seeds)]
    linear, strange, took = Linear(texts, 0).answers(0)
    own = figure(np.stack([right(made["scores"], made["truth"]) for made in found]))
    spent = float(np.median([made["told"]["cpu_seconds"] for made in found]))
    lines = []
    for name, score in STRANGE.items():
        shown = area([score(made, "inside") for made in found], [score(made, "outside") for made in found])
        mark = ", chosen" if name == CHOSEN else ""
        lines.append(
            [
                f"`{CLINC_RECIPE['encoder']}`, {name}{mark}",
                f"{shown.mean:.4f}",
                f"{shown.low:.4f}",
                f"{own.mean:.4f}",
                f"{spent:.1f}",
            ]
        )
    other = area([1 - linear.max(axis=1)], [1 - strange.max(axis=1)])
    truth = found[0]["truth"].astype(np.int64)
    lines.append(
        [
            "`tf_idf_linear`, 1 - highest probability",
            f"{other.mean:.4f}",
            f"{other.low:.4f}",
            f"{right(linear, truth).mean():.4f}",
            f"{took:.1f}",
        ]
    )
    return lines


TOLD = """banking77, official split, {seeds} seeds, nothing pre-trained. Lower bounds are one-sided, 95%, over test rows
and seeds together. The encoder holds a tenth of its rows out, for early stopping and calibration; the linear model
learns from all of them, as at the gate. {few} a class are drawn anew by each seed. Default policy: `beats_controls`
with its usual margin, among whose controls the linear model is."""
AGAIN = """The same of the encoder `terms`. It was made and chosen, with all labels, on a split of the training rows
after the test rows had been read for `bag`, whose figures had no part in it."""
SCOPE = """CLINC150, official parts, {seeds} seeds: 15,000 training rows of 150 intents; 4,500 test rows in scope, 1,000
out of scope. AUROC of a score that is to be higher out of scope; no row out of scope was learned from, and which recipe
and score to take was chosen on the official validation rows. Distances are cosine, among what the bundle answers."""


def banking_section(data: Path, scratch: Path, seeds: int) -> str:
    """For the page."""
    lines, told = policy_rows(data, scratch, seeds, {})
    return "\n\n".join(("### Texts", TOLD.format(seeds=seeds, few=FEW), page.table(HEADS, lines), *told))


def terms_section(data: Path, scratch: Path, seeds: int) -> str:
    """For the page."""
    lines, told = policy_rows(data, scratch, seeds, TERMS)
    return "\n\n".join(("### Texts by their terms", AGAIN, page.table(HEADS, lines), *told))


def scope_section(data: Path, scratch: Path, seeds: int) -> str:
    """For the page."""
    heads = ["score", "AUROC", "lower bound", "accuracy in scope", "CPU s"]
    lines = page.table(heads, scope_rows(data, scratch, seeds))
    return "\n\n".join(("### Texts out of scope", SCOPE.format(seeds=seeds), lines))


SECTIONS = {
    "banking77": ("learn_text", banking_section),
    "terms": ("learn_terms", terms_section),
    "clinc150": ("learn_scope", scope_section),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure text encoders on banking77 and CLINC150.")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", choices=tuple(SECTIONS), help="one of the sections")
    parser.add_argument("--candidate", choices=tuple(CANDIDATES), help="with --select: this one alone")
    parser.add_argument("--select", nargs="?", const="every", choices=("every", "all", "few", "clinc"))
    given = parser.parse_args()
    data = Path(os.environ["BACKSTAY_DATA"]).resolve()
    with tempfile.TemporaryDirectory(prefix="backstay-bench-") as folder:
        if given.select:
            print(
                select(
                    data,
                    Path(folder),
                    given.select,
                    tuple(CANDIDATES) if given.candidate is None else (given.candidate,),
                )
            )
            return
        for which in SECTIONS if given.only is None else (given.only,):
            name, section = SECTIONS[which]
            text = section(data, Path(folder), given.seeds)
            command = f"python bench/learn_text.py --only {which}"
            made_by = page.provenance(command, [HERE / script for script in SCRIPTS], PACKAGES, [])
            text = f"{text}\n\n{made_by}"
            print(text)
            page.write_section(name, text)


if __name__ == "__main__":
    main()
