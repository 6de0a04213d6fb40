"""Objectives without labels that train by steps, once each, for as long as 300 CPU-seconds allow: are they worth it?

Fashion-MNIST, 20,000 images of a split of the training rows (the test rows are not read), one seed. Recipes stand in
bench/learn_unlabelled.py and were written before any run of this length; nothing was chosen by what came out. Each
training runs in a process of its own, one thread. Writes docs/benchmarks.md.

    BACKSTAY_DATA=FOLDER python bench/learn_by_steps.py      # some 15 CPU-minutes
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import page
from learn import HERE, split
from learn_unlabelled import CANDIDATES, PACKAGES, REBUILT, SCRIPTS, Side, side

BIGAN: dict[str, Any] = {
    **REBUILT,
    "objective": "bigan",
    "objective_options": {},
    "epochs": 6,
    "augmentation": 0.5,
}
NAMES = ("NT-Xent, 8 epochs", "VICReg, 8 epochs", "denoising, 8 epochs", "variational, 8 epochs")
CASES = {**{name: CANDIDATES[name] for name in NAMES}, "BiGAN, 6 epochs": BIGAN}
MOST_CPU_SECONDS = 300.0

TOLD = """Fashion-MNIST, 20,000 images without labels out of a split of the training rows, one seed; the rows that are
asked are 10,000 others of the training rows. kNN-20, linear and CPU seconds as above; the most that a case may take is
{most:.0f} of them. Recipes stood in the script before; none was chosen by these figures, and the test rows were not
read. Raw pixels have a kNN of {raw:.4f}, the same `conv` encoder untrained {untrained:.4f}. **Usual policy** is what
`beats_controls` says with its default margin."""


def line(name: str, found: Side) -> list[str]:
    """A case's cells; its cost is told whatever it is."""
    spent = found.told["cpu_seconds"]
    told = "passes" if found.outcome.passed else "refused"
    over = "" if spent <= MOST_CPU_SECONDS else ", over the limit"
    return [name, f"{found.knn.mean():.4f}", f"{found.linear.mean():.4f}", f"{spent:.0f}{over}", told]


def report(data: Path, scratch: Path, names: list[str]) -> str:
    """The section for the page."""
    cut, rows, last = split(data, scratch), [], None
    for name in names:
        last = side(cut, scratch, {**CASES[name], "seed": 0})
        rows.append(line(name, last))
        print(rows[-1], last.outcome.message, file=sys.stderr, flush=True)
    if last is None:
        raise SystemExit("no case was named")
    heads = ["recipe", "kNN-20", "linear", "CPU s", "usual policy"]
    scripts = [HERE / name for name in ("learn_by_steps.py", *SCRIPTS)]
    made_by = page.provenance("python bench/learn_by_steps.py", scripts, PACKAGES, [])
    told = TOLD.format(most=MOST_CPU_SECONDS, raw=last.raw.mean(), untrained=last.untrained.mean())
    return "\n\n".join(("### Without labels, by steps", told, page.table(heads, rows), made_by))


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure self-supervision by steps on Fashion-MNIST.")
    parser.add_argument("--cases", nargs="+", default=list(CASES), help="these alone; then nothing is written")
    given = parser.parse_args()
    data = Path(os.environ["BACKSTAY_DATA"]).resolve() / "fashion_mnist" / "fashion_mnist.npz"
    with tempfile.TemporaryDirectory(prefix="backstay-bench-") as folder:
        text = report(data, Path(folder), given.cases)
    print(text)
    if given.cases == list(CASES):
        page.write_section("learn_by_steps", text)


if __name__ == "__main__":
    main()
