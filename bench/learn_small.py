"""Few rows: how long an encoder should learn that is left to its usual recipe. Beside a line on the same rows.

    python bench/learn_small.py

Tables of 200 to 2,000 made-up rows, and three that scikit-learn ships. Each is dealt anew by each seed: what the
encoder learns from, what tells it when to stop, and what it is asked (4,000 other rows, or a third of a shipped table).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from sklearn import datasets
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import page
from backstay.bundle.model import load
from backstay.data.schema import conform, infer_schema
from backstay.settings import Settings
from backstay.train import loop, value_loop

HERE = Path(__file__).resolve()
PACKAGES = ("backstay", "torch", "scikit-learn", "onnxruntime", "numpy")
ASKED, TUNED = 4000, 0.2
# Of many rows the usual recipe is the first one; of few it goes on for more steps.
RECIPES: dict[str, dict[str, int]] = {"20 epochs, patience 4": {"epochs": 20, "patience": 4}, "usual recipe": {}}
Rows = tuple[np.ndarray, np.ndarray]


class Case(NamedTuple):
    """Rows by their number and a generator, or a table that is shipped (`rows` 0)."""

    name: str
    rows: int
    draw: Callable[[np.random.Generator, int], Rows]
    numbers: bool = False


def normal(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.standard_normal((n, 8))


def line(rng: np.random.Generator, n: int) -> Rows:
    x = normal(rng, n)
    return x, x @ np.array([1, 0.8, 0.6, 0.4, 0.2, 0, 0, 0]) + 0.5 * rng.standard_normal(n) > 0


def product(rng: np.random.Generator, n: int) -> Rows:
    x = normal(rng, n)
    return x, (x[:, 0] * x[:, 1] > 0) ^ (rng.random(n) < 0.05)


def ring(rng: np.random.Generator, n: int) -> Rows:
    x = normal(rng, n)
    return x, ((x[:, :3] ** 2).sum(axis=1) > 2.4) ^ (rng.random(n) < 0.05)


def five(rng: np.random.Generator, n: int) -> Rows:
    centres = 0.9 * np.random.default_rng(5).standard_normal((5, 8))
    code = rng.integers(0, 5, n)
    return normal(rng, n) + centres[code], code


def one_column(rng: np.random.Generator, n: int) -> Rows:
    x = normal(rng, n)
    return x, 3.0 * x[:, 0] + 7.0


def friedman(rng: np.random.Generator, n: int) -> Rows:
    """Friedman 1991: a product within a sine, a square and two lines."""
    u = rng.random((n, 10))
    bent = 10 * np.sin(np.pi * u[:, 0] * u[:, 1]) + 20 * (u[:, 2] - 0.5) ** 2
    return u, bent + 10 * u[:, 3] + 5 * u[:, 4] + rng.standard_normal(n)


def shipped(load_them: Callable[..., Any]) -> Callable[[np.random.Generator, int], Rows]:
    def draw(rng: np.random.Generator, _rows: int) -> Rows:
        x, y = load_them(return_X_y=True)
        order = rng.permutation(len(x))
        return x[order], y[order]

    return draw


CASES = (
    Case("a line, 200 rows", 200, line),
    Case("a line, 500 rows", 500, line),
    Case("a product, 500 rows", 500, product),
    Case("a product, 2,000 rows", 2000, product),
    Case("a ring, 500 rows", 500, ring),
    Case("five classes, 500 rows", 500, five),
    Case("iris, 100 rows", 0, shipped(datasets.load_iris)),
    Case("wine, 118 rows", 0, shipped(datasets.load_wine)),
    Case("breast cancer, 379 rows", 0, shipped(datasets.load_breast_cancer)),
    Case("one column, 500 rows", 500, one_column, numbers=True),
    Case("Friedman's, 500 rows", 500, friedman, numbers=True),
    Case("diabetes, 294 rows", 0, shipped(datasets.load_diabetes), numbers=True),
)


def dealt(case: Case, seed: int) -> tuple[Rows, Rows]:
    """Rows to learn from, and rows to be asked."""
    rng = np.random.default_rng(seed)
    x, y = case.draw(rng, case.rows + ASKED)
    cut = case.rows or 2 * len(x) // 3
    return (x[:cut], y[:cut]), (x[cut:], y[cut:])


def skill(case: Case, said: np.ndarray, truth: np.ndarray) -> float:
    """Accuracy; of numbers the share of the variance that is explained."""
    if case.numbers:
        return 1.0 - float(((said.astype(float) - truth) ** 2).mean() / truth.var())
    return float((said.astype(str) == truth.astype(str)).mean())


def by_line(case: Case, known: Rows, asked: Rows) -> float:
    model = LinearRegression() if case.numbers else LogisticRegression(max_iter=1000)
    fitted = make_pipeline(StandardScaler(), model).fit(known[0], known[1] if case.numbers else known[1].astype(str))
    return skill(case, fitted.predict(asked[0]), asked[1])


def by_encoder(case: Case, known: Rows, asked: Rows, recipe: dict[str, int], seed: int) -> tuple[float, float]:
    """Skill of the usual encoder, and CPU-seconds of the whole run."""
    names = tuple(f"x{i}" for i in range(known[0].shape[1]))

    def sheet(x: np.ndarray) -> dict[str, Any]:
        return {name: x[:, i] for i, name in enumerate(names)}

    target = known[1].astype(float) if case.numbers else known[1].astype(str)
    task = "regression" if case.numbers else "classification"
    order = np.random.default_rng(seed).permutation(len(target))
    cut = round(TUNED * len(order))
    parts = {"tune": order[:cut], "train": order[cut:]}
    more = {"augmentation": 0.0} if case.numbers else {}
    settings = Settings.model_validate({"task": task, "train": {**more, **recipe, "seed": seed}}).train
    table = pa.table({**sheet(known[0]), "y": target})
    schema = infer_schema(table, target="y", task=task)
    table = conform(table, schema)
    begun = time.process_time()
    with tempfile.TemporaryDirectory() as scratch:
        if case.numbers:
            trained = value_loop.fit(table, schema, parts, settings, workdir=Path(scratch))
        else:
            classes = tuple(sorted(set(target)))
            trained = loop.fit(table, schema, parts, settings, classes=classes, workdir=Path(scratch))
        spent = time.process_time() - begun
        answers = load(trained.bundle_directory).predict(pa.table(sheet(asked[0])))
    return skill(case, np.asarray(answers.numbers if case.numbers else answers.labels), asked[1]), spent


TOLD = """Tables of few rows, {seeds} seeds each: accuracy, of numbers (the last three) the share of variance explained,
on 4,000 rows that were not learned from, or a third of a table that scikit-learn ships. A fifth of the rows says when
to stop. **Usual recipe** is the encoder as it comes: at most 20 epochs, or 300 steps where these are more, ended by 4
epochs without progress, or 60 steps; until it counted steps, it was the first column. **A line** is scikit-learn's
logistic or linear regression on all rows. These are made-up rows like those by which the numbers of steps were chosen:
they show what is gained, not by how much a line will be beaten elsewhere."""


def report(seeds: int) -> str:
    """The section for the page."""
    lines = []
    for case in CASES:
        found: dict[str, list[float]] = {}
        for seed in range(seeds):
            known, asked = dealt(case, seed)
            found.setdefault("line", []).append(by_line(case, known, asked))
            for name, recipe in RECIPES.items():
                value, spent = by_encoder(case, known, asked, recipe, seed)
                found.setdefault(name, []).append(value)
                found.setdefault(f"{name}: CPU s", []).append(spent)
        told = {key: float(np.mean(values)) for key, values in found.items()}
        first, usual = RECIPES
        gains = np.array(found[usual]) - np.array(found[first])
        figures = [
            f"{told[first]:.3f}",
            f"{told[usual]:.3f}",
            f"{gains.mean():+.3f} ({gains.min():+.3f} to {gains.max():+.3f})",
        ]
        costs = [f"{told[f'{name}: CPU s']:.1f}" for name in RECIPES]
        lines.append([case.name, *figures, f"{told['line']:.3f}", *costs])
        print(" | ".join(lines[-1]), file=sys.stderr, flush=True)
    heads = ["rows", *RECIPES, "gain (least to greatest)", "a line", *(f"CPU s, {name}" for name in RECIPES)]
    made_by = page.provenance("python bench/learn_small.py", [HERE], PACKAGES, [])
    return "\n\n".join(("### Few rows", TOLD.format(seeds=seeds), page.table(heads, lines), made_by))


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what an encoder learns of few rows.")
    parser.add_argument("--seeds", type=int, default=5)
    text = report(parser.parse_args().seeds)
    print(text)
    page.write_section("learn_small", text)


if __name__ == "__main__":
    main()
