"""What one look of `backstay watch` costs, beside Kolmogorov and Smirnov's test column by column.

Each tool runs in a process of its own, in turns with the others, one thread each. Writes docs/benchmarks.md.

    python bench/watch.py            # about four minutes, two of them to install alibi-detect
    python bench/watch.py --quick    # under a minute, smaller, without alibi-detect; prints, writes nothing
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import page
import peers

HERE = Path(__file__).resolve().parent
ALIBI = ("alibi-detect",)
SCRIPTS = ("watch.py", "watch_sides.py", "process.py")
PACKAGES = ("backstay", "scipy", "numpy")
FACTORS = 32
MOVED_COLUMNS, COLUMN_SHIFT = 3, 0.1
FACTOR_SHIFT = 0.6
MOST_SECONDS = 150.0
Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Case:
    """Reference and window of this many rows each."""

    name: str
    rows: int
    width: int
    tabular: bool


@dataclass(frozen=True, slots=True)
class Side:
    """A tool and the Python that it is installed for."""

    name: str
    label: str
    python: Path


def cases(quick: bool) -> list[Case]:
    return [
        Case("numeric columns", 10_000 if quick else 100_000, 20, tabular=True),
        Case("embeddings", 500 if quick else 2_000, 384, tabular=False),
    ]


def write_case(case: Case, path: Path) -> None:
    """Reference, a window of the same population, and one that has moved; each with a calibrated model's scores."""
    rng = np.random.default_rng(3)
    mixing = np.eye(case.width) if case.tabular else rng.standard_normal((FACTORS, case.width))
    weights = rng.standard_normal((len(mixing), 3))

    def draw(moved: bool) -> tuple[Array, Array]:
        hidden = rng.standard_normal((case.rows, len(mixing)))
        if moved and case.tabular:
            hidden[:, :MOVED_COLUMNS] += COLUMN_SHIFT
        elif moved:
            hidden[:, 0] += FACTOR_SHIFT
        raised = np.exp(hidden @ weights - (hidden @ weights).max(axis=1, keepdims=True))
        noise = 0.0 if case.tabular else 0.5 * rng.standard_normal((case.rows, case.width))
        return hidden @ mixing + noise, raised / raised.sum(axis=1, keepdims=True)

    arrays: dict[str, Any] = {"tabular": np.array(case.tabular)}
    for name in ("reference", "same", "moved"):
        arrays[name], arrays[f"{name}_scores"] = draw(name == "moved")
    arrays["correct"] = (rng.random(case.rows) < arrays["reference_scores"].max(axis=1)).astype(np.float64)
    np.savez(path, allow_pickle=False, **arrays)


def run(side: Side, path: Path) -> dict[str, Any]:
    """One look in a fresh process."""
    command = [str(side.python), str(HERE / "watch_sides.py"), side.name, str(path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=MOST_SECONDS, cwd=path.parent
    )
    if done.returncode != 0:
        raise RuntimeError(f"{side.label} ended with {done.returncode}: {done.stderr[-2000:]}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def rows_of(case: Case, sides: list[Side], rounds: int, path: Path) -> list[list[str]]:
    """A line of the table for each tool: medians over the rounds, and the CPU time over scipy's in the same round."""
    told: dict[str, list[dict[str, Any]]] = {side.name: [] for side in sides}
    for turn in range(rounds):
        first = turn % len(sides)
        for side in sides[first:] + sides[:first]:
            told[side.name].append(run(side, path))
        print(f"{case.name}: round {turn + 1} of {rounds} done", file=sys.stderr)
    lines = []
    for side in sides:
        seen = told[side.name]
        ratios = [_cpu(mine) / max(_cpu(theirs), 1e-3) for mine, theirs in zip(seen, told["scipy"], strict=True)]
        fit, look, wall, peak, grown = (
            statistics.median(one[key] for one in seen) for key in ("fit", "look", "wall", "peak", "grown")
        )
        lines.append(
            [
                f"{case.name}, {case.rows} x {case.width}: {side.label}",
                f"{fit:.2f}",
                f"{look:.2f}",
                f"{wall:.2f}",
                f"{statistics.median(ratios):.1f}",
                f"{peak / 2**20:.0f}",
                f"{grown / 2**20:.0f}",
                _words(seen, "same"),
                _words(seen, "moved"),
            ]
        )
    return lines


def _cpu(told: dict[str, Any]) -> float:
    return float(told["fit"]) + float(told["look"])


def _words(seen: list[dict[str, Any]], window: str) -> str:
    said = {bool(one[window]) for one in seen}
    return "differs from run to run" if len(said) > 1 else "moved" if said.pop() else "fine"


HEADS = [
    "case: tool",
    "fit CPU s",
    "look CPU s",
    "both, wall s",
    "CPU / scipy",
    "peak MiB",
    "of it for the work",
    "unmoved window",
    "moved window",
]
TOLD = """Reference and window have the given number of rows each; {rounds} rounds, medians, one thread, fresh
processes. Backstay's look is all of it: tests of inputs, predictions and embeddings at the default budget of one false
alarm a year, the estimate of accuracy without labels, and the words. The others test each column at level {level} with
Bonferroni's correction and say nothing of accuracy; at that level a weekly look alarms two or three times a year for
nothing. Peak memory includes Python, imports and the data of three sets. The moved window: {columns} of the columns by
{shift} standard deviations; one of {factors} directions of the embeddings by {factor_shift}."""


def report(given: argparse.Namespace, scratch: Path) -> str:
    """Run everything; the section for the page."""
    sides = [Side("backstay", "Backstay", Path(sys.executable)), Side("scipy", "scipy KS", Path(sys.executable))]
    peer = peers.Peer(None, "left out by --quick")
    if not given.quick or given.peers is not None:
        peer = peers.install((given.peers or scratch) / "alibi-detect", ALIBI)
    if peer.python is not None:
        sides.append(Side("alibi-detect", "alibi-detect KSDrift", peer.python))
    lines = []
    for case in cases(given.quick):
        path = scratch / "case.npz"
        write_case(case, path)
        lines += rows_of(case, sides, given.rounds, path)
    about = f"alibi-detect: {peer.why_not}"
    if peer.python is not None:
        about = "alibi-detect's environment: " + peers.versions(peer.python, (*ALIBI, "scipy", "numpy"))
    told = TOLD.format(
        rounds=given.rounds,
        level=0.05,
        columns=MOVED_COLUMNS,
        shift=COLUMN_SHIFT,
        factors=FACTORS,
        factor_shift=FACTOR_SHIFT,
    )
    command = "python bench/watch.py" + (" --quick" if given.quick else "")
    made = page.provenance(command, [HERE / name for name in SCRIPTS], PACKAGES, [about])
    return "\n\n".join(("## Watching", told, page.table(HEADS, lines), made))


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure one look of backstay watch beside its peers.")
    parser.add_argument("--quick", action="store_true", help="small, one round; alibi-detect only where --peers has it")
    parser.add_argument("--rounds", type=int, help="3 unless told otherwise")
    parser.add_argument("--peers", type=Path, help="folder to keep the peers' environments in; a temporary one if not")
    given = parser.parse_args()
    given.rounds = given.rounds or (1 if given.quick else 3)
    with tempfile.TemporaryDirectory(prefix="backstay-bench-") as scratch:
        text = report(given, Path(scratch))
    print(text)
    if not given.quick:
        page.write_section("watch", text)


if __name__ == "__main__":
    main()
