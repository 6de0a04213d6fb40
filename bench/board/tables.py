"""The part on tables: false alarms, power and delay by change, at default settings and at equal false alarms."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from board import verdicts
from board.runs import Kept, Run, Tool
from board.worlds import CALIBRATION, TABLE_CHANGES

LEVEL = 0.05
REFERENCES = (1_000, 20_000)
# Changes that nearly every tool finds in nearly every window need fewer.
EASY = {"shift 0.25": 0.5, "shift 0.5": 0.25}
OURS = ("backstay", "at the level")
# NannyML's thresholds are made of the reference's chunks: of one chunk there are none.
LEAST_REFERENCE = {"nannyml": 20_000}


@dataclass(frozen=True, slots=True)
class Size:
    """Seeds of the peers and of ours, blocks of windows a seed, seeds for calibration (one block each)."""

    seeds: int
    our_seeds: int
    blocks: int
    block: int
    calibration_seeds: int
    references: tuple[int, ...] = REFERENCES


def questions(tools: list[Tool], size: Size) -> Iterator[tuple[Run, int]]:
    """Every run with its seed, the most useful first: the first block of all shared seeds, then more.

    Each size of the reference is a run of its own, so that what was run for one is there when the other is added.
    """
    for block, rows in product(range(size.blocks), size.references):
        for seed in range(max(size.seeds, size.our_seeds)):
            for tool in tools:
                if seed >= (size.our_seeds if tool.name == OURS[0] else size.seeds):
                    continue
                if rows < LEAST_REFERENCE.get(tool.name, 0):
                    continue
                if seed < size.calibration_seeds and block == 0:
                    yield _run(tool, rows, CALIBRATION + seed, 0, {"null": size.block}), CALIBRATION + seed
                counts = {change: round(size.block * EASY.get(change, 1.0)) for change in TABLE_CHANGES}
                yield _run(tool, rows, seed, block, counts), seed


def _run(tool: Tool, rows: int, seed: int, block: int, counts: dict[str, int]) -> Run:
    first = block * max(counts.values())
    return Run.of(tool, "tables", seed=seed, references=[rows], first=first, changes=counts)


def summary(kept: Kept, tools: list[Tool], size: Size) -> dict[str, Any]:
    """All figures of the part, as JSON: rows of methods, and pairs of ours with the best peer."""
    found: Found = {}
    seen: dict[tuple[str, int, int], list[int]] = {}
    costs: dict[str, list[float]] = {}
    failed: dict[str, str] = {}
    for run, seed in questions(tools, size):
        told, name = kept.known(run), run.tool.name
        if told is None:
            continue
        if "failed" in told:
            failed[name] = told["failed"]
            continue
        first = json.loads(run.given)["first"]
        for what, answer in told["answers"].items():
            if seen.setdefault((what, seed, first), answer["marks"]) != answer["marks"]:
                raise RuntimeError(f"{name} was given other rows than the others: {what}, seed {seed}")
            costs.setdefault(name, []).append(answer["cpu"] / len(answer["found"]))
            rows, change = what.split(", ", 1)
            _gather(found, (name, int(rows), "calibration" if seed >= CALIBRATION else change), seed, answer["found"])
    methods = sorted({key[:3] for key in found}, key=lambda key: (key[2], key[0] != OURS[0], key))
    lines = [_line(found, name, method, rows) for name, method, rows in methods]
    return {
        "level": LEVEL,
        "lines": [line for line in lines if line is not None],
        "pairs": [pair for rows in size.references for pair in _pairs(found, methods, rows, "calibration")],
        "pairs_of_told": [pair for rows in size.references for pair in _pairs(found, methods, rows, "null")],
        "cpu_ms_per_window": {name: round(1000 * float(np.median(values)), 1) for name, values in costs.items()},
        "failed": failed,
    }


def _gather(found: Found, key: tuple[str, int, str], seed: int, windows: list[dict[str, Any]]) -> None:
    """Add a block of windows, by method, behind those of the same seed."""
    name, rows, what = key
    for method in windows[0]:
        scores = np.array([window[method][0] for window in windows], dtype=np.float64)
        own = np.array([window[method][1] for window in windows], dtype=bool)
        by_seed = found.setdefault((name, method, rows, what), {})
        if seed in by_seed:
            scores, own = np.concatenate([by_seed[seed][0], scores]), np.concatenate([by_seed[seed][1], own])
        by_seed[seed] = (scores, own)


Found = dict[tuple[str, str, int, str], verdicts.BySeed]


def _line(found: Found, name: str, method: str, rows: int) -> dict[str, Any] | None:
    calibration = found.get((name, method, rows, "calibration"))
    if calibration is None or (name, method, rows, "null") not in found:
        return None
    limit = verdicts.threshold(calibration, LEVEL)
    line: dict[str, Any] = {"tool": name, "method": method, "reference": rows, "threshold": limit, "changes": {}}
    for change in TABLE_CHANGES:
        by_seed = found.get((name, method, rows, change))
        if by_seed is None:
            continue
        usual, equal = verdicts.alarms(by_seed, None), verdicts.alarms(by_seed, limit)
        line["changes"][change] = {
            "seeds": len(by_seed),
            "windows": int(sum(len(one[0]) for one in by_seed.values())),
            "default": round(verdicts.rate(usual), 4),
            "default_se": round(verdicts.spread(usual), 4),
            "equal": round(verdicts.rate(equal), 4),
            "equal_se": round(verdicts.spread(equal), 4),
            "delay_default": round(verdicts.delay(usual), 2),
            "delay_equal": round(verdicts.delay(equal), 2),
        }
    return line


def _pairs(found: Found, methods: list[tuple[str, str, int]], rows: int, by: str) -> Iterator[dict[str, Any]]:
    """For each change ours against the peers' method with most power there, at equal false alarms.

    `by`: the windows that the thresholds are found on: "calibration", or "null", the unchanged ones of the told seeds,
    of which those that all have been given.
    """
    if (*OURS, rows, by) not in found:
        return
    peers = [key for key in methods if key[2] == rows and key[0] != OURS[0] and (*key, by) in found]
    for change in TABLE_CHANGES[1:]:
        if (*OURS, rows, change) not in found:
            continue
        mine = _equal(found, (*OURS, rows), change, by)
        theirs = {key: _equal(found, key, change, by) for key in peers if (*key, change) in found}
        if not theirs:
            continue
        best = max(theirs, key=lambda key: verdicts.rate(theirs[key]))
        pair = verdicts.pair(mine, theirs[best])
        yield {
            "reference": rows,
            "change": change,
            "best": f"{best[0]}: {best[1]}",
            **verdicts.as_json(pair),
        }


def _equal(found: Found, key: tuple[str, str, int], change: str, by: str) -> dict[int, Any]:
    shared = set.intersection(*(set(one) for (*_, rows, what), one in found.items() if (rows, what) == (key[2], by)))
    limit = verdicts.threshold({seed: found[(*key, by)][seed] for seed in shared}, LEVEL)
    return verdicts.alarms(found[(*key, change)], limit)
