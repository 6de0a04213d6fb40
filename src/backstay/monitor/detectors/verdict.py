"""From the shared mean-shift test to a signal in words."""

from __future__ import annotations

import numpy as np

from backstay.kernel.records import Json, Signal
from backstay.maths.arrays import AnyArray, FloatArray
from backstay.maths.meanshift import MeanShift, ShiftResult
from backstay.maths.threshold import MINIMUM_WINDOW
from backstay.monitor.detectors import Look
from backstay.monitor.traffic import WindowData

EXAMPLES = 8
# Above this the threshold is so far inflated by a small reference that the reader should know what more rows buy.
TOLERABLE_INFLATION = 1.5
WANTED_INFLATION = 1.25


def not_judged(detector: str, window: WindowData, why: str) -> Signal:
    """A signal that says that nothing was tested, spends nothing and alarms never."""
    return Signal(detector, 0.0, False, 0.0, len(window), f"not judged: {why}", figures={"judged": False})


def too_few(shift: MeanShift, window: WindowData) -> str | None:
    """Why the window cannot be tested, if it cannot."""
    effective = shift.window_effective(len(window), window.codes)
    if effective >= MINIMUM_WINDOW:
        return None
    return f"{len(window)} rows are worth {effective:.0f} independent ones, at least {MINIMUM_WINDOW} are needed"


def check(shift: MeanShift, features: FloatArray, window: WindowData, look: Look, alpha: float) -> ShiftResult:
    """The mean-shift test of this window's features [n, D], with its groups and the finite source of the stream."""
    return shift.check(features, alpha, groups=window.codes, source=look.source)


def figures(result: ShiftResult) -> Json:
    """The test's figures, for the page and the ledger."""
    return {
        "judged": True,
        "statistic": result.statistic,
        "threshold": result.threshold,
        "p_value": result.p_value,
        "n_effective": result.n_effective,
        "minimum_detectable": result.minimum_detectable,
        "inflation": result.inflation,
    }


def more_rows(shift: MeanShift, result: ShiftResult, alpha: float, most: int | None = None) -> tuple[str, Json]:
    """A sentence that asks for more reference rows when they are too few to see much, and the number.

    Args:
        most: reference rows that the detector looks at; beyond these, more would be asked for in vain.
    """
    if result.inflation <= TOLERABLE_INFLATION:
        return "", {}
    wanted = shift.rows_needed(result.n_effective, alpha, WANTED_INFLATION)
    if most is not None:
        wanted = min(wanted, most)
    if wanted <= shift.n:  # the error that inflates is not that of the reference but of a small source
        return "", {}
    sentence = (
        f"; with {shift.n} reference rows a shift below {result.minimum_detectable:.2f} standard deviations may go"
        f" unseen: ask for more reference rows: {wanted}"
    )
    return sentence, {"reference_rows_wanted": wanted}


def witnesses(shift: MeanShift, features: FloatArray, window: WindowData) -> tuple[str, ...]:
    """Ids of the rows that lie farthest along the direction in which the mean moved, one a group."""
    difference = features.mean(axis=0) - shift.mean
    if shift.projection is not None:
        difference = shift.projection @ (shift.projection.T @ difference)
    order = np.argsort(-(features @ difference), kind="stable")
    groups: AnyArray | None = window.codes
    chosen: list[str] = []
    seen: set[int] = set()
    for row in order:
        if groups is not None:
            if int(groups[row]) in seen:
                continue
            seen.add(int(groups[row]))
        chosen.append(str(window.ids[row]))
        if len(chosen) == EXAMPLES:
            break
    return tuple(chosen)


def strength(evidence: float) -> str:
    """The evidence in words.

    >>> strength(0.4), strength(3.2)
    ('0.40 of what would alarm', '3.2 times what would alarm')
    """
    return f"{evidence:.2f} of what would alarm" if evidence < 1 else f"{evidence:.1f} times what would alarm"
