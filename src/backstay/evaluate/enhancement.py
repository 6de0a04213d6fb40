"""Does an enhanced image lie nearer to the clean one than the damaged image that it was made of?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from backstay.kernel.records import Comparison, Interval, Measurement
from backstay.maths.arrays import FloatArray, IntArray
from backstay.maths.intervals import mean_interval
from backstay.maths.paired import paired_difference

METRIC = "psnr"
CONTROL = "control:damaged_input"
NOISE = 25.0
# What is equal to the last level has no PSNR: a quarter of one level stands for it.
_LEAST = 1.0 / 16.0

Images = npt.NDArray[np.uint8]


def damaged(images: Images, *, hidden: float, noise: float = NOISE, seed: int = 0) -> Images:
    """Copies of images [n, H, W, C]: noise of this deviation (levels of 255) on all, then a share of pixels black."""
    rng = np.random.default_rng(seed)
    noisy = images.astype(np.float64) + noise * rng.standard_normal(images.shape)
    noisy[rng.random(images.shape[:3]) < hidden] = 0.0
    return np.asarray(np.clip(np.rint(noisy), 0, 255), dtype=np.uint8)


def psnr(clean: Images, other: Images) -> FloatArray:
    """Peak signal-to-noise ratio of each image [n] in decibels: 10 log10(255^2 / mean squared difference).

    >>> psnr(np.zeros((1, 2, 2, 1), np.uint8), np.full((1, 2, 2, 1), 255, np.uint8)).tolist()
    [0.0]
    """
    away = clean.astype(np.float64) - other.astype(np.float64)
    squared = (away**2).reshape(len(clean), -1).mean(axis=1)
    return np.asarray(10.0 * np.log10(255.0**2 / np.maximum(squared, _LEAST)))


def measured_enhancement(
    enhance: Callable[[Images], Images],
    clean: Images,
    *,
    hidden: float,
    noise: float,
    groups: IntArray | None,
    data_id: str,
) -> tuple[tuple[Measurement, ...], tuple[Comparison, ...]]:
    """Mean PSNR of enhanced damaged images and of the damaged ones themselves, and their paired difference.

    Args:
        hidden, noise: of the damage, see `damaged`. groups: codes of images that depend on each other [n].
    """
    given = damaged(clean, hidden=hidden, noise=noise)
    ours, theirs = psnr(clean, enhance(given)), psnr(clean, given)
    if len(clean) < 2:
        return (), ()
    found = paired_difference(theirs, ours, groups)
    compared = Comparison(
        metric=METRIC,
        against=CONTROL,
        difference=found.mean,
        interval=Interval(found.low, found.high, method="t"),
        one_sided_low=found.one_sided_low,
        p_better=found.p_better,
        p_worse=found.p_worse,
        n=found.n,
        data_id=data_id,
    )
    figures = tuple(_mean(values, groups, data_id, of) for values, of in ((ours, "model"), (theirs, CONTROL)))
    return figures, (compared,)


def _mean(values: FloatArray, groups: IntArray | None, data_id: str, of: str) -> Measurement:
    independent = len(values) if groups is None else len(np.unique(groups))
    span = None
    if independent > 1:
        low, high = mean_interval(values, groups)
        span = Interval(low, high, method="t")
    return Measurement(METRIC, float(values.mean()), span, len(values), data_id, of=of)
