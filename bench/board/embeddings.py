"""The part on embeddings: 2,000 rows against 2,000 in 384 dimensions, each tool at its own settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from board import verdicts
from board.runs import Kept, Run, Tool
from board.worlds import EMBEDDING_CHANGES

TOOLS = ("backstay", "alibi_detect", "evidently")
OURS, BAR = ("backstay", "at the level"), ("alibi_detect", "ClassifierDrift")


def questions(tools: list[Tool], seeds: int, windows: int) -> Iterator[tuple[Run, str, int]]:
    for seed in range(seeds):
        for tool in tools:
            if tool.name in TOOLS:
                for change in EMBEDDING_CHANGES:
                    yield Run.of(tool, "embeddings", seed=seed, change=change, windows=windows), change, seed


def summary(kept: Kept, tools: list[Tool], seeds: int, windows: int) -> dict[str, Any]:
    found: dict[tuple[str, str], dict[str, dict[int, Any]]] = {}
    costs: dict[str, list[float]] = {}
    for run, change, seed in questions(tools, seeds, windows):
        told = kept.known(run)
        if told is None or "failed" in told:
            continue
        costs.setdefault(run.tool.name, []).append(told["cpu"] / windows)
        for method in told["found"][0]:
            said = np.array([window[method][1] for window in told["found"]], dtype=bool)
            found.setdefault((run.tool.name, method), {}).setdefault(change, {})[seed] = said
    lines = [
        {
            "tool": name,
            "method": method,
            "seeds": len(by_change[EMBEDDING_CHANGES[0]]),
            "windows": int(sum(len(said) for said in by_change[EMBEDDING_CHANGES[0]].values())),
            **{change: round(verdicts.rate(said), 4) for change, said in by_change.items()},
        }
        for (name, method), by_change in sorted(found.items(), key=lambda item: (item[0][0] != OURS[0], item[0]))
        if EMBEDDING_CHANGES[0] in by_change
    ]
    pairs = []
    if OURS in found and BAR in found:
        for change in EMBEDDING_CHANGES[1:]:
            if change in found[OURS] and change in found[BAR]:
                pair = verdicts.pair(found[OURS][change], found[BAR][change])
                pairs.append({"change": change, "best": ": ".join(BAR), **verdicts.as_json(pair)})
    medians = {name: round(float(np.median(values)), 3) for name, values in costs.items()}
    return {"lines": lines, "pairs": pairs, "cpu_per_window": medians}
