"""One tool's runs, a seed each, in a process and an environment of its own. Prints one line of JSON for each question.

    python bench/board/side.py evidently tables '{"seed": 0, "references": [1000], "first": 0, "changes": {"null": 5}}'
    python bench/board/side.py river columns_cost '{"reference": "a.npy", "window": "b.npy"}'

Every kind of run tells its CPU time by the operating system's account, children included, and the peak of its memory.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from worlds import EmbeddingWorld, TableWorld

Given = dict[str, Any]


def tables(tool: Any, given: Given) -> Given:
    """Windows of several changes against references of several sizes: answers by "size, change"."""
    world = TableWorld(given["seed"])
    references = {rows: world.reference(rows) for rows in given["references"]}
    fits: Given = {}
    looks = {}
    if not hasattr(tool, "tables_together"):
        for rows, reference in references.items():
            began = cpu()
            looks[rows] = tool.tables(reference)
            fits[str(rows)] = cpu() - began
    answers: Given = {}
    for change, count in given["changes"].items():
        windows = list(world.windows(change, given["first"], count))
        for rows, reference in references.items():
            began = cpu()
            if rows in looks:
                found = [looks[rows](window) for window in windows]
            else:
                found = tool.tables_together(reference, windows)
            marks = [reference.mark(), windows[0].mark(), windows[-1].mark()]
            answers[f"{rows}, {change}"] = {"found": found, "marks": marks, "cpu": cpu() - began}
    return {"answers": answers, "fit": fits}


def embeddings(tool: Any, given: Given) -> Given:
    world = EmbeddingWorld(given["seed"])
    reference, windows = world.reference(2000), list(world.windows(given["change"], given["windows"]))
    began = cpu()
    look = tool.embeddings(reference)
    built = cpu()
    found = [look(window) for window in windows]
    return {"found": found, "fit": built - began, "cpu": cpu() - began}


def columns_cost(tool: Any, given: Given) -> Given:
    look = tool.columns_cost(Path(given["reference"]), Path(given["window"]))
    began, clock = cpu(), time.perf_counter()
    moved = look()
    return {"moved": bool(moved), "cpu": cpu() - began, "wall": time.perf_counter() - clock}


def embeddings_cost(tool: Any, given: Given) -> Given:
    world = EmbeddingWorld(0)
    reference, window = world.reference(given["rows"]), next(world.windows("null", 1, given["rows"]))
    look = tool.embeddings_cost(reference, window)
    before = peak()
    began, clock = cpu(), time.perf_counter()
    moved = look()
    return {"moved": moved, "cpu": cpu() - began, "wall": time.perf_counter() - clock, "grown": peak() - before}


def cpu() -> float:
    """CPU seconds of this process and of the children that have ended."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in spent)


def peak() -> int:
    """Most memory that this process, or a child that has ended, held at one time, in bytes.

    The account by `getrusage` begins with what the parent held at the fork, so that the kernel's own mark is read.
    """
    marks = [line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return max(int(marks[0]), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) * 1024


KINDS = {
    "tables": tables,
    "embeddings": embeddings,
    "columns_cost": columns_cost,
    "embeddings_cost": embeddings_cost,
}


def main() -> None:
    name, kind, given = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    asked = KINDS.get(kind)
    # A kind that is not among these has a file of its own for each tool.
    tool = importlib.import_module(f"{kind}_{name}" if asked is None else f"side_{name}")
    for one in given if isinstance(given, list) else [given]:
        told = tool.run(one) if asked is None else asked(tool, one)
        told |= {"peak": peak(), "versions": {package: version(package) for package in tool.PACKAGES}}
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
