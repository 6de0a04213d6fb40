"""The part on costs: CPU seconds and peak memory of one look, the reference's learning included.

Columns of standard normal numbers, 100,000 rows of reference; windows of 100,000 and of a million rows. Backstay
streams Parquet, the others are given one NumPy file. Embeddings of 10,000 rows against as many: in turns.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from board.runs import Kept, Run, Tool

COLUMNS, REFERENCE = 50, 100_000
SIZES = (100_000, 1_000_000)
EMBEDDING_TOOLS = ("backstay", "alibi_detect")
EMBEDDING_ROWS = 10_000


def files(folder: Path) -> dict[str, Path]:
    """Write what is read, unless it is there: each set of rows as Parquet and as an array."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for name, rows, seed in (("reference", REFERENCE, 1), *((f"{rows}", rows, 2) for rows in SIZES)):
        found[name] = folder / f"{name}.parquet"
        if not found[name].with_suffix(".npy").is_file():
            values = np.random.Generator(np.random.PCG64(seed)).standard_normal((rows, COLUMNS))
            table = pa.table({f"x{i:02d}": values[:, i] for i in range(COLUMNS)})
            pq.write_table(table, found[name], compression="none", use_dictionary=False, row_group_size=131_072)
            np.save(found[name].with_suffix(".npy"), values, allow_pickle=False)
    return found


def questions(tools: list[Tool], folder: Path, rounds: int) -> Iterator[tuple[Run, int]]:
    """Every run with the rows of its window, in turns."""
    for rows in SIZES:
        for turn in range(rounds):
            for tool in tools:
                ending = ".parquet" if tool.name == "backstay" else ".npy"
                paths = {"reference": str(folder / f"reference{ending}"), "window": str(folder / f"{rows}{ending}")}
                yield Run.of(tool, "columns_cost", turn=turn, **paths), rows
    for turn in range(rounds):
        for tool in tools:
            if tool.name in EMBEDDING_TOOLS:
                yield Run.of(tool, "embeddings_cost", turn=turn, rows=EMBEDDING_ROWS), EMBEDDING_ROWS


def summary(kept: Kept, tools: list[Tool], folder: Path, rounds: int) -> dict[str, Any]:
    found: dict[tuple[str, int, str], list[dict[str, Any]]] = {}
    failed: dict[str, str] = {}
    for run, rows in questions(tools, folder, rounds):
        told = kept.known(run)
        if told is None:
            continue
        if "failed" in told:
            failed[f"{run.tool.name}, {run.kind}, {rows:,} rows"] = told["failed"]
            continue
        found.setdefault((run.kind, rows, run.tool.name), []).append(told)
    lines = []
    for (kind, rows, name), told in sorted(found.items(), key=lambda item: (item[0][0], item[0][1])):
        bar = found.get((kind, rows, "alibi_detect"), [])
        few = min(len(told), len(bar))
        ratio = statistics.median(told[i]["cpu"] / bar[i]["cpu"] for i in range(few)) if few else None
        lines.append(
            {
                "kind": kind,
                "rows": rows,
                "tool": name,
                "rounds": len(told),
                "cpu": round(statistics.median(one["cpu"] for one in told), 2),
                "peak_mb": round(statistics.median(one["peak"] for one in told) / 1e6),
                "over_alibi": None if ratio is None else round(ratio, 2),
                "moved": any(one["moved"] for one in told),
            }
        )
    return {"lines": lines, "failed": failed}
