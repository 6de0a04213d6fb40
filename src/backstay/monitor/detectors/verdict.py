"""From the shared mean-shift test to a signal in words."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from backstay.kernel.records import Json, Signal
from backstay.maths.arrays import AnyArray, FloatArray, RealArray
from backstay.maths.meanshift import MeanShift, ShiftResult
from backstay.maths.sketches.means import MeanSketch
from backstay.maths.threshold import MINIMUM_WINDOW
from backstay.monitor.detectors import Look
from backstay.monitor.reference import MOST_REFERENCE_ROWS
from backstay.monitor.traffic import WindowData

EXAMPLES = 8
# Rows whose features are in memory at one time.
AT_A_TIME = 4096
# Above this the threshold is so far inflated by a small reference that the reader should know what more rows buy.
TOLERABLE_INFLATION = 1.5
WANTED_INFLATION = 1.25
# A smaller shift than this, in standard deviations, hardly matters to a model: nobody is asked for rows to see it.
SENSIBLE_SHIFT = 0.05
# Fewer rows more than this, as a share, buy too little to ask for.
WORTH_ASKING = 1.1


def not_judged(detector: str, window: WindowData, why: str) -> Signal:
    """A signal that says that nothing was tested, spends nothing and alarms never."""
    return Signal(detector, 0.0, False, 0.0, window.rows, f"not judged: {why}", figures={"judged": False})


def too_few(shift: MeanShift, window: WindowData) -> str | None:
    """Why the window cannot be tested, if it cannot."""
    effective = shift.window_effective(window.rows, window.codes)
    if effective >= MINIMUM_WINDOW:
        return None
    return f"{window.rows} rows are worth {effective:.0f} independent ones, at least {MINIMUM_WINDOW} are needed"


def check(
    shift: MeanShift, sketch: MeanSketch, codes: AnyArray | None, look: Look, alpha: float, family: int = 1
) -> ShiftResult:
    """The mean-shift test of a mean feature, with the groups of its rows and the finite source of the stream; one of
    `family` tests at this `alpha`."""
    effective = shift.window_effective(sketch.n, codes)
    return shift.check_mean(sketch.mean, sketch.n, alpha, effective, look.source, family)


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


def more_rows(
    shift: MeanShift, result: ShiftResult, alpha: float, most: int = MOST_REFERENCE_ROWS, family: int = 1
) -> tuple[str, Json]:
    """How small a shift may go unseen where the reference is too small to see much, and the rows to ask for, if any.

    Args:
        most: reference rows that the detector looks at; beyond these, more would be asked for in vain.
    """
    if result.inflation <= TOLERABLE_INFLATION:
        return "", {}
    unseen = (
        f"; with {shift.n} reference rows a shift below {result.minimum_detectable:.2f} standard deviations may go"
        " unseen"
    )
    if result.minimum_detectable < SENSIBLE_SHIFT:
        return unseen, {}
    wanted = min(shift.rows_needed(result.n_effective, alpha, WANTED_INFLATION, family, most), most)
    if wanted <= shift.n and most > shift.n:  # what inflates is not the error of the reference but of a small source
        return "", {}
    if wanted < WORTH_ASKING * shift.n:
        return unseen, {}
    return f"{unseen}: ask for more reference rows: {wanted}", {"reference_rows_wanted": wanted}


def witnesses(
    shift: MeanShift,
    mean: FloatArray,
    features: Callable[[slice], RealArray],
    window: WindowData,
    among: AnyArray | None = None,
) -> tuple[str, ...]:
    """Ids of the rows that lie farthest along the direction in which the mean moved, one a group.

    Args:
        mean: the window's mean feature [D].
        features: gives the features [m, D] of a slice of these rows; asked for some rows at a time.
        among: row numbers of the window to choose among; all of them where not given.
    """
    difference = mean - shift.mean
    if shift.projection is not None:
        difference = shift.projection @ (shift.projection.T @ difference)
    rows_at_hand = np.arange(len(window)) if among is None else among
    along = np.concatenate([features(rows) @ difference for rows in slices(len(rows_at_hand))])
    order = rows_at_hand[np.argsort(-along, kind="stable")]
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


def slices(rows: int, size: int = AT_A_TIME) -> list[slice]:
    """The rows in parts of bounded size.

    >>> slices(5, 2)
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    return [slice(at, min(at + size, rows)) for at in range(0, rows, size)]


def strength(evidence: float) -> str:
    """The evidence in words.

    >>> strength(0.4), strength(3.2)
    ('0.40 of what would alarm', '3.2 times what would alarm')
    """
    return f"{evidence:.2f} of what would alarm" if evidence < 1 else f"{evidence:.1f} times what would alarm"
