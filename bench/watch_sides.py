"""One tool's look at one case, in a process of its own: what it cost and what it said. Prints one JSON document.

    python bench/watch_sides.py backstay case.npz

The case holds reference and windows as arrays of floats; `names` is there when the columns mean something each.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from process import peak_bytes, resident_bytes

Array = np.ndarray[Any, np.dtype[np.float64]]
Case = dict[str, Array]
# Says of a window ("same" or "moved") whether it is another population than the reference.
Look = Callable[[str], bool]
LEVEL = 0.05


def backstay(case: Case) -> Look:
    """Everything that Backstay does in a look: all detectors, the estimate of accuracy, the words."""
    from datetime import UTC, datetime, timedelta

    from backstay.kernel.clock import SystemClock
    from backstay.kernel.records import Condition
    from backstay.monitor.fitted import Detectors
    from backstay.monitor.memory import Memory
    from backstay.monitor.reference import fit_reference
    from backstay.monitor.traffic import WindowData
    from backstay.monitor.watch import watch_window
    from backstay.settings import parse

    classes = ("a", "b", "c")
    names = np.array(classes, dtype=object)
    tabular = bool(case["tabular"])

    def columns(rows: Array) -> dict[str, Array]:
        return {f"x{i:02d}": rows[:, i].copy() for i in range(rows.shape[1])} if tabular else {}

    settings = parse({"version": 1, "name": "bench"})
    scores = case["reference_scores"]
    reference = fit_reference(
        names[scores.argmax(axis=1)],
        classes,
        representation=None if tabular else case["reference"],
        scores=scores,
        correct=case["correct"],
        columns=columns(case["reference"]),
    )
    detectors = Detectors.fit(reference, settings)
    begin = datetime(2026, 1, 5, tzinfo=UTC)

    def look(which: str) -> bool:
        rows, scores = case[which], case[f"{which}_scores"]
        ids = np.array([f"row-{i}" for i in range(len(rows))], dtype=object)
        seconds = np.linspace(0, 7 * 86_400 - 1, len(rows)).astype("timedelta64[s]")
        window = WindowData(
            begin,
            begin + timedelta(days=7),
            ids,
            np.datetime64(begin.replace(tzinfo=None), "us") + seconds,
            names[scores.argmax(axis=1)],
            representation=None if tabular else rows,
            scores=scores,
            columns=columns(rows),
        )
        result, _ = watch_window(Memory.start("release-1", begin), window, detectors, settings, SystemClock())
        return result.condition in (Condition.MOVED, Condition.WORSE)

    return look


def scipy_ks(case: Case) -> Look:
    """Kolmogorov and Smirnov's test for each column, Bonferroni over the columns."""
    from scipy.stats import ks_2samp

    reference = case["reference"]

    def look(which: str) -> bool:
        rows = case[which]
        count = rows.shape[1]
        least = min(ks_2samp(reference[:, i], rows[:, i], method="asymp").pvalue for i in range(count))
        return bool(least < LEVEL / count)

    return look


def alibi_detect(case: Case) -> Look:
    """alibi-detect's KSDrift, its correction being Bonferroni's by default."""
    from alibi_detect.cd import KSDrift  # type: ignore[import-not-found]  # in an environment of its own

    detector = KSDrift(case["reference"], p_val=LEVEL)

    def look(which: str) -> bool:
        return bool(detector.predict(case[which])["data"]["is_drift"])

    return look


SIDES: dict[str, Callable[[Case], Look]] = {"backstay": backstay, "scipy": scipy_ks, "alibi-detect": alibi_detect}


def warm_up(side: Callable[[Case], Look], case: Case) -> None:
    """Two hundred rows first, so that imports and first uses are counted to nobody."""
    rows = 200
    few = {name: values if values.ndim == 0 else values[:rows] for name, values in case.items()}
    side(few)("same")


def cpu() -> float:
    """CPU seconds of this process and of the children that have ended."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in spent)


def main() -> None:
    side = SIDES[sys.argv[1]]
    with np.load(sys.argv[2], allow_pickle=False) as file:
        case = {name: file[name] for name in file.files}
    warm_up(side, case)
    before = resident_bytes()
    began, clock = cpu(), time.perf_counter()
    look = side(case)
    fitted = cpu()
    same = look("same")
    looked, elapsed = cpu(), time.perf_counter() - clock
    moved = look("moved")
    told = {
        "fit": fitted - began,
        "look": looked - fitted,
        "wall": elapsed,
        "peak": peak_bytes(),
        "grown": max(0, peak_bytes() - before),
        "same": same,
        "moved": moved,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
