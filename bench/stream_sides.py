"""One tool's look at one window in a file, in a process of its own. Prints one JSON document.

python bench/stream_sides.py backstay reference.parquet traffic.parquet
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from process import peak_bytes

LEVEL = 0.05


def backstay(reference: Path, traffic: Path) -> Callable[[], bool]:
    import backstay

    few = np.random.default_rng(0).standard_normal((200, 4))
    backstay.watch(few, reference=few)  # imports and first uses are counted to nobody
    return lambda: backstay.watch(traffic, reference=reference).alarming


def scipy_ks(reference: Path, traffic: Path) -> Callable[[], bool]:
    from scipy.stats import ks_2samp

    ks_2samp(np.arange(50.0), np.arange(50.0), method="asymp")

    def look() -> bool:
        before, now = (np.load(path, allow_pickle=False, mmap_mode="r") for path in (reference, traffic))
        columns = range(before.shape[1])
        least = min(ks_2samp(before[:, i], now[:, i], method="asymp").pvalue for i in columns)
        return bool(least < LEVEL / before.shape[1])

    return look


def alibi_detect(reference: Path, traffic: Path) -> Callable[[], bool]:
    from alibi_detect.cd import KSDrift  # type: ignore[import-not-found]  # in an environment of its own

    few = np.random.default_rng(0).standard_normal((50, 2))
    KSDrift(few, p_val=LEVEL).predict(few)

    def look() -> bool:
        before, now = (np.load(path, allow_pickle=False) for path in (reference, traffic))
        return bool(KSDrift(before, p_val=LEVEL).predict(now)["data"]["is_drift"])

    return look


SIDES = {"backstay": backstay, "scipy": scipy_ks, "alibi-detect": alibi_detect}


def cpu() -> float:
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in spent)


def main() -> None:
    look = SIDES[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
    began, clock = cpu(), time.perf_counter()
    moved = look()
    told = {"cpu": cpu() - began, "wall": time.perf_counter() - clock, "peak": peak_bytes(), "moved": moved}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
