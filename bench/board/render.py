"""docs/scoreboard.md, made of the figures in bench/results/scoreboard.json and of nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import page
from board.goals import goals

LABELS = {
    "backstay": "Backstay",
    "alibi_detect": "alibi-detect",
    "evidently": "Evidently",
    "frouros": "frouros",
    "nannyml": "NannyML",
    "river": "river",
    "whylogs": "whylogs",
}
HEAD = """# Scoreboard of monitors

{goals}

Installed packages on the same made-up traffic, each in an environment and in processes of its own. Written by
`bench/scoreboard.py` (`make bench-watch`) from `bench/results/scoreboard.json`, not by hand. Where Backstay loses, the
verdict says "worse". Made-up rows: they compare tests, they do not tell what your traffic does.

A *method* raises an alarm above its threshold. **Default** is its own; **equal** is the threshold that alarms in at
most {level:.0%} of windows without a change, found on seeds that are used for nothing else. Backstay's knob is its
budget ("at the level": {level:.0%} of windows), and its threshold is then set in the same way as the others'.
Differences are paired: the same windows, the difference by seed (windows of one seed share a reference), Student's 95%
interval over seeds, or McNemar's over windows where that is wider. *Superior* and *worse*: the interval lies wholly on
one side of nought.
"""
TABLES = """## Tables: false alarms, power and delay

Windows of 1,000 rows of 20 numbers and one category, the model's answer. Shifts move two of the numbers, by standard
deviations. A new cluster holds a tenth of the rows, two standard deviations away in a direction that has nothing to do
with the columns. The prior shift moves the shares of the classes from .50, .30, .20 to .46, .32, .22. Delay is in
windows, the one with the alarm included. Each cell: share of windows with an alarm (delay)."""
TOLD = """Thresholds of ten calibration seeds are rough where the reference is small: at 1,000 rows they leave
anything from 0.5% to 9% of the told seeds' unchanged windows. So here is the same at thresholds that leave
at most 5% of those very windows: no method has more false alarms than another. The goals above go by the
former, as was fixed beforehand. A method that takes the reference's frequencies for the truth gives, at a
small reference, most of its false alarms to the category: it finds the prior shift more often then, and
shifts of numbers less often."""
NOTES = """- NannyML's thresholds come of chunks of the reference. 1,000 rows are one chunk of a window's size, and one
  chunk has no spread: it is not judged there.
- Evidently chooses its tests by the reference's size (up to 1,000 rows p-values, beyond them distances); they are run
  without its report's drawings, and each run's first window is checked against the report.
- river judges rows, not windows: its ADWIN stands behind the reference at the start of each window.
- whylogs compares profiles (Kolmogorov-Smirnov on sketches, chi-square), frouros single columns; neither corrects for
  the number of columns."""
CONCEPT = """## Changed meaning: few labels

A model with true probabilities, accuracy about .81; then one label in ten is turned, whatever the input. Windows of
1,000 rows, of which some have labels; the reference has 5,000. Streams of twenty unchanged and ten changed windows.
Power is that of the first changed window, delay counts windows up to 11. Without labels nothing can see this change:
what is not listed there raises no alarm by design (Backstay) or reads labels only (river)."""
STREAM = """## Changed meaning: one stream of labelled errors

Errors of .10 become .13. Every method at the knob with the shortest delay among those that raised at most one false
alarm in 100,000 items on the calibration seeds; 20,000 labelled items come before. Delay in items. Backstay knows no
more of the 20,000 than an upper bound of their error; the line "error before known" is what that costs. The last
column: the shortest delay of the knobs that raised at most one in 100,000 on the seeds told themselves."""
EMBEDDINGS = """## Embeddings

2,000 rows against 2,000 of ten clusters in 384 dimensions; a shift of .1 standard deviations in 5% of the dimensions,
or a tenth of the rows in an eleventh cluster. Every method at its default; Backstay at one false alarm a year
("default") and at {level:.0%} of windows ("at the level"), which is also the p-value of alibi-detect's tests."""
COSTS = """## Costs

CPU seconds by the operating system's account and peak memory of the process, Python and imports included; the time
counts from reading the rows on, the reference's learning included. Columns: 50 of normal numbers against 100,000 rows.
Embeddings: 10,000 rows against as many in 384 dimensions; alibi-detect's is its classifier test."""


def scoreboard(results: Mapping[str, Any]) -> str:
    level = 0.05
    parts = [HEAD.format(level=level, goals=_goals(results)), _run(results)]
    if results.get("tables", {}).get("lines"):
        parts.append(_tables(results["tables"]))
    if results.get("concept", {}).get("lines"):
        parts.append(_concept(results["concept"]))
    if results.get("stream", {}).get("lines"):
        parts.append(_stream(results["stream"]))
    if results.get("embeddings", {}).get("lines"):
        parts.append(_embeddings(results["embeddings"], level))
    if results.get("costs", {}).get("lines"):
        parts.append(_costs(results["costs"]))
    parts.append(_made(results))
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _goals(results: Mapping[str, Any]) -> str:
    heads = ["goal", "verdict", "figure"]
    lines = [[goal.aim, goal.verdict, goal.figure] for goal in goals(results)]
    words = """What it was to show, and whether it did. Power is ours less the best peer's, with its 95% interval. *Not
refuted* and *not shown*: on fewer seeds or windows than asked for, nothing spoke against it, or not enough for it;
with so few, much can hide there."""
    return words + "\n\n" + page.table(heads, lines).replace("---:", "---")


def _run(results: Mapping[str, Any]) -> str:
    """What was asked for and what was run, which is less where the time was short."""
    asked = results["asked"]
    words = [
        f"Asked for: {asked['seeds']} seeds of {asked['windows']} windows for each tool and change, and "
        f"{asked['our_seeds']} seeds for Backstay."
    ]
    nulls = {
        f"{LABELS[line['tool']]} {one['seeds']} seeds of {one['windows'] // one['seeds']} windows"
        for line in results.get("tables", {}).get("lines", [])
        if (one := line["changes"]["null"]) and line["reference"] == 20_000
    }
    if nulls:
        words.append("Run on tables without a change: " + "; ".join(sorted(nulls)) + ".")
    absent = [f"a reference of {rows:,} rows" for rows in asked["references"] if rows not in _references(results)]
    for part, names in asked["tools"].items():
        there = {line["tool"] for line in results.get(part, {}).get("lines", [])}
        absent += [f"{LABELS[name]} in {part}" for name in names if name not in there]
    if absent:
        words.append(f"Not run: {'; '.join(absent)}.")
    words.append("Few windows make wide intervals and rough thresholds: read the intervals, not the points.")
    return " ".join(words)


def _references(results: Mapping[str, Any]) -> set[int]:
    return {line["reference"] for line in results.get("tables", {}).get("lines", [])}


def _name(line: Mapping[str, Any]) -> str:
    return f"{LABELS[line['tool']]}: {line['method']}"


def _tables(part: Mapping[str, Any]) -> str:
    changes = list(part["lines"][0]["changes"])
    text = [TABLES]
    for rows in sorted({line["reference"] for line in part["lines"]}):
        for how in ("default", "equal"):
            lines = [
                [_name(line), *(_cell(line["changes"].get(change), how, change) for change in changes)]
                for line in part["lines"]
                if line["reference"] == rows and _shown(line, how)
            ]
            wording = "at default settings" if how == "default" else "at equal false alarms"
            text.append(f"### Reference of {rows:,} rows, {wording}\n\n" + page.table(["method", *changes], lines))
    text.append("### Ours against the best peer, at equal false alarms\n\n" + _pair_table(part["pairs"], "reference"))
    if told := part.get("pairs_of_told"):
        text.append(TOLD + "\n\n" + _pair_table(told, "reference"))
    sizes = {
        f"{LABELS[line['tool']]} {one['seeds']} seeds and {one['windows']} windows"
        for line in part["lines"]
        for change, one in line["changes"].items()
        if change == "shift 0.1" and line["reference"] == 20_000
    }
    text.append("Run at a shift of .1 with 20,000 reference rows: " + "; ".join(sorted(sizes)) + ".")
    costs = ", ".join(f"{LABELS[name]} {ms:g}" for name, ms in sorted(part["cpu_ms_per_window"].items()))
    text.append(f"CPU milliseconds a window, median: {costs} (Backstay's looks twice, once at each budget).")
    return "\n\n".join([*text, NOTES])


def _shown(line: Mapping[str, Any], how: str) -> bool:
    """Of ours, whole looks by default; at equal false alarms one budget, and its detectors one by one."""
    if line["tool"] != "backstay":
        return True
    return ":" not in line["method"] if how == "default" else line["method"].startswith("at the level")


def _cell(one: Mapping[str, Any] | None, how: str, change: str) -> str:
    if one is None:
        return "-"
    if change == "null":
        return f"{one[how]:.3f}"
    return f"{one[how]:.3f} ({one[f'delay_{how}']:.1f})" if one[how] > 0 else "0"


def _pair_table(pairs: list[Mapping[str, Any]], first: str) -> str:
    heads = [first, "change", "best peer", "ours less theirs", "95%", "only ours / theirs", "seeds", "verdict"]
    lines = [
        [
            f"{pair[first]:,}" if first in pair else "",
            str(pair.get("change", "changed meaning")),
            pair["best"],
            f"{pair['difference']:+.3f}",
            f"{pair['low']:+.3f} to {pair['high']:+.3f}",
            f"{pair['only_ours']} / {pair['only_theirs']}",
            str(pair["seeds"]),
            pair["verdict"],
        ]
        for pair in pairs
    ]
    return page.table(heads, lines)


def _concept(part: Mapping[str, Any]) -> str:
    heads = ["method", "labels", "default: false", "power", "delay", "equal: false", "power", "delay", "streams"]
    lines = []
    for line in part["lines"]:
        figures = [
            f"{line[how][what]:.3f}" if what != "delay" else f"{line[how][what]:.1f}"
            for how in ("default", "equal")
            for what in ("null", "power", "delay")
        ]
        lines.append([_name(line), str(line["labels"]), *figures, str(line["streams"])])
    return "\n\n".join([CONCEPT, page.table(heads, lines), _pair_table(part["pairs"], "labels")])


def _stream(part: Mapping[str, Any]) -> str:
    heads = ["method", "knob", "false / 100k", "delay", "standard error", "missed / changes", "delay, best quiet knob"]
    lines = [
        [
            _name(line),
            str(line["knob"]),
            f"{line['false_per_100k']:.2f}",
            f"{line['delay']:.0f}",
            f"{line['delay_se']:.0f}",
            f"{line['missed']} / {line['changes']}",
            "-" if line["delay_matched"] is None else f"{line['delay_matched']:.0f}",
        ]
        for line in part["lines"]
    ]
    text = [STREAM, page.table(heads, lines)]
    if part["pair"] is not None:
        middle, low, high = part["pair"]["items_shorter"]
        verdict = "shorter" if low > 0 else "longer" if high < 0 else "not significantly different"
        text.append(
            f"Backstay with the bound of its reference against ADWIN: {middle:.0f} items shorter "
            f"(95%, paired over {part['pair']['seeds']} seeds: {low:.0f} to {high:.0f}): **{verdict}**."
        )
    return "\n\n".join(text)


def _embeddings(part: Mapping[str, Any], level: float) -> str:
    changes = [key for key in part["lines"][0] if key not in ("tool", "method", "seeds", "windows")]
    heads = ["method", *changes, "windows each"]
    lines = [[_name(line), *(f"{line[c]:.3f}" for c in changes), str(line["windows"])] for line in part["lines"]]
    costs = ", ".join(f"{LABELS[name]} {value:g}" for name, value in part["cpu_per_window"].items())
    return "\n\n".join(
        [
            EMBEDDINGS.format(level=level),
            page.table(heads, lines),
            _pair_table(part["pairs"], "rows"),
            f"CPU seconds a window with the reference's learning, all methods of a tool together: {costs}.",
        ]
    )


def _costs(part: Mapping[str, Any]) -> str:
    heads = ["case: tool", "CPU s", "over alibi-detect's", "peak MB", "rounds"]
    kinds = {"columns_cost": "columns", "embeddings_cost": "embeddings"}
    lines = [
        [
            f"{kinds[line['kind']]}, {line['rows']:,}: {LABELS[line['tool']]}",
            f"{line['cpu']:.2f}",
            "-" if line["over_alibi"] is None else f"{line['over_alibi']:.2f}",
            str(line["peak_mb"]),
            str(line["rounds"]),
        ]
        for line in part["lines"]
    ]
    text = [COSTS, page.table(heads, lines)]
    text += [
        f"- {LABELS[name.partition(',')[0]]}{name[name.index(',') :]}: {why}" for name, why in part["failed"].items()
    ]
    return "\n\n".join(text[:2]) + ("\n\n" + "\n".join(text[2:]) if part["failed"] else "")


def _made(results: Mapping[str, Any]) -> str:
    lines = ["## How it was made", ""]
    for name, made in results["made"].items():
        lines.append(f"- {name}: `{made['command']}`; {made['machine']}")
    for name, versions in sorted(results["versions"].items()):
        lines.append(f"- {LABELS[name]}: " + ", ".join(f"{package} {version}" for package, version in versions.items()))
    lines += [f"- {LABELS[name]} was left out: {why}" for name, why in results["absent"].items()]
    lines.append("- sha256 of the scripts:")
    lines += [f"  - `{name}` `{value}`" for name, value in results["scripts"].items()]
    return "\n".join(lines)
