"""The parts on a changed meaning: windows with few labels, and one long stream of errors at a matched rate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from board import verdicts
from board.runs import Kept, Run, Tool
from board.worlds import CALIBRATION
from board.worlds_concept import AFTER, BEFORE, LABELS

LEVEL = 0.05
TAKES_PART = {"concept": ("backstay", "river", "nannyml"), "stream": ("backstay", "river")}
# The one of ours that is compared with the peers' best: chosen, as all that it consists of, on ConceptWorld's seeds 500
# to 599, before any seed that is told was run; the others of ours stand in the table.
OURS = ("backstay", "confident errors")
STREAM_OURS, STREAM_PEER = ("backstay", "e-detector, reference of 20,000"), ("river", "ADWIN")
PER_ITEMS = 100_000


def questions(tools: list[Tool], seeds: int, kind: str) -> Iterator[tuple[Run, int]]:
    """Every run of a part with its seed; half as many seeds more are for calibration alone."""
    for seed in range(seeds):
        for tool in tools:
            if tool.name in TAKES_PART[kind]:
                yield Run.of(tool, kind, seed=seed), seed
                if seed < max(seeds // 2, 2):
                    yield Run.of(tool, kind, seed=CALIBRATION + seed), CALIBRATION + seed


def _told(kept: Kept, tools: list[Tool], seeds: int, kind: str) -> Iterator[tuple[str, int, dict[str, Any]]]:
    for run, seed in questions(tools, seeds, kind):
        found = kept.known(run)
        if found is not None and "failed" not in found:
            yield run.tool.name, seed, found


def windows_summary(kept: Kept, tools: list[Tool], seeds: int) -> dict[str, Any]:
    """Of each method and number of labels: false alarms, power in the first changed window, windows to the alarm."""
    found: dict[tuple[str, str, int], dict[int, list[list[list[Any]]]]] = {}
    for name, seed, told in _told(kept, tools, seeds, "concept"):
        for key, methods in told["found"].items():
            labels = int(key.split(",")[0])
            for method, windows in methods.items():
                found.setdefault((name, method, labels), {}).setdefault(seed, []).append(windows)
    lines, equal = [], {}
    for (name, method, labels), by_seed in sorted(found.items(), key=lambda item: (item[0][2], item[0])):
        shared = {seed: streams for seed, streams in by_seed.items() if seed < CALIBRATION}
        aside = [stream for seed, streams in by_seed.items() if seed >= CALIBRATION for stream in streams]
        if not shared or not aside:
            continue
        scores = np.array([window[0] for stream in aside for window in stream[:BEFORE]])
        limit = float(np.quantile(scores, 1.0 - LEVEL, method="higher"))
        usual = {seed: [[bool(w[1]) for w in stream] for stream in streams] for seed, streams in shared.items()}
        above = {seed: [[w[0] > limit for w in stream] for stream in streams] for seed, streams in shared.items()}
        equal[name, method, labels] = {seed: np.array([s[BEFORE] for s in streams]) for seed, streams in above.items()}
        lines.append(
            {
                "tool": name,
                "method": method,
                "labels": labels,
                "streams": sum(len(streams) for streams in shared.values()),
                "default": _figures(usual),
                "equal": _figures(above),
            }
        )
    return {"level": LEVEL, "lines": lines, "pairs": list(_pairs(equal))}


def _figures(said: dict[int, list[list[bool]]]) -> dict[str, float]:
    streams = [stream for one in said.values() for stream in one]
    waits = [next((i + 1 for i, alarm in enumerate(stream[BEFORE:]) if alarm), AFTER + 1) for stream in streams]
    return {
        "null": round(float(np.mean([alarm for stream in streams for alarm in stream[:BEFORE]])), 4),
        "power": round(float(np.mean([stream[BEFORE] for stream in streams])), 4),
        "delay": round(float(np.mean(waits)), 2),
        "missed": sum(wait > AFTER for wait in waits),
    }


def _pairs(equal: dict[tuple[str, str, int], dict[int, Any]]) -> Iterator[dict[str, Any]]:
    """In the first changed window, ours against the peers' best method with as many labels."""
    for labels in LABELS[1:]:
        mine = equal.get((*OURS, labels))
        theirs = {key: said for key, said in equal.items() if key[2] == labels and key[0] != OURS[0]}
        if mine is None or not theirs:
            continue
        best = max(theirs, key=lambda key: verdicts.rate(theirs[key]))
        pair = verdicts.pair(mine, theirs[best])
        yield {"labels": labels, "best": f"{best[0]}: {best[1]}", **verdicts.as_json(pair)}


def stream_summary(kept: Kept, tools: list[Tool], seeds: int) -> dict[str, Any]:
    """Each method at the loosest knob that raised at most one false alarm in 100,000 items of the calibration seeds."""
    found: dict[tuple[str, str], dict[str, dict[int, dict[str, Any]]]] = {}
    for name, seed, told in _told(kept, tools, seeds, "stream"):
        for method, knobs in told["found"].items():
            for knob, figures in knobs.items():
                found.setdefault((name, method), {}).setdefault(knob, {})[seed] = figures
    lines, delays, matched = [], {}, {}
    for (name, method), knobs in sorted(found.items()):
        if any(not any(seed >= CALIBRATION for seed in by_seed) for by_seed in knobs.values()):
            continue
        rates = {knob: _rate(by_seed, calibration=True) for knob, by_seed in knobs.items()}
        quiet = [knob for knob in knobs if rates[knob] <= 1.0]
        if not quiet:
            continue
        knob = min(quiet, key=lambda one: _delay(knobs[one], calibration=True))
        shared = {seed: figures for seed, figures in knobs[knob].items() if seed < CALIBRATION}
        if not shared:
            continue
        delays[name, method] = _by_seed(knobs[knob])
        as_quiet = [one for one in knobs if _rate(knobs[one], calibration=False) <= 1.0]
        if as_quiet:
            matched[name, method] = _by_seed(
                knobs[min(as_quiet, key=lambda one: _delay(knobs[one], calibration=False))]
            )
        lines.append(
            {
                "tool": name,
                "method": method,
                "knob": knob,
                "false_per_100k": round(_rate(shared, calibration=False), 3),
                "delay": round(_delay(shared, calibration=False), 1),
                "delay_se": round(_error(list(delays[name, method].values())), 1),
                "missed": sum(figures["missed"] for figures in shared.values()),
                "changes": sum(len(figures["delays"]) for figures in shared.values()),
                "all_knobs": (told := _by_knob(knobs)),
                "delay_matched": min((wait for rate, wait in told.values() if rate <= 1.0), default=None),
            }
        )
    return {"lines": lines, "pair": _shorter(delays), "pair_matched": _shorter(matched)}


def _shorter(delays: dict[tuple[str, str], dict[int, float]]) -> dict[str, Any] | None:
    """By how many items ours is shorter than ADWIN's, paired by seed; None with fewer than two seeds."""
    mine, theirs = delays.get(STREAM_OURS, {}), delays.get(STREAM_PEER, {})
    seeds = sorted(set(mine) & set(theirs))
    middle, reach = verdicts.interval([theirs[seed] - mine[seed] for seed in seeds]) if seeds else (0.0, np.inf)
    if not np.isfinite(reach):
        return None
    return {"items_shorter": [round(v, 1) for v in (middle, middle - reach, middle + reach)], "seeds": len(seeds)}


def _by_seed(found: dict[int, dict[str, Any]]) -> dict[int, float]:
    """The mean delay of each seed that is told."""
    return {seed: float(np.mean(figures["delays"])) for seed, figures in found.items() if seed < CALIBRATION}


def _by_knob(knobs: dict[str, dict[int, dict[str, Any]]]) -> dict[str, list[float]]:
    """False alarms per 100,000 and mean delay on the seeds told, by knob."""
    return {
        knob: [round(_rate(by_seed, calibration=False), 3), round(_delay(by_seed, calibration=False), 1)]
        for knob, by_seed in knobs.items()
    }


def _error(by_seed: list[float]) -> float:
    return float(np.std(by_seed, ddof=1) / np.sqrt(len(by_seed))) if len(by_seed) > 1 else 0.0


def _rate(by_seed: dict[int, dict[str, Any]], *, calibration: bool) -> float:
    chosen = [figures for seed, figures in by_seed.items() if (seed >= CALIBRATION) == calibration]
    return PER_ITEMS * sum(one["false"] for one in chosen) / max(sum(one["items"] for one in chosen), 1)


def _delay(by_seed: dict[int, dict[str, Any]], *, calibration: bool) -> float:
    chosen = [figures["delays"] for seed, figures in by_seed.items() if (seed >= CALIBRATION) == calibration]
    return float(np.mean(np.concatenate(chosen))) if chosen else float("inf")
