"""What the scoreboard was to show, and whether it did: goals against the figures of bench/results/scoreboard.json.

A goal without figures, or with too few seeds for a verdict, is not judged: that is no pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from board.concept import STREAM_OURS, STREAM_PEER
from board.verdicts import LEAST_SEEDS

KEPT, MISSED, OPEN = "kept", "**missed**", "not judged"
# On fewer seeds or windows than asked for: no evidence against it; none for it.
NOT_REFUTED, NOT_SHOWN = "not refuted", "**not shown**"
# Of these changes Backstay was to find more than the best peer, in at least so many.
HARD, LEAST_SUPERIOR = ("shift 0.1", "new cluster", "prior shift", "concept, 100 labels"), 2
FEW_LABELS, FALSE_PER_100K = 100, 1.0
EMBEDDING_COST, COLUMNS_COST, COLUMNS_MB = 0.52, 0.97, 600
MOST_ROWS = 1_000_000
OURS = "backstay"
Results = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Goal:
    """What was aimed at, the figures, and the verdict in a word."""

    aim: str
    figure: str
    verdict: str


def goals(results: Results) -> list[Goal]:
    found = list(_budget(results))
    found += _not_worse(results)
    found += _superior(results)
    found.append(_delay(results))
    found.append(_embeddings(results))
    found.append(_columns(results))
    return found


def _budget(results: Results) -> Iterator[Goal]:
    """Above the level by less than two standard errors (over references) is still kept, and told."""
    part = results.get("tables")
    for line in [] if part is None else part["lines"]:
        null = line["changes"]["null"]
        if (line["tool"], line["method"]) != (OURS, "at the level"):
            continue
        rate, error, level = null["default"], null["default_se"], part["level"]
        words = f"{rate:.1%} ± {error:.1%} of {null['windows']} windows, {null['seeds']} references"
        kept = rate <= level + 2.0 * error
        yield Goal(
            f"budget of {level:.0%} of windows kept, fixed reference of {line['reference']:,} rows",
            words + (" (above it within two standard errors)" if kept and rate > level else ""),
            _verdict(kept, null["seeds"], KEPT if _as_asked(results) else NOT_REFUTED),
        )


def _pairs(results: Results) -> dict[int, dict[str, Mapping[str, Any]]]:
    """By the rows of the reference; the changed meaning with few labels stands with each."""
    labelled = {f"concept, {pair['labels']} labels": pair for pair in results.get("concept", {}).get("pairs", [])}
    found: dict[int, dict[str, Mapping[str, Any]]] = {}
    for pair in results.get("tables", {}).get("pairs", []):
        found.setdefault(pair["reference"], dict(labelled))[pair["change"]] = pair
    return found


def _not_worse(results: Results) -> Iterator[Goal]:
    for rows, pairs in _pairs(results).items():
        worse = [f"{change} ({_told(pair)})" for change, pair in pairs.items() if pair["verdict"] == "worse"]
        unknown = [change for change, pair in pairs.items() if pair["seeds"] < LEAST_SEEDS]
        words = "worse on " + "; ".join(worse) if worse else f"worse on none of {len(pairs) - len(unknown)}"
        yield Goal(
            f"not significantly worse than the best peer on any change, equal false alarms, reference of {rows:,}",
            words + (f"; too few seeds: {', '.join(unknown)}" if unknown else ""),
            MISSED if worse else OPEN if unknown else KEPT if _as_asked(results) else NOT_REFUTED,
        )


def _superior(results: Results) -> Iterator[Goal]:
    for rows, pairs in _pairs(results).items():
        hard = {change: pairs[change] for change in HARD if change in pairs}
        better = [change for change, pair in hard.items() if pair["verdict"] == "superior"]
        unknown = len(HARD) - sum(pair["seeds"] >= LEAST_SEEDS for pair in hard.values())
        open_still = len(better) < LEAST_SUPERIOR <= len(better) + unknown
        missed = MISSED if _as_asked(results) else NOT_SHOWN
        told = "; ".join(f"{change} {_told(pair)} ({pair['seeds']} seeds)" for change, pair in hard.items())
        yield Goal(
            f"superior on at least {LEAST_SUPERIOR} of {len(HARD)} hard changes, reference of {rows:,}",
            f"superior on {len(better)}: {told}",
            OPEN if open_still else KEPT if len(better) >= LEAST_SUPERIOR else missed,
        )


def _delay(results: Results) -> Goal:
    aim = f"delay on labelled error shorter than ADWIN's at {FALSE_PER_100K:g} false alarm per 100,000 items"
    pair = results.get("stream", {}).get("pair")
    if pair is None:
        return Goal(aim, "not run", OPEN)
    middle, low, high = pair["items_shorter"]
    ours, theirs = (
        next(line for line in results["stream"]["lines"] if (line["tool"], line["method"]) == which)
        for which in (STREAM_OURS, STREAM_PEER)
    )
    rates = [f"{line['false_per_100k']:.2f} ({line['knob']}, {line['delay']:.0f} items)" for line in (ours, theirs)]
    # A knob found on few calibration seeds may raise more on these: ours must be shorter where neither does, too.
    matched = results["stream"].get("pair_matched")
    again = "none is so quiet"
    if matched is not None:
        again = "{:.0f} shorter ({:.0f} to {:.0f})".format(*matched["items_shorter"])
    figure = (
        f"{middle:.0f} items shorter ({low:.0f} to {high:.0f}, {pair['seeds']} seeds), at false alarms per 100,000 of "
        f"{rates[0]} and {rates[1]}; at knobs with at most {FALSE_PER_100K:g} on these very seeds {again}"
    )
    lows = [low, matched["items_shorter"][1] if matched is not None else 0.0]
    verdict = _verdict(min(lows) > 0, pair["seeds"])
    few = verdict == MISSED and high > 0 and pair["seeds"] < results["asked"]["seeds"]
    return Goal(aim, figure, NOT_SHOWN if few else verdict)


def _embeddings(results: Results) -> Goal:
    aim = f"10,000 embeddings of 384 at most {EMBEDDING_COST:g} of the CPU seconds of alibi-detect's classifier test, "
    cost = _cost(results, "embeddings_cost", 10_000)
    pairs = results.get("embeddings", {}).get("pairs", [])
    if cost is None:
        return Goal(aim + "with no less power", "not run", OPEN)
    worse = [pair["change"] for pair in pairs if pair["verdict"] == "worse"]
    words = [f"{cost['over_alibi']:.2f} of them ({cost['cpu']:.2f} s)"]
    words += [f"{pair['change']}: power {_told(pair)}" for pair in pairs]
    kept = cost["over_alibi"] <= EMBEDDING_COST and not worse
    seeds = min((pair["seeds"] for pair in pairs), default=0)
    return Goal(aim + "with no less power", "; ".join(words), _verdict(kept, seeds if kept else LEAST_SEEDS))


def _columns(results: Results) -> Goal:
    aim = (
        f"{MOST_ROWS:,} rows of 50 columns at most {COLUMNS_COST:g} of alibi-detect's CPU seconds and under "
        f"{COLUMNS_MB} MB, the reference's learning included"
    )
    cost = _cost(results, "columns_cost", MOST_ROWS)
    if cost is None:
        return Goal(aim, "not run", OPEN)
    figure = f"{cost['over_alibi']:.2f} of them ({cost['cpu']:.2f} s), {cost['peak_mb']} MB; {cost['rounds']} rounds"
    return Goal(aim, figure, _verdict(cost["over_alibi"] <= COLUMNS_COST and cost["peak_mb"] < COLUMNS_MB, LEAST_SEEDS))


def _cost(results: Results, kind: str, rows: int) -> Mapping[str, Any] | None:
    for line in results.get("costs", {}).get("lines", []):
        if (line["kind"], line["rows"], line["tool"]) == (kind, rows, OURS) and line["over_alibi"] is not None:
            return dict(line)
    return None


def _told(pair: Mapping[str, Any]) -> str:
    return f"{pair['difference']:+.3f}, {pair['low']:+.3f} to {pair['high']:+.3f}"


def _as_asked(results: Results) -> bool:
    """Whether all tools had as many seeds and windows without a change as was asked for."""
    asked, lines = results["asked"], results["tables"]["lines"]
    nulls = [(line["changes"]["null"], line["tool"] == OURS) for line in lines]
    return all(
        null["seeds"] >= asked["our_seeds" if ours else "seeds"] and null["windows"] >= null["seeds"] * asked["windows"]
        for null, ours in nulls
    )


def _verdict(kept: bool, seeds: int, word: str = KEPT) -> str:
    if seeds < LEAST_SEEDS:
        return OPEN
    return word if kept else MISSED
