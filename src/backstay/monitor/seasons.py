"""Like hours with like: which part of the day, week or year a moment lies in, and reference rows to match a window's.

Traffic of a Monday morning differs from a Saturday night's with nothing having changed. With `watch.season` the
detectors that test a window's rows compare it with reference rows of the same hours: of each part of the season as many
as its share of the window asks for, drawn without replacement. Hours are UTC.
"""

from __future__ import annotations

import numpy as np

from backstay.maths.arrays import AnyArray, IntArray

SEASONS = ("none", "day", "week", "year")
SEED = 20_261_123
# Parts of the season that hold less of the window do not decide how many reference rows there can be.
LEAST_SHARE = 0.02
# More of the window in hours that the reference has no rows of, and it is not compared at all.
MOST_UNKNOWN = 0.05


def hour_cells(hours: AnyArray, season: str, grain: int = 1) -> IntArray:
    """The part of the season of each hour since 1970 [n]: of the day or week in steps of `grain` hours, of
    the year the seven days from 1 January on.

    >>> hour_cells(np.array([0, 23, 24, 200]), "day").tolist(), hour_cells(np.array([0, 24, 200]), "week", 6).tolist()
    ([0, 23, 0, 8], [0, 4, 5])
    """
    whole = np.asarray(hours).astype(np.int64)
    if season == "day":
        return np.asarray(whole % 24 // grain)
    if season == "week":
        return np.asarray(whole % 168 // grain)
    if season == "year":
        days = (whole // 24).astype("datetime64[D]")
        return np.asarray((days - days.astype("datetime64[Y]")).astype(np.int64) // 7)
    return np.zeros(len(whole), dtype=np.int64)


def cells(times: AnyArray, season: str) -> IntArray:
    """The part of the season of each row: three hours of the day, six hours of the week, or seven days of the year."""
    hours = times.astype("datetime64[h]").astype(np.int64)
    return hour_cells(hours, season, {"day": 3, "week": 6}.get(season, 1))


def like_rows(reference: AnyArray, window: AnyArray, season: str) -> IntArray | None:
    """Reference row numbers in the window's mix of parts of the season.

    Args: `reference` and `window` are times, datetime64 [n] and [m].

    None where the reference has (almost) no rows of more than a twentieth of the window.
    """
    known, wanted = cells(reference, season), cells(window, season)
    names, counts = np.unique(wanted, return_counts=True)
    shares = counts / counts.sum()
    there = np.array([np.count_nonzero(known == name) for name in names])
    if shares[there == 0].sum() > MOST_UNKNOWN:
        return None
    decides = (there > 0) & (shares >= min(LEAST_SHARE, shares.max()))
    most = float(np.min(there[decides] / shares[decides]))
    rng = np.random.Generator(np.random.PCG64(SEED))
    chosen = [
        rng.choice(np.flatnonzero(known == name), min(int(number), int(np.floor(most * share))), replace=False)
        for name, share, number in zip(names, shares, there, strict=True)
        if number
    ]
    return np.sort(np.concatenate(chosen)).astype(np.int64)
