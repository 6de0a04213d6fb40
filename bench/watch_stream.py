"""What it costs to watch files larger than anybody wants in memory: `backstay.watch` on Parquet, beside its peers.

Each look runs in a process of its own, one thread. Writes a section of docs/benchmarks.md. Needs Linux and, for the
largest case, 4 GB of disk.

    python bench/watch_stream.py                    # 1M x 50 beside peers, 10M x 20, 100M x 4: about six minutes
    python bench/watch_stream.py --rows 10000000    # this many rows x 20 columns alone; prints, writes nothing
    python bench/watch_stream.py --quick            # small, no peer; prints, writes nothing
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
import pyarrow as pa
import pyarrow.parquet as pq

import page
import peers

HERE = Path(__file__).resolve().parent
ALIBI = ("alibi-detect",)
SCRIPTS = ("watch_stream.py", "stream_sides.py", "process.py")
PACKAGES = ("backstay", "scipy", "numpy", "pyarrow")
REFERENCE = 100_000
AT_A_TIME = 131_072
MOST_SECONDS = 1800.0


@dataclass(frozen=True, slots=True)
class Case:
    """A window of this many rows and columns of numbers against 100,000 rows of the same population."""

    rows: int
    columns: int
    compared: bool = False

    @property
    def name(self) -> str:
        return f"{self.rows:,} x {self.columns}"


def cases(given: argparse.Namespace) -> list[Case]:
    if given.rows:
        return [Case(given.rows, given.columns)]
    if given.quick:
        return [Case(200_000, 10, compared=True)]
    return [Case(1_000_000, 50, compared=True), Case(10_000_000, 20), Case(100_000_000, 4)]


def write_rows(path: Path, rows: int, columns: int, seed: int) -> None:
    """Standard normal columns, a row group at a time."""
    rng = np.random.default_rng(seed)
    names = [f"x{i:02d}" for i in range(columns)]
    schema = pa.schema([(name, pa.float64()) for name in names])
    with pq.ParquetWriter(path, schema, compression="none", use_dictionary=False) as out:
        for at in range(0, rows, AT_A_TIME):
            few = min(AT_A_TIME, rows - at)
            out.write_table(pa.table([rng.standard_normal(few) for _ in names], schema=schema))


def write_array(source: Path, path: Path) -> None:
    """The same rows as one array, for tools that take nothing else."""
    table = pq.read_table(source)
    np.save(path, np.column_stack([column.to_numpy() for column in table.columns]), allow_pickle=False)


def run(name: str, python: Path, reference: Path, traffic: Path) -> dict[str, Any]:
    command = [str(python), str(HERE / "stream_sides.py"), name, str(reference), str(traffic)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=MOST_SECONDS, cwd=HERE
    )
    if done.returncode != 0:
        raise RuntimeError(f"{name} ended with {done.returncode}: {done.stderr[-2000:]}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def lines_of(case: Case, sides: list[tuple[str, str, Path]], rounds: int, scratch: Path) -> list[list[str]]:
    """A line for each tool: medians over the rounds, CPU time as a multiple of scipy's in the same round."""
    reference, traffic = scratch / "reference.parquet", scratch / "traffic.parquet"
    write_rows(reference, REFERENCE, case.columns, seed=1)
    write_rows(traffic, case.rows, case.columns, seed=2)
    chosen = sides if case.compared else sides[:1]
    if case.compared:
        write_array(reference, scratch / "reference.npy")
        write_array(traffic, scratch / "traffic.npy")
    told: dict[str, list[dict[str, Any]]] = {name: [] for name, _, _ in chosen}
    for turn in range(rounds if case.compared else 1):
        for name, _, python in chosen[turn % len(chosen) :] + chosen[: turn % len(chosen)]:
            ending = ".parquet" if name == "backstay" else ".npy"
            told[name].append(run(name, python, reference.with_suffix(ending), traffic.with_suffix(ending)))
        print(f"{case.name}: round {turn + 1} done", file=sys.stderr)
    lines = []
    for name, label, _ in chosen:
        seen = told[name]
        cpu, wall, peak = (statistics.median(one[key] for one in seen) for key in ("cpu", "wall", "peak"))
        ratio = "-"
        if case.compared:
            ratio = f"{statistics.median(m['cpu'] / t['cpu'] for m, t in zip(seen, told['scipy'], strict=True)):.2f}"
        moved = "moved" if any(one["moved"] for one in seen) else "fine"
        lines.append([f"{case.name}: {label}", f"{cpu:.2f}", f"{wall:.2f}", ratio, f"{peak / 2**20:.0f}", moved])
    return lines


HEADS = ["case: tool", "CPU s", "wall s", "CPU / scipy", "peak MiB", "verdict"]
TOLD = """Columns of standard normal numbers against a reference of {reference} rows of the same population, so that
"fine" is right. CPU time counts all from reading the files on: the reference is learnt and the window judged, imports
are not counted. Peak memory is the whole process. Backstay streams Parquet and tests every column and the rows as a
whole; the others test every column and are given the rows as one NumPy file, which is read faster. Cases that are
compared: {rounds} rounds, medians, in turns; the others ran once."""


def report(given: argparse.Namespace, scratch: Path) -> str:
    here = Path(sys.executable)
    sides = [("backstay", "Backstay", here), ("scipy", "scipy KS", here)]
    peer = peers.Peer(None, "left out")
    if given.peers is not None or not (given.quick or given.rows):
        peer = peers.install((given.peers or scratch) / "alibi-detect", ALIBI)
    if peer.python is not None:
        sides.append(("alibi-detect", "alibi-detect KSDrift", peer.python))
    lines = [line for case in cases(given) for line in lines_of(case, sides, given.rounds, scratch)]
    about = f"alibi-detect: {peer.why_not}"
    if peer.python is not None:
        about = "alibi-detect's environment: " + peers.versions(peer.python, (*ALIBI, "scipy", "numpy"))
    told = TOLD.format(reference=f"{REFERENCE:,}", rounds=given.rounds)
    made = page.provenance("python bench/watch_stream.py", [HERE / name for name in SCRIPTS], PACKAGES, [about])
    return "\n\n".join(("## Watching large files", told, page.table(HEADS, lines), made))


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure backstay.watch on large Parquet files.")
    parser.add_argument("--rows", type=int, help="this many rows alone, without peers")
    parser.add_argument("--columns", type=int, default=20, help="with --rows; 20 unless told otherwise")
    parser.add_argument("--quick", action="store_true", help="small; alibi-detect only where --peers has it")
    parser.add_argument("--rounds", type=int, help="3 unless told otherwise")
    parser.add_argument("--peers", type=Path, help="folder to keep the peers' environments in; a temporary one if not")
    given = parser.parse_args()
    given.rounds = given.rounds or (1 if given.quick else 3)
    with tempfile.TemporaryDirectory(prefix="backstay-bench-") as scratch:
        text = report(given, Path(scratch))
    print(text)
    if not (given.quick or given.rows):
        page.write_section("watch_stream", text)


if __name__ == "__main__":
    main()
